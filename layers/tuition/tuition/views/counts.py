"""Count the payments that were created on each day, for browsing by date. Counts of past days are stored.

A payment's `created_at` never changes and no payment is deleted, so a count up to a past moment stays true. The count
of a month is stored in `analytics` with the cursor up to which it goes, and the next reader reads only the keys after
that cursor. A payment that is rebuilt into the past is missing from a stored count, so a count expires after
`MAX_AGE_S`.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tuition import clock
from tuition.core import timestamps
from tuition.core.errors import Unprocessable
from tuition.storage import dynamodb, keys, queries
from tuition.storage.dynamodb import Partition
from tuition.storage.items import CountItem

MEASURE = "payments_by_day"
SETTLES_AFTER_S = 120
"""Younger payments are not in a stored count: they may still be missing from the index.

`created_at` is set before the transaction commits, and the index lags behind the table.
"""
REMEMBER_FROM = 50
"""Fewer new keys than this are not worth a write."""
MAX_AGE_S = 30 * 86400
KEYS_PER_QUERY = 10_000
"""More than a query returns: it ends at 1 MB, about eight thousand keys."""
MAX_QUERIES = 40
"""Queries that one request may make. The next request continues where it ended. A month needs one for each shard."""


class _BudgetSpent(Exception):
    """The queries that this request may make are used up."""


@dataclass
class Month:
    """The payments per day of one month, counted up to `cursor` since `counted_since` (epoch seconds)."""

    month: str
    days: Counter[str] = field(default_factory=Counter)
    cursor: str = ""
    counted_since: float = 0.0

    @property
    def end(self) -> str:
        """The first moment after the month."""
        first = date.fromisoformat(f"{self.month}-01")
        return (first + timedelta(days=31)).replace(day=1).isoformat()


def counts(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the counts per day of a `month`, or per month of a `year`. Raises `Unprocessable`.

    `complete` is false if there was more to count than one request may read. The next request continues.
    """
    if set(query) == {"month"}:
        months, width = [_period(query["month"], "month")], 10
    elif set(query) == {"year"}:
        year = _period(query["year"], "year")
        months, width = [f"{year}-{number:02d}" for number in range(1, 13)], 7
    else:
        raise Unprocessable("Send either month=2026-11 or year=2026.", field="month")
    this_month = timestamps.iso(clock.now())[:7]
    stored = _load([month for month in months if month <= this_month])
    budget = iter(range(MAX_QUERIES))
    totals: Counter[str] = Counter()
    complete = True
    for month in stored:
        young, whole = _count_on(month, budget)
        complete &= whole
        for day, count in (month.days + young).items():
            totals[day[:width]] += count
    periods = [{"period": period, "payments": count} for period, count in sorted(totals.items())]
    return {"counts": periods, "complete": complete}


def _period(text: str, name: str) -> str:
    """Check a period such as `2026` or `2026-11`, and return it."""
    try:
        first = date.fromisoformat(text + ("-01" if name == "month" else "-01-01"))
    except ValueError:
        first = None
    if first is None or not first.isoformat().startswith(text) or not 2020 <= first.year < 2200:
        raise Unprocessable(f"{name} must be written as {'2026-11' if name == 'month' else '2026'}", field=name)
    return text


def _load(months: list[str]) -> list[Month]:
    """Read the stored counts in one batch. A month without one, or with an expired one, starts empty."""
    raw = dynamodb.batch_get({CountItem: [keys.count_key(month, MEASURE) for month in months]})[CountItem]
    loaded = {month: Month(month, counted_since=clock.now()) for month in months}
    for item in map(CountItem.from_raw_data, raw):
        if clock.now() - float(item.counted_since) < MAX_AGE_S:
            days = Counter({day: int(count) for day, count in item.counted.items()})
            loaded[item.period] = Month(item.period, days, item.cursor, float(item.counted_since))
    return list(loaded.values())


def _count_on(month: Month, budget: Iterator[int]) -> tuple[Counter[str], bool]:
    """Count from the month's cursor on. Return the counts that are too young to store, and whether all was read."""
    final = min(month.end, timestamps.iso(clock.now() - SETTLES_AFTER_S))
    if month.cursor >= month.end:
        return Counter(), True
    young: Counter[str] = Counter()
    new, cursor, whole = 0, month.cursor, True
    try:
        for key in _keys(month, budget):
            if key < final:
                month.days[key[:10]] += 1
                cursor, new = key, new + 1
            else:
                young[key[:10]] += 1
    except _BudgetSpent:
        whole = False
    closed = whole and final == month.end
    if closed or new >= REMEMBER_FROM:
        month.cursor = month.end if closed else cursor
        _store(month)
    return young, whole


def _keys(month: Month, budget: Iterator[int]) -> Iterator[str]:
    """Yield the sort keys after the month's cursor, oldest first. Raises `_BudgetSpent`.

    The shards are merged, so each key that was yielded is older than all that were not, in every shard.
    """
    after = month.cursor or month.month
    return heapq.merge(*(_shard_keys(shard, after, budget) for shard in queries.by_month(month.month)))


def _shard_keys(shard: Partition, after: str, budget: Iterator[int]) -> Iterator[str]:
    pages = queries.month_pages(shard, after, KEYS_PER_QUERY)
    more = True
    while more:
        if next(budget, None) is None:
            raise _BudgetSpent
        sort_keys, more = next(pages)
        yield from sort_keys


def _store(month: Month) -> None:
    """Store a count. No condition is needed: if a shorter concurrent count wins, the next request continues from it."""
    dynamodb.put(
        CountItem(
            month.month,
            MEASURE,
            counted=dict(month.days),
            cursor=month.cursor,
            counted_since=int(month.counted_since),
        )
    )
