"""User stories over HTTP on the stack that is deployed from template.yaml."""

import csv
import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from stripe_simulator.webhooks import signature
from tests.stack import checkers, commands
from tests.stack.conftest import Running


@pytest.fixture(scope="module", autouse=True)
def _check_invariants(running: Running) -> Iterator[None]:
    """Check all stories at once, because a check reads everything. Those that may mend something check before it."""
    yield
    checkers.check(running)


@pytest.fixture(autouse=True)
def _no_failing_calls(running: Running) -> Iterator[None]:
    yield
    running.http.request("DELETE", f"{running.ready['stripe']}/_sim/calls")


def test_a_purchase_unlocks_the_first_project_of_the_track(running: Running, token: str) -> None:
    response = running.create(token)
    assert response.status_code == 201
    payment = response.json()
    assert set(payment) == {"payment_id", "payment_intent_id", "client_secret", "amount", "currency", "track", "status"}
    assert (payment["amount"], payment["currency"], payment["track"], payment["status"]) == (
        49900,
        "usd",
        "DP",
        "CREATED",
    )
    second = running.create(token)
    assert (second.status_code, second.json()["payment_intent_id"]) == (200, payment["payment_intent_id"])
    assert running.pay(payment["payment_intent_id"])["status"] == "succeeded"
    enrollment = running.until_enrolled(token)
    assert [p["unlocked"] for p in enrollment["projects"]] == [True, False, False, False]
    assert all(p["steps"] for p in enrollment["projects"])

    def has_receipt() -> bool:
        return bool(running.payment(token, payment["payment_intent_id"])["receipt_url"])

    running.until(has_receipt, "a receipt")
    paid = running.payment(token, payment["payment_intent_id"])
    assert paid["status"] == "SUCCEEDED"
    assert paid["payment_method"] == {"type": "card", "brand": "visa", "last4": "4242"}
    third = running.create(token)
    assert third.status_code == 409
    assert third.headers["content-type"] == "application/problem+json"
    page = running.api("GET", "/api/payments/my-payments", token).json()
    assert [p["payment_id"] for p in page["payments"]] == [payment["payment_id"]]
    assert page["next_cursor"] is None


def test_a_payment_fails_with_a_declined_card_and_then_succeeds_with_another(running: Running, token: str) -> None:
    payment = running.create(token).json()
    declined = running.pay(payment["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    assert declined["error"]["decline_code"] == "insufficient_funds"
    running.until(lambda: running.payment(token, payment["payment_id"])["status"] == "FAILED", "FAILED")
    assert running.enrollment(token)["status"] == "PENDING"
    running.pay(payment["payment_intent_id"])
    running.until_enrolled(token)


def test_a_student_is_enrolled_after_passing_three_d_secure(running: Running, token: str) -> None:
    payment = running.create(token).json()
    intent = running.pay(payment["payment_intent_id"], "pm_card_authenticationRequiredOnSetup")
    assert intent["status"] == "requires_action"
    assert running.enrollment(token)["status"] == "PENDING"
    running.sim(f"payment_intents/{payment['payment_intent_id']}/authenticate", outcome="success")
    running.until_enrolled(token)


def test_twelve_simultaneous_creates_return_one_payable_intent(running: Running, token: str) -> None:
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: running.create(token, "FSD"), range(12)))
    assert {r.status_code for r in responses} <= {200, 201}, [r.text for r in responses]
    intents = {r.json()["payment_intent_id"] for r in responses}
    assert len(intents) == 1
    running.pay(intents.pop())
    running.until_enrolled(token, "FSD")


def test_the_webhook_enrolls_while_every_request_to_stripe_fails(running: Running, token: str) -> None:
    payment = running.create(token).json()
    running.sim("webhooks", deliver="drop")
    running.pay(payment["payment_intent_id"])
    events = running.stripe("GET", "/v1/events?type=payment_intent.succeeded&limit=100")["data"]
    event = next(e for e in events if e["data"]["object"]["id"] == payment["payment_intent_id"])
    for depth in range(1, 6):
        running.sim("calls", match="* /v1" + "/*" * depth, times=1000, fail="before")
    response = deliver(running, json.dumps(event))
    assert response.status_code == 200, response.text
    assert running.enrollment(token)["status"] == "ENROLLED"


