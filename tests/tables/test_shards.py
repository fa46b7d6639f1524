"""Readers merge the shards of an index: pages, cursors and counts are exact with one shard, with four, and in between.

Half of the payments share their moment with another one, so that a cursor that named only a time would lose some.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.shards import NUMBERS, set_shards
from tuition import clock
from tuition.core import timestamps
from tuition.core.facts import Closed, Facts, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.storage import dynamodb, keys, ledger, mapping, quarantine, queries
from tuition.storage.keys import Shards
from tuition.views import counts, filters, payment_list

pytestmark = pytest.mark.usefixtures("empty_tables", "shards")
PAYMENTS = "GET /api/admin/payments"
QUARANTINE = "GET /api/admin/quarantine"
COUNTS = "GET /api/admin/counts"
SIZE = 13


@pytest.fixture(params=NUMBERS, ids=lambda number: f"{number} shards")
def shards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tuition: Harness) -> int:
    set_shards(monkeypatch, request.param)
    tuition.freeze_time(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
    return int(request.param)


@pytest.fixture(autouse=True)
def _no_counts(tuition: Harness) -> None:
    for item in tuition.tables.scan(TableName="analytics")["Items"]:
        tuition.tables.delete_item(TableName="analytics", Key={name: item[name] for name in ("period", "measure")})


def payment(number: int, at: str | None = None) -> Payment:
    """Return payment `number`, two per second, settled if it is even, else open."""
    at = at or timestamps.iso(clock.now() - 3600 - number // 2)
    return Payment(
        payment_id=f"pay_{number:024d}", user_id=f"u-{number}", track="DP", kind="intent", attempt=1,
        stripe_object_id=f"pi_{number}", price=Money(49_900, "usd"), created_at=at, updated_at=at,
        facts=Facts() if number % 2 else Facts(settled=Settled(49_900, "usd", 1)), version=1,
    )  # fmt: skip


def store(tuition: Harness, *payments: Payment) -> None:
    for one in payments:
        item = dynamodb.to_raw(mapping.payment_to_item(one, clock.now(), []))
        tuition.tables.put_item(TableName="payments", Item=item)


def positions(payments: list[Payment]) -> list[str]:
    """Return the ids of payments, newest first."""
    return [one.payment_id for one in sorted(payments, key=mapping.listed_at, reverse=True)]


def pages(tuition: Harness, admin: Student, route: str, limit: int, **query: str) -> Iterator[dict[str, Any]]:
    query["limit"] = str(limit)
    while True:
        response = tuition.admin(admin, route, query=query)
        assert response.status == 200, response.body
        yield response.body
        if response.body["next_cursor"] is None:
            return
        query["cursor"] = response.body["next_cursor"]


def listed(tuition: Harness, admin: Student, limit: int, **query: str) -> list[str]:
    return [row["payment_id"] for page in pages(tuition, admin, PAYMENTS, limit, **query) for row in page["payments"]]


# --- payments ---


@pytest.mark.parametrize("limit", [3, 100])
def test_pages_of_a_list_have_each_payment_once_in_order(tuition: Harness, admin: Student, limit: int) -> None:
    payments = [payment(number) for number in range(SIZE)]
    store(tuition, *payments)
    assert listed(tuition, admin, limit) == positions(payments)
    assert listed(tuition, admin, limit, status="SUCCEEDED") == positions(payments[::2])
    assert listed(tuition, admin, limit, track="DP") == positions(payments)
    day = payments[0].created_at[:10]
    assert listed(tuition, admin, limit, **{"from": day, "to": day}) == positions(payments)
    assert listed(tuition, admin, limit, order="oldest") == positions(payments)[::-1]
    assert (
        listed(tuition, admin, limit, order="oldest", status="SUCCEEDED", **{"from": day})
        == positions(payments[::2])[::-1]
    )


def test_an_export_reads_each_payment_once(tuition: Harness) -> None:
    payments = [payment(number) for number in range(SIZE)]
    store(tuition, *payments)
    chosen = filters.parse({"status": "SUCCEEDED"})
    exported: list[str] = []
    views, cursor = payment_list.find(chosen, 4, steady=True)
    while True:
        exported += [view.payment.payment_id for view in views]
        if cursor is None:
            break
        views, cursor = payment_list.find(chosen, 4, cursor, steady=True)
    assert exported == positions(payments[::2])


def test_payments_by_status_are_all_read(tuition: Harness) -> None:
    assert not queries.has_payments(["CREATED"], ["DP"])
    store(tuition, *(payment(number) for number in range(SIZE)))
    assert queries.has_payments(["CREATED"], ["DP", "FSD"])
    assert not queries.has_payments(["CANCELED"], ["DP", "FSD"])
    payment_ids = [one.payment_id for one in queries.payments_with_status(["CREATED", "FAILED"], "DP")]
    assert sorted(payment_ids) == [payment(number).payment_id for number in range(1, SIZE, 2)]


def test_due_payments_come_in_the_order_in_which_they_are_due(tuition: Harness) -> None:
    payments = [payment(number) for number in range(SIZE)]
    store(tuition, *payments)
    items = tuition.tables.scan(TableName="payments")["Items"]
    due_at = {item["payment_id"]["S"]: item["check_at"]["S"] for item in items if "check_at" in item}
    assert len(due_at) > SIZE // 2
    last = sorted(due_at.values())[-3]
    due = list(queries.due_payments("due", last))
    assert [due_at[payment_id] for payment_id in due] == sorted(at for at in due_at.values() if at <= last)
    assert len(set(due)) == len(due)
    assert list(queries.due_payments("submitting", last)) == []


def test_counts_that_need_many_requests_are_exact(
    tuition: Harness, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "KEYS_PER_QUERY", 2)
    monkeypatch.setattr(counts, "MAX_QUERIES", 6)
    monkeypatch.setattr(counts, "REMEMBER_FROM", 1)

    def count() -> tuple[int, int]:
        """Return the number of requests, and the payments that were counted."""
        for requests in range(1, 40):
            answer = tuition.admin(admin, COUNTS, query={"month": "2026-11"}).body
            if answer["complete"]:
                return requests, sum(one["payments"] for one in answer["counts"])
        raise AssertionError("the count does not end")

    store(tuition, *(payment(number) for number in range(SIZE)))
    requests, total = count()
    assert requests > 1
    assert total == SIZE
    assert count() == (1, SIZE), "the count was stored up to its last key"
    store(tuition, payment(99, at=timestamps.iso(clock.now() - 600)))
    assert count()[1] == SIZE + 1


def test_a_year_is_counted_by_as_many_requests_as_it_needs(tuition: Harness, admin: Student, shards: int) -> None:
    store(tuition, *(payment(number, at=f"2026-{number + 1:02d}-07T10:00:00.000Z") for number in range(11)))
    answers = [tuition.admin(admin, COUNTS, query={"year": "2026"}).body for _ in range(3)]
    requests = 1 + [answer["complete"] for answer in answers].index(True)
    answer = answers[-1]
    assert answer["complete"]
    assert answer["counts"] == [{"period": f"2026-{month:02d}", "payments": 1} for month in range(1, 12)]
    assert requests == 1 if shards * 11 <= counts.MAX_QUERIES else requests == 2


# --- the quarantine ---


def quarantine_events(tuition: Harness) -> list[str]:
    """Quarantine events, three at a moment, and return their ids, newest first."""
    events = []
    for number in range(SIZE):
        tuition.offset_s = number // 3
        assert quarantine.add({"id": f"evt_{number:03d}", "type": "x"}, "a shape that this version does not know")
        events.append((number // 3, f"evt_{number:03d}"))
    return [event_id for _, event_id in sorted(events, reverse=True)]


@pytest.mark.parametrize("limit", [2, SIZE])
def test_pages_of_the_quarantine_have_each_event_once_in_order(tuition: Harness, admin: Student, limit: int) -> None:
    expected = quarantine_events(tuition)
    answers = list(pages(tuition, admin, QUARANTINE, limit))
    assert [row["event_id"] for page in answers for row in page["events"]] == expected
    assert all(page["events"] for page in answers)
    tuition.offset_s += 60
    quarantine.add({"id": expected[0], "type": "x"}, "again")
    again = [row for page in pages(tuition, admin, QUARANTINE, limit) for row in page["events"]]
    assert [row["event_id"] for row in again] == expected, "another try keeps the position"
    assert (again[0]["tries"], again[0]["reason"]) == (2, "again")
    assert again[0]["first_at"] < again[0]["last_at"]


@pytest.mark.parametrize(
    "cursor",
    [
        queries.Cursor("listed", "2026-11-23T12:00:00.000Z#evt_1", "evt_1"),
        queries.Cursor("event", "2026-11-23T12:00:00.000Z#evt_1", "evt_2"),
        queries.Cursor("event", "2026-11-23T12:00:00.000Z", ""),
        queries.Cursor("event", "noon#evt_1", "evt_1"),
        queries.Cursor("event", "", ""),
    ],
)
def test_a_cursor_that_is_no_position_in_the_quarantine_is_refused(
    tuition: Harness, admin: Student, cursor: queries.Cursor
) -> None:
    response = tuition.admin(admin, QUARANTINE, query={"cursor": cursor.encode("quarantine")})
    assert (response.status, response.body["field"]) == (422, "cursor")


def test_the_oldest_events_of_all_shards_are_tried_first(tuition: Harness) -> None:
    newest_first = quarantine_events(tuition)
    for limit in (4, 100):
        oldest = queries.oldest_quarantined(limit)
        moments = [int(event_id[4:]) // 3 for event_id in oldest]
        assert moments == sorted(int(event_id[4:]) // 3 for event_id in newest_first)[:limit]
        assert len(set(oldest)) == len(oldest)
    for event_id in newest_first[:5]:
        quarantine.discard(event_id, "known", "staff-1")
    later = timestamps.iso(clock.now() + 1)
    assert sorted(queries.discarded_before(later, 100)) == sorted(newest_first[:5])
    assert len(queries.discarded_before(later, 3)) == 3
    assert queries.discarded_before(timestamps.iso(clock.now() - 1), 100) == []


# --- the audit records of a day ---


def test_the_records_of_a_day_are_read_in_the_order_of_their_commits(
    tuition: Harness, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    commits: list[tuple[str, str]] = []
    put_absent = ledger._put_absent

    def note(item: Any, key: str) -> Any:
        if hasattr(item, "recorded_at"):
            commits.append((item.subject, item.sort_key))
        return put_absent(item, key)

    monkeypatch.setattr(ledger, "_put_absent", note)
    for number in range(6):
        buyer = Student(f"recorded-{shards}-{number}")
        tuition.create(buyer)
        tuition.advance_time(1)
        ledger.next_attempt(ledger.load_for_create(buyer.sub, "FSD")[0], 1, "test")  # on the user's own chain
        tuition.advance_time(1)
    tuition.advance_time(86_400)
    tuition.create(Student(f"recorded-{shards}-tomorrow"))

    def read(day: str) -> list[tuple[str, str]]:
        """Read the records of each shard, in short pages."""
        records, pages = [], 0
        for shard in keys.shards("recorded_day", day):
            position: str | None = f"{day}T00:00:00.000Z"
            while position:
                page = queries.page_of_records(shard, position, f"{day}T23:59:59.999Z", 2)
                pages += 1
                records += [(item["subject"]["S"], item["sort_key"]["S"]) for item in page.items]
                position = queries.after_record(page.items[-1]) if page.last_key else None
        assert day != "2026-11-23" or pages > shards, "no shard had a second page"
        return records

    stored = read("2026-11-23")
    assert len(commits) == 13
    assert set(commits[:12]) <= set(stored)
    assert len(set(stored)) == len(stored)
    if shards == 1:
        assert [one for one in stored if one in commits] == commits[:12]
    assert commits[12] in read("2026-11-24")
    assert read("2026-11-22") == []


def test_a_record_says_when_it_was_committed_and_its_hash_does_not_cover_it(tuition: Harness, shards: int) -> None:
    purchase = tuition.create(Student(f"recorded-at-{shards}")).body
    (item,) = tuition.tables.query(
        TableName="audit",
        KeyConditionExpression="subject = :subject",
        ExpressionAttributeValues={":subject": {"S": purchase["payment_id"]}},
    )["Items"]
    now = timestamps.iso(clock.now())
    assert item["recorded_at"]["S"] == now
    assert item["recorded_day"]["S"] == keys.sharded("recorded_day", now[:10], purchase["payment_id"])
    assert item["recorded_position"]["S"] == f"{now}#{purchase['payment_id']}#000001"
    (record,) = queries.audit_trail(purchase["payment_id"])
    assert not {name for name in record if name.startswith("recorded")}


# --- raising a number ---


def test_no_reader_loses_an_item_while_a_number_is_raised(
    tuition: Harness, admin: Student, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    """The old release writes `shards`, the first new one reads more, and the second one writes more."""
    payments = [payment(number) for number in range(SIZE)]
    store(tuition, *payments[:8])
    events = quarantine_events(tuition)

    def release(to_write: int, to_read: int) -> None:
        monkeypatch.setattr(keys, "SHARDS", {name: Shards(to_write, to_read) for name in keys.SHARDS})

    release(shards, shards + 3)
    first = tuition.admin(admin, PAYMENTS, query={"limit": "4"}).body
    first_events = tuition.admin(admin, QUARANTINE, query={"limit": "4"}).body
    release(shards + 3, shards + 3)
    store(tuition, *payments[8:])
    rest = listed(tuition, admin, 4, cursor=first["next_cursor"])
    assert [row["payment_id"] for row in first["payments"]] + rest == positions(payments)
    for event_id in events[::2]:
        quarantine.add({"id": event_id, "type": "x"}, "again")  # moves it to its new shard
    rest = [
        row["event_id"]
        for page in pages(tuition, admin, QUARANTINE, 4, cursor=first_events["next_cursor"])
        for row in page["events"]
    ]
    assert [row["event_id"] for row in first_events["events"]] + rest == events
    moved = [payment(number) for number in range(1, SIZE, 2)]
    canceled = Facts(closed=Closed(1, "intent", "abandoned"))
    store(tuition, *(one.merged(canceled) for one in moved))
    assert listed(tuition, admin, 3, status="CANCELED") == positions(moved)
    assert listed(tuition, admin, 3, status="CREATED") == []
    total = tuition.admin(admin, COUNTS, query={"month": "2026-11"}).body["counts"]
    assert total == [{"period": "2026-11-23", "payments": SIZE}]


def test_a_reader_of_fewer_shards_than_are_written_loses_items(
    tuition: Harness, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above can fail: this is why `to_read` is raised a release before `to_write`."""
    monkeypatch.setattr(keys, "SHARDS", {name: Shards(to_write=4, to_read=3) for name in keys.SHARDS})
    store(tuition, *(payment(number) for number in range(SIZE)))
    quarantine_events(tuition)
    assert len(listed(tuition, admin, 100)) < SIZE
    assert len(next(pages(tuition, admin, QUARANTINE, 100))["events"]) < SIZE
    total = tuition.admin(admin, COUNTS, query={"month": "2026-11"}).body["counts"]
    assert sum(one["payments"] for one in total) < SIZE
