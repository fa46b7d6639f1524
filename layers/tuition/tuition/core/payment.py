"""One purchase by one user, of a track or of installments. Its status is derived from its facts, and only here."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from tuition.core import facts as core_facts
from tuition.core import refund_request, timestamps
from tuition.core.facts import NO_FACTS, Charge, Dispute, Facts, Kind
from tuition.core.money import Money
from tuition.core.refs import Grantor, PaymentRef, PlanKind, plan_kind
from tuition.core.refund_request import RefundRequest

Status = Literal["CREATED", "PROCESSING", "SUCCEEDED", "FAILED", "CANCELED", "REFUNDED"]
STATUSES: tuple[Status, ...] = ("CREATED", "PROCESSING", "SUCCEEDED", "FAILED", "CANCELED", "REFUNDED")
OPEN_STATUSES: frozenset[Status] = frozenset({"CREATED", "PROCESSING", "FAILED"})
SETTLED_STATUSES: frozenset[Status] = frozenset({"SUCCEEDED", "REFUNDED"})

NoAccess = Literal["revoked", "dispute_lost", "refunded", "withdrawn", "amount_differs"]
Term = Literal["settled", "not_revoked", "no_dispute_lost", "not_refunded", "not_withdrawn", "amount_agrees"]
RefundRefusal = Literal["unpaid", "free", "disputed", "refunded"]

COUNTED_REFUNDS = frozenset({"pending", "succeeded"})
"""The statuses of refunds that count in `refund_amount`."""
REDUCING_REFUNDS = COUNTED_REFUNDS | {"requires_action"}
"""The statuses of refunds that reduce `refundable_amount`. One that waits for the customer's action counts as made."""
BANK_DEBITS = frozenset(
    {"acss_debit", "au_becs_debit", "bacs_debit", "nz_bank_account", "sepa_debit", "us_bank_account"}
)
"""Payment methods whose money the student's bank can take back after it was received, without a refund."""
DEBIT_RETURN_WINDOW_S = 60 * 86400
"""How long a bank can return a debit that its customer did not authorize.

Source: https://docs.stripe.com/payments/ach-direct-debit#disputed-payments
"""
WITHDRAWAL_REFUND_S = 14 * 86400
"""How long the school has to refund a student who withdraws from the contract.

Source: https://eur-lex.europa.eu/eli/dir/2011/83/oj, Article 13(1)
"""
LOST_DISPUTES = frozenset({"lost", "prevented"})
DECIDED_DISPUTES = frozenset({"won", "lost", "prevented", "warning_closed"})
INQUIRIES = frozenset({"warning_needs_response", "warning_under_review", "warning_closed"})
DISPUTED = frozenset({"needs_response", "under_review"})
"""Disputes that hold the funds: no refund until they are decided."""


@dataclass(frozen=True)
class Terms:
    """A buyer's choices, and the catalog price at that time. A create with the same terms returns the open payment.

    `list_amount` is the catalog's amount in minor units. A promotion code may make the payment's price lower. With
    `invoice`, Stripe makes an invoice once the payment is paid. `offer` is that of the plan whose installments it pays.
    """

    list_amount: int = 0
    promotion_code: str | None = None
    save_payment_method: bool = False
    payment_method: str | None = None
    invoice: bool = False
    offer: str | None = None


