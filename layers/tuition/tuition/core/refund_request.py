"""A refund request: stored on its payment before Stripe is called, and resumed until it is decided.

    awaiting_approval -> declined | submitting
    submitting -> pending | succeeded | rejected
    pending -> succeeded | failed

The idempotency key of the call to Stripe is made of the request's id and its `tries`. The refund's metadata contain
the request's id, so a refund decides its request however the refund becomes known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from tuition.core.facts import Refund

State = Literal["awaiting_approval", "declined", "submitting", "pending", "succeeded", "rejected", "failed"]
UNDECIDED: frozenset[State] = frozenset({"awaiting_approval", "submitting", "pending"})

_STATE_OF_REFUND: Mapping[str, State] = {
    "requires_action": "pending",
    "pending": "pending",
    "succeeded": "succeeded",
    "canceled": "failed",
    "failed": "failed",
}


@dataclass(frozen=True)
class RefundRequest:
    """A request to refund an explicit `amount` in minor units, by the user `by`, at `at` (RFC 3339 UTC).

    `answer` says why it was declined, rejected (Stripe's reason) or failed; `decided_by` is the member of staff.
    """

    id: str
    amount: int
    reason: str
    by: str
    at: str
    state: State
    tries: int = 1
    note: str | None = None
    answer: str | None = None
    decided_by: str | None = None
    refund: str | None = None

    @property
    def undecided(self) -> bool:
        """Whether staff or Stripe have yet to decide: `awaiting_approval`, `submitting` or `pending`."""
        return self.state in UNDECIDED

    @property
    def idempotency_key(self) -> str:
        """The idempotency key of its present try at Stripe."""
        return f"{self.id}:{self.tries}"

    def for_student(self) -> dict[str, Any]:
        """Return the request as its student sees it, without who decides it."""
        return {name: getattr(self, name) for name in ("id", "amount", "reason", "state", "at", "answer")}

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def follow(requests: Iterable[RefundRequest], refunds: Mapping[str, Refund]) -> tuple[RefundRequest, ...]:
    """Return the requests in the states that the refunds naming them imply, whichever came first."""
    by_request = {refund.request: (key, refund) for key, refund in refunds.items() if refund.request}
    return tuple(
        _followed(request, *by_request[request.id]) if request.id in by_request else request for request in requests
    )


def _followed(request: RefundRequest, key: str, refund: Refund) -> RefundRequest:
    state = _STATE_OF_REFUND[refund.status]
    return replace(request, state=state, refund=key, answer=refund.failure if state == "failed" else None)


def decline_awaiting(requests: Iterable[RefundRequest], because: str) -> tuple[RefundRequest, ...]:
    """Decline the requests that await approval, because there is nothing left to decide."""
    return tuple(
        replace(request, state="declined", answer=because) if request.state == "awaiting_approval" else request
        for request in requests
    )
