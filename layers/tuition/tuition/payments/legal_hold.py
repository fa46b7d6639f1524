"""The legal hold of a user: while staff hold it, the user's data are neither erased, deleted nor corrected."""

import json
from typing import Any, Literal

from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import LegalHold, UserErased
from tuition.storage import dynamodb, keys, ledger
from tuition.storage.dynamodb import Item
from tuition.storage.items import CustomerItem
from tuition.storage.ledger import CustomerChange

Decision = Literal["set", "lift"]
DECISIONS: tuple[Decision, ...] = ("set", "lift")


def decide(user_id: str, decision: Decision, note: str, staff: str) -> None:
    """Hold a user's data, or lift the hold, with a record on the user's chain. Repeating a decision changes nothing.

    A hold also stops an erasure that is scheduled. Raises `UserErased` once it has begun, and `Contended`.
    """

    def change(item: CustomerItem, seq: int) -> CustomerChange | None:
        holds = decision == "set"
        if bool(item.legal_hold) == holds:
            return None
        if holds and item.erasure and item.erasure["state"] != "scheduled":
            raise UserErased("The data of this user are already erased. Nothing is left to hold.")
        at = timestamps.iso(clock.now())
        entry = AuditEntry(at, f"legal_hold:{seq}", f"legal_hold.{decision}", "staff", staff)
        stored = {"decision": decision, "note": note, "actor": staff, "at": at}
        values: dict[str, Item] = {"legal_hold_decision": {"S": json.dumps(stored)}}
        values |= {"legal_hold": {"BOOL": True}} if holds else {}
        transition = {"legal_hold": {"from": not holds, "to": holds}}
        return CustomerChange(entry, transition, values, () if holds else ("legal_hold",))

    ledger.update_customer(user_id, change)


def is_held(user_id: str) -> bool:
    """Return whether staff hold a user's data now, by a consistent read.

    A transaction that must not race with a decision checks `attribute_not_exists(legal_hold)` on the customer item.
    """
    raw = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)]})[CustomerItem]
    return bool(raw and CustomerItem.from_raw_data(raw[0]).legal_hold)


def require_none(item: CustomerItem) -> None:
    """Raise `LegalHold` if staff hold the data of the item's user."""
    if item.legal_hold:
        raise LegalHold("The school must keep these data for now. Ask it why, and when the matter will be settled.")


def to_json(item: CustomerItem) -> dict[str, Any]:
    """Return whether staff hold the data of the item's user, and the newest decision about it."""
    return {"held": bool(item.legal_hold), "decision": item.legal_hold_decision}
