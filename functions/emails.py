"""Send the emails that the queue's events ask for. The answer names the messages that the queue delivers again.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.log import logger
from tuition.outbox import emails
from tuition.outbox.emails import ClaimHeld
from tuition.outbox.ses import EmailRefused


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    failed = []
    for record in event["Records"]:
        clock.start_deadline()
        try:
            emails.handle(record["body"])
        except ClaimHeld:
            failed.append(record["messageId"])
        except EmailRefused as refused:
            logger.warning("SES refused an email", code=str(refused))
            failed.append(record["messageId"])
        except Exception:
            logger.exception("an event could not be followed by its email", message_id=record["messageId"])
            failed.append(record["messageId"])
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
