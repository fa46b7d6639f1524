"""`/_sim/…`: what a test does to the simulator. All take and answer JSON; no key is asked for."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from stripe_simulator.account import Account, Fault, later
from stripe_simulator.errors import StripeError, invalid
from stripe_simulator.store import Object, shown
from stripe_simulator.webhooks import MODES

MOST, MOST_S, DAY_S = 1_000_000, 100 * 365 * 86400.0, 86400.0
METHODS = ("GET", "POST", "DELETE", "*")
FAULTS = ("before", "after", "hang", "rate_limit", "lock_timeout", "error", "slow")
AUTHENTICATED = ("payment_intents", "setup_intents")
Answer = tuple[int, Object]


def handle(account: Account, method: str, path: str, query: str, body: bytes) -> Answer:
    """Answer a request of the control plane: 400 for a wrong body, 404 for no such knob, 405 for a wrong method."""
    try:
        given = json.loads(body) if body else {}
        if not isinstance(given, dict):
            raise invalid("The body must be a JSON object.")
        asked = path.rstrip("/")
        parts = asked.strip("/").split("/")
        if len(parts) == 4 and parts[3] == "authenticate" and parts[1] in AUTHENTICATED:
            _only(method, ("POST",), asked)
            _known(given, ("outcome",), asked)
            return 200, _authenticate(account, parts[1], parts[2], given)
        if asked not in KNOBS:
            return 404, {"error": {"message": f"No such knob: {asked}. There are: {', '.join(KNOBS)}"}}
        act, fields = KNOBS[asked][_only(method, tuple(KNOBS[asked]), asked)]
        given |= {name: _whole(values[0], name) for name, values in parse_qs(query).items()}
        _known(given, fields, asked)
        return 200, act(account, given)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return 400, {"error": {"message": f"The body is not JSON: {error}"}}
    except StripeError as error:
        return error.status, error.body("req_sim")


def _only(method: str, methods: tuple[str, ...], path: str) -> str:
    if method not in methods:
        raise StripeError(405, "invalid_request_error", f"{path} takes {' and '.join(methods)}, not {method}.")
    return method


def _known(given: Object, fields: tuple[str, ...], path: str) -> None:
    """A field that is misspelt must not go by in silence."""
    for name in given:
        if name not in fields:
            takes = ", ".join(fields) or "nothing"
            raise invalid(f"{path} knows no {name}: it takes {takes}.", param=name)


def _whole(text: str, name: str) -> int:
    if not text.isdecimal():
        raise invalid(f"{name} must be a whole number", param=name)
    return int(text)


def fault_for(account: Account, method: str, path: str) -> Fault | None:
    """The fault that this call meets, if any; it is used up by it."""
    parts = path.strip("/").split("/")
    for fault in account.faults:
        wanted = fault.match
        if wanted[0] not in ("*", method) or len(wanted) - 1 != len(parts):
            continue
        if all(step in ("*", part) for step, part in zip(wanted[1:], parts, strict=True)):
            fault.times -= 1
            if fault.times <= 0:
                account.faults.remove(fault)
            return fault
    return None


def refuse(fault: str | None) -> None:
    """Raises the answers that come before a request executes and are kept under no key."""
    if fault == "rate_limit":
        raise StripeError(
            429,
            "invalid_request_error",
            "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
            stored=False,
            code="rate_limit",
        )
    if fault == "lock_timeout":
        raise StripeError(
            429,
            "invalid_request_error",
            "This object cannot be accessed right now because another API request or Stripe process is "
            "currently accessing it. If you see this error intermittently, retry the request.",
            stored=False,
            code="lock_timeout",
        )


def _number(given: Object, name: str, default: float, most: float = MOST_S) -> float:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise invalid(f"{name} must be a number from 0 to {most:.0f}", param=name)
    return float(value)


def _count(given: Object, name: str, default: int, least: int = 1) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise invalid(f"{name} must be a whole number from {least} to {MOST}", param=name)
    return value


def _choice(given: Object, name: str, default: str, choices: tuple[str, ...]) -> str:
    value = given.get(name, default)
    if value not in choices:
        raise invalid(f"{name} must be one of {', '.join(choices)}", param=name)
    return str(value)


def _reset(account: Account, given: Object) -> Object:
    account.reset()
    return {"reset": True}


def _webhooks(account: Account, given: Object) -> Object:
    webhooks = account.webhooks
    webhooks.mode = _choice(given, "deliver", webhooks.mode, MODES)
    webhooks.delay_s = _number(given, "delay_s", webhooks.delay_s)
    return _webhooks_state(account, given)


def _webhooks_state(account: Account, given: Object) -> Object:
    webhooks = account.webhooks
    return {
        "deliver": webhooks.mode,
        "delay_s": webhooks.delay_s,
        "held": len(webhooks.held),
        "waiting": len(webhooks.outbox),
    }


def _release(account: Account, given: Object) -> Object:
    order = _choice(given, "order", "as_created", ("as_created", "reversed", "shuffled"))
    times, seed = _count(given, "times", 1), _count(given, "seed", 1, least=0)
    return {"released": account.webhooks.release(order, seed, times)}


def _calls(account: Account, given: Object) -> Object:
    fail = _choice(given, "fail", "before", FAULTS)
    method, _, path = str(given.get("match", "")).partition(" ")
    if method not in METHODS or not path.startswith("/v1/"):
        raise invalid(
            "match must be a method and a path, such as 'POST /v1/payment_intents/*/confirm' ('*' for any method)",
            param="match",
        )
    times = _count(given, "times", 1)
    if "seconds" in given and fail != "slow":
        raise invalid("seconds is of fail 'slow'; a 'hang' takes 60 s", param="seconds")
    seconds = _number(given, "seconds", 1.0 if fail == "slow" else 0.0, most=3600)
    account.faults.append(Fault([method, *path.strip("/").split("/")], times, fail, seconds))
    return _calls_state(account, given)


def _calls_state(account: Account, given: Object) -> Object:
    return {
        "calls": [
            {
                "match": f"{one.match[0]} /{'/'.join(one.match[1:])}",
                "times": one.times,
                "fail": one.fail,
                **({"seconds": one.seconds} if one.fail == "slow" else {}),
            }
            for one in account.faults
        ]
    }


def _no_calls(account: Account, given: Object) -> Object:
    account.faults.clear()
    return {"calls": []}


def _clock(account: Account, given: Object) -> Object:
    seconds = _number(given, "advance_s", 0)
    until = account.clock.now() + seconds
    while (at := account.clock.next_at()) is not None and at <= until:
        account.clock.advance(max(0.0, at - account.clock.now()))
        account.run_due()
    account.clock.advance(max(0.0, until - account.clock.now()))
    account.run_due()
    account.webhooks.wake()
    return {"now": account.clock.unix(), "offset_s": account.clock.offset}


def _limits(account: Account, given: Object) -> Object:
    """So many requests a second, then 429; 0 for no limit. https://docs.stripe.com/rate-limits"""
    account.per_second = _count(given, "per_second", account.per_second, least=0)
    return {"per_second": account.per_second}


