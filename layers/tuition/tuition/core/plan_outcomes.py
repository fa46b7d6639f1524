"""The decisions that staff can take about a plan now, and what each of them leads to."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

from tuition.core import plan_decisions, plan_schedule, timestamps
from tuition.core.plan import Plan, Status
from tuition.core.plan_facts import PlanDecision, PlanFacts

StaffDecision = Literal["waive", "reschedule", "forgive", "pause", "resume", "continue", "close", "revoke", "restore"]
STAFF_DECISIONS: tuple[StaffDecision, ...] = get_args(StaffDecision)


class Outcome(NamedTuple):
    """A plan after a decision, before more time passes. `refund_amount` is the refund that it leads to."""

    status: Status
    grants_access: bool
    outstanding: int
    refund_amount: int


class Choice(NamedTuple):
    """A decision that can be taken now. A `reschedule` is possible from its day `to` on, until the day `latest`."""

    decision: PlanDecision
    outcome: Outcome
    latest: str | None = None


def completed(plan: Plan, decision: PlanDecision) -> PlanDecision:
    """Return a decision with the installments or refunds that it is about, if they follow from the plan."""
    if decision.decision == "forgive":
        return replace(decision, seqs=plan.owed)
    if decision.decision == "continue":
        names = {name for names in plan.unexplained_refunds.values() for name in names}
        return replace(decision, accepts=tuple(sorted(names)))
    return decision


def outcome(plan: Plan, decision: PlanDecision) -> Outcome:
    """Return what a decision leads to."""
    after = plan.merged(PlanFacts(decisions={"": decision}))
    back = sum(after.money_due.values()) - sum(plan.money_due.values())
    return Outcome(after.status, after.grants_access, after.outstanding, back)


def time_of(plan: Plan, now: int) -> int:
    """Return the time of a decision that is taken `now`: never before what the plan's facts say has happened.

    Their times are Stripe's, and our clock may be behind. A pause would not count for a charge announced after it.
    """
    facts = plan.facts
    tries = [one.at for one in facts.tries.values()]
    decisions = [one.at for one in facts.decisions.values()]
    return max([now, facts.observed, *facts.announced.values(), *tries, *decisions])


def choices(plan: Plan, now: int) -> Iterator[Choice]:
    """Yield the decisions that can be taken now (epoch seconds), each with its outcome.

    That of a `reschedule` is the outcome of the latest day.
    """
    today = plan.terms.day_of(now)
    for possible in _possible(plan, now, today):
        decision = completed(plan, possible)
        if plan_decisions.refusal(plan, decision, today) is None:
            latest = _latest(plan, decision.seqs[0]) if decision.decision == "reschedule" else None
            yield Choice(decision, outcome(plan, replace(decision, to=latest)), latest)


def _possible(plan: Plan, now: int, today: str) -> Iterator[PlanDecision]:
    blank = PlanDecision(version=plan.version, decision="close", at=now, actor="")
    for seq in plan.owed:
        yield replace(blank, decision="waive", seqs=(seq,))
        yield replace(blank, decision="reschedule", seqs=(seq,), to=_earliest(plan, seq, today))
    for name in ("forgive", "pause", "resume", "continue", "revoke", "restore"):
        yield replace(blank, decision=name)
    yield replace(blank, refund="none")
    yield replace(blank, refund="all")


def _earliest(plan: Plan, seq: int, today: str) -> str:
    """Return the earliest day to which an installment can be moved."""
    before = plan_schedule.due_day(plan, seq - 1) if seq - 1 in plan.owed else None
    return max(today, timestamps.day_after(before)) if before else today


def _latest(plan: Plan, seq: int) -> str | None:
    """Return the latest day to which an installment can be moved."""
    latest = plan_schedule.latest_day(plan, seq)
    following = plan_schedule.due_day(plan, seq + 1) if seq + 1 in plan.terms.seqs else None
    return min(latest, timestamps.day_after(following, -1)) if latest and following else latest
