"""Count the audit records that the queue names into the roll-ups of analytics.

The result names the messages that could not be counted, for SQS to deliver again, as a partial batch response.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.outbox import analytics

DEADLINE_S = 6.0


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    clock.start_deadline(DEADLINE_S)
    failed = analytics.read(event["Records"])
    logger.info("analytics", records=len(event["Records"]), failed=len(failed))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
