"""Compare our books with Stripe's every day, or for the days of `{"days": {"from", "to"}}`.

The result is a report (`tuition.intake.audit_run`). Without `days` it compares the days since the last audit. An audit
whose `done` is false continues at the next call. With `{"only_continue": true}`, as its second schedule sends, nothing
else is done, unless the daily run is late. While another run is in progress, such a call and a caller that `waits` get
`{"lease_taken": true}`. For any other that is an error.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.core import timestamps
from tuition.intake import audit_run
from tuition.log import logger
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    days, only_continue = event.get("days"), event.get("only_continue") is True
    period = None if days is None else timestamps.range_of_days(days, "days")

    def run() -> dict[str, Any]:
        report = audit_run.compare(clock.remaining_of(context), period, only_continue=only_continue)
        counts = {name: value for name, value in report.items() if name not in ("sums", "differences")}
        logger.info("compared", **counts)
        return report

    return cursors.report_of({"waits": only_continue, **event}, run)
