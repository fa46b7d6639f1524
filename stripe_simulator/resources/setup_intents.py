"""SetupIntents, which save a payment method without a payment.

https://docs.stripe.com/api/setup_intents
"""

from typing import Any

from stripe_simulator import cards, lists, validation
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import StripeError, card_error, invalid_request, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import confirmation_tokens, mandates, payment_intents, payment_methods, payments
from stripe_simulator.store import Object, public_fields

OPEN_STATUSES = ("requires_payment_method", "requires_confirmation", "requires_action")
UNEXPECTED_STATE = "setup_intent_unexpected_state"
HIDDEN_FROM_BROWSERS = ("application", "customer", "customer_account", "mandate", "metadata", "on_behalf_of")


def create(call: Call) -> Object:
    """POST /v1/setup_intents."""
    account, params = call.account, call.params
    if params.get("customer"):
        account.store.get_active("customer", params["customer"], param="customer")
    mandates.check_confirm(params, ("return_url", "mandate_data"), "SetupIntent")
    id = f"seti_1{account.store.token(23)}"
    allowed, legacy = params.get("allowed_payment_method_types"), params.get("payment_method_types")
    payment_intents.check_automatic(params)
    automatic = params.get("automatic_payment_methods") or {}
    setup: Object = {
        "id": id,
        "object": "setup_intent",
        "allowed_payment_method_types": allowed,
        "application": None,
        "automatic_payment_methods": None
        if legacy
        else {"allow_redirects": automatic.get("allow_redirects", "always"), "enabled": True},
        "cancellation_reason": None,
        "client_secret": f"{id}_secret_{account.store.token(25)}",
        "created": account.clock.unix(),
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": params.get("excluded_payment_method_types"),
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"mandate_options": None, "network": None, "request_three_d_secure": None}},
        "payment_method_types": legacy or _types(params),
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
    account.store.add(setup)
    account.emit("setup_intent.created", setup)
    _set_method(account, setup, params)
    if params.get("confirm"):
        _confirm(call, setup)
    return public_fields(setup)


def _types(params: dict[str, Any]) -> list[str]:
    return [kind for kind in payment_intents.allowed_types(params) if kind in payments.CURRENCIES]


def _set_types(setup: Object, params: dict[str, Any]) -> None:
    """Set the types that the request allows or excludes, if it says so."""
    names = ("allowed_payment_method_types", "excluded_payment_method_types")
    if any(name in params for name in names):
        setup |= {name: params[name] or None for name in names if name in params}
        setup["payment_method_types"] = _types(setup)
    if "payment_method_types" in params:  # of a request without a version
        setup["payment_method_types"], setup["automatic_payment_methods"] = params["payment_method_types"], None


def _set_method(account: Account, setup: Object, params: dict[str, Any]) -> None:
    """Set the payment method that the request names or describes, if any."""
    method = confirmation_tokens.use_token(account, params, setup)
    if params.get("payment_method_data") and params.get("payment_method"):
        raise validation_error("You may only specify one of these parameters: payment_method, payment_method_data.")
    if method is None and params.get("payment_method_data"):
        method = payment_methods.from_params(account, params["payment_method_data"], "payment_method_data")
    if method is None and params.get("payment_method"):
        method = payment_methods.resolve(account, params["payment_method"])
    if method is None:
        return
    if method["type"] not in setup["payment_method_types"]:
        raise invalid_request(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this SetupIntent. Please attach a "
            f"PaymentMethod of one of the following types: {', '.join(setup['payment_method_types'])}.",
            param="payment_method",
        )
    if method.get("_detached"):
        raise invalid_request(payment_methods.DETACHED)
    if method["customer"] not in (None, setup["customer"]):
        raise invalid_request("The PaymentMethod belongs to another Customer.", param="payment_method")
    setup["payment_method"], setup["status"], setup["next_action"] = method["id"], "requires_confirmation", None


def _confirm(call: Call, setup: Object) -> None:
    account, params = call.account, call.params
    if setup["payment_method"] is None:
        raise _unexpected("You cannot confirm this SetupIntent because it's missing a payment method.", setup)
    payments.check_return_url(setup, params, browser=call.browser)
    if setup["customer"]:  # it may have been deleted: no method can be saved then (m)
        account.store.get_active("customer", setup["customer"], param="customer")
    method = account.store.get("payment_method", setup["payment_method"])
    if payment_methods.is_blocked(method):
        raise _refused(account, setup, method, {"code": cards.BLOCKED_CODE, "message": cards.BLOCKED_MESSAGE})
    if method["type"] != "card":
        setup["mandate"] = mandates.use(account, setup, method, mandates.consent_of(call))["id"]
    step = payment_methods.take_step(method) if method["type"] == "card" else None
    setup["_step"] = step
    if _must_authenticate(setup, method, step):
        setup["status"] = "requires_action"
        setup["next_action"] = payments.next_action(
            account, setup, None if params.get("use_stripe_sdk") else params.get("return_url")
        )
        account.emit("setup_intent.requires_action", setup)
        return
    _finish(account, setup, method)


def _must_authenticate(setup: Object, method: Object, step: str | None) -> bool:
    """Return whether a setup requires 3-D Secure. One for payments on session leaves it to them (m)."""
    authenticate = payment_methods.behavior(method, step).authenticate
    if step is not None or authenticate in (None, "always"):
        return authenticate is not None
    return setup["usage"] == "off_session" and not method["_set_up"]


