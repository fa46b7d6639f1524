"""A wish to give money back: stored on its payment before Stripe is called, and driven to an end by whoever comes.

    waiting -> declined | calling
    calling -> pending | done | refused
    pending -> done | failed

The key of the call to Stripe is made of the request's id and its `tries`, and its id travels in the refund's
metadata: a refund that names it decides the request, by whatever path that refund becomes known.
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
    """`amount` in minor units, always explicit; `by` the user id of who asked, `at` RFC 3339 UTC.

    `answer` is why it was declined, refused (Stripe's reason) or failed; `decided_by` the staff member.
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
        """It waits for staff or for Stripe: `awaiting_approval`, `submitting` or `pending`."""
        return self.state in UNDECIDED

    @property
    def idempotency_key(self) -> str:
        """The key of its present try at Stripe."""
        return f"{self.id}:{self.tries}"

    def for_student(self) -> dict[str, Any]:
        """What whoever asked may see: nothing of who decides."""
        return {name: getattr(self, name) for name in ("id", "amount", "reason", "state", "at", "answer")}

    def to_json(self) -> dict[str, Any]:
        """A dict for JSON, without what is not known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def follow(requests: Iterable[RefundRequest], refunds: Mapping[str, Refund]) -> tuple[RefundRequest, ...]:
    """The requests as the refunds that name them decide: a pure function of both, whatever came first."""
    named = {refund.request: (key, refund) for key, refund in refunds.items() if refund.request}
    return tuple(_followed(request, *named[request.id]) if request.id in named else request for request in requests)


def _followed(request: RefundRequest, key: str, refund: Refund) -> RefundRequest:
    state = _STATE_OF_REFUND[refund.status]
    return replace(request, state=state, refund=key, answer=refund.failure if state == "failed" else None)


def decline_awaiting(requests: Iterable[RefundRequest], because: str) -> tuple[RefundRequest, ...]:
    """Nobody needs to decide any more: nothing is left to give back."""
    return tuple(
        replace(request, state="declined", answer=because) if request.state == "awaiting_approval" else request
        for request in requests
    )
