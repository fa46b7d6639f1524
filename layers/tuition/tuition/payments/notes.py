"""Write, delete and tag: the notes of staff about a student or a payment, each with a record on the student's chain.

The record says that a note was written, and not what, because records are never erased. The note and its record are
one transaction. All of a student happen one after another, because each is on the chain's version: so the bounds hold,
and nothing is written once an erasure has begun. A note about a payment also needs the payment, which the deletion
after seven years takes away with its notes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tuition import clock
from tuition.core import notes as rules
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.erasure import Erasure
from tuition.core.errors import LegalHold, NotFound, UserErased
from tuition.core.refs import is_user_id
from tuition.storage import dynamodb, keys, ledger, notes, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import CustomerItem, NoteItem, PaymentItem
from tuition.storage.ledger import CustomerChange
from tuition.storage.notes import NoteTopic


class NoteChange(NamedTuple):
    """The type of a record and its transition, with the write that it is about, and whether something is deleted."""

    type: str
    transition: dict[str, Any]
    write: Item
    deletes: bool = False


def write(topic: NoteTopic, text: str, staff: str) -> None:
    """Write a note. Raises `NotFound`, `UserErased`, `Conflicted` if there are too many, and `Contended`."""
    now = clock.now()
    note_id = notes.new_id(now)

    def change(items: list[NoteItem]) -> NoteChange:
        rules.require_room(sum(item.text is not None for item in items))
        put = notes.put(topic, note_id, text, staff, now)
        return NoteChange("note.written", {"note": _named(topic, {"id": note_id})}, put)

    commit(topic, staff, change)


def delete(topic: NoteTopic, note_id: str, staff: str) -> None:
    """Delete a note. One that is missing changes nothing.

    Raises `NotFound`, `UserErased`, `LegalHold` and `Contended`.
    """
    sort_key = keys.note_sort_key(topic.payment_id, note_id)

    def change(items: list[NoteItem]) -> NoteChange | None:
        if not any(item.sort_key == sort_key and item.text is not None for item in items):
            return None
        removal = notes.delete(topic, note_id)
        return NoteChange("note.deleted", {"note": _named(topic, {"id": note_id})}, removal, deletes=True)

    commit(topic, staff, change)


def change_tags(topic: NoteTopic, add: frozenset[str], remove: frozenset[str], staff: str) -> None:
    """Add tags to a topic and remove others.

    Raises `NotFound`, `UserErased`, `LegalHold` if it removes one, `Conflicted` if there are too many, and `Contended`.
    """

    def change(items: list[NoteItem]) -> NoteChange | None:
        before = notes.tags_of(topic, items)
        after = rules.changed_tags(before, add, remove)
        if after == before:
            return None
        counts = {"added": len(after - before), "removed": len(before - after)}
        put = notes.put_tags(topic, after, staff, clock.now())
        return NoteChange("tags.changed", {"tags": _named(topic, counts)}, put, deletes=not before <= after)

    commit(topic, staff, change)


def _named(topic: NoteTopic, detail: dict[str, Any]) -> dict[str, Any]:
    return {**detail, "payment": topic.payment_id} if topic.payment_id else detail


def commit(topic: NoteTopic, staff: str, decide: Callable[[list[NoteItem]], NoteChange | None]) -> None:
    """Decide with all notes of the student, and commit the change with its record.

    Raises `NotFound`, `UserErased`, `LegalHold` and `Contended`, and whatever `decide` raises.
    """
    _require_known(topic.user_id)

    def change(item: CustomerItem, seq: int) -> CustomerChange | None:
        _require_writable(topic, item)
        changed = decide(notes.read(NoteTopic(topic.user_id)))
        if changed is None:
            return None
        if changed.deletes and item.legal_hold:
            raise LegalHold("Nothing about this student can be deleted, because their data is under a legal hold.")
        entry = AuditEntry(timestamps.iso(clock.now()), f"note:{seq}", changed.type, "staff", staff)
        writes = {"note": changed.write} | ({"payment": _exists(topic.payment_id)} if topic.payment_id else {})
        return CustomerChange(entry, changed.transition, writes=writes)

    ledger.update_customer(topic.user_id, change)


def _require_known(user_id: str) -> None:
    """Raise `NotFound` for a user of whom nothing is stored."""
    if not (is_user_id(user_id) and queries.is_known_user(user_id)):
        raise NotFound("Nothing is stored for this user id.")


def _require_writable(topic: NoteTopic, item: CustomerItem) -> None:
    erasure = Erasure.from_json(item.erasure)
    if erasure and erasure.state != "scheduled":
        raise UserErased("The data of this student has been erased or is being erased, so no note can be stored.")
    if topic.payment_id in (item.expired_payments or ()):
        raise NotFound("There is no payment with this id.")


def _exists(payment_id: str) -> Item:
    """Return the condition that a payment still exists."""
    check = {"TableName": dynamodb.table_name(PaymentItem), "Key": keys.payment_key(payment_id)}
    return {"ConditionCheck": {**check, "ConditionExpression": "attribute_exists(payment_id)"}}
