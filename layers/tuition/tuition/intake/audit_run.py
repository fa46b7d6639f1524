"""Run the daily audit: plan its tasks, have them performed, and add up what they found.

A day is compared in two stages. First Stripe's balance transactions are listed, and each payment stores its own. Then
the payments and users that have changed are compared, those that differed before, and from time to time the whole
tables. The second stage needs no list of transactions: each payment has its own (`tuition.intake.books`).

The plan of an audit is an item, and so is each task. A run performs tasks, and tells the reconciler's workers about
them, a few at a time, because the hourly run needs the same workers. A run that is killed or has no time left is
continued by the next one. The report of a day is stored once all tasks of the day are finished, and only then are they
removed. A task that fails is named in the report, and its day is not finished.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tuition import clock, metrics, retry
from tuition.core import books as core_books
from tuition.core import switches, timestamps
from tuition.core.books import Findings
from tuition.core.errors import Unprocessable
from tuition.intake import books, fan_out, task_queue, walk
from tuition.intake.walk import OutOfTime, Run
from tuition.settings import settings
from tuition.storage import cursors, dynamodb, keys, queries, tasks
from tuition.storage.items import EnrollmentItem, PaymentItem
from tuition.storage.tasks import StoredTask, Task

DAY_S = 86_400
HOUR_S = 3_600
MAX_DAYS = 31
"""Days that one audit compares. Days that were missed are made up for by the next."""
LATE_S = 5 * HOUR_S
"""The time of day (UTC) from which a run that continues also does what the daily run should have done at 04:00."""
MAX_TASKS = 2_500
"""Tasks in a plan. A day that would be beyond them waits until earlier days are finished: a plan is one item."""
MOVEMENTS_S = 300
"""The length of a window of a busy hour. At 100 purchases per second it has 30,000 transactions."""
RECORDS_S = 600
"""The length of a part of a busy hour. At 100 purchases per second each shard has about 7,500 payments in it."""
FEW_RECORDS = 1_000
"""Records of a shard that one task compares without being divided."""
SCAN_EVERY_DAYS = 7
"""How often the whole tables are compared."""
SMALL_SCAN = 20_000
"""Items of tables that are compared every day. It takes one worker some minutes."""
SEGMENTS = 64
"""Segments of a table with more than one page."""
OWN_TASK_S = 60.0
"""How long a run performs a task before it looks at the others again."""
WORKERS_SHARE = 3
"""One worker in so many receives tasks of the audit at once. The others are the hourly run's."""
LOOK_AHEAD = 4
"""A run looks at so many unfinished tasks for each of these workers."""


def compare(
    remaining: Callable[[], float], days: tuple[int, int] | None = None, *, only_continue: bool = False
) -> dict[str, Any]:
    """Compare some days (epoch seconds), or those since the last audit until yesterday. Return the report.

    An audit that is not finished continues. With `only_continue` nothing else is done, and what has failed is left. But
    from `LATE_S` on it starts the audit that the daily run has not started, because another run held the lease.
    Raises `LeaseTaken`, `StripeUnavailable`, `Unprocessable`.
    """
    if days and days[1] - days[0] > MAX_DAYS * DAY_S:
        raise Unprocessable(f"Compare at most {MAX_DAYS} days at once.", "days")
    with cursors.lease(cursors.BOOKS):
        now = walk.stripe_now()
        audit = _Audit(Run(remaining), days, now, only_continue=only_continue)
        audit.work()
        report = audit.report()
        through = (cursors.read_report() or {}).get("through")
        if through:
            metrics.age("BooksAge", max(0.0, now - _end(through)))
        elif audit.days:  # without a daily run there is no age, and that rings the alarm
            metrics.age("BooksAge", now - _start(min(audit.days)))
    return report


def _day(at: float) -> str:
    return timestamps.iso(at)[:10]


def _start(day: str) -> int:
    return int(timestamps.epoch(f"{day}T00:00:00Z"))


def _end(day: str) -> int:
    return _start(day) + DAY_S


def _is_late(through: str | None, now: int) -> bool:
    """Whether yesterday is not compared although the daily run was due. The first run is the daily one."""
    return through is not None and now % DAY_S >= LATE_S and _end(through) < now - now % DAY_S


def _days_since(through: str | None, now: int) -> tuple[int, int]:
    """Return the days since the last comparison, at most `MAX_DAYS`; the first run compares yesterday."""
    today = now - now % DAY_S
    first = _end(through) if through else today - DAY_S
    return max(min(first, today - DAY_S), today - MAX_DAYS * DAY_S), today


