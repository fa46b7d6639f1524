"""Recover a user whose open payment is missing from the tables, after a restore to different moments."""

from tuition import clock
from tuition.core.enrollment import Enrollment
from tuition.core.errors import Contended
from tuition.core.refs import Customer, PaymentRef
from tuition.payments import lost_payments, restored_plans
from tuition.storage import ledger
from tuition.stripe_gateway import objects, resolve

RECOVER_AFTER_S = 60
"""A create's transaction may become visible within this time of its attempt."""


def recover(ref: PaymentRef, enrollment: Enrollment, customer: Customer | None) -> None:
    """Close what Stripe has of a missing open payment, or rebuild the payment if it was paid; else drop its standing.

    Raises `PaymentInProgress` while a bank decides, and `Contended` while a create may be about to commit.
    """
    _require_no_create(enrollment)
    if lost_payments.close_or_rebuild(ref, customer):
        return
    ledger.drop_payment(enrollment, ref.payment_id)
    for plan_id in enrollment.open_plans:  # it may be the first payment of one of them
        if ledger.find_plan(plan_id):
            ledger.recompute_plan(plan_id)


def recover_plan(plan_id: str, enrollment: Enrollment, customer: Customer | None) -> None:
    """Do the same for an open plan that is missing, or whose open payment is. Raises as `recover`."""
    _require_no_create(enrollment)
    if ledger.find_plan(plan_id):
        plan = restored_plans.compared(plan_id).existing_plan
        if any(part.open for part in plan.parts.values()):
            return
    for stripe_object in objects.in_customers_name(customer.stripe_customer_id, plan_id, "plan") if customer else []:
        ref = resolve.ref_in_metadata(stripe_object.retrieve().object.get("metadata") or {})
        if ref and lost_payments.close_or_rebuild_object(ref, stripe_object):
            return
    ledger.drop_payment(enrollment, plan_id)


def _require_no_create(enrollment: Enrollment) -> None:
    if max(enrollment.attempt_times, default=0) > clock.now() - RECOVER_AFTER_S:
        raise Contended("A payment for this track is being created. Try again.")
