"""What is logged, and what is on the records of all that people, staff and Stripe do: nothing of anybody."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sensitive_data import find_sensitive
from tests.stack.conftest import Running
from tests.stack.test_checkout import begin, offer
from tests.stack.test_stories import deliver, reconcile

NAME = "Wilhelmina Testarossa"
STUDENT_WROTE = "Moving to Ulan Bator in spring"
STAFF_WROTE = "Spoke with her mother by phone"
ROUTES = ("create-payment", "create-checkout-session", "status", "request-refund", "webhook", "admin/exports")
LOGGED = (*ROUTES, "enrollments", "quarantined", "not-found", "unknown-track", '"export"', "reconciled")
WRITTEN = (NAME, "Wilhelmina", "Testarossa", STUDENT_WROTE, "Ulan Bator", STAFF_WROTE, "her mother")


@pytest.mark.parametrize(
    "text",
    [
        '{"email": "ada@example.org"}',
        "pi_3_secret_abc",
        "Invalid API Key provided: sk_test_12",
        "whsec_abc",
        "Bearer eyJhbGciOiAiUlMyNTYi",
        "4242424242424242",
        "4242 4242 4242 4242",
        "https://pay.stripe.com/receipts/x",
    ],
)
def test_what_is_looked_for_would_be_found(text: str) -> None:
    assert find_sensitive(f"INFO {text} and more")


def test_no_log_line_and_no_record_tells_of_a_person_or_how_to_pay(running: Running, sub: str) -> None:
    email = f"{sub}.private@example.org"
    token = running.token(sub, email=email)
    bought, by_code = _buy(running, token, sub), _buy_with_a_code(running, token, sub)
    _decide(running, token, bought, by_code)
    _export(running, email)
    _send_what_cannot_be_applied(running, by_code, email)
    assert reconcile(running).returncode == 0

    def logged_of_all() -> list[str] | None:
        """A line that comes late stays with its worker until that one's next invocation."""
        lines = list(_logged(running))
        if all(any(what in line for line in lines) for what in LOGGED):
            return lines
        _ask_for_what_there_is_not(running, token, sub)
        _export(running, email)
        assert reconcile(running).returncode == 0
        return None

    logged, stored = running.until(logged_of_all, f"lines of {LOGGED}"), list(_stored(running))
    for type_ in ("refund.ordered", "refund.requested", "decision.revoke", "attention.acknowledged", "export.ordered"):
        assert any(type_ in item for item in stored), type_
    for text in (*logged, *stored):
        told = [words for words in (*WRITTEN, email) if words.lower() in text.lower()]
        assert told + find_sensitive(text) == [], text


def _buy(running: Running, token: str, sub: str) -> str:
    """With a card that is typed in, after one that is declined, and after asking for what there is not."""
    _ask_for_what_there_is_not(running, token, sub)
    made = running.create(token).json()
    for number, status in (("4000000000009995", None), ("4242424242424242", "succeeded")):
        assert running.pay(made["payment_intent_id"], _typed_in(running, number, sub)).get("status") == status
    running.until_enrolled(token)
    running.until(lambda: running.payment(token, made["payment_id"])["receipt_url"], "a receipt")
    return str(made["payment_id"])


def _ask_for_what_there_is_not(running: Running, token: str, sub: str) -> None:
    assert running.api("GET", f"/api/payments/status/{sub}.private@example.org/", token).status_code == 404
    asked = {"track": f"{NAME}, {sub}.private@example.org"}
    assert running.api("POST", "/api/payments/create-payment/", token, json=asked).status_code == 422


def _typed_in(running: Running, number: str, sub: str) -> str:
    """A card of somebody with a name and an address."""
    card = {"number": number, "exp_month": "12", "exp_year": "2040", "cvc": "123"}
    owner = {"name": NAME, "email": f"{sub}.private@example.org"}
    typed = {f"card[{name}]": value for name, value in card.items()}
    typed |= {f"billing_details[{name}]": value for name, value in owner.items()}
    return str(running.stripe("POST", "/v1/payment_methods", type="card", **typed)["id"])


