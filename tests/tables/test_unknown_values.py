"""A value of Stripe's that we cannot read counts for nothing, raises attention, and hides nothing beside it."""

from types import NoneType
from typing import Any, get_args

import pytest

import create_checkout_session
from tests.harness import Harness, Student
from tests.stripe.typed_responses import CLASSES, fields_of
from tests.tables.test_refunds import buy
from tests.tables.test_sessions import pay_session

pytestmark = pytest.mark.usefixtures("empty_tables")
KINDS = ("payment_intent", "checkout.session", "charge", "refund", "dispute")
FIELDS = {
    kind: [name for name, hint in fields_of(CLASSES[kind]).items() if NoneType in get_args(hint)] for kind in KINDS
}


def stored(tuition: Harness, kind: str) -> dict[str, Any]:
    """Return the newest object of a kind, as Stripe stores it."""
    return list(tuition.stripe.account.store.objects[kind].values())[-1]


@pytest.mark.parametrize("status", [None, "status_of_next_year"])
def test_a_sync_detects_a_lost_dispute_beside_a_refund_of_unknown_status(
    tuition: Harness, student: Student, status: str | None
) -> None:
    payment_id = buy(tuition, student)
    intent = tuition.payment(payment_id).intent
    refund = tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=100)
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="lost")
    stored(tuition, "refund")["status"] = status
    tuition.new_events()
    assert tuition.reconcile()["failed"] == []
    payment = tuition.payment(payment_id)
    assert payment.facts.disputes[dispute["id"]].status == "lost"
    assert payment.facts.refunds[refund["id"]].status == "unknown"
    assert payment.refund_amount == 0
    assert f"unknown:{refund['id']}.status" in tuition.attention(payment_id)
    assert (tuition.enrollment(student) or {})["status"] == "WITHDRAWN"


def test_a_sync_detects_a_lost_dispute_beside_a_refund_that_cannot_be_read(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    intent = tuition.payment(payment_id).intent
    refund = tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=100)
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="lost")
    stored(tuition, "refund")["amount"] = "a lot"
    (event,) = [event for event in tuition.new_events() if event["type"] == "charge.dispute.created"]
    assert tuition.deliver(event).body["outcome"] == "applied"
    assert tuition.payment(payment_id).facts.disputes[dispute["id"]].status == "lost"
    assert f"unknown:{refund['id']}" in tuition.attention(payment_id)


def test_a_known_status_of_a_refund_outranks_a_null_one(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.refund(student, payment_id)
    refund = stored(tuition, "refund")
    (event,) = [event for event in tuition.new_events() if event["type"] == "refund.created"]
    event["data"]["object"]["status"] = None
    assert tuition.deliver(event).body["outcome"] == "applied"
    assert tuition.payment(payment_id).facts.refunds[refund["id"]].status == "succeeded"


@pytest.mark.parametrize("kind", KINDS)
def test_no_optional_field_of_an_event_or_of_an_object_at_stripe_causes_an_error(
    tuition: Harness, student: Student, kind: str
) -> None:
    """Deliver every event with each optional field null, then sync with it null at Stripe too."""
    purchase = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
    pay_session(tuition, purchase["session_id"])
    intent = stored(tuition, "payment_intent")["id"]
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=100)
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="needs_response")
    events = [event for event in tuition.new_events() if event["data"]["object"]["object"] == kind]
    assert events
    for name in FIELDS[kind]:
        for event in events:
            obj = {**event["data"]["object"], name: None}
            response = tuition.deliver({**event, "id": f"{event['id']}_{name}", "data": {"object": obj}})
            assert (response.status, response.body["outcome"]) in ((200, "applied"), (200, "ignored")), name
    obj = stored(tuition, kind)
    whole = dict(obj)
    for name in FIELDS[kind]:
        if name in obj:
            obj[name] = None
            assert tuition.status(student, purchase["payment_id"]).status == 200, name
            obj.update(whole)
    assert tuition.reconcile()["failed"] == []
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"


def test_a_purchase_is_recovered_beside_a_session_without_metadata(tuition: Harness, student: Student) -> None:
    first = tuition.call(create_checkout_session.handler, student, {"track": "FSD"}).body
    stored(tuition, "checkout.session")["metadata"] = None
    second = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": second["payment_id"]}})
    tuition.advance_time(61)
    again = tuition.call(create_checkout_session.handler, student, {"track": "DP"})
    assert again.status == 201, again.body
    assert again.body["payment_id"] != first["payment_id"]
