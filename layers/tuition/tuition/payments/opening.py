"""Create a payment at Stripe and commit it, or return the one that is already open.

At most one payment is open in a `Slot`, however often and however concurrently it is requested. A create makes an
object at Stripe with the payment's id as idempotency key, and commits the payment on the version of its slot. Nothing
that can be paid leaves before that commit. A create that loses the transaction looks again: at the winner's payment, at
its own object, or at a slot that moved for another reason. A create that ends without an answer marks its object as
abandoned before it closes it, so that no other create can commit a dead object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from tuition import clock, retry
from tuition.core import timestamps
from tuition.core.audit import Actor, AuditEntry
from tuition.core.enrollment import Enrollment
from tuition.core.errors import (
    CodeRefused,
    MethodNotReusable,
    PaymentInProgress,
    StripeRefused,
    StripeUnavailable,
    TooManyRequests,
    TuitionError,
)
from tuition.core.facts import Agreement, Facts, Kind
from tuition.core.payment import BANK_DEBITS, Payment, Terms
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.promotion_rules import FIRST_CLAIMED
from tuition.core.refs import Customer, PaymentRef
from tuition.payments import promotion_codes
from tuition.settings import settings
from tuition.storage import ledger, limits
from tuition.storage.ledger import Change, FirstPurchaseTaken, PlanChange, StripeObjectTaken, VersionConflict
from tuition.stripe_gateway import closing, objects, resolve, sync
from tuition.stripe_gateway.client import Answer
from tuition.stripe_gateway.objects import StripeObject

ATTEMPTS_WINDOW_S = 3600
"""The time within which a user may begin `payments_per_hour` payments for a track or membership."""
REUSABLE = BANK_DEBITS | {"card", "link"}
"""The types of payment methods that can be charged without their owner, once they have been set up for it.

Source: https://docs.stripe.com/payments/payment-methods/payment-method-support#reusable
"""


class OpenedPayment(NamedTuple):
    """An open payment with its plan, if any, and Stripe's object to pay it with. `new`: created by this request."""

    payment: Payment
    object: Mapping[str, Any]
    new: bool
    plan: Plan | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what the student's browser needs to pay, as the API answers it."""
        payment = self.payment
        return {
            "payment_id": payment.payment_id,
            **objects.how_to_pay(payment.kind, self.object),
            "amount": payment.amount,
            "currency": payment.currency,
            "track": payment.track,
            "status": payment.status,
        }


def attempt_times(enrollment: Enrollment, *, has_closed: bool = False) -> tuple[int, ...]:
    """Return the times of the user's recent attempts for a product, and of this one.

    Raises `TooManyRequests` beyond `payments_per_hour`, unless the request has closed a payment.
    """
    now, most = int(clock.now()), settings().payments_per_hour
    recent = [at for at in enrollment.attempt_times if at > now - ATTEMPTS_WINDOW_S][-most:]
    if len(recent) >= most and not has_closed:
        wait_s = max(1, recent[0] + ATTEMPTS_WINDOW_S - now)
        raise TooManyRequests("You started too many payments for this track. Try again later.", retry_after_s=wait_s)
    return (*recent, now)


def reusable_types() -> list[str]:
    """Return the types of payment methods that the school accepts and that can be charged without the student."""
    return [one for one in settings().payment_method_types if one in REUSABLE]


def require_reusable(method_type: str) -> None:
    """Raise `MethodNotReusable` for a type of payment methods that cannot be charged without the student."""
    if method_type not in reusable_types():
        raise MethodNotReusable(
            "This payment method cannot be kept for later charges. Choose another one.", field="payment_method"
        )


class Slot(Protocol):
    """The holder of at most one open payment, as it was loaded."""

    def before(self) -> PaymentState:
        """Return the state on which a new payment is committed."""

    def plan_change(self, payment: Payment) -> PlanChange | None:
        """Return the change of the plan that a new payment belongs to, if any."""

    def retire(self, why: str) -> None:
        """Use up the number of the new payment, whose idempotency key leads to nothing that can be paid."""

    def moved(self, current: PaymentState) -> Self | None:
        """Return the slot as another writer has left it; None if it has no place for this payment any more."""


