"""The reader of the audit table's stream: every change of a record is counted, whatever else is in the batch."""

import json
from typing import Any

import pytest

import archive
from tests import archive_bucket
from tests.archive_bucket import ArchiveBucket
from tests.unit.test_archive import item_of, record
from tuition import log

NAMES = iter(range(10**6))


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> ArchiveBucket:
    return archive_bucket.connect(monkeypatch)


def stream_record(operation: str, **more: Any) -> dict[str, Any]:
    """Return a record as Lambda passes it to a function."""
    key = {"subject": {"S": "pay_1"}, "sort_key": {"S": "2026-11-23T18:00:00.000Z#evt_1"}}
    images = (
        {"NewImage": item_of(record())}
        if operation == "INSERT"
        else {"OldImage": {**key, "type": {"S": "payment_intent.succeeded"}}}
    )
    change = {"Keys": key, "SequenceNumber": str(next(NAMES)), **images, **more}
    return {"eventName": operation, "eventSource": "aws:dynamodb", "dynamodb": change}


def counted(capsys: pytest.CaptureFixture[str], metric: str) -> int:
    """Return how often a metric was counted since the last call."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return sum(metric in line for line in lines)


def failures(result: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in result["batchItemFailures"]]


def test_new_records_are_archived_and_count_nothing(capsys: pytest.CaptureFixture[str], bucket: ArchiveBucket) -> None:
    assert archive.handler({"Records": [stream_record("INSERT"), stream_record("INSERT")]}, None) == {
        "batchItemFailures": []
    }
    assert capsys.readouterr().out == ""
    assert len(bucket.puts) == 1
    assert len(bucket.records) == 2


def test_a_change_is_counted_before_the_archive_is_written_and_although_it_fails(
    capsys: pytest.CaptureFixture[str], bucket: ArchiveBucket
) -> None:
    counts: list[int] = []

    def refuse(_object_key: str) -> bool:
        counts.append(counted(capsys, "AuditRecordChanged"))
        return True

    bucket.refuses = refuse
    new = stream_record("INSERT")
    result = archive.handler({"Records": [new, stream_record("MODIFY")]}, None)
    assert failures(result) == [new["dynamodb"]["SequenceNumber"]]
    assert counts == [1]


def test_a_changed_record_is_not_archived_again(bucket: ArchiveBucket) -> None:
    archive.handler({"Records": [stream_record("MODIFY", NewImage=item_of(record()))]}, None)
    assert bucket.puts == []


@pytest.mark.parametrize("operation", ["MODIFY", "REMOVE", "UNKNOWN"])
def test_every_changed_or_removed_record_is_counted(capsys: pytest.CaptureFixture[str], operation: str) -> None:
    batch = [stream_record("INSERT"), stream_record(operation), stream_record("INSERT"), stream_record(operation)]
    assert failures(archive.handler({"Records": batch}, None)) == []
    assert counted(capsys, "AuditRecordChanged") == 2


def test_the_log_names_a_changed_record_and_keeps_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(log.logger, "error", lambda message, **fields: lines.append(fields))
    archive.handler({"Records": [stream_record("MODIFY")]}, None)
    (line,) = lines
    assert (line["operation"], line["subject"]) == ("MODIFY", "pay_1")
    assert line["before"]["type"] == {"S": "payment_intent.succeeded"}


def test_a_record_that_cannot_be_read_is_retried_and_hides_no_change_behind_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    poison, change = stream_record("MODIFY", Keys=None), stream_record("REMOVE")
    result = archive.handler({"Records": [stream_record("INSERT"), poison, change]}, None)
    assert failures(result) == [poison["dynamodb"]["SequenceNumber"]]
    output = capsys.readouterr().out
    assert output.count('"AuditRecordChanged":[1.0]') == 2
    assert output.count('"AuditStreamFailed":[1.0]') == 1