class _Audit:
    """An audit of some days, as its plan has it: the stage and the tasks of each day, and the sums of a finished one.

    The daily audit has one plan: days are added until all are finished. A range of days has a plan of its own.
    """

    def __init__(self, run: Run, days: tuple[int, int] | None, now: int, *, only_continue: bool) -> None:
        self._run, self._now, self._only_continue = run, now, only_continue
        self._is_daily = days is None
        self._name = f"{cursors.BOOKS}:{_day(days[0])}:{_day(days[1] - 1)}" if days else cursors.DAILY
        plan, self._shown = cursors.read_plan(self._name)
        oldest = _day(now - MAX_DAYS * DAY_S)
        self.days: dict[str, dict[str, Any]] = {
            day: {**entry, "tasks": [self._prefix(day) + name for name in entry["tasks"]]}
            for day, entry in (plan or {}).get("days", {}).items()
            if day >= oldest or not self._is_daily or entry["over"] is None
        }
        through = (cursors.read_report() or {}).get("through")
        first, until = days or _days_since(through, now)
        if not only_continue or _is_late(through, now):
            for at in range(first, until, DAY_S):
                self.days.setdefault(_day(at), {"stage": "", "tasks": [], "over": None})
        self.days = dict(sorted(self.days.items()))
        self._tried: set[str] = set()
        self._counted = list((self._shown or {}).get("differences", ()))
        self._has_workers = True

    # --- the stages of a day ---

    def work(self) -> None:
        """Bring each day as far as the time allows."""
        if not self.days:
            return
        try:
            for day, entry in self.days.items():
                if entry["over"] is None and (entry["stage"] or self._has_room()):
                    self._advance(day, entry)
                self._remove_tasks(entry)
        except OutOfTime:
            pass
        if self._is_finished:
            clock.start_deadline()
            cursors.remove(self._name)
        else:
            self._store_plan()
            self._store_findings()

    def _has_room(self) -> bool:
        return sum(len(entry["tasks"]) for entry in self.days.values()) <= MAX_TASKS

    @property
    def _is_finished(self) -> bool:
        return all(entry["over"] is not None and not entry["tasks"] for entry in self.days.values())

    def _advance(self, day: str, entry: dict[str, Any]) -> None:
        if not entry["stage"]:
            self._plan(entry, "movements", self._plan_movements(day))
        is_complete = self._perform(entry["tasks"])
        if entry["stage"] == "movements":
            self._plan(entry, "state", self._plan_state(day))
            is_complete = self._perform(entry["tasks"])
        if is_complete:
            self._close(day, entry)
        elif self._has_lost(entry["tasks"]):  # a restore takes tasks back: the next run plans the day again
            entry.update(stage="", tasks=[])

    @staticmethod
    def _has_lost(names: Iterable[str]) -> bool:
        batches = itertools.batched(names, tasks.ITEMS_PER_READ, strict=False)
        return any(len(tasks.read(batch)) < len(batch) for batch in batches)

    def _plan(self, entry: dict[str, Any], stage: str, planned: Iterable[Task]) -> None:
        """Store the tasks, then the plan that names them. A run that dies in between plans them again."""
        names = []
        for task in planned:
            self._run.check_time()
            clock.start_deadline()
            tasks.store(task)
            names.append(task.name)
        entry["tasks"] += names
        entry["stage"] = stage
        self._store_plan()

    def _prefix(self, day: str) -> str:
        return f"{self._name}:{day}:"

    def _store_plan(self) -> None:
        """Store the days, and the names of their tasks without what all of a day have in common."""
        days = {
            day: {**entry, "tasks": [name.removeprefix(self._prefix(day)) for name in entry["tasks"]]}
            for day, entry in self.days.items()
        }
        clock.start_deadline()
        cursors.store_plan(self._name, {"days": days})

    def _close(self, day: str, entry: dict[str, Any]) -> None:
        """Store the report of a day whose tasks are all finished. Until its plan says so, this may be repeated."""
        findings, rechecked = self._findings(entry["tasks"])
        clock.start_deadline()
        stored = cursors.read_report() or {}
        report = core_books.with_day(stored, findings, day, rechecked, timestamps.iso(self._now))
        entry["over"] = {"findings": findings.totals(), "sums": [one.to_json() for one in findings.by_group()]}
        if any(":every_payment:" in name for name in entry["tasks"]):
            # a day to come, of a range by hand, must not put off the next scan
            report["scanned"] = {"day": min(day, _day(self._now)), "items": findings.scanned}
        if self._is_daily:
            report["through"] = self._through(stored.get("through"))
        cursors.store_report({"through": None, **report})
        self._count(one for one in entry["over"]["sums"] if one["ids"])
        self._store_plan()

    def _through(self, before: str | None) -> str | None:
        """Return the last day until which every day is finished."""
        over = itertools.takewhile(lambda one: one[1]["over"] is not None, self.days.items())
        last = max((day for day, _ in over), default=None)
        return max(filter(None, (before, last)), default=None)

    def _remove_tasks(self, entry: dict[str, Any]) -> None:
        """Remove the tasks of a day whose report is stored."""
        if entry["over"] is None or not entry["tasks"]:
            return
        for name in entry["tasks"]:
            clock.start_deadline()
            cursors.remove(name)
        entry["tasks"] = []
        self._store_plan()

    # --- planning ---

    def _task(self, day: str, kind: tasks.Kind, number: int | str = "", **bounds: Any) -> Task:
        name, now = f"{self._prefix(day)}{kind}:{number}", int(clock.now())
        return Task(name, kind, until=_end(day), planned_at=now, **bounds)

    def _plan_movements(self, day: str) -> Iterator[Task]:
        for first, last in self._windows(_start(day), _end(day) - 1, (HOUR_S, MOVEMENTS_S)):
            yield self._task(day, "movements", first, first=first, last=last)

    def _windows(self, first: int, last: int, lengths: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Yield the windows of a range, both bounds inclusive. One with more than a page is divided."""
        self._run.check_time()
        if not lengths or not walk.page_created("balance_transactions", first, last)["has_more"]:
            yield first, last
            return
        for start in range(first, last + 1, lengths[0]):
            yield from self._windows(start, min(start + lengths[0] - 1, last), lengths[1:])

    def _plan_state(self, day: str) -> Iterator[Task]:
        for number, shard in enumerate(keys.shards("recorded_day", day)):
            for first, last in self._parts(shard, _start(day), _end(day), (HOUR_S, RECORDS_S)):
                yield self._task(day, "changed", f"{number}:{first}", shard=shard, first=first, last=last)
        clock.start_deadline()
        report = cursors.read_report() or {}
        subjects = dict.fromkeys([*switches.OF_SUBJECTS, *(one["ids"][0] for one in report.get("open", ()))])
        yield self._task(day, "subjects", subjects=tuple(subjects))
        if day == max(self.days) and _must_scan(day, report.get("scanned")):
            yield from self._plan_scan(day)

    def _parts(self, shard: str, first: int, last: int, lengths: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Yield the parts of a shard of a day that have records, each from `first` until before `last`."""
        self._run.check_time()
        clock.start_deadline()
        page = queries.page_of_records(shard, timestamps.iso(first), timestamps.iso(last), FEW_RECORDS)
        if not page.items:
            return
        if not lengths or page.last_key is None:
            yield first, last
            return
        for start in range(first, last, lengths[0]):
            yield from self._parts(shard, start, min(start + lengths[0], last), lengths[1:])

    def _plan_scan(self, day: str) -> Iterator[Task]:
        kinds: Mapping[tasks.Kind, type[EnrollmentItem | PaymentItem]] = {
            "users": EnrollmentItem,
            "every_payment": PaymentItem,
        }
        for kind, model in kinds.items():
            clock.start_deadline()
            is_small = dynamodb.scan_page(model, limit=books.ITEMS_PER_PAGE).last_key is None
            segments = 1 if is_small else SEGMENTS
            for segment in range(segments):
                yield self._task(day, kind, segment, segment=segment, segments=segments)

    # --- performing ---

    def _perform(self, names: Iterable[str]) -> bool:
        """Perform these tasks with the workers' help, until each is finished or has failed. Raises `OutOfTime`.

        Return whether all are finished.
        """
        pending, sent, is_complete = list(names), set[str](), True
        workers = max(1, settings().reconcile_concurrency // WORKERS_SHARE)
        waits = retry.attempts(retry.TASK_WAIT)
        next(waits)
        while pending:
            self._run.check_time()
            clock.start_deadline()
            looked = pending[: max(tasks.ITEMS_PER_READ, LOOK_AHEAD * workers)]
            stored = tasks.read(looked)
            over = {name for name in looked if self._is_over(name, stored.get(name))}
            is_complete = is_complete and all(_is_finished(stored.get(name)) for name in over)
            pending = [name for name in pending if name not in over]
            free = [name for name in looked if name not in over and not stored[name].is_held]
            self._tell(free[1:], workers - len(sent.intersection(pending)), sent, len(pending))
            if not any(map(self._try, free[:1])) and pending and not over and next(waits, None) is None:
                raise OutOfTime
        return is_complete

    def _is_over(self, name: str, stored: StoredTask | None) -> bool:
        """Whether this run has no more work with a task: it is finished, or it has failed and was tried again.

        A kind that only a later release knows is left to it. So the day is not finished, and other days are compared.
        """
        if stored is None or stored.report is not None:
            return True
        if stored.task.kind not in books.KINDS:
            return True
        if stored.is_held or not books.has_failed(stored.progress):
            return False
        return self._only_continue or name in self._tried

    def _tell(self, names: Iterable[str], room: int, sent: set[str], pending: int) -> None:
        """Tell the workers about some tasks, as long as they have room. A few tasks need no worker."""
        if pending <= fan_out.FEW_TASKS or not self._has_workers:
            return
        chosen = list(itertools.islice((name for name in names if name not in sent), max(0, room)))
        if chosen:
            self._has_workers = task_queue.send(chosen)
            sent.update(chosen)

    def _try(self, name: str) -> bool:
        """Perform a task for a while. Return False if another invocation has it."""
        clock.start_deadline()
        claimed = tasks.claim(name, self._run.remaining())
        if claimed is None:
            return False
        self._tried.add(name)
        is_finished = False
        run = replace(self._run, failed=[], unanswered_in_a_row=0)
        try:
            is_finished = books.perform(run, claimed, OWN_TASK_S)
        finally:
            if not is_finished:
                clock.start_deadline()
                tasks.release(claimed)
        return True

    # --- the report ---

    def _findings(self, names: Iterable[str]) -> tuple[Findings, set[str]]:
        """Return what tasks have found, also those that are not finished, and the subjects that were compared again."""
        findings, rechecked = Findings(), set[str]()
        for batch in itertools.batched(names, tasks.ITEMS_PER_READ, strict=False):
            clock.start_deadline()
            for one in tasks.read(batch).values():
                stored = one.report if one.report is not None else (one.progress or {}).get("findings", {})
                findings.add(Findings.from_json(stored))
                if one.report is not None:
                    rechecked.update(one.task.subjects)
        return findings, rechecked

    def _unfinished(self) -> list[str]:
        """Return the names of the tasks that are not finished, and of the days that have none yet."""
        names = []
        for day, entry in self.days.items():
            if entry["over"] is not None:
                continue
            names += [] if entry["stage"] == "state" else [f"{self._name}:{day}"]
            for batch in itertools.batched(entry["tasks"], tasks.ITEMS_PER_READ, strict=False):
                clock.start_deadline()
                stored = tasks.read(batch)
                names += [name for name in batch if not _is_finished(stored.get(name))]
        return names

    def _store_findings(self) -> None:
        """Store what has been found until now, for the console, and count what is new."""
        report = self.report()
        shown = {name: report[name] for name in ("differences", "unfinished")}
        clock.start_deadline()
        cursors.store_report(
            {
                "compared_at": timestamps.iso(self._now),
                "differences": shown["differences"][: core_books.MAX_UNFINISHED],
                "unfinished": shown["unfinished"][: core_books.MAX_UNFINISHED],
            },
            self._name,
        )
        self._count(report["differences"])

    def _count(self, differences: Iterable[Mapping[str, Any]]) -> None:
        """Count each difference once, also if an earlier run of this audit has found it."""
        for one in differences:
            if one not in self._counted:
                self._counted.append(dict(one))
                metrics.count("BooksDifference")

    def report(self) -> dict[str, Any]:
        """Return what the audit has done, for the log and for `make audit`."""
        total, sums = Findings(), []
        for entry in self.days.values():
            if entry["over"] is not None:
                total.add(Findings.from_json(entry["over"]["findings"]))
                sums += entry["over"]["sums"]
            elif entry["tasks"]:
                findings, _ = self._findings(entry["tasks"])
                total.add(replace(findings, sums={}, listed=[], others=[]))
                sums += [one.to_json() for one in findings.by_group()]
        unfinished = self._unfinished()
        return {
            "from": min(self.days, default=None),
            "through": max(self.days, default=None),
            "done": not unfinished,
            **{name: getattr(total, name) for name in ("checked", "confirmed", "foreign", "expired", "users")},
            "sums": sums,
            "differences": [one for one in sums if one["ids"]],
            "failed": list(total.failed.values())[: walk.MAX_LISTED_FAILURES],
            "unfinished": unfinished,
        }


def _is_finished(stored: StoredTask | None) -> bool:
    return stored is not None and stored.report is not None


def _must_scan(day: str, scanned: Mapping[str, Any] | None) -> bool:
    """Whether the whole tables are compared with this day: every week, and every day while they are small."""
    if scanned is None or scanned["items"] <= SMALL_SCAN:
        return True
    return _start(day) - _start(scanned["day"]) >= SCAN_EVERY_DAYS * DAY_S
