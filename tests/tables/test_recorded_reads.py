"""Staff leave a record on their own chain for each person whose data they read in an hour, before they see any."""

from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.tables.test_access import buy
from tests.tables.test_admin import LIST, ONE
from tests.tables.test_limits import problem
from tests.tables.test_personal_data import THEIRS
from tests.tables.test_round_trips import record_calls
from tuition.core import archive, audit, published_events
from tuition.core.errors import Contended, MoneyOpen
from tuition.payments import erasure
from tuition.storage import ledger, mapping, queries
from tuition.storage.dynamodb import StorageUnavailable
from tuition.storage.keys import USER_SORT_KEY
from tuition.views import recorded_reads
from tuition.views import staff as staff_view

EXPLAIN = "GET /api/admin/payments/{payment_id}/explain"
USER, USERS = "GET /api/admin/users/{user_id}", "GET /api/admin/users"
TIMELINE = "GET /api/admin/users/timeline"
QUEUE, DISPUTES, REQUESTS = "GET /api/admin/attention", "GET /api/admin/disputes", "GET /api/admin/refund-requests"


def reads_of(staff: Student) -> list[list[str]]:
    """Return the people in each record of a read, in the order of the chain. The chain must verify."""
    trail = queries.audit_trail(staff.sub)
    head = mapping.chain_head(queries.user_items(staff.sub).get(USER_SORT_KEY))
    assert audit.verify(staff.sub, trail, *head) is None
    return [record["transition"]["read"]["users"] for record in trail if record["type"] == recorded_reads.READ_RECORD]


def read(tuition: Harness, staff: Student, route: str, student: Student, payment_id: str) -> Any:
    if route in (USERS, TIMELINE):
        return tuition.admin(staff, route, query={"user_id": student.sub})
    if route == LIST:
        return tuition.admin(staff, route, query={"q": payment_id})
    if "{user_id}" in route:
        return tuition.admin(staff, route, user_id=student.sub)
    query = {"query": {"version": "1"}} if route.endswith("?version") else {}
    return tuition.admin(staff, route.removesuffix("?version"), payment_id=payment_id, **query)


READS = (ONE, f"{ONE}?version", EXPLAIN, USER, USERS, TIMELINE, LIST)


@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize("group", ["support", "admin"])
def test_each_read_of_one_persons_data_is_on_the_chain_of_its_reader(
    tuition: Harness, student: Student, route: str, group: str
) -> None:
    payment_id = buy(tuition, student)
    staff = Student(f"{student.sub}-{group}", groups=(group,))
    assert read(tuition, staff, route, student, payment_id).status == 200
    assert reads_of(staff) == [[student.sub]]


@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize("failure", [Contended("busy"), StorageUnavailable("the table does not answer")])
def test_nothing_is_shown_if_the_read_cannot_be_recorded(
    tuition: Harness,
    student: Student,
    admin: Student,
    route: str,
    failure: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payment_id = buy(tuition, student)

    def fail(*_: Any) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "record_for_user", fail)
        response = read(tuition, admin, route, student, payment_id)
    assert problem(response) == (503, "unavailable")
    assert student.sub not in str(response.body)
    assert "not shown" in response.body["detail"]
    assert read(tuition, admin, route, student, payment_id).status == 200  # a failure is not taken for a record
    assert reads_of(admin) == [[student.sub]]


PAYMENT, PERSON = "POST /api/admin/payments/{payment_id}", "POST /api/admin/users/{user_id}"
NOTE = "a note"
DECISIONS: dict[str, dict[str, Any]] = {
    f"{PAYMENT}/access": {"decision": "accept_amount", "note": NOTE},
    f"{PAYMENT}/attention": {"name": "none", "note": NOTE},
    f"{PAYMENT}/refunds": {"amount": 90_000, "reason": "a test"},
    f"{PAYMENT}/refunds/{{request_id}}": {"decision": "approve"},
    f"{PAYMENT}/emails": {"kind": "withdrawal_received"},
    f"{PERSON}/purchases": {"decision": "allow", "note": NOTE},
    f"{PERSON}/legal-hold": {"decision": "lift", "note": NOTE},
    f"{PERSON}/erasure": {"note": NOTE},
    f"{PERSON}/email": {"email": "ada@example.org"},
}
"""Decisions that change nothing, or are refused."""


def decide(tuition: Harness, admin: Student, route: str, student: Student, payment_id: str) -> Any:
    path = {"user_id": student.sub} if "{user_id}" in route else {"payment_id": payment_id}
    path |= {"request_id": "rr_none"} if "{request_id}" in route else {}
    body = {"email": f"{student.sub}@example.org"} if route.endswith("/email") else DECISIONS[route]
    return tuition.admin(admin, route, body, **path)