def deliver(
    running: Running, body: str, *, secret: str | None = None, at: float | None = None, sent: str | None = None
) -> httpx.Response:
    """Send a webhook whose signature covers `body`. `sent` replaces the body after signing."""
    header = signature(secret or running.ready["webhook_secret"], body.encode(), int(at or time.time()))
    headers = {"stripe-signature": header, "content-type": "application/json"}
    return running.api("POST", "/api/payments/webhook", content=sent or body, headers=headers)


def test_a_webhook_without_a_valid_signature_changes_nothing(running: Running, token: str) -> None:
    payment = running.create(token).json()
    running.sim("webhooks", deliver="drop")
    running.pay(payment["payment_intent_id"])
    events = running.stripe("GET", "/v1/events?type=payment_intent.succeeded&limit=100")["data"]
    body = json.dumps(next(e for e in events if e["data"]["object"]["id"] == payment["payment_intent_id"]))
    responses = [
        deliver(running, body, secret="whsec_other"),
        deliver(running, body, at=time.time() - 301),
        deliver(running, body, sent=body.replace("49900", "49901")),
        running.api("POST", "/api/payments/webhook", content=body),
    ]
    assert [r.status_code for r in responses] == [400] * 4
    assert running.enrollment(token)["status"] == "PENDING"
    assert deliver(running, body).status_code == 200
    assert deliver(running, body).status_code == 200
    assert running.enrollment(token)["status"] == "ENROLLED"


def test_a_refund_withdraws_the_student_and_a_new_purchase_enrolls_them_again(running: Running, token: str) -> None:
    payment = running.create(token).json()
    running.pay(payment["payment_intent_id"])
    running.until_enrolled(token)
    body = {"payment_intent_id": payment["payment_intent_id"], "reason": "changed my mind"}
    response = running.api("POST", "/api/payments/request-refund", token, json=body)
    assert response.status_code == 200, response.text
    assert (response.json()["status"], response.json()["refund_amount"]) == ("REFUNDED", 49900)
    assert running.enrollment(token)["status"] == "WITHDRAWN"
    second = running.create(token)
    assert second.status_code == 201
    running.pay(second.json()["payment_intent_id"])
    assert running.until_enrolled(token)["projects"][0]["unlocked"]


def test_the_status_page_shows_a_payment_whose_webhook_was_lost(running: Running, token: str) -> None:
    payment = running.create(token).json()
    running.sim("webhooks", deliver="drop")
    running.pay(payment["payment_intent_id"])
    running.until(
        lambda: running.payment(token, payment["payment_id"])["status"] == "SUCCEEDED", "the payment has succeeded"
    )
    assert running.enrollment(token)["status"] == "ENROLLED"


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_route_except_the_catalog_and_the_webhook_requires_a_token(running: Running, slash: str) -> None:
    assert running.api("GET", f"/api/payments/tracks{slash}").status_code == 200
    assert running.api("POST", f"/api/payments/webhook{slash}").status_code == 400
    for method, path in (
        ("POST", "/api/payments/create-payment"),
        ("POST", "/api/payments/create-checkout-session"),
        ("GET", "/api/payments/status/pi_1"),
        ("GET", "/api/payments/my-payments"),
        ("GET", "/api/payments/payment-methods"),
        ("DELETE", "/api/payments/payment-methods/pm_1"),
        ("POST", "/api/payments/request-refund"),
        ("GET", "/api/enrollments"),
        ("GET", "/api/admin/payments"),
        ("GET", "/api/admin/payments/pay_1"),
        ("POST", "/api/admin/payments/pay_1/refunds"),
        ("POST", "/api/admin/payments/pay_1/refunds/rr_1"),
        ("GET", "/api/admin/payments/statuses"),
        ("GET", "/api/admin/payments/totals"),
        ("GET", "/api/admin/counts"),
        ("GET", "/api/admin/users/x"),
        ("GET", "/api/admin/disputes"),
        ("GET", "/api/admin/refund-requests"),
        ("POST", "/api/admin/exports"),
        ("GET", "/api/admin/exports/exp_1"),
        ("GET", "/api/admin/quarantine/evt_1"),
        ("GET", "/api/admin/attention"),
        ("GET", "/api/admin/quarantine"),
        ("POST", "/api/admin/quarantine/evt_1/replay"),
    ):
        assert running.api(method, path + slash).status_code == 401, path
        assert running.api(method, path + slash, "not.a.token").status_code == 401, path


