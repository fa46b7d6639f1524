"""A request to refund a payment. It is stored on the payment before Stripe is called, so that it can be resumed.

    awaiting_approval -> declined | submitting | withdrawn
    awaiting_approval <-> superseded          (only after a withdrawal)
    submitting -> pending | succeeded | rejected
    pending -> succeeded | failed

The idempotency key of the call to Stripe consists of the request's id and `tries`. The refund's metadata name the
request. The state of the request follows that refund, however the refund becomes known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from tuition.core.facts import Refund

State = Literal[
    "awaiting_approval",
    "declined",
    "submitting",
    "pending",
    "succeeded",
    "rejected",
    "failed",
    "superseded",
    "withdrawn",
]
STATES: tuple[State, ...] = get_args(State)
StripeReason = Literal["requested_by_customer", "duplicate", "fraudulent"]
"""The reasons that Stripe takes. After `fraudulent` it blocks the card and the address.

Source: https://docs.stripe.com/api/refunds/create#create_refund-reason
"""
STRIPE_REASONS: tuple[StripeReason, ...] = get_args(StripeReason)
MAX_REQUESTS = 50
"""Refund requests per payment, whatever became of them: every request stays on the payment's item."""
MAX_WITH_TEXTS = 15
"""The newest requests that keep the note and the message of staff. Fifty of both do not fit into an item."""
MAX_REJECTIONS = 10
"""How often a student may repeat a request that Stripe rejects."""
MAX_ANSWER_LENGTH = 300
"""Of a reason that Stripe gives, in characters. The rest is cut off."""
MAX_WITHDRAWN = 5
"""How often a student may withdraw a request for a payment and make another one: each asks staff for a decision."""
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
    """A request to refund `amount` (minor units), made by the user id `by` at the time `at` (RFC 3339 UTC).

    `answer` is why it was declined automatically, rejected by Stripe, or failed. `message` is what staff wrote to the
    student, `note` what they wrote for other staff. `decided_by` is the member of staff, `refund` the id of Stripe's
    refund. `order_key` identifies the `Idempotency-Key` that staff sent. `stripe_reason` is what Stripe gets as
    reason, by default `requested_by_customer`; students never see it.
    """

    id: str
    amount: int
    reason: str
    by: str
    at: str
    state: State
    tries: int = 1
    note: str | None = None
    message: str | None = None
    answer: str | None = None
    decided_by: str | None = None
    refund: str | None = None
    order_key: str | None = None
    stripe_reason: StripeReason | None = None

    @property
    def undecided(self) -> bool:
        """Whether it waits for staff or for Stripe: `awaiting_approval`, `submitting` or `pending`."""
        return self.state in UNDECIDED

    @property
    def idempotency_key(self) -> str:
        """The idempotency key of the current try at Stripe."""
        return f"{self.id}:{self.tries}"

    def for_student(self, student: str) -> dict[str, Any]:
        """Return what the student may see: nothing about the staff who decide.

        Their `answer` is why the refund was not made, else the message of staff.
        """
        return {
            **{name: getattr(self, name) for name in ("id", "amount", "reason", "state", "at")},
            "answer": self.answer or self.message,
            "made_by": "student" if self.by == student else "school",
        }

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def are_too_many(requests: Iterable[RefundRequest]) -> bool:
    """Whether the student must ask the school: Stripe rejected the refund, or they withdrew a request, too often."""
    states = [request.state for request in requests]
    return states.count("rejected") >= MAX_REJECTIONS or states.count("withdrawn") >= MAX_WITHDRAWN


def follow(requests: Iterable[RefundRequest], refunds: Mapping[str, Refund]) -> tuple[RefundRequest, ...]:
    """Return the requests, each in the state that the refund naming it implies, in whatever order both arrived."""
    by_request = {refund.request: (key, refund) for key, refund in refunds.items() if refund.request}
    return tuple(
        _followed(request, *by_request[request.id]) if request.id in by_request else request for request in requests
    )


def _followed(request: RefundRequest, refund_id: str, refund: Refund) -> RefundRequest:
    state = _STATE_OF_REFUND.get(refund.status, "pending")
    return replace(request, state=state, refund=refund_id, answer=refund.failure if state == "failed" else None)


def without_old_texts(requests: tuple[RefundRequest, ...]) -> tuple[RefundRequest, ...]:
    """Return the requests, of which only the newest keep what staff wrote. The student's reasons all stay."""
    old = max(0, len(requests) - MAX_WITH_TEXTS)
    return (*(replace(request, note=None, message=None) for request in requests[:old]), *requests[old:])


def without_texts(requests: Iterable[RefundRequest]) -> tuple[RefundRequest, ...]:
    """Return the requests without what a person or a bank wrote in them, as an erasure leaves them."""
    return tuple(
        replace(request, reason="", note=None, message=None, answer=None, stripe_reason=None) for request in requests
    )


def decline_awaiting(requests: Iterable[RefundRequest], answer: str) -> tuple[RefundRequest, ...]:
    """Return the requests with those that await approval declined, for the reason in `answer`."""
    return tuple(
        replace(request, state="declined", answer=answer) if request.state == "awaiting_approval" else request
        for request in requests
    )


def supersede_awaiting(requests: Iterable[RefundRequest], *, nothing_left: bool) -> tuple[RefundRequest, ...]:
    """Return the requests of a student who has withdrawn: what awaits approval is superseded once nothing is left.

    It is never declined, because the money is due. It awaits approval again if the refund that superseded it fails.
    """
    state: State = "superseded" if nothing_left else "awaiting_approval"
    return tuple(
        replace(request, state=state) if request.state in ("awaiting_approval", "superseded") else request
        for request in requests
    )