@pytest.mark.parametrize("route", DECISIONS)
def test_a_decision_that_changes_nothing_is_a_read_on_record(
    tuition: Harness, student: Student, admin: Student, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    monkeypatch.setattr(erasure, "request", refuse)
    decide(tuition, admin, route, student, payment_id)
    assert reads_of(admin) == [[student.sub]]
    records = [*queries.audit_trail(student.sub), *queries.audit_trail(payment_id)]
    assert [record["type"] for record in records if record["source"] == "staff"] == []


@pytest.mark.parametrize("route", DECISIONS)
def test_nothing_is_decided_if_the_read_cannot_be_recorded(
    tuition: Harness, student: Student, admin: Student, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)

    def fail(*_: Any) -> None:
        raise Contended("busy")

    monkeypatch.setattr(ledger, "record_for_user", fail)
    response = decide(tuition, admin, route, student, payment_id)
    assert problem(response) == (503, "unavailable")
    assert student.sub not in str(response.body)


def refuse(*_: Any) -> None:
    raise MoneyOpen("A refund is not decided.", "refund_undecided", None)


def test_a_person_is_recorded_once_per_hour_and_reader(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.freeze_time(1_795_939_200.0)
    payment_id = buy(tuition, student)
    support = Student(f"{student.sub}-support", groups=("support",))
    for route in READS:
        read(tuition, admin, route, student, payment_id)
    recorded_reads._recorded.clear()  # another container
    read(tuition, admin, ONE, student, payment_id)
    assert reads_of(admin) == [[student.sub]]
    read(tuition, support, ONE, student, payment_id)
    assert reads_of(support) == [[student.sub]]
    tuition.advance_time(3600)
    read(tuition, admin, ONE, student, payment_id)
    assert reads_of(admin) == [[student.sub]] * 2


def test_a_repeated_read_costs_no_call(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.freeze_time()
    payment_id = buy(tuition, student)
    read(tuition, admin, ONE, student, payment_id)
    with record_calls(tuition) as calls:
        read(tuition, admin, ONE, student, payment_id)
    assert "TransactWriteItems" not in calls


def test_a_search_records_all_its_matches_in_one_record(tuition: Harness, student: Student, admin: Student) -> None:
    others = [Student(f"{student.sub}-{number}", email=f"{student.sub}.{number}@example.org") for number in range(3)]
    for one in others:
        tuition.create(one)
    assert len(tuition.admin(admin, LIST, query={"q": f"{student.sub}."}).body["payments"]) == 3
    assert reads_of(admin) == [[one.sub for one in others]]


def test_a_search_without_a_match_leaves_no_record(tuition: Harness, admin: Student) -> None:
    tuition.admin(admin, LIST, query={"q": "nobody-at-all"})
    assert reads_of(admin) == []


@pytest.mark.parametrize("route", [LIST, QUEUE, DISPUTES, REQUESTS])
def test_a_list_is_no_read_of_one_persons_data(tuition: Harness, student: Student, admin: Student, route: str) -> None:
    buy(tuition, student)
    assert tuition.admin(admin, route).status == 200
    assert reads_of(admin) == []


@pytest.mark.parametrize("route", [ONE, EXPLAIN, USER, THEIRS])
def test_a_read_of_what_does_not_exist_leaves_no_record(tuition: Harness, admin: Student, route: str) -> None:
    response = tuition.admin(admin, route, user_id="nobody-at-all", payment_id="pay_nobody")
    assert response.status == 404
    assert queries.audit_trail(admin.sub) == []


def test_a_student_who_looks_for_other_people_leaves_no_record(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    assert read(tuition, student, ONE, student, payment_id).status == 403
    assert reads_of(student) == []


def test_a_record_of_a_read_is_archived_and_its_event_says_of_how_many_people_and_not_of_whom(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    read(tuition, admin, ONE, student, payment_id)
    (record,) = queries.audit_trail(admin.sub)
    assert archive.undeclared(archive.RECORD, record) == []
    assert archive.has_own_hash(record)
    (event,) = published_events.of_record({**record, "sort_key": "x", "recorded_at": "2026-11-23T18:30:00.000Z"})
    assert (event.type, event.detail["actor"], event.detail["people"]) == (published_events.STAFF_ACTED, admin.sub, 1)
    assert student.sub not in str(event.detail)
    assert (record["source"], record["actor"], record["user_id"]) == ("staff", admin.sub, admin.sub)


# --- the page of a member of staff, whose chain grows ---


def chain_of(tuition: Harness, admin: Student, staff: Student) -> tuple[list[int], dict[str, Any]]:
    body = tuition.admin(admin, USER, user_id=staff.sub).body
    return [record["seq"] for record in body["audit"]], body["chain"]


def read_many(tuition: Harness, staff: Student, count: int) -> None:
    for number in range(count):
        recorded_reads.record(staff.sub, [f"person-{number}"])
        if number % 3 == 0:  # in the order of time, the reads of this hour are before it
            entry = audit.AuditEntry(
                "2999-01-01T00:00:00.000Z", f"export:{number}", "export.ordered", "staff", staff.sub
            )
            ledger.record_for_user(staff.sub, entry, {"export": {"kind": "personal_data", "user": f"person-{number}"}})


def test_the_page_of_a_member_of_staff_shows_and_verifies_the_newest_records(
    tuition: Harness, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff = Student(f"{admin.sub}-other")
    read_many(tuition, staff, 12)  # 16 records
    assert chain_of(tuition, admin, staff) == (list(range(1, 17)), {"verified": True, "problem": None})
    monkeypatch.setattr(staff_view, "MAX_OWN_RECORDS", 6)
    assert chain_of(tuition, admin, staff) == (list(range(11, 17)), {"verified": True, "problem": None})


@pytest.mark.parametrize("tampering", ["altered", "missing", "newest missing"])
def test_tampering_with_the_newest_records_is_found(
    tuition: Harness, admin: Student, tampering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff = Student(f"{admin.sub}-other")
    read_many(tuition, staff, 12)
    monkeypatch.setattr(staff_view, "MAX_OWN_RECORDS", 6)
    items = {int(item["seq"]["N"]): item for item in queries.audit_items(staff.sub)}
    if tampering == "altered":
        tuition.tables.put_item(TableName="audit", Item=items[13] | {"type": {"S": "data.seen"}})
    else:
        victim = items[16 if tampering == "newest missing" else 13]
        key = {name: victim[name] for name in ("subject", "sort_key")}
        tuition.tables.delete_item(TableName="audit", Key=key)
    assert chain_of(tuition, admin, staff)[1]["verified"] is False
