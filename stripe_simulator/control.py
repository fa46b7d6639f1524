"""The control API, `/_sim/…`: how a test controls the simulator. JSON in and out.

A call acts on the account of its API key, or without a key on the default account.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from stripe_simulator import cards, currencies
from stripe_simulator.account import Account, Fault, task
from stripe_simulator.accounts import Accounts, KeyConflict
from stripe_simulator.errors import StripeError, invalid_request
from stripe_simulator.resources import (
    balance_transactions,
    customers,
    disputes,
    early_fraud_warnings,
    mandates,
    payment_intents,
    payment_methods,
    payouts,
    refunds,
    setup_intents,
)
from stripe_simulator.store import Object, public_fields
from stripe_simulator.webhooks import MODES

MAX_COUNT, MAX_SECONDS, DAY_S = 1_000_000, 100 * 365 * 86400.0, 86400.0
MAX_DRAIN_S = 600.0
METHODS = ("GET", "POST", "DELETE", "*")
ANY_CALL = "*"
FAULTS = ("before", "after", "hang", "rate_limit", "lock_timeout", "error", "slow")
INTENTS = ("payment_intents", "setup_intents")
ACCOUNTS = "/_sim/accounts"
RECORDED_APART = ("/_sim/clock", "/_sim/webhooks/drain")
"""The calls that change no object themselves: tasks that they run, and requests that they wait for, are the causes."""


@dataclass(frozen=True)
class Caller:
    """The account on which a request acts, among all accounts. `is_admin` is whether it has the admin key."""

    accounts: Accounts
    account: Account
    is_admin: bool = False


def handle(caller: Caller, method: str, path: str, query: str, body: bytes) -> tuple[int, Object]:
    """Handle one request, and return the status and the content of the response.

    An invalid body gets 400, an unknown path 404, and an unsupported method 405.
    """
    try:
        params = json.loads(body) if body else {}
        if not isinstance(params, dict):
            raise invalid_request("The body must be a JSON object.")
        path = path.rstrip("/")
        parts = path.strip("/").split("/")
        query_params = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
        if path in CONTROLS:
            params |= {name: _parse_int(text, name) for name, text in query_params.items()}
        else:
            params |= query_params
        if len(parts) == 4 and parts[3] == "authenticate" and parts[1] in INTENTS:
            _check_method(method, ("POST",), path)
            _check_fields(params, ("outcome",), path)
            with caller.account.recording(f"{method} {path}"):
                return 200, _authenticate(caller.account, parts[1], parts[2], params)
        if path in ACCOUNT_CONTROLS:
            _check_method(method, tuple(ACCOUNT_CONTROLS[path]), path)
            account_control, fields = ACCOUNT_CONTROLS[path][method]
            _check_fields(params, fields, path)
            return 200, account_control(caller, params)
        if len(parts) == 3 and f"/_sim/{parts[1]}/*" in OBJECT_CONTROLS:
            controls = OBJECT_CONTROLS[f"/_sim/{parts[1]}/*"]
            _check_method(method, tuple(controls), path)
            object_control, fields = controls[method]
            _check_fields(params, fields, path)
            with caller.account.recording(f"{method} {path}"), caller.account.atomic():
                return 200, object_control(caller.account, parts[2], params)
        if path not in CONTROLS:
            intents = [f"/_sim/{name}/*/authenticate" for name in INTENTS]
            paths = ", ".join((*CONTROLS, *ACCOUNT_CONTROLS, *OBJECT_CONTROLS, *intents))
            return 404, {"error": {"message": f"No such path: {path}. There are: {paths}"}}
        _check_method(method, tuple(CONTROLS[path]), path)
        control, fields = CONTROLS[path][method]
        _check_fields(params, fields, path)
        if path in RECORDED_APART:
            return 200, control(caller.account, params)
        with caller.account.recording(f"{method} {path}"):
            return 200, control(caller.account, params)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return 400, {"error": {"message": f"The body is not JSON: {error}"}}
    except StripeError as error:
        return error.status, error.body("req_sim")


def _check_method(method: str, methods: tuple[str, ...], path: str) -> None:
    if method not in methods:
        raise StripeError(405, "invalid_request_error", f"{path} takes {' and '.join(methods)}, not {method}.")


def _check_fields(params: Object, fields: tuple[str, ...], path: str) -> None:
    """Refuse an unknown field, which may be misspelled."""
    for name in params:
        if name not in fields:
            takes = ", ".join(fields) or "nothing"
            raise invalid_request(f"{path} has no field {name}: it takes {takes}.", param=name)


def _parse_int(text: str, name: str) -> int:
    if not text.isdecimal():
        raise invalid_request(f"{name} must be a whole number", param=name)
    return int(text)


def take_fault(account: Account, method: str, path: str) -> Fault | None:
    """Return the first fault that matches a call and skips none, and count it as used."""
    taken: Fault | None = None
    for fault in [one for one in account.faults if _matches(one, method, path)]:
        if fault.skip > 0:
            fault.skip -= 1
        elif taken is None:
            taken = fault
            fault.times -= 1
            if fault.times <= 0:
                account.faults.remove(fault)
    return taken


def _matches(fault: Fault, method: str, path: str) -> bool:
    if fault.match == [ANY_CALL]:
        return True
    fault_method, *segments = fault.match
    parts = path.strip("/").split("/")
    return (
        fault_method in ("*", method)
        and len(segments) == len(parts)
        and all(segment in ("*", part) for segment, part in zip(segments, parts, strict=True))
    )


def raise_fault(fault: str | None) -> None:
    """Raise the StripeError of a fault that prevents execution. No idempotency key keeps its response."""
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


def _seconds(params: Object, name: str, default: float, maximum: float = MAX_SECONDS) -> float:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= maximum:
        raise invalid_request(f"{name} must be a number from 0 to {maximum:.0f}", param=name)
    return float(value)


def _count(params: Object, name: str, default: int, minimum: int = 1) -> int:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= MAX_COUNT:
        raise invalid_request(f"{name} must be a whole number from {minimum} to {MAX_COUNT}", param=name)
    return value


def _choice(params: Object, name: str, default: str, choices: tuple[str, ...]) -> str:
    value = params.get(name, default)
    if value not in choices:
        raise invalid_request(f"{name} must be one of {', '.join(choices)}", param=name)
    return str(value)


def _reset(account: Account, params: Object) -> Object:
    account.reset()
    return {"reset": True}


def _set_webhooks(account: Account, params: Object) -> Object:
    webhooks = account.webhooks
    mode = _choice(params, "deliver", webhooks.mode, MODES)
    if "seed" in params and mode != "disorder":
        raise invalid_request("seed is only for deliver 'disorder'", param="seed")
    seed = _count(params, "seed", webhooks.default_seed or 1, minimum=0) if mode == "disorder" else None
    webhooks.delay_s = _seconds(params, "delay_s", webhooks.delay_s)
    if "deliver" in params or "seed" in params:
        webhooks.set_mode(mode, seed)
    return _get_webhooks(account, params)


def _get_webhooks(account: Account, params: Object) -> Object:
    webhooks = account.webhooks
    return {
        "deliver": webhooks.mode,
        "delay_s": webhooks.delay_s,
        **({} if webhooks.seed is None else {"seed": webhooks.seed}),
        "held": len(webhooks.held),
        "waiting": webhooks.waiting,
    }


def _release(account: Account, params: Object) -> Object:
    order = _choice(params, "order", "as_created", ("as_created", "reversed", "shuffled"))
    times, seed = _count(params, "times", 1), _count(params, "seed", 1, minimum=0)
    return {"released": account.webhooks.release(order, seed, times)}


def _drain(account: Account, params: Object) -> Object:
    """Wait until nothing is due or in flight: a test then knows which deliveries succeeded and which failed."""
    timeout_s = _seconds(params, "timeout_s", 30.0, maximum=MAX_DRAIN_S)
    if account.webhooks.drain is None:
        raise invalid_request("Without a socket, the simulator sends nothing: deliveries wait in webhooks.outbox.")
    drained = account.webhooks.drain(timeout_s)
    return {"drained": drained, "held": len(account.webhooks.held), "waiting": account.webhooks.waiting}


def _add_fault(account: Account, params: Object) -> Object:
    fail = _choice(params, "fail", "before", FAULTS)
    match = str(params.get("match", ""))
    method, _, path = match.partition(" ")
    if match != ANY_CALL and (method not in METHODS or not path.startswith("/v1/")):
        raise invalid_request(
            "match must be a method and a path, such as 'POST /v1/payment_intents/*/confirm' ('*' for any method), "
            "or '*' for every call",
            param="match",
        )
    times, skip = _count(params, "times", 1), _count(params, "skip", 0, minimum=0)
    if "seconds" in params and fail != "slow":
        raise invalid_request("seconds is only for fail 'slow'; a 'hang' takes 60 s", param="seconds")
    seconds = _seconds(params, "seconds", 1.0 if fail == "slow" else 0.0, maximum=3600)
    segments = [ANY_CALL] if match == ANY_CALL else [method, *path.strip("/").split("/")]
    account.faults.append(Fault(segments, times, fail, seconds, skip))
    return _get_faults(account, params)


def _get_faults(account: Account, params: Object) -> Object:
    return {
        "calls": [
            {
                "match": ANY_CALL if one.match == [ANY_CALL] else f"{one.match[0]} /{'/'.join(one.match[1:])}",
                "times": one.times,
                "fail": one.fail,
                **({"skip": one.skip} if one.skip else {}),
                **({"seconds": one.seconds} if one.fail == "slow" else {}),
            }
            for one in account.faults
        ]
    }


def _clear_faults(account: Account, params: Object) -> Object:
    account.faults.clear()
    return {"calls": []}


def _advance_clock(account: Account, params: Object) -> Object:
    seconds = _seconds(params, "advance_s", 0)
    until = account.clock.now() + seconds
    while (at := account.clock.next_at()) is not None and at <= until:
        account.clock.advance(max(0.0, at - account.clock.now()))
        account.run_due()
    account.clock.advance(max(0.0, until - account.clock.now()))
    account.run_due()
    account.webhooks.wake()
    next_task_at = account.clock.next_at()
    return {"now": account.clock.unix(), "offset_s": account.clock.offset, "next_task_at": next_task_at}


def _set_rate_limit(account: Account, params: Object) -> Object:
    """Limit the requests per second; 0 means no limit.

    https://docs.stripe.com/rate-limits
    """
    account.per_second = _count(params, "per_second", account.per_second, minimum=0)
    return {"per_second": account.per_second}


def _roll_secrets(account: Account, params: Object) -> Object:
    """Roll the signing secret of one endpoint or of all. The old secret also signs until `keep_s` have passed."""
    keep, secret = _seconds(params, "keep_s", DAY_S), params.get("secret")
    if secret is not None and (not isinstance(secret, str) or not secret):
        raise invalid_request("secret must be a string that is not empty", param="secret")
    if "endpoint" in params:
        endpoints = [account.store.get("webhook_endpoint", str(params["endpoint"]), param="endpoint")]
    else:
        endpoints = list(account.store.all("webhook_endpoint"))
    for endpoint in endpoints:
        old = endpoint["_secrets"][0]
        endpoint["_secrets"][:] = [secret or f"whsec_{account.store.token(32)}", old]
        account.schedule("webhook_endpoint.expire_secret", endpoint["id"], old, seconds=keep)
    return {"secrets": {endpoint["id"]: endpoint["_secrets"][0] for endpoint in endpoints}}


@task("webhook_endpoint.expire_secret")
def _expire_secret(account: Account, id: str, secret: str) -> None:
    endpoint = account.store.find("webhook_endpoint", id)
    if endpoint is not None and len(endpoint["_secrets"]) > 1 and secret in endpoint["_secrets"][1:]:
        endpoint["_secrets"].remove(secret)


def _get_requests(account: Account, params: Object) -> Object:
    rows = list(account.log)[-_count(params, "limit", 1000) :]
    return {"requests": rows}


def _get_deliveries(account: Account, params: Object) -> Object:
    rows: list[Any] = []
    queued = {id(delivery) for delivery in account.webhooks.outbox}
    for deliveries in account.webhooks.deliveries.values():
        for one in deliveries:
            rows.append(
                {
                    "event": one.event_id,
                    "type": account.webhooks.types[one.event_id],
                    "endpoint": one.endpoint_id,
                    "url": one.url,
                    "outcome": one.outcome,
                    "due": one.due if id(one) in queued else None,
                    "tries": one.log,
                }
            )
    webhooks = account.webhooks
    events = {"events": [webhooks.event(id) for id in webhooks.payloads]} if params.get("events") else {}
    return {"deliveries": rows[-_count(params, "limit", 1000) :], **events}


def _get_health(account: Account, params: Object) -> Object:
    return {"status": "ok", "now": account.clock.unix()}


def _authenticate(account: Account, resource: str, id: str, params: Object) -> Object:
    passed = _choice(params, "outcome", "success", ("success", "failure")) == "success"
    if resource == "payment_intents":
        return payment_intents.complete_authentication(account, id, passed=passed)
    return setup_intents.complete_authentication(account, id, passed=passed)


def _dispute(account: Account, params: Object) -> Object:
    """Open a dispute of any charge, or set the status of a dispute, even to an appeal or an unknown status."""
    status = str(params.get("status", "needs_response"))
    if "dispute" in params:
        dispute = account.store.get("dispute", str(params["dispute"]), param="dispute")
        disputes.set_status(account, dispute, status)
    else:
        charge = _charge(account, params)
        if charge["status"] != "succeeded" or not charge["captured"]:
            raise invalid_request(f"The charge {charge['id']} is not captured: it cannot be disputed.", param="charge")
        dispute = disputes.open_dispute(account, charge, str(params.get("reason", "fraudulent")), status)
    return public_fields(dispute)


def _warn(account: Account, params: Object) -> Object:
    """Create an early fraud warning about any charge that succeeded."""
    charge = _charge(account, params)
    if charge["status"] != "succeeded":
        raise invalid_request(f"The charge {charge['id']} did not succeed: it has no fraud warning.", param="charge")
    fraud_type = _choice(params, "fraud_type", "misc", early_fraud_warnings.FRAUD_TYPES)
    return public_fields(early_fraud_warnings.warn(account, charge, fraud_type))


def _refund(account: Account, params: Object) -> Object:
    """Create a refund in any status, as staff do in the Dashboard, or set the status of a refund."""
    if "refund" in params:
        refund = account.store.get("refund", str(params["refund"]), param="refund")
        reason = params.get("failure_reason")
        refunds.set_status(
            account, refund, str(params.get("status", "failed")), None if reason is None else str(reason)
        )
        return public_fields(refund)
    charge = _charge(account, params)
    amount = _amount({"amount": refunds.refundable_amount(charge), **params})
    status = _choice(params, "status", "succeeded", ("requires_action", "pending", "succeeded"))
    refunds.check_refundable(charge, amount)
    return public_fields(refunds.add(account, charge, amount, None, {}, status))


def _charge(account: Account, params: Object) -> Object:
    """Return the charge that the request names, or the latest charge of its payment intent."""
    intent = account.store.find("payment_intent", str(params.get("payment_intent"))) or {}
    return account.store.get("charge", str(params.get("charge") or intent.get("latest_charge")), param="charge")


def _pay_out(account: Account, params: Object) -> Object:
    """Pay out the available balance of a currency, or change the status of a payout."""
    if "payout" in params:
        payout = account.store.get("payout", str(params["payout"]), param="payout")
        code = str(params.get("failure_code", "account_closed"))
        payouts.set_status(account, payout, str(params.get("status", "paid")), code)
        return public_fields(payout)
    currency = _currency(params)
    amount = _amount(params) if "amount" in params else None
    include_pending = params.get("include_pending", False)
    if not isinstance(include_pending, bool):
        raise invalid_request("include_pending must be true or false", param="include_pending")
    with account.atomic():  # a refused payout leaves the pending funds pending
        if include_pending:
            balance_transactions.release_pending(account, currency)
        return public_fields(payouts.pay_out(account, currency, amount))


def _add_balance_transaction(account: Account, params: Object) -> Object:
    """Add a balance transaction that belongs to no charge, as Stripe does for a fee or a correction."""
    kind = _choice(params, "type", "adjustment", balance_transactions.TYPES_WITHOUT_SOURCE)
    description = params.get("description")
    if description is not None and not isinstance(description, str):
        raise invalid_request("description must be a string", param="description")
    currency, amount = _currency(params), _amount(params)
    return public_fields(balance_transactions.add_without_source(account, kind, currency, amount, description))


def _currency(params: Object) -> str:
    return _choice(params, "currency", "usd", tuple(sorted(currencies.CURRENCIES)))


def _amount(params: Object) -> int:
    amount = params.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise invalid_request("amount must be an integer", param="amount")
    return amount


def _add_key(caller: Caller, params: Object) -> Object:
    """Add a secret key, as a person does in the Dashboard. Every key may do everything."""
    account = caller.account
    key = params.get("secret_key", f"sk_test_{account.store.token(24)}")
    if not isinstance(key, str) or not key.startswith(("sk_test_", "rk_test_")):
        raise invalid_request("secret_key must begin with sk_test_ or rk_test_", param="secret_key")
    try:
        caller.accounts.add_key(account, key)
    except KeyConflict as error:
        message = "secret_key belongs to another account already: add another key, or delete that account first."
        raise invalid_request(message, param="secret_key") from error
    account.expired_keys[:] = [expired for expired in account.expired_keys if expired != key]
    return {"secret_key": key}


def _expire_key(caller: Caller, params: Object) -> Object:
    """Expire a secret key: from now on it gets 401."""
    account, key = caller.account, params.get("secret_key")
    if not isinstance(key, str) or not caller.accounts.has_key(account, key):
        raise invalid_request("secret_key must be a secret key of this account", param="secret_key")
    if key not in account.expired_keys:
        account.expired_keys.append(key)
    return {"expired": True}


def _list_accounts(caller: Caller, params: Object) -> Object:
    """List all accounts, the default account first."""
    if not caller.is_admin:
        raise StripeError(403, "invalid_request_error", f"GET {ACCOUNTS} needs the admin key, of the line `ready`.")
    rows = [
        {
            "id": one.id,
            "default": one is caller.accounts.default,
            "secret_key": one.secret_key,
            "publishable_key": one.publishable_key,
            "created": one.created,
            "objects": sum(len(objects) for objects in list(one.store.objects.values())),
            "events": len(one.webhooks.payloads),
        }
        for one in caller.accounts.all()
    ]
    return {"accounts": rows}


def _delete_accounts(caller: Caller, params: Object) -> Object:
    """Delete the account of the key. With the admin key: the named account, or all but the default account."""
    accounts, id = caller.accounts, params.get("account")
    targets = [caller.account]
    if caller.is_admin and id is None:
        targets = [one for one in accounts.all() if one is not accounts.default]
    elif id is not None and id != caller.account.id:
        target = accounts.find(id) if isinstance(id, str) and caller.is_admin else None
        if target is None:
            whose = "an account" if caller.is_admin else "the account of the key"
            raise invalid_request(f"account must be the id of {whose}", param="account")
        targets = [target]
    if accounts.default in targets:
        raise invalid_request("The default account cannot be deleted. POST /_sim/reset empties it.", param="account")
    for one in targets:
        accounts.delete(one)
    return {"deleted": [one.id for one in targets]}


def _get_payment_method(account: Account, id: str, params: Object) -> Object:
    method = account.store.find("payment_method", id)
    if method is None:
        hint = "" if payment_methods.find_test_name(id) is None else ": each use of a test id creates another one"
        raise StripeError(404, "invalid_request_error", f"No such PaymentMethod: '{id}'{hint}")
    return {"payment_method": public_fields(method), "next": list(method.get("_next", []))}


def _detach_payment_method(account: Account, id: str, params: Object) -> Object:
    """Detach a method, as staff do in the Dashboard."""
    _get_payment_method(account, id, {})
    payment_methods.detach_from_customer(account, account.store.get("payment_method", id))
    return _get_payment_method(account, id, {})


def _delete_customer(account: Account, id: str, params: Object) -> Object:
    """Delete a customer, as staff do in the Dashboard."""
    return customers.delete_with_tax_ids(account, id)


def _set_payment_method(account: Account, id: str, params: Object) -> Object:
    """Set what the next attempts with a method do, or update its card as the network does."""
    _get_payment_method(account, id, {})
    method = account.store.get("payment_method", id)
    if not params:
        raise invalid_request("Pass next, card or blocked.")
    if "blocked" in params:
        _block(account, method, params["blocked"])
    if "next" in params:
        payment_methods.set_steps(method, params["next"])
    if "card" in params:
        payment_methods.update_automatically(account, method, _card_fields(params["card"]))
    return _get_payment_method(account, id, {})


def _block(account: Account, method: Object, reason: Any) -> None:
    if method["type"] != "us_bank_account" or method["customer"] is None:
        message = "Only a US bank account that is attached to a customer can be blocked."
        raise invalid_request(message, param="blocked")
    if reason is not None and reason not in cards.BLOCKS:
        message = f"blocked must be null, to remove the block, or one of {', '.join(cards.BLOCKS)}"
        raise invalid_request(message, param="blocked")
    payment_methods.block(account, method, reason)


def _card_fields(card: Any) -> Object:
    """Return the fields of a card that the network updates."""
    if not isinstance(card, dict) or not card:
        raise invalid_request("card must have number, exp_month or exp_year", param="card")
    _check_fields(card, ("number", "exp_month", "exp_year"), "card")
    for name in card.keys() & {"exp_month", "exp_year"}:
        _count(card, name, 1)
    if not isinstance(card.get("number", ""), str):
        raise invalid_request("number must be a string", param="card")
    return card


def _set_mandate(account: Account, id: str, params: Object) -> Object:
    """Set the status of a mandate, as the customer's bank does."""
    mandate = account.store.get("mandate", id)
    mandates.set_status(account, mandate, _choice(params, "status", "inactive", mandates.STATUSES))
    return public_fields(mandate)


