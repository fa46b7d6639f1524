"""Close payments and Stripe objects that must not be paid any more."""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.core import stripe_json, timestamps
from tuition.core.enrollment import Enrollment
from tuition.core.errors import PaymentInProgress
from tuition.core.limits import Limits
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.settings import settings
from tuition.storage import ledger, queries
from tuition.stripe_gateway import sync
from tuition.stripe_gateway.objects import StripeObject

MAX_DECLINES = 5
"""After this many declines an open payment is closed.

Card testers confirm directly with Stripe, where our rate limit does not apply.
"""
MAX_STEPS = 10
"""After this many declines and 3-D Secure steps an open payment is closed, however slowly they were made.

The limit per day blocks new payments only: a payment that is open then must not last.
"""

PROCESSING = "Your payment for this track is being processed. Wait for its result."

MAX_OPEN_S = 30 * 86400
"""The age at which an open payment is closed, also if the student keeps trying to pay it at its old price."""


def must_close(state: PaymentState) -> bool:
    """Return whether the payment must be closed at Stripe because it could still be paid."""
    payment = state.existing
    return (
        payment.missing_at_stripe
        or is_withdrawn(payment)
        or too_many_declines(state)
        or (is_too_old(payment) and may_expire(state))
    )


def may_expire(state: PaymentState) -> bool:
    """Whether the payment is closed if it stays open for long. An installment of a plan that has started is not."""
    return state.plan is None or not state.plan.started


def is_withdrawn(payment: Payment) -> bool:
    """Whether a payment can still be paid although its student has withdrawn: the bank has refused its debit."""
    return payment.facts.withdrawn is not None and payment.payable


def is_too_old(payment: Payment) -> bool:
    """Whether an open payment is older than 30 days. One that is being processed stays open."""
    created_at = timestamps.epoch(payment.created_at)
    return payment.payable and created_at < clock.now() - MAX_OPEN_S


def too_many_declines(state: PaymentState) -> bool:
    """Whether an open payment, or its user within the last hour, was declined so often that cards may be tested.

    Charges that we make without the student do not count.
    """
    return state.existing.payable and (declined_too_often(state) or wait_after_declines(state.limits) > 0)


def declined_too_often(state: PaymentState) -> bool:
    """Whether the student's declines and 3-D Secure steps of this payment alone are so many that it is closed."""
    declines = len(state.declines)
    return declines >= MAX_DECLINES or declines + len(state.existing.facts.challenges) >= MAX_STEPS


def wait_after_declines(limits: Limits) -> int:
    """Return in how many seconds a user may pay again; 0 if they were not declined too often within the last hour."""
    return limits.wait_after_declines(int(clock.now()), settings().declines_per_hour)


def wait_to_try_again(limits: Limits) -> int:
    """Return in how many seconds a user may pay an installment again, or set up a method; 0 if now.

    After too many declines within a day, new purchases need the permission of staff. An installment can be paid on the
    next day, because its plan must go on.
    """
    of_day = limits.wait_after_declines_of_day(int(clock.now()), settings().declines_per_day)
    return max(wait_after_declines(limits), of_day)


def close_after_declines(enrollment: Enrollment) -> None:
    """Close what its user may not pay any more, after too many declines, of the payments that are open for a track."""
    for payment_id in open_payments(enrollment):
        state = ledger.load(PaymentRef(payment_id, enrollment.user_id, enrollment.track))
        if state.payment and must_close(state):
            close(state.payment.ref, state)


def open_payments(enrollment: Enrollment) -> list[str]:
    """Return the ids of the open payments for an enrollment, also of the plans of which nothing is paid.

    A plan that a restore has lost, or whose payment it has lost, has its own id in place of the payment's.
    """
    ids = enrollment.open_plans
    by_id = {plan.plan_id: plan.open_payments for plan in queries.plans_by_id(ids)} if ids else {}
    return [*enrollment.open_payments, *(one for plan_id in ids for one in by_id.get(plan_id) or [plan_id])]


def close(ref: PaymentRef, state: PaymentState | None = None) -> Payment:
    """Close a payment's object at Stripe, then sync: it may have been paid in the meantime.

    `state` is the newest state, if the caller has it.
    """
    state = state or ledger.load(ref)
    payment = state.existing
    if payment.open or payment.missing_at_stripe:
        bound_object(payment).close()
    return sync.refresh(ref, state)[0]


def in_progress(payment: Payment, obj: Mapping[str, Any]) -> PaymentInProgress:
    """Return the error for an open payment that must be waited for: what it waits for, and until when."""
    if payment.verify_by is None:
        return PaymentInProgress(PROCESSING)
    intent = obj.get("payment_intent")
    deposit = stripe_json.deposit_to_confirm(intent) if isinstance(intent, Mapping) else None
    url = (deposit or {}).get("hosted_verification_url")
    where = f"at {url}" if isinstance(url, str) else "with the link in the email from Stripe"
    return PaymentInProgress(
        "Your payment waits for you to confirm your bank account. Stripe sends it a small deposit, which takes one or "
        f"two business days. Confirm it {where} by {payment.verify_by[:10]}. If you don't, nothing is charged."
    )


def bound_object(payment: Payment) -> StripeObject:
    """Return the Stripe object that a payment is bound to."""
    return StripeObject(payment.kind, payment.stripe_object_id)


def abandon(stripe_object: StripeObject, user_id: str, track: str) -> bool:
    """Mark an object as abandoned, then close it. Return False, with nothing closed, if a payment holds it."""
    if ledger.abandon(stripe_object.id, user_id, track):
        return False
    stripe_object.close()
    return True
