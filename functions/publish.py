"""Publish a batch of the audit table's stream, or replay the records that `{"replay": …}` names.

The result of a batch names the records that could not be published, for Lambda to retry. That of a replay is
`tuition.outbox.replay.page`'s.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from collections.abc import Mapping
from typing import Any

from tuition.log import logger
from tuition.outbox import publish, replay


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    if "replay" in event:
        result = replay.page(event["replay"])
        logger.info("replayed", records=result["records"], events=result["events"], failed=len(result["failed"]))
        return result
    failed = publish.read(event["Records"])
    logger.info("published", records=len(event["Records"]), failed=len(failed))
    return {"batchItemFailures": [{"itemIdentifier": sequence_number} for sequence_number in failed]}
