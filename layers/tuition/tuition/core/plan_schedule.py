"""When a plan's installments are due, announced and collected, and the boundaries at which time alone changes it.

A charge is announced before it is made. The collection day of an installment is the announced day, which is never
before the due day. Retries, grace and giving up count from the collection day.

A pause, a dispute, a refund that no decision explains and a revoked access interrupt a plan. No boundary of an
announcement that was made before takes effect after an interruption began. So the charge is announced again, for a
later day.
"""

from typing import Literal, NamedTuple

from tuition.core import plan_methods, timestamps
from tuition.core.plan_basis import PlanBasis
from tuition.core.plan_facts import Announced

BoundaryName = Literal["due", "grace_over", "give_up", "period_end"]
Interruption = Literal["revoked_access", "pause", "dispute", "refund", "amount_differs"]


class Boundary(NamedTuple):
    """An instant (epoch seconds) at which a plan changes by time alone, because of an installment."""

    at: int
    name: BoundaryName
    seq: int


def due_day(plan: PlanBasis, seq: int) -> str | None:
    """Return the day on which an installment is due; None before the first payment.

    Staff may have rescheduled it. A pause moves it if it was not due before the pause.
    """
    due = _due(plan, seq)
    return due.day if due else None


def latest_day(plan: PlanBasis, seq: int) -> str | None:
    """Return the latest day to which staff can move an installment; None before the first payment.

    All their moves together are at most as long as the time after which a plan is given up. Pauses do not count.
    """
    due = _due(plan, seq)
    return timestamps.day_after(due.day, plan.terms.give_up_days - due.moved_by) if due else None


class _Due(NamedTuple):
    """The day on which an installment is due, and by how many days staff have moved it."""

    day: str
    moved_by: int


def _due(plan: PlanBasis, seq: int) -> _Due | None:
    if plan.anchor is None:
        return None
    day, moved_by, paused_on = plan.terms.due_day(plan.anchor, seq), 0, None
    for decision in plan.decided("reschedule", "pause", "resume"):
        on = plan.terms.day_of(decision.at)
        if decision.decision == "reschedule":
            to = decision.to if decision.to and seq in decision.seqs else day
            day, moved_by = to, moved_by + timestamps.days_between(day, to)
        elif decision.decision == "pause":
            paused_on = paused_on or on
        elif paused_on is not None:
            day = timestamps.day_after(day, timestamps.days_between(paused_on, on)) if day >= paused_on else day
            paused_on = None
    return _Due(day, moved_by)


def interruptions(plan: PlanBasis) -> list[int]:
    """Return when each interruption began (epoch seconds), whether it has ended or not."""
    starts = [decision.at for decision in plan.decided("pause", "revoke")]
    starts += [part.settled_at or 0 for part in plan.parts.values() if part.settled is not None and not part.agrees]
    for part in plan.parts.values():
        starts += part.disputed.values()
        for name, at in part.refunds.items():
            accepted = plan.accepted_refunds.get(name)
            starts += [at] if accepted is None or accepted > at else []
    return sorted(starts)


def interruption(plan: PlanBasis) -> Interruption | None:
    """Return what interrupts a plan now; None if every interruption has ended."""
    if plan.is_revoked:
        return "revoked_access"
    if plan.pause:
        return "pause"
    if any(part.dispute == "open" for part in plan.parts.values()):
        return "dispute"
    if plan.unexplained_refunds:
        return "refund"
    return "amount_differs" if plan.differing else None


class Announcement(NamedTuple):
    """The announcement of a charge for a `day`, made at the time `at`. `until` is when an interruption began after."""

    day: str
    at: int
    until: int | None


def announcement(plan: PlanBasis, seq: int) -> Announcement | None:
    """Return the announcement for the latest day, unless the installment has been moved beyond that day."""
    days = [announced.day for announced in map(Announced.of, plan.facts.announced) if announced.seq == seq]
    due = due_day(plan, seq)
    if not days or due is None or max(days) < due:
        return None
    at = plan.facts.announced[Announced(seq, max(days)).key]
    return Announcement(max(days), at, next((start for start in interruptions(plan) if start >= at), None))


