"""One purchase of one track by one user, and everything that follows from its facts. Status is decided here only."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tuition.core import facts as core_facts
from tuition.core import refund_request, timestamps
from tuition.core.facts import NO_FACTS, Charge, Dispute, Facts, Kind
from tuition.core.money import Money
from tuition.core.refs import PaymentRef
from tuition.core.refund_request import RefundRequest

Status = Literal["CREATED", "PROCESSING", "SUCCEEDED", "FAILED", "CANCELED", "REFUNDED"]
STATUSES: tuple[Status, ...] = ("CREATED", "PROCESSING", "SUCCEEDED", "FAILED", "CANCELED", "REFUNDED")
OPEN_STATUSES: frozenset[Status] = frozenset({"CREATED", "PROCESSING", "FAILED"})

COUNTED_REFUNDS = frozenset({"pending", "succeeded"})
"""Refunds that count as given back (`refund_amount`)."""
LOST_DISPUTES = frozenset({"lost", "prevented"})
DECIDED_DISPUTES = frozenset({"won", "lost", "prevented", "warning_closed"})
INQUIRIES = frozenset({"warning_needs_response", "warning_under_review", "warning_closed"})
DISPUTED = frozenset({"needs_response", "under_review"})
"""Disputes for which the funds are held: no refund until they are decided."""


@dataclass(frozen=True)
class Terms:
    """What a buyer chose, at which price of the catalog: an open payment is answered again only to the same.

    `list_amount` is the catalog's amount then, in minor units: what is asked may be less, by a promotion code.
    """

    list_amount: int = 0
    promotion_code: str | None = None
    save_payment_method: bool = False
    payment_method: str | None = None


DEFAULT_TERMS = Terms()


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A payment as it was loaded, or as it would be after a merge.

    `bound_to` is the id of its one object at Stripe (`pi_…` or `cs_…`), `price` what was asked at its creation.
    `version` counts its audit records, `audit_head` is the hash of the newest. Times are RFC 3339 UTC.
    """

    payment_id: str
    user_id: str
    track: str
    kind: Kind
    attempt: int
    bound_to: str
    price: Money
    created_at: str
    updated_at: str
    email: str | None = None
    customer: str | None = None
    terms: Terms = DEFAULT_TERMS
    facts: Facts = NO_FACTS
    requests: tuple[RefundRequest, ...] = ()
    version: int = 0
    audit_head: str = ""

    @property
    def ref(self) -> PaymentRef:
        """The ids that name this payment and its enrollment."""
        return PaymentRef(self.payment_id, self.user_id, self.track)

    @property
    def status(self) -> Status:
        """Derived from the facts, never set."""
        return status(self.facts)

    @property
    def open(self) -> bool:
        """It can still be paid: CREATED, PROCESSING or FAILED."""
        return self.status in OPEN_STATUSES

    @property
    def gone(self) -> bool:
        """Closed unpaid, only because Stripe did not know its object: it may be there after all, and be paid."""
        return self.status == "CANCELED" and self.facts.gone

    @property
    def intent(self) -> str | None:
        """The PaymentIntent: bound to it, or learned from the session."""
        return self.bound_to if self.kind == "intent" else self.facts.intent

    @property
    def charge(self) -> tuple[str, Charge] | None:
        """The charge that paid, else the newest."""
        charges = sorted(self.facts.charges.items(), key=lambda c: (c[1].status == "succeeded", c[1].created, c[0]))
        return charges[-1] if charges else None

    @property
    def refunded(self) -> bool:
        """All that was received has been given back."""
        return self.status == "REFUNDED"

    @property
    def left(self) -> int:
        """What could still be given back, in minor units: refunds that wait for the customer's action count as gone."""
        gone = COUNTED_REFUNDS | {"requires_action"}
        settled = self.facts.settled.amount if self.facts.settled else 0
        return (
            settled - sum(r.amount for r in self.facts.refunds.values() if r.status in gone) - lost_amount(self.facts)
        )

    def merged(self, told: Facts) -> "Payment":
        """This payment knowing that too. What another object says about closing is not about this one."""
        if told.closed and told.closed.by != self.kind:
            told = replace(told, closed=None)
        facts = core_facts.merge(self.facts, told)
        merged = replace(self, facts=facts, customer=self.customer or facts.customer)
        return merged.with_requests(self.requests)

    def with_requests(self, requests: tuple[RefundRequest, ...]) -> "Payment":
        """With these refund requests, each as its refund decides and none waiting for what cannot be."""
        followed = refund_request.follow(requests, self.facts.refunds)
        if any(d.status in LOST_DISPUTES for d in self.facts.disputes.values()):
            followed = refund_request.close_waiting(followed, "a dispute was decided against the school")
        elif self.facts.settled and self.left <= 0:
            followed = refund_request.close_waiting(followed, "nothing is left to refund")
        return replace(self, requests=followed)


def status(facts: Facts) -> Status:
    """The one place where a status comes from."""
    if facts.settled:
        return "REFUNDED" if 0 < facts.settled.amount <= refunded_amount(facts) else "SUCCEEDED"
    if facts.closed:
        return "CANCELED"
    if facts.phase and facts.phase.name == "processing":
        return "PROCESSING"
    if facts.phase and facts.phase.name == "failed":
        return "FAILED"
    return "CREATED"


@dataclass(frozen=True)
class Failure:
    """Why the last try to pay failed, in Stripe's code and words."""

    code: str
    message: str

    def for_student(self) -> "Failure":
        """What the bank suspects is not for who holds the card. https://docs.stripe.com/declines/codes"""
        return DECLINED if self.code in SUSPECTED_FRAUD else self


