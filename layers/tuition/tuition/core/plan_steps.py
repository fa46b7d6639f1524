"""The next step of the collector for a plan, and when it must look at the plan again.

The collector performs one step, commits what it led to, loads the plan again, and asks for the next step. `next_step`
returns None at every time before `wake_at`, and a step at every time from then on.
"""

from dataclasses import dataclass

from tuition.core import plan_attempts, plan_methods, plan_schedule, timestamps
from tuition.core.plan import Plan
from tuition.core.plan_facts import Announced, Try
from tuition.core.plan_schedule import BoundaryName

IDEMPOTENCY_KEY_KEPT_S = 23 * 3600
"""How long a try may be repeated under its key. Stripe keeps keys for at least 24 hours.

Source: https://docs.stripe.com/api/idempotent_requests
"""


@dataclass(frozen=True)
class Tick:
    """A boundary has passed: record it as observed, under the boundary's own time."""

    boundary: int
    name: BoundaryName
    seq: int


@dataclass(frozen=True)
class Repeat:
    """A try has no answer: make its call again, under its own key and with its own method."""

    occasion: str
    attempt: Try


@dataclass(frozen=True)
class ReadAnswer:
    """A try has no answer, and must not be made again: record what its intent shows, without confirming it."""

    occasion: str
    attempt: Try


@dataclass(frozen=True)
class Refund:
    """Refund an amount of a payment, in minor units: the plan ended with all money back."""

    payment_id: str
    amount: int


@dataclass(frozen=True)
class Close:
    """Close a payment at Stripe: it must not be paid any more, or it is not the one that is due."""

    payment_id: str


@dataclass(frozen=True)
class Announce:
    """Record that the charge of an installment is announced for a day. The notice follows from the record."""

    seq: int
    day: str

    @property
    def key(self) -> str:
        """The name under which the plan's facts have it."""
        return Announced(self.seq, self.day).key


@dataclass(frozen=True)
class Create:
    """Create the payment of an installment, without confirming its intent."""

    covers: tuple[int, ...]


@dataclass(frozen=True)
class Charge:
    """Record a try for this occasion, then confirm the payment's intent with this method."""

    occasion: str
    payment_id: str
    seq: int
    method: str


Step = Tick | Repeat | ReadAnswer | Refund | Close | Announce | Create | Charge


def next_step(plan: Plan, now: int, *, charging: bool = True) -> Step | None:
    """Return what to do for a plan now (epoch seconds); None if nothing is due.

    Without `charging`, which is a switch of the school, nothing is announced, tried or tried again.
    """
    return _tick(plan, now) or _answer(plan, now, charging=charging) or _undo(plan) or _collect(plan, now, charging)


def wake_at(plan: Plan) -> int | None:
    """Return from when on (epoch seconds) there is a step; None if time alone leads to none."""
    if _undo(plan) or plan_attempts.unanswered(plan):
        return 0
    attempt = plan_attempts.next_attempt(plan)
    times = [boundary.at for boundary in plan_schedule.ahead(plan)]
    times += [plan.terms.start_of(day) for _, day in _to_announce(plan)]
    times += [] if isinstance(attempt, str) else [attempt.at]
    missed_from = plan_attempts.missed_from(plan)
    times += [plan.terms.start_of(missed_from)] if missed_from else []
    return min(times, default=None)


def _tick(plan: Plan, now: int) -> Step | None:
    return next((Tick(*boundary) for boundary in plan_schedule.ahead(plan) if boundary.at <= now), None)


def _answer(plan: Plan, now: int, *, charging: bool) -> Step | None:
    """Return what leads to the answer of the oldest try without one.

    It is repeated only if it could be begun now: not with a method in whose place the student has chosen another one.
    """
    for occasion, one in plan_attempts.unanswered(plan):
        part = plan.parts.get(one.payment_id)
        is_due = plan.charged_off_session and one.seq == plan.first_owed and part is not None and part.payable
        is_due = is_due and plan_methods.chosen(plan) == one.method
        if not is_due or now - one.at >= IDEMPOTENCY_KEY_KEPT_S:
            return ReadAnswer(occasion, one)
        return Repeat(occasion, one) if charging else None
    return None


def _undo(plan: Plan) -> Step | None:
    """Return what must be refunded or closed, at any time."""
    for payment_id, amount in plan.money_due.items():
        if not plan.parts[payment_id].refund_failed:
            return Refund(payment_id, amount)
    newest = 0
    for payment_id, part in sorted(plan.parts.items(), key=lambda one: one[1].number, reverse=True):
        if part.payable:
            if newest or not plan.payable or not {*part.covers} <= {*plan.owed}:
                return Close(payment_id)
            newest = part.number
    return None


def _collect(plan: Plan, now: int, charging: bool) -> Step | None:
    if not charging:
        return None
    today = plan.terms.day_of(now)
    for seq, day in _to_announce(plan):
        if day <= today:
            return _announce(plan, seq, today)
    missed_from = plan_attempts.missed_from(plan)
    if missed_from and missed_from <= today and plan.first_owed is not None:
        return _announce(plan, plan.first_owed, today)
    attempt = plan_attempts.next_attempt(plan)
    if isinstance(attempt, str) or attempt.at > now:
        return None
    return charge(plan, attempt, now)


def charge(plan: Plan, attempt: plan_attempts.Attempt, now: int) -> Step:
    """Return the first step of an attempt: close the payment of other installments, create the one that is due, try it.

    Staff who order a charge now pass the attempt of `plan_attempts.attempt_now`.
    """
    for payment_id, part in plan.parts.items():
        if part.payable:
            if part.covers == (attempt.seq,):
                return Charge(attempt.occasion(plan, now), payment_id, attempt.seq, attempt.method)
            return Close(payment_id)
    return Create((attempt.seq,))


def _announce(plan: Plan, seq: int, today: str) -> Announce:
    """Return the announcement for the first day that leaves the notice, and later than any day announced before."""
    days = [announced.day for announced in map(Announced.of, plan.facts.announced) if announced.seq == seq]
    later = [timestamps.day_after(max(days))] if days else []
    notice = timestamps.day_after(today, plan.terms.notice_days)
    return Announce(seq, max([plan_schedule.due_day(plan, seq) or notice, notice, *later]))


def _to_announce(plan: Plan) -> list[tuple[int, str]]:
    """Return the installments that must be announced, each with the day from which on it is."""
    suspended = plan.status == "SUSPENDED" and not plan.taken
    if not (plan.may_collect and (plan.charged_off_session or suspended)):
        return []
    seqs = plan.owed[:1] if suspended else plan.owed
    days = {seq: plan_schedule.due_day(plan, seq) for seq in seqs if plan_schedule.collection_day(plan, seq) is None}
    return [(seq, timestamps.day_after(day, -plan.terms.notice_days)) for seq, day in days.items() if day]
