"""User stories over HTTP, on the stack as it is deployed from template.yaml."""

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from local.build import ROOT
from local.run import running_file
from stripe_simulator.webhooks import signature
from tests.stack import checkers
from tests.stack.conftest import Running


@pytest.fixture(autouse=True)
def _checked(running: Running) -> Iterator[None]:
    yield
    running.http.request("DELETE", f"{running.ready['stripe']}/_sim/calls")
    running.sim("webhooks", deliver="normal", delay_s=0)
    checkers.check(running)


def test_a_student_buys_a_track_and_finds_the_first_project_unlocked(running: Running, token: str) -> None:
    created = running.create(token)
    assert created.status_code == 201
    made = created.json()
    assert set(made) == {"payment_id", "payment_intent_id", "client_secret", "amount", "currency", "track", "status"}
    assert (made["amount"], made["currency"], made["track"], made["status"]) == (49900, "usd", "DP", "CREATED")
    again = running.create(token)
    assert (again.status_code, again.json()["payment_intent_id"]) == (200, made["payment_intent_id"])
    assert running.pay(made["payment_intent_id"])["status"] == "succeeded"
    enrolled = running.until_enrolled(token)
    assert [p["unlocked"] for p in enrolled["projects"]] == [True, False, False, False]
    assert all(p["steps"] for p in enrolled["projects"])

    def charged() -> bool:
        return bool(running.payment(token, made["payment_intent_id"])["receipt_url"])

    running.until(charged, "a receipt")
    paid = running.payment(token, made["payment_intent_id"])
    assert paid["status"] == "SUCCEEDED"
    assert paid["payment_method"] == {"type": "card", "brand": "visa", "last4": "4242"}
    refused = running.create(token)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    listed = running.api("GET", "/api/payments/my-payments/", token).json()
    assert [p["payment_id"] for p in listed["payments"]] == [made["payment_id"]]
    assert listed["next_cursor"] is None


def test_a_declined_card_is_recorded_and_the_same_intent_then_enrolls(running: Running, token: str) -> None:
    made = running.create(token).json()
    declined = running.pay(made["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    assert declined["error"]["decline_code"] == "insufficient_funds"
    running.until(lambda: running.payment(token, made["payment_id"])["status"] == "FAILED", "FAILED")
    assert running.enrollment(token)["status"] == "PENDING"
    running.pay(made["payment_intent_id"])
    running.until_enrolled(token)


def test_three_d_secure_enrolls_once_it_is_passed(running: Running, token: str) -> None:
    made = running.create(token).json()
    asked = running.pay(made["payment_intent_id"], "pm_card_authenticationRequiredOnSetup")
    assert asked["status"] == "requires_action"
    assert running.enrollment(token)["status"] == "PENDING"
    running.sim(f"payment_intents/{made['payment_intent_id']}/authenticate", outcome="success")
    running.until_enrolled(token)


def test_twelve_creates_at_once_are_one_intent_that_can_be_paid(running: Running, token: str) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: running.create(token, "FSD"), range(12)))
    assert {a.status_code for a in answers} <= {200, 201}, [a.text for a in answers]
    intents = {a.json()["payment_intent_id"] for a in answers}
    assert len(intents) == 1
    running.pay(intents.pop())
    running.until_enrolled(token, "FSD")


def test_the_webhook_alone_enrolls_with_every_call_to_stripe_blocked(running: Running, token: str) -> None:
    made = running.create(token).json()
    running.sim("webhooks", deliver="drop")
    running.pay(made["payment_intent_id"])
    events = running.stripe("GET", "/v1/events?type=payment_intent.succeeded&limit=100")["data"]
    event = next(e for e in events if e["data"]["object"]["id"] == made["payment_intent_id"])
    for depth in range(1, 6):
        running.sim("calls", match="* /v1" + "/*" * depth, times=1000, fail="before")
    answer = deliver(running, json.dumps(event))
    assert answer.status_code == 200, answer.text
    assert running.enrollment(token)["status"] == "ENROLLED"


def deliver(
    running: Running, body: str, *, secret: str | None = None, at: float | None = None, sent: str | None = None
):
    header = signature(secret or running.ready["webhook_secret"], body.encode(), int(at or time.time()))
    headers = {"stripe-signature": header, "content-type": "application/json"}
    return running.api("POST", "/api/payments/webhook/", content=sent or body, headers=headers)


