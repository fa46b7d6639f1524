"""A settled payment is confirmed by Stripe's API within the hour. One that Stripe contradicts needs attention."""

from typing import Any

import pytest

import create_checkout_session
from tests.harness import Harness, Student
from tuition.core.facts import Settled
from tuition.intake import walk

HOUR = 3_600
pytestmark = pytest.mark.usefixtures("empty_tables")


def retrieves(tuition: Harness) -> list[str]:
    """Return the objects that were retrieved since the last call, one by one and not by a list."""
    calls = [call for call in tuition.stripe_calls if "/pi_" in call or "/cs_" in call]
    tuition.stripe_calls.clear()
    return calls


def deliver_everything(tuition: Harness) -> None:
    """Deliver the events of the last action, and those that Stripe creates a few seconds later."""
    tuition.advance_time(5)
    tuition.deliver_all()


def forged_success(tuition: Harness, intent_id: str, *, amount: int = 49900) -> dict[str, Any]:
    """Return an event that Stripe never sent, of an intent that no student paid."""
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{intent_id}")
    event = tuition.new_events()[-1]
    tuition.deliver(event)
    forged = {**intent, "status": "succeeded", "amount_received": amount, "latest_charge": None}
    return {**event, "id": "evt_forged", "type": "payment_intent.succeeded", "data": {"object": forged}}


@pytest.mark.parametrize("age", ["listed by the run", "older than the run lists"])
def test_a_success_that_stripe_does_not_show_needs_attention_at_the_next_run(
    tuition: Harness, student: Student, age: str
) -> None:
    purchase = tuition.create(student).body
    forged = forged_success(tuition, purchase["payment_intent_id"])
    if age == "older than the run lists":
        tuition.advance_time(9 * HOUR)
        tuition.reconcile()
        tuition.advance_time(HOUR)
    tuition.deliver(forged)
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"
    report = tuition.reconcile()
    assert tuition.attention(purchase["payment_id"]) == ["unconfirmed"]
    assert (report["confirmed"], report["drifted"], report["failed"]) == (0, 0, [])
    retrieves(tuition)
    tuition.reconcile()
    assert retrieves(tuition) == []
    assert tuition.attention(purchase["payment_id"]) == ["unconfirmed"]


def test_a_forged_session_needs_attention_at_the_next_run(tuition: Harness, student: Student) -> None:
    purchase = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
    session = tuition.at_stripe("GET", f"/v1/checkout/sessions/{purchase['session_id']}")
    tuition.create(Student("other"))
    event = tuition.new_events()[-1]
    forged = {**session, "status": "complete", "payment_status": "paid"}
    tuition.deliver({**event, "id": "evt_forged", "type": "checkout.session.completed", "data": {"object": forged}})
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"
    tuition.reconcile()
    assert tuition.attention(purchase["payment_id"]) == ["unconfirmed"]


def test_a_forged_amount_beside_a_true_payment_needs_attention(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    forged = forged_success(tuition, purchase["payment_intent_id"], amount=99900)
    tuition.pay(purchase["payment_intent_id"])
    deliver_everything(tuition)
    tuition.deliver(forged)
    tuition.reconcile()
    assert tuition.attention(purchase["payment_id"]) == ["amount", "unconfirmed"]


def test_a_contradicted_payment_that_is_paid_later_is_confirmed(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.deliver(forged_success(tuition, purchase["payment_intent_id"]))
    tuition.reconcile()
    tuition.pay(purchase["payment_intent_id"])
    deliver_everything(tuition)
    tuition.advance_time(HOUR)
    tuition.reconcile()
    assert tuition.attention(purchase["payment_id"]) == []


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_the_lists_of_a_run_confirm_a_new_payment_without_another_call(
    tuition: Harness, student: Student, kind: str
) -> None:
    if kind == "intent":
        purchase = tuition.create(student).body
        tuition.pay(purchase["payment_intent_id"])
    else:
        purchase = tuition.call(create_checkout_session.handler, student, {"track": "DP"}).body
        tuition.at_stripe("POST", f"/v1/payment_pages/{purchase['session_id']}/confirm", payment_method="pm_card_visa")
    retrieves(tuition)
    tuition.advance_time(5)
    for event in sorted(tuition.new_events(), key=lambda event: event["type"] != "checkout.session.completed"):
        tuition.deliver(event)  # only the session says which intent is its own, so its event comes first
    assert tuition.stripe_calls == []
    assert tuition.payment(purchase["payment_id"]).facts.confirmed is None
    report = tuition.reconcile()
    assert retrieves(tuition) == []
    confirmed = tuition.payment(purchase["payment_id"]).facts.confirmed
    assert isinstance(confirmed, Settled)
    assert (confirmed.amount, confirmed.currency) == (49900, "usd")
    assert (report["confirmed"], report["drifted"], report["failed"]) == (1, 0, [])
    assert [record["type"] for record in tuition.audit_trail(purchase["payment_id"])][-1] == "payment.confirmed"
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_an_older_payment_is_confirmed_by_one_retrieve_within_the_hour(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.advance_time(9 * HOUR)
    tuition.reconcile()
    tuition.advance_time(HOUR // 2)
    tuition.pay(purchase["payment_intent_id"])
    deliver_everything(tuition)
    tuition.advance_time(HOUR // 2)
    retrieves(tuition)
    report = tuition.reconcile()
    assert retrieves(tuition) == [f"GET /v1/payment_intents/{purchase['payment_intent_id']}"]
    assert (report["confirmed"], report["drifted"], report["failed"]) == (1, 0, [])
    for _ in range(3):
        tuition.advance_time(HOUR)
        tuition.reconcile()
    assert retrieves(tuition) == []


def test_a_payment_that_a_failed_step_did_not_confirm_is_confirmed_later(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    deliver_everything(tuition)
    with monkeypatch.context() as patch:
        patch.setattr(walk, "_confirm", lambda *_: 1 / 0)
        for _ in range(9):
            tuition.reconcile()
            tuition.advance_time(HOUR)
    tuition.reconcile()
    assert tuition.payment(purchase["payment_id"]).facts.confirmed is not None
