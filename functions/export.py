"""Makes an export that staff have ordered, or goes on with it: `{"export_id"}`. Answers its state."""

from collections.abc import Mapping
from typing import Any

from tuition.log import logger
from tuition.views import exports


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    try:
        made = exports.make(str(event["export_id"]), lambda: float(context.get_remaining_time_in_millis()) / 1000)
    except exports.ExportTaken as taken:
        logger.info("left to another", reason=str(taken))
        return {"state": "taken"}
    logger.info("export", export_id=made.export_id, state=made.state, rows=made.rows)
    return {"state": made.state, "rows": made.rows}
