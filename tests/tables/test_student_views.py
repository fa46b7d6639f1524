"""Payments and enrollments as the student sees them, after disputes, decisions of staff, refunds and odd amounts."""

from collections.abc import Callable
from typing import Any

import pytest

import enrollments
from tests.harness import Harness, Student
from tests.tables.test_access import DECIDE, buy
from tests.tables.test_promotion_codes import create_code
from tests.tables.test_refunds import ORDER, block_refunds, pass_refund_window
from tests.tables.test_round_trips import READ, record_calls
from tests.tables.test_sessions import open_session, pay_session
from tuition.core import timestamps
from tuition.storage import dynamodb


def shown_enrollments(tuition: Harness, student: Student) -> dict[str, Any]:
    body = tuition.call(enrollments.handler, student).body
    return {**body, "enrollments": {one["track"]: one for one in body["enrollments"]}}


def bought(tuition: Harness, student: Student, admin: Student) -> None:
    buy(tuition, student)


def revoked(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.admin(admin, DECIDE, {"decision": "revoke", "note": "shared the account"}, payment_id=payment_id)


def disputed(tuition: Harness, student: Student, admin: Student, status: str = "needs_response") -> None:
    intent = tuition.payment(buy(tuition, student)).intent
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status=status)
    tuition.deliver_all()


def lost(tuition: Harness, student: Student, admin: Student) -> None:
    disputed(tuition, student, admin, "lost")


def won(tuition: Harness, student: Student, admin: Student) -> None:
    disputed(tuition, student, admin, "won")


def another_amount(tuition: Harness, student: Student, admin: Student) -> None:
    buy(tuition, student, 4990)


