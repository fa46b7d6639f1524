"""Do every day what the year still needs of the deletion of payments, with `{"delete": true}` as the schedule sends.

Without `delete`, the year's list is made and nothing is deleted. `{"part": 0}` shows a part of the list. The result is
a report (`tuition.intake.retention`). While another run is in progress, a caller that `waits` gets
`{"lease_taken": true}`. For any other that is an error.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.intake import retention
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    part = event.get("part")
    if type(part) is int:
        return retention.show(part)
    return cursors.report_of(
        event, lambda: retention.run(clock.remaining_of(context), delete=event.get("delete") is True)
    )
