"""Compare a plan with its payments, which a restore may have separated."""

from collections.abc import Iterable

from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.refs import PaymentRef
from tuition.storage import ledger, queries


def compared(plan_id: str, before: PaymentState | None = None) -> PaymentState:
    """Return a plan that agrees with its payments.

    An open payment that is missing is closed at Stripe first, or rebuilt if it is paid. Only then does the plan forget
    it: what is killed in between is repeated by the next call. One whose money must be refunded is rebuilt too.
    `before` is the state that the caller has just loaded. Raises `NotFound`, `StripeUnavailable`, `PaymentInProgress`
    (a bank is processing the payment) or `Contended`.
    """
    state = before or ledger.load_plan(plan_id)
    plan = state.existing_plan
    needed = [*plan.open_payments, *plan.money_due]
    stored = {item.payment_id for item in queries.payments_by_id(needed)}
    missing = [plan.payment_ref(payment_id) for payment_id in needed if payment_id not in stored]
    if not missing:
        return ledger.recompute_plan(plan_id, state)
    close_or_rebuild(plan, missing)
    return ledger.recompute_plan(plan_id)


def close_or_rebuild(plan: Plan, missing: Iterable[PaymentRef]) -> None:
    """Rebuild those missing payments of a plan that are paid, and close the others at Stripe. Raises as `compared`."""
    from tuition.payments import customers, lost_payments  # only after a restore

    customer = ledger.load_customer(plan.user_id)[0] or customers.of_plan(plan)
    for ref in missing:
        lost_payments.close_or_rebuild(ref, customer)