DEFAULT_TERMS = Terms()


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A payment as it was loaded, or as it would be after a merge.

    `stripe_object_id` is the id of its one object at Stripe (`pi_…` or `cs_…`), `price` what the student was asked to
    pay. `first_purchase`: its promotion code is for first purchases only. `version` counts its audit records,
    `audit_head` is the hash of the newest. Times are RFC 3339 UTC, amounts minor units. `synced_at` is when a status
    request last synced it.

    `track` is None for a payment of a `membership`. A payment of a `plan` pays the installments that it `covers`, by
    their numbers, and `attempt` is its number in the plan.
    """

    payment_id: str
    user_id: str
    track: str | None
    kind: Kind
    attempt: int
    stripe_object_id: str
    price: Money
    created_at: str
    updated_at: str
    email: str | None = None
    customer: str | None = None
    terms: Terms = DEFAULT_TERMS
    facts: Facts = NO_FACTS
    requests: tuple[RefundRequest, ...] = ()
    first_purchase: bool = False
    version: int = 0
    audit_head: str = ""
    synced_at: str | None = None
    membership: str | None = None
    plan: str | None = None
    covers: tuple[int, ...] = ()

    @property
    def product(self) -> str:
        """The code of what it buys: a track or a membership. It names the enrollment."""
        return self.track or self.membership or ""

    @property
    def plan_kind(self) -> PlanKind | None:
        """The kind of its plan; None for a payment without a plan."""
        return plan_kind(is_membership=bool(self.membership)) if self.plan else None

    @property
    def ref(self) -> PaymentRef:
        """The ids that name this payment and its enrollment."""
        return PaymentRef(self.payment_id, self.user_id, self.product)

    @property
    def grantor(self) -> Grantor:
        """The id under which its enrollment has the standing that it decides: its plan's, if it belongs to one."""
        return self.plan or self.payment_id

    def with_email(self, email: str) -> "Payment":
        """Return this payment with another email address."""
        return replace(self, email=email)

    @property
    def status(self) -> Status:
        """The status, derived from the facts."""
        return status(self.facts)

    @property
    def open(self) -> bool:
        """Whether it can still be paid: CREATED, PROCESSING or FAILED."""
        return self.status in OPEN_STATUSES

    @property
    def payable(self) -> bool:
        """Whether the student can pay it now: CREATED or FAILED. A bank is processing one that is PROCESSING."""
        return self.status in ("CREATED", "FAILED")

    @property
    def can_cancel(self) -> bool:
        """Whether its student can cancel it. Stripe cannot close a session that waits for a deposit."""
        return self.payable and self.verify_by is None

    @property
    def holds_first_purchase(self) -> bool:
        """Whether it holds its user's one first-purchase claim: it is open, or it settled."""
        return self.first_purchase and self.status != "CANCELED"

    @property
    def missing_at_stripe(self) -> bool:
        """Whether it is closed only because its object is missing at Stripe, where it may reappear and be paid."""
        return self.status == "CANCELED" and self.facts.missing_at_stripe

    @property
    def money(self) -> Money:
        """The money that Stripe received; before the payment settles, the price."""
        return self.facts.settled.money if self.facts.settled else self.price

    @property
    def verify_by(self) -> str | None:
        """Until when a Checkout payment waits for the student to confirm a deposit to their bank account; else None.

        Stripe can no longer close such a session.
        """
        phase = self.facts.phase
        if self.kind != "checkout" or not self.open or phase is None or phase.verify_by is None:
            return None
        return timestamps.iso(phase.verify_by)

    @property
    def amount(self) -> int:
        """The amount of `money` in minor units."""
        return self.money.amount

    @property
    def currency(self) -> str:
        """The currency of `money`, and of everything that was refunded, lost or can still be refunded."""
        return self.money.currency

    @property
    def intent(self) -> str | None:
        """The id of its PaymentIntent; that of a session's is known once Stripe has made it."""
        return self.stripe_object_id if self.kind == "intent" else self.facts.intent

    @property
    def stripe_checkout_session(self) -> str | None:
        """The id of its Checkout Session."""
        return self.stripe_object_id if self.kind == "checkout" else None

    @property
    def charge(self) -> tuple[str, Charge] | None:
        """The charge that succeeded, else the newest, with its id."""
        charges = sorted(self.facts.charges.items(), key=lambda c: (c[1].status == "succeeded", c[1].created, c[0]))
        return charges[-1] if charges else None

    @property
    def stripe_charge_id(self) -> str | None:
        """The id of `charge`."""
        return self.charge[0] if self.charge else None

    @property
    def payment_method(self) -> dict[str, str | None] | None:
        """Type, brand and last four digits of the method of `charge`."""
        if not self.charge:
            return None
        _, charge = self.charge
        return {"type": charge.type, "brand": charge.brand, "last4": charge.last4}

    @property
    def receipt_url(self) -> str | None:
        """Stripe's receipt of the charge that succeeded."""
        return self.charge[1].receipt_url if self.charge and self.charge[1].status == "succeeded" else None

    @property
    def paid_at(self) -> str | None:
        """When the student paid; None before. A charge may be older than our knowledge of it."""
        if self.facts.settled is None:
            return None
        paid = [charge.created for charge in self.facts.charges.values() if charge.status == "succeeded"]
        return timestamps.iso(min([self.facts.settled.at, *paid]))

    @property
    def ordered_at(self) -> str | None:
        """When the student paid, or ordered the debit that their bank is processing; None before.

        A debit's charge is created with the order, and succeeds days later. So this time does not move when it settles.
        """
        if self.facts.settled or self.status != "PROCESSING" or self.facts.phase is None:
            return self.paid_at
        pending = [charge.created for charge in self.facts.charges.values() if charge.status == "pending"]
        return timestamps.iso(min([self.facts.phase.at, *pending]))

    @property
    def is_bank_debit(self) -> bool:
        """Whether the student paid by a bank debit, whose refund the bank can follow with a return of the debit."""
        charges = self.facts.charges.values()
        return any(charge.status == "succeeded" and charge.type in BANK_DEBITS for charge in charges)

    @property
    def returnable_until(self) -> str | None:
        """Until when the student's bank can return the debit that paid it; None for other payment methods."""
        if self.facts.settled is None or not self.is_bank_debit:
            return None
        return timestamps.iso(self.facts.settled.at + DEBIT_RETURN_WINDOW_S)

    @property
    def withdrawn_at(self) -> str | None:
        """When the student submitted their withdrawal from the contract; None if they have not."""
        return timestamps.iso(self.facts.withdrawn.at) if self.facts.withdrawn else None

    @property
    def refund_due_by(self) -> str | None:
        """By when a student who has withdrawn must have their money back; None if they have not withdrawn."""
        return timestamps.iso(self.facts.withdrawn.at + WITHDRAWAL_REFUND_S) if self.facts.withdrawn else None

    @property
    def invoice(self) -> Literal["requested", "issued"] | None:
        """Whether Stripe has made an invoice, or will once the payment is paid.

        None if there will be none: the student asked for none, the payment can no longer be paid, or it cost nothing.
        """
        if self.facts.invoice:
            return "issued"
        settled = self.facts.settled
        is_free = settled is not None and settled.amount == 0
        return "requested" if self.terms.invoice and self.status != "CANCELED" and not is_free else None

    @property
    def refunded(self) -> bool:
        """Whether all that was received has been refunded."""
        return self.status == "REFUNDED"

    @property
    def refund_amount(self) -> int:
        """The sum of the refunds that are made or pending."""
        return refunded_amount(self.facts)

    @property
    def refund_pending_amount(self) -> int:
        """The sum of the refunds that Stripe or a bank is still processing."""
        refunds = self.facts.refunds.values()
        return sum(refund.amount for refund in refunds if refund.status in ("pending", "requires_action"))

    @property
    def refund_reason(self) -> str | None:
        """The reason of the newest refund: of our refund request, else of Stripe's refund."""
        refunds = [refund for refund in self.facts.refunds.values() if refund.status in COUNTED_REFUNDS]
        if not refunds:
            return None
        newest = max(refunds, key=lambda refund: (refund.created, refund.request or ""))
        reasons = {request.id: request.reason for request in self.requests}
        return reasons.get(newest.request or "", newest.reason)

    @property
    def refunded_at(self) -> str | None:
        """When the newest refund that succeeded was made."""
        times = [refund.created for refund in self.facts.refunds.values() if refund.status == "succeeded"]
        return timestamps.iso(max(times)) if times else None

    @property
    def refundable_amount(self) -> int:
        """The amount that can still be refunded. It is below zero if refunds and disputes took more than was paid."""
        settled = self.facts.settled.amount if self.facts.settled else 0
        refunded = sum(refund.amount for refund in self.facts.refunds.values() if refund.status in REDUCING_REFUNDS)
        return settled - refunded - lost_amount(self.facts)

    @property
    def refund_request_state(self) -> refund_request.State | None:
        """The state of the undecided refund request, else of the newest; None without one."""
        requests = sorted(self.requests, key=lambda request: request.undecided)
        return requests[-1].state if requests else None

    def merged(self, facts: Facts) -> "Payment":
        """Return this payment with these facts too. Only its own kind of object can close it."""
        if facts.closed and facts.closed.by != self.kind:
            facts = replace(facts, closed=None)
        facts = core_facts.merge(self.facts, facts)
        merged = replace(self, facts=facts, customer=self.customer or facts.customer)
        return merged.with_requests(self.requests).without_erased()

    def without_erased(self) -> "Payment":
        """Return this payment without what leads from its user's id to a person, once its facts are erased."""
        if not self.facts.erased:
            return self
        terms = replace(self.terms, payment_method=None)
        return replace(
            self, email=None, customer=None, terms=terms, requests=refund_request.without_texts(self.requests)
        )

    def with_requests(self, requests: tuple[RefundRequest, ...]) -> "Payment":
        """Return this payment with these refund requests, each in the state that its refund implies.

        A request that awaits approval is declined once nothing can be refunded any more, but never after a withdrawal.
        """
        requests = refund_request.without_old_texts(refund_request.follow(requests, self.facts.refunds))
        nothing_left = self.facts.settled is not None and self.refundable_amount <= 0
        if self.facts.withdrawn:
            requests = refund_request.supersede_awaiting(requests, nothing_left=nothing_left)
        elif any(dispute.status in LOST_DISPUTES for dispute in self.facts.disputes.values()):
            requests = refund_request.decline_awaiting(requests, "A dispute was decided against the school.")
        elif nothing_left:
            requests = refund_request.decline_awaiting(requests, "Nothing is left to refund.")
        return replace(self, requests=requests)


