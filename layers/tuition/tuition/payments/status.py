"""Read the status of one payment. An open payment is synced with Stripe first."""

from tuition import clock
from tuition.cache import Cache
from tuition.core import timestamps
from tuition.core.payment import Payment
from tuition.stripe_gateway import resolve, sync

MIN_SYNC_INTERVAL_S = 1.0
MAX_SYNC_INTERVAL_S = 60.0
_synced: Cache[bool] = Cache()
"""The payments that this container has just synced. It saves calls to Stripe, and guarantees nothing."""


def synced_payment(reference: str, user_id: str) -> Payment:
    """Return a user's payment by its own id, its intent's or its session's.

    An open payment is synced first, so that a student who looks sees the current status although a webhook was lost.
    Raises `NotFound` if this user has no such payment, without a call to Stripe.
    """
    payment = resolve.find_payment(reference, user_id)
    if not payment.open or not _is_due(payment):
        return payment
    return sync.refresh(payment.ref)[0]


def _is_due(payment: Payment) -> bool:
    """Whether to sync: every second for a new payment, less often as it ages, every minute after an hour."""
    if _synced.get(payment.payment_id):
        return False
    age = clock.now() - timestamps.epoch(payment.created_at)
    return _synced.keep(payment.payment_id, True, min(MAX_SYNC_INTERVAL_S, max(MIN_SYNC_INTERVAL_S, age / 60)))
