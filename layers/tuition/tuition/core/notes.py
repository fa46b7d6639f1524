"""Notes and tags that staff write about a student or one of their payments: what is accepted, and how many.

They explain work and decide nothing. All of one student are bounded together, so one page has them all.
"""

from tuition.core import texts
from tuition.core.errors import Conflicted, Unprocessable

MAX_NOTE_LENGTH = 1000
MAX_NOTES = 200
"""Per student, with those on their payments."""
MAX_TAG_LENGTH = 30
MAX_TAGS = 10
"""Per student, and per payment."""
_PUNCTUATION = " -_."


def tags(values: object, field: str) -> frozenset[str]:
    """Return tags as they are stored: trimmed, in lower case, composed. Raises `Unprocessable` with the field."""
    if not isinstance(values, list) or len(values) > MAX_TAGS:
        raise Unprocessable(f"{field} must be a list of at most {MAX_TAGS} tags", field=field)
    return frozenset(_tag(value, field) for value in values)


def _tag(text: object, field: str) -> str:
    name = texts.caseless(" ".join(text.split())) if isinstance(text, str) else ""
    letters = "".join(letter for letter in name if not texts.is_mark(letter))
    plain = all(letter.isalnum() or letter in _PUNCTUATION for letter in letters)
    if not (letters and plain and len(name) <= MAX_TAG_LENGTH) or texts.is_mark(name[0]):
        raise Unprocessable(
            f"A tag has 1 to {MAX_TAG_LENGTH} letters, digits, spaces, hyphens, underscores or full stops.",
            field=field,
        )
    return name


def changed_tags(before: frozenset[str], add: frozenset[str], remove: frozenset[str]) -> frozenset[str]:
    """Return the tags after a change; a tag that is in both is there. Raises `Conflicted` if they are too many."""
    after = (before - remove) | add
    if len(after) > MAX_TAGS and not after <= before:
        raise Conflicted(f"There can be at most {MAX_TAGS} tags. Remove one first.")
    return after


def require_room(count: int) -> None:
    """Raise `Conflicted` if a student with this number of notes can have no more."""
    if count >= MAX_NOTES:
        raise Conflicted(f"A student can have at most {MAX_NOTES} notes. Delete one first.")
