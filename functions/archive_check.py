"""Compare the archive with the audit table every morning, or a day by `{"day": "2026-11-23"}`.

With `{"repair": true}` the records that the archive does not have are archived. The result is a report
(`tuition.outbox.archive_check`).
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.outbox import archive_check


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    day = archive_check.parse_day(event.get("day"))
    report = archive_check.compare(day, clock.remaining_of(context), repair=event.get("repair") is True)
    logger.info(
        "archive compared", **{name: value for name, value in report.items() if name not in ("missing", "gaps")}
    )
    return report
