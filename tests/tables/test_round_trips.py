"""The calls that each request makes. They run one after the other, so the student waits for all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import create_checkout_session
import create_payment
from tests.harness import Harness, Student
from tests.tables.test_refunds import buy
from tests.tables.test_sessions import pay_session

READ, POINTER, TRANSACTION = "BatchGetItem", "GetItem", "TransactWriteItems"


@contextmanager
def record_calls(tuition: Harness) -> Iterator[list[str]]:
    """Record the calls to DynamoDB and Stripe, in order."""
    call_names = tuition.stripe_calls = []
    events = tuition.tables.meta.events
    events.register_first("before-call.dynamodb", lambda model, **_: call_names.append(model.name), unique_id="calls")
    try:
        yield call_names
    finally:
        events.unregister("before-call.dynamodb", unique_id="calls")
        tuition.stripe_calls = []


@pytest.mark.parametrize(
    ("create", "resource"),
    [(create_payment.handler, "payment_intents"), (create_checkout_session.handler, "checkout/sessions")],
    ids=["intent", "session"],
)
def test_a_create_is_one_read_one_stripe_call_and_one_transaction_plus_a_customer_for_the_first(
    tuition: Harness, student: Student, create: Callable[..., Any], resource: str
) -> None:
    with record_calls(tuition) as first:
        assert tuition.call(create, student, {"track": "DP"}).status == 201
    with record_calls(tuition) as second:
        assert tuition.call(create, student, {"track": "FSD"}).status == 201
    assert first == [READ, "POST /v1/customers", f"POST /v1/{resource}", TRANSACTION]
    assert second == [READ, f"POST /v1/{resource}", TRANSACTION]


@pytest.mark.parametrize("event_type", ["payment_intent.created", "payment_intent.succeeded", "charge.succeeded"])
def test_a_webhook_that_names_its_payment_is_one_read_and_one_transaction(
    tuition: Harness, student: Student, event_type: str
) -> None:
    tuition.pay(tuition.create(student).body["payment_intent_id"])
    (event,) = [e for e in tuition.new_events() if e["type"] == event_type]
    with record_calls(tuition) as call_names:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert call_names == [READ, TRANSACTION]


def test_the_webhook_of_a_paid_session_is_one_read_and_one_transaction(tuition: Harness, student: Student) -> None:
    session = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body["session_id"]
    pay_session(tuition, session)
    (event,) = [e for e in tuition.new_events() if e["type"] == "checkout.session.completed"]
    with record_calls(tuition) as call_names:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert call_names == [READ, TRANSACTION]
    assert (tuition.enrollment(student) or {})["status"] == "ENROLLED"


def test_a_webhook_that_names_only_the_intent_first_reads_its_pointer(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent)
    (event,) = [e for e in tuition.new_events() if e["type"] == "refund.created"]
    with record_calls(tuition) as call_names:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert call_names == [POINTER, READ, TRANSACTION]


def test_a_status_request_reads_once_by_payment_and_twice_by_intent(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    intent = tuition.payment(payment_id).intent
    with record_calls(tuition) as by_payment:
        assert tuition.status(student, payment_id).body["status"] == "SUCCEEDED"
    with record_calls(tuition) as by_intent:
        assert tuition.status(student, intent).body["status"] == "SUCCEEDED"
    assert (by_payment, by_intent) == ([READ], [POINTER, READ])


def test_a_cancel_is_two_reads_three_stripe_calls_and_one_transaction(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    intent = f"/v1/payment_intents/{purchase['payment_intent_id']}"
    with record_calls(tuition) as call_names:
        assert tuition.cancel(student, purchase["payment_id"]).status == 200
    stripe_calls = [f"GET {intent}", f"POST {intent}/cancel", f"GET {intent}"]
    assert call_names == [READ, READ, "UpdateItem", *stripe_calls, TRANSACTION]


def test_the_history_is_one_query_and_one_batch_read(tuition: Harness, student: Student) -> None:
    with record_calls(tuition) as calls_if_empty:
        assert tuition.payments(student).body["payments"] == []
    for track in ("DP", "FSD"):
        tuition.create(student, track)
    with record_calls(tuition) as calls_for_two:
        assert len(tuition.payments(student).body["payments"]) == 2
    assert (calls_if_empty, calls_for_two) == (["Query"], ["Query", READ])