def _roll(account: Account, given: Object) -> Object:
    """A new signing secret of an endpoint, or of all; the old one signs too until `keep_s` have passed."""
    keep, secret = _number(given, "keep_s", DAY_S), given.get("secret")
    if secret is not None and (not isinstance(secret, str) or not secret):
        raise invalid("secret must be a text", param="secret")
    if "endpoint" in given:
        endpoints = [account.store.get("webhook_endpoint", str(given["endpoint"]), param="endpoint")]
    else:
        endpoints = list(account.store.all("webhook_endpoint"))
    for endpoint in endpoints:
        old = endpoint["_secrets"][0]
        endpoint["_secrets"][:] = [secret or f"whsec_{account.store.token(32)}", old]
        account.after("secret.forget", endpoint["id"], old, seconds=keep)
    return {"secrets": {endpoint["id"]: endpoint["_secrets"][0] for endpoint in endpoints}}


@later("secret.forget")
def _forget(account: Account, id: str, secret: str) -> None:
    endpoint = account.store.find("webhook_endpoint", id)
    if endpoint is not None and len(endpoint["_secrets"]) > 1 and secret in endpoint["_secrets"][1:]:
        endpoint["_secrets"].remove(secret)


def _requests(account: Account, given: Object) -> Object:
    rows = list(account.log)[-_count(given, "limit", 1000) :]
    return {"requests": rows}


