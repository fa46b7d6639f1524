"""The proof that it works: the API over HTTPS, and in test mode one payment that is made, delivered and refunded.

The payment is made with the deployer's right to invoke functions and with made-up claims, because no student has
signed in yet. Its webhook comes from Stripe through the public address. Only the webhook changes the status that this
waits for.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from installer.questions import is_production
from installer.run import Run
from installer.stripe_account import stored_key
from installer.world import Stop
from local.change_set import ALIAS

WAITS = 60
"""Reads of the payment before its webhook counts as lost. Stripe delivers within seconds."""
TRACK = "DP"
PAYMENT_METHOD = "pm_card_visa"
"""Stripe's test card 4242 4242 4242 4242: https://docs.stripe.com/testing#cards"""
NOT_DELIVERED = (
    "Stripe's events do not arrive. Look at the endpoint's deliveries in Stripe's dashboard. For answers of 400 the "
    "signing secret was changed by hand: run this again with --new-webhook. For no answer at all, the address is wrong."
)


def look_at_api(run: Run) -> Sequence[str]:
    """Check one public route and one for signed-in users."""
    problems = _wrong_answers(run, run.api_url)
    if problems and (target := run.deployed().outputs.get("ApiDomainTarget")):
        name = urlsplit(run.api_url).netloc
        problems.append(f"Point the DNS name {name} at {target} (a CNAME or alias record), then run this again.")
    domain = run.answers["domain"]
    if domain and not problems and not run.is_local and (behind := _wrong_answers(run, f"https://{domain}")):
        target = run.deployed_web().outputs["DistributionDomain"]
        behind.append(f"Point the DNS name {domain} at {target} (a CNAME or alias record).")
        if run.checks_only:
            return behind
        run.world.say(f"  note: {behind[-1]}")
    return problems


def _wrong_answers(run: Run, origin: str) -> list[str]:
    expected = {"/api/payments/tracks": 200, "/api/enrollments": 401}
    answers = {path: run.world.get(origin + path) for path in expected}
    return [
        f"{origin}{path} answers {answers[path] or 'nothing'}, not {status}."
        for path, status in expected.items()
        if answers[path] != status
    ]


def may_pay(run: Run) -> bool:
    """Return whether a payment moves no real money."""
    return not is_production(run.answers)


def look_at_payment(run: Run) -> Sequence[str]:
    """Return whether the test payment has been made."""
    if run.checks_only or run.state.get("smoke", {}).get("refunded"):
        return []
    return ["The test payment has not been made and refunded."]


def pay(run: Run) -> None:
    """Make the test payment, wait for its webhook, and refund it. A stopped attempt continues with the same user."""
    smoke = run.state.get("smoke") or {"user": f"smoke-{uuid.uuid4()}"}
    run.state.put("smoke", smoke)
    if "payment_id" not in smoke:
        opened = invoke(run, "CreatePaymentFunction", smoke["user"], {"track": TRACK})
        smoke |= {"payment_id": opened["payment_id"], "payment_intent_id": opened["payment_intent_id"]}
        run.state.put("smoke", smoke)
    key = stored_key(run)
    path = f"/v1/payment_intents/{smoke['payment_intent_id']}"
    if run.world.stripe(key, "get", path)["status"] != "succeeded":
        run.world.stripe(key, "post", f"{path}/confirm", payment_method=PAYMENT_METHOD)
    status = _await_status(run, smoke["payment_id"], lambda status: status in ("SUCCEEDED", "REFUNDED"))
    run.world.say(f"  paid: {smoke['payment_id']}, and the webhook has arrived")
    if status != "REFUNDED":
        request = {"payment_id": smoke["payment_id"], "reason": "test payment of the set-up"}
        invoke(run, "RequestRefundFunction", smoke["user"], request)
        _await_status(run, smoke["payment_id"], lambda status: status == "REFUNDED")
    run.world.say("  refunded")
    run.state.put("smoke", {**smoke, "refunded": True})


def invoke(run: Run, function: str, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke a function as the HTTP API does for a signed-in user, and return its answer.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    claims = {"sub": user, "email": f"{user}@example.com", "email_verified": "true", "token_use": "id"}
    event = {
        "version": "2.0",
        "routeKey": "POST /",
        "headers": {"content-type": "application/json"},
        "requestContext": {"authorizer": {"jwt": {"claims": {**claims, "exp": "9999999999"}, "scopes": None}}},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
    resources = run.deployed().resources
    version = {"Qualifier": ALIAS} if f"{function}Alias{ALIAS}" in resources else {}
    payload = json.dumps(event).encode()
    response = run.world.client("lambda").invoke(FunctionName=resources[function], Payload=payload, **version)
    answer = json.loads(response["Payload"])
    if response.get("FunctionError") or answer.get("statusCode", 500) >= 400:
        raise Stop(f"{function} fails: {answer.get('body') or answer}. Look at its log, then run this again.")
    result: dict[str, Any] = json.loads(answer["body"])
    return result


def _await_status(run: Run, payment_id: str, is_reached: Callable[[str], bool]) -> str:
    """Wait until the payment's item has a status, and return it. Raises `Stop` if no webhook changes it."""
    dynamodb = run.world.client("dynamodb")
    stack = run.deployed()
    table = stack.parameters.get("PaymentsTableName") or stack.resources["PaymentsTable"]
    for _ in range(WAITS):
        item = dynamodb.get_item(TableName=table, Key={"payment_id": {"S": payment_id}}, ConsistentRead=True)
        status = item.get("Item", {}).get("status", {}).get("S", "")
        if is_reached(status):
            return str(status)
        run.world.sleep(1)
    raise Stop(NOT_DELIVERED)
