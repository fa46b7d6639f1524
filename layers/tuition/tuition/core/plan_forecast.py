"""The amounts that a plan is expected to bring in each month if it is not changed."""

from collections.abc import Iterator
from typing import NamedTuple

from tuition.core import plan_attempts, plan_schedule, timestamps
from tuition.core.plan import Plan

STATUSES = ("ACTIVE", "LATE", "SUSPENDED", "PAUSED")
"""The statuses of a plan from which more money is expected."""


class Expected(NamedTuple):
    """An installment that is expected in a month (`2026-12`). `amount` is in minor units.

    `at_risk` says that it will not be charged unless the student or staff do something, or that one is unpaid already.
    One that a bank is processing is not at risk.
    """

    month: str
    amount: int
    at_risk: bool


def months_from(today: str, count: int) -> list[str]:
    """Return this month and those that follow, so many in all."""
    return [timestamps.months_after(f"{today[:7]}-01", number)[:7] for number in range(count)]


def expected(plan: Plan, today: str, months: list[str]) -> Iterator[Expected]:
    """Yield the installments that are expected in these months, which begin with that of `today`.

    Overdue installments are expected in the first month. A membership is charged in each of its periods.
    """
    if plan.status not in STATUSES or not plan.payable:
        return
    at_risk = plan.status != "ACTIVE" or not plan.may_collect or plan_attempts.needs_student(plan) is not None
    for seq in _owed(plan):
        day = max(plan_schedule.shown_day(plan, seq) or today, today)
        if day[:7] > months[-1]:
            return
        yield Expected(day[:7], plan.terms.amount_of((seq,)).amount, at_risk and seq not in plan.processing)


def _owed(plan: Plan) -> Iterator[int]:
    """Yield the installments that are owed, and the periods of a membership that follow."""
    if not plan.terms.endless:
        yield from plan.owed
    elif plan.first_owed is not None:
        yield from range(plan.first_owed, plan.terms.seqs.stop)
