"""Staff look at a payment as it was at a time or a version."""

import json
from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tuition.storage import keys, queries

pytestmark = pytest.mark.usefixtures("empty_tables")
STAFF = Student("staff-1", groups=("support",))
ADMIN = Student("admin-1", groups=("admin",))
ROUTE = "GET /api/admin/payments/{payment_id}"


def look(tuition: Harness, payment_id: str, **query: str) -> Response:
    return tuition.admin(STAFF, ROUTE, query=query, payment_id=payment_id)


@pytest.fixture
def refunded_payment(tuition: Harness, student: Student) -> str:
    """A payment that was created, paid a minute later, and refunded an hour after that."""
    purchase = tuition.create(student).body
    tuition.advance_time(60)
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.advance_time(3600)
    assert tuition.refund(student, purchase["payment_id"]).status == 200
    tuition.deliver_all()
    return str(purchase["payment_id"])


def test_each_version_shows_the_payment_as_it_was(tuition: Harness, refunded_payment: str) -> None:
    trail = tuition.audit_trail(refunded_payment)
    statuses = []
    for version in range(1, len(trail) + 1):
        body = look(tuition, refunded_payment, version=str(version)).body
        statuses.append(body["payment"]["status"])
        assert body["audit"] == trail[:version]
        assert (body["payment"]["version"], body["actions"]) == (version, [])
        assert body["moment"]["complete"] and body["moment"]["versions"] == len(trail)
        assert body["chain"] == {"verified": True, "problem": None}
    assert (statuses[0], statuses[-1]) == ("CREATED", "REFUNDED")
    assert "SUCCEEDED" in statuses


def test_a_time_shows_the_payment_of_that_time(tuition: Harness, refunded_payment: str) -> None:
    times = {record["seq"]: record["recorded_at"] for record in tuition.stored_records()}
    paid = next(r for r in tuition.audit_trail(refunded_payment) if r["transition"].get("settled"))
    body = look(tuition, refunded_payment, at=times[paid["seq"]]).body
    assert body["payment"]["status"] == "SUCCEEDED"
    assert body["groups"]["payment"]["grants_access"]
    assert body["payment"]["refund_amount"] == 0
    later = look(tuition, refunded_payment, at="2099-01-01T01:00:00+01:00").body
    assert later["payment"]["status"] == "REFUNDED"
    assert later["moment"]["version"] == later["moment"]["versions"]


def test_a_text_that_no_record_has_is_not_recorded(tuition: Harness, refunded_payment: str) -> None:
    present = look(tuition, refunded_payment).body
    past = look(tuition, refunded_payment, version=str(present["payment"]["version"])).body
    assert present["moment"] is None
    assert present["groups"]["method"]["last4"] == "4242"
    assert past["groups"]["method"]["last4"] == past["groups"]["method"]["brand"] == "not recorded"
    assert past["groups"]["method"]["type"] == "card"
    assert [charge["receipt_url"] for charge in past["facts"]["charges"]] == [None]
    assert past["payment"]["refund_requests"][0]["reason"] == "not recorded"
    assert {"email", "receipt_url", "enrollment"} <= set(past["moment"]["not_recorded"])
    assert past["payment"]["email"] is None
    assert past["groups"]["money"]["received"] == present["groups"]["money"]["received"]
    assert past["payment"]["refunded_at"] == present["payment"]["refunded_at"]


def test_a_decision_of_staff_is_shown_from_its_version_on(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    before = tuition.payment(purchase["payment_id"]).version
    body = {"decision": "revoke", "note": "shared the account"}
    path = "POST /api/admin/payments/{payment_id}/access"
    assert tuition.admin(ADMIN, path, body, payment_id=purchase["payment_id"]).status == 200
    old = look(tuition, purchase["payment_id"], version=str(before)).body
    new = look(tuition, purchase["payment_id"], version=str(before + 1)).body
    assert (old["groups"]["payment"]["grants_access"], new["groups"]["payment"]["grants_access"]) == (True, False)
    assert old["facts"]["decision"] is None
    decision = new["facts"]["decision"]
    assert (decision["decision"], decision["who"], decision["note"]) == ("revoke", "admin-1", "not recorded")


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"version": "0"}, 404, None),
        ({"version": "99"}, 404, None),
        ({"version": "-1"}, 422, "version"),
        ({"version": ""}, 422, "version"),
        ({"version": "1.5"}, 422, "version"),
        ({"version": "1234567"}, 422, "version"),
        ({"at": "2026-11-28"}, 422, "at"),
        ({"at": "2026-11-28T13:00:00"}, 422, "at"),
        ({"at": "yesterday"}, 422, "at"),
        ({"at": "0001-01-01T00:00:00+23:59"}, 422, "at"),
        ({"at": "2000-01-01T00:00:00Z"}, 404, None),
        ({"at": "2026-11-28T13:00:00Z", "version": "1"}, 422, "at"),
        ({"seq": "1"}, 422, "seq"),
    ],
)
def test_a_moment_that_cannot_be_shown_is_refused(
    tuition: Harness, student: Student, query: dict[str, str], status: int, field: str | None
) -> None:
    payment_id = tuition.create(student).body["payment_id"]
    answer = look(tuition, payment_id, **query)
    assert (answer.status, answer.body.get("field")) == (status, field)


def test_a_moment_reads_the_records_once(
    tuition: Harness, refunded_payment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = queries.audit_items, list[Any]()
    monkeypatch.setattr(queries, "audit_items", lambda *subject: reads.append(subject) or read(*subject))
    assert look(tuition, refunded_payment, version="1").status == 200
    assert len(reads) == 1


def test_an_unknown_payment_has_no_moments(tuition: Harness) -> None:
    assert look(tuition, "pay_unknown", version="1").status == 404


def test_a_moment_of_rewritten_records_is_shown_with_a_broken_chain(tuition: Harness, refunded_payment: str) -> None:
    record: dict[str, Any] = tuition.audit_trail(refunded_payment)[0]
    key = keys.audit_key(refunded_payment, f"{record['at']}#{record['event_id']}")
    item = tuition.tables.get_item(TableName="audit", Key=key)["Item"]
    item["facts"] = {"S": json.dumps({**record["facts"], "accepted": True})}
    tuition.tables.put_item(TableName="audit", Item=item)
    body = look(tuition, refunded_payment, version="1").body
    assert body["chain"] == {"verified": False, "problem": "record 1: its content was changed"}


@pytest.mark.parametrize("query", [{"version": "1"}, {"at": "2200-01-01T00:00:00Z"}])
def test_a_payment_whose_records_were_all_removed_has_no_moments(
    tuition: Harness, refunded_payment: str, query: dict[str, str]
) -> None:
    for record in tuition.audit_trail(refunded_payment):
        key = keys.audit_key(refunded_payment, f"{record['at']}#{record['event_id']}")
        tuition.tables.delete_item(TableName="audit", Key=key)
    assert look(tuition, refunded_payment, **query).status == 404
