"""The figures of analytics for staff, summed from the roll-ups of days (`tuition.core.rollups`)."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast, get_args

from tuition import clock
from tuition.core import catalog, rollups, timestamps
from tuition.core.errors import Unprocessable
from tuition.core.payment import STATUSES
from tuition.core.rollups import By, Figures
from tuition.core.timestamps import UTC_ZONE
from tuition.settings import school_time_zone
from tuition.storage import cursors
from tuition.storage import rollups as stored
from tuition.storage.rollups import RollUp
from tuition.views.filters import parse_currency

STATUSES_QUERY = ("first_month", "last_month", "track")
DETAILS_QUERY = ("from", "to", "currency", "track", "zone")
QUERY = ("from", "to", "by", "currency", "track", "zone")
FIRST_MONTH, LAST_MONTH = "2020-01", "2199-12"
ZONES = ("utc", "school")
DEFAULT_DAYS = 30
MAX_DAYS = 731
"""Two years, one of them a leap year: at most 25 partitions."""
MAX_CODES = 50
"""The most used codes of a range that are shown."""
MAX_CODE_ROLL_UPS = 20_000
"""Roll-ups of codes that one request reads: one for each code, day, currency and track."""
OUTCOMES = ("payments", "paid", "settlements", "recovered", "refunds", "disputes", "disputed", "settled", "refunded")
AMOUNTS = ("created", "settled", "refunded", "lost", "fees")
OF_PLANS = ("settlements", "settled", *rollups.PLAN_FIGURES)


@dataclass(frozen=True)
class Range:
    """The days to sum, both inclusive, in a time zone, and the currency and track to keep, if any."""

    first: str
    last: str
    by: By
    zone: str
    currency: str | None
    track: str | None

    def has(self, currency: str, track: str) -> bool:
        """Whether figures of this currency and track are kept."""
        return self.currency in (None, currency) and self.track in (None, track)


def analytics(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures by period and currency, their totals, and the result of the recount. Raises `Unprocessable`.

    A period without figures is left out. The range names its zone, so that a reader can tell which day is today in it.
    """
    selected = parse(query)
    payments, plans = _by_period(selected, rollups.DAY), _by_period(selected, rollups.PLAN)
    of_payments, of_plans = _by_currency(payments), _by_currency(plans)
    return {
        "periods": [
            {"period": key[0], **_figures(key[1], payments.get(key, {}), plans.get(key, {}))}
            for key in sorted({**payments, **plans})
        ],
        "totals": [
            _figures(currency, of_payments.get(currency, {}), of_plans.get(currency, {}))
            for currency in sorted({**of_payments, **of_plans})
        ],
        "range": {"from": selected.first, "to": selected.last, "zone": selected.zone},
        "recount": _recount(),
    }


def _by_period(selected: Range, kind: str) -> dict[tuple[str, str], Figures]:
    """Return the figures of one kind of roll-up, by period and currency."""
    sums: dict[tuple[str, str], Figures] = {}
    for roll_up in _roll_ups(selected, kind):
        _, day, currency, track, _ = roll_up.key.parts
        if roll_up.figures and selected.has(currency, track):
            key = rollups.period_of(day, selected.by), currency
            sums[key] = rollups.added(sums.get(key, {}), roll_up.figures)
    return sums


def _by_currency(periods: Mapping[tuple[str, str], Figures]) -> dict[str, Figures]:
    sums: dict[str, Figures] = {}
    for (_, currency), figures in periods.items():
        sums[currency] = rollups.added(sums.get(currency, {}), figures)
    return sums


def details(query: Mapping[str, str]) -> dict[str, Any]:
    """Return outcomes by currency, track and method, the most used codes, cohorts and plans. Raises `Unprocessable`.

    `complete` is false if the range has more codes than one request may read.
    """
    selected = parse(query)
    by_method: dict[tuple[str, str, str], Figures] = {}
    for roll_up in _roll_ups(selected):
        _, _, currency, track, method = roll_up.key.parts
        if selected.has(currency, track):
            group = currency, track, method
            by_method[group] = rollups.added(by_method.get(group, {}), roll_up.figures)
    codes, complete = _codes(selected)
    return {
        "outcomes": [
            {"currency": currency, "track": track, "method": method, **_outcomes(figures)}
            for (currency, track, method), figures in sorted(by_method.items())
        ],
        "codes": codes,
        "complete": complete,
        "cohorts": list(_cohorts(selected)),
        "plans": _plans(selected),
    }


def _plans(selected: Range) -> list[dict[str, Any]]:
    """Return the figures of plans in the range, by currency, track or membership, and kind of plan."""
    groups: dict[tuple[str, str, str], Figures] = {}
    for roll_up in _roll_ups(selected, rollups.PLAN):
        _, _, currency, track, kind = roll_up.key.parts
        if selected.has(currency, track):
            group = currency, track, kind
            groups[group] = rollups.added(groups.get(group, {}), roll_up.figures)
    return [
        {"currency": currency, "track": track, "kind": kind, **_of_plans(figures)}
        for (currency, track, kind), figures in sorted(groups.items())
    ]


def _of_plans(figures: Figures) -> Figures:
    return {name: figures.get(name, 0) for name in OF_PLANS}