def _finish(account: Account, setup: Object, method: Object) -> None:
    step = setup.get("_step")
    reason = payment_methods.refusal_to_save(account, method, payment_methods.behavior(method, step), step)
    if reason is not None:
        code, message = cards.MESSAGES[reason]
        codes = cards.decline_codes(reason, method["card"]["brand"])
        codes |= {"decline_code": reason if code in ("card_declined", "authentication_required") else None}
        raise _refused(account, setup, method, {"code": code, "message": message, **codes})
    method["_set_up"] = method["_set_up"] or setup["usage"] == "off_session"
    setup["status"], setup["next_action"], setup["last_setup_error"] = "succeeded", None, None
    payment_methods.save_for_customer(account, method, setup["customer"])
    account.emit("setup_intent.succeeded", setup)


def _refused(account: Account, setup: Object, method: Object, error: Object) -> StripeError:
    """Record a refused setup, and return its error."""
    _fail(account, setup, method, error)
    return card_error(**error, setup_intent=public_fields(setup), payment_method=public_fields(method))


def _fail(account: Account, setup: Object, method: Object, error: Object) -> None:
    setup["status"], setup["payment_method"], setup["next_action"] = "requires_payment_method", None, None
    fields = {name: value for name, value in error.items() if value is not None}
    setup["last_setup_error"] = {"type": "card_error", **fields, "payment_method": public_fields(method)}
    account.emit("setup_intent.setup_failed", setup)


def complete_authentication(account: Account, id: str, *, passed: bool) -> Object:
    """Complete or fail the 3-D Secure step of a SetupIntent."""
    setup = account.store.get("setup_intent", id)
    if setup["status"] != "requires_action":
        raise invalid_request(f"This SetupIntent does not require authentication: its status is {setup['status']}.")
    method = account.store.get("payment_method", setup["payment_method"])
    if passed:
        _finish(account, setup, method)
    else:
        code = "setup_intent_authentication_failure"
        _fail(
            account,
            setup,
            method,
            {"code": code, "message": payments.AUTHENTICATION_FAILED, "type": "invalid_request_error"},
        )
    return public_fields(setup)


def _unexpected(message: str, setup: Object) -> StripeError:
    return invalid_request(message, code=UNEXPECTED_STATE, setup_intent=public_fields(setup))


def _get_open(call: Call, verb: str) -> Object:
    """Return the SetupIntent of the path. Raises StripeError if its status is final."""
    setup = _get(call)
    if setup["status"] not in OPEN_STATUSES:
        raise _unexpected(
            f"You cannot {verb} this SetupIntent because it has a status of {setup['status']}.",
            setup,
        )
    return setup


def _get(call: Call) -> Object:
    """Return the SetupIntent of the path. A browser must send its client secret."""
    setup = call.store.get("setup_intent", call.ids[0])
    secret = call.params.get("client_secret")
    if call.browser and secret is None:
        raise validation_error(
            "Missing required param: client_secret.", code="parameter_missing", param="client_secret"
        )
    if secret is not None and secret != setup["client_secret"]:
        raise invalid_request(
            "The client_secret provided does not match any associated SetupIntent.", param="client_secret"
        )
    return setup


def _visible(call: Call, setup: Object) -> Object:
    """Return the fields that the caller may see."""
    fields = public_fields(setup)
    return for_browser(fields) if call.browser else fields


def for_browser(setup: Object) -> Object:
    """Return the fields that a publishable key may see: neither the customer nor the metadata."""
    fields = {name: value for name, value in setup.items() if name not in HIDDEN_FROM_BROWSERS}
    error = setup["last_setup_error"]
    if error:
        fields["last_setup_error"] = error | {"payment_method": payment_methods.for_browser(error["payment_method"])}
    return fields


def confirm(call: Call) -> Object:
    """POST /v1/setup_intents/:id/confirm."""
    setup = _get_open(call, "confirm")
    validation.check_url(call.params, "return_url")
    with validation.restore_on_error(setup):
        _set_types(setup, call.params)
        _set_method(call.account, setup, call.params)
        _confirm(call, setup)
    return _visible(call, setup)


def update(call: Call) -> Object:
    """POST /v1/setup_intents/:id."""
    setup, params = call.store.get("setup_intent", call.ids[0]), call.params
    if set(params) - {"metadata", "description"}:
        _get_open(call, "update")
    metadata = merge_metadata(setup["metadata"], params.get("metadata", {}))
    with validation.restore_on_error(setup):
        if params.get("customer"):
            setup["customer"] = call.store.get_active("customer", params["customer"], param="customer")["id"]
        _set_types(setup, params)
        _set_method(call.account, setup, params)
        setup["metadata"] = metadata
        if params.get("payment_method_types"):  # of a version that still takes it
            setup["payment_method_types"], setup["automatic_payment_methods"] = params["payment_method_types"], None
        if "description" in params:
            setup["description"] = params["description"]
    return public_fields(setup)


def cancel(call: Call) -> Object:
    """POST /v1/setup_intents/:id/cancel."""
    setup = _get_open(call, "cancel")
    setup["status"], setup["next_action"] = "canceled", None
    setup["cancellation_reason"] = call.params.get("cancellation_reason")
    call.account.emit("setup_intent.canceled", setup)
    return public_fields(setup)


def retrieve(call: Call) -> Object:
    """GET /v1/setup_intents/:id."""
    return _visible(call, _get(call))


def list_(call: Call) -> Object:
    """GET /v1/setup_intents?customer&payment_method&created."""
    setups = lists.select(call.store.all("setup_intent"), call.params, "customer", "payment_method")
    return lists.page(setups, call.params, call.path, "setup_intent")


ROUTES = {
    "POST /v1/setup_intents": create,
    "GET /v1/setup_intents": list_,
    "GET /v1/setup_intents/*": retrieve,
    "POST /v1/setup_intents/*": update,
    "POST /v1/setup_intents/*/confirm": confirm,
    "POST /v1/setup_intents/*/cancel": cancel,
}