def status(facts: Facts) -> Status:
    """Return the status that follows from these facts."""
    if facts.settled:
        return "REFUNDED" if 0 < facts.settled.amount <= refunded_amount(facts) else "SUCCEEDED"
    if facts.closed:
        return "CANCELED"
    if facts.phase and facts.phase.name == "processing":
        return "PROCESSING"
    if facts.phase and facts.phase.name == "failed":
        return "FAILED"
    return "CREATED"


class Failure(NamedTuple):
    """Why the last attempt to pay failed, in Stripe's code and words."""

    code: str
    message: str

    def for_student(self) -> "Failure":
        """Return the failure as the student may see it: never that the bank suspects fraud.

        Source: https://docs.stripe.com/declines/codes
        """
        return DECLINED if self.code in SUSPECTED_FRAUD else self


SUSPECTED_FRAUD = frozenset({"fraudulent", "lost_card", "stolen_card", "merchant_blacklist"})
DECLINED = Failure("generic_decline", "Your card was declined.")


def failure(facts: Facts) -> Failure | None:
    """Return why an unpaid payment failed; None if it did not.

    A delayed payment that its bank refuses closes its session. The bank's reason is on the intent or on the charge.
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
    """Return the sum of the refunds that are pending or succeeded, in minor units."""
    return sum(refund.amount for refund in facts.refunds.values() if refund.status in COUNTED_REFUNDS)


def lost_amount(facts: Facts) -> int:
    """Return what disputes took for good, in the charge's currency.

    A prevented dispute counts only if it moved the funds itself.
    """
    currency = facts.settled.currency if facts.settled else None
    return sum(lost_to(dispute, currency) for dispute in facts.disputes.values())


def lost_disputes(facts: Facts) -> frozenset[str]:
    """Return the ids of the disputes that were lost or prevented: they end access, and block further purchases."""
    return frozenset(key for key, dispute in facts.disputes.items() if dispute.status in LOST_DISPUTES)


def declines(facts: Facts) -> dict[str, int]:
    """Return the charges that failed, and when (epoch seconds)."""
    return {key: charge.created for key, charge in facts.charges.items() if charge.status == "failed"}


def lost_to(dispute: Dispute, currency: str | None) -> int:
    """Return what a dispute took for good. The amount withdrawn may be in another currency than the charge's."""
    if dispute.status == "lost":
        return dispute.amount
    if dispute.status != "prevented" or dispute.withdrawn <= 0:
        return 0
    return dispute.withdrawn if dispute.withdrawn_currency in (None, currency) else dispute.amount


