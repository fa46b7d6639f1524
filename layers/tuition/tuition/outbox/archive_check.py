"""Compare the archive with the audit table: a day, and once a month every day since the archive began.

A record is complete in the archive if an object of its day or of the two days after it has its hash. Each day is
compared, so the positions of a subject have no gap up to its version. Positions of one day that are not consecutive
show a record that neither the table nor the archive has any more. A repair writes to the folder of its own day, because
the digests of older hours are signed. So a record that is missing is looked for in the later days, too.

The monthly comparison goes day by day, for at most five minutes of each hour, and stores the day that is next. A month
that is late is finished before the next one begins.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tuition import clock, metrics
from tuition.core import timestamps
from tuition.core.errors import Unprocessable
from tuition.core.stored import read
from tuition.log import logger
from tuition.outbox import archive
from tuition.storage import cursors, queries
from tuition.storage.dynamodb import Item

PAGE = 100
"""Records of the table that are read at once."""
DAYS_OF_OBJECTS = 3
"""The stream keeps a record for a day, and a batch may be read again in the last hour of it."""
MAX_LATER_DAYS = 366
"""Days behind those, in which repaired records are looked for."""
MAX_RECORDS = 3_000_000
"""Records of the archive in one comparison: some 500 MB of memory."""
MAX_LISTED = 100
"""Missing records and gaps that the report names."""
SCAN_S = 300.0
"""The monthly comparison begins no further day after so many seconds of an hour, so that it slows no table down."""
MAX_TRIES = 3
"""Runs of the monthly comparison that may fail in the same day before it is passed over."""
MAX_PROBLEM_DAYS = 100
"""Days with a problem that the report of a month names."""
LAST_S = 60.0
"""With less time than this a comparison ends, and says that it is not complete."""


@dataclass
class _Archived:
    """The archived records of some days: their hashes, and the first, last and number of positions per subject."""

    hashes: set[bytes] = field(default_factory=set)
    unreadable: int = 0
    positions: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Add a record. One that is in two objects counts once. One without a hash or position is `unreadable`."""
        try:
            record_hash, subject, seq = bytes.fromhex(record["hash"]), str(record["subject"]), int(record["seq"])
        except (KeyError, TypeError, ValueError):
            self.unreadable += 1
            return
        if record_hash in self.hashes:
            return
        self.hashes.add(record_hash)
        self.add_position(subject, seq)

    def add_position(self, subject: str, seq: int) -> None:
        """Add a position that the archive, or only the table, has."""
        first, last, number = self.positions.get(subject, (seq, seq, 0))
        self.positions[subject] = (min(first, seq), max(last, seq), number + 1)

    def gaps(self) -> list[str]:
        """Return the subjects of which a position between two others is missing."""
        return sorted(subject for subject, (first, last, number) in self.positions.items() if last - first + 1 > number)


def parse_day(text: object) -> str:
    """Return a day as it was sent; without one, the last whole day (UTC). Raises `Unprocessable`."""
    if text is None:
        return timestamps.day_after(timestamps.iso(clock.now())[:10], -1)
    try:
        return timestamps.day_after(str(text), 0)
    except ValueError as error:
        raise Unprocessable("The day is a date, such as 2026-11-23.", "day") from error


def compare(day: str, remaining: Callable[[], float], *, repair: bool = False) -> dict[str, Any]:
    """Compare a day. With `repair` archive the records of the table that the archive does not have. Return the report.

    `done` is False if the time or the memory did not suffice. Each missing record and each gap raises the alarm.
    """
    archived, is_whole = _read(day, remaining)
    report: dict[str, Any] = {"day": day, "archived": len(archived.hashes), "records": 0, "repaired": 0, "done": False}
    missing: dict[bytes, str] = {}
    after: str | None = None
    while is_whole and remaining() > LAST_S:
        clock.start_deadline()
        items, after = queries.page_of_day(day, PAGE, after)
        report["records"] += len(items)
        absent = {_name(item): item for item in items if bytes.fromhex(item["hash"]["S"]) not in archived.hashes}
        for name, item in absent.items():
            missing[bytes.fromhex(item["hash"]["S"])] = name
            archived.add_position(item["subject"]["S"], int(item["seq"]["N"]))
        if repair and absent:
            report["repaired"] += len(absent) - len(archive.write(absent))
        if after is None:
            report["done"] = True
            break
    if missing and not repair:
        report["done"] &= _remove_repaired(missing, day, remaining)
    names, gaps = list(missing.values()), archived.gaps()
    problems = len(missing) + len(gaps) + archived.unreadable + (not report["done"])
    if problems:
        metrics.count("ArchiveIncomplete", problems)
        logger.error(
            "the archive is not complete",
            day=day,
            missing=names[:MAX_LISTED],
            gaps=gaps[:MAX_LISTED],
            unreadable=archived.unreadable,
        )
    report |= {"complete": not problems, "missing_records": len(missing), "subjects_with_gaps": len(gaps)}
    report["unreadable"] = archived.unreadable
    return {**report, "missing": names[:MAX_LISTED], "gaps": gaps[:MAX_LISTED]}