def test_an_unknown_route_is_not_found(running: Running, token: str) -> None:
    assert running.api("GET", "/api/payments/nothing", token).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 422),
        (b'{"track": "XX"}', 422),
        (b'{"track": 7}', 422),
        (b'{"track": "DP", "amount": 1}', 422),
        (b'{"track": "DP", "user_id": "other"}', 422),
        (b"not json", 400),
        (b"\xff\xfe\xfa", 400),
        (b"[]", 400),
        (b"", 400),
        (b'{"track": "' + b"x" * 1_000_000 + b'"}', 413),
    ],
    ids=["empty object", "unknown", "wrong type", "price", "user", "not json", "not utf-8", "list", "empty", "1 MB"],
)
def test_a_malformed_body_is_rejected_with_a_reason_and_writes_nothing(
    running: Running, token: str, body: bytes, status: int
) -> None:
    response = running.api("POST", "/api/payments/create-payment", token, content=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]
    assert running.api("GET", "/api/enrollments", token).json()["enrollments"] == []


def test_the_payment_of_another_student_is_not_found(running: Running, token: str, sub: str) -> None:
    payment = running.create(token).json()
    other = running.token(f"{sub}-other")
    for reference in (payment["payment_id"], payment["payment_intent_id"], "pi_unknown", "x"):
        assert running.api("GET", f"/api/payments/status/{reference}", other).status_code == 404
    body = {"payment_id": payment["payment_id"], "reason": "mine now"}
    assert running.api("POST", "/api/payments/request-refund", other, json=body).status_code == 404


def test_only_staff_can_list_payments_and_only_admins_can_refund(running: Running, token: str) -> None:
    assert running.api("GET", "/api/admin/payments", token).status_code == 403
    support = running.token("support-1", groups=["support"])
    assert running.api("GET", "/api/admin/payments", support).status_code == 200
    body = {"reason": "x"}
    assert running.api("POST", "/api/admin/payments/pay_x/refunds", support, json=body).status_code == 403


def test_staff_see_a_dispute_refund_a_payment_in_two_parts_and_export_it(
    running: Running, token: str, sub: str
) -> None:
    disputed = running.create(token, "FSD").json()
    running.pay(disputed["payment_intent_id"], "pm_card_createDispute")
    running.until_enrolled(token, "FSD")

    def open_dispute() -> Any:
        rows = running.staff("/disputes", state="open")["disputes"]
        return next((row for row in rows if row["payment_id"] == disputed["payment_id"]), None)

    dispute = running.until(open_dispute, "a dispute")
    assert (dispute["enrollment"], dispute["status"], bool(dispute["due_by"])) == ("ENROLLED", "needs_response", True)
    running.stripe(
        "POST", f"/v1/disputes/{dispute['dispute_id']}", **{"evidence[uncategorized_text]": "winning_evidence"}
    )
    running.until(lambda: open_dispute() is None, "the dispute is closed")

    def post(path: str, **body: Any) -> Any:
        return running.api("POST", f"/api/admin{path}", running.ready["admin_token"], json=body)

    bought = running.create(token, "DP").json()
    running.pay(bought["payment_intent_id"])
    running.until_enrolled(token, "DP")
    refunds = f"/payments/{bought['payment_id']}/refunds"
    first = post(refunds, amount=20000, reason="a part", expected_refundable_amount=49900)
    assert first.status_code == 200, first.text
    assert post(refunds, amount=20000, reason="a part", expected_refundable_amount=49900).status_code == 409
    assert post(refunds, amount=29900, reason="the rest", expected_refundable_amount=29900).status_code == 200
    user = running.staff(f"/users/{sub}")
    assert [(e["track"], e["status"]) for e in user["enrollments"]] == [("DP", "WITHDRAWN"), ("FSD", "ENROLLED")]
    month = running.staff(f"/payments/{bought['payment_id']}")["payment"]["created_at"][:7]
    of_month = [payment for payment in checkers.payments(running) if payment["created_at"].startswith(month)]
    assert sum(c["payments"] for c in running.staff("/counts", month=month)["counts"]) == len(of_month)

    requested = post("/exports", filters={"status": "REFUNDED", "q": sub})
    assert requested.status_code == 202, requested.text

    def finished_export() -> Any:
        export = running.staff(f"/exports/{requested.json()['export_id']}")
        return export if export["state"] == "done" else None

    export = running.until(finished_export, "the export")
    file = running.http.get(export["url"])  # without a token, as a browser does
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"), newline="")))
    assert [(row["payment_id"], row["refund_amount"]) for row in rows] == [(bought["payment_id"], "49900")]
    assert (len(rows), len(file.content)) == (export["rows"], export["bytes"])
    assert "attachment" in file.headers["content-disposition"]
    assert running.http.get(export["url"].replace("Signature=", "Signature=0")).status_code == 403


