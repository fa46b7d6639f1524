"""Every hour: what Stripe's webhooks did not tell. With `{"backfill": {"from", "to"}}`: what Stripe made in those days.

Answers what it did (`tuition.reconcile.Run`); a backfill whose `done` is false goes on when it is asked again.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from tuition.core import timestamps
from tuition.core.errors import Unprocessable
from tuition.intake import reconcile
from tuition.log import logger


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    asked = event.get("backfill")
    done = reconcile.run(remaining) if asked is None else reconcile.backfill(*_range(asked), remaining)
    report = done.to_json()
    logger.info("reconciled", **report)
    return report


def _range(asked: object) -> tuple[int, int]:
    """The epoch seconds of whole UTC days, both inclusive. Raises `Unprocessable`."""
    try:
        first, last = (date.fromisoformat(asked[name]) for name in ("from", "to"))  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise Unprocessable('send {"backfill": {"from": "2026-11-01", "to": "2026-11-23"}}', "backfill") from error
    if not first <= last:
        raise Unprocessable("from must not be after to", "backfill")
    return tuple(int(timestamps.epoch(f"{day}T00:00:00Z")) for day in (first, last + timedelta(days=1)))  # type: ignore[return-value]
