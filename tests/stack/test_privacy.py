"""No log line and no audit record contains personal data, whatever students, staff and Stripe do."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sensitive_data import find_sensitive
from tests.stack import commands, left_behind
from tests.stack.conftest import Running
from tests.stack.test_checkout import create_code, create_session
from tests.stack.test_stories import deliver

NAME = "Wilhelmina Testarossa"
STUDENT_REASON = "Moving to Ulan Bator in spring"
STAFF_NOTE = "Spoke with her mother by phone"
ROUTES = (
    "create-payment",
    "create-checkout-session",
    "status",
    "request-refund",
    "webhook",
    "admin/exports",
    "me/export",
)
LOG_MARKERS = (*ROUTES, "enrollments", "quarantined", "not-found", "unknown-track", '"export"', "reconciled")
PERSONAL_TEXTS = (NAME, "Wilhelmina", "Testarossa", STUDENT_REASON, "Ulan Bator", STAFF_NOTE, "her mother")


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
def test_the_search_finds_each_kind_of_personal_data_and_secret(text: str) -> None:
    assert find_sensitive(f"INFO {text} and more")


def test_no_log_line_and_no_record_contains_personal_data_or_payment_details(running: Running, sub: str) -> None:
    email = f"{sub}.private@example.org"
    token = running.token(sub, email=email)
    payment_id, session = _buy(running, token, sub), _buy_with_code(running, token, sub)
    _refund_and_revoke(running, token, payment_id, session)
    _export(running, email)
    _copy_everything(running, token, sub, payment_id)
    _correct_address(running, sub, email)
    _send_unusable_webhooks(running, session, email)
    assert commands.run(running, "reconcile").returncode == 0

    def complete_log() -> list[str] | None:
        """Return the log once it has a line of each kind. A late line appears with its worker's next invocation."""
        lines = list(running.log_lines())
        if all(any(marker in line for line in lines) for marker in LOG_MARKERS):
            return lines
        _send_unknown_references(running, token, sub)
        _export(running, email)
        assert commands.run(running, "reconcile").returncode == 0
        return None

    logged, stored = running.until(complete_log, f"lines with {LOG_MARKERS}"), list(_stored_items(running))
    for type_ in (
        "refund.created_by_staff",
        "refund.requested",
        "decision.revoke",
        "attention.acknowledged",
        "export.ordered",
    ):
        assert any(type_ in item for item in stored), type_
    for text in (*logged, *stored):
        personal = [words for words in (*PERSONAL_TEXTS, email) if words.lower() in text.lower()]
        assert personal + find_sensitive(text) == [], text


def test_planted_data_are_found_wherever_the_stack_keeps_them(running: Running, sub: str) -> None:
    """The end of the stack makes the same comparison with everything that its tests have left behind."""
    secret, address = "whsec_planted", f"{sub}.planted@example.org"
    effect = {"consumer_subject": {"S": f"planted#{sub}"}, "sort_key": {"S": "1"}, "shoe_size": {"N": "44"}}
    table, bucket = _table(running, "EffectsTable"), _table(running, "ExportsBucket")
    key = {name: effect[name] for name in ("consumer_subject", "sort_key")}
    assert running.stack.aws is not None
    s3, logs = running.stack.aws.client("s3"), running.stack.aws.client("logs")
    lines = [{"message": "planted", "body": "text"}, {"message": "planted", "error": address}]
    try:
        _dynamodb(running).put_item(TableName=table, Item=effect)
        s3.put_object(Bucket=bucket, Key=f"exports/{sub}/state.json", Body=json.dumps({"problem": secret}))
        s3.put_object(Bucket=bucket, Key=f"exports/{sub}/payments.csv", Body=b"payment_id,phone\r\npay_1,1\r\n")
        logs.create_log_group(logGroupName=sub)
        logs.create_log_stream(logGroupName=sub, logStreamName=sub)
        events = [{"timestamp": int(time.time() * 1000), "message": json.dumps(line)} for line in lines]
        logs.put_log_events(logGroupName=sub, logStreamName=sub, logEvents=events)
        problems = left_behind.problems(running.stack)
    finally:
        _dynamodb(running).delete_item(TableName=table, Key=key)
        for name in ("state.json", "payments.csv"):
            s3.delete_object(Bucket=bucket, Key=f"exports/{sub}/{name}")
        logs.delete_log_group(logGroupName=sub)
    assert {problem.partition(" is not declared")[0].partition(": ")[0] for problem in problems} >= {
        "effects.shoe_size",
        "exports.problem has a signing secret",
        "export_files.phone",
        "log.body",
        "log.error has an email address",
    }


def _buy(running: Running, token: str, sub: str) -> str:
    """Buy a track with a card, after unknown references and a declined card, and return the payment id."""
    _send_unknown_references(running, token, sub)
    payment = running.create(token).json()
    for number, status in (("4000000000009995", None), ("4242424242424242", "succeeded")):
        assert running.pay(payment["payment_intent_id"], _create_card(running, number, sub)).get("status") == status
    running.until_enrolled(token)
    running.until(lambda: running.payment(token, payment["payment_id"])["receipt_url"], "a receipt")
    return str(payment["payment_id"])


