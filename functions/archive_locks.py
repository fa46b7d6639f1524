"""Continue the yearly sweep that extends or releases the locks of archive objects, every hour.

With `{"again": true}` a sweep begins now, unless one is unfinished. The result is a report
(`tuition.outbox.archive_locks`). While another run is in progress, it is `{"lease_taken": true}`.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.outbox import archive_locks
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    remaining, again = clock.remaining_of(context), event.get("again") is True
    return cursors.report_of({"waits": True}, lambda: archive_locks.run(remaining, again=again))
