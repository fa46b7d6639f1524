"""Deliver the audit table's stream to its functions, in place of the mappings that MiniStack cannot show.

MiniStack loses a record that a partial batch response names, together with all records behind it in the batch, and
keeps no failed record in S3. These readers do both as Lambda does, with the settings of the template's mappings: the
filter, the window in which a batch is collected, tries, halves and the greatest age. They collect a batch for a tenth
of the window. They wait between tries, but for shorter times: so a bus or a table that is out of reach for a second
loses nothing, and a poison record costs three seconds. They check an age before the first try only.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.change_set import DeployedStack
from local.ministack import MiniStack

POLL_SECONDS = 0.05
"""Between two reads. A read without records takes two seconds, because MiniStack waits for them."""
WINDOW_SHARE = 0.1
"""The part of a mapping's batching window for which a batch is collected here."""
ERROR_SECONDS = 0.5
STOP_SECONDS = 5
FIRST_WAIT_SECONDS = 0.05
MAX_WAIT_SECONDS = 0.5
"""Between two tries. Each wait is twice the one before, up to this."""
MAPPINGS = ("AuditStream", "PublishedRecords")
"""The mappings of the stream. A stream has room for two readers."""

Record = Mapping[str, Any]


class Stopped(Exception):
    """The reader was stopped between two tries. Its records are neither delivered nor failed."""


def undelivered(
    records: Sequence[Record],
    invoke: Callable[[Sequence[Record]], int | None],
    *,
    retries: int,
    bisect: bool,
    wait: Callable[[float], bool],
) -> list[Record]:
    """Deliver a batch as Lambda does, and return the records that failed in every try.

    ``invoke`` returns the position of the first record that failed, None if there is none. The next try starts at that
    record. ``bisect`` delivers the halves of a failed batch on their own, each with all of its tries. ``wait``
    waits for some seconds before another try, and returns True if there must be none. Raises :class:`Stopped`.
    """
    for attempt in range(retries + 1 if records else 0):
        if attempt and wait(min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (attempt - 1))):
            raise Stopped
        failed = invoke(records)
        if failed is None:
            return []
        records = records[failed:]
        if bisect and len(records) > 1:
            half = len(records) // 2
            parts = (records[:half], records[half:])
            failures = (undelivered(part, invoke, retries=retries, bisect=True, wait=wait) for part in parts)
            return [record for part in failures for record in part]
    return list(records)


def passing(records: Sequence[Record], mapping: Mapping[str, Any]) -> list[Record]:
    """Return the records that the filters of a mapping pass. Raises ValueError for a filter on anything but the name.

    https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html
    """
    filters = [json.loads(one["Pattern"]) for one in mapping.get("FilterCriteria", {}).get("Filters", [])]
    if any(set(pattern) != {"eventName"} for pattern in filters):
        raise ValueError("the local reader knows filters on eventName only")
    names = {name for pattern in filters for name in pattern["eventName"]}
    return [record for record in records if not filters or record["eventName"] in names]


def expired(records: Sequence[Record], mapping: Mapping[str, Any], now: float) -> list[Record]:
    """Return the records that are older than the mapping delivers. Lambda keeps them without a try."""
    oldest = now - mapping["MaximumRecordAgeInSeconds"]
    return [record for record in records if record["dynamodb"]["ApproximateCreationDateTime"].timestamp() < oldest]


