"""Times as Tuition writes them: RFC 3339 in UTC with milliseconds."""

from datetime import UTC, datetime


def iso(epoch_s: float) -> str:
    """RFC 3339 UTC with milliseconds, as every time of ours is written: `2026-11-23T18:30:00.000Z`."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(written: str) -> float:
    """The epoch seconds of a time that `iso` wrote."""
    return datetime.fromisoformat(written).timestamp()
