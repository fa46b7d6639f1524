"""A student withdraws a refund request that waits for staff. Of two decisions at once, the first commit counts."""

import pytest

from tests.harness import Harness, Response, Student
from tests.tables.test_refunds import DECIDE, buy, refunds_at_stripe
from tuition import settings
from tuition.core.refund_request import MAX_WITHDRAWN
from tuition.payments import refunds
from tuition.storage import ledger

LIST = "GET /api/admin/refund-requests"
DAY_S = 86400


def problem(response: Response) -> tuple[int, str]:
    return response.status, response.body["type"].rpartition("/")[2]


def request_late(tuition: Harness, student: Student) -> tuple[str, str]:
    """Buy, then request a refund after the window. Return the ids of the payment and of the request."""
    payment_id = buy(tuition, student)
    tuition.advance_time(30 * DAY_S)
    request = tuition.refund(student, payment_id).body["refund_request"]
    assert (request["state"], request["can_withdraw"]) == ("awaiting_approval", True)
    return payment_id, request["id"]


def awaiting(tuition: Harness, admin: Student, payment_id: str) -> bool:
    listed = tuition.admin(admin, LIST).body["refund_requests"]
    return payment_id in [request["payment_id"] for request in listed]


def test_a_withdrawn_request_leaves_the_queue_and_another_one_may_follow(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id, request_id = request_late(tuition, student)
    assert awaiting(tuition, admin, payment_id)
    for _ in range(2):
        response = tuition.withdraw_request(student, payment_id, request_id)
        assert response.status == 200
        request = response.body["refund_request"]
        assert (request["state"], request["can_withdraw"]) == ("withdrawn", False)
    assert not awaiting(tuition, admin, payment_id)
    assert problem(
        tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=payment_id, request_id=request_id)
    ) == (
        409,
        "refund-refused",
    )
    again = tuition.refund(student, payment_id)
    assert (again.status, again.body["refund_request"]["state"]) == (202, "awaiting_approval")
    late_retry = tuition.withdraw_request(student, payment_id, request_id)
    assert late_retry.body["refund_request"]["state"] == "awaiting_approval"
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    types = [record["type"] for record in tuition.audit_trail(payment_id)]
    assert types.count("refund.withdrawn") == 1
    assert tuition.chain_problem(payment_id) is None


@pytest.mark.parametrize("decision", ["approve", "decline"])
def test_a_request_that_staff_have_decided_stays_decided(
    tuition: Harness, student: Student, admin: Student, decision: str
) -> None:
    payment_id, request_id = request_late(tuition, student)
    body = {"decision": decision}
    assert tuition.admin(admin, DECIDE, body, payment_id=payment_id, request_id=request_id).status == 200
    assert problem(tuition.withdraw_request(student, payment_id, request_id)) == (409, "refund-refused")
    assert len(refunds_at_stripe(tuition, payment_id)) == (decision == "approve")


def test_a_withdrawal_between_the_look_of_staff_and_their_commit_wins(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id, request_id = request_late(tuition, student)
    real, withdrawn = ledger.commit, []

    def commit(*arguments: object, **more: object) -> object:
        if not withdrawn:
            withdrawn.append(True)
            refunds.withdraw_request(tuition.payment(payment_id).ref, request_id)
        return real(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "commit", commit)
    response = tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=payment_id, request_id=request_id)
    assert problem(response) == (409, "refund-refused")
    assert "withdrawn" in response.body["detail"]
    assert refunds_at_stripe(tuition, payment_id) == []
    assert tuition.payment(payment_id).requests[0].state == "withdrawn"


def test_only_its_student_can_withdraw_a_request(tuition: Harness, student: Student) -> None:
    other = Student(f"not-{student.sub}")
    payment_id, request_id = request_late(tuition, student)
    assert problem(tuition.withdraw_request(other, payment_id, request_id)) == (404, "not-found")
    assert problem(tuition.withdraw_request(student, payment_id, "rr_unknown")) == (404, "not-found")
    assert tuition.payment(payment_id).requests[0].state == "awaiting_approval"


def test_a_student_who_withdraws_too_often_must_ask_the_school(tuition: Harness, student: Student) -> None:
    payment_id, request_id = request_late(tuition, student)
    for _ in range(MAX_WITHDRAWN - 1):
        assert tuition.withdraw_request(student, payment_id, request_id).status == 200
        request_id = tuition.refund(student, payment_id).body["refund_request"]["id"]
    last = tuition.withdraw_request(student, payment_id, request_id)
    assert (last.status, last.body["can_request_refund"]) == (200, False)
    assert problem(tuition.refund(student, payment_id)) == (409, "refund-refused")


def test_a_withdrawal_from_the_contract_cannot_be_undone(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id, request_id = request_late(tuition, student)
    assert tuition.withdraw_request(student, payment_id, request_id).status == 200
    monkeypatch.setenv("CONSUMER_REGION", "EU")
    monkeypatch.setenv("REFUND_WINDOW_DAYS", "60")
    settings.settings.cache_clear()
    refunds.withdraw(tuition.payment(payment_id).ref, "Ada Lovelace", None)
    settings.settings.cache_clear()
    request = tuition.payment(payment_id).requests[-1]
    assert problem(tuition.withdraw_request(student, payment_id, request.id)) == (409, "refund-refused")