def first_failure(body: bytes, records: Sequence[Record]) -> int | None:
    """Return the position of the first record that a response names as failed, None if it names none.

    As for Lambda, an empty response is a success. One that is malformed, or that names a record of another batch, is a
    failure of the whole batch.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    try:
        failures = (json.loads(body or b"{}") or {}).get("batchItemFailures") or []
        failed = {failure["itemIdentifier"] for failure in failures}
    except (AttributeError, KeyError, TypeError, ValueError):
        return 0
    positions = {_sequence_number(record): at for at, record in enumerate(records)}
    return min((positions.get(one, 0) for one in failed), default=None)


class StreamReader:
    """A thread that reads the stream of the deployed audit table for one mapping until :meth:`stop`."""

    def __init__(self, aws: MiniStack, deployed: DeployedStack, name: str, mapping: Mapping[str, Any]) -> None:
        self._name = name
        self._function = deployed.resources[mapping["FunctionName"]["Ref"]]
        self._bucket = deployed.resources["FailedRecordsBucket"]
        self._mapping = mapping
        self._streams = aws.client("dynamodbstreams")
        self._lambda = aws.client("lambda")
        self._s3 = aws.client("s3")
        table = aws.client("dynamodb").describe_table(TableName=deployed.resources["AuditTable"])["Table"]
        self._arn = table["LatestStreamArn"]
        self._last: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name=name, daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """Stop soon. `stop` also waits for it."""
        self._stopped.set()

    def stop(self) -> None:
        """Stop after the current batch, or between two tries of it. A new reader delivers such a batch again."""
        self.request_stop()
        self._thread.join(STOP_SECONDS)

    def _read(self) -> None:
        """Read page by page. A failed call starts again behind the last record that was delivered."""
        iterator: str | None = None
        pause = POLL_SECONDS
        while not self._stopped.wait(pause):
            try:
                iterator = self._deliver_page(iterator or self._iterator())
                pause = POLL_SECONDS
            except (BotoCoreError, ClientError):
                iterator = None
                pause = ERROR_SECONDS
            except Stopped:
                return

    def _iterator(self) -> str:
        shards = self._streams.describe_stream(StreamArn=self._arn)["StreamDescription"]["Shards"]
        start: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if self._last is not None:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._last}
        response = self._streams.get_shard_iterator(StreamArn=self._arn, ShardId=shards[0]["ShardId"], **start)
        return str(response["ShardIterator"])

    def _deliver_page(self, iterator: str) -> str | None:
        """Wait for a record, collect others for the mapping's window, and deliver them. Return the next iterator."""
        page = self._streams.get_records(ShardIterator=iterator, Limit=1)
        if page["Records"]:
            if self._stopped.wait(self._mapping["MaximumBatchingWindowInSeconds"] * WINDOW_SHARE):
                raise Stopped
            page = self._streams.get_records(ShardIterator=iterator, Limit=self._mapping["BatchSize"])
            records = [{**record, "eventSourceARN": self._arn} for record in page["Records"]]
            self._deliver(passing(records, self._mapping))
            self._last = _sequence_number(records[-1])
        following: str | None = page.get("NextShardIterator")
        return following

    def _deliver(self, records: Sequence[Record]) -> None:
        old = expired(records, self._mapping, time.time())
        failed = undelivered(
            [record for record in records if record not in old],
            self._invoke,
            retries=self._mapping["MaximumRetryAttempts"],
            bisect=self._mapping["BisectBatchOnFunctionError"],
            wait=self._stopped.wait,
        )
        if old or failed:
            self._keep([*old, *failed])

    def _invoke(self, records: Sequence[Record]) -> int | None:
        """Invoke the function. Return the position of the first record that failed: 0 if the function failed."""
        payload = json.dumps({"Records": records}, default=_epoch).encode()
        response = self._lambda.invoke(FunctionName=self._function, Payload=payload)
        body = response["Payload"].read()
        return 0 if response.get("FunctionError") else first_failure(body, records)

    def _keep(self, records: Sequence[Record]) -> None:
        """Store records that failed in every try in the mapping's bucket."""
        object_key = f"aws/lambda/{self._name}/{_sequence_number(records[0])}.json"
        body = json.dumps({"payload": {"Records": records}}, default=_epoch).encode()
        self._s3.put_object(Bucket=self._bucket, Key=object_key, Body=body)


def _sequence_number(record: Record) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def _epoch(value: Any) -> float:
    """Encode the time of a record as Lambda does: in epoch seconds."""
    return float(value.timestamp())
