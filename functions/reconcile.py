"""Reconcile with Stripe every hour, or backfill the days of `{"backfill": {"from", "to"}}`.

The result is a report (`tuition.intake.reconcile.Run`). A backfill whose `done` is false continues at the next call.
While another run is in progress, a caller that `waits` gets `{"lease_taken": true}`. For any other that is an error.
"""

from collections.abc import Mapping
from typing import Any

from tuition.core import timestamps
from tuition.intake import reconcile
from tuition.log import logger
from tuition.storage.cursors import LeaseTaken


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    backfill = event.get("backfill")
    try:
        if backfill is None:
            run = reconcile.run(remaining)
        else:
            run = reconcile.backfill(*timestamps.range_of_days(backfill, "backfill"), remaining)
    except LeaseTaken:
        if event.get("waits"):
            return {"lease_taken": True}  # an error would ring an alarm, and roll back a release in progress
        raise
    report = run.to_json()
    logger.info("reconciled", **report)
    return report
