"""Reconcile with Stripe every hour, or backfill the days of `{"backfill": {"from", "to"}}`.

The result is a report (`tuition.intake.reconcile.Run`). A backfill whose `done` is false continues at the next call.
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

    backfill = event.get("backfill")
    run = reconcile.run(remaining) if backfill is None else reconcile.backfill(*_range(backfill), remaining)
    report = run.to_json()
    logger.info("reconciled", **report)
    return report


def _range(backfill: object) -> tuple[int, int]:
    """Return the epoch seconds at which the first day starts and the last day ends, in UTC. Raises `Unprocessable`."""
    try:
        first, last = (date.fromisoformat(backfill[name]) for name in ("from", "to"))  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise Unprocessable('Send {"backfill": {"from": "2026-11-01", "to": "2026-11-23"}}.', "backfill") from error
    if not first <= last:
        raise Unprocessable("The start date cannot be after the end date.", "backfill")
    return tuple(int(timestamps.epoch(f"{day}T00:00:00Z")) for day in (first, last + timedelta(days=1)))  # type: ignore[return-value]
