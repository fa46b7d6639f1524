"""Tell the reconciler's workers which tasks there are. The queue only speeds up: the tasks themselves are in a table.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

import itertools
from collections.abc import Iterable
from functools import cache
from typing import Any

from tuition import aws_client
from tuition.log import logger
from tuition.settings import settings

MESSAGES_PER_SEND = 10


def send(names: Iterable[str]) -> bool:
    """Send the name of each task. Return whether the queue took them all; without a queue there are no workers.

    A name that it did not take is logged. The run that planned the task performs it.
    """
    url = settings().reconcile_queue_url
    if not url:
        return False
    import botocore.exceptions

    is_complete = True
    for batch in itertools.batched(names, MESSAGES_PER_SEND, strict=False):
        entries = [{"Id": str(number), "MessageBody": name} for number, name in enumerate(batch)]
        try:
            failed = _client().send_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            logger.exception("the queue took no task")
            return False
        if failed:
            logger.warning("the queue refused tasks", codes=[one["Code"] for one in failed])
            is_complete = False
    return is_complete


@cache
def _client() -> Any:
    return aws_client.create("sqs", read_timeout_s=4)
