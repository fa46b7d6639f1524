"""Compare our books with Stripe's every day, or for the days of `{"days": {"from", "to"}}`.

The result is a report (`tuition.intake.books`). Without `days` it compares the days since the last run.
"""

from collections.abc import Mapping
from typing import Any

from tuition.core import timestamps
from tuition.intake import books
from tuition.log import logger


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    days = event.get("days")
    report = books.compare(remaining, None if days is None else timestamps.range_of_days(days, "days"))
    logger.info("compared", **{name: value for name, value in report.items() if name not in ("sums", "differences")})
    return report
