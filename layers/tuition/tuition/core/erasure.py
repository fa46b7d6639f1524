"""The erasure of a user's data: its states, and what must be decided before it.

    scheduled -> erasing -> erased

A scheduled erasure waits until no token of the user is valid any more. One that is erasing can no longer be held.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tuition.core import timestamps
from tuition.core.payment import DECIDED_DISPUTES, REDUCING_REFUNDS, Payment
from tuition.core.stored import read

State = Literal["scheduled", "erasing", "erased"]
OpenMoney = Literal["payment_processing", "refund_undecided", "dispute_open", "plan_open"]


@dataclass(frozen=True)
class Erasure:
    """An erasure that the user id `by` requested: the user, or a member of staff with a note. Times are RFC 3339 UTC.

    It will be done at `due_at`. `sign_in_ended_at` is when the user's sign-in was ended.
    """

    state: State
    requested_at: str
    due_at: str
    by: str
    note: str | None = None
    sign_in_ended_at: str | None = None
    erased_at: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> "Erasure | None":
        """Return what `to_json` wrote; None for None."""
        return None if stored is None else read(cls, stored)


def open_money(payment: Payment) -> tuple[OpenMoney, str | None] | None:
    """Return why the money of a payment is not decided yet, and the date on which it may be, if that is known.

    None if it is decided. A settled payment is, inside the refund window or not.
    """
    if payment.status == "PROCESSING" or payment.verify_by:
        return "payment_processing", payment.verify_by
    refunds = payment.facts.refunds.values()
    is_pending = any(refund.status in REDUCING_REFUNDS - {"succeeded"} for refund in refunds)
    if is_pending or any(request.undecided for request in payment.requests):
        return "refund_undecided", payment.refund_due_by
    disputes = [one for one in payment.facts.disputes.values() if one.status not in DECIDED_DISPUTES]
    if disputes:
        due = [one.due_by for one in disputes if one.due_by is not None]
        return "dispute_open", timestamps.iso(max(due)) if due else None
    return None
