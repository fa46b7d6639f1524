"""A student ends a plan: they cancel it, or request the money of the whole plan back.

A decision is committed before the first refund. It stops the collection at once, and the collector finishes each refund
that the request did not.
"""

import hashlib
from typing import NamedTuple

from tuition import clock
from tuition.core import payment as payments
from tuition.core import plan_decisions, timestamps
from tuition.core.audit import Actor, AuditEntry
from tuition.core.errors import (
    Conflicted,
    Contended,
    NotFound,
    PaymentInProgress,
    RefundRefused,
    Unprocessable,
    WithdrawalUnconfirmed,
)
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import DecisionName, PlanDecision, PlanFacts
from tuition.core.refs import PaymentRef
from tuition.core.refund_request import RefundRequest
from tuition.log import logger
from tuition.payments import cancellation, own_plans, refunds, restored_plans
from tuition.settings import settings
from tuition.storage import ledger, limits
from tuition.storage.ledger import PlanChange
from tuition.stripe_gateway import closing, sync


class Ending(NamedTuple):
    """A plan after its student has asked to end it. `request` is the one that staff must decide about `payment`."""

    state: PaymentState
    payment: Payment | None = None
    request: RefundRequest | None = None


def cancel(plan_id: str, user_id: str, reason: str | None) -> Ending:
    """End a user's own plan. Repeating it changes nothing.

    A plan of which nothing is paid is closed. A membership ends with the period that is paid. For installments it is
    `request_refund`. So it is for a plan that has not begun because it received another amount than was asked.
    """
    state = own_plans.load(plan_id, user_id)
    plan = state.existing_plan
    if plan.status == "OPEN" and plan.differing:
        return request_refund(plan_id, user_id, reason)
    if plan.status == "OPEN":
        _require_no_withdrawal(plan)
        for payment_id in plan.open_payments:
            if ledger.load(plan.payment_ref(payment_id)).payment:
                cancellation.cancel(payment_id, user_id)
            else:  # a restore has lost it
                limits.take_request(user_id, state.limits)
                restored_plans.compared(plan_id)
        return Ending(ledger.load_plan(plan_id))
    if plan.status == "ABANDONED":
        return Ending(state)
    if plan.terms.endless:
        return Ending(_decide(plan_id, user_id, "cancel"))
    return request_refund(plan_id, user_id, reason)


def resume(plan_id: str, user_id: str) -> PaymentState:
    """Take back the cancellation of a membership that has not ended. Repeating it changes nothing.

    Raises `NotFound` or `Conflicted`.
    """
    state = own_plans.load(plan_id, user_id)
    if not state.existing_plan.terms.endless:
        raise Conflicted("Only a canceled membership can be resumed.")
    return _decide(plan_id, user_id, "undo_cancel")


def _decide(plan_id: str, user_id: str, decision: DecisionName) -> PaymentState:
    """Store a student's decision about a membership, unless it is in force."""

    def change(state: PaymentState) -> PlanChange | None:
        plan = state.existing_plan
        if plan.is_canceled == (decision == "cancel"):
            return None
        return _decided(plan, decision, user_id)

    return ledger.update_plan(plan_id, change)


def _decided(plan: Plan, name: DecisionName, user_id: str) -> PlanChange:
    """Return the change that stores a student's decision. Raises `Conflicted` if it cannot be taken now."""
    now = clock.now()
    decision = PlanDecision(version=plan.version, decision=name, at=int(now), actor=user_id)
    refusal = plan_decisions.refusal(plan, decision, plan.terms.day_of(int(now)))
    if refusal == "too_many_decisions":
        raise Conflicted("You have canceled this membership too often to resume it. Join again after it has ended.")
    if refusal:
        raise Conflicted("This is no longer possible, because the plan has ended. Reload it.")
    at = timestamps.iso(now)
    digest = hashlib.sha256(f"{plan.plan_id}:{plan.version}:{name}:{at}".encode()).hexdigest()[:20]
    entry = AuditEntry(at, f"dec_{digest}", f"plan.decision.{name}", "request", user_id)
    return PlanChange(plan.merged(PlanFacts(decisions={f"dec_{digest}": decision})), entry)


