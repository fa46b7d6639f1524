"""When a plan's next attempt is made to charge an installment without its student, or why none will be.

Attempts are made for the first installment that is owed: one on each retry day, one for each new payment method, one
on each day on which staff order it. Each has an occasion, and a plan has at most one try for each occasion.
"""

from typing import Literal, NamedTuple

from tuition.core import plan_methods, plan_schedule, timestamps
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.plan_facts import Try
from tuition.core.plan_rules import MISSED_AFTER_DAYS

CLOCK_MARGIN_S = 60
"""How much older than its try a charge may be. Both times are Stripe's, but a run keeps the time of its start."""
MAX_METHOD_TRIES = 3
"""How many new payment methods of a plan are tried within `METHOD_TRIES_S`."""
METHOD_TRIES_S = 7 * 86400

WhyNone = Literal[
    "not_charged",
    "processing",
    "unanswered",
    "not_announced",
    "no_method",
    "do_not_try_again",
    "authentication_required",
    "tries_used",
    "tried_today",
]
NEEDS_STUDENT: frozenset[WhyNone] = frozenset(
    {"no_method", "do_not_try_again", "authentication_required", "tries_used"}
)
"""The reasons for which only the student can continue: they pay, or choose another method."""


class Attempt(NamedTuple):
    """An attempt that may be made from the time `at` on (epoch seconds), for an occasion of this kind."""

    at: int
    kind: Literal["day", "method", "now"]
    seq: int
    method: str

    def occasion(self, plan: Plan, now: int) -> str:
        """Return the key of the try, if it is made now."""
        if self.kind == "method":
            return f"method:{self.method}:{plan_methods.methods(plan)[self.method].fresh}"
        return f"{self.kind}:{plan.terms.day_of(now)}"


class _Target(NamedTuple):
    seq: int
    day: str
    method: str


def next_attempt(plan: Plan) -> Attempt | WhyNone:
    """Return the next attempt that time alone leads to, or why there is none."""
    target = _target(plan)
    if isinstance(target, str):
        return target
    planned = [attempt for attempt in (_on_retry_day(plan, target), _with_new_method(plan, target)) if attempt]
    return min(planned, default="tries_used")


def attempt_now(plan: Plan, now: int) -> Attempt | WhyNone:
    """Return the attempt that staff order now (epoch seconds), or why there can be none."""
    target = _target(plan)
    if isinstance(target, str):
        return target
    if plan.terms.day_of(now) < target.day:
        return "not_announced"
    attempt = Attempt(now, "now", target.seq, target.method)
    return "tried_today" if attempt.occasion(plan, now) in plan.facts.tries else attempt


def needs_student(plan: Plan) -> WhyNone | None:
    """Return why only the student can continue the plan; None if we can."""
    attempt = next_attempt(plan)
    return attempt if isinstance(attempt, str) and attempt in NEEDS_STUDENT else None


def missed_from(plan: Plan) -> str | None:
    """Return from which day on the announced charge is missed: it can be tried, and has not been for some days.

    None if it was tried, or cannot be. A charge that was missed is announced again, and its grace starts again.
    """
    seq = plan.first_owed
    if not plan.charged_off_session or seq is None or plan.processing or unanswered(plan):
        return None
    day = plan_schedule.collection_day(plan, seq)
    if day is None or plan_methods.was_tried(plan, seq, day):
        return None
    chance = plan_methods.first_chance(plan, seq, plan.terms.start_of(day))
    return timestamps.day_after(plan.terms.day_of(chance), MISSED_AFTER_DAYS + 1) if chance is not None else None


def unanswered(plan: Plan) -> list[tuple[str, Try]]:
    """Return the tries without an answer, with their occasions, the oldest first."""
    tries = [(one.at, key) for key, one in plan.facts.tries.items() if one.answer is None]
    return [(key, plan.facts.tries[key]) for _, key in sorted(tries)]


def charges(plan: Plan, payment: Payment) -> set[str]:
    """Return the ids of a payment's charges that we made without the student."""
    ours: set[str] = set()
    for one in plan.facts.tries.values():
        if one.payment_id == payment.payment_id:
            ours.update(charges_since(payment, one) if one.answer is None else filter(None, [one.answer.charge]))
    return ours


def charges_since(payment: Payment, attempt: Try) -> list[str]:
    """Return the ids of the charges with the method of a try that are not older than it, the oldest first."""
    by_time = [
        (charge.created, key)
        for key, charge in payment.facts.charges.items()
        if charge.created >= attempt.at - CLOCK_MARGIN_S and charge.payment_method in (attempt.method, None)
    ]
    return [key for _, key in sorted(by_time)]


def _target(plan: Plan) -> _Target | WhyNone:
    """Return what an attempt would charge: the installment, its collection day and the method. Else why it cannot."""
    if not plan.charged_off_session or plan.first_owed is None:
        return "not_charged"
    if plan.processing:
        return "processing"
    if unanswered(plan):
        return "unanswered"
    day = plan_schedule.collection_day(plan, plan.first_owed)
    if day is None:
        return "not_announced"
    method = plan_methods.chosen(plan)
    if method is None:
        return "no_method"
    blocks = plan_methods.blocks(plan, plan.first_owed, method)
    return blocks[0][1] if blocks else _Target(plan.first_owed, day, method)


def _on_retry_day(plan: Plan, target: _Target) -> Attempt | None:
    """Return the attempt on the next retry day. A try uses up all retry days until its own day.

    A plan is charged at most once a day, the first installment first.
    """
    day_of, tries = plan.terms.day_of, plan.facts.tries.values()
    last = max((day_of(one.at) for one in tries if one.seq == target.seq), default="")
    retry_days = [timestamps.day_after(target.day, days) for days in plan.terms.retry_days]
    day = next((day for day in retry_days if day > last), None)
    if day is None:
        return None
    last_of_plan = max((day_of(one.at) for one in tries), default="")
    if day <= last_of_plan:
        day = timestamps.day_after(last_of_plan)
    fresh = plan_methods.methods(plan)[target.method].fresh
    return Attempt(max(plan.terms.start_of(day), fresh), "day", target.seq, target.method)


def _with_new_method(plan: Plan, target: _Target) -> Attempt | None:
    """Return the attempt with a method that is newer than the last try of the installment since it was collected."""
    since = plan.terms.start_of(target.day)
    last = max((one.at for one in plan.facts.tries.values() if one.seq == target.seq and one.at >= since), default=None)
    fresh = plan_methods.methods(plan)[target.method].fresh
    if last is None or fresh <= last:
        return None
    times = sorted(one.at for key, one in plan.facts.tries.items() if key.startswith("method:"))
    earliest = times[-MAX_METHOD_TRIES] + METHOD_TRIES_S if len(times) >= MAX_METHOD_TRIES else 0
    return Attempt(max(fresh, earliest), "method", target.seq, target.method)