def _deliveries(account: Account, given: Object) -> Object:
    rows: list[Any] = []
    for tries in account.webhooks.deliveries.values():
        for one in tries:
            rows.append(
                {
                    "event": one.event_id,
                    "type": account.webhooks.types[one.event_id],
                    "endpoint": one.endpoint_id,
                    "url": one.url,
                    "outcome": one.outcome,
                    "tries": one.log,
                }
            )
    return {"deliveries": rows[-_count(given, "limit", 1000) :]}


def _health(account: Account, given: Object) -> Object:
    return {"status": "ok", "now": account.clock.unix()}


def _authenticate(account: Account, kind: str, id: str, given: Object) -> Object:
    from stripe_simulator.resources import payment_intents, setup_intents

    passed = _choice(given, "outcome", "success", ("success", "failure")) == "success"
    if kind == "payment_intents":
        return payment_intents.authenticated(account, id, passed=passed)
    return setup_intents.authenticated(account, id, passed=passed)


def _dispute(account: Account, given: Object) -> Object:
    """Opens a dispute of any charge, or moves one (`{"dispute", "status"}`), an appeal or an unknown status too."""
    from stripe_simulator.resources import disputes

    status = str(given.get("status", "needs_response"))
    if "dispute" in given:
        dispute = account.store.get("dispute", str(given["dispute"]), param="dispute")
        disputes.put(account, dispute, status)
    else:
        charge = _charge(account, given)
        if charge["status"] != "succeeded" or not charge["captured"]:
            raise invalid(f"The charge {charge['id']} took no money: it cannot be disputed.", param="charge")
        dispute = disputes.open_(account, charge, str(given.get("reason", "fraudulent")), status)
    return shown(dispute)


def _refund(account: Account, given: Object) -> Object:
    """Makes a refund in any status, as staff do in the Dashboard, or moves one (`{"refund", "status"}`)."""
    from stripe_simulator.resources import refunds

    if "refund" in given:
        refund = account.store.get("refund", str(given["refund"]), param="refund")
        reason = given.get("failure_reason")
        refunds.put(account, refund, str(given.get("status", "failed")), None if reason is None else str(reason))
        return shown(refund)
    charge = _charge(account, given)
    amount = given.get("amount", charge["amount_captured"] - charge["amount_refunded"])
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise invalid("amount must be an integer", param="amount")
    status = _choice(given, "status", "succeeded", ("requires_action", "pending", "succeeded"))
    refunds.check(charge, amount)
    return shown(refunds.record(account, charge, amount, None, {}, status))


def _charge(account: Account, given: Object) -> Object:
    """The charge that a knob names, or the newest of the intent that it names."""
    intent = account.store.find("payment_intent", str(given.get("payment_intent"))) or {}
    return account.store.get("charge", str(given.get("charge") or intent.get("latest_charge")), param="charge")


# path -> method -> what it does, and the fields that it takes
KNOBS: dict[str, dict[str, tuple[Callable[[Account, Object], Object], tuple[str, ...]]]] = {
    "/_sim/health": {"GET": (_health, ())},
    "/_sim/reset": {"POST": (_reset, ())},
    "/_sim/webhooks": {"GET": (_webhooks_state, ()), "POST": (_webhooks, ("deliver", "delay_s"))},
    "/_sim/webhooks/release": {"POST": (_release, ("order", "seed", "times"))},
    "/_sim/webhooks/roll": {"POST": (_roll, ("endpoint", "secret", "keep_s"))},
    "/_sim/calls": {
        "GET": (_calls_state, ()),
        "POST": (_calls, ("match", "times", "fail", "seconds")),
        "DELETE": (_no_calls, ()),
    },
    "/_sim/limits": {"GET": (_limits, ()), "POST": (_limits, ("per_second",))},
    "/_sim/clock": {"GET": (_clock, ()), "POST": (_clock, ("advance_s",))},
    "/_sim/disputes": {"POST": (_dispute, ("payment_intent", "charge", "reason", "status", "dispute"))},
    "/_sim/refunds": {"POST": (_refund, ("payment_intent", "charge", "amount", "status", "refund", "failure_reason"))},
    "/_sim/requests": {"GET": (_requests, ("limit",))},
    "/_sim/deliveries": {"GET": (_deliveries, ("limit",))},
}
