"""A payment plan as the API shows it: what is paid, and what happens next and when."""

from typing import Any

from tuition import clock
from tuition.core import (
    plan_attempts,
    plan_decisions,
    plan_installments,
    plan_methods,
    plan_outcomes,
    plan_schedule,
    timestamps,
)
from tuition.core.plan import Plan
from tuition.core.plan_attempts import Attempt
from tuition.core.plan_installments import Installment
from tuition.core.plan_terms import PlanTerms
from tuition.core.refs import plan_kind
from tuition.payments.opening import OpenedPayment
from tuition.settings import settings

SHOWN_OF_ENDLESS = 2
"""The installments of an endless plan that are shown before its first payment."""


def student_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as its student sees it."""
    total = plan.terms.total
    method = plan_methods.chosen(plan)
    method_type = plan_methods.methods(plan)[method].type if method else None
    return {
        "plan_id": plan.plan_id,
        "kind": plan_kind(is_membership=plan.terms.endless),
        "grants": list(plan.tracks),
        "track": plan.track,
        "membership": plan.membership,
        "offer": plan.terms.offer,
        "every": plan.terms.every,
        "status": plan.status,
        "grants_access": plan.grants_access,
        "currency": plan.terms.currency,
        "total": total.amount if total else None,
        "received": plan.received,
        "refunded": plan.refunded,
        "lost": plan.lost,
        "outstanding": plan.outstanding,
        "next": _next_json(plan),
        "due": _payable_json(plan, "due"),
        "rest": None if plan.terms.endless else _payable_json(plan, "rest"),
        "payable": plan.payable and not plan.processing and plan.status != "OPEN",
        "schedule": [_installment_json(one) for one in plan_installments.installments(plan, _today(plan))],
        "payment_method": {"id": method, "type": method_type} if method else None,
        "cancel_at": plan.cancel_at,
        "paid_through": plan.paid_through,
        "can_cancel": _can_cancel(plan),
        "can_resume": plan.is_canceled and plan.status in ("ACTIVE", "LATE", "PAUSED"),
        "close_reason": plan.close_reason,
        "stopped_by": plan.stopped_by,
        "refund_request_payment_id": plan.requested_payment,
        "access_until": plan.access_until,
        "closes_on": _closes_on(plan),
        "rules": plan.terms.rules._asdict(),
        "consent_version": plan.terms.consent_version,
        "created_at": plan.created_at,
        "updated_at": plan.updated_at,
    }


def begun_json(opened: OpenedPayment) -> dict[str, Any]:
    """Return what the student's browser needs to pay the first installment of the plan that was begun."""
    plan = opened.plan
    if plan is None:
        raise AssertionError("a begun plan is committed with its payment")
    how = {"payment_intent_id": None, "client_secret": None, "session_id": None, "url": None}
    payment = opened.to_json()
    return {
        **how,
        **{name: payment[name] for name in ("payment_id", "amount", "currency", *(how.keys() & payment.keys()))},
        "plan_id": plan.plan_id,
        "kind": plan_kind(is_membership=plan.terms.endless),
        "track": plan.track,
        "membership": plan.membership,
        "offer": plan.terms.offer,
        "status": plan.status,
        "schedule": _expected_schedule(plan.terms),
    }


def _expected_schedule(terms: PlanTerms) -> list[dict[str, Any]]:
    """Return the schedule as it will be if the first installment is paid today."""
    today = terms.day_of(int(clock.now()))
    seqs = list(terms.seqs)[:SHOWN_OF_ENDLESS] if terms.endless else terms.seqs
    return [{"seq": seq, "due": terms.due_day(today, seq), "amount": terms.amount_of((seq,)).amount} for seq in seqs]


def paid_json(opened: OpenedPayment) -> dict[str, Any]:
    """Return what the student's browser needs to pay installments of a plan that has begun."""
    payment = opened.to_json()
    names = ("payment_id", "payment_intent_id", "client_secret", "amount", "currency", "status")
    covers = list(opened.payment.covers)
    return {"plan_id": opened.payment.plan, **{name: payment[name] for name in names}, "covers": covers}


def _next_json(plan: Plan) -> dict[str, Any] | None:
    """Return the installment that comes next: when it is due, when it is charged, and what only the student can do."""
    seq = plan.first_owed
    if seq is None or not plan.payable:
        return None
    attempt = plan_attempts.next_attempt(plan)
    needs_you = plan_attempts.needs_student(plan) or ("suspended" if plan.status == "SUSPENDED" else None)
    return {
        "seqs": [seq],
        "due": plan_schedule.shown_day(plan, seq),
        "amount": plan.terms.amount_of((seq,)).amount,
        "attempt_at": timestamps.iso(attempt.at) if isinstance(attempt, Attempt) else None,
        "needs_you": needs_you,
    }


def _payable_json(plan: Plan, what: plan_decisions.What) -> dict[str, Any] | None:
    """Return the installments that `pay` would pay now; None if there are none."""
    if plan.processing or plan.status == "OPEN":
        return None
    seqs = plan_decisions.payable_seqs(plan, what, _today(plan))
    return {"seqs": list(seqs), "amount": plan.terms.amount_of(seqs).amount} if seqs else None


def _today(plan: Plan) -> str:
    """Return the day of the school on which a plan is shown: today, or a later one that it has observed."""
    return plan.terms.day_of(plan_outcomes.time_of(plan, int(clock.now())))


def _installment_json(one: Installment) -> dict[str, Any]:
    return {**one._asdict(), "failure": {"code": one.failure} if one.failure else None}


def _can_cancel(plan: Plan) -> bool:
    """Whether `cancel` does something now. In the EU a student can withdraw while a bank is processing a payment.

    A student can request the money of a plan that staff have closed without a refund.
    """
    if plan.status == "OPEN":
        return settings().is_eu or not plan.processing
    if plan.terms.endless:
        return plan.status in ("ACTIVE", "LATE", "PAUSED") and not plan.is_canceled
    return plan.holds_funds and plan.ended_by != "money_back"


def _closes_on(plan: Plan) -> str | None:
    """Return the day on which we give the plan up if nothing more is paid; None if no day is known."""
    ends = [one for one in plan_schedule.ahead(plan) if one.name == "give_up"]
    return plan.terms.day_of(ends[0].at) if ends else None