def amount_agrees(payment: Payment) -> bool:
    """Whether the amount received is the price."""
    return payment.facts.settled is not None and payment.facts.settled.money == payment.price


class AccessTerm(NamedTuple):
    """One condition of access. All of them must hold.

    `reason` is why a paid payment gives no access if it does not hold. `facts` are the facts that decide it.
    """

    term: Term
    holds: bool
    reason: NoAccess | None
    facts: tuple[str, ...]


def access_terms(payment: Payment) -> tuple[AccessTerm, ...]:
    """Return the conditions under which this payment, on its own, gives access. The first that fails is the reason.

    A decision of staff comes first, because only staff can change it.
    """
    facts = payment.facts
    agrees = amount_agrees(payment) or facts.accepted
    return (
        AccessTerm("settled", facts.settled is not None, None, ("settled",)),
        AccessTerm("not_revoked", not is_revoked(payment), "revoked", ("decision",)),
        AccessTerm("no_dispute_lost", not lost_disputes(facts), "dispute_lost", ("disputes",)),
        AccessTerm("not_refunded", status(facts) != "REFUNDED", "refunded", ("settled", "refunds")),
        AccessTerm("not_withdrawn", not facts.withdrawn, "withdrawn", ("withdrawn",)),
        AccessTerm("amount_agrees", agrees, "amount_differs", ("settled", "accepted")),
    )