def request_refund(plan_id: str, user_id: str, reason: str | None, payment_id: str | None = None) -> Ending:
    """Handle a student's request for a refund of a plan: of the whole plan, never of one installment.

    Within the window of the first payment the plan is withdrawn: its decision is committed first, then every payment is
    refunded, and the collector finishes what this request does not. Where staff must decide, as for a payment without a
    plan, the request awaits their approval on `payment_id`, else on the first payment that can be refunded. Repeating
    it changes nothing.
    Raises `RefundRefused`, `WithdrawalUnconfirmed` (in the EU: `withdraw`), `Unprocessable` (staff need a reason),
    `StripeUnavailable`.
    """
    state = own_plans.load(plan_id, user_id)
    _require_no_withdrawal(state.existing_plan)
    first_ref = _first_payment(state.existing_plan)
    if state.existing_plan.ended_by != "money_back":
        limits.take_request(user_id, state.limits)
        first = sync.refresh(first_ref, _found(state.existing_plan, first_ref))[0]
        _sync_open(state.existing_plan)
        state = ledger.load_plan(plan_id)
        plan = state.existing_plan
        _require_undisputed(plan)
        in_time = refunds.is_within_window(first)
        if settings().is_eu and in_time and payments.may_withdraw(first):
            raise WithdrawalUnconfirmed(refunds.CONFIRM_WITHDRAWAL)
        if _is_for_staff(state) or not in_time:
            if reason is None:
                raise Unprocessable("Say why: the school decides about your request.", field="reason")
            ref = plan.payment_ref(plan.requested_payment or payment_id or _refundable_payment(plan))
            payment, request = refunds.request(_found(plan, ref).existing.ref, reason)
            return Ending(ledger.load_plan(plan_id), payment, request)
        state = ledger.update_plan(plan_id, lambda current: _withdrawn(current, user_id))
    return Ending(_refund_all(state, reason))


def withdraw(plan_id: str, user_id: str, name: str, email: str | None, reason: str | None) -> Ending:
    """Handle a student's withdrawal from the contract of a whole plan, in the EU. Repeating it changes nothing.

    The period starts with the first payment, also while a bank is processing it. Raises as `refunds.withdraw`.
    """
    plan = own_plans.load(plan_id, user_id).existing_plan
    try:
        _sync_open(plan)
    except _NOT_SYNCED as error:  # a withdrawal needs no answer of Stripe's
        logger.warning("a withdrawal was not preceded by a sync", plan_id=plan_id, error=str(error))
    ref = _payment_to_withdraw(ledger.load_plan(plan_id).existing_plan)
    refunds.withdraw(ref, name, email, reason)
    return Ending(_refund_all(ledger.load_plan(plan_id), reason))


_NOT_SYNCED = (*refunds.STRIPE_FAILURES, PaymentInProgress, Contended)


def _sync_open(plan: Plan) -> None:
    """Sync the open payments of a plan: a bank may be processing a debit whose webhook is late."""
    for payment_id in plan.open_payments:
        state = ledger.load(plan.payment_ref(payment_id))
        if state.payment:
            sync.refresh(state.payment.ref, state)
        else:  # a restore has lost it
            restored_plans.compared(plan.plan_id)


def _withdrawn(state: PaymentState, user_id: str) -> PlanChange | None:
    plan = state.existing_plan
    if plan.ended_by == "money_back":
        return None
    _require_undisputed(plan)
    if _is_for_staff(state):
        raise Contended("A payment of this plan has just begun. Try again.")
    return _decided(plan, "withdraw", user_id)


