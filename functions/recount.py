"""Recount the roll-ups of analytics every night, or all of them with `{"full": true}`.

The result is a report (`tuition.outbox.recount`). While another run is in progress, a caller that `waits` gets
`{"lease_taken": true}`. For any other that is an error.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.outbox import recount
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    remaining = clock.remaining_of(context)

    def run() -> dict[str, Any]:
        report = recount.full(remaining) if event.get("full") is True else recount.nightly(remaining)
        logger.info("recounted", **{name: value for name, value in report.items() if name != "differences"})
        return report

    return cursors.report_of(event, run)
