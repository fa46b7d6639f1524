"""Early fraud warnings: they are stored, shown and raise attention, but change no access."""

from typing import Any

import pytest

from tests.harness import Harness, Student

ACKNOWLEDGE = "POST /api/admin/payments/{payment_id}/attention"


def buy(tuition: Harness, student: Student, method: str = "pm_card_visa") -> dict[str, Any]:
    purchase: dict[str, Any] = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], method)
    return purchase


def warn(tuition: Harness, purchase: dict[str, Any]) -> dict[str, Any]:
    intent = purchase["payment_intent_id"]
    return tuition.at_stripe(
        "POST", "/_sim/early_fraud_warnings", payment_intent=intent, fraud_type="made_with_stolen_card"
    )


def test_a_warning_raises_attention_until_staff_acknowledge_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = buy(tuition, student, "pm_card_createIssuerFraudRecord")
    tuition.deliver_all()
    (reason,) = tuition.attention(purchase["payment_id"])
    assert reason.startswith("fraud_warning:issfr_")
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    page = tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=purchase["payment_id"]).body
    (warning,) = page["facts"]["fraud_warnings"]
    assert (f"fraud_warning:{warning['warning_id']}", warning["type"]) == (reason, "misc")
    body = {"name": reason, "note": "called the student"}
    assert tuition.admin(admin, ACKNOWLEDGE, body, payment_id=purchase["payment_id"]).status == 200
    tuition.deliver_all()
    assert tuition.attention(purchase["payment_id"]) == []


def test_a_warning_that_arrives_twice_or_before_the_payment_is_stored_once(tuition: Harness, student: Student) -> None:
    purchase = buy(tuition, student)
    warning = warn(tuition, purchase)
    events = tuition.new_events()
    for event in [*reversed(events), *events]:
        assert tuition.deliver(event).status == 200
    assert tuition.attention(purchase["payment_id"]) == [f"fraud_warning:{warning['id']}"]
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"


@pytest.mark.usefixtures("empty_tables")
def test_a_warning_whose_webhook_was_lost_is_found_within_the_hour(tuition: Harness, student: Student) -> None:
    purchase = buy(tuition, student)
    tuition.deliver_all()
    warning = warn(tuition, purchase)
    tuition.new_events()  # lost
    assert tuition.reconcile()["failed"] == []
    assert tuition.attention(purchase["payment_id"]) == [f"fraud_warning:{warning['id']}"]
    version = tuition.payment(purchase["payment_id"]).version
    tuition.reconcile()
    assert tuition.payment(purchase["payment_id"]).version == version


def test_a_warning_about_another_app_is_foreign(tuition: Harness) -> None:
    allowed = {"allowed_payment_method_types[0]": "card"}
    intent = tuition.at_stripe("POST", "/v1/payment_intents", amount=500, currency="usd", **allowed)
    assert tuition.pay(intent["id"])["status"] == "succeeded"
    tuition.new_events()
    warn(tuition, {"payment_intent_id": intent["id"]})
    (event,) = tuition.new_events()
    assert tuition.deliver(event).body["outcome"] == "foreign"
