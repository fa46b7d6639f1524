"""Notes and tags."""

from dataclasses import dataclass, field
from typing import Annotated

from api_schema.about import About, PaymentId, Time, UserId
from tuition.core.notes import MAX_NOTE_LENGTH, MAX_TAGS
from tuition.core.stripe_json import MAX_ID_LENGTH


@dataclass
class Note:
    """A note of staff about a student or a payment."""

    note_id: Annotated[str, About(examples=["note_018c0a1b2c3d4e5f6a7b8c9d"])]
    at: Time
    by: UserId
    text: Annotated[str, About(examples=["Called; a parent pays"])]
    payment_id: Annotated[PaymentId | None, About("Null for a note about the student.")]


@dataclass
class Notes:
    """The tags and notes of a student or a payment."""

    tags: Annotated[list[str], About(examples=[["vip"]])]
    notes: Annotated[list[Note], About("Newest first. Those of a student include those on their payments.")]
    full: Annotated[bool, About("Whether the student has the maximum number of notes.", examples=[False])]


@dataclass
class NotesShown:
    """The tags and notes after a change."""

    notes: Notes


@dataclass(kw_only=True)
class NoteTopicQuery:
    """The payment or the student that a note is about. Send exactly one."""

    payment_id: Annotated[PaymentId | None, About("A payment.")] = None
    user_id: Annotated[UserId | None, About("A student.")] = None


@dataclass
class NewNote:
    """A note to write."""

    text: Annotated[
        str, About(minLength=1, maxLength=MAX_NOTE_LENGTH, pattern=r"\S", examples=["Called; a parent pays"])
    ]


@dataclass
class NoteRemoval:
    """The note to delete."""

    note_id: Annotated[str, About(minLength=1, maxLength=MAX_ID_LENGTH, pattern=r"\S", examples=["note_018c0a1b"])]


@dataclass(kw_only=True)
class TagsChange:
    """Tags to add, and tags to remove. Case does not matter."""

    add: Annotated[list[str], About(maxItems=MAX_TAGS, examples=[["vip"]])] = field(default_factory=list)
    remove: Annotated[list[str], About(maxItems=MAX_TAGS, examples=[[]])] = field(default_factory=list)
