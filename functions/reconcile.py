"""Reconcile with Stripe every hour, or backfill the days of `{"backfill": {"from", "to"}}`.

The result is a report (`tuition.intake.reconcile.Run`). A backfill whose `done` is false continues at the next call.
"""

from collections.abc import Mapping
from typing import Any

from tuition.core import timestamps
from tuition.intake import reconcile
from tuition.log import logger


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    backfill = event.get("backfill")
    if backfill is None:
        run = reconcile.run(remaining)
    else:
        run = reconcile.backfill(*timestamps.range_of_days(backfill, "backfill"), remaining)
    report = run.to_json()
    logger.info("reconciled", **report)
    return report