def test_make_reconcile_finds_a_purchase_whose_webhooks_were_lost(running: Running, token: str) -> None:
    checkers.check(running)
    running.until_delivered()
    assert commands.run(running, "reconcile").returncode == 0  # sync the payments of earlier tests
    running.sim("webhooks", deliver="drop")
    payment = running.create(token, "FSD").json()
    running.pay(payment["payment_intent_id"])
    assert running.enrollment(token, "FSD")["status"] == "PENDING"
    result = commands.run(running, "reconcile", process=True)
    assert result.returncode == 0, result.stderr
    assert ", 1 drifted" in result.stdout
    assert running.enrollment(token, "FSD")["status"] == "ENROLLED"
    today = datetime.now(UTC).date().isoformat()
    backfill = commands.run(running, "reconcile", "--from", today, "--to", today)
    assert (backfill.returncode, ", 0 drifted" in backfill.stdout, "100%" in backfill.stdout) == (0, True, True)
    backwards = commands.run(running, "reconcile", "--from", today, "--to", "2020-01-01")
    assert (backwards.returncode, "--from and --to" in backwards.stderr) == (2, True)


def test_make_audit_compares_the_books_of_a_day(running: Running, token: str) -> None:
    """The audit runs with the permissions of its role."""
    checkers.check(running)
    payment = running.create(token, "FSD").json()
    running.pay(payment["payment_intent_id"])
    running.until(lambda: (running.enrollment(token, "FSD") or {}).get("status") == "ENROLLED", "the enrollment")
    running.until(lambda: running.payment(token, payment["payment_id"])["payment_method"], "the charge")
    assert commands.run(running, "reconcile").returncode == 0  # apply the events that earlier tests dropped
    day = charge_day(running, payment)
    result = commands.run(running, "audit", "--from", day, "--to", day, process=True)
    books = running.staff("/books")
    assert result.returncode == (0 if books["equal"] else 1), result.stdout + result.stderr
    assert payment["payment_id"] not in [name for one in books["differences"] for name in one["ids"]]
    assert f"{day} charge: ours " in result.stdout and " USD, Stripe's " in result.stdout
    balance = running.staff(f"/payments/{payment['payment_id']}")["facts"]["balance"]
    assert balance is not None and balance["fee"] > 0, result.stdout + result.stderr
    assert balance["net"] + balance["fee"] == payment["amount"]


def charge_day(running: Running, payment: dict[str, Any]) -> str:
    """Return the day of a payment's charge in UTC, which may end while the test runs."""
    intent = running.stripe("GET", f"/v1/payment_intents/{payment['payment_intent_id']}")
    created = running.stripe("GET", f"/v1/charges/{intent['latest_charge']}")["created"]
    return datetime.fromtimestamp(created, UTC).date().isoformat()


def test_a_webhook_rebuilds_a_missing_payment(running: Running, token: str, sub: str) -> None:
    """The webhook runs with the permissions of its role."""
    intent = running.stripe("GET", f"/v1/payment_intents/{running.create(token, 'FSD').json()['payment_intent_id']}")
    values = {**intent["metadata"], "payment_id": f"pay_lost{sub.replace('-', '')}", "track": "DP"}
    metadata = {f"metadata[{name}]": value for name, value in values.items()}
    price = {"amount": 49_900, "currency": "usd", "allowed_payment_method_types[]": "card"}
    running.stripe("POST", "/v1/payment_intents", **price, **metadata, payment_method="pm_card_visa", confirm="true")
    running.until(lambda: (running.enrollment(token) or {}).get("status") == "ENROLLED", "the enrollment")
    assert running.payment(token, values["payment_id"])["status"] == "SUCCEEDED"