@dataclass(frozen=True, kw_only=True)
class NewPayment:
    """A payment that is about to be created. `params` are those of the create at Stripe, without metadata."""

    ref: PaymentRef
    kind: Kind
    attempt: int
    params: Mapping[str, Any]
    terms: Terms
    email: str | None
    customer: Customer
    first_purchase: bool = False
    agreed_version: str | None = None
    plan: Plan | None = None
    covers: tuple[int, ...] = ()


class AttemptSpent(TuitionError):
    """The attempt's idempotency key leads to nothing that can be paid, for `why`."""

    def __init__(self, why: str) -> None:
        """Create the error. `why` is part of the record's type."""
        super().__init__(f"this attempt cannot be used: {why}")
        self.why = why


def create(new: NewPayment) -> tuple[Payment, Answer]:
    """Create the object of a payment at Stripe. Return the payment, which is not stored yet, and Stripe's answer.

    Raises `AttemptSpent`, `StripeRefused` or `StripeUnavailable`.
    """
    metadata = resolve.metadata(new.ref, new.attempt, new.kind, new.plan, new.covers)
    try:
        answer = objects.create(new.kind, new.params, metadata, new.ref.payment_id)
    except StripeRefused as refused:
        why = _why_spent(refused)
        if why is None:
            raise
        raise AttemptSpent(why) from refused
    except StripeUnavailable as unavailable:
        if not unavailable.replayed:
            raise
        raise AttemptSpent("replayed_failure") from unavailable
    payment = _payment(new, answer)
    if payment.status == "CANCELED":
        raise AttemptSpent("replayed_closed")
    return payment, answer


def _why_spent(refused: StripeRefused) -> str | None:
    """Return why a refusal of a create is about its key: None if it is about the request.

    The key was used for other parameters, an old refusal is replayed, or the object that the key once made is missing.
    """
    if refused.code == "resource_missing" and refused.param == "customer":
        return None
    if refused.stripe_type == "idempotency_error" or refused.replayed:
        return "replayed_refusal" if refused.replayed else "key_used"
    return "replayed_gone" if refused.code == "resource_missing" and refused.stripe_status == 404 else None


def _payment(new: NewPayment, answer: Answer) -> Payment:
    """Return the payment of a created object. Its phase is stamped like an event's: an event may be just as new."""
    created_at = clock.now()
    now = timestamps.iso(created_at)
    stripe_object = StripeObject(new.kind, answer.object["id"])
    membership = new.plan.membership if new.plan else None
    agreed = Agreement(int(created_at), new.agreed_version) if new.agreed_version else None
    return Payment(
        payment_id=new.ref.payment_id,
        user_id=new.ref.user_id,
        track=None if membership else new.ref.track,
        membership=membership,
        plan=new.plan.plan_id if new.plan else None,
        covers=new.covers,
        kind=new.kind,
        attempt=new.attempt,
        stripe_object_id=stripe_object.id,
        price=new.plan.terms.amount_of(new.covers) if new.plan else objects.price(new.kind, answer.object),
        created_at=now,
        updated_at=now,
        email=new.email,
        customer=new.customer.stripe_customer_id,
        terms=new.terms,
        first_purchase=new.first_purchase,
        facts=Facts(agreed=agreed),
    ).merged(stripe_object.facts(answer.object, answer.date))


def commit(
    payment: Payment,
    answer: Answer,
    slot: Slot,
    actor: Actor,
    *,
    attempt_times: tuple[int, ...] | None = None,
    customer: Customer | None = None,
    accepted_codes: Sequence[str] = (),
) -> OpenedPayment | None:
    """Commit a created payment, again whenever it loses for a reason that does not concern it.

    `customer` is stored with it, unless another create has stored one. None: another round is needed, and the object is
    abandoned unless another payment holds it.
    """
    created = f"create:{payment.payment_id}"
    entry = AuditEntry(payment.created_at, created, "payment.created", *actor)
    for _ in retry.attempts(retry.CREATE_COMMIT):
        try:
            state = ledger.commit(
                slot.before(),
                Change(payment, entry, slot.plan_change(payment)),
                attempt_times=attempt_times,
                customer=customer,
                accepted_codes=accepted_codes,
            )
            return opened(state, answer.object, new=True)
        except StripeObjectTaken as taken:
            _on_object_taken(taken, payment, slot)
            return None
        except FirstPurchaseTaken:
            abandon(payment)
            raise CodeRefused(FIRST_CLAIMED.message, FIRST_CLAIMED.reason) from None
        except (VersionConflict, ledger.AlreadyRecorded):
            current = ledger.load(payment.ref)
        if current.payment:
            same_object = current.payment.stripe_object_id == payment.stripe_object_id
            if same_object and current.payment.open:
                return opened(current, answer.object, new=False)
            if not same_object:
                abandon(payment)
            return None
        moved = slot.moved(current)
        if moved is None:
            break
        slot = moved
        stored = ledger.load_customer(payment.user_id)[0] if customer else None
        if customer and stored and stored.generation >= customer.generation:
            customer = None  # another purchase has stored a customer in the meantime: keep that one
    abandon(payment)
    return None


