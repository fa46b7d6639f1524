"""The reader of the audit table's stream that publishes events: what it sends, and which records it reports."""

import json
from typing import Any

import pytest

import publish as function
from tests import event_bus
from tests.event_bus import EventBus, Queue
from tests.unit.test_audit_stream import counted, failures
from tools import published_events as reference
from tuition.core import emails, published_events
from tuition.core.audit import AuditEntry, Record
from tuition.outbox import publish
from tuition.storage import dynamodb, mapping


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> EventBus:
    return event_bus.connect(monkeypatch)


@pytest.fixture
def queue(bus: EventBus, monkeypatch: pytest.MonkeyPatch) -> Queue:
    return event_bus.connect_queue(monkeypatch)


def item(seq: int, transition: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the audit item of a payment that is created, unless another transition is given."""
    created = {"status": {"from": None, "to": "CREATED"}, "currency": "usd"}
    entry = AuditEntry("2026-11-23T18:30:00.000Z", f"evt_{seq}", "payment.created", "request")
    record = Record(f"pay_{seq}", 1, entry, "u", "DP", created if transition is None else transition)
    return dynamodb.to_raw(mapping.record_to_item(record, 1_795_458_600))


def batch(*items: dict[str, Any], name: str = "INSERT") -> dict[str, Any]:
    changes = [{"SequenceNumber": str(100 + number), "NewImage": one} for number, one in enumerate(items)]
    return {"Records": [{"eventName": name, "dynamodb": change} for change in changes]}


def deliver(*items: dict[str, Any]) -> list[str]:
    return failures(function.handler(batch(*items), None))


def test_each_new_record_becomes_its_events(bus: EventBus) -> None:
    assert deliver(item(1), item(2, {})) == []
    assert [entry["DetailType"] for entry in bus.entries] == [
        published_events.PAYMENT_CREATED,
        published_events.PAYMENT_CHANGED,
        published_events.PAYMENT_RECORDED,
    ]
    assert {(entry["Source"], entry["EventBusName"]) for entry in bus.entries} == {("tuition", "tuition")}
    assert bus.details[0]["subject"] == "pay_1" and bus.details[0]["recorded_at"] == "2026-11-23T18:30:00.000Z"
    assert bus.entries[0]["Time"] == 1_795_458_600


def test_a_changed_record_is_not_published(bus: EventBus) -> None:
    for name in ("MODIFY", "REMOVE"):
        assert function.handler(batch(item(1), name=name), None) == {"batchItemFailures": []}
    assert bus.entries == []


def test_a_call_has_at_most_ten_entries(bus: EventBus) -> None:
    assert deliver(*(item(number) for number in range(12))) == []
    assert [len(call) for call in bus.calls] == [10, 10, 4]


def test_a_call_stays_within_the_size_that_eventbridge_takes(bus: EventBus) -> None:
    large = {"status": {"from": None, "to": "CREATED"}, "currency": "usd", "attention": ["é" * 20_000]}
    assert deliver(item(1, large), item(2, large)) == []
    assert len(bus.entries) == 6
    for call in bus.calls:
        assert sum(len(entry["Detail"].encode()) for entry in call) < publish.BYTES_PER_CALL


def test_only_the_records_of_refused_entries_are_tried_again(bus: EventBus, capsys: pytest.CaptureFixture[str]) -> None:
    bus.refuses = lambda detail: detail["subject"] in ("pay_1", "pay_3")
    assert deliver(item(0), item(1), item(2), item(3)) == ["101", "103"]
    assert counted(capsys, "EventNotPublished") == 1
    bus.refuses = lambda detail: False
    assert deliver(item(1), item(3)) == []
    assert len(set(bus.ids)) == len(bus.ids) == 8


def test_the_events_for_emails_and_for_the_console_are_counted_once_the_bus_has_taken_them(
    bus: EventBus, capsys: pytest.CaptureFixture[str]
) -> None:
    """An alarm each compares the count with what the rule of these events invokes."""
    failed = {"status": {"from": "CREATED", "to": "FAILED"}, "currency": "usd"}
    bus.refuses = lambda detail: detail["subject"] == "pay_2"
    assert deliver(item(0), item(1, failed), item(2, failed), item(3, failed)) == ["102"]
    followed = [entry["DetailType"] for entry in bus.entries if entry["DetailType"] in emails.EVENT_TYPES]
    assert followed == [published_events.PAYMENT_FAILED] * 2
    for_console = sum(entry["DetailType"] in published_events.FOR_CONSOLE for entry in bus.entries)
    counts = numbers_of(capsys)
    assert counts["EmailEventPublished"] == [2.0]
    assert counts["ConsoleEventPublished"] == [float(for_console)] and for_console >= 3
    assert deliver(item(4)) == []
    assert "EmailEventPublished" not in numbers_of(capsys)


def numbers_of(capsys: pytest.CaptureFixture[str]) -> dict[str, list[float]]:
    """Return the numbers that were added to each metric since the last call."""
    numbers: dict[str, list[float]] = {}
    for line in capsys.readouterr().out.splitlines():
        for name, values in json.loads(line).items() if '"_aws"' in line else ():
            if name.endswith("Published"):
                numbers.setdefault(name, []).extend(values)
    return numbers


def test_records_of_a_call_without_an_answer_are_tried_again_with_all_behind_it(
    bus: EventBus, capsys: pytest.CaptureFixture[str]
) -> None:
    bus.down = True
    assert deliver(*(item(number) for number in range(12))) == [str(100 + number) for number in range(12)]
    assert counted(capsys, "EventNotPublished") == 1


def test_an_event_that_was_taken_before_its_answer_was_lost_is_sent_again_with_the_same_id(bus: EventBus) -> None:
    bus.loses_answer = True
    assert deliver(item(1)) == ["100"]
    bus.loses_answer = False
    assert deliver(item(1)) == []
    assert bus.ids[:2] == bus.ids[2:]


POISON = [
    {},
    {"subject": {"S": "pay_9"}},
    {**item(9), "transition": {"S": "not JSON"}},
    {**item(9), "transition": {"S": "[]"}},
    {**item(9), "seq": {"S": "x"}},
    {**item(9), "transition": {"S": json.dumps({"status": {"from": "CREATED", "to": "SUCCEEDED"}})}},
    {**item(9), "transition": {"S": json.dumps({"attention": ["x" * 300_000]})}},
]


@pytest.mark.parametrize("poison", POISON)
def test_a_record_that_cannot_be_published_fails_alone(
    bus: EventBus, capsys: pytest.CaptureFixture[str], poison: dict[str, Any]
) -> None:
    assert deliver(item(1), poison, item(2)) == ["101"]
    assert {detail["subject"] for detail in bus.details} == {"pay_1", "pay_2"}
    assert counted(capsys, "RecordUnpublishable") == 1


def test_every_record_of_the_samples_is_published(bus: EventBus) -> None:
    for record in reference.records():
        assert published_events.of_record(record)
    assert set(reference.TYPES) == {e.type for r in reference.records() for e in published_events.of_record(r)}


def test_each_record_of_a_payment_is_queued_for_analytics_in_the_group_of_its_day(queue: Queue) -> None:
    assert deliver(*(item(number) for number in range(12)), item(12, {})) == []
    assert [len(call) for call in queue.calls] == [10, 3]
    assert queue.subjects == [f"pay_{number}" for number in range(13)]
    assert {message["MessageGroupId"] for message in queue.messages} == {"2026-11-23#DP#usd", "2026-11-23#DP#"}
    assert len({message["MessageDeduplicationId"] for message in queue.messages}) == 13


def test_only_the_records_that_the_queue_refused_are_tried_again(
    queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.refuses = {"pay_1"}
    assert deliver(item(0), item(1), item(2)) == ["101"]
    assert counted(capsys, "EventNotPublished") == 1
    queue.refuses = set()
    assert deliver(item(1)) == []
    assert queue.subjects == ["pay_0", "pay_2", "pay_1"]


def test_a_queue_that_does_not_answer_holds_up_no_event(
    bus: EventBus, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.down = True
    assert deliver(item(0), item(1)) == ["100", "101"]
    assert counted(capsys, "EventNotPublished") == 1
    assert {detail["subject"] for detail in bus.details} == {"pay_0", "pay_1"}


def test_a_bus_that_does_not_answer_holds_up_no_figure(bus: EventBus, queue: Queue) -> None:
    bus.down = True
    assert deliver(item(0)) == ["100"]
    assert queue.subjects == ["pay_0"]
