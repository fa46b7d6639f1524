"""Compare the archive with the audit table, for the records that were committed on one day.

A record is complete in the archive if an object of its day or of the two days after it has its hash. Each day is
compared, so the positions of a subject have no gap up to its version. Positions of one day that are not consecutive
show a record that neither the table nor the archive has any more. A repair writes to the folder of its own day, because
the digests of older hours are signed. So a record that is missing is looked for in the later days, too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tuition import clock, metrics
from tuition.core import timestamps
from tuition.core.errors import Unprocessable
from tuition.log import logger
from tuition.outbox import archive
from tuition.storage import queries
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
LAST_S = 60.0
"""With less time than this a comparison ends, and says that it is not complete."""


@dataclass
class _Archived:
    """The archived records of some days: their hashes, and the first, last and number of positions per subject."""

    hashes: set[bytes] = field(default_factory=set)
    positions: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Add a record. One that is in two objects counts once."""
        record_hash = bytes.fromhex(record["hash"])
        if record_hash in self.hashes:
            return
        self.hashes.add(record_hash)
        self.add_position(str(record["subject"]), int(record["seq"]))

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
    problems = len(missing) + len(gaps) + (not report["done"])
    if problems:
        metrics.count("ArchiveIncomplete", problems)
        logger.error("the archive is not complete", day=day, missing=names[:MAX_LISTED], gaps=gaps[:MAX_LISTED])
    report |= {"complete": not problems, "missing_records": len(missing), "subjects_with_gaps": len(gaps)}
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
                missing.pop(bytes.fromhex(record["hash"]), None)
            if remaining() < LAST_S:
                return not missing
    return not missing


def _add(archived: _Archived, records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        archived.add(record)


def _name(item: Item) -> str:
    return f"{item['subject']['S']} {item['sort_key']['S']}"
