"""A student's own plans: any other user's does not exist for them."""

from tuition.core import plan_methods
from tuition.core.errors import NotFound
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.refs import is_plan
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.storage import ledger

CHARGED = ("ACTIVE", "LATE", "SUSPENDED", "PAUSED")
"""The statuses of a plan whose payment method still matters."""


def load(plan_id: str, user_id: str) -> PaymentState:
    """Read a user's own plan. Raises `NotFound` for any other."""
    is_possible = is_plan(plan_id) and plan_id.isascii() and len(plan_id) <= MAX_ID_LENGTH
    state = ledger.load_plan(plan_id) if is_possible else None
    if state is None or state.existing_plan.user_id != user_id:
        raise NotFound("You have no such payment plan.")
    return state


def method_to_charge(plan: Plan) -> str | None:
    """Return the payment method to which the later payments of a plan are charged; None if there are none."""
    is_over = plan.status not in CHARGED or plan.first_owed is None or plan.is_ending
    return None if is_over else plan_methods.chosen(plan)
