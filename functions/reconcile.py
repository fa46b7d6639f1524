"""Reconcile with Stripe every hour, or backfill the days of `{"backfill": {"from", "to"}}`.

The result is a report (`tuition.intake.reconcile.Run`). A backfill whose `done` is false continues at the next call.
While another run is in progress, a caller that `waits` gets `{"lease_taken": true}`. For any other that is an error.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.core import timestamps
from tuition.intake import reconcile
from tuition.log import logger
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    remaining, backfill = clock.remaining_of(context), event.get("backfill")

    def run() -> dict[str, Any]:
        if backfill is None:
            report = reconcile.run(remaining).to_json()
        else:
            report = reconcile.backfill(*timestamps.range_of_days(backfill, "backfill"), remaining).to_json()
        logger.info("reconciled", **report)
        return report

    return cursors.report_of(event, run)
