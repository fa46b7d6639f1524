"""Close payments and Stripe objects that must not be paid any more."""

from tuition.core.errors import (
    StripeRefused,
)
from tuition.core.facts import Kind
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.storage import ledger
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import sync

MAX_DECLINES = 5
"""Card testing goes from the browser straight to Stripe: after this many declines the payment is closed."""


def close(key: PaymentRef) -> Payment:
    """Close a payment's object at Stripe and learn by a pull whether it truly is: it may have been paid meanwhile."""
    payment = ledger.load(key).payment
    if payment and (payment.open or payment.gone):
        close_object(payment.kind, payment.bound_to)
    return sync.refresh(key)[0]


def close_object(kind: Kind, object_id: str) -> None:
    """Cancel the intent or expire the session. Stripe's no means that it is no longer open: a pull will tell."""
    try:
        if kind == "intent":
            stripe_client.cancel_intent(object_id)
        else:
            stripe_client.expire_session(object_id)
    except StripeRefused as refused:
        if refused.stripe_status not in (400, 404):
            raise


def must_close(payment: Payment) -> bool:
    """Nobody should be able to pay it, and somebody may be: whoever learns that closes it at Stripe."""
    return payment.gone or too_many_declines(payment)


def too_many_declines(payment: Payment) -> bool:
    """Open, and declined so often that somebody may be testing cards on it."""
    failed = sum(charge.status == "failed" for charge in payment.facts.charges.values())
    return payment.status in ("CREATED", "FAILED") and failed >= MAX_DECLINES


def abandon(kind: Kind, object_id: str, user_id: str, track: str) -> bool:
    """Claim an object for nobody, then close it. False: a payment holds it, and it is not ours to close."""
    if ledger.abandon(object_id, user_id, track):
        return False
    close_object(kind, object_id)
    return True