def refunded(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.refund(student, buy(tuition, student))


def partly_refunded(tuition: Harness, student: Student, admin: Student) -> None:
    order = {"amount": 10000, "reason": "a part was missing"}
    assert tuition.admin(admin, ORDER, order, payment_id=buy(tuition, student)).status == 200


def refund_being_submitted(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)
    block_refunds(tuition)
    tuition.admin(admin, ORDER, {"amount": 100, "reason": "kindness"}, payment_id=payment_id)


def free(tuition: Harness, student: Student, admin: Student) -> None:
    session = open_session(tuition, student, promotion_code=create_code(tuition, student, {"percent_off": 100})).body[
        "session_id"
    ]
    pay_session(tuition, session)
    tuition.deliver_all()


def unpaid(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.create(student)


STATES: dict[Callable[[Harness, Student, Student], None], tuple[str | None, str | None, bool, str | None]] = {
    bought: (None, None, True, "ENROLLED"),
    revoked: (None, "revoked", True, "WITHDRAWN"),
    disputed: ("open", None, False, "ENROLLED"),
    lost: ("lost", "dispute_lost", False, "WITHDRAWN"),
    won: (None, None, True, "ENROLLED"),
    another_amount: (None, "amount_differs", True, None),
    refunded: (None, "refunded", False, "WITHDRAWN"),
    partly_refunded: (None, None, True, "ENROLLED"),
    refund_being_submitted: (None, None, False, "ENROLLED"),
    free: (None, None, False, "ENROLLED"),
    unpaid: (None, None, False, "PENDING"),
}
"""The history of a payment -> `dispute`, `no_access_reason`, `can_request_refund`, and the status of the enrollment."""


@pytest.mark.parametrize("arrange", STATES, ids=lambda arrange: arrange.__name__)
def test_payments_and_enrollments_say_what_is_so(
    tuition: Harness, student: Student, admin: Student, arrange: Callable[[Harness, Student, Student], None]
) -> None:
    arrange(tuition, student, admin)
    dispute, reason, can_request, status = STATES[arrange]
    (payment,) = tuition.payments(student).body["payments"]
    assert (payment["dispute"], payment["no_access_reason"]) == (dispute, reason)
    enrollment = shown_enrollments(tuition, student)["enrollments"]["DP"]
    assert (enrollment["status"], enrollment["payment"]) == (status, payment)
    assert payment["can_request_refund"] == can_request
    assert (payment["refundable_until"] is not None) == can_request
    assert "shared the account" not in str(payment)


@pytest.mark.parametrize("arrange", STATES, ids=lambda arrange: arrange.__name__)
def test_a_refund_is_offered_exactly_if_a_request_is_accepted(
    tuition: Harness, student: Student, admin: Student, arrange: Callable[[Harness, Student, Student], None]
) -> None:
    arrange(tuition, student, admin)
    (payment,) = tuition.payments(student).body["payments"]
    tuition.at_stripe("DELETE", "/_sim/calls")
    response = tuition.refund(student, payment["payment_id"])
    assert (response.status in (200, 202)) == payment["can_request_refund"], response.body


def test_a_refund_is_made_at_once_until_the_time_that_is_shown(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    (payment,) = tuition.payments(student).body["payments"]
    paid_at = timestamps.epoch(tuition.payment(payment_id).paid_at)
    assert timestamps.epoch(payment["refundable_until"]) == paid_at + 14 * 86400
    pass_refund_window(tuition, monkeypatch)
    (payment,) = tuition.payments(student).body["payments"]
    assert payment["can_request_refund"]
    assert tuition.refund(student, payment_id).body["refund_request"]["state"] == "awaiting_approval"
    assert not tuition.payments(student).body["payments"][0]["can_request_refund"]  # it waits already


def test_a_refund_that_a_bank_is_processing_is_shown_as_pending(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_pendingRefund")
    tuition.deliver_all()
    assert tuition.refund(student, purchase["payment_id"]).status == 202
    (payment,) = tuition.payments(student).body["payments"]
    assert (payment["status"], payment["refund_amount"], payment["refund_pending_amount"]) == ("REFUNDED", 49900, 49900)
    tuition.advance_stripe(10 * 86400)
    tuition.deliver_all()
    (payment,) = tuition.payments(student).body["payments"]
    assert (payment["refund_amount"], payment["refund_pending_amount"]) == (49900, 0)


def test_a_blocked_student_reads_why_in_the_words_of_a_refused_purchase(
    tuition: Harness, student: Student, admin: Student
) -> None:
    assert shown_enrollments(tuition, student)["purchases_blocked"] is None
    lost(tuition, student, admin)
    text = shown_enrollments(tuition, student)["purchases_blocked"]
    refused = tuition.create(student, "FSD")
    assert (refused.status, refused.body["detail"]) == (409, text)
    allow = {"decision": "allow", "note": "the bank was wrong"}
    tuition.admin(admin, "POST /api/admin/users/{user_id}/purchases", allow, user_id=student.sub)
    assert shown_enrollments(tuition, student)["purchases_blocked"] is None


def test_a_new_payment_decides_after_an_earlier_one_was_refunded(tuition: Harness, student: Student) -> None:
    tuition.refund(student, buy(tuition, student))
    opened = tuition.create(student).body["payment_id"]
    assert shown_enrollments(tuition, student)["enrollments"]["DP"]["payment"]["payment_id"] == opened
    tuition.pay(tuition.payment(opened).intent)
    tuition.deliver_all()
    shown = shown_enrollments(tuition, student)["enrollments"]["DP"]
    assert (shown["status"], shown["payment"]["payment_id"]) == ("ENROLLED", opened)


def test_enrollments_are_one_query_and_one_batch_read(tuition: Harness, student: Student) -> None:
    for track in ("DP", "FSD"):
        tuition.create(student, track)
    with record_calls(tuition) as call_names:
        assert len(tuition.call(enrollments.handler, student).body["enrollments"]) == 2
    assert call_names == ["Query", READ]


@pytest.mark.parametrize("choices", [{}, {"save_payment_method": True}, {"promotion_code": "code"}, {"kind": "intent"}])
def test_an_open_payment_says_how_it_is_resumed_with_its_discount(
    tuition: Harness, student: Student, choices: dict[str, Any]
) -> None:
    if "promotion_code" in choices:
        choices = {"promotion_code": create_code(tuition, student)}
    is_intent = choices.pop("kind", None) == "intent"
    created = (tuition.create(student) if is_intent else open_session(tuition, student, **choices)).body
    (payment,) = tuition.payments(student).body["payments"]
    assert payment["discount"] == 49900 - created["amount"] == 49900 - payment["amount"]
    resume = payment["resume"]
    assert resume["kind"] == ("intent" if is_intent else "checkout")
    params = {name: value for name, value in resume.items() if value and name != "kind"}
    again = tuition.create(student, **params) if is_intent else open_session(tuition, student, **params)
    assert (again.status, again.body["payment_id"], again.body["amount"]) == (
        200,
        payment["payment_id"],
        payment["amount"],
    )
    paid = Student(f"{student.sub}-paid")
    buy(tuition, paid)
    assert tuition.payments(paid).body["payments"][0]["resume"] is None


@pytest.mark.parametrize("end", ["expired", "paid"])
def test_a_payment_that_changes_between_two_reads_is_shown_with_its_enrollment(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    session = open_session(tuition, student).body["session_id"]
    if end == "paid":
        pay_session(tuition, session)
    else:
        tuition.at_stripe("POST", f"/v1/checkout/sessions/{session}/expire")
    read, reads = dynamodb.batch_get, list[int]()

    def read_after_the_webhooks(*of: Any) -> Any:
        if not reads:
            tuition.deliver_all()
        reads.append(1)
        return read(*of)

    monkeypatch.setattr(dynamodb, "batch_get", read_after_the_webhooks)
    shown = shown_enrollments(tuition, student)["enrollments"]
    if end == "paid":
        assert (shown["DP"]["status"], shown["DP"]["payment"]["status"]) == ("ENROLLED", "SUCCEEDED")
    else:
        assert shown == {}
