"""Delete payments seven years after their money moved last: once a year a list, and a month later what still holds.

Each year begins with a list of the payments that are due. Nothing is deleted for 30 days, in which staff can look at
the list and place legal holds. Then a payment is deleted if it is on the list, its money has not moved since, nothing
more is expected to happen to it, and no legal hold forbids it. The others are looked at again next year.

The function runs every day and does what the year still needs. A run that is out of time or killed continues at its
last page. Both may be repeated: a part of the list is written again under its number, and a deleted payment is missing.
`tuition.storage.ledger` deletes a payment with its last audit record, in one transaction.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tuition import clock, metrics, retry
from tuition.core import retention, timestamps
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.stored import read
from tuition.log import logger
from tuition.storage import cursors, ledger, mapping, notes, queries, search
from tuition.storage.ledger import UserHeld, VersionConflict
from tuition.storage.notes import NoteTopic

FIRST_MONTH = "2020-01"
"""No payment is older."""
PAGE = 100
"""Payments that are read at once, and the most of one part of the list."""
LIST_DAYS = 30
"""How long a list can be looked at before what is on it is deleted."""
RESERVE_S = 60.0
"""With less time than this a run begins no other page."""
DAY_S = 86_400
COUNTS = ("deleted", "changed", "held", "missing", "contended")


@dataclass
class State:
    """How far the year's list and deletion have come. Times are RFC 3339 UTC.

    The list has come to `month`, to this `shard` of it, and to the sort key `after`. It has `parts`, of which
    `deleted_parts` are finished, and `listed` payments. `unfinished` counts payments that were kept long enough, but to
    which something may still happen. `counts` says what became of the listed ones.
    """

    year: int
    started_at: str
    month: str = FIRST_MONTH
    shard: int = 0
    after: str = ""
    parts: int = 0
    deleted_parts: int = 0
    listed: int = 0
    unfinished: int = 0
    listed_at: str | None = None
    done_at: str | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))

    @property
    def delete_from(self) -> str | None:
        """From when on the listed payments are deleted; None while the list is not complete."""
        return timestamps.iso(timestamps.epoch(self.listed_at) + LIST_DAYS * DAY_S) if self.listed_at else None

    def to_json(self) -> dict[str, Any]:
        """Return the state as it is stored."""
        return vars(self)


def run(remaining: Callable[[], float], *, delete: bool) -> dict[str, Any]:
    """Do what the year still needs, as far as the time allows. Return a report.

    Without `delete` the list is made, and nothing is deleted. Raises `LeaseTaken`.
    """
    with cursors.lease(cursors.RETENTION):
        clock.start_deadline()
        state = _state()
        if state.listed_at is None:
            _list(state, remaining)
        if delete and state.delete_from and state.delete_from <= _now() and state.done_at is None:
            _delete(state, remaining)
        metrics.age("RetentionAge", _overdue_s(state))
    report = _report(state)
    logger.info("retention", **report)
    return report


def show(part: int) -> dict[str, Any]:
    """Return one part of the year's list: the id of each payment, and when its money moved last. Nothing changes.

    A part that is finished is empty. `next` is the number of the part behind it; None after the last.
    """
    clock.start_deadline()
    state = _state()
    plan, _ = cursors.read_plan(_part(state.year, part))
    following = part + 1 if part + 1 < state.parts else None
    return {**_report(state), "part": part, "payments": plan or {}, "next": following}


def _now() -> str:
    return timestamps.iso(clock.now())


def _state() -> State:
    """Return the state of the newest list. The first run of a year begins one, unless the last one is unfinished."""
    year = int(_now()[:4])
    stored = cursors.read_report(cursors.RETENTION)
    is_current = stored is not None and (stored["year"] == year or stored["done_at"] is None)
    return read(State, stored) if stored and is_current else State(year, _now())


def _store(state: State) -> None:
    clock.start_deadline()
    cursors.store_report(state.to_json(), cursors.RETENTION)


def _part(year: int, number: int) -> str:
    return f"{cursors.RETENTION}:{year}:{number}"


def _report(state: State) -> dict[str, Any]:
    names = ("year", "parts", "listed", "unfinished", "listed_at", "delete_from", "done_at")
    return {**{name: getattr(state, name) for name in names}, **state.counts}


def _overdue_s(state: State) -> float:
    """Return for how long the year's list, or the deletion of what it has, should have been finished."""
    if state.done_at:
        return 0.0
    due = state.delete_from or state.started_at
    return max(0.0, clock.now() - timestamps.epoch(due))


# --- the list ---


