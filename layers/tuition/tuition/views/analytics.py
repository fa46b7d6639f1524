"""The figures of analytics for staff, summed from the roll-ups of days (`tuition.core.rollups`)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast, get_args

from tuition import clock
from tuition.core import catalog, rollups, timestamps
from tuition.core.errors import Unprocessable
from tuition.core.rollups import By, Figures
from tuition.core.timestamps import UTC_ZONE
from tuition.settings import settings
from tuition.storage import cursors
from tuition.storage import rollups as stored
from tuition.storage.rollups import RollUp

QUERY = ("from", "to", "by", "currency", "track", "zone")
ZONES = ("utc", "school")
DEFAULT_DAYS = 30
MAX_DAYS = 731
"""Two years, one of them a leap year: at most 25 partitions."""
AMOUNTS = ("created", "settled", "refunded", "lost", "fees")


@dataclass(frozen=True)
class Range:
    """The days to sum, both inclusive, in a time zone, and the currency and track to keep, if any."""

    first: str
    last: str
    by: By
    zone: str
    currency: str | None
    track: str | None


def analytics(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures by period and currency, their totals, and the result of the recount. Raises `Unprocessable`.

    A period without figures is left out.
    """
    selected = parse(query)
    periods: dict[tuple[str, str], Figures] = {}
    totals: dict[str, Figures] = {}
    for roll_up in _roll_ups(selected):
        _, day, currency, track, _ = roll_up.key.parts
        if selected.currency in (None, currency) and selected.track in (None, track):
            period = rollups.period_of(day, selected.by), currency
            periods[period] = rollups.added(periods.get(period, {}), roll_up.figures)
            totals[currency] = rollups.added(totals.get(currency, {}), roll_up.figures)
    return {
        "periods": [
            {"period": period, **_figures(currency, figures)} for (period, currency), figures in sorted(periods.items())
        ],
        "totals": [_figures(currency, figures) for currency, figures in sorted(totals.items())],
        "recount": _recount(),
    }


def parse(query: Mapping[str, str]) -> Range:
    """Read the range of days. Without one it is the last 30 days. Raises `Unprocessable`."""
    by, zone = query.get("by", "day"), query.get("zone", "utc")
    if by not in get_args(By):
        raise Unprocessable(f"by must be one of {', '.join(get_args(By))}", field="by")
    if zone not in ZONES:
        raise Unprocessable(f"zone must be one of {', '.join(ZONES)}", field="zone")
    zone = settings().school_time_zone if zone == "school" else UTC_ZONE
    last = _day(query, "to") or timestamps.day_of(clock.now(), zone)
    first = _day(query, "from") or timestamps.day_after(last, 1 - DEFAULT_DAYS)
    if not first <= last:
        raise Unprocessable("The start date cannot be after the end date.", field="from")
    if timestamps.day_after(first, MAX_DAYS) <= last:
        raise Unprocessable(f"Choose at most {MAX_DAYS} days.", field="from")
    track = query.get("track")
    if track is not None and track not in catalog.tracks():
        raise Unprocessable(f"track must be one of {', '.join(catalog.tracks())}", field="track")
    return Range(first, last, cast(By, by), zone, query.get("currency"), track)


def _day(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or not 2020 <= day.year < 2200:
        raise Unprocessable(f"{name} must be a day such as 2026-11-23", field=name)
    return text


def _roll_ups(selected: Range) -> Iterator[RollUp]:
    for month in timestamps.months_between(selected.first, selected.last):
        low, high = max(selected.first, f"{month}-01"), min(selected.last, f"{month}-31")
        partition = rollups.month_partition(month, selected.zone)
        yield from stored.between(partition, f"{rollups.DAY}#{low}", f"{rollups.DAY}#{high}#\uffff")


def _figures(currency: str, figures: Figures) -> dict[str, Any]:
    amounts = {name: figures.get(name, 0) for name in AMOUNTS}
    failures = {
        name.removeprefix(rollups.FAILURE): number
        for name, number in sorted(figures.items())
        if name.startswith(rollups.FAILURE)
    }
    net = amounts["settled"] - amounts["refunded"] - amounts["lost"] - amounts["fees"]
    return {
        "currency": currency,
        **amounts,
        "net": net,
        "payments": figures.get("payments", 0),
        "failures": failures,
    }


def _recount() -> dict[str, Any]:
    """Return the result of the newest recount. Everything is null before the first."""
    report = cursors.read_report(cursors.RECOUNT)
    if report is None:
        return {"at": None, "equal": None, "differences": []}
    missing = [
        {"roll_up": payment_id, "figure": "missing", "rolled_up": 0, "recounted": 1} for payment_id in report["missing"]
    ]
    return {"at": report["at"], "equal": report["equal"], "differences": [*missing, *report["differences"]]}
