"""Convert epoch seconds to and from RFC 3339 in UTC with milliseconds, the format of every stored time."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache

from tuition.core.errors import Unprocessable


def iso(epoch_s: float) -> str:
    """Return a time as RFC 3339 UTC with milliseconds: `2026-11-23T18:30:00.000Z`."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(written: str) -> float:
    """Return the epoch seconds of a time that `iso` wrote."""
    return datetime.fromisoformat(written).timestamp()


def from_query(written: str, name: str) -> str:
    """Return a time that a caller sent as RFC 3339, in UTC as `iso` writes it. Raises `Unprocessable`."""
    try:
        at = datetime.fromisoformat(written)
        if at.tzinfo is None or "T" not in written:
            raise ValueError("a time needs an offset")
        return iso(at.timestamp())
    except (ValueError, OverflowError) as error:
        raise Unprocessable(f"{name} must be a time such as 2026-11-28T13:00:00Z", field=name) from error


def range_of_days(days: object, name: str) -> tuple[int, int]:
    """Return the epoch seconds at which the first day starts and the last day ends, in UTC.

    `days` is `{"from", "to"}`, the value of the field `name`. Raises `Unprocessable`.
    """
    try:
        first, last = (date.fromisoformat(days[key]) for key in ("from", "to"))  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        text = f'Send {{"{name}": {{"from": "2026-11-01", "to": "2026-11-23"}}}}.'
        raise Unprocessable(text, name) from error
    if not first <= last:
        raise Unprocessable("The start date cannot be after the end date.", name)
    return int(epoch(f"{first}T00:00:00Z")), int(epoch(f"{last + timedelta(days=1)}T00:00:00Z"))


UTC_ZONE = "UTC"


@cache
def zone_info(zone: str) -> tzinfo:
    """Return a time zone by its name in the IANA database, such as `Europe/Berlin`. Raises `ValueError`.

    The package tzdata has the database, because a Lambda runtime need not. Source: https://www.iana.org/time-zones
    """
    import zoneinfo

    if zone == UTC_ZONE:
        return UTC
    try:
        return zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"{zone!r} is not the name of a time zone.") from error


def day_of(epoch_s: float, zone: str) -> str:
    """Return the day of a moment in a time zone: `2026-11-23`."""
    return datetime.fromtimestamp(epoch_s, zone_info(zone)).date().isoformat()


def week_of(day: str) -> str:
    """Return the ISO week of a day: `2026-W48`."""
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02d}"


def months_between(first: str, last: str) -> list[str]:
    """Return the months (`2026-11`) from that of the first day to that of the last."""
    months, month, end = [], date.fromisoformat(first).replace(day=1), date.fromisoformat(last)
    while month <= end:
        months.append(month.isoformat()[:7])
        month = (month + timedelta(days=32)).replace(day=1)
    return months


def day_after(day: str, days: int = 1) -> str:
    """Return the day that is so many days later."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def in_words(day: str) -> str:
    """Write a day in English: `29 December 2026`."""
    parsed = date.fromisoformat(day)
    return f"{parsed.day} {parsed:%B %Y}"


def is_day(text: object) -> bool:
    """Whether a text is a day such as `2026-11-23`."""
    try:
        return isinstance(text, str) and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def days_between(first: str, last: str) -> int:
    """Return how many days a day is after another."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def months_after(day: str, months: int) -> str:
    """Return the same day of a later month: its last day if the month is shorter, as 28 February after 31 January."""
    start = date.fromisoformat(day)
    years, month = divmod(start.month - 1 + months, 12)
    first = date(start.year + years, month + 1, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return first.replace(day=min(start.day, last.day)).isoformat()


def start_of(day: str, zone: str) -> int:
    """Return the epoch seconds at which a day starts in a time zone."""
    first = date.fromisoformat(day)
    return int(datetime(first.year, first.month, first.day, tzinfo=zone_info(zone)).timestamp())
