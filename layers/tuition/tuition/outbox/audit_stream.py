"""Read the audit table's stream: archive each new record, and raise an alarm if a record is changed or removed.

The table's policy denies updates, deletions and puts outside a transaction. It cannot deny a put inside a transaction
over a record that exists. DynamoDB reports such a put as MODIFY, and a deletion as REMOVE. The log only grows, so
everything but INSERT is a change of history. Changes are counted before anything is archived, so that a slow or failing
archive does not delay their alarm.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tuition import metrics
from tuition.log import logger
from tuition.outbox import archive


def read(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Read stream records, and return the sequence numbers of those that could not be read or archived.

    A record that cannot be read never hides a change behind it: the rest of the batch is read all the same.
    """
    failed, new = [], {}
    for record in records:
        change = record["dynamodb"]
        sequence_number = str(change["SequenceNumber"])
        try:
            if record["eventName"] == "INSERT":
                new[sequence_number] = change.get("NewImage", {})
            else:
                _count(record)
        except Exception:
            logger.exception("a stream record cannot be read", sequence_number=sequence_number)
            metrics.count("AuditStreamFailed")
            failed.append(sequence_number)
    return failed + archive.write(new)


def _count(record: Mapping[str, Any]) -> None:
    """Count a change or removal. The log keeps the record as it was, because the stream forgets it after a day."""
    change = record["dynamodb"]
    metrics.count("AuditRecordChanged")
    logger.error(
        "an audit record was changed",
        operation=record["eventName"],
        subject=change["Keys"]["subject"]["S"],
        sort_key=change["Keys"]["sort_key"]["S"],
        before=change.get("OldImage"),
    )
