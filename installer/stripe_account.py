"""Stripe: its keys, the secrets that hold them, and the webhook endpoint.

The restricted key and the signing secret go to Secrets Manager and nowhere else. The key with webhook rights is used in
this run and forgotten. Beside the signing secret stand the id, address, events and API version of the endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import stripe
from botocore.exceptions import ClientError

from installer.questions import SECRET_KEY, WEBHOOK_KEY, key_problem
from installer.run import Run, masked
from installer.world import Stop, is_missing
from tuition.intake.stripe_events import API_VERSION, SUBSCRIBED

WEBHOOK_PATH = "/api/payments/webhook"
"""Without a slash at the end: an HTTP API has no route that ends in one."""
ENDPOINTS = 100
"""The most endpoints that are read. Stripe allows 16 per account and mode."""
DESCRIPTION = "Tuition"
PERMISSIONS = {
    "write": (
        "PaymentIntents, SetupIntents, Checkout Sessions, Customers, Payment Methods, Products, Charges and Refunds, "
        "Credit notes, Disputes",
        (
            *("payment_intents", "setup_intents", "checkout/sessions", "customers", "payment_methods", "products"),
            *("refunds", "credit_notes", "disputes"),
        ),
    ),
    "read": (
        "Promotion Codes, Coupons, Events, Invoices, Radar early fraud warnings, Balance transactions, Payouts",
        (
            *("charges", "promotion_codes", "coupons", "events", "invoices"),
            *("radar/early_fraud_warnings", "balance_transactions", "payouts"),
        ),
    ),
}
"""The permissions of one key for everything: as Stripe's dashboard names them, and as its API does."""


def print_permissions(run: Run) -> None:
    """Print the permissions that the restricted key needs."""
    run.world.say("  Create a restricted key in Stripe's dashboard (Developers, API keys) with these permissions:")
    for access, (names, _) in PERMISSIONS.items():
        run.world.say(f"    {access}: {names}")


# --- the key of the functions ---


def read_secret(run: Run, output: str) -> dict[str, Any]:
    """Return the JSON object in one of the stack's secrets; empty if it has no value yet."""
    secrets_manager = run.world.client("secretsmanager")
    try:
        text = secrets_manager.get_secret_value(SecretId=run.deployed().outputs[output])["SecretString"]
    except ClientError as error:
        if not is_missing(error):
            raise
        return {}
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Stop(
            f"The secret {output} holds something that is not a JSON object, so it was changed by hand. "
            "Empty it with `aws secretsmanager put-secret-value --secret-string {}`, then run this again."
        )
    return value


def put_secret(run: Run, output: str, value: Mapping[str, Any]) -> None:
    """Store a secret."""
    run.world.client("secretsmanager").put_secret_value(
        SecretId=run.deployed().outputs[output], SecretString=json.dumps(value)
    )


def stored_key(run: Run) -> str:
    """Return the key that the functions use by default, or an empty text."""
    value = read_secret(run, "StripeSecretArn")
    return str(value.get("default") or value.get("secret_key") or "")


def look_at_key(run: Run) -> Sequence[str]:
    """Check that the functions have a key, of the right mode, that Stripe knows. A key that is given replaces it."""
    key = stored_key(run)
    if not key:
        return ["The functions have no key of Stripe's. Run python install.py."]
    replaced = [entry["key"] for entry in read_secret(run, "StripeSecretArn").get("replaced_keys", {}).values()]
    if run.checks_only and replaced:
        return ["The rotation of Stripe's key is not finished. Run python install.py --rotate key."]
    key_of_run = run.interview.explicit.get(SECRET_KEY.name)
    if key_of_run and key_of_run in replaced:
        run.world.say(f"  note: {masked(key_of_run)} was rotated, so it is not used. Name the new key instead.")
    elif key_of_run and key_of_run != key:
        return [f"The functions use {masked(key)}, and {masked(key_of_run)} was entered."]
    if problem := key_problem(key, run.answers, ("rk", "sk")):
        return [f"The stored key: {problem}. Run python install.py."]
    _try_key(run, key)
    return []


def store_key(run: Run) -> None:
    """Ask for the restricted key, try it, and store it. Other groups' keys in the secret stay."""
    if SECRET_KEY.name not in run.interview.explicit:
        print_permissions(run)
    key = run.interview.secret(SECRET_KEY, run.answers)
    if key.startswith("sk_"):
        run.world.say("  note: this key may do everything at Stripe. A restricted key (rk_…) limits a leak.")
    _try_key(run, key)
    value = read_secret(run, "StripeSecretArn")
    name = "default" if "default" in value else "secret_key"
    replaced = {part: old for part, old in value.pop("replaced_keys", {}).items() if part != name}
    value |= {"replaced_keys": replaced} if replaced else {}
    put_secret(run, "StripeSecretArn", {**value, name: key})


def _try_key(run: Run, key: str) -> None:
    """Read with a key. Raises stripe.StripeError if Stripe refuses it."""
    run.world.stripe(key, "get", "/v1/payment_intents", limit=1)


# --- the webhook endpoint ---


