"""Archive a batch of the audit table's stream. The result names the records that failed, for Lambda to retry.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from collections.abc import Mapping
from typing import Any

from tuition.log import logger
from tuition.outbox import audit_stream


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    failed = audit_stream.read(event["Records"])
    logger.info("audit stream", records=len(event["Records"]), failed=len(failed))
    return {"batchItemFailures": [{"itemIdentifier": sequence_number} for sequence_number in failed]}
