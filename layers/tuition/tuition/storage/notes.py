"""The table of notes and tags: one partition per student, with what is about them and about each of their payments.

Notes are written in the ledger's transactions, with their record. Everything else is here.
"""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from tuition.core import timestamps
from tuition.storage import dynamodb, keys
from tuition.storage.dynamodb import Item, Partition, SortKeys
from tuition.storage.items import NoteItem


class NoteTopic(NamedTuple):
    """The topic of a note: a student, or one of their payments."""

    user_id: str
    payment_id: str | None = None


def read(topic: NoteTopic) -> list[NoteItem]:
    """Return the notes and tags of a topic, oldest first. Those of a student include those of their payments."""
    sort_keys = keys.note_sort_key(topic.payment_id, "") if topic.payment_id else None
    return _read(topic.user_id, sort_keys)


def _read(user_id: str, beginning: str | None) -> list[NoteItem]:
    partition = Partition(NoteItem, "user_id", user_id, "sort_key")
    begins = SortKeys("begins_with(#sort, :beginning)", {":beginning": beginning}) if beginning else None
    pages = dynamodb.query_pages(partition, sort_keys=begins)
    items = [NoteItem.from_raw_data(raw) for page in pages for raw in page.items]
    return sorted(items, key=lambda item: (item.at, item.sort_key))


def tags_of(topic: NoteTopic, items: list[NoteItem]) -> frozenset[str]:
    """Return the tags of a topic among these items."""
    name = keys.note_sort_key(topic.payment_id, keys.TAGS)
    return next((frozenset(item.tags or ()) for item in items if item.sort_key == name), frozenset())


def new_id(now: float) -> str:
    """Return the id of a new note. Ids sort by time."""
    return f"note_{int(now * 1000):012x}{uuid.uuid4().hex[:12]}"


def put(topic: NoteTopic, note_id: str, text: str, actor: str, now: float) -> Item:
    """Return the write of a note, for a transaction of the ledger."""
    sort_key = keys.note_sort_key(topic.payment_id, note_id)
    return _put(NoteItem(topic.user_id, sort_key, text=text, actor=actor, at=timestamps.iso(now)))


def put_tags(topic: NoteTopic, tags: frozenset[str], actor: str, now: float) -> Item:
    """Return the write of all tags of a topic, for a transaction of the ledger."""
    if not tags:
        return delete(topic, keys.TAGS)
    sort_key = keys.note_sort_key(topic.payment_id, keys.TAGS)
    return _put(NoteItem(topic.user_id, sort_key, tags=set(tags), actor=actor, at=timestamps.iso(now)))


def _put(item: NoteItem) -> Item:
    return {"Put": {"TableName": dynamodb.table_name(NoteItem), "Item": dynamodb.to_raw(item)}}


def put_evidence(topic: NoteTopic, dispute_id: str, evidence: Mapping[str, Any], actor: str, at: str) -> Item:
    """Return the write of the evidence for a dispute, for a transaction of the ledger."""
    sort_key = keys.note_sort_key(topic.payment_id, dispute_id)
    return _put(NoteItem(topic.user_id, sort_key, evidence=evidence, actor=actor, at=at))


def evidence_of(topic: NoteTopic, dispute_id: str, items: list[NoteItem]) -> NoteItem | None:
    """Return the evidence for a dispute of a payment among these items."""
    name = keys.note_sort_key(topic.payment_id, dispute_id)
    return next((item for item in items if item.sort_key == name), None)


def delete(topic: NoteTopic, name: str) -> Item:
    """Return the deletion of a note or of the tags, for a transaction of the ledger."""
    key = keys.note_key(topic.user_id, keys.note_sort_key(topic.payment_id, name))
    return {"Delete": {"TableName": dynamodb.table_name(NoteItem), "Key": key}}


def erase(topic: NoteTopic, until: str | None = None) -> None:
    """Delete the notes and tags of a topic: with `until` (RFC 3339), those that were written up to then."""
    for item in read(topic):
        if until is None or item.at <= until:
            dynamodb.delete(NoteItem, keys.note_key(item.user_id, item.sort_key))
