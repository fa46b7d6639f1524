"""What each request costs in calls, one after the other: a student waits for all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import create_checkout_session
import create_payment
from tests.tables.test_refunds import bought
from tests.tables.test_sessions import pay_session
from tests.world import Student, World

READ, POINTER, TRANSACTION = "BatchGetItem", "GetItem", "TransactWriteItems"


@contextmanager
def calls(tuition: World) -> Iterator[list[str]]:
    """The calls to DynamoDB and to Stripe, in their order."""
    made = tuition.stripe_calls = []
    events = tuition.tables.meta.events
    events.register_first("before-call.dynamodb", lambda model, **_: made.append(model.name), unique_id="calls")
    try:
        yield made
    finally:
        events.unregister("before-call.dynamodb", unique_id="calls")
        tuition.stripe_calls = []


@pytest.mark.parametrize(
    ("begin", "at_stripe"),
    [(create_payment.handler, "payment_intents"), (create_checkout_session.handler, "checkout/sessions")],
    ids=["intent", "session"],
)
def test_a_create_is_one_read_one_call_and_one_transaction_and_the_first_makes_the_customer(
    tuition: World, student: Student, begin: Callable[..., Any], at_stripe: str
) -> None:
    with calls(tuition) as first:
        assert tuition.call(begin, student, {"track": "DP"}).status == 201
    with calls(tuition) as second:
        assert tuition.call(begin, student, {"track": "FSD"}).status == 201
    assert first == [READ, "POST /v1/customers", f"POST /v1/{at_stripe}", TRANSACTION]
    assert second == [READ, f"POST /v1/{at_stripe}", TRANSACTION]


@pytest.mark.parametrize("type_", ["payment_intent.created", "payment_intent.succeeded", "charge.succeeded"])
def test_a_webhook_that_names_its_payment_is_one_read_and_one_transaction(
    tuition: World, student: Student, type_: str
) -> None:
    tuition.pay(tuition.create(student).body["payment_intent_id"])
    (event,) = [e for e in tuition.new_events() if e["type"] == type_]
    with calls(tuition) as made:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert made == [READ, TRANSACTION]


def test_the_webhook_of_a_paid_session_is_one_read_and_one_transaction(tuition: World, student: Student) -> None:
    session = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body["session_id"]
    pay_session(tuition, session)
    (event,) = [e for e in tuition.new_events() if e["type"] == "checkout.session.completed"]
    with calls(tuition) as made:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert made == [READ, TRANSACTION]
    assert (tuition.enrolled(student) or {})["status"] == "ENROLLED"


def test_a_webhook_that_names_only_the_intent_reads_its_pointer_first(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent)
    (event,) = [e for e in tuition.new_events() if e["type"] == "refund.created"]
    with calls(tuition) as made:
        assert tuition.deliver(event).body["outcome"] == "applied"
    assert made == [POINTER, READ, TRANSACTION]


def test_status_is_one_read_by_the_payment_and_two_by_its_intent(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    intent = tuition.payment(payment_id).intent
    with calls(tuition) as by_payment:
        assert tuition.status(student, payment_id).body["status"] == "SUCCEEDED"
    with calls(tuition) as by_intent:
        assert tuition.status(student, intent).body["status"] == "SUCCEEDED"
    assert (by_payment, by_intent) == ([READ], [POINTER, READ])


def test_history_is_one_query_and_one_read_of_what_it_found(tuition: World, student: Student) -> None:
    with calls(tuition) as none:
        assert tuition.payments(student).body["payments"] == []
    for track in ("DP", "FSD"):
        tuition.create(student, track)
    with calls(tuition) as two:
        assert len(tuition.payments(student).body["payments"]) == 2
    assert (none, two) == (["Query"], ["Query", READ])