Control = Callable[[Account, Object], Object]
CONTROLS: dict[str, dict[str, tuple[Control, tuple[str, ...]]]] = {
    "/_sim/health": {"GET": (_get_health, ())},
    "/_sim/reset": {"POST": (_reset, ())},
    "/_sim/webhooks": {"GET": (_get_webhooks, ()), "POST": (_set_webhooks, ("deliver", "delay_s", "seed"))},
    "/_sim/webhooks/release": {"POST": (_release, ("order", "seed", "times"))},
    "/_sim/webhooks/drain": {"POST": (_drain, ("timeout_s",))},
    "/_sim/webhooks/roll": {"POST": (_roll_secrets, ("endpoint", "secret", "keep_s"))},
    "/_sim/calls": {
        "GET": (_get_faults, ()),
        "POST": (_add_fault, ("match", "times", "fail", "seconds", "skip")),
        "DELETE": (_clear_faults, ()),
    },
    "/_sim/limits": {"GET": (_set_rate_limit, ()), "POST": (_set_rate_limit, ("per_second",))},
    "/_sim/clock": {"GET": (_advance_clock, ()), "POST": (_advance_clock, ("advance_s",))},
    "/_sim/disputes": {"POST": (_dispute, ("payment_intent", "charge", "reason", "status", "dispute"))},
    "/_sim/early_fraud_warnings": {"POST": (_warn, ("payment_intent", "charge", "fraud_type"))},
    "/_sim/refunds": {"POST": (_refund, ("payment_intent", "charge", "amount", "status", "refund", "failure_reason"))},
    "/_sim/payouts": {
        "POST": (_pay_out, ("currency", "amount", "include_pending", "payout", "status", "failure_code"))
    },
    "/_sim/balance_transactions": {"POST": (_add_balance_transaction, ("type", "currency", "amount", "description"))},
    "/_sim/requests": {"GET": (_get_requests, ("limit",))},
    "/_sim/deliveries": {"GET": (_get_deliveries, ("limit", "events"))},
}
"""Path -> method -> the function and the fields that it takes."""
AccountControl = Callable[[Caller, Object], Object]
ACCOUNT_CONTROLS: dict[str, dict[str, tuple[AccountControl, tuple[str, ...]]]] = {
    ACCOUNTS: {"GET": (_list_accounts, ()), "DELETE": (_delete_accounts, ("account",))},
    "/_sim/keys": {"POST": (_add_key, ("secret_key",)), "DELETE": (_expire_key, ("secret_key",))},
}
"""The controls of accounts and their keys, which need all accounts."""
ObjectControl = Callable[[Account, str, Object], Object]
OBJECT_CONTROLS: dict[str, dict[str, tuple[ObjectControl, tuple[str, ...]]]] = {
    "/_sim/payment_methods/*": {
        "GET": (_get_payment_method, ()),
        "POST": (_set_payment_method, ("next", "card", "blocked")),
        "DELETE": (_detach_payment_method, ()),
    },
    "/_sim/customers/*": {"DELETE": (_delete_customer, ())},
    "/_sim/mandates/*": {"POST": (_set_mandate, ("status",))},
}
"""The same for one object, whose id `*` stands for."""
