"""The actions that staff are offered for a payment: each is accepted, and does what the console says."""

from collections.abc import Callable

import pytest

from tests.harness import Harness, Student
from tests.tables import test_student_views as states
from tests.tables.test_access import DECIDE as ACCESS
from tests.tables.test_console import ONE
from tests.tables.test_refund_queue import QUEUE
from tests.tables.test_refunds import DECIDE as REQUEST
from tests.tables.test_refunds import ORDER, WINDOW_S

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
    return payment_id, {action["action"]: action for action in actions}


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
