"""Close payments and Stripe objects that must not be paid any more."""

from tuition import clock
from tuition.core import timestamps
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.storage import ledger
from tuition.stripe_gateway import sync
from tuition.stripe_gateway.objects import StripeObject

MAX_DECLINES = 5
"""After this many declines an open payment is closed.

Card testers confirm directly with Stripe, where our rate limit does not apply.
"""


MAX_OPEN_S = 30 * 86400
"""The age at which an open payment is closed, also if the student keeps trying to pay it at its old price."""


def must_close(payment: Payment) -> bool:
    """Return whether the payment must be closed at Stripe because it could still be paid."""
    return payment.missing_at_stripe or too_many_declines(payment) or is_too_old(payment)


def is_too_old(payment: Payment) -> bool:
    """Whether an open payment is older than 30 days. One that is being processed stays open."""
    created_at = timestamps.epoch(payment.created_at)
    return payment.status in ("CREATED", "FAILED") and created_at < clock.now() - MAX_OPEN_S


def too_many_declines(payment: Payment) -> bool:
    """Whether an open payment was declined so often that it may be used for card testing."""
    declines = sum(charge.status == "failed" for charge in payment.facts.charges.values())
    return payment.status in ("CREATED", "FAILED") and declines >= MAX_DECLINES


def close(ref: PaymentRef, state: PaymentState | None = None) -> Payment:
    """Close a payment's object at Stripe, then sync: it may have been paid in the meantime.

    `state` is the newest state, if the caller has it.
    """
    state = state or ledger.load(ref)
    payment = state.existing
    if payment.open or payment.missing_at_stripe:
        bound_object(payment).close()
    return sync.refresh(ref, state)[0]


def bound_object(payment: Payment) -> StripeObject:
    """Return the Stripe object that a payment is bound to."""
    return StripeObject(payment.kind, payment.stripe_object_id)


def abandon(stripe_object: StripeObject, user_id: str, track: str) -> bool:
    """Mark an object as abandoned, then close it. Return False, with nothing closed, if a payment holds it."""
    if ledger.abandon(stripe_object.id, user_id, track):
        return False
    stripe_object.close()
    return True