def _send_unknown_references(running: Running, token: str, sub: str) -> None:
    assert running.api("GET", f"/api/payments/status/{sub}.private@example.org", token).status_code == 404
    body = {"track": f"{NAME}, {sub}.private@example.org"}
    assert running.api("POST", "/api/payments/create-payment", token, json=body).status_code == 422


def _create_card(running: Running, number: str, sub: str) -> str:
    """Create a card whose owner has a name and an email address."""
    card = {"number": number, "exp_month": "12", "exp_year": "2040", "cvc": "123"}
    owner = {"name": NAME, "email": f"{sub}.private@example.org"}
    fields = {f"card[{name}]": value for name, value in card.items()}
    fields |= {f"billing_details[{name}]": value for name, value in owner.items()}
    return str(running.stripe("POST", "/v1/payment_methods", type="card", **fields)["id"])


def _buy_with_code(running: Running, token: str, sub: str) -> dict[str, Any]:
    """Buy a track through Checkout with a promotion code and a card whose owner disputes the charge."""
    create_code(running, f"PRIVACY-{sub}", 50)
    session = create_session(running, token, "FSD", promotion_code=f"privacy-{sub}").json()
    method = _create_card(running, "4000000000000259", sub)
    path = f"/v1/payment_pages/{session['session_id']}/confirm"
    paid = running.stripe("POST", path, payment_method=method, expected_amount=session["amount"])
    assert "error" not in paid, paid
    running.until_enrolled(token, "FSD")
    return dict(session)


def _refund_and_revoke(running: Running, token: str, payment_id: str, session: dict[str, Any]) -> None:
    """Refund a part as staff and the rest for the student, acknowledge the dispute, and revoke access."""

    def staff(path: str, **body: Any) -> None:
        response = running.api("POST", f"/api/admin/payments/{path}", running.ready["admin_token"], json=body)
        assert response.status_code == 200, response.text

    staff(f"{payment_id}/refunds", amount=10_000, reason=STAFF_NOTE, note=STAFF_NOTE)
    body = {"payment_id": payment_id, "reason": STUDENT_REASON}
    assert running.api("POST", "/api/payments/request-refund", token, json=body).status_code == 200
    assert running.api("POST", "/api/payments/request-refund", token, json=body).status_code == 409
    disputed_id = session["payment_id"]

    def attention() -> Any:
        return running.staff(f"/payments/{disputed_id}")["payment"]["attention"]

    (reason,) = running.until(attention, "a dispute")
    staff(f"{disputed_id}/attention", name=reason["name"], note=STAFF_NOTE)
    staff(f"{disputed_id}/access", decision="revoke", note=STAFF_NOTE)


def _copy_everything(running: Running, token: str, sub: str, payment_id: str) -> None:
    """Read everything that is stored about the student, as the student and as staff."""
    own = running.api("GET", "/api/me/export/", token)
    assert own.status_code == 200, own.text
    assert payment_id in own.text
    assert running.ready["admin_token"] not in own.text
    same = running.staff(f"/users/{sub}/export")["payments"]
    assert payment_id in [payment["attributes"]["payment_id"] for payment in same]


def _correct_address(running: Running, sub: str, email: str) -> None:
    """Correct the student's address to another one, and back."""
    for address in (f"new.{email}", email):
        response = running.api("POST", "/api/me/email/", running.token(sub, email=address))
        assert response.status_code == 200, response.text
        assert response.json()["payments"] >= 1


def _export(running: Running, email: str) -> None:
    """Search for the email address and export the result."""
    assert running.staff("/payments", q=email)["payments"]
    body = {"filters": {"q": email}}
    export = running.api("POST", "/api/admin/exports", running.ready["admin_token"], json=body).json()
    running.until(lambda: running.staff(f"/exports/{export['export_id']}")["state"] == "done", "the export")


def _send_unusable_webhooks(running: Running, session: dict[str, Any], email: str) -> None:
    """Send a signed but malformed event and one with a forged signature."""
    events = running.stripe("GET", "/v1/events?type=checkout.session.completed&limit=100")["data"]
    event = next(e for e in events if e["data"]["object"]["id"] == session["session_id"])
    event["id"] += "broken"
    event["data"]["object"] |= {"amount_total": NAME, "currency": email}
    assert deliver(running, json.dumps(event)).json()["outcome"] == "quarantined"
    assert deliver(running, json.dumps(event), secret="whsec_forged").status_code == 400
    response = running.api("POST", f"/api/admin/quarantine/{event['id']}/replay", running.ready["admin_token"])
    assert response.json()["outcome"] == "quarantined"
    _dynamodb(running).delete_item(TableName=_table(running, "QuarantineTable"), Key={"event_id": {"S": event["id"]}})


def _stored_items(running: Running) -> Iterator[str]:
    """Yield every item of the tables whose items are never erased."""
    for name in ("AuditTable", "CursorsTable", "AnalyticsTable"):
        yield from map(json.dumps, left_behind.items(running.stack, _table(running, name)))


def _dynamodb(running: Running) -> Any:
    assert running.stack.aws is not None
    return running.stack.aws.client("dynamodb")


def _table(running: Running, name: str) -> str:
    assert running.stack.deployed is not None
    return running.stack.deployed.resources[name]
