"""Run or resume an export that staff have ordered. The event is `{"export_id"}`; the result is the export's state."""

from collections.abc import Mapping
from typing import Any

from tuition.log import logger
from tuition.views import exports


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    try:
        result = exports.make(str(event["export_id"]), lambda: float(context.get_remaining_time_in_millis()) / 1000)
    except exports.ExportTaken as taken:
        logger.info("export taken", reason=str(taken))
        return {"state": "taken"}
    logger.info("export", export_id=result.export_id, state=result.state, rows=result.rows)
    return {"state": result.state, "rows": result.rows}
