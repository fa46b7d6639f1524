"""Rotate a secret without a deployment: ``python install.py --rotate webhook`` or ``--rotate key``.

Each step first stores what the next one needs, in the secret itself, so that a run that was stopped anywhere continues,
also on another machine. Older releases read the same secrets: they find their key and their signing secrets where they
always were, and ignore the rest (``rotation``, ``replaced_keys``).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import stripe

from installer.questions import NEW_KEY
from installer.run import Run, masked
from installer.stripe_account import (
    DESCRIPTION,
    ENDPOINTS,
    expected_endpoint,
    print_permissions,
    put_secret,
    read_secret,
    webhook_key,
)
from installer.world import Stop
from tuition.settings import SECRET_MAX_AGE_S

KEY_SECRET, WEBHOOK_SECRET = "StripeSecretArn", "StripeWebhookSecretArn"
_SYNC = ("payment_intents", "checkout/sessions", "charges", "refunds", "disputes", "promotion_codes", "coupons")
_DOCUMENTS = ("invoices", "credit_notes")
READS = {
    "default": (*_SYNC, *_DOCUMENTS, "customers", "products", "setup_intents"),
    "refunds": (*_SYNC, *_DOCUMENTS, "customers", "events"),
    "webhook": (*_SYNC, "credit_notes", "setup_intents"),
    "reconcile": (
        *_SYNC,
        *(
            "setup_intents",
            "credit_notes",
            "customers",
            "events",
            "radar/early_fraud_warnings",
            "balance_transactions",
            "payouts",
        ),
    ),
}
"""The lists at Stripe that the functions of each group read. Saved payment methods are listed by customer only."""
ENDPOINT_TRIES = 2
CLOCK_MARGIN_S = 60
"""How far the clocks of this machine and of the functions may differ."""
PROBE = {"amount": 100, "currency": "usd", "description": "Tuition: check of a rotation. Canceled at once."}
"""A PaymentIntent that is never paid. Its events show whether an endpoint works, and its account is that of its key."""
PROBES = 2
"""Functions of a release before this one read a new signing secret within `SECRET_MAX_AGE_S`, so a second probe follows
when that has passed."""
LOOKS, LOOK_S, LOCAL_LOOK_S = 65, 5, 1
"""Looks at the deliveries of one probe, and the seconds between two: in all longer than `SECRET_MAX_AGE_S`."""


# --- the webhook ---


def rotate_webhook(run: Run) -> None:
    """Make a second endpoint, wait until it has delivered, and remove the old one. Both secrets are accepted meanwhile.

    An event that both endpoints deliver is applied once.
    """
    value = read_secret(run, WEBHOOK_SECRET)
    if not value.get("signing_secrets") or "id" not in value.get("endpoint", {}):
        raise Stop("No endpoint of this installation is stored, so there is nothing to rotate. Run python install.py.")
    key = webhook_key(run)
    listed = _endpoints(run, key)
    if _is_lost(value, listed):
        run.world.say("  the new endpoint of the last run was changed or deleted at Stripe, so another one is made")
        value = {**value, "signing_secrets": value["signing_secrets"][:1]}
        del value["rotation"]
    if "endpoint" not in value.get("rotation", {}) and not value.get("rotation", {}).get("delivered"):
        value = _add_endpoint(run, key, value)
    if not value["rotation"].get("delivered"):
        _await_delivery(run, value["rotation"]["endpoint"]["url"], key)
        value = {
            **value,
            "signing_secrets": value["signing_secrets"][::-1],
            "endpoint": value["rotation"]["endpoint"],
            "rotation": {"delivered": True},
        }
        put_secret(run, WEBHOOK_SECRET, value)
    elif _is_changed(value["endpoint"], listed):
        raise Stop(
            f"The new endpoint {value['endpoint']['id']} has delivered, and was changed or deleted at Stripe since. "
            "The old one stays. Run python install.py --new-webhook."
        )
    _remove_other_endpoints(run, key, value["endpoint"])
    rest = {name: part for name, part in value.items() if name != "rotation"}
    put_secret(run, WEBHOOK_SECRET, {**rest, "signing_secrets": value["signing_secrets"][:1]})
    run.world.say("The webhook's secret is rotated. Running functions forget the old one within five minutes.")
    run.world.say("The reconciler applies within the hour what the removed endpoint had still to deliver again.")


def _endpoints(run: Run, key: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = run.world.stripe(key, "get", "/v1/webhook_endpoints", limit=ENDPOINTS)["data"]
    return listed


def _is_lost(value: Mapping[str, Any], listed: list[dict[str, Any]]) -> bool:
    """Whether the endpoint of an unfinished rotation is not at Stripe as it was made."""
    endpoint = value.get("rotation", {}).get("endpoint")
    return endpoint is not None and _is_changed(endpoint, listed)


def _is_changed(endpoint: Mapping[str, Any], listed: list[dict[str, Any]]) -> bool:
    """Whether an endpoint is not at Stripe as it was made."""
    at_stripe = next((one for one in listed if one["id"] == endpoint["id"]), {})
    return (
        at_stripe.get("status") != "enabled"
        or at_stripe["url"] != endpoint["url"]
        or sorted(at_stripe["enabled_events"]) != endpoint["enabled_events"]
        or at_stripe["api_version"] != endpoint["api_version"]
    )


def _add_endpoint(run: Run, key: str, value: dict[str, Any]) -> dict[str, Any]:
    """Make the second endpoint, store its secret beside the old one, and return the stored value.

    Stripe shows the secret only in its answer. The idempotency key is stored before the call, so that a run that was
    stopped after it gets the same answer again. https://docs.stripe.com/api/idempotent_requests
    """
    expected = expected_endpoint(run)
    rotation = value.get("rotation") or {"idempotency_key": str(uuid.uuid4())}
    for _ in range(ENDPOINT_TRIES):
        put_secret(run, WEBHOOK_SECRET, {**value, "rotation": rotation})
        endpoint = _make_endpoint(run, key, expected, rotation["idempotency_key"])
        if endpoint is not None:
            value = {
                **value,
                "signing_secrets": [*value["signing_secrets"][:1], endpoint["secret"]],
                "rotation": {"endpoint": {**expected, "id": endpoint["id"]}},
            }
            put_secret(run, WEBHOOK_SECRET, value)
            run.world.say(f"  made the endpoint {endpoint['id']}, and both secrets are stored")
            return value
        rotation = {"idempotency_key": str(uuid.uuid4())}
    raise Stop("Stripe does not keep the new endpoint. Look at the endpoints in its dashboard, then run this again.")


def _make_endpoint(run: Run, key: str, expected: Mapping[str, Any], idempotency_key: str) -> dict[str, Any] | None:
    """Return the endpoint that this idempotency key has made, with its secret; None if it cannot be used any more.

    It cannot if a person has deleted it since, or if a release with other events came in between.
    """
    try:
        endpoint = run.world.stripe(
            key,
            "post",
            "/v1/webhook_endpoints",
            **expected,
            description=DESCRIPTION,
            idempotency_key=idempotency_key,
        )
    except stripe.IdempotencyError:
        return None
    return endpoint if endpoint["id"] in {endpoint["id"] for endpoint in _endpoints(run, key)} else None


def _await_delivery(run: Run, url: str, key: str) -> None:
    """Wait until every endpoint has delivered the event of a probe. Raises `Stop` if that takes too long.

    Stripe counts the endpoints that have still to deliver an event (`pending_webhooks`), and does not name them.
    https://docs.stripe.com/api/events/object
    """
    run.world.say("  waiting until the new endpoint has delivered (up to ten minutes)")
    pending = 0
    for _ in range(PROBES):
        probe = _make_probe(run, _key_of_reconciler(run))
        for _ in range(LOOKS):
            pending = _pending_deliveries(run, probe)
            if pending == 0:
                return
            run.world.sleep(LOCAL_LOOK_S if run.is_local else LOOK_S)
    others = sorted({one["url"] for one in _endpoints(run, key) if one["status"] == "enabled"} - {url})
    advice = f" They may be other endpoints of the account: {', '.join(others)}." if others else ""
    raise Stop(
        f"Stripe has still to deliver an event to {pending} endpoints.{advice} Both endpoints stay: no event is lost. "
        "Look at the deliveries of the new one in Stripe's dashboard, mend what it shows, then run this again."
    )


def _key_of_reconciler(run: Run) -> str:
    """Return the key that may read events. Raises `Stop` if there is none."""
    value = read_secret(run, KEY_SECRET)
    key = str(value.get("reconcile") or value.get("default") or value.get("secret_key") or "")
    if not key:
        raise Stop("The functions have no key of Stripe's. Run python install.py.")
    return key


def _make_probe(run: Run, key: str) -> dict[str, Any]:
    """Make a PaymentIntent and cancel it. A stop in between leaves one that is never paid."""
    probe = run.world.stripe(key, "post", "/v1/payment_intents", **PROBE)
    run.world.stripe(key, "post", f"/v1/payment_intents/{probe['id']}/cancel")
    return probe


def _pending_deliveries(run: Run, probe: Mapping[str, Any]) -> int:
    """Return how many endpoints have still to deliver the creation of a probe; 1 while Stripe lists no such event."""
    events = run.world.stripe(
        _key_of_reconciler(run),
        "get",
        "/v1/events",
        type="payment_intent.created",
        created={"gte": probe["created"]},
        limit=100,
    )["data"]
    counts = [event["pending_webhooks"] for event in events if event["data"]["object"]["id"] == probe["id"]]
    return int(counts[0]) if counts else 1


def _remove_other_endpoints(run: Run, key: str, endpoint: Mapping[str, Any]) -> None:
    """Delete every endpoint at our address but one: the old one, and any that a stopped run has left."""
    for old in _endpoints(run, key):
        if old["url"].rstrip("/") == endpoint["url"] and old["id"] != endpoint["id"]:
            run.world.stripe(key, "delete", f"/v1/webhook_endpoints/{old['id']}")
            run.world.say(f"  removed the endpoint {old['id']}")


# --- the key of the functions ---


def rotate_key(run: Run, group: str) -> None:
    """Store a new key of a group of functions beside the old one, and say when the old one may be deleted.

    The functions use the new one from then on. A function that still has the old one reads the secret again when Stripe
    refuses it, so that even a key that is deleted at once refuses no payment.
    """
    value = read_secret(run, KEY_SECRET)
    name = _name_of(value, group)
    replaced = dict(value.get("replaced_keys", {}))
    if name in replaced:
        return _finish_key(run, value, name)
    old = str(value.get(name) or "")
    if not old:
        raise Stop(f"There is no key for {group}. Run python install.py.")
    if NEW_KEY.name not in run.interview.explicit:
        print_permissions(run)
    key = run.interview.secret(NEW_KEY, run.answers)
    if key in (old, *(other for other in value.values() if isinstance(other, str))):
        raise Stop("This key is stored already. Create another one in Stripe's dashboard, then run this again.")
    check_key(run, key, _groups_of(value, name))
    replaced[name] = {"key": old, "at": int(run.world.now())}
    put_secret(run, KEY_SECRET, {**value, name: key, "replaced_keys": replaced})
    run.world.say(f"  stored {masked(key)} beside {masked(old)}")
    _say_when(run, old, replaced[name]["at"])
    return None


def _name_of(value: Mapping[str, Any], group: str) -> str:
    """Return the name under which a group's key is stored. Raises `Stop` for a group without one."""
    if group == "default":
        return "default" if "default" in value else "secret_key"
    if not value.get(group):
        raise Stop(f"The group {group} has no key of its own: it uses the default one. Run --rotate key without it.")
    return group


