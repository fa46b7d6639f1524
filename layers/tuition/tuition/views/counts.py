"""How many payments were created on each day, for browsing by date. Past counts are stored, not counted again.

A payment's `created_at` never changes and no payment is deleted, so a count up to a past moment stays true. The count
of a month is stored in `analytics` with the cursor up to which it goes, and the next reader reads only the keys after
that cursor. A payment that is rebuilt into the past is missing from a stored count, so a count expires after
`MAX_AGE_S`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tuition import clock
from tuition.core import timestamps
from tuition.core.errors import Unprocessable
from tuition.storage import dynamodb, keys, queries
from tuition.storage.items import CountItem

MEASURE = "payments_by_day"
SETTLES_AFTER_S = 120
"""A payment's time is taken before its transaction, and an index follows its table: younger ones are not remembered."""
REMEMBER_FROM = 50
"""Fewer new keys than this are not worth a write."""
MAX_AGE_S = 30 * 86400
KEYS_PER_QUERY = 10_000
"""More than a query answers: it ends at 1 MB, some eight thousand keys."""
MAX_QUERIES = 40
"""Queries that one answer may make; the next goes on where it ended."""


@dataclass
class Month:
    """The days of one month that were counted up to `cursor`, counted anew since `counted_since` (epoch seconds)."""

    month: str
    days: Counter[str] = field(default_factory=Counter)
    cursor: str = ""
    counted_since: float = 0.0

    @property
    def end(self) -> str:
        """The first moment that is not in it."""
        first = date.fromisoformat(f"{self.month}-01")
        return (first + timedelta(days=31)).replace(day=1).isoformat()


def counts(asked: Mapping[str, str]) -> dict[str, Any]:
    """The counts of a `month`'s days or of a `year`'s months. Raises `Unprocessable`.

    `complete` false: there was more to count than one answer may read; asked again, it goes on.
    """
    if set(asked) == {"month"}:
        months, width = [_written(asked["month"], "month")], 10
    elif set(asked) == {"year"}:
        year = _written(asked["year"], "year")
        months, width = [f"{year}-{number:02d}" for number in range(1, 13)], 7
    else:
        raise Unprocessable("send month=2026-11 or year=2026, one of them", field="month")
    today = timestamps.iso(clock.now())[:7]
    remembered = _remembered([month for month in months if month <= today])
    budget = iter(range(MAX_QUERIES))
    found: Counter[str] = Counter()
    complete = True
    for month in remembered:
        fresh, whole = _counted(month, budget)
        complete &= whole
        for day, count in (month.days + fresh).items():
            found[day[:width]] += count
    shown = [{"period": period, "payments": count} for period, count in sorted(found.items())]
    return {"counts": shown, "complete": complete}


def _written(asked: str, name: str) -> str:
    """`2026` or `2026-11`, as it is written."""
    try:
        found = date.fromisoformat(asked + ("-01" if name == "month" else "-01-01"))
    except ValueError:
        found = None
    if found is None or not found.isoformat().startswith(asked) or not 2020 <= found.year < 2200:
        raise Unprocessable(f"{name} must be written as {'2026-11' if name == 'month' else '2026'}", field=name)
    return asked


def _remembered(months: list[str]) -> list[Month]:
    """What is known of each month: one batch read."""
    read = dynamodb.batch_get({CountItem: [keys.count_key(month, MEASURE) for month in months]})[CountItem]
    found = {month: Month(month, counted_since=clock.now()) for month in months}
    for item in map(CountItem.from_raw_data, read):
        if clock.now() - float(item.counted_since) < MAX_AGE_S:
            days = Counter({day: int(count) for day, count in item.counted.items()})
            found[item.period] = Month(item.period, days, item.cursor, float(item.counted_since))
    return list(found.values())


def _counted(month: Month, budget: Iterator[int]) -> tuple[Counter[str], bool]:
    """Count on from where the month's count ended; what is too young to be remembered, and whether all was read."""
    final = min(month.end, timestamps.iso(clock.now() - SETTLES_AFTER_S))
    if month.cursor >= month.end:
        return Counter(), True
    young: Counter[str] = Counter()
    new, cursor, whole = 0, month.cursor, True
    for key in _keys(month, budget):
        if key is None:
            whole = False
            break
        if key < final:
            month.days[key[:10]] += 1
            cursor, new = key, new + 1
        else:
            young[key[:10]] += 1
    closed = whole and final == month.end
    if closed or new >= REMEMBER_FROM:
        month.cursor = month.end if closed else cursor
        _remember(month)
    return young, whole


def _keys(month: Month, budget: Iterator[int]) -> Iterator[str | None]:
    """Yield the sort keys after the month's cursor, oldest first; None when the budget of queries is spent."""
    pages = queries.month_pages(month.month, month.cursor, KEYS_PER_QUERY)
    while next(budget, None) is not None:
        sort_keys, more = next(pages)
        yield from sort_keys
        if not more:
            return
    yield None


def _remember(month: Month) -> None:
    """Two who count at once write the same, or the shorter count wins and is counted on: no condition is needed."""
    dynamodb.put(
        CountItem(
            month.month,
            MEASURE,
            counted=dict(month.days),
            cursor=month.cursor,
            counted_since=int(month.counted_since),
        )
    )
