"""Collect the payment plans that are due, every quarter of an hour.

An event with `recompute` compares every plan with its payments instead, behind `after`.

The result is a report (`tuition.intake.walk.Run`). While another run is in progress, a caller that `waits` gets
`{"lease_taken": true}`. For any other that is an error.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.intake import collect
from tuition.log import logger
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    def run() -> dict[str, Any]:
        report = collect.run(clock.remaining_of(context)).to_json()
        logger.info("collected plans", **report)
        return report

    if event.get("recompute"):
        report = collect.recompute(clock.remaining_of(context), event.get("after"))
        logger.info("recomputed plans", **report)
        return report
    return cursors.report_of(event, run)
