"""Which decisions about a plan can be taken, and which installments a student can pay.

A plan's version is its lock: of two decisions on one version the second is refused.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from tuition.core import plan_schedule, timestamps
from tuition.core.plan import Plan
from tuition.core.plan_facts import MAX_DECISIONS, DecisionName, PlanDecision

What = Literal["next", "due", "rest"]
Refusal = Literal[
    "not_open",
    "too_many_decisions",
    "not_owed",
    "processing",
    "invalid_day",
    "out_of_order",
    "exceeds_give_up",
    "not_paused",
    "already_decided",
    "not_a_membership",
    "not_installments",
    "nothing_to_refund",
]
INVALID: frozenset[Refusal] = frozenset({"not_owed", "invalid_day", "exceeds_give_up"})
"""The refusals of values that were sent (422). The others follow from the plan's state (409)."""
_MOST: Mapping[DecisionName, int | None] = {
    "cancel": None,
    "withdraw": None,
    "close": None,
    "revoke": None,
    "resume": None,
    "undo_cancel": MAX_DECISIONS // 2,
}
"""After how many decisions these are refused, if not after `MAX_DECISIONS`.

A plan can always be ended, its access be revoked, and a pause end: none of these can be taken twice without another
decision between them, which has a bound. A student who cancels and resumes it without end leaves room for the decisions
of staff.
"""


def payable_seqs(plan: Plan, what: What, today: str) -> tuple[int, ...]:
    """Return the installments that a student would pay: the next, all that are due, or all. Empty if none is."""
    if not plan.payable:
        return ()
    if what == "due":
        return tuple(seq for seq in plan.owed if plan_schedule.is_due(plan, seq, today))
    return plan.owed[:1] if what == "next" else plan.owed


def refusal(plan: Plan, decision: PlanDecision, today: str) -> Refusal | None:
    """Return why a decision cannot be taken on a day; None if it can."""
    most = _MOST.get(decision.decision, MAX_DECISIONS)
    if most is not None and len(plan.facts.decisions) >= most:
        return "too_many_decisions"
    return _RULES[decision.decision](plan, decision, today)


def _is_running(plan: Plan) -> bool:
    """Whether decisions about what is owed still mean something."""
    return plan.started and (plan.payable or plan.status in ("ACTIVE", "LATE", "SUSPENDED", "PAUSED"))


def _about_installments(plan: Plan, decision: PlanDecision, _: str) -> Refusal | None:
    if not _is_running(plan):
        return "not_open"
    if not decision.seqs or not {*decision.seqs} <= {*plan.owed}:
        return "not_owed"
    return "processing" if plan.processing & {*decision.seqs} else None


def _forgive(plan: Plan, decision: PlanDecision, today: str) -> Refusal | None:
    return "not_installments" if plan.terms.endless else _about_installments(plan, decision, today)


def _reschedule(plan: Plan, decision: PlanDecision, today: str) -> Refusal | None:
    problem = _about_installments(plan, decision, today)
    if problem or len(decision.seqs) != 1 or not timestamps.is_day(decision.to):
        return problem or "invalid_day"
    seq, day = decision.seqs[0], decision.to or ""
    if day < today:
        return "invalid_day"
    if day > (plan_schedule.latest_day(plan, seq) or day):
        return "exceeds_give_up"
    before, after = (plan_schedule.due_day(plan, other) for other in (seq - 1, seq + 1))
    is_too_early = seq - 1 in plan.owed and before is not None and day <= before
    is_too_late = seq + 1 in plan.terms.seqs and after is not None and day >= after
    return "out_of_order" if is_too_early or is_too_late else None


def _pause(plan: Plan, _: PlanDecision, __: str) -> Refusal | None:
    return None if plan.status in ("ACTIVE", "LATE", "SUSPENDED") and not plan.pause else "not_open"


def _resume(plan: Plan, _: PlanDecision, __: str) -> Refusal | None:
    return None if plan.pause and not plan.ended_by else "not_paused"


def _continue(plan: Plan, decision: PlanDecision, _: str) -> Refusal | None:
    if plan.ended_by or not plan.started:
        return "not_open"
    return None if decision.accepts else "nothing_to_refund"


def _close(plan: Plan, decision: PlanDecision, _: str) -> Refusal | None:
    if plan.ended_by == "money_back" or (plan.ended_by and decision.refund == "none") or plan.status == "ABANDONED":
        return "already_decided"
    return "nothing_to_refund" if decision.refund == "all" and not plan.received else None


def _withdraw(plan: Plan, _: PlanDecision, __: str) -> Refusal | None:
    return "not_open" if plan.ended_by or plan.status == "ABANDONED" else None


def _revoke(plan: Plan, _: PlanDecision, __: str) -> Refusal | None:
    if plan.ended_by or not plan.started:
        return "not_open"
    return "already_decided" if plan.is_revoked else None


def _restore(plan: Plan, _: PlanDecision, __: str) -> Refusal | None:
    return None if plan.is_revoked else "already_decided"


def _cancel(plan: Plan, _: PlanDecision, __: str) -> Refusal | None:
    if not plan.terms.endless:
        return "not_a_membership"
    if plan.is_canceled:
        return "already_decided"
    return None if _is_running(plan) else "not_open"


def _undo_cancel(plan: Plan, _: PlanDecision, __: str) -> Refusal | None:
    return None if plan.is_canceled and plan.status in ("ACTIVE", "LATE", "PAUSED") else "already_decided"


_RULES: Mapping[DecisionName, Callable[[Plan, PlanDecision, str], Refusal | None]] = {
    "cancel": _cancel,
    "undo_cancel": _undo_cancel,
    "waive": _about_installments,
    "reschedule": _reschedule,
    "forgive": _forgive,
    "pause": _pause,
    "resume": _resume,
    "withdraw": _withdraw,
    "continue": _continue,
    "close": _close,
    "revoke": _revoke,
    "restore": _restore,
}
