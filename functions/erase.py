"""Perform the erasures that are due, every five minutes, or again after a restore with `{"again": true}`.

The result is a report (`tuition.payments.erasure`).
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.payments import erasure


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    remaining = clock.remaining_of(context)
    report = asdict(erasure.again(remaining) if event.get("again") is True else erasure.run(remaining))
    logger.info("erasures", **report)
    return report
