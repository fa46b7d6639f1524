"""Cancel a payment that its student no longer wants to pay. If it is paid at the same time, Stripe decides."""

from tuition.core.errors import AlreadyPaid
from tuition.core.payment import Payment
from tuition.storage import ledger, limits
from tuition.stripe_gateway import closing, resolve, sync


def cancel(reference: str, user_id: str) -> Payment:
    """Close a user's own unpaid payment at Stripe, and return it. Repeating it changes nothing.

    The payment is synced first: only one that no bank is processing is closed. Its promotion code is free again. Raises
    `NotFound`, `AlreadyPaid`, `PaymentInProgress`, `TooManyRequests`, `StripeUnavailable` or `Contended`.
    """
    ref = resolve.find_ref(reference, user_id)
    state = ledger.load(ref)
    if state.existing.open:
        limits.take_request(user_id, state.limits)
        state, obj = sync.refresh_state(ref, state)
        if state.existing.open and not state.existing.can_cancel:
            raise closing.in_progress(state.existing, obj)
    payment = closing.close(ref, state) if state.existing.open else state.existing
    if payment.facts.settled:
        raise AlreadyPaid("This payment is already paid, so it cannot be canceled. You can request a refund instead.")
    if payment.open:
        raise closing.in_progress(payment, {})
    return payment
