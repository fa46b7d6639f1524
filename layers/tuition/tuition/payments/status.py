"""Read the status of one payment. An open payment is synced with Stripe first, unless it was a few seconds ago."""

from tuition import clock
from tuition.core import timestamps
from tuition.core.payment import Payment
from tuition.storage import ledger, mapping
from tuition.stripe_gateway import resolve, sync

SYNC_INTERVAL_S = 5
"""An open payment is synced at most once within this time, by all containers together."""


def synced_payment(reference: str, user_id: str) -> Payment:
    """Return a user's payment by its own id, its intent's or its session's.

    An open payment is synced first, so that a student who looks sees the current status although a webhook was lost. If
    it was synced within `SYNC_INTERVAL_S`, or another request is syncing it, the answer is what the table has. Raises
    `NotFound` if this user has no such payment, without a call to Stripe.
    """
    raw = resolve.find_item(reference, user_id)
    payment = mapping.payment_from_raw(raw)
    if not payment.open or not _is_due(payment) or not ledger.begin_sync(raw):
        return payment
    return sync.refresh(payment.ref)[0]


def _is_due(payment: Payment) -> bool:
    if payment.synced_at is None:
        return True
    return clock.now() - timestamps.epoch(payment.synced_at) >= SYNC_INTERVAL_S
