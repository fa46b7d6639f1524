"""The calls that functions make only in rare situations, so that a whole run uses every permission of every role.

`tests/recorded_calls.py` compares the calls of a run with what the roles grant.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack import checkers, commands
from tests.stack.conftest import Running
from tests.stack.test_checkout import create_session
from tests.stack.test_stories import charge_day, deliver

DECLINED = "pm_card_chargeDeclined"


@pytest.fixture(scope="module", autouse=True)
def _check_invariants(running: Running) -> Iterator[None]:
    """Check after all tests of this file, because the hourly run and a check read everything."""
    yield
    assert commands.run(running, "reconcile").returncode == 0
    checkers.check(running)


def audit_day_of(running: Running, payment: dict[str, Any]) -> None:
    """Run the daily audit over the day of a charge. Differences that other tests left are no failure here."""
    day = charge_day(running, payment)
    result = commands.run(running, "audit", "--from", day, "--to", day)
    assert result.returncode in (0, 1), result.stderr


def declined(running: Running, sub: str) -> tuple[str, dict[str, Any]]:
    """Create a payment and decline its card. Return the student's token and the payment."""
    token = running.token(sub)
    payment = running.create(token).json()
    assert "error" in running.pay(payment["payment_intent_id"], DECLINED)
    return token, payment


def paid(running: Running, token: str) -> dict[str, Any]:
    payment = running.create(token).json()
    running.pay(payment["payment_intent_id"])
    running.until_enrolled(token)
    return dict(payment)


def test_a_decline_that_no_webhook_delivered_is_counted_by_each_function_that_syncs(running: Running, sub: str) -> None:
    running.sim("webhooks", deliver="drop")
    token, payment = declined(running, f"{sub}-status")
    assert running.payment(token, payment["payment_id"])["status"] == "FAILED"
    token, payment = declined(running, f"{sub}-again")
    assert running.create(token).json()["payment_id"] == payment["payment_id"]
    token, payment = declined(running, f"{sub}-refund")
    body = {"payment_id": payment["payment_id"], "reason": "declined"}
    assert running.api("POST", "/api/payments/request-refund/", token, json=body).status_code == 409
    token, payment = declined(running, f"{sub}-staff")
    path, body = f"/api/admin/payments/{payment['payment_id']}/refunds/", {"reason": "declined"}
    assert running.api("POST", path, running.ready["admin_token"], json=body).status_code == 409
    token = running.token(f"{sub}-session")
    session = create_session(running, token, "DP").json()
    path = f"/v1/payment_pages/{session['session_id']}/confirm"
    assert "error" in running.stripe("POST", path, payment_method=DECLINED, expected_amount=session["amount"])
    assert create_session(running, token, "DP").json()["session_id"] == session["session_id"]
    token, payment = declined(running, f"{sub}-hourly")
    assert commands.run(running, "reconcile").returncode == 0
    assert running.staff(f"/payments/{payment['payment_id']}/")["payment"]["status"] == "FAILED"


def test_a_student_sees_a_payment_that_was_paid_and_refunded_without_a_webhook(running: Running, token: str) -> None:
    running.sim("webhooks", deliver="drop")
    payment = running.create(token).json()
    running.pay(payment["payment_intent_id"])
    running.stripe("POST", "/v1/refunds", payment_intent=payment["payment_intent_id"])
    assert running.payment(token, payment["payment_id"])["status"] == "REFUNDED"


def test_the_hourly_run_rebuilds_a_payment_that_no_webhook_delivered(running: Running, token: str, sub: str) -> None:
    running.sim("webhooks", deliver="drop")
    first = running.create(token, "FSD").json()["payment_intent_id"]
    metadata = running.stripe("GET", f"/v1/payment_intents/{first}")["metadata"]
    metadata |= {"payment_id": f"pay_unknown{sub.replace('-', '')}", "track": "DP"}
    price = {"amount": 49_900, "currency": "usd", "allowed_payment_method_types[]": "card"}
    values = {f"metadata[{name}]": value for name, value in metadata.items()}
    running.stripe("POST", "/v1/payment_intents", **price, **values, payment_method="pm_card_visa", confirm="true")
    assert commands.run(running, "reconcile").returncode == 0
    assert running.enrollment(token)["status"] == "ENROLLED"


