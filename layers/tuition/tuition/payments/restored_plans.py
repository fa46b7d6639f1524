"""Compare a plan with its payments, which a restore may have separated."""

from tuition.core.payment_state import PaymentState
from tuition.storage import ledger


def compared(plan_id: str, before: PaymentState | None = None) -> PaymentState:
    """Return a plan that agrees with its payments.

    An open payment that is missing is closed at Stripe first, or rebuilt if it is paid. Only then does the plan forget
    it: what is killed in between is repeated by the next call. `before` is the state that the caller has just loaded.
    Raises `NotFound`, `StripeUnavailable`, `PaymentInProgress` (a bank is processing the payment) or `Contended`.
    """
    state = before or ledger.load_plan(plan_id)
    plan = state.existing_plan
    missing = [ref for ref in map(plan.payment_ref, plan.open_payments) if ledger.load(ref).payment is None]
    if not missing:
        return ledger.recompute_plan(plan_id, state)
    from tuition.payments import lost_payments  # only after a restore

    for ref in missing:
        lost_payments.close_or_rebuild(ref, ledger.load_customer(plan.user_id)[0])
    return ledger.recompute_plan(plan_id)