def webhook_url(run: Run) -> str:
    """Return the address to which Stripe delivers."""
    return run.api_url + WEBHOOK_PATH


def expected_endpoint(run: Run) -> dict[str, Any]:
    """Return what the endpoint must be."""
    return {"url": webhook_url(run), "enabled_events": sorted(SUBSCRIBED), "api_version": API_VERSION}


def look_at_webhook(run: Run) -> Sequence[str]:
    """Compare the endpoint with what it must be: as stored with its secret, and at Stripe if a key may read it."""
    value = read_secret(run, "StripeWebhookSecretArn")
    if not value.get("signing_secrets"):
        return ["Stripe's events are refused: no signing secret is stored. Run python install.py."]
    if run.checks_only and "rotation" in value:
        return ["The rotation of the webhook is not finished. Run python install.py --rotate webhook."]
    if run.new_webhook:
        return ["A new endpoint with a new secret was requested."]
    stored = value.get("endpoint", {})
    expected = expected_endpoint(run)
    differences = [
        f"The webhook endpoint's {name} differs from ours. Run python install.py."
        for name in expected
        if stored.get(name) != expected[name]
    ]
    return differences or _look_at_deliveries(run) or _look_at_stripe(run, stored, expected)


def _look_at_deliveries(run: Run) -> Sequence[str]:
    """Check that Stripe's signatures match. Stripe shows no secret, so only refused deliveries reveal a changed one."""
    alarm = run.deployed().resources.get("SignatureRefusedAlarm")
    if not run.checks_only or alarm is None:
        return []
    alarms = run.world.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    if "ALARM" not in {described["StateValue"] for described in alarms}:
        return []
    return [
        "Deliveries with a wrong signature are refused. If the signing secret was rolled by hand, at Stripe or in "
        "Secrets Manager, run python install.py --new-webhook. Otherwise an attacker forges events."
    ]


def _look_at_stripe(run: Run, stored: Mapping[str, Any], expected: Mapping[str, Any]) -> Sequence[str]:
    """Compare with the endpoint at Stripe, if we have a key that may read it."""
    key = run.interview.explicit.get(WEBHOOK_KEY.name) or stored_key(run)
    try:
        endpoint = run.world.stripe(key, "get", f"/v1/webhook_endpoints/{stored['id']}")
    except stripe.PermissionError:
        return []  # the restricted key, which has no webhook rights
    except stripe.InvalidRequestError:
        return ["The webhook endpoint was deleted at Stripe. Run python install.py."]
    endpoint["enabled_events"] = sorted(endpoint["enabled_events"])
    changed = [name for name in expected if endpoint.get(name) != expected[name]]
    if endpoint["status"] != "enabled":
        changed.append("status")
    return [f"The webhook endpoint's {name} was changed at Stripe. Run python install.py." for name in changed]


def register_webhook(run: Run) -> None:
    """Register the endpoint, or update it; and store its secret.

    Stripe shows a secret once, at the creation, and never changes an endpoint's API version. So an endpoint of
    another version, or whose secret we do not have, is replaced: the new one first, then the old one is deleted. Both
    deliver for a moment, which is harmless, because an event is applied once.
    """
    key = webhook_key(run)
    expected = expected_endpoint(run)
    value = read_secret(run, "StripeWebhookSecretArn")
    listed = run.world.stripe(key, "get", "/v1/webhook_endpoints", limit=ENDPOINTS)["data"]
    ours = [endpoint for endpoint in listed if endpoint["url"].rstrip("/") == expected["url"]]
    registered = [endpoint for endpoint in ours if endpoint["id"] == value.get("endpoint", {}).get("id")]
    usable = [
        endpoint for endpoint in registered if endpoint["api_version"] == API_VERSION and value.get("signing_secrets")
    ]
    changes = {"url": expected["url"], "enabled_events": expected["enabled_events"]}
    if usable and not run.new_webhook:
        endpoint = run.world.stripe(key, "post", f"/v1/webhook_endpoints/{usable[0]['id']}", **changes, disabled=False)
        secrets = value["signing_secrets"]
    else:
        endpoint = run.world.stripe(
            key, "post", "/v1/webhook_endpoints", **changes, api_version=API_VERSION, description=DESCRIPTION
        )
        secrets = [endpoint["secret"], *value.get("signing_secrets", [])][:2]
        value.pop("rotation", None)  # it was about the endpoint that this one replaces
    put_secret(
        run,
        "StripeWebhookSecretArn",
        {**value, "signing_secrets": secrets, "endpoint": {**expected, "id": endpoint["id"]}},
    )
    run.new_webhook = False
    for old in ours:
        if old["id"] != endpoint["id"]:
            run.world.say(f"  replaced the endpoint {old['id']}, whose secret or API version was not ours")
            run.world.stripe(key, "delete", f"/v1/webhook_endpoints/{old['id']}")


def webhook_key(run: Run) -> str:
    """Return a key that may write webhook endpoints: the functions' own if it may do everything."""
    key = stored_key(run)
    if WEBHOOK_KEY.name not in run.interview.explicit and key.startswith("sk_"):
        return key
    return run.interview.secret(WEBHOOK_KEY, run.answers)
