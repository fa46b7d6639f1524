"""The schedule of a plan as students and staff see it: one row for each installment."""

from typing import Literal, NamedTuple

from tuition.core import plan_methods, plan_schedule
from tuition.core.plan import Plan

State = Literal["paid", "processing", "due", "failed", "upcoming", "waived", "lost"]


class Installment(NamedTuple):
    """An installment. `due` is when it is or was due, `collect` the announced day of its charge, if it is announced.

    `amount` is in minor units. `payment_id` is the payment that paid it, else the newest that was made for it.
    `failure` is the code of its newest decline, while it is not paid.
    """

    seq: int
    due: str | None
    collect: str | None
    amount: int
    state: State
    payment_id: str | None
    failure: str | None


def installments(plan: Plan, today: str | None = None) -> list[Installment]:
    """Return the installments in their order. Of an endless plan: those that were paid, and the next one.

    `today` decides which are due. By default it is the day that the plan has observed.
    """
    today = today or plan.terms.day_of(plan.facts.observed)
    last = max([*plan.covered, *plan.waived, *plan.owed], default=0) if plan.terms.endless else len(plan.terms.amounts)
    return [_installment(plan, seq, today) for seq in range(1, last + 1)]


def next_due(plan: Plan) -> str | None:
    """Return the earliest day on which an installment is due that is owed; None if none is, or no day is known.

    A plan that has ended owes nothing, unless its student can still pay to continue.
    """
    if not plan.payable:
        return None
    return min((day for seq in plan.owed if (day := plan_schedule.due_day(plan, seq))), default=None)


def _installment(plan: Plan, seq: int, today: str) -> Installment:
    state = _state(plan, seq, today)
    payments = plan.covering(seq)
    paying = [key for key in payments if plan.parts[key].pays]
    collect = plan_schedule.collection_day(plan, seq) if seq in plan.owed else None
    return Installment(
        seq=seq,
        due=plan_schedule.due_day(plan, seq),
        collect=collect,
        amount=plan.terms.amount_of((seq,)).amount,
        state=state,
        payment_id=next(iter([*reversed(paying), *payments]), None),
        failure=_failure(plan, seq) if state in ("due", "failed") else None,
    )


def _state(plan: Plan, seq: int, today: str) -> State:
    if seq in plan.covered:
        return "paid"
    if seq in plan.waived:
        return "waived"
    if seq in plan.processing:
        return "processing"
    if seq in plan.taken:
        return "lost"
    if not (plan.started and plan_schedule.is_due(plan, seq, today)):
        return "upcoming"
    if _failure(plan, seq):
        return "failed"
    return "due" if plan.payable else "upcoming"


def _failure(plan: Plan, seq: int) -> str | None:
    """Return the code of the newest decline of an installment."""
    failed = [(one.at, one.code) for one in plan_methods.failures(plan) if seq in one.seqs and one.code]
    return max(failed)[1] if failed else None
