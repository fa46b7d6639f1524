"""`/_sim/…`: what a test does to the simulator. All take and answer JSON; no key is asked for."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from stripe_simulator.account import Account, Fault
from stripe_simulator.errors import StripeError, invalid
from stripe_simulator.store import Object, shown
from stripe_simulator.webhooks import MODES

FAULTS = ("before", "after", "hang", "rate_limit", "lock_timeout", "error", "slow")
AUTHENTICATED = ("payment_intents", "setup_intents")
Answer = tuple[int, Object]


def handle(account: Account, method: str, path: str, query: str, body: bytes) -> Answer:
    """Answer a request of the control plane."""
    try:
        given = json.loads(body) if body else {}
        if not isinstance(given, dict):
            raise invalid("The body must be a JSON object.")
        route = f"{method} {path.rstrip('/')}"
        if route in KNOBS:
            return 200, KNOBS[route](account, given | {k: v[0] for k, v in parse_qs(query).items()})
        parts = path.strip("/").split("/")
        if method == "POST" and len(parts) == 4 and parts[3] == "authenticate" and parts[1] in AUTHENTICATED:
            return 200, _authenticate(account, parts[1], parts[2], given)
    except json.JSONDecodeError as error:
        return 400, {"error": {"message": f"Not JSON: {error}"}}
    except StripeError as error:
        return error.status, error.body("req_sim")
    return 404, {"error": {"message": f"No such knob: {method} {path}"}}


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


def _number(given: Object, name: str, default: float) -> float:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise invalid(f"{name} must be a number, zero or more", param=name)
    return float(value)


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
    times, seed = int(_number(given, "times", 1)), int(_number(given, "seed", 1))
    return {"released": account.webhooks.release(order, seed, times)}


def _calls(account: Account, given: Object) -> Object:
    fail = _choice(given, "fail", "before", FAULTS)
    method, _, path = str(given.get("match", "")).partition(" ")
    if not path.startswith("/"):
        raise invalid("match must be a method and a path, such as 'POST /v1/payment_intents/*/confirm'")
    times = int(_number(given, "times", 1))
    seconds = _number(given, "seconds", 1.0 if fail == "slow" else 0.0)
    if times:
        account.faults.append(Fault([method, *path.strip("/").split("/")], times, fail, seconds))
    return _calls_state(account, given)


def _calls_state(account: Account, given: Object) -> Object:
    return {
        "calls": [
            {"match": f"{one.match[0]} /{'/'.join(one.match[1:])}", "times": one.times, "fail": one.fail}
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


def _requests(account: Account, given: Object) -> Object:
    limit = int(given.get("limit", 1000))
    rows = list(account.log)[-limit:]
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
    return {"deliveries": rows[-int(given.get("limit", 1000)) :]}


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


KNOBS: dict[str, Callable[[Account, Object], Object]] = {
    "GET /_sim/health": _health,
    "POST /_sim/reset": _reset,
    "GET /_sim/webhooks": _webhooks_state,
    "POST /_sim/webhooks": _webhooks,
    "POST /_sim/webhooks/release": _release,
    "GET /_sim/calls": _calls_state,
    "POST /_sim/calls": _calls,
    "DELETE /_sim/calls": _no_calls,
    "GET /_sim/clock": _clock,
    "POST /_sim/clock": _clock,
    "POST /_sim/disputes": _dispute,
    "POST /_sim/refunds": _refund,
    "GET /_sim/requests": _requests,
    "GET /_sim/deliveries": _deliveries,
}
