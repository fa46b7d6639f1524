"""The status of one payment: an open payment is synced with Stripe first."""

from tuition import clock
from tuition.cache import Cache
from tuition.core import timestamps
from tuition.core.payment import Payment
from tuition.stripe_gateway import resolve, sync

MIN_SYNC_INTERVAL_S = 1.0
MAX_SYNC_INTERVAL_S = 60.0
_synced: Cache[bool] = Cache()
"""What this container has just pulled: a courtesy to Stripe, no promise."""


def synced_payment(reference: str, user_id: str) -> Payment:
    """A user's payment by its id, its intent's or its session's; an open one is pulled: a lost webhook heals who looks.

    Raises `NotFound` for what is not theirs, without asking Stripe about what cannot exist.
    """
    payment = resolve.find_payment(reference, user_id)
    if not payment.open or not _is_due(payment):
        return payment
    return sync.refresh(payment.ref)[0]


def _is_due(payment: Payment) -> bool:
    """Spaced with the payment's age: every second at first, every minute after an hour."""
    if _synced.get(payment.payment_id):
        return False
    age = clock.now() - timestamps.epoch(payment.created_at)
    return _synced.keep(payment.payment_id, True, min(MAX_SYNC_INTERVAL_S, max(MIN_SYNC_INTERVAL_S, age / 60)))