def _outcomes(figures: Figures) -> dict[str, int | None]:
    settlements = figures.get("settlements", 0)
    mean = figures.get("seconds_to_pay", 0) // settlements if settlements else None
    return {**{name: figures.get(name, 0) for name in OUTCOMES}, "mean_seconds_to_pay": mean}


def statuses(query: Mapping[str, str]) -> dict[str, Any]:
    """Return how many payments have each status, and when these numbers last changed. Raises `Unprocessable`.

    Those created in whole months (UTC), all of them by default. One query: an item for each month and track.
    """
    first, last = _month(query, "first_month"), _month(query, "last_month")
    if first and last and first > last:
        raise Unprocessable("The first month cannot be after the last month.", field="first_month")
    low, high = f"{rollups.STATUS}#{first or FIRST_MONTH}#", f"{rollups.STATUS}#{last or LAST_MONTH}#\uffff"
    track = _track(query)
    counted = [
        roll_up
        for roll_up in stored.between(rollups.status_partition(UTC_ZONE), low, high)
        if track in (None, roll_up.key.parts[2])
    ]
    figures: Figures = {}
    for roll_up in counted:
        figures = rollups.added(figures, roll_up.figures)
    return {
        "all": sum(figures.get(status, 0) for status in STATUSES),
        "statuses": {status: figures.get(status, 0) for status in STATUSES},
        "partly_refunded": figures.get(rollups.PARTLY_REFUNDED, 0),
        "disputed": figures.get(rollups.DISPUTED, 0),
        "changed_at": max((roll_up.changed_at for roll_up in counted if roll_up.changed_at), default=None),
    }


def _codes(selected: Range) -> tuple[list[dict[str, Any]], bool]:
    """Return the most used codes of the range, and whether all of its roll-ups were read."""
    roll_ups = list(itertools.islice(_roll_ups(selected, rollups.CODE), MAX_CODE_ROLL_UPS + 1))
    uses: dict[tuple[str, str], Figures] = {}
    for roll_up in roll_ups[:MAX_CODE_ROLL_UPS]:
        _, _, currency, track, code = roll_up.key.parts
        if selected.has(currency, track):
            uses[code, currency] = rollups.added(uses.get((code, currency), {}), roll_up.figures)
    most_used = sorted(uses.items(), key=lambda item: (-item[1].get("uses", 0), item[0]))[:MAX_CODES]
    return [
        {"code": code, "currency": currency, "uses": figures.get("uses", 0), "discount": figures.get("discount", 0)}
        for (code, currency), figures in most_used
    ], len(roll_ups) <= MAX_CODE_ROLL_UPS


def _cohorts(selected: Range) -> Iterator[dict[str, Any]]:
    """Yield the cohorts of the range's months. A cohort has no currency, because it counts students."""
    first, last = selected.first[:7], selected.last[:7]
    partition = rollups.cohort_partition(selected.zone)
    for roll_up in stored.between(partition, f"{rollups.COHORT}#{first}#", f"{rollups.COHORT}#{last}#\uffff"):
        _, month, track = roll_up.key.parts
        if selected.track in (None, track):
            counts = {name: roll_up.figures.get(name, 0) for name in ("enrolled", "refunded")}
            yield {"month": month, "track": track, **counts}


def parse(query: Mapping[str, str]) -> Range:
    """Read the range of days. Without one it is the last 30 days. Raises `Unprocessable`, `NotConfigured`."""
    by, zone = query.get("by", "day"), query.get("zone", "utc")
    if by not in get_args(By):
        raise Unprocessable(f"by must be one of {', '.join(get_args(By))}", field="by")
    if zone not in ZONES:
        raise Unprocessable(f"zone must be one of {', '.join(ZONES)}", field="zone")
    zone = school_time_zone() if zone == "school" else UTC_ZONE
    last = _day(query, "to") or timestamps.day_of(clock.now(), zone)
    first = _day(query, "from") or timestamps.day_after(last, 1 - DEFAULT_DAYS)
    if not first <= last:
        raise Unprocessable("The start date cannot be after the end date.", field="from")
    if timestamps.day_after(first, MAX_DAYS) <= last:
        raise Unprocessable(f"Choose at most {MAX_DAYS} days.", field="from")
    track = _track(query)
    return Range(first, last, cast(By, by), zone, parse_currency(query), track)


def _track(query: Mapping[str, str]) -> str | None:
    track = query.get("track")
    if track is not None and track not in catalog.codes():
        raise Unprocessable(f"track must be one of {', '.join(catalog.codes())}", field="track")
    return track


def _month(query: Mapping[str, str], name: str) -> str | None:
    month = query.get(name)
    if month is not None and not (re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month) and month < "2200"):
        raise Unprocessable(f"{name} must be a month such as 2026-11", field=name)
    return month


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


def _roll_ups(selected: Range, kind: str = rollups.DAY) -> Iterator[RollUp]:
    for month in timestamps.months_between(selected.first, selected.last):
        low, high = max(selected.first, f"{month}-01"), min(selected.last, f"{month}-31")
        partition = rollups.month_partition(month, selected.zone)
        yield from stored.between(partition, f"{kind}#{low}", f"{kind}#{high}#\uffff")


def _figures(currency: str, figures: Figures, plans: Figures) -> dict[str, Any]:
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
        "plans": _of_plans(plans),
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
