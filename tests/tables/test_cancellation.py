"""A student cancels an unpaid payment. If it is paid at the same time, Stripe decides."""

from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tests.limits import set_limits
from tests.tables.test_promotion_codes import create_code
from tests.tables.test_sessions import open_session, pay_session, payable_ids
from tuition.stripe_gateway import closing


def problem(response: Response) -> tuple[int, str]:
    return response.status, response.body["type"].rpartition("/")[2]


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_a_canceled_payment_can_no_longer_be_paid_and_the_track_can_be_bought(
    tuition: Harness, student: Student, kind: str
) -> None:
    create = tuition.create if kind == "intent" else lambda user: open_session(tuition, user)
    purchase = create(student).body
    assert tuition.order(student, purchase["payment_id"]).body["can_cancel"]
    canceled = tuition.cancel(student, purchase["payment_id"])
    assert (canceled.status, canceled.body["status"], canceled.body["can_cancel"]) == (200, "CANCELED", False)
    assert payable_ids(tuition, student) == []
    tuition.deliver_all()
    calls = len(tuition.stripe_calls)
    assert tuition.cancel(student, purchase["payment_id"]).body == tuition.order(student, purchase["payment_id"]).body
    assert len(tuition.stripe_calls) == calls
    assert create(student).status == 201


def test_a_canceled_payment_frees_its_code_for_a_first_purchase(tuition: Harness, student: Student) -> None:
    code = create_code(tuition, student, **{"restrictions[first_time_transaction]": "true"})
    first = open_session(tuition, student, promotion_code=code).body
    assert open_session(tuition, student, "FSD", promotion_code=code).status == 422
    assert tuition.cancel(student, first["payment_id"]).status == 200
    assert open_session(tuition, student, "FSD", promotion_code=code).status == 201


def test_a_payment_whose_webhook_is_late_stays_paid(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    assert problem(tuition.cancel(student, purchase["payment_id"])) == (409, "already-paid")
    assert tuition.enrollment(student)["status"] == "ENROLLED"


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_a_payment_that_is_paid_between_the_look_and_the_closing_stays_paid(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    purchase = (tuition.create(student) if kind == "intent" else open_session(tuition, student)).body
    real = closing.close

    def close(*arguments: Any) -> Any:
        if kind == "intent":
            tuition.pay(purchase["payment_intent_id"])
        else:
            pay_session(tuition, purchase["session_id"])
        return real(*arguments)

    monkeypatch.setattr(closing, "close", close)
    assert problem(tuition.cancel(student, purchase["payment_id"])) == (409, "already-paid")
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_debit_that_a_bank_is_processing_is_not_canceled(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    for _ in ("before the webhook", "after it"):
        assert problem(tuition.cancel(student, purchase["payment_id"])) == (409, "payment-in-progress")
        tuition.deliver_all()
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")
    assert intent["status"] == "processing"
    assert not tuition.order(student, purchase["payment_id"]).body["can_cancel"]


def test_a_cancel_that_stripe_did_not_answer_can_be_repeated(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/payment_intents/*/cancel", times=9, fail="before")
    assert problem(tuition.cancel(student, purchase["payment_id"])) == (502, "stripe-unavailable")
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert tuition.cancel(student, purchase["payment_id"]).body["status"] == "CANCELED"


def test_only_the_owner_can_read_or_cancel_a_payment(tuition: Harness, student: Student) -> None:
    other = Student(f"not-{student.sub}")
    purchase = tuition.create(student).body
    calls = len(tuition.stripe_calls)
    for response in (tuition.order(other, purchase["payment_id"]), tuition.cancel(other, purchase["payment_id"])):
        assert problem(response) == (404, "not-found")
    assert problem(tuition.cancel(student, "pay_unknown")) == (404, "not-found")
    assert len(tuition.stripe_calls) == calls


def test_cancels_count_as_requests_to_stripe(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuition.freeze_time()
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    set_limits(monkeypatch, stripe_requests_burst=2)
    responses = [tuition.cancel(student, purchase["payment_id"]) for _ in range(4)]
    assert [response.status for response in responses] == [409, 409, 429, 429]
    assert problem(responses[-1]) == (429, "too-many-requests")
