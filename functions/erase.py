"""Perform the erasures that are due, every five minutes, or again after a restore with `{"again": true}`.

The result is a report (`tuition.payments.erasure`). After a restore it has `next`, if the time was up before every
erasure was on the list again: invoke the function again with it as `after`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.payments import erasure


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    remaining = clock.remaining_of(context)
    if event.get("again") is True:
        report, continues = erasure.again(remaining, event.get("after"))
        result = asdict(report) | ({"next": continues} if continues else {})
    else:
        result = asdict(erasure.run(remaining))
    logger.info("erasures", **{name: value for name, value in result.items() if name != "next"})
    return result
