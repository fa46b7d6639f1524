"""Run or resume an export that staff have ordered. The event is `{"export_id"}`; the result is the export's state."""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.views import exports


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    try:
        result = exports.make(str(event["export_id"]), clock.remaining_of(context))
    except exports.ExportTaken as taken:
        logger.info("export taken", reason=str(taken))
        return {"state": "taken"}
    logger.info("export", export_id=result.export_id, state=result.state, rows=result.rows)
    return {"state": result.state, "rows": result.rows}
