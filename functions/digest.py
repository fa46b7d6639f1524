"""Sign the digest of every full hour that has none, every hour. The result is a report (`tuition.outbox.digest`)."""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.outbox import digest


def handler(_event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    report = digest.make(clock.remaining_of(context))
    logger.info("digests", hours=len(report["hours"]), through=report["through"], done=report["done"])
    return report
