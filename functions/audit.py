"""Compare our books with Stripe's every day, or for the days of `{"days": {"from", "to"}}`.

The result is a report (`tuition.intake.books`). Without `days` it compares the days since the last run.
While another run is in progress, a caller that `waits` gets `{"lease_taken": true}`. For any other that is an error.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.core import timestamps
from tuition.intake import books
from tuition.log import logger
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    days = event.get("days")
    period = None if days is None else timestamps.range_of_days(days, "days")

    def run() -> dict[str, Any]:
        report = books.compare(clock.remaining_of(context), period)
        counts = {name: value for name, value in report.items() if name not in ("sums", "differences")}
        logger.info("compared", **counts)
        return report

    return cursors.report_of(event, run)
