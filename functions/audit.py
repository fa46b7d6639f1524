"""Compare our books with Stripe's every day, or for the days of `{"days": {"from", "to"}}`.

The result is a report (`tuition.intake.books`). Without `days` it compares the days since the last run.
While another run is in progress, a caller that `waits` gets `{"lease_taken": true}`. For any other that is an error.
"""

from collections.abc import Mapping
from typing import Any

from tuition.core import timestamps
from tuition.intake import books
from tuition.log import logger
from tuition.storage.cursors import LeaseTaken


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    days = event.get("days")
    try:
        report = books.compare(remaining, None if days is None else timestamps.range_of_days(days, "days"))
    except LeaseTaken:
        if event.get("waits"):
            return {"lease_taken": True}  # an error would ring an alarm, and roll back a release in progress
        raise
    logger.info("compared", **{name: value for name, value in report.items() if name not in ("sums", "differences")})
    return report
