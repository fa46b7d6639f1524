"""Convert epoch seconds to and from RFC 3339 in UTC with milliseconds, the format of every stored time."""

from datetime import UTC, date, datetime, timedelta

from tuition.core.errors import Unprocessable


def iso(epoch_s: float) -> str:
    """Return a time as RFC 3339 UTC with milliseconds: `2026-11-23T18:30:00.000Z`."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(written: str) -> float:
    """Return the epoch seconds of a time that `iso` wrote."""
    return datetime.fromisoformat(written).timestamp()


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
