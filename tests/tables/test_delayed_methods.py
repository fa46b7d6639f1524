"""Delayed payment methods, and why a payment failed, as students and staff see it."""

from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.tables.test_sessions import open_session, pay_session, payable_ids

DAYS = 10 * 86400


@pytest.fixture(autouse=True)
def _frozen_time(tuition: Harness) -> None:
    tuition.freeze_time()


def buy(tuition: Harness, student: Student, kind: str, method: str) -> dict[str, Any]:
    """Open a payment of this kind and pay it with this method."""
    if kind == "intent":
        purchase: dict[str, Any] = tuition.create(student).body
        tuition.pay(purchase["payment_intent_id"], method)
    else:
        purchase = open_session(tuition, student).body
        pay_session(tuition, purchase["session_id"], method)
    return purchase


def payment_view(tuition: Harness, student: Student, purchase: dict[str, Any]) -> dict[str, Any]:
    """Return the payment as its student sees it."""
    return dict(tuition.status(student, purchase["payment_id"]).body)


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_a_bank_debit_is_processing_for_days_and_enrolls_when_it_settles(
    tuition: Harness, student: Student, kind: str
) -> None:
    purchase = buy(tuition, student, kind, "pm_usBankAccount_success")
    tuition.deliver_all()
    processing = payment_view(tuition, student, purchase)
    assert (processing["status"], processing["failure"]) == ("PROCESSING", None)
    assert tuition.enrollment(student)["status"] == "PENDING"
    again = tuition.create(student) if kind == "intent" else open_session(tuition, student)
    if kind == "intent":
        assert (again.status, again.body["status"]) == (200, "PROCESSING")
    else:  # the session is complete and cannot be paid again
        assert (again.status, again.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    other = open_session(tuition, student) if kind == "intent" else tuition.create(student)
    assert (other.status, other.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    tuition.advance_stripe(DAYS)
    tuition.deliver_all()
    payment = payment_view(tuition, student, purchase)
    method = {"type": "us_bank_account", "brand": None, "last4": "6789"}
    assert (payment["status"], payment["payment_method"], payment["failure"]) == ("SUCCEEDED", method, None)
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_an_intent_whose_bank_debit_fails_after_days_can_be_paid_again(tuition: Harness, student: Student) -> None:
    purchase = buy(tuition, student, "intent", "pm_usBankAccount_insufficientFunds")
    tuition.advance_stripe(DAYS)
    tuition.deliver_all()
    failed = payment_view(tuition, student, purchase)
    assert (failed["status"], failed["failure"]["code"]) == ("FAILED", "insufficient_funds")
    assert failed["failure"]["message"]
    again = tuition.create(student)
    assert (again.status, again.body["payment_intent_id"]) == (200, purchase["payment_intent_id"])
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    payment = payment_view(tuition, student, purchase)
    assert (payment["status"], payment["payment_method"]["brand"], payment["failure"]) == ("SUCCEEDED", "visa", None)


@pytest.mark.parametrize("delivered", ["all", "async_payment_failed", "charge.failed", "nothing"])
def test_a_session_whose_bank_debit_fails_after_days_is_canceled_and_the_student_can_buy_again(
    tuition: Harness, student: Student, delivered: str, admin: Student
) -> None:
    purchase = buy(tuition, student, "checkout", "pm_usBankAccount_insufficientFunds")
    tuition.deliver_all()
    tuition.advance_stripe(DAYS)
    for event in tuition.new_events():
        if delivered == "all" or event["type"].endswith(delivered):
            assert tuition.deliver(event).status == 200
    failed = payment_view(tuition, student, purchase)
    assert failed["status"] == "CANCELED"
    code = "payment_failed" if delivered == "async_payment_failed" else "insufficient_funds"
    assert failed["failure"]["code"] == code
    (payment,) = tuition.payments(student).body["payments"]
    assert payment["failure"] == failed["failure"]
    route = "GET /api/admin/payments/{payment_id}"
    assert (
        tuition.admin(admin, route, payment_id=purchase["payment_id"]).body["payment"]["failure"] == failed["failure"]
    )
    again = open_session(tuition, student)
    assert again.status == 201
    assert payable_ids(tuition, student) == [again.body["session_id"]]
    pay_session(tuition, again.body["session_id"])
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.attention(purchase["payment_id"]) == []


def test_a_decline_shows_its_reason_and_a_suspicion_of_fraud_only_to_staff(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = buy(tuition, student, "intent", "pm_card_visa_chargeDeclinedStolenCard")
    tuition.deliver_all()
    payment = payment_view(tuition, student, purchase)
    assert payment["failure"] == {"code": "generic_decline", "message": "Your card was declined."}
    staff = tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=purchase["payment_id"]).body
    assert staff["payment"]["failure"]["code"] == "stolen_card"
    tuition.pay(purchase["payment_intent_id"], "pm_card_visa_chargeDeclinedInsufficientFunds")
    tuition.advance_stripe(1)
    tuition.deliver_all()
    assert payment_view(tuition, student, purchase)["failure"]["code"] == "insufficient_funds"


def test_only_the_configured_payment_methods_are_offered(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuition import settings

    for types in ("card", "card,us_bank_account"):
        monkeypatch.setenv("PAYMENT_METHOD_TYPES", types)
        settings.settings.cache_clear()
        buyer = Student(f"{student.sub}-{types}")
        intent = tuition.at_stripe("GET", f"/v1/payment_intents/{tuition.create(buyer).body['payment_intent_id']}")
        session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{open_session(tuition, buyer).body['session_id']}")
        assert intent["payment_method_types"] == session["payment_method_types"] == types.split(",")
    settings.settings.cache_clear()
