"""A replay reads the audit table and publishes the same events again."""

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

import publish as function
from tests import event_bus
from tests.event_bus import EventBus
from tests.harness import Harness, Student
from tuition.core.errors import Unprocessable
from tuition.core.published_events import of_record
from tuition.storage import mapping

DAY = "2026-11-23"


@pytest.fixture
def bus(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> EventBus:
    tuition.empty_table("audit", "subject", "sort_key")  # moto and DynamoDB Local have no table policy
    tuition.freeze_time(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
    return event_bus.connect(monkeypatch)


def buy(tuition: Harness, student: Student) -> str:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    return str(purchase["payment_id"])


def replay(**request: Any) -> dict[str, Any]:
    return function.handler({"replay": request}, None)


def replay_day(day: str = DAY, limit: int = 100) -> list[dict[str, Any]]:
    pages, after = [], None
    for _ in itertools.count():
        pages.append(replay(day=day, limit=limit, **({"after": after} if after else {})))
        after = pages[-1]["after"]
        if after is None:
            return pages
    raise AssertionError


def of_the_stream(tuition: Harness) -> list[str]:
    """Return the ids of the events that the stream's records have."""
    items = tuition.tables.scan(TableName="audit")["Items"]
    return [event.detail["id"] for item in items for event in of_record(mapping.stored_record(item))]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_day_has_every_event_once_whatever_the_size_of_its_pages(
    tuition: Harness, student: Student, bus: EventBus, limit: int
) -> None:
    for number in range(3):
        buy(tuition, Student(f"{student.sub}-{number}"))
    pages = replay_day(limit=limit)
    assert sorted(bus.ids) == sorted(of_the_stream(tuition)) and len(bus.ids) > 10
    assert all(page["records"] <= limit and page["failed"] == [] for page in pages)
    assert sum(page["events"] for page in pages) == len(bus.ids)
    assert {detail["recorded_at"][:10] for detail in bus.details} == {DAY}
    assert [d["recorded_at"] for d in bus.details] == sorted(d["recorded_at"] for d in bus.details)


def test_a_second_replay_sends_the_same_events(tuition: Harness, student: Student, bus: EventBus) -> None:
    buy(tuition, student)
    replay_day()
    first = bus.entries.copy()
    replay_day()
    assert bus.entries == [*first, *first]


def test_one_payment_is_replayed_from_its_first_record_on(tuition: Harness, student: Student, bus: EventBus) -> None:
    payment_id = buy(tuition, student)
    buy(tuition, Student(f"{student.sub}-other"))
    result = replay(subject=payment_id)
    assert {detail["subject"] for detail in bus.details} == {payment_id}
    assert bus.details[0]["position"] == 1 and result["after"] is None
    assert result["records"] == len(tuition.audit_trail(payment_id))


def test_another_day_and_an_unknown_payment_have_nothing(tuition: Harness, student: Student, bus: EventBus) -> None:
    buy(tuition, student)
    assert (
        replay(day="2026-11-22")
        == replay(subject="pay_unknown")
        == {
            "records": 0,
            "events": 0,
            "failed": [],
            "after": None,
        }
    )
    assert bus.entries == []


def test_a_record_that_the_bus_refuses_is_named_and_holds_up_no_other(
    tuition: Harness, student: Student, bus: EventBus
) -> None:
    payment_id = buy(tuition, student)
    bus.refuses = lambda detail: detail["position"] == 1
    (page,) = replay_day()
    assert page["failed"] == [f"{payment_id} {tuition.audit_trail(payment_id)[0]['at']}#create:{payment_id}"]
    assert bus.details and all(detail["position"] > 1 for detail in bus.details)


@pytest.mark.parametrize("request_", [{}, {"day": "yesterday"}, {"day": DAY, "limit": 0}, {"day": DAY, "limit": 101}])
def test_a_request_of_another_form_is_refused(bus: EventBus, request_: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable):
        replay(**request_)