SUSPECTED_FRAUD = frozenset({"fraudulent", "lost_card", "stolen_card", "merchant_blacklist"})
DECLINED = Failure("generic_decline", "Your card was declined.")


def failure(facts: Facts) -> Failure | None:
    """Why a payment that is not paid failed; None where it did not.

    A session that a bank refused after days is closed by that; how the bank put it is known from the intent, or from
    the charge, whichever was told.
    """
    if status(facts) not in ("FAILED", "CANCELED"):
        return None
    if facts.phase and facts.phase.name == "failed":
        return Failure(facts.phase.code or "payment_failed", facts.phase.message or "The payment failed.")
    if facts.closed and facts.closed.reason == "payment_failed":
        failed = sorted((c.created, key) for key, c in facts.charges.items() if c.status == "failed")
        code = facts.charges[failed[-1][1]].code if failed else None
        return Failure(code or "payment_failed", "The payment failed.")
    return None


def refunded_amount(facts: Facts) -> int:
    """What refunds have given back or are about to, in minor units: those that are pending or succeeded."""
    return sum(refund.amount for refund in facts.refunds.values() if refund.status in COUNTED_REFUNDS)


def lost_amount(facts: Facts) -> int:
    """What disputes took for good. A prevented one counts only where the dispute, not a refund, moved the funds."""
    return sum(_lost(dispute) for dispute in facts.disputes.values())


def _lost(dispute: Dispute) -> int:
    if dispute.status == "lost":
        return dispute.amount
    return dispute.withdrawn if dispute.status == "prevented" else 0


def amount_agrees(payment: Payment) -> bool:
    """The money received is what was asked for."""
    return payment.facts.settled is not None and payment.facts.settled.money == payment.price


def grants_access(payment: Payment) -> bool:
    """The standing: whether this payment, alone, lets its user into the track."""
    facts = payment.facts
    if facts.settled is None or status(facts) == "REFUNDED":
        return False
    if facts.decision and facts.decision.decision == "revoke":
        return False
    if any(dispute.status in LOST_DISPUTES for dispute in facts.disputes.values()):
        return False
    return amount_agrees(payment) or facts.accepted


def ever_granted(payment: Payment) -> bool:
    """It granted once, or would have if its purchase and its end had not been learned together."""
    return payment.facts.settled is not None and (amount_agrees(payment) or payment.facts.accepted)


def holds_funds(payment: Payment) -> bool:
    """Settled, and not all of it refunded or lost to disputes: two of these for one track are one too many."""
    settled = payment.facts.settled
    gone = refunded_amount(payment.facts) + lost_amount(payment.facts)
    return settled is not None and (settled.amount == 0 or gone < settled.amount)


def is_final(payment: Payment) -> bool:
    """Nothing more is expected to happen by itself. What is gone may come back, until a person has dealt with it."""
    driving = any(request.state in ("calling", "pending") for request in payment.requests)
    pending = any(refund.status in ("pending", "requires_action") for refund in payment.facts.refunds.values())
    disputed = any(dispute.status not in DECIDED_DISPUTES for dispute in payment.facts.disputes.values())
    unsure = payment.gone and "gone" not in payment.facts.acknowledged
    return not (payment.open or driving or pending or disputed or unsure)


def payment_id(
    environment: str, user_id: str, track: str, attempt: int, operation: str, asked: Mapping[str, Any]
) -> str:
    """The id of an attempt: the same wish has the same id, on every machine and at every retry.

    `asked` are the parameters of Stripe's create, without metadata. The create's idempotency key is this id.
    """
    wish = json.dumps([environment, user_id, track, attempt, operation, asked], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(wish.encode()).digest()[:15]
    return "pay_" + base64.b32encode(digest).decode().lower()


NO_DUE_DATE = "9999-12-31T23:59:59.999Z"
"""Later than any time: where Stripe names no day."""

CHECK_AFTER_S = 3600
CHECK_SUBMITTING_AFTER_S = 300


def dispute_listing(payment: Payment) -> tuple[str, str] | None:
    """Where a disputed payment is listed: `open` by when the first answer is due, `over` by when the newest began."""
    disputes = payment.facts.disputes.values()
    if not disputes:
        return None
    due = [dispute.due_by for dispute in disputes if dispute.status not in DECIDED_DISPUTES]
    if not due:
        return "over", f"{timestamps.iso(max(dispute.created for dispute in disputes))}#{payment.payment_id}"
    known = [when for when in due if when is not None]
    return "open", f"{timestamps.iso(min(known)) if known else NO_DUE_DATE}#{payment.payment_id}"


def newest_refund(payment: Payment) -> tuple[str | None, str | None] | None:
    """Why, and when (only of what succeeded), money was last given back."""
    given = [r for r in payment.facts.refunds.values() if r.status in COUNTED_REFUNDS]
    if not given:
        return None
    newest = max(given, key=lambda r: (r.created, r.request or ""))
    asked = {request.id: request.reason for request in payment.requests}
    succeeded = [r.created for r in given if r.status == "succeeded"]
    return asked.get(newest.request or "", newest.reason), timestamps.iso(max(succeeded)) if succeeded else None


def check_at(payment: Payment, now: float) -> str | None:
    """When the reconciler should look, wider with age; None at rest."""
    if is_final(payment):
        return None
    if any(request.state == "calling" for request in payment.requests):
        return timestamps.iso(now + CHECK_SUBMITTING_AFTER_S)
    return timestamps.iso(now + max(CHECK_AFTER_S, (now - timestamps.epoch(payment.created_at)) / 4))
