"""The switch that stops selling: one item of `cursors`, which the ledger writes together with its record."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from tuition import retry
from tuition.core.audit import AuditEntry, Record
from tuition.core.errors import Contended
from tuition.core.selling import SUBJECT, Selling, verify
from tuition.storage import dynamodb, keys, ledger, mapping, queries
from tuition.storage.items import CursorItem
from tuition.storage.ledger import AlreadyRecorded, VersionConflict


class SellingChange(NamedTuple):
    """The selling switch after a decision of staff, and the entry for its chain."""

    selling: Selling
    entry: AuditEntry


def load() -> Selling:
    """Read the selling switch, strongly consistent."""
    return mapping.selling_from_raw(dynamodb.get(CursorItem, keys.cursor_key(keys.SELLING)))


def update(decide: Callable[[Selling, bool], SellingChange | None]) -> Selling:
    """Load the selling switch, decide, and commit it with a record on its own chain.

    `decide` gets the switch, and whether it agrees with its records. It returns None if nothing is to be written. If a
    restore has taken the switch back, the record continues the records that are there. Raises `Contended` after the
    last conflict, and whatever `decide` raises.
    """
    for _ in retry.attempts(retry.COMMIT):
        before, trail = load(), queries.audit_trail(SUBJECT)
        change = decide(before, verify(before, trail) is None)
        if change is None:
            return before
        transition = {"selling": {"from": before.on, "to": change.selling.on}}
        ends = [(record["seq"], record["hash"]) for record in trail]
        version, previous = max([(before.version, before.audit_head), *ends])
        record = Record(SUBJECT, version + 1, change.entry, "", None, transition, previous)
        after = replace(change.selling, version=record.seq, audit_head=record.hash)
        try:
            ledger.write_record(record, mapping.selling_to_item(after), before.version)
        except (AlreadyRecorded, VersionConflict):
            continue
        return after
    raise Contended("Other staff are changing this at the same time. Try again.")