def _groups_of(value: Mapping[str, Any], name: str) -> list[str]:
    """Return the groups of functions that use the key with this name."""
    if name not in ("default", "secret_key"):
        return [name]
    return ["default", *(group for group in READS if group != "default" and not value.get(group))]


def check_key(run: Run, key: str, groups: list[str]) -> None:
    """Check a key before it is stored. Raises `Stop` with what to do; nothing is stored then.

    The publishable key of the pages must find a PaymentIntent that the new key has made: then both are of one account.
    Raises stripe.StripeError, too: for a key that Stripe does not know, or that may not do this.
    """
    missing = []
    for path in sorted({path for group in groups for path in READS[group]}):
        try:
            run.world.stripe(key, "get", f"/v1/{path}", limit=1)
        except stripe.PermissionError:
            missing.append(path)
    if missing:
        raise Stop(
            f"The key {masked(key)} may not read {', '.join(missing)}, so it was not stored. "
            "Add the permissions in Stripe's dashboard, then run this again."
        )
    probe = _make_probe(run, key)
    try:
        run.world.stripe(
            run.answers["publishable_key"],
            "get",
            f"/v1/payment_intents/{probe['id']}",
            client_secret=probe["client_secret"],
        )
    except (stripe.InvalidRequestError, stripe.AuthenticationError) as error:
        raise Stop(
            f"The key {masked(key)} is of another account than the pages' key "
            f"{masked(run.answers['publishable_key'])}, so it was not stored. "
            "Choose the account in Stripe's dashboard, create the key there, then run this again."
        ) from error


