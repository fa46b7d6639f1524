"""The check of a release: a signed test event to the webhook's new version, before any request is shifted to it.

The event is signed with the webhook's own secret. The new version verifies the signature, parses the payment in the
event and loads that payment, which does not exist, with its own rights and settings. It writes nothing. This proves
that the version starts, that it can read both secrets and the tables, and that it understands Stripe's API version. It
does not prove that it can write.

Source: https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html
"""

import functools
import json
from typing import Any

from tuition import aws_client, clock, retry, settings
from tuition.core import signature
from tuition.core.errors import NotConfigured
from tuition.core.refs import PaymentRef
from tuition.intake import stripe_events
from tuition.payments import offers
from tuition.stripe_gateway import resolve

ATTEMPTS = 2
INVOKE_S = 30
"""The webhook's own timeout is 25 s."""
PAYMENT = PaymentRef("pay_release_check", "release-check", "release-check")
INTENT = "pi_release_check"


def problem_of_new_version() -> str | None:
    """Send the test event until it is answered as it should be. Return what was wrong with the last answer, if it was.

    Before the webhook has a signing secret it refuses every event, so there is nothing to check but the settings.
    """
    try:
        settings.school_time_zone()
        offers.rules()
    except NotConfigured as error:
        return str(error)
    secrets = settings.webhook_signing_secrets()
    if not secrets:
        return None
    problem = None
    for _ in retry.attempts(retry.RELEASE_CHECK):
        problem = _problem_of(_invoke(_request(secrets[0])))
        if problem is None:
            break
    return problem


def report(deployment_id: str, execution_id: str, *, passed: bool) -> None:
    """Tell CodeDeploy whether it may shift requests to the new version. If not, it rolls the release back."""
    _codedeploy().put_lifecycle_event_hook_execution_status(
        deploymentId=deployment_id,
        lifecycleEventHookExecutionId=execution_id,
        status="Succeeded" if passed else "Failed",
    )


def _request(secret: str) -> dict[str, Any]:
    """Return the test event as the HTTP API would pass it to the webhook."""
    now = int(clock.now())
    intent = {
        "id": INTENT,
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 100,
        "amount_received": 100,
        "currency": "usd",
        "created": now,
        "metadata": resolve.metadata(PAYMENT, 1, "intent"),
    }
    event = {
        "id": "evt_release_check",
        "object": "event",
        "type": stripe_events.RELEASE_CHECK,
        "api_version": stripe_events.API_VERSION,
        "created": now,
        "livemode": settings.settings().stripe_livemode,
        "data": {"object": intent},
    }
    body = json.dumps(event)
    headers = {"content-type": "application/json", "stripe-signature": signature.sign(body.encode(), secret, now)}
    return {
        "version": "2.0",
        "routeKey": "POST /api/payments/webhook",
        "headers": headers,
        "requestContext": {"http": {"method": "POST", "path": "/api/payments/webhook"}},
        "body": body,
        "isBase64Encoded": False,
    }


def _invoke(request: dict[str, Any]) -> Any:
    """Return the new version's answer, or Lambda's error as text."""
    version = settings.settings().webhook_version
    response = _lambda().invoke(FunctionName=version, Payload=json.dumps(request).encode())
    payload = response["Payload"].read().decode()
    return payload if response.get("FunctionError") else json.loads(payload)


def _problem_of(answer: Any) -> str | None:
    if isinstance(answer, dict) and answer.get("statusCode") == 200:
        outcome = json.loads(answer["body"]).get("outcome")
        return None if outcome == "checked" else f"the outcome is {outcome!r}"
    return f"the answer is {answer!r}"


@functools.cache
def _lambda() -> Any:
    return aws_client.create("lambda", read_timeout_s=INVOKE_S, attempts=ATTEMPTS)


@functools.cache
def _codedeploy() -> Any:
    return aws_client.create("codedeploy", read_timeout_s=INVOKE_S, attempts=ATTEMPTS)