def test_a_webhook_that_is_not_stripes_changes_nothing(running: Running, token: str) -> None:
    made = running.create(token).json()
    running.sim("webhooks", deliver="drop")
    running.pay(made["payment_intent_id"])
    events = running.stripe("GET", "/v1/events?type=payment_intent.succeeded&limit=100")["data"]
    body = json.dumps(next(e for e in events if e["data"]["object"]["id"] == made["payment_intent_id"]))
    refused = [
        deliver(running, body, secret="whsec_other"),
        deliver(running, body, at=time.time() - 301),
        deliver(running, body, sent=body.replace("49900", "49901")),
        running.api("POST", "/api/payments/webhook/", content=body),
    ]
    assert [a.status_code for a in refused] == [400] * 4
    assert running.enrollment(token)["status"] == "PENDING"
    assert deliver(running, body).status_code == 200
    assert deliver(running, body).status_code == 200
    assert running.enrollment(token)["status"] == "ENROLLED"


def test_a_refund_withdraws_and_buying_again_enrolls_again(running: Running, token: str) -> None:
    made = running.create(token).json()
    running.pay(made["payment_intent_id"])
    running.until_enrolled(token)
    body = {"payment_intent_id": made["payment_intent_id"], "reason": "changed my mind"}
    refunded = running.api("POST", "/api/payments/request-refund/", token, json=body)
    assert refunded.status_code == 200, refunded.text
    assert (refunded.json()["status"], refunded.json()["refund_amount"]) == ("REFUNDED", 49900)
    assert running.enrollment(token)["status"] == "WITHDRAWN"
    again = running.create(token)
    assert again.status_code == 201
    running.pay(again.json()["payment_intent_id"])
    assert running.until_enrolled(token)["projects"][0]["unlocked"]


def test_a_lost_webhook_heals_for_the_student_who_looks(running: Running, token: str) -> None:
    made = running.create(token).json()
    running.sim("webhooks", deliver="drop")
    running.pay(made["payment_intent_id"])
    running.until(lambda: running.payment(token, made["payment_id"])["status"] == "SUCCEEDED", "healed")
    assert running.enrollment(token)["status"] == "ENROLLED"


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_route_needs_a_token_but_the_catalog_and_the_webhook(running: Running, slash: str) -> None:
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
        ("GET", "/api/admin/counts"),
        ("GET", "/api/admin/users/x"),
        ("GET", "/api/admin/disputes"),
        ("POST", "/api/admin/exports"),
        ("GET", "/api/admin/exports/exp_1"),
        ("GET", "/api/admin/quarantine/evt_1"),
        ("GET", "/api/admin/attention"),
        ("GET", "/api/admin/quarantine"),
        ("POST", "/api/admin/quarantine/evt_1/replay"),
    ):
        assert running.api(method, path + slash).status_code == 401, path
        assert running.api(method, path + slash, "not.a.token").status_code == 401, path