def _buy_with_a_code(running: Running, token: str, sub: str) -> dict[str, Any]:
    """At Checkout, with a card whose owner disputes it."""
    offer(running, f"TOLD-{sub}", 50)
    made = begin(running, token, "FSD", promotion_code=f"told-{sub}").json()
    method = _typed_in(running, "4000000000000259", sub)
    path = f"/v1/payment_pages/{made['session_id']}/confirm"
    paid = running.stripe("POST", path, payment_method=method, expected_amount=made["amount"])
    assert "error" not in paid, paid
    running.until_enrolled(token, "FSD")
    return dict(made)


def _decide(running: Running, token: str, bought: str, by_code: dict[str, Any]) -> None:
    """Staff give back a part, revoke, and deal with a dispute; the student asks for the rest."""

    def staff(path: str, **body: Any) -> None:
        answer = running.api("POST", f"/api/admin/payments/{path}", running.ready["admin_token"], json=body)
        assert answer.status_code == 200, answer.text

    staff(f"{bought}/refunds/", amount=10_000, reason=STAFF_WROTE, note=STAFF_WROTE)
    asked = {"payment_id": bought, "reason": STUDENT_WROTE}
    assert running.api("POST", "/api/payments/request-refund/", token, json=asked).status_code == 200
    assert running.api("POST", "/api/payments/request-refund/", token, json=asked).status_code == 409
    payment_id = by_code["payment_id"]

    def attention() -> Any:
        return running.staff(f"/payments/{payment_id}/")["payment"]["attention"]

    (cause,) = running.until(attention, "a dispute")
    staff(f"{payment_id}/attention/", cause=cause["name"], note=STAFF_WROTE)
    staff(f"{payment_id}/decisions/", decision="revoke", note=STAFF_WROTE)


def _export(running: Running, email: str) -> None:
    """What they search for is their student's address."""
    assert running.staff("/payments/", q=email)["payments"]
    order = {"filters": {"q": email}}
    made = running.api("POST", "/api/admin/exports/", running.ready["admin_token"], json=order).json()
    running.until(lambda: running.staff(f"/exports/{made['export_id']}/")["state"] == "done", "the export")


def _send_what_cannot_be_applied(running: Running, by_code: dict[str, Any], email: str) -> None:
    """Signed, and not in a shape of Stripe's; and what is not signed at all."""
    listed = running.stripe("GET", "/v1/events?type=checkout.session.completed&limit=100")["data"]
    event = next(e for e in listed if e["data"]["object"]["id"] == by_code["session_id"])
    event["id"] += "broken"
    event["data"]["object"] |= {"amount_total": NAME, "currency": email}
    assert deliver(running, json.dumps(event)).json()["outcome"] == "quarantined"
    assert deliver(running, json.dumps(event), secret="whsec_forged").status_code == 400
    replayed = running.api("POST", f"/api/admin/quarantine/{event['id']}/replay/", running.ready["admin_token"])
    assert replayed.json()["outcome"] == "quarantined"
    _dynamodb(running).delete_item(TableName=_table(running, "QuarantineTable"), Key={"event_id": {"S": event["id"]}})


def _logged(running: Running) -> Iterator[str]:
    """Every line that any function has written. The emulated AWS answers the oldest of them, and no token for more."""
    assert running.stack.aws is not None
    logs = running.stack.aws.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        events: list[Any] = [{"timestamp": 0}]
        while events:
            start = events[-1]["timestamp"] + 1
            events = logs.filter_log_events(logGroupName=group["logGroupName"], startTime=start)["events"]
            yield from (event["message"] for event in events)


def _stored(running: Running) -> Iterator[str]:
    """Every item of the tables of which nothing is ever erased."""
    for name in ("AuditTable", "CursorsTable", "AnalyticsTable"):
        for page in _dynamodb(running).get_paginator("scan").paginate(TableName=_table(running, name)):
            yield from map(json.dumps, page["Items"])


def _dynamodb(running: Running) -> Any:
    assert running.stack.aws is not None
    return running.stack.aws.client("dynamodb")


def _table(running: Running, name: str) -> str:
    assert running.stack.deployed is not None
    return running.stack.deployed.resources[name]