def test_a_create_that_finds_its_open_payment_paid_enrolls(running: Running, sub: str) -> None:
    running.sim("webhooks", deliver="drop")
    token = running.token(f"{sub}-intent")
    running.pay(running.create(token).json()["payment_intent_id"])
    assert running.create(token).status_code == 409
    assert running.enrollment(token)["status"] == "ENROLLED"
    token = running.token(f"{sub}-session")
    session = create_session(running, token, "DP").json()
    path = f"/v1/payment_pages/{session['session_id']}/confirm"
    running.stripe("POST", path, payment_method="pm_card_visa", expected_amount=session["amount"])
    assert create_session(running, token, "DP").status_code == 409
    assert running.enrollment(token)["status"] == "ENROLLED"


def test_the_hourly_run_blocks_the_purchases_of_a_student_whose_dispute_is_lost(running: Running, token: str) -> None:
    payment = paid(running, token)
    running.sim("webhooks", deliver="drop")
    dispute = running.sim("disputes", payment_intent=payment["payment_intent_id"], status="needs_response")
    running.sim("disputes", dispute=dispute["id"], status="lost")
    assert commands.run(running, "reconcile").returncode == 0
    assert running.enrollment(token)["status"] == "WITHDRAWN"
    assert running.create(token, "FSD").status_code == 409


def test_the_daily_audit_confirms_a_payment_whose_dispute_is_lost(running: Running, token: str) -> None:
    payment = paid(running, token)
    dispute = running.sim("disputes", payment_intent=payment["payment_intent_id"], status="needs_response")
    running.sim("disputes", dispute=dispute["id"], status="lost")

    def withdrawn() -> bool:
        return bool(running.enrollment(token)["status"] == "WITHDRAWN")

    running.until(withdrawn, "the dispute is lost")
    running.until_delivered()
    audit_day_of(running, payment)
    assert running.staff(f"/payments/{payment['payment_id']}/")["facts"]["balance"] is not None


def test_quarantined_events_are_applied_by_staff_and_by_the_hourly_run(running: Running, token: str) -> None:
    payment = paid(running, token)
    events = running.stripe("GET", "/v1/events?type=payment_intent.succeeded&limit=100")["data"]
    event = next(one for one in events if one["data"]["object"]["id"] == payment["payment_intent_id"])
    good = {name: {**event, "id": f"{event['id']}{name}"} for name in ("staff", "hourly", "broken")}
    for one in good.values():
        broken = {**one, "data": {"object": {**event["data"]["object"], "amount_received": "many"}}}
        assert deliver(running, json.dumps(broken)).json()["outcome"] == "quarantined"
    listed = {one["event_id"] for one in running.staff("/quarantine/")["events"]}
    assert {one["id"] for one in good.values()} <= listed
    for name in ("staff", "hourly"):
        mend(running, good[name])
    path = f"/api/admin/quarantine/{good['staff']['id']}/replay/"
    answer = running.api("POST", path, running.ready["admin_token"]).json()
    assert answer["outcome"] == "applied", answer
    assert commands.run(running, "reconcile").returncode in (0, 1)
    waiting = {one["event_id"] for one in running.staff("/quarantine/")["events"]}
    assert waiting & {one["id"] for one in good.values()} == {good["broken"]["id"]}
    path = f"/api/admin/quarantine/{good['broken']['id']}/discard/"
    body = {"note": "made by a test"}
    assert running.api("POST", path, running.ready["admin_token"], json=body).status_code == 200


def mend(running: Running, event: dict[str, Any]) -> None:
    """Replace a quarantined event by one that can be applied, as if a new version could read it."""
    assert running.stack.aws is not None
    assert running.stack.deployed is not None
    running.stack.aws.client("dynamodb").update_item(
        TableName=running.stack.deployed.resources["QuarantineTable"],
        Key={"event_id": {"S": event["id"]}},
        UpdateExpression="SET #event = :event",
        ExpressionAttributeNames={"#event": "event"},
        ExpressionAttributeValues={":event": {"S": json.dumps(event)}},
    )


def test_staff_read_what_they_seldom_read_and_turn_the_selling_switch(running: Running, token: str) -> None:
    payment = running.create(token).json()
    assert running.staff("/counts/", year="2025")["complete"]
    assert "type" in running.staff(f"/exports/exp_{'0' * 32}/")
    for staff_decision in (False, True):
        body = {"selling": staff_decision, "note": "a test"}
        answer = running.api("POST", "/api/admin/selling/", running.ready["admin_token"], json=body).json()
        assert (answer["selling"], answer["chain"]["verified"]) == (staff_decision, True)
    intent = payment["payment_intent_id"]
    assert len(running.staff("/payments/", q=intent)["payments"]) == 1
    body = {"filters": {"q": intent}}
    export = running.api("POST", "/api/admin/exports/", running.ready["admin_token"], json=body).json()
    running.until(lambda: running.staff(f"/exports/{export['export_id']}/")["state"] == "done", "the export")