def _refund_all(state: PaymentState, reason: str | None) -> PaymentState:
    """Refund every payment whose money is due, and close what is open. Nothing is due while staff decide when.

    The collector repeats each call that fails now: the decision stands.
    """
    plan = state.existing_plan
    for payment_id in plan.open_payments:
        try:
            closing.close(plan.payment_ref(payment_id))
        except (*refunds.STRIPE_FAILURES, Contended) as error:
            logger.warning("a payment of a withdrawn plan was not closed", payment_id=payment_id, error=str(error))
    plan = ledger.load_plan(plan.plan_id).existing_plan  # a payment may have been paid while it was closed
    for payment_id in [key for key, part in plan.parts.items() if key in plan.money_due or part.refunding]:
        ref = plan.payment_ref(payment_id)
        try:
            refunds.refund_all(ref, reason or refunds.NO_REASON, Actor("request", plan.user_id))
        except (*refunds.STRIPE_FAILURES, Contended, NotFound) as error:  # a restore has lost it: it is rebuilt first
            logger.warning("a refund of a withdrawn plan was not made", payment_id=payment_id, error=str(error))
    return ledger.load_plan(plan.plan_id)


def _first_payment(plan: Plan) -> PaymentRef:
    """Return the payment from which the refund window counts. Raises `RefundRefused` if nothing was received."""
    first = plan.first_payment_id or next(iter(plan.differing), None)
    if first is None:
        raise RefundRefused("Nothing of this plan is paid yet. You can cancel it.")
    return plan.payment_ref(first)


def _refundable_payment(plan: Plan) -> str:
    """Return the id of the first payment of which something can be refunded, else of the one that began the plan."""
    refundable = [(part.number, key) for key, part in plan.parts.items() if part.refundable]
    return min(refundable)[1] if refundable else plan.first_payment_id or ""


def _found(plan: Plan, ref: PaymentRef) -> PaymentState:
    """Read a payment of a plan, which is rebuilt if a restore has lost it."""
    state = ledger.load(ref)
    if state.payment:
        return state
    restored_plans.close_or_rebuild(plan, [ref])
    return ledger.load(ref)


def _ordered_payment(plan: Plan) -> str | None:
    """Return the id of the first payment if a bank is processing it, so that nothing of the plan is paid yet."""
    return next((key for key, part in plan.parts.items() if part.processing and not plan.started), None)


def _payment_to_withdraw(plan: Plan) -> PaymentRef:
    """Return the payment on which a withdrawal is stored: the first one, also while a bank is processing it.

    If all the money of the first is back, it is the next payment that has money, within the period of the first.
    """
    withdrawn = next((key for key, part in plan.parts.items() if part.withdrawn), None)
    named = withdrawn or _ordered_payment(plan)
    if named:
        return _found(plan, plan.payment_ref(named)).existing.ref
    first = _found(plan, _first_payment(plan)).existing
    if payments.may_withdraw(first) or not refunds.is_within_window(first):
        return first.ref
    return plan.payment_ref(_refundable_payment(plan))


def _require_no_withdrawal(plan: Plan) -> None:
    """Raise `WithdrawalUnconfirmed` in the EU while a bank is processing the first payment: the plan is agreed."""
    if settings().is_eu and _ordered_payment(plan):
        raise WithdrawalUnconfirmed(refunds.CONFIRM_WITHDRAWAL)


def _require_undisputed(plan: Plan) -> None:
    if any(part.dispute == "open" for part in plan.parts.values()):
        raise RefundRefused("A payment of this plan is disputed. The bank decides who gets the money.")


def _is_for_staff(state: PaymentState) -> bool:
    """Whether staff must decide, as for a payment without a plan: after another refund, and for a bank debit.

    So they must about a plan that they have closed without a refund.
    """
    plan = state.existing_plan
    is_repeated = bool(state.enrollment.refunded - {plan.plan_id})
    is_closed = plan.ended_by == "closed"
    return is_repeated or is_closed or bool(plan.unexplained_refunds) or plan.may_be_returned
