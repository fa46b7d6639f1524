"""Queue audit records for the roll-ups of analytics. `tuition.outbox.analytics` takes them from the queue.

A record may be queued twice: after a partial failure, and by every replay. It is counted once.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

import itertools
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tuition import aws_client, metrics
from tuition.core import rollups
from tuition.log import logger
from tuition.settings import settings

MESSAGES_PER_CALL = 10


def send(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Queue audit records by name, and return the names of those that the queue did not take.

    A call that was not answered fails with all behind it: the queue may have taken it.
    """
    entries = {name: entry for name, record in records.items() if (entry := rollups.queue_entry(record))}
    calls = list(itertools.batched(entries.items(), MESSAGES_PER_CALL, strict=False))
    failed: list[str] = []
    for number, call in enumerate(calls):
        names = [name for name, _ in call]
        messages = [_message(position, entry) for position, (_, entry) in enumerate(call)]
        try:
            response = _client().send_message_batch(QueueUrl=settings().analytics_queue_url, Entries=messages)
        except (ClientError, BotoCoreError):
            logger.exception("the queue of analytics did not take a call", messages=len(messages))
            metrics.count("EventNotPublished", len(messages))
            return failed + [name for later in calls[number:] for name, _ in later]
        refused = response.get("Failed", [])
        if refused:
            logger.error("the queue of analytics refused messages", codes=sorted({one["Code"] for one in refused}))
            metrics.count("EventNotPublished", len(refused))
            failed += [names[int(one["Id"])] for one in refused]
    return failed


def _message(position: int, entry: rollups.QueueEntry) -> dict[str, str]:
    return {
        "Id": str(position),
        "MessageBody": json.dumps(entry.body),
        "MessageGroupId": entry.group_id,
        "MessageDeduplicationId": entry.deduplication_id,
    }


@cache
def _client() -> Any:
    return aws_client.create("sqs", read_timeout_s=5)
