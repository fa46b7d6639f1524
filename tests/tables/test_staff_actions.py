"""The actions that staff are offered for a payment: each is accepted, and does what the console says."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import Harness, Student
from tests.tables import test_student_views as states
from tests.tables.test_access import DECIDE as ACCESS
from tests.tables.test_console import ONE
from tests.tables.test_emails import SEND
from tests.tables.test_refund_queue import QUEUE
from tests.tables.test_refunds import DECIDE as REQUEST
from tests.tables.test_refunds import ORDER, WINDOW_S
from tuition.core.emails import DAY_S, STUDENT_KINDS
from tuition.payments.emails import MAX_PER_DAY

Arrange = Callable[[Harness, Student, Student], None]


def asked_late(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = states.buy(tuition, student)
    tuition.offset_s += WINDOW_S
    assert tuition.refund(student, payment_id).status == 202


def asked_late_then_disputed(tuition: Harness, student: Student, admin: Student) -> None:
    asked_late(tuition, student, admin)
    (payment,) = tuition.payments(student).body["payments"]
    intent = payment["payment_intent_id"]
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="needs_response")
    tuition.deliver_all()


def revoked_then_refunded(tuition: Harness, student: Student, admin: Student) -> None:
    states.revoked(tuition, student, admin)
    (payment,) = tuition.payments(student).body["payments"]
    assert tuition.refund(student, payment["payment_id"]).status == 200


def another_amount_revoked(tuition: Harness, student: Student, admin: Student) -> None:
    states.another_amount(tuition, student, admin)
    (payment,) = tuition.payments(student).body["payments"]
    tuition.admin(admin, ACCESS, {"decision": "revoke", "note": "x"}, payment_id=payment["payment_id"])


OFFERED: dict[Arrange, set[str]] = {
    states.bought: {"refund", "revoke"},
    states.revoked: {"refund", "restore"},
    states.disputed: {"revoke"},
    states.lost: {"revoke"},
    states.won: {"refund", "revoke"},
    states.another_amount: {"refund", "accept_amount", "revoke"},
    states.refunded: {"revoke"},
    states.partly_refunded: {"refund", "revoke"},
    states.refund_being_submitted: {"revoke"},
    states.free: {"revoke"},
    states.unpaid: set(),
    asked_late: {"approve", "decline", "revoke"},
    asked_late_then_disputed: {"decline", "revoke"},
    revoked_then_refunded: {"restore"},
    another_amount_revoked: {"refund", "restore"},
}


def offered(tuition: Harness, student: Student, admin: Student, arrange: Arrange) -> tuple[str, dict[str, dict]]:
    arrange(tuition, student, admin)
    payment_id = tuition.payments(student).body["payments"][0]["payment_id"]
    actions = tuition.admin(admin, ONE, payment_id=payment_id).body["actions"]
    return payment_id, {action["action"]: action for action in actions if action["action"] != "send_email"}


@pytest.mark.parametrize("arrange", OFFERED, ids=lambda arrange: arrange.__name__)
def test_every_action_that_is_offered_is_accepted(
    tuition: Harness, student: Student, admin: Student, arrange: Arrange
) -> None:
    payment_id, actions = offered(tuition, student, admin, arrange)
    assert set(actions) == OFFERED[arrange]
    for number, name in enumerate(sorted(OFFERED[arrange])):
        payment_id, actions = offered(tuition, Student(f"{student.sub}-{number}"), admin, arrange)
        tuition.at_stripe("DELETE", "/_sim/calls")
        if name == "refund":
            response = tuition.admin(admin, ORDER, {"reason": "x"}, payment_id=payment_id)
        elif "request" in actions[name]:
            path = {"payment_id": payment_id, "request_id": actions[name]["request"]}
            response = tuition.admin(admin, REQUEST, {"decision": name}, **path)
        else:
            response = tuition.admin(admin, ACCESS, {"decision": name, "note": "x"}, payment_id=payment_id)
            assert response.body["payment"]["no_access_reason"] == actions[name]["no_access_reason"]
        assert response.status == 200, (name, response.body)


def test_a_refund_and_an_approval_that_are_not_offered_are_refused(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id, _ = offered(tuition, student, admin, asked_late_then_disputed)
    assert tuition.admin(admin, ORDER, {"reason": "x"}, payment_id=payment_id).status == 409
    rows = tuition.admin(admin, QUEUE, query={"limit": "100"}).body["refund_requests"]
    (row,) = [row for row in rows if row["payment_id"] == payment_id]
    assert (row["can_approve"], row["disputed"]) == (False, True)
    path = {"payment_id": payment_id, "request_id": row["id"]}
    assert tuition.admin(admin, REQUEST, {"decision": "approve"}, **path).status == 409
    assert tuition.admin(admin, REQUEST, {"decision": "decline"}, **path).status == 200


# --- emails ---


@pytest.mark.parametrize("arrange", OFFERED, ids=lambda arrange: arrange.__name__)
def test_every_email_that_is_offered_is_accepted_and_every_other_is_refused(
    tuition: Harness, student: Student, admin: Student, arrange: Arrange
) -> None:
    arrange(tuition, student, admin)
    payment_id = tuition.payments(student).body["payments"][0]["payment_id"]
    kinds = offered_emails(tuition, admin, payment_id)
    assert kinds != [] or arrange is states.unpaid
    for kind in STUDENT_KINDS:
        status = tuition.admin(admin, SEND, {"kind": kind}, payment_id=payment_id).status
        assert status == (202 if kind in kinds else 409), kind


def offered_emails(tuition: Harness, admin: Student, payment_id: str) -> list[str]:
    actions = tuition.admin(admin, ONE, payment_id=payment_id).body["actions"]
    return [action["kind"] for action in actions if action["action"] == "send_email"]


def test_staff_send_at_most_ten_emails_per_payment_within_24_hours(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id, order = states.buy(tuition, student), {"kind": "purchase_confirmed"}
    for number in range(MAX_PER_DAY):
        assert offered_emails(tuition, admin, payment_id) == ["purchase_confirmed"]
        assert tuition.admin(admin, SEND, order, payment_id=payment_id).status == 202, number
        tuition.offset_s += 60
    records = len(tuition.audit_trail(payment_id))
    refused = tuition.admin(admin, SEND, order, payment_id=payment_id)
    assert (refused.status, refused.body["type"].rpartition("/")[2]) == (429, "too-many-requests")
    assert DAY_S - 700 < int(refused.headers["retry-after"]) <= DAY_S - 600
    assert offered_emails(tuition, admin, payment_id) == []
    assert len(tuition.audit_trail(payment_id)) == records
    other = states.buy(tuition, Student(f"{student.sub}-other"))
    assert tuition.admin(admin, SEND, order, payment_id=other).status == 202
    tuition.offset_s += int(refused.headers["retry-after"])
    assert offered_emails(tuition, admin, payment_id) == ["purchase_confirmed"]
    assert tuition.admin(admin, SEND, order, payment_id=payment_id).status == 202
    assert tuition.admin(admin, SEND, order, payment_id=payment_id).status == 429


@pytest.mark.threads
def test_requests_at_once_cannot_pass_the_limit_together(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id, order = states.buy(tuition, student), {"kind": "purchase_confirmed"}
    for _ in range(MAX_PER_DAY - 1):
        assert tuition.admin(admin, SEND, order, payment_id=payment_id).status == 202

    def send(_: int) -> int:
        return tuition.admin(admin, SEND, order, payment_id=payment_id).status

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(send, range(4)))
    assert statuses[0] == 202
    assert set(statuses) <= {202, 429, 503}  # requests for one email within one second have one record
    assert len(requested_emails(tuition, payment_id)) == MAX_PER_DAY


def requested_emails(tuition: Harness, payment_id: str) -> list[str]:
    types = [record["type"] for record in tuition.audit_trail(payment_id)]
    return sorted(type_.removeprefix("email.requested.") for type_ in types if type_.startswith("email.requested."))


@pytest.mark.threads
def test_two_kinds_of_email_that_are_requested_at_once_are_both_recorded(
    tuition: Harness, student: Student, admin: Student
) -> None:
    states.partly_refunded(tuition, student, admin)
    payment_id = tuition.payments(student).body["payments"][0]["payment_id"]
    kinds = ["purchase_confirmed", "refund_made"]

    def send(kind: str) -> int:
        return tuition.admin(admin, SEND, {"kind": kind}, payment_id=payment_id).status

    for number in range(1, 4):
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(send, kinds)) == [202, 202]
        assert requested_emails(tuition, payment_id) == sorted(kinds * number)
        tuition.offset_s += 2
