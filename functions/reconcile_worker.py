"""Perform the tasks of the reconciler and of the daily audit that the queue names: one message, one task.

A message says only which task there is. Its item decides whether there is anything to do (`tuition.storage.tasks`), so
a message may come twice, late or never.
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.intake import books, reconcile
from tuition.log import logger
from tuition.storage import cursors


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Return the messages whose task could not be finished, as a partial batch response.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    remaining, failed = clock.remaining_of(context), []
    for record in event["Records"]:
        try:
            if record["body"].startswith(f"{cursors.BOOKS}:"):
                books.work(record["body"], remaining)
                continue
            run = reconcile.work(record["body"], remaining)
        except Exception:
            logger.exception("a task failed", task=record["body"])
            failed.append(record)
            continue
        if run is not None:
            logger.info("reconciled", task=record["body"], **run.to_json())
            if not run.done:
                failed.append(record)
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}
