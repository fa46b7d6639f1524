"""Keep the tables of the console from the events of the queue, or rebuild them with `{"rebuild": true}`.

The result of a batch names the messages that the queue delivers again. That of a rebuild has `after` until it is done:
invoke the function again with it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.outbox import console_tables


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    if event.get("rebuild") is True:
        report = console_tables.rebuild(event.get("after"), clock.remaining_of(context))
        logger.info("rebuilt", refreshed=report["refreshed"], done=report["after"] is None)
        return report
    failed = console_tables.read(event["Records"])
    logger.info("stored for the console", events=len(event["Records"]), failed=len(failed))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