def _read(day: str, remaining: Callable[[], float]) -> tuple[_Archived, bool]:
    """Read the archived records of a day and of the days after it. Also return whether all were read."""
    archived = _Archived()
    for number in range(DAYS_OF_OBJECTS):
        for records in archive.records_of(timestamps.day_after(day, number)):
            _add(archived, records)
            if remaining() < LAST_S or len(archived.hashes) > MAX_RECORDS:
                return archived, False
    return archived, True


def _remove_repaired(missing: dict[bytes, str], day: str, remaining: Callable[[], float]) -> bool:
    """Remove the missing records that an object of a later day has. Return whether all objects up to now were read."""
    today = timestamps.iso(clock.now())[:10]
    for number in range(DAYS_OF_OBJECTS, DAYS_OF_OBJECTS + MAX_LATER_DAYS):
        later = timestamps.day_after(day, number)
        if not missing or later > today:
            return True
        for records in archive.records_of(later):
            for record in records:
                missing.pop(_hash_of(record), None)
            if remaining() < LAST_S:
                return not missing
    return not missing


def _hash_of(record: dict[str, Any]) -> bytes:
    """Return the hash of an archived record; no bytes if it has none."""
    try:
        return bytes.fromhex(record["hash"])
    except (KeyError, TypeError, ValueError):
        return b""


def _add(archived: _Archived, records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        archived.add(record)


def _name(item: Item) -> str:
    return f"{item['subject']['S']} {item['sort_key']['S']}"


# --- every day, once a month ---


@dataclass
class Month:
    """How far the comparison of a month has come: the day that is next, and the days with a problem until now.

    `days` counts the days that were compared, from the first one of the archive to `through`. `tries` counts the runs
    that have begun the next day.
    """

    month: str
    next: str
    through: str
    started_at: str
    days: int = 0
    records: int = 0
    problem_days: list[str] = field(default_factory=list)
    tries: int = 0
    done_at: str | None = None


def daily(remaining: Callable[[], float]) -> dict[str, Any]:
    """Compare the last whole day, as the daily schedule does, and report how old the newest compared day is."""
    day = parse_day(None)
    report = compare(day, remaining)
    if report["done"]:
        metrics.age("ArchiveCheckAge", clock.now() - timestamps.epoch(f"{timestamps.day_after(day)}T00:00:00Z"))
    return report


def compare_month(remaining: Callable[[], float]) -> dict[str, Any]:
    """Continue the comparison of every day, as far as five minutes allow. Return a report. Raises `LeaseTaken`.

    A day that one run cannot compare to its end is named among the days with a problem, and the next one follows. So
    is a day in which `MAX_TRIES` runs have failed or were killed: it must not keep the later ones from being compared.
    """
    with cursors.lease(cursors.ARCHIVE):
        clock.start_deadline()
        month, ends = _month(), clock.monotonic() + SCAN_S
        while month.done_at is None and remaining() > LAST_S and clock.monotonic() < ends:
            if month.next > month.through:
                month.done_at = timestamps.iso(clock.now())
            elif month.tries >= MAX_TRIES:
                _pass_over(month)
            else:
                month.tries += 1
                cursors.store_report(vars(month), cursors.ARCHIVE)  # also a run that does not return has tried
                _compare_next(month, remaining)
            clock.start_deadline()
            cursors.store_report(vars(month), cursors.ARCHIVE)
        clock.start_deadline()
        cursors.store_report(vars(month), cursors.ARCHIVE)  # also that of a run without time for a day
        age = clock.now() - timestamps.epoch(month.started_at)
        metrics.age("ArchiveScanAge", 0.0 if month.done_at else age)
    return {**vars(month), "done": month.done_at is not None, "complete": not month.problem_days}


def _month() -> Month:
    """Return the newest comparison if it is of this month or unfinished; else a new one, until yesterday."""
    now, stored = timestamps.iso(clock.now()), cursors.read_report(cursors.ARCHIVE)
    if stored and (stored["month"] == now[:7] or stored["done_at"] is None):
        return read(Month, stored)
    yesterday = timestamps.day_after(now[:10], -1)
    return Month(now[:7], archive.first_day() or now[:10], yesterday, now)


def _compare_next(month: Month, remaining: Callable[[], float]) -> None:
    report = compare(month.next, remaining)
    month.days, month.records = month.days + 1, month.records + report["records"]
    _move_on(month, has_problem=not report["complete"])
    logger.info("archive compared", through=month.next, until=month.through, days=month.days, records=month.records)


def _pass_over(month: Month) -> None:
    metrics.count("ArchiveIncomplete")
    logger.error("the comparison of a day of the archive has failed repeatedly", day=month.next)
    _move_on(month, has_problem=True)


def _move_on(month: Month, *, has_problem: bool) -> None:
    if has_problem and len(month.problem_days) < MAX_PROBLEM_DAYS:
        month.problem_days.append(month.next)
    month.next, month.tries = timestamps.day_after(month.next), 0