def grants_access(payment: Payment) -> bool:
    """Whether this payment, on its own, gives its user access to the track."""
    return all(term.holds for term in access_terms(payment))


def no_access_reason(payment: Payment) -> NoAccess | None:
    """Return why a paid payment gives no access; None if it gives access or is unpaid."""
    if payment.facts.settled is None:
        return None
    return next((term.reason for term in access_terms(payment) if not term.holds), None)


def dispute_state(facts: Facts) -> Literal["open", "lost"] | None:
    """Return what disputes mean for the student: an undecided one holds the funds, a lost one ends access.

    None without a dispute, after a won one, and for an inquiry, which moves no money.
    """
    no_longer_holding = DECIDED_DISPUTES | INQUIRIES
    if any(dispute.status not in no_longer_holding for dispute in facts.disputes.values()):
        return "open"
    return "lost" if lost_disputes(facts) else None


def refund_refusal(payment: Payment) -> RefundRefusal | None:
    """Return why nothing of this payment can be refunded now; None if it can."""
    settled = payment.facts.settled
    if settled is None:
        return "unpaid"
    if settled.amount == 0:
        return "free"
    if dispute_state(payment.facts) == "open":
        return "disputed"
    return "refunded" if payment.refundable_amount <= 0 else None


def has_blocking_request(payment: Payment) -> bool:
    """Whether another refund must wait for an undecided one.

    After a withdrawal the rest is due by a day. A refund that Stripe has accepted then blocks it no longer: its amount
    is known, and no longer refundable.
    """
    return any(
        request.undecided and not (payment.facts.withdrawn and request.state == "pending")
        for request in payment.requests
    )


def may_order_refund(payment: Payment) -> bool:
    """Whether a refund by staff would be accepted now: something is left, and no other request is undecided."""
    undecided = has_blocking_request(payment)
    return refund_refusal(payment) is None and not undecided and len(payment.requests) < refund_request.MAX_REQUESTS


def may_request_refund(payment: Payment) -> bool:
    """Whether a refund request by the student would be accepted now, at once or for approval by staff."""
    return may_order_refund(payment) and not refund_request.are_too_many(payment.requests)


def may_withdraw_request(payment: Payment, request: RefundRequest) -> bool:
    """Whether the student may withdraw this request: it is their own, awaits approval, and follows no withdrawal."""
    is_own = request.by == payment.user_id
    return is_own and request.state == "awaiting_approval" and payment.facts.withdrawn is None


