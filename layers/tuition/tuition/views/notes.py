"""The notes and tags of a student or a payment, as staff see them."""

from typing import Any

from tuition.core.notes import MAX_NOTES
from tuition.storage import keys, notes
from tuition.storage.items import NoteItem
from tuition.storage.notes import NoteTopic


def shown(topic: NoteTopic) -> dict[str, Any]:
    """Return the tags of a topic and its notes, newest first. Those of a student include those on their payments.

    `full` says that the student has the maximum number of notes.
    """
    all_items = notes.read(NoteTopic(topic.user_id))
    items = [item for item in all_items if topic.payment_id in (None, keys.payment_of_note(item.sort_key))]
    return {
        "tags": sorted(notes.tags_of(topic, items)),
        "notes": [_note(item) for item in reversed(items) if item.text is not None],
        "full": sum(item.text is not None for item in all_items) >= MAX_NOTES,
    }


def _note(item: NoteItem) -> dict[str, Any]:
    return {
        "note_id": item.sort_key.partition("#")[2],
        "at": item.at,
        "by": item.actor,
        "text": item.text,
        "payment_id": keys.payment_of_note(item.sort_key),
    }
