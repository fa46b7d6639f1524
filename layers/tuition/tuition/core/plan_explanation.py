"""Why a plan gives access or not, in words for staff and for the student. The rules are in `core/plan.py`."""

from collections.abc import Mapping
from typing import Literal

from tuition.core import plan_schedule, timestamps
from tuition.core.plan import Plan

Reason = Literal[
    "revoked",
    "not_paid_yet",
    "first_processing",
    "amount_differs",
    "active",
    "late",
    "processing",
    "complete",
    "paused",
    "paused_without_access",
    "suspended",
    "dispute_lost",
    "member",
    "member_late",
    "ending",
    "gave_up",
    "lapsed",
    "ended",
    "staff",
    "refunded",
    "abandoned",
]

FOR_STUDENT: Mapping[Reason, str] = {
    "revoked": "because the school ended your access. Write to {contact} if you have questions.",
    "not_paid_yet": "because the first payment of your plan is not paid yet. You can complete it.",
    "first_processing": "because your bank is processing the first payment of your plan. That can take some days.",
    "amount_differs": "because the amount that we received is not the price. The school is reviewing your payment.",
    "active": "because you pay in installments: {paid} of {count} are {done}. The next, {amount}, is due on {due}.",
    "late": "because you pay in installments: {paid} of {count} are {done}. The next, {amount}, was due on"
    " {due}.{until}",
    "processing": "because you pay in installments: {paid} of {count} are {done}. Your bank is processing the next.",
    "complete": "because nothing of your payment plan is left to pay.",
    "paused": "because you pay in installments. The school has paused your plan.",
    "paused_without_access": "because the school has paused your plan. Write to {contact} if you have questions.",
    "suspended": "because installment {number} of your plan, {amount}, was not paid. Pay it, and you get access again.",
    "dispute_lost": "because your bank took back installment {number} of your plan, {amount}. Pay it again, or write"
    " to {contact} if this is a mistake.",
    "member": "because you are a member. Your membership is paid until {through}.",
    "member_late": "because you are a member. Your payment of {amount} was due on {due}.{until}",
    "ending": "because you are a member. Your membership ends on {through}.",
    "gave_up": "because installment {number} of your plan, {amount}, was not paid. Pay it, and you get access again.",
    "lapsed": "because your membership was not paid. You can join again.",
    "ended": "because your membership has ended. You can join again.",
    "staff": "because the school closed your plan. Write to {contact} if you have questions.",
    "refunded": "because your plan has ended, and its payments are refunded.",
    "abandoned": "because the first payment of your plan was closed before it was paid. You can begin again.",
}
FOR_STAFF: Mapping[Reason, str] = {
    "revoked": "staff revoked it",
    "not_paid_yet": "its first payment was not paid yet",
    "first_processing": "a bank is still processing its first payment",
    "amount_differs": "the amount received is not that of its first installment, and staff have not accepted it",
    "active": "{paid} of {count} installments are {done}, and the next, {amount}, is due on {due}",
    "late": "{paid} of {count} installments are {done}. The next, {amount}, was due on {due}.{until}",
    "processing": "{paid} of {count} installments are {done}, and a bank is processing the next",
    "complete": "nothing of it is left to pay",
    "paused": "staff have paused it, and the student keeps access",
    "paused_without_access": "staff have paused it, without access",
    "suspended": "installment {number}, {amount}, was due on {due} and is not paid",
    "dispute_lost": "a dispute took the payment of installment {number}, {amount}",
    "member": "the membership is paid until {through}",
    "member_late": "the payment of {amount} was due on {due}.{until}",
    "ending": "the membership ends on {through}",
    "gave_up": "installment {number}, {amount}, was not paid within {give_up} days",
    "lapsed": "the membership was not paid",
    "ended": "the membership has ended",
    "staff": "staff closed it",
    "refunded": "it ended with all money back",
    "abandoned": "its first payment was closed before it was paid",
}


def reason(plan: Plan) -> Reason:
    """Return what decides whether a plan gives access."""
    if plan.close_reason:
        return plan.close_reason
    match plan.status:
        case "OPEN":
            return "amount_differs" if plan.received else ("first_processing" if plan.processing else "not_paid_yet")
        case "REFUNDED":
            return "refunded"
        case "ABANDONED":
            return "abandoned"
    return "revoked" if plan.is_revoked else _of_running(plan)


def _of_running(plan: Plan) -> Reason:
    """Return what decides about a plan that has begun and has not ended."""
    match plan.status:
        case "SUSPENDED":
            return "dispute_lost" if plan.taken else "suspended"
        case "COMPLETE":
            return "complete"
        case "PAUSED":
            return "paused" if plan.grants_access else "paused_without_access"
    if plan.terms.endless:
        return "ending" if plan.is_ending else ("member_late" if plan.status == "LATE" else "member")
    if plan.first_owed in plan.processing:
        return "processing"
    return "late" if plan.status == "LATE" else "active"


def for_student(plan: Plan, title: str, contact: str) -> str:
    """Return why a plan's student is enrolled in a track or not."""
    why = reason(plan)
    enrolled = "You are enrolled" if plan.grants_access else "You are not enrolled"
    until = " Pay it by {day} to keep your access."
    return f"{enrolled} in {title}, {_filled(FOR_STUDENT[why], plan, until, contact or 'the school')}"


def for_staff(plan: Plan) -> str:
    """Return why a plan gives access or not."""
    until = " Access ends after {day} if it is not paid."
    why = _filled(FOR_STAFF[reason(plan)], plan, until, "").rstrip(".")
    return f"The plan gives access: {why}." if plan.grants_access else f"The plan gives no access, because {why}."


def _filled(text: str, plan: Plan, until: str, contact: str) -> str:
    seq, last = plan.first_owed, plan.access_until
    due = plan_schedule.shown_day(plan, seq) if seq else None
    through = plan.paid_through
    return text.format(
        contact=contact,
        paid=len(plan.covered | plan.waived),
        done="paid or waived" if plan.waived - plan.covered else "paid",
        count=len(plan.terms.amounts),
        number=seq,
        amount=plan.terms.amount_of((seq,)) if seq else "",
        due=timestamps.in_words(due) if due else "its day",
        through=timestamps.in_words(through) if through else "the end of its period",
        give_up=plan.terms.give_up_days,
        until=until.format(day=timestamps.in_words(last)) if last else "",
    )