def may_withdraw(payment: Payment) -> bool:
    """Whether the student could withdraw from the contract, if they are in time: it is ordered, and not fully refunded.

    A debit that a bank is processing is ordered. Neither a dispute nor a refund that is being made prevents it.
    """
    settled = payment.facts.settled
    if payment.facts.withdrawn:
        return False
    if settled is None:
        return payment.status == "PROCESSING"
    return settled.amount == 0 or payment.refundable_amount > 0


def amount_due(payment: Payment) -> int:
    """Return what a student who has withdrawn must still get back, in minor units, less what is being submitted."""
    if payment.facts.withdrawn is None or payment.facts.settled is None:
        return 0
    submitting = sum(request.amount for request in payment.requests if request.state == "submitting")
    return max(0, payment.refundable_amount - submitting)


def is_revoked(payment: Payment) -> bool:
    """Whether staff have revoked access, whatever was paid."""
    return payment.facts.decision is not None and payment.facts.decision.decision == "revoke"


def ever_granted(payment: Payment) -> bool:
    """Whether it ever gave access, also if its purchase and its end became known at the same time."""
    return payment.facts.settled is not None and (amount_agrees(payment) or payment.facts.accepted)


def amount_in_received_currency(payment: Payment, amount: int) -> Money:
    """Return an amount that was refunded or is to be refunded: it has the currency of what was received."""
    return Money(amount, payment.facts.settled.currency if payment.facts.settled else payment.price.currency)


def holds_funds(payment: Payment) -> bool:
    """Whether money is left after refunds and lost disputes. Two such payments for one track are one too many.

    A free payment counts as if it did, until staff revoke its access or the student withdraws: then nothing is left.
    """
    settled = payment.facts.settled
    if settled is None or settled.amount == 0:
        return settled is not None and not is_revoked(payment) and payment.facts.withdrawn is None
    return refunded_amount(payment.facts) + lost_amount(payment.facts) < settled.amount


def has_refund(payment: Payment) -> bool:
    """Whether a refund of it was made or is being made, also of a part. One that failed does not count."""
    if any(refund.status in REDUCING_REFUNDS for refund in payment.facts.refunds.values()):
        return True
    return any(request.state in ("submitting", "pending", "succeeded") for request in payment.requests)


def awaits_confirmation(payment: Payment) -> bool:
    """Whether only events say that it settled: Stripe's API has not shown its object yet."""
    facts = payment.facts
    has_answer = facts.confirmed is not None or facts.contradicted or facts.missing_at_stripe
    return facts.settled is not None and not has_answer


def is_contradicted(payment: Payment) -> bool:
    """Whether Stripe's API shows its object as not settled, or with another amount than we hold."""
    facts = payment.facts
    if facts.settled is None:
        return False
    if facts.confirmed is None:
        return facts.contradicted
    return facts.confirmed.money != facts.settled.money


def awaits_invoice(payment: Payment) -> bool:
    """Whether Stripe must still make the invoice of a payment that was paid. It makes none for a price of 0."""
    return payment.invoice == "requested" and payment.facts.settled is not None


def refunds_without_credit_note(payment: Payment) -> list[str]:
    """Return the ids of the refunds that the payment's invoice needs a credit note for: they succeeded.

    A refusal by Stripe counts as an answer, because staff make that credit note. A lost dispute needs none: the bank
    has returned the money, and not the school.
    """
    if payment.facts.invoice is None:
        return []
    notes = payment.facts.credit_notes
    return [key for key, refund in payment.facts.refunds.items() if refund.status == "succeeded" and key not in notes]


def is_final(payment: Payment) -> bool:
    """Whether nothing more is expected to happen to it.

    A missing object may reappear, so it is checked until staff acknowledge that it is missing. So is a settled payment
    that Stripe contradicts.
    """
    resuming = any(request.state in ("submitting", "pending") for request in payment.requests)
    undecided = ("pending", "requires_action", core_facts.UNKNOWN)
    pending = any(refund.status in undecided for refund in payment.facts.refunds.values())
    disputed = any(dispute.status not in DECIDED_DISPUTES for dispute in payment.facts.disputes.values())
    unsure = payment.missing_at_stripe and "gone" not in payment.facts.acknowledged
    contradicted = is_contradicted(payment) and "unconfirmed" not in payment.facts.acknowledged
    unconfirmed = contradicted or awaits_confirmation(payment)
    documents = awaits_invoice(payment) or bool(refunds_without_credit_note(payment))
    return not (payment.open or resuming or pending or disputed or unsure or unconfirmed or documents)