def _on_object_taken(taken: StripeObjectTaken, payment: Payment, slot: Slot) -> None:
    """Retire the attempt if another create abandoned this object; abandon our object if another one is taken."""
    if taken.pointer.stripe_id != payment.stripe_object_id:
        abandon(payment)
    elif taken.pointer.state == ledger.ABANDONED:
        slot.retire("abandoned")


def abandon(payment: Payment) -> None:
    """Give up the object of a payment that was not committed."""
    closing.abandon(closing.bound_object(payment), payment.user_id, payment.product)


# --- the payment that is already open ---


def reopen(state: PaymentState, *, may_process: bool = True) -> tuple[OpenedPayment | None, bool]:
    """Return the open payment if Stripe still has it open and may be asked, and whether it was closed instead.

    It is closed if cards may be tested with it: the declines that no webhook has delivered yet are counted first.
    Raises `PaymentInProgress` for a session that the student has completed: it has no URL any more; and, unless it
    `may_process`, for a payment that a bank is processing. Raises `CodeRefused` for a session that can no longer be
    paid because its promotion code has ended; the session stays open.
    """
    ref = state.existing.ref
    limits.take_request(ref.user_id, state.limits)
    state, obj = sync.refresh_state(ref, state, declines=True)
    payment = state.existing
    if closing.must_close(state):
        closed = closing.close(ref, state)
        if closed.open:  # Stripe cannot close it any more, so the next round would ask the same again
            raise closing.in_progress(closed, obj)
        return None, True
    if not payment.open:
        return None, False
    if payment.status == "PROCESSING" and not may_process:
        raise closing.in_progress(payment, obj)
    reopened = opened(state, obj, new=False)
    promotion_codes.require_payable(obj, payment.product, payment.customer)
    return reopened, False


def opened(state: PaymentState, obj: Mapping[str, Any], *, new: bool) -> OpenedPayment:
    """Return an open payment with its object. Raises `PaymentInProgress` for a session that was just completed."""
    payment = state.existing
    if obj.get("status") == "complete":
        raise closing.in_progress(payment, obj)
    return OpenedPayment(payment, obj, new, state.plan)


def require_closable(state: PaymentState, may_close: frozenset[str]) -> bool:
    """Raise `PaymentInProgress` if a payment with other terms is open and must stay open. Return whether it is open.

    Only a payment in `may_close` is closed: those that were open at the first look. Otherwise two creates would close
    each other's forever.
    """
    payment = state.existing
    if not payment.open:
        return False
    if payment.payment_id not in may_close:
        raise PaymentInProgress(
            "Another payment for this track was created at the same time. Finish that payment or repeat its request."
        )
    if payment.status == "PROCESSING" or payment.verify_by:
        limits.take_request(payment.user_id, state.limits)
        payment, obj = sync.refresh(payment.ref)
        if payment.status == "PROCESSING" or payment.verify_by:
            raise closing.in_progress(payment, obj)
    return True


def close_first(state: PaymentState) -> bool:
    """Close an open payment that was created with other terms, and return whether it was open.

    Raises `PaymentInProgress` if it is being processed.
    """
    payment = state.existing
    if not payment.open:
        return False
    closed = closing.close(payment.ref)
    if closed.open:
        raise closing.in_progress(closed, {})
    return True