def collection_day(plan: PlanBasis, seq: int) -> str | None:
    """Return the day from which an installment may be charged without the student; None if it must be announced."""
    announced = announcement(plan, seq)
    return announced.day if announced and announced.until is None else None


def shown_day(plan: PlanBasis, seq: int) -> str | None:
    """Return the day on which a student should expect the charge: the announced day, else the due day."""
    return collection_day(plan, seq) or due_day(plan, seq)


def is_due(plan: PlanBasis, seq: int, today: str) -> bool:
    """Whether an installment is due. One that a dispute took is, whatever its day. None becomes due during a pause."""
    latest = min(today, plan.terms.day_of(plan.pause.at)) if plan.pause else today
    return seq in plan.taken or (shown_day(plan, seq) or latest) <= latest


def boundaries(plan: PlanBasis) -> list[Boundary]:
    """Return the boundaries of the first installment that is owed, in their order, those that have passed too."""
    seq = plan.first_owed
    if seq is None or plan.ended_by or not plan.started:
        return []
    result = [] if seq in plan.taken else _of_announcement(plan, seq)
    return sorted([*result, *_period_end(plan)])


def _period_end(plan: PlanBasis) -> list[Boundary]:
    seq, day = _next_period(plan), end_day(plan)
    return [] if seq is None or day is None else [Boundary(plan.terms.start_of(day), "period_end", seq)]


def end_day(plan: PlanBasis) -> str | None:
    """Return the day on which a membership that was canceled ends; None for any other plan.

    A dispute can take an earlier period: the membership ends all the same with the newest that was paid, or that a bank
    is processing.
    """
    seq = _next_period(plan) if plan.is_ending else None
    return None if seq is None else due_day(plan, seq)


def _next_period(plan: PlanBasis) -> int | None:
    """Return the first period of a membership that is not paid, waived, taken by a dispute, or trusted to be paid."""
    if not plan.terms.endless:
        return None
    rest = plan.covered | plan.waived | plan.taken
    return next((seq for seq in plan.terms.seqs if seq not in rest and not plan.is_trusted(seq)), None)


def _of_announcement(plan: PlanBasis, seq: int) -> list[Boundary]:
    announced, terms = announcement(plan, seq), plan.terms
    if announced is None:
        return []
    result = [Boundary(terms.start_of(announced.day), "due", seq)]
    grace_over = terms.start_of(timestamps.day_after(announced.day, terms.grace_days))
    chance = plan_methods.first_chance(plan, seq, result[0].at)
    if plan_methods.was_tried(plan, seq, announced.day) or chance is None or chance >= grace_over:
        result.append(Boundary(grace_over, "grace_over", seq))
        if not terms.endless:
            give_up = terms.start_of(timestamps.day_after(announced.day, terms.give_up_days))
            result.append(Boundary(give_up, "give_up", seq))
    return [one for one in result if announced.until is None or one.at <= announced.until]


def had_ended(plan: PlanBasis) -> bool:
    """Whether a membership had lapsed or ended before a dispute took a period of it, which is then not paid again."""
    seq, ends = _next_period(plan), _period_end(plan)
    ends += [] if seq is None else _of_announcement(plan, seq)
    return any(one.name != "due" and one.at <= plan.facts.observed for one in ends)


def passed(plan: PlanBasis, name: BoundaryName) -> bool:
    """Whether a boundary with this name has been observed."""
    return any(one.name == name and one.at <= plan.facts.observed for one in boundaries(plan))


def ahead(plan: PlanBasis) -> list[Boundary]:
    """Return the boundaries that have not been observed, in their order."""
    return [one for one in boundaries(plan) if one.at > plan.facts.observed]