def _say_when(run: Run, old: str, stored_at: int) -> None:
    safe_at = stored_at + SECRET_MAX_AGE_S + CLOCK_MARGIN_S
    run.world.say(
        f"Delete the old key {masked(old)} in Stripe's dashboard from {_time(safe_at)} on. If it has leaked, "
        "delete it now: functions that Stripe refuses read the new one at once."
    )
    run.world.say("Put the new key into your file of answers if that names one: secret_key there replaces this one.")
    run.world.say("Then run this again: it makes sure that the old key is dead, and removes it from the secret.")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def _finish_key(run: Run, value: dict[str, Any], name: str) -> None:
    """Remove the old key from the secret once Stripe refuses it. Until then say again when it may be deleted."""
    replaced = dict(value["replaced_keys"])
    old = replaced.pop(name)
    if NEW_KEY.name in run.interview.explicit and run.interview.explicit[NEW_KEY.name] != value[name]:
        raise Stop(
            f"The rotation to {masked(value[name])} is not finished. Delete {masked(old['key'])} in Stripe's "
            "dashboard, run this again, and rotate to the next key after that."
        )
    rest = {part: content for part, content in value.items() if part != "replaced_keys"}
    rest |= {"replaced_keys": replaced} if replaced else {}
    is_old_alive = _is_accepted(run, old["key"])
    if not _is_accepted(run, value[name]):
        if not is_old_alive:
            raise Stop(
                "Stripe refuses the new key and the old one, so payments fail. Create a key in Stripe's dashboard, and "
                "run python install.py with an answers file whose secret_key is that key."
            )
        put_secret(run, KEY_SECRET, {**rest, name: old["key"]})
        raise Stop(
            f"Stripe refuses the new key {masked(value[name])}: was it deleted instead of the old one? The functions "
            f"use {masked(old['key'])} again. Create another key in Stripe's dashboard, then run this again."
        )
    if is_old_alive:
        run.world.say(f"  the functions use {masked(value[name])}, and Stripe still accepts {masked(old['key'])}")
        _say_when(run, old["key"], old["at"])
        return
    put_secret(run, KEY_SECRET, rest)
    run.world.say(f"Stripe refuses the old key {masked(old['key'])}. The rotation is finished.")


def _is_accepted(run: Run, key: str) -> bool:
    try:
        run.world.stripe(key, "get", "/v1/payment_intents", limit=1)
    except stripe.AuthenticationError:
        return False
    return True
