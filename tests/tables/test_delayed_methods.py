"""Methods that a bank decides on for days, and why a payment failed: of both kinds, as student and staff see it."""

from typing import Any

import pytest

from tests.tables.test_sessions import begin, pay_session, payable
from tests.world import Student, World

DAYS = 10 * 86400


@pytest.fixture(autouse=True)
def _days_are_told(tuition: World) -> None:
    tuition.stop_the_clock()


def buy(tuition: World, student: Student, kind: str, method: str) -> dict[str, Any]:
    """Begin a payment and pay it with this method."""
    if kind == "intent":
        made: dict[str, Any] = tuition.create(student).body
        tuition.pay(made["payment_intent_id"], method)
    else:
        made = begin(tuition, student).body
        pay_session(tuition, made["session_id"], method)
    return made


def shown(tuition: World, student: Student, made: dict[str, Any]) -> dict[str, Any]:
    return dict(tuition.status(student, made["payment_id"]).body)


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_a_bank_debit_is_processing_for_days_and_enrolls_when_it_settles(
    tuition: World, student: Student, kind: str
) -> None:
    made = buy(tuition, student, kind, "pm_usBankAccount_success")
    tuition.deliver_all()
    waiting = shown(tuition, student, made)
    assert (waiting["status"], waiting["failure"]) == ("PROCESSING", None)
    assert tuition.enrolled(student)["status"] == "PENDING"
    again = tuition.create(student) if kind == "intent" else begin(tuition, student)
    if kind == "intent":
        assert (again.status, again.body["status"]) == (200, "PROCESSING")
    else:  # nothing is left to pay with: the page is done
        assert (again.status, again.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    other = begin(tuition, student) if kind == "intent" else tuition.create(student)
    assert (other.status, other.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    tuition.later(DAYS)
    tuition.deliver_all()
    paid = shown(tuition, student, made)
    method = {"type": "us_bank_account", "brand": None, "last4": "6789"}
    assert (paid["status"], paid["payment_method"], paid["failure"]) == ("SUCCEEDED", method, None)
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_a_debit_of_an_intent_that_fails_after_days_can_be_paid_again(tuition: World, student: Student) -> None:
    made = buy(tuition, student, "intent", "pm_usBankAccount_insufficientFunds")
    tuition.later(DAYS)
    tuition.deliver_all()
    failed = shown(tuition, student, made)
    assert (failed["status"], failed["failure"]["code"]) == ("FAILED", "insufficient_funds")
    assert failed["failure"]["message"]
    again = tuition.create(student)
    assert (again.status, again.body["payment_intent_id"]) == (200, made["payment_intent_id"])
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    paid = shown(tuition, student, made)
    assert (paid["status"], paid["payment_method"]["brand"], paid["failure"]) == ("SUCCEEDED", "visa", None)


@pytest.mark.parametrize("told", ["all", "async_payment_failed", "charge.failed", "nothing"])
def test_a_debit_of_a_session_that_fails_after_days_is_canceled_with_its_reason_and_buying_is_open(
    tuition: World, student: Student, told: str, admin: Student
) -> None:
    made = buy(tuition, student, "checkout", "pm_usBankAccount_insufficientFunds")
    tuition.deliver_all()
    tuition.later(DAYS)
    for event in tuition.new_events():
        if told == "all" or event["type"].endswith(told):
            assert tuition.deliver(event).status == 200
    failed = shown(tuition, student, made)
    assert failed["status"] == "CANCELED"
    code = "payment_failed" if told == "async_payment_failed" else "insufficient_funds"
    assert failed["failure"]["code"] == code
    (listed,) = tuition.payments(student).body["payments"]
    assert listed["failure"] == failed["failure"]
    route = "GET /api/admin/payments/{payment_id}/"
    assert tuition.admin(admin, route, payment_id=made["payment_id"]).body["payment"]["failure"] == failed["failure"]
    again = begin(tuition, student)
    assert again.status == 201
    assert payable(tuition, student) == [again.body["session_id"]]
    pay_session(tuition, again.body["session_id"])
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert tuition.attention(made["payment_id"]) == []


def test_a_decline_is_shown_with_its_reason_and_a_suspicion_to_staff_alone(
    tuition: World, student: Student, admin: Student
) -> None:
    made = buy(tuition, student, "intent", "pm_card_visa_chargeDeclinedStolenCard")
    tuition.deliver_all()
    told = shown(tuition, student, made)
    assert told["failure"] == {"code": "generic_decline", "message": "Your card was declined."}
    staff = tuition.admin(admin, "GET /api/admin/payments/{payment_id}/", payment_id=made["payment_id"]).body
    assert staff["payment"]["failure"]["code"] == "stolen_card"
    tuition.pay(made["payment_intent_id"], "pm_card_visa_chargeDeclinedInsufficientFunds")
    tuition.later(1)
    tuition.deliver_all()
    assert shown(tuition, student, made)["failure"]["code"] == "insufficient_funds"


def test_only_the_methods_of_the_settings_are_offered(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuition import settings

    for offered in ("card", "card,us_bank_account"):
        monkeypatch.setenv("PAYMENT_METHOD_TYPES", offered)
        settings.settings.cache_clear()
        who = Student(f"{student.sub}-{offered}")
        intent = tuition.at_stripe("GET", f"/v1/payment_intents/{tuition.create(who).body['payment_intent_id']}")
        session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{begin(tuition, who).body['session_id']}")
        assert intent["payment_method_types"] == session["payment_method_types"] == offered.split(",")
    settings.settings.cache_clear()
