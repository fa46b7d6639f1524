"""The local delivery of a stream: tries, halves and failures as Lambda has them."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest

from local import stream
from local.change_set import DeployedStack
from local.stream import Stopped, expired, first_failure, passing, undelivered

RECORDS = [{"number": number} for number in range(8)]


def no_wait(seconds: float) -> bool:
    return False


class Function:
    """A function that fails at some records, and remembers every record that it has read."""

    def __init__(self, *poison: int, partial: bool = True) -> None:
        self.poison = poison
        self.partial = partial
        self.calls = 0
        self.read: list[int] = []

    def __call__(self, records: Sequence[Any]) -> int | None:
        self.calls += 1
        numbers = [record["number"] for record in records]
        first = next((at for at, number in enumerate(numbers) if number in self.poison), None)
        if first is None:
            self.read += numbers
            return None
        self.read += numbers[:first] if self.partial else []
        return first if self.partial else 0


def test_a_batch_without_a_failure_is_delivered_once() -> None:
    function = Function()
    assert undelivered(RECORDS, function, retries=3, bisect=True, wait=no_wait) == []
    assert (function.calls, function.read) == (1, list(range(8)))


@pytest.mark.parametrize("partial", [True, False], ids=["partial response", "function fails"])
def test_one_poison_record_fails_alone_after_a_bounded_number_of_tries(partial: bool) -> None:
    function = Function(5, partial=partial)
    assert undelivered(RECORDS, function, retries=3, bisect=True, wait=no_wait) == [{"number": 5}]
    assert sorted(function.read) == [0, 1, 2, 3, 4, 6, 7]
    assert function.calls <= 12


def test_without_halves_a_batch_fails_from_its_poison_record_on() -> None:
    assert undelivered(RECORDS, Function(5), retries=3, bisect=False, wait=no_wait) == [
        {"number": n} for n in (5, 6, 7)
    ]


def test_a_record_that_fails_only_once_is_delivered() -> None:
    attempts: list[int] = []

    def invoke(records: Sequence[Any]) -> int | None:
        attempts.append(len(records))
        return 0 if len(attempts) == 1 else None

    assert undelivered(RECORDS[:1], invoke, retries=3, bisect=True, wait=no_wait) == []


def test_tries_are_apart_by_waits_that_grow_up_to_a_limit() -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    assert undelivered(RECORDS[:1], Function(0), retries=8, bisect=True, wait=wait) == RECORDS[:1]
    assert waits == [0.05, 0.1, 0.2, 0.4, *[stream.MAX_WAIT_SECONDS] * 4]
    waits.clear()
    assert undelivered(RECORDS, Function(), retries=8, bisect=True, wait=wait) == []
    assert waits == []


def test_a_reader_that_is_stopped_makes_no_further_try_and_fails_no_record() -> None:
    function = Function(5)
    with pytest.raises(Stopped):
        undelivered(RECORDS, function, retries=8, bisect=True, wait=lambda seconds: True)
    assert sorted(function.read) == [0, 1, 2, 3, 4]


class Aws:
    """The calls of a reader, with a function that fails for some tries.

    The stream has one record. The others come once it was read.
    """

    def __init__(self, failing_tries: int = 0, records: int = 1) -> None:
        self.failing_tries = failing_tries
        self.expected_records = records
        self.tries = 0
        self.records: list[Any] = []
        self.batches: list[int] = []
        self.stored: list[Any] = []
        self._add_record()

    def _add_record(self) -> None:
        change = {"SequenceNumber": str(len(self.records)), "ApproximateCreationDateTime": datetime.now(UTC)}
        self.records.append({"eventName": "INSERT", "dynamodb": change})

    def client(self, name: str) -> Any:
        return self

    def describe_table(self, **_: Any) -> Any:
        return {"Table": {"LatestStreamArn": "arn"}}

    def describe_stream(self, **_: Any) -> Any:
        return {"StreamDescription": {"Shards": [{"ShardId": "1"}]}}

    def get_shard_iterator(self, **_: Any) -> Any:
        return {"ShardIterator": "0"}

    def get_records(self, *, ShardIterator: str, Limit: int) -> Any:
        start = int(ShardIterator)
        records = self.records[start : start + Limit]
        while len(self.records) < self.expected_records:
            self._add_record()
        return {"Records": records, "NextShardIterator": str(start + len(records))}

    def invoke(self, *, Payload: bytes, **_: Any) -> Any:
        self.tries += 1
        self.batches.append(len(json.loads(Payload)["Records"]))
        error = {"FunctionError": "Unhandled"} if self.tries <= self.failing_tries else {}
        return {"Payload": BytesIO(b"{}"), **error}

    def put_object(self, **params: Any) -> None:
        self.stored.append(params)


def reader_of(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> stream.StreamReader:
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.01)
    resources = {"PublishFunction": "publish", "FailedRecordsBucket": "bucket", "AuditTable": "audit"}
    mapping = {
        "FunctionName": {"Ref": "PublishFunction"},
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRetryAttempts": 8,
        "MaximumRecordAgeInSeconds": 21600,
        "BisectBatchOnFunctionError": True,
    }
    deployed: Any = DeployedStack(resources, {}, {})
    emulated: Any = aws
    return stream.StreamReader(emulated, deployed, "PublishedRecords", mapping)


def wait_for_tries(aws: Aws, number: int) -> None:
    deadline = time.monotonic() + 30
    while aws.tries < number and time.monotonic() < deadline:
        time.sleep(0.01)
    assert aws.tries >= number


def test_records_that_come_within_the_window_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws(records=3)
    reader = reader_of(aws, monkeypatch)
    wait_for_tries(aws, 1)
    reader.stop()
    assert aws.batches == [3]


def test_a_function_that_fails_for_a_moment_loses_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws(failing_tries=3)
    reader = reader_of(aws, monkeypatch)
    wait_for_tries(aws, 4)
    reader.stop()
    assert (aws.tries, aws.stored) == (4, [])


def test_stopping_ends_the_wait_for_another_try_and_keeps_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "FIRST_WAIT_SECONDS", 60.0)
    monkeypatch.setattr(stream, "MAX_WAIT_SECONDS", 60.0)
    aws = Aws(failing_tries=99)
    reader = reader_of(aws, monkeypatch)
    wait_for_tries(aws, 1)
    reader.stop()
    assert not reader._thread.is_alive()
    assert (aws.tries, aws.stored) == (1, [])


# --- the response of a function ---


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b'{"batchItemFailures": []}', None),
        (b'{"batchItemFailures": null}', None),
        (b"{}", None),
        (b"null", None),
        (b"", None),
        (b'{"batchItemFailures": [{"itemIdentifier": "12"}, {"itemIdentifier": "11"}]}', 1),
        (b'{"batchItemFailures": [{"itemIdentifier": "99"}]}', 0),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', 0),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', 0),
        (b'{"batchItemFailures": [{"sequenceNumber": "11"}]}', 0),
        (b'{"batchItemFailures": ["11"]}', 0),
        (b'["11"]', 0),
        (b"Internal Server Error", 0),
    ],
)
def test_a_malformed_response_fails_its_batch_and_ends_no_reader(body: bytes, position: int | None) -> None:
    records = [{"dynamodb": {"SequenceNumber": number}} for number in ("10", "11", "12")]
    assert first_failure(body, records) == position


# --- the settings of a mapping ---

NEW_RECORDS = {"FilterCriteria": {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]}}


def test_a_filter_passes_only_what_it_names() -> None:
    records = [{"eventName": name} for name in ("INSERT", "MODIFY", "REMOVE")]
    assert passing(records, NEW_RECORDS) == records[:1]
    assert passing(records, {}) == records


def test_a_filter_that_the_local_reader_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="eventName only"):
        passing([], {"FilterCriteria": {"Filters": [{"Pattern": '{"dynamodb": {}}'}]}})


def test_a_record_beyond_the_greatest_age_is_not_delivered() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    records = [
        {"dynamodb": {"ApproximateCreationDateTime": now - timedelta(seconds=seconds)}} for seconds in (60, 61, 0)
    ]
    assert expired(records, {"MaximumRecordAgeInSeconds": 60}, now.timestamp()) == records[1:2]


def test_an_empty_batch_is_not_delivered() -> None:
    function = Function()
    assert undelivered([], function, retries=3, bisect=True, wait=no_wait) == []
    assert function.calls == 0
