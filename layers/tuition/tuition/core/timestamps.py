"""Convert epoch seconds to and from RFC 3339 in UTC with milliseconds, the format of every stored time."""

from datetime import UTC, datetime


def iso(epoch_s: float) -> str:
    """Return a time as RFC 3339 UTC with milliseconds: `2026-11-23T18:30:00.000Z`."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(written: str) -> float:
    """Return the epoch seconds of a time that `iso` wrote."""
    return datetime.fromisoformat(written).timestamp()