def _list(state: State, remaining: Callable[[], float]) -> None:
    """List the payments that are due, by the month of their creation, and store the position behind each page."""
    last = retention.years_later(_now(), -retention.KEPT_YEARS)[:7]
    for payment_ids in _pages(state, last):
        if remaining() < RESERVE_S:
            return
        clock.start_deadline()
        due = _due(state, payment_ids)
        if due:
            cursors.store_list(_part(state.year, state.parts), due)
            state.parts, state.listed = state.parts + 1, state.listed + len(due)
        state.after = payment_ids[-1][1]
        _store(state)
    if remaining() < RESERVE_S:
        return
    state.listed_at = _now()
    state.done_at = None if state.listed else state.listed_at
    if state.listed:  # before it is stored: a run that is killed here rings twice instead of never
        metrics.count("PaymentsListed", state.listed)
    _store(state)


def _pages(state: State, last: str) -> Iterator[list[tuple[str, str]]]:
    """Yield the ids and sort keys of the payments behind the position, a page at a time, and move it between months."""
    for month in timestamps.months_between(f"{state.month}-01", f"{last}-01"):
        shards = queries.by_month(month)
        start = state.shard if month == state.month else 0
        for number in range(start, len(shards)):
            if (month, number) != (state.month, state.shard):
                state.month, state.shard, state.after = month, number, ""
            for sort_keys, _ in queries.month_pages(shards[number], state.after or " ", PAGE):
                if sort_keys:
                    yield [(sort_key.partition("#")[2], sort_key) for sort_key in sort_keys]


def _due(state: State, page: list[tuple[str, str]]) -> dict[str, str]:
    """Return the payments of a page that are due, and when money of each moved last."""
    due: dict[str, str] = {}
    for item in queries.payments_by_id([payment_id for payment_id, _ in page]):
        clock.start_deadline()
        payment = mapping.payment_from_item(item)
        last = _last_movement(payment)
        if _is_due(payment, last):
            due[payment.payment_id] = last
        elif retention.kept_until(last) <= _now():
            state.unfinished += 1
            logger.warning(
                "a payment is kept longer because something may still happen to it", payment_id=item.payment_id
            )
    return due


def _last_movement(payment: Payment) -> str:
    """Return when money of a payment moved last. That of a plan counts from the last change of its plan at least."""
    last = retention.last_movement(payment, queries.audit_trail(payment.payment_id))
    plan = _plan_of(payment)
    return max(last, plan.updated_at) if plan else last


def _is_due(payment: Payment, last: str) -> bool:
    plan = _plan_of(payment)
    return retention.is_due(payment, last, _now()) and (plan is None or retention.may_expire(plan))


def _plan_of(payment: Payment) -> Plan | None:
    return next(iter(queries.plans_by_id([payment.plan])), None) if payment.plan else None


# --- the deletion ---


def _delete(state: State, remaining: Callable[[], float]) -> None:
    """Delete what is listed and still holds, part by part. A part that a killed run has begun counts what it finds."""
    for number in range(state.deleted_parts, state.parts):
        if remaining() < RESERVE_S:
            return
        clock.start_deadline()
        name = _part(state.year, number)
        listed, _ = cursors.read_plan(name)
        for payment_id, last in (listed or {}).items():
            clock.start_deadline()
            outcome = _delete_one(payment_id, last)
            state.counts[outcome] += 1
            logger.info("a listed payment", payment_id=payment_id, outcome=outcome)
        state.deleted_parts = number + 1
        _store(state)
        cursors.remove(name)
    state.done_at = _now()
    _store(state)


def _delete_one(payment_id: str, listed: str) -> str:
    """Delete a listed payment if all still holds. Return what became of it, as one of `COUNTS`."""
    for _ in retry.attempts(retry.COMMIT):
        items = queries.payments_by_id([payment_id])
        if not items:
            _delete_what_follows(payment_id)  # a killed run may have deleted the payment only
            return "missing"
        payment = mapping.payment_from_item(items[0])
        last = _last_movement(payment)
        if last != listed or not _is_due(payment, last):
            return "changed"
        try:
            ledger.expire(payment)
        except UserHeld:
            return "held"
        except VersionConflict:
            continue
        _delete_what_follows(payment_id)
        return "deleted"
    return "contended"


def _delete_what_follows(payment_id: str) -> None:
    """Delete the words and notes of a payment that was deleted. Its records still say whose it was.

    With the last payment of a plan, the plan's personal fields go too.
    """
    trail = queries.audit_trail(payment_id)
    if not retention.is_marked(trail):
        return
    search.refresh(payment_id)
    notes.erase(NoteTopic(str(trail[-1]["user_id"]), payment_id))
    plan_id = trail[0]["transition"].get("plan", {}).get("id")
    if plan_id and not next(queries.payments_of_plan(str(plan_id)), None):
        ledger.expire_plan(str(plan_id))