def payment_id(
    environment: str, user_id: str, track: str, attempt: int, operation: str, params: Mapping[str, Any]
) -> str:
    """Return the id of an attempt: the same request has the same id, on every machine and at every retry.

    `params` are the parameters of Stripe's create, without metadata. The id is also the create's idempotency key.
    """
    request = json.dumps(
        [environment, user_id, track, attempt, operation, params], sort_keys=True, separators=(",", ":")
    )
    digest = hashlib.sha256(request.encode()).digest()[:15]
    return "pay_" + base64.b32encode(digest).decode().lower()


NO_DUE_DATE = "9999-12-31T23:59:59.999Z"
"""Sorts after every time: the deadline of a dispute for which Stripe names none."""

CheckDue = Literal["submitting", "due"]
"""Why a payment is checked. A refund that is `submitting` never waits behind other checks."""
OPEN_CHECKS_S = (3600, 6 * 3600, 24 * 3600, 72 * 3600)
"""The times of the first checks of an open payment, counted from its last change."""
OPEN_CHECK_EVERY_S = 24 * 3600
"""The time between two later checks of an open payment."""
CHECK_AFTER_S = 3600
"""The shortest time between two checks of a payment that is not open."""
CHECK_SUBMITTING_AFTER_S = 300
"""The time after which a refund that was not submitted to the end is resumed."""


def dispute_listing(payment: Payment) -> tuple[str, str] | None:
    """Return how the dispute index lists a payment: `open` by its first deadline, `over` by its newest dispute.

    None for a payment without disputes.
    """
    disputes = payment.facts.disputes.values()
    if not disputes:
        return None
    due = [dispute.due_by for dispute in disputes if dispute.status not in DECIDED_DISPUTES]
    if not due:
        return "over", f"{timestamps.iso(max(dispute.created for dispute in disputes))}#{payment.payment_id}"
    deadlines = [at for at in due if at is not None]
    return "open", f"{timestamps.iso(min(deadlines)) if deadlines else NO_DUE_DATE}#{payment.payment_id}"


def refund_request_listing(payment: Payment) -> tuple[str, str] | None:
    """Return how the index of refund requests lists a payment: by the time of the request that awaits approval.

    None if no request does. A payment has at most one undecided request.
    """
    awaiting = [request.at for request in payment.requests if request.state == "awaiting_approval"]
    return ("awaiting_approval", f"{min(awaiting)}#{payment.payment_id}") if awaiting else None


def next_check(payment: Payment, now: int) -> tuple[CheckDue, str] | None:
    """Return why and when the reconciler should check next; None if the payment is final. `now` is in epoch seconds.

    An open payment is checked less often the longer it has not changed, any other the older it is. The next run
    confirms a payment that only events settled.
    """
    if is_final(payment):
        return None
    if any(request.state == "submitting" for request in payment.requests):
        return "submitting", timestamps.iso(now + CHECK_SUBMITTING_AFTER_S)
    if awaits_confirmation(payment) or refunds_without_credit_note(payment):
        return "due", timestamps.iso(now)
    if payment.open:
        return "due", timestamps.iso(_next_open_check(int(timestamps.epoch(payment.updated_at)), now))
    age = now - int(timestamps.epoch(payment.created_at))
    return "due", timestamps.iso(now + max(CHECK_AFTER_S, age // 4))


def _next_open_check(changed_at: int, now: int) -> int:
    """Return the first time after `now` at which an open payment is checked."""
    for after in OPEN_CHECKS_S:
        if changed_at + after > now:
            return changed_at + after
    last = changed_at + OPEN_CHECKS_S[-1]
    return last + ((now - last) // OPEN_CHECK_EVERY_S + 1) * OPEN_CHECK_EVERY_S