def test_a_route_that_the_template_does_not_have_is_not_there(running: Running, token: str) -> None:
    assert running.api("GET", "/api/payments/nothing/", token).status_code == 404


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
def test_a_bad_body_says_what_is_wrong_and_writes_nothing(
    running: Running, token: str, body: bytes, status: int
) -> None:
    answer = running.api("POST", "/api/payments/create-payment/", token, content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert running.api("GET", "/api/enrollments/", token).json()["enrollments"] == []


def test_somebody_elses_payment_is_not_found(running: Running, token: str, sub: str) -> None:
    made = running.create(token).json()
    other = running.token(f"{sub}-other")
    for reference in (made["payment_id"], made["payment_intent_id"], "pi_unknown", "x"):
        assert running.api("GET", f"/api/payments/status/{reference}/", other).status_code == 404
    body = {"payment_id": made["payment_id"], "reason": "mine now"}
    assert running.api("POST", "/api/payments/request-refund/", other, json=body).status_code == 404


def test_only_staff_see_what_staff_see(running: Running, token: str) -> None:
    assert running.api("GET", "/api/admin/payments/", token).status_code == 403
    support = running.token("support-1", groups=["support"])
    assert running.api("GET", "/api/admin/payments/", support).status_code == 200
    body = {"reason": "x"}
    assert running.api("POST", "/api/admin/payments/pay_x/refunds/", support, json=body).status_code == 403


def test_staff_find_a_dispute_refund_in_two_parts_and_take_the_list_home(
    running: Running, token: str, sub: str
) -> None:
    made = running.create(token, "FSD").json()
    running.pay(made["payment_intent_id"], "pm_card_createDispute")
    running.until_enrolled(token, "FSD")

    def dispute() -> Any:
        rows = running.staff("/disputes/", state="open")["disputes"]
        return next((row for row in rows if row["payment_id"] == made["payment_id"]), None)

    found = running.until(dispute, "a dispute")
    assert (found["enrollment"], found["status"], bool(found["due_by"])) == ("ENROLLED", "needs_response", True)
    running.stripe(
        "POST", f"/v1/disputes/{found['dispute_id']}", **{"evidence[uncategorized_text]": "winning_evidence"}
    )
    running.until(lambda: dispute() is None, "the dispute is over")

    def order(path: str, **body: Any) -> Any:
        return running.api("POST", f"/api/admin{path}", running.ready["admin_token"], json=body)

    bought = running.create(token, "DP").json()
    running.pay(bought["payment_intent_id"])
    running.until_enrolled(token, "DP")
    refunds = f"/payments/{bought['payment_id']}/refunds/"
    first = order(refunds, amount=20000, reason="a part", left=49900)
    assert first.status_code == 200, first.text
    assert order(refunds, amount=20000, reason="a part", left=49900).status_code == 409
    assert order(refunds, amount=29900, reason="the rest", left=29900).status_code == 200
    user = running.staff(f"/users/{sub}/")
    assert [(e["track"], e["status"]) for e in user["enrollments"]] == [("DP", "WITHDRAWN"), ("FSD", "ENROLLED")]
    month = datetime.now(UTC).strftime("%Y-%m")
    assert sum(c["payments"] for c in running.staff("/counts/", month=month)["counts"]) == len(
        checkers.payments(running)
    )

    ordered = order("/exports/", filters={"status": "REFUNDED", "q": sub})
    assert ordered.status_code == 202, ordered.text

    def exported() -> Any:
        export = running.staff(f"/exports/{ordered.json()['export_id']}/")
        return export if export["state"] == "done" else None

    export = running.until(exported, "the export")
    file = running.http.get(export["url"])  # as a browser does: without a token, from the local AWS
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"), newline="")))
    assert [(row["payment_id"], row["refund_amount"]) for row in rows] == [(bought["payment_id"], "49900")]
    assert (len(rows), len(file.content)) == (export["rows"], export["bytes"])
    assert "attachment" in file.headers["content-disposition"]
    assert running.http.get(export["url"].replace("Signature=", "Signature=0")).status_code == 403


def test_a_purchase_whose_webhooks_were_lost_is_learned_by_make_reconcile(running: Running, token: str) -> None:
    assert reconcile(running).returncode == 0  # what others left on this stack is known before
    running.sim("webhooks", deliver="drop")
    made = running.create(token, "FSD").json()
    running.pay(made["payment_intent_id"])
    assert running.enrollment(token, "FSD")["status"] == "PENDING"
    done = reconcile(running)
    assert done.returncode == 0, done.stderr
    assert "1 different" in done.stdout
    assert running.enrollment(token, "FSD")["status"] == "ENROLLED"
    today = datetime.now(UTC).date().isoformat()
    again = reconcile(running, "--from", today, "--to", today)
    assert (again.returncode, "0 different" in again.stdout, "100%" in again.stdout) == (0, True, True)
    backwards = reconcile(running, "--from", today, "--to", "2020-01-01")
    assert (backwards.returncode, "--from and --to" in backwards.stderr) == (2, True)


def reconcile(running: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    with running_file(running.ready):
        command = [sys.executable, "-m", "local.reconcile", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_payment_that_is_not_there_is_rebuilt_by_its_webhook(running: Running, token: str, sub: str) -> None:
    """With the rights that the function's role has: what is made anew goes on where its audit trail ends."""
    known = running.stripe("GET", f"/v1/payment_intents/{running.create(token, 'FSD').json()['payment_intent_id']}")
    named = {**known["metadata"], "payment_id": f"pay_lost{sub.replace('-', '')}", "track": "DP"}
    metadata = {f"metadata[{name}]": value for name, value in named.items()}
    price = {"amount": 49_900, "currency": "usd", "allowed_payment_method_types[]": "card"}
    running.stripe("POST", "/v1/payment_intents", **price, **metadata, payment_method="pm_card_visa", confirm="true")
    running.until(lambda: (running.enrollment(token) or {}).get("status") == "ENROLLED", "they are enrolled")
    assert running.payment(token, named["payment_id"])["status"] == "SUCCEEDED"
