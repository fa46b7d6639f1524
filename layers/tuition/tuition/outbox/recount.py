"""Recount the roll-ups of analytics from the payments: every night the days that changed, and all of them by hand.

Every night: the payments and plans with an audit record of the days since the last run are read. Each must be counted
as it is now, and each day to which one of them contributes is recounted: the roll-ups name the days on which the
records that changed them were committed, and these records name the payments and plans. A month's cohorts are recounted
in the same way. A day or month that has not ended waits for the next night, and so does one that differs, until it is
corrected.

By hand: every payment is read. One that was not counted, or not as it is now, is counted. Then the roll-ups are
compared with the sum of what was counted, and one that differs is corrected.

The report is kept, and the console shows it. A difference raises an alarm.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tuition import clock, metrics, retry
from tuition.core import rollups, timestamps
from tuition.core.refs import is_plan
from tuition.core.rollups import Contribution, Figures, RollUpKey
from tuition.outbox import analytics
from tuition.storage import cursors, queries
from tuition.storage import rollups as stored
from tuition.storage.rollups import KEYS_PER_READ, RollUp, RollUpConflict

RESERVE_S = 60.0
"""A run ends when so little time is left, with what it has found so far."""
GRACE_S = 300
"""A payment that changed so recently may still be in the queue: it is no difference."""
LOOK_AGAIN_S = 20.0
"""The time between two looks at a roll-up that differs: a record may have been on its way."""
MAX_RECORDED_DAYS = 31
"""Days of records that one nightly run reads. The next one continues."""
MAX_DAYS = 400
"""Days and months that one nightly run recounts. The next one continues."""
MAX_DIFFERENCES = 100
"""In a report, which is one item of at most 400 KB."""
MAX_PAYMENTS = 20
"""Payments that were not counted, in a report."""
FIRST_DAY = "2020-01-01"
"""No payment is older."""

Period = tuple[str, str]
"""A time zone, and a day in it, or a month (`2026-11`) for its cohorts and statuses."""
Differences = dict[RollUpKey, tuple[Figures, Figures]]
"""The figures of a roll-up, and those that the payments have, if the two differ."""


class OutOfTime(Exception):
    """The time of the invocation is used up."""


@dataclass
class Recount:
    """One run, and what it found."""

    remaining: Callable[[], float]
    payments: int = 0
    days: int = 0
    repaired: int = 0
    done: bool = True
    missing: list[str] = field(default_factory=list)
    differences: Differences = field(default_factory=dict)

    def check_time(self) -> None:
        """Start the deadline of the next step. Raises `OutOfTime`."""
        if self.remaining() < RESERVE_S:
            raise OutOfTime
        clock.start_deadline()

    def to_json(self) -> dict[str, Any]:
        """Return what it found, for the log, the console and `make recount`."""
        differences = [one for key in sorted(self.differences) for one in _described(key, *self.differences[key])]
        return {
            "at": timestamps.iso(clock.now()),
            "done": self.done,
            "equal": self.done and not differences and not self.missing,
            "payments": self.payments,
            "days": self.days,
            "repaired": self.repaired,
            "missing": self.missing[:MAX_PAYMENTS],
            "differences": differences[:MAX_DIFFERENCES],
        }


def _described(key: RollUpKey, rolled_up: Figures, recounted: Figures) -> Iterator[dict[str, Any]]:
    for name in sorted({*rolled_up, *recounted}):
        numbers = rolled_up.get(name, 0), recounted.get(name, 0)
        if numbers[0] != numbers[1]:
            yield {"roll_up": str(key), "figure": name, "rolled_up": numbers[0], "recounted": numbers[1]}


def nightly(remaining: Callable[[], float]) -> dict[str, Any]:
    """Recount the days that have changed since the last run until yesterday. Return the report.

    Raises `LeaseTaken`. A run without enough time is not `done`, and the next one begins where it began. Days with a
    difference are looked at again every night until they have none, so that the console never forgets one.
    """
    with cursors.lease(cursors.RECOUNT):
        run, before = Recount(remaining), cursors.read_report(cursors.RECOUNT) or {}
        new, again = _recorded_days(before.get("through")), before.get("again", [])
        recorded = sorted({*again, *new})
        pending = {(str(zone), str(day)) for zone, day in before.get("pending", [])}
        periods = set(pending)
        try:
            periods |= _changed_periods(run, recorded)
            ended = sorted(filter(_has_ended, periods))[:MAX_DAYS]
            run.differences = _look_at(run, ended, recorded)
            run.days = sum(not _is_month(period) for period in ended)
            periods = periods - set(ended) | set(map(_period, run.differences))
            again = recorded[:MAX_RECORDED_DAYS] if run.missing or run.differences else []
        except OutOfTime:
            run.done, periods = False, pending
        through = new[-1] if run.done and new else before.get("through")
        metrics.age("RecountAge", clock.now() - _end(through or timestamps.day_after(new[0], -1)))
        return _keep(run, {"through": through, "pending": sorted(periods), "again": again})


def full(remaining: Callable[[], float]) -> dict[str, Any]:
    """Count every payment that was not counted as it is now, and correct roll-ups that differ. Return the report.

    Raises `LeaseTaken`.
    """
    with cursors.lease(cursors.RECOUNT):
        run, before = Recount(remaining), cursors.read_report(cursors.RECOUNT) or {}
        try:
            for payment_ids in _every_payment(run):
                _repair_payments(run, payment_ids)
            _repair_roll_ups(run)
        except OutOfTime:
            run.done = False
        return _keep(run, {name: before[name] for name in ("through", "pending", "again") if name in before})


def _keep(run: Recount, position: dict[str, Any]) -> dict[str, Any]:
    report = run.to_json()
    clock.start_deadline()
    cursors.store_report({**report, **position}, cursors.RECOUNT)
    if run.missing or run.differences:
        metrics.count("AnalyticsDifference")
    return report


def _recorded_days(through: str | None) -> list[str]:
    """Return the days after the last recount until yesterday (UTC); for the first run, yesterday."""
    today = timestamps.day_of(clock.now(), timestamps.UTC_ZONE)
    first = timestamps.day_after(through) if through else timestamps.day_after(today, -1)
    days = (timestamps.day_after(first, number) for number in range(MAX_RECORDED_DAYS))
    return [day for day in days if day < today]


def _end(day: str) -> float:
    """Return the moment at which a UTC day ends, in epoch seconds."""
    return timestamps.epoch(f"{timestamps.day_after(day)}T00:00:00Z")


def _period(key: RollUpKey) -> Period:
    """Return the day of a roll-up, or the month of a cohort or of statuses."""
    return key.period.partition("#")[2], key.parts[1]


def _is_month(period: Period) -> bool:
    return len(period[1]) == len("2026-11")


def _has_ended(period: Period) -> bool:
    zone, name = period
    return name < timestamps.day_of(clock.now(), zone)[: len(name)]


def _changed_periods(run: Recount, recorded: Iterable[str]) -> set[Period]:
    """Return the periods to which payments with a record of these days contribute, or did when they were counted."""
    periods: set[Period] = set()
    for batch in itertools.batched(_recorded_subjects(run, recorded), KEYS_PER_READ, strict=False):
        run.check_time()
        run.payments += sum(not is_plan(subject) for subject in batch)
        for subject, counted, now in _read(batch):
            if rollups.difference(counted, now) and not _is_recent(subject):
                run.missing.append(subject)
            periods |= set(map(_period, [*counted, *now]))
    return periods


def _recorded_subjects(run: Recount, recorded: Iterable[str]) -> list[str]:
    """Return the payments and plans with an audit record of these days."""
    subjects: dict[str, None] = {}
    for day in recorded:
        run.check_time()
        for number, key in enumerate(queries.records_of_day(day)):
            if number % KEYS_PER_READ == 0:
                run.check_time()
            subjects[key["subject"]["S"]] = None
    return list(subjects)


def _read(subjects: Iterable[str]) -> Iterator[tuple[str, Contribution, Contribution]]:
    """Yield each payment or plan with what was counted of it, and what it contributes now."""
    for subject, counted, now in analytics.contributions(subjects):
        yield subject, rollups.from_json(counted.figures), now


def _is_recent(subject: str) -> bool:
    if is_plan(subject):
        records = queries.recorded_trail(subject)
        return bool(records) and clock.now() - timestamps.epoch(records[-1]["recorded_at"]) < GRACE_S
    payment = stored.load_payments([subject]).get(subject)
    return payment is not None and clock.now() - timestamps.epoch(payment.updated_at) < GRACE_S


def _look_at(run: Recount, periods: list[Period], recorded: list[str]) -> Differences:
    """Compare the roll-ups of periods with their payments. A difference counts if it is still there later."""
    differences: Differences = {}
    for attempt in retry.attempts(retry.RECOUNT):
        if attempt > 1:
            run.check_time()
            clock.wait_s(LOOK_AGAIN_S)
        differences = _compare(run, periods, recorded) if periods else {}
        periods = sorted(set(map(_period, differences)))
        if not differences:
            break
    return differences


def _compare(run: Recount, periods: list[Period], recorded: list[str]) -> Differences:
    roll_ups: dict[RollUpKey, RollUp] = {}
    for period in periods:
        run.check_time()
        roll_ups |= {one.key: one for one in _roll_ups_of(period)}
    dates = sorted({*recorded, *(day for one in roll_ups.values() for day in one.recorded_days)})
    expected: Contribution = {}
    compared = set(periods)
    for batch in itertools.batched(_recorded_subjects(run, dates), KEYS_PER_READ, strict=False):
        run.check_time()
        for _, _, now in _read(batch):
            rollups.add_to(expected, {key: one for key, one in now.items() if _period(key) in compared})
    return _differences(roll_ups, expected)


def _roll_ups_of(period: Period) -> Iterator[RollUp]:
    zone, name = period
    partition = rollups.month_partition(name[:7], zone)
    kinds = dict.fromkeys((rollups.DAY, rollups.CODE, rollups.PLAN), partition)
    if _is_month(period):
        kinds = {rollups.COHORT: rollups.cohort_partition(zone), rollups.STATUS: rollups.status_partition(zone)}
    for kind, partition in kinds.items():
        yield from stored.between(partition, f"{kind}#{name}#", f"{kind}#{name}#\uffff")


def _differences(roll_ups: dict[RollUpKey, RollUp], expected: Contribution) -> Differences:
    pairs = {
        key: (roll_ups[key].figures if key in roll_ups else {}, expected.get(key, {}))
        for key in {**roll_ups, **expected}
    }
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


# --- by hand ---


def _every_payment(run: Recount) -> Iterator[tuple[str, ...]]:
    """Yield the ids of all payments, by the month of their creation."""
    for month in timestamps.months_between(FIRST_DAY, timestamps.day_of(clock.now(), timestamps.UTC_ZONE)):
        run.check_time()
        for batch in itertools.batched(queries.payments_of_month(month), KEYS_PER_READ, strict=False):
            run.check_time()
            yield batch


def _repair_payments(run: Recount, payment_ids: Sequence[str]) -> None:
    """Count these payments and their plans, as far as they were not counted as they are now."""
    plans = (payment.plan for payment in stored.load_payments(payment_ids).values() if payment.plan)
    run.payments += len(payment_ids)
    for subject, counted, now in _read([*payment_ids, *dict.fromkeys(plans)]):
        if not rollups.difference(counted, now):
            continue
        run.check_time()
        is_missing = analytics.count_subject(subject, queries.recorded_days_of(subject))
        if is_missing and not _is_recent(subject):
            run.missing.append(subject)
            run.repaired += 1


def _repair_roll_ups(run: Recount) -> None:
    """Correct each roll-up that is not the sum of what was counted, unless it has changed in the meantime.

    Counted contributions change only together with the roll-ups. So a payment that changed during the run has changed
    none of the roll-ups that still have their version at its end.
    """
    roll_ups = _every_roll_up(run)
    expected: Contribution = {}
    for counted in stored.every_counted():  # also of payments that were deleted after their retention period
        run.check_time()
        for one in counted:
            rollups.add_to(expected, rollups.from_json(one.figures))
    run.days = sum(not _is_month(period) for period in set(map(_period, roll_ups)))
    for key, (rolled_up, recounted) in _differences(roll_ups, expected).items():
        run.check_time()
        old = roll_ups.get(key, RollUp(key))
        try:
            stored.store([], [], [replace(old, figures=recounted)])
        except RollUpConflict:
            continue  # a payment changed it in the meantime: the next recount shows whether it differs
        run.differences[key] = rolled_up, recounted
        run.repaired += 1


def _every_roll_up(run: Recount) -> dict[RollUpKey, RollUp]:
    tomorrow = timestamps.day_after(timestamps.day_of(clock.now(), timestamps.UTC_ZONE))
    months = timestamps.months_between(timestamps.day_after(FIRST_DAY, -1), tomorrow)
    roll_ups: dict[RollUpKey, RollUp] = {}
    for zone in analytics.zones():
        by_month = [rollups.cohort_partition(zone), rollups.status_partition(zone)]
        for period in [*(rollups.month_partition(month, zone) for month in months), *by_month]:
            run.check_time()
            roll_ups |= {one.key: one for one in stored.between(period, rollups.CODE, f"{rollups.STATUS}~")}
    return roll_ups
