"""Refund requests that await approval reach staff: attention, a queue, a filter, and the age of the oldest."""

import pytest

from tests.harness import Harness, Student
from tests.tables.test_console import LIST, search
from tests.tables.test_reconcile import metric_values
from tests.tables.test_refunds import DECIDE, WINDOW_S, buy, pass_refund_window

QUEUE = "GET /api/admin/refund-requests"
RESOLVE = "POST /api/admin/payments/{payment_id}/attention"


def queued(tuition: Harness, admin: Student, **query: str) -> list[str]:
    """Return the ids of the payments in the queue, read page by page."""
    ids: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = tuition.admin(admin, QUEUE, query={**query, **({"cursor": cursor} if cursor else {})}).body
        ids += [row["payment_id"] for row in page["refund_requests"]]
        cursor = page["next_cursor"]
    return ids


def late_request(tuition: Harness, student: Student) -> tuple[str, str]:
    """Buy, and request a refund after the window. Return the ids of the payment and of the request."""
    payment_id = buy(tuition, student)
    response = tuition.refund(student, payment_id, "I have moved away")
    assert (response.status, response.body["refund_request"]["state"]) == (202, "awaiting_approval"), response.body
    return payment_id, response.body["refund_request"]["id"]


def test_a_late_refund_request_needs_attention_until_staff_decide_it(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_refund_window(tuition, monkeypatch)
    payment_id, request_id = late_request(tuition, student)
    assert tuition.attention(payment_id) == [f"refund_request:{request_id}"]
    record = tuition.audit_trail(payment_id)[-1]
    assert record["transition"]["attention"] == [f"refund_request:{request_id}"]
    assert "moved" not in str(record)
    path = {"payment_id": payment_id, "request_id": request_id}
    assert tuition.admin(admin, DECIDE, {"decision": "decline"}, **path).status == 200
    assert tuition.attention(payment_id) == []


def test_a_refund_request_cannot_be_marked_as_resolved(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_refund_window(tuition, monkeypatch)
    payment_id, request_id = late_request(tuition, student)
    body = {"name": f"refund_request:{request_id}", "note": "later"}
    assert tuition.admin(admin, RESOLVE, body, payment_id=payment_id).status == 409
    assert tuition.attention(payment_id) == [f"refund_request:{request_id}"]


def test_the_queue_has_the_oldest_request_first_whenever_the_payment_was_made(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = Student(student.sub + "-newer")
    pass_refund_window(tuition, monkeypatch)
    first_paid = buy(tuition, student)
    second_paid = buy(tuition, newer)
    tuition.refund(newer, second_paid)
    tuition.offset_s += 60
    request_id = tuition.refund(student, first_paid, "I have moved away").body["refund_request"]["id"]
    tuition.offset_s += 60
    assert [i for i in queued(tuition, admin, limit="1") if i in (first_paid, second_paid)] == [second_paid, first_paid]
    row = tuition.admin(admin, QUEUE, query={"state": "awaiting_approval", "limit": "100"}).body["refund_requests"][-1]
    assert (row["id"], row["payment_id"], row["email"]) == (request_id, first_paid, f"{student.sub}@example.org")
    assert (row["amount"], row["currency"], row["refundable_amount"]) == (49900, "usd", 49900)
    assert (row["reason"], row["by"], row["track"]) == ("I have moved away", student.sub, "DP")
    assert (row["payment_status"], row["enrollment"], row["disputed"]) == ("SUCCEEDED", "ENROLLED", False)
    path = {"payment_id": first_paid, "request_id": request_id}
    assert tuition.admin(admin, DECIDE, {"decision": "approve"}, **path).status == 200
    assert first_paid not in queued(tuition, admin)
    assert second_paid in queued(tuition, admin)


def test_the_queue_takes_no_other_state_and_no_foreign_cursor(tuition: Harness, admin: Student) -> None:
    for query in ({"state": "declined"}, {"cursor": "x"}, {"status": "SUCCEEDED"}):
        assert tuition.admin(admin, QUEUE, query=query).status == 422, query


def test_payments_are_filtered_by_the_state_of_their_refund_request(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = buy(tuition, Student(student.sub + "-without"))
    pass_refund_window(tuition, monkeypatch)
    waiting, _ = late_request(tuition, student)
    declined, request_id = late_request(tuition, Student(student.sub + "-declined"))
    path = {"payment_id": declined, "request_id": request_id}
    assert tuition.admin(admin, DECIDE, {"decision": "decline"}, **path).status == 200
    own = {without, waiting, declined}
    assert set(search(tuition, admin, refund_request="awaiting_approval")) & own == {waiting}
    assert set(search(tuition, admin, refund_request="declined")) & own == {declined}
    assert set(search(tuition, admin, refund_request="awaiting_approval", status="REFUNDED")) & own == set()
    assert set(search(tuition, admin, refund_request="awaiting_approval", track="DP", disputed="false")) & own == {
        waiting
    }
    assert tuition.admin(admin, LIST, query={"refund_request": "soon"}).status == 422


@pytest.mark.usefixtures("empty_tables")
def test_the_reconciler_reports_the_age_of_the_oldest_request(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = buy(tuition, student)
    tuition.reconcile()
    assert metric_values(capsys, "RefundRequestAge") == [[0.0]]
    tuition.advance_time(WINDOW_S)
    assert tuition.refund(student, payment_id).status == 202
    tuition.advance_time(4 * 86400)
    tuition.reconcile()
    ((age,),) = metric_values(capsys, "RefundRequestAge")
    assert 4 * 86400 <= age < 4 * 86400 + 60
