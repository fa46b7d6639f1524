"""Compare the archive with the audit table every morning, or a day by `{"day": "2026-11-23"}`.

With `{"repair": true}` the records that the archive does not have are archived. With `{"every_day": true}`, as its
hourly schedule sends, the comparison of all days continues, once a month. The result is a report
(`tuition.outbox.archive_check`). While another such run is in progress, it is `{"lease_taken": true}`.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.outbox import archive_check
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    remaining, repair = clock.remaining_of(context), event.get("repair") is True
    if event.get("every_day") is True:
        return cursors.report_of({"waits": True}, lambda: archive_check.compare_month(remaining))
    if event.get("day") is None and not repair:
        report = archive_check.daily(remaining)
    else:
        report = archive_check.compare(archive_check.parse_day(event.get("day")), remaining, repair=repair)
    logger.info(
        "archive compared", **{name: value for name, value in report.items() if name not in ("missing", "gaps")}
    )
    return report
