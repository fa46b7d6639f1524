"""The switches of the school: an item of `cursors` each, which the ledger writes together with its record."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from tuition import retry
from tuition.core.audit import AuditEntry, Record
from tuition.core.errors import Contended
from tuition.core.switches import SUBJECTS, Switch, SwitchName, verify
from tuition.storage import dynamodb, keys, ledger, mapping, queries
from tuition.storage.items import CursorItem
from tuition.storage.ledger import AlreadyRecorded, VersionConflict


class SwitchChange(NamedTuple):
    """A switch after a decision of staff, and the entry for its chain."""

    switch: Switch
    entry: AuditEntry


def load(name: SwitchName) -> Switch:
    """Read a switch, strongly consistent."""
    return mapping.switch_from_raw(name, dynamodb.get(CursorItem, keys.cursor_key(name)))


def update(name: SwitchName, decide: Callable[[Switch, bool], SwitchChange | None]) -> Switch:
    """Load a switch, decide, and commit it with a record on its own chain.

    `decide` gets the switch, and whether it agrees with its records. It returns None if nothing is to be written. If a
    restore has taken the switch back, the record continues the records that are there. Raises `Contended` after the
    last conflict, and whatever `decide` raises.
    """
    subject = SUBJECTS[name]
    for _ in retry.attempts(retry.COMMIT):
        before, trail = load(name), queries.audit_trail(subject)
        change = decide(before, verify(before, trail) is None)
        if change is None:
            return before
        transition: dict[str, Any] = {name: {"from": before.on, "to": change.switch.on}}
        ends = [(record["seq"], record["hash"]) for record in trail]
        version, previous = max([(before.version, before.audit_head), *ends])
        record = Record(subject, version + 1, change.entry, "", None, transition, previous)
        after = replace(change.switch, version=record.seq, audit_head=record.hash)
        try:
            ledger.write_record(record, mapping.switch_to_item(after), before.version)
        except (AlreadyRecorded, VersionConflict):
            continue
        return after
    raise Contended("Other staff are changing this at the same time. Try again.")
