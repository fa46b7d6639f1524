"""PaymentIntents.

https://docs.stripe.com/api/payment_intents
"""

from typing import Any

from stripe_simulator import currencies, lists, validation
from stripe_simulator.account import Account, Call, task
from stripe_simulator.errors import StripeError, invalid_request, resource_missing, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import charges, confirmation_tokens, mandates, payment_methods, payments
from stripe_simulator.store import Object, public_fields

ENABLED_TYPES = ["card", "us_bank_account", "sepa_debit"]  # the account's payment methods
OPEN_STATUSES = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE_STATUSES = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
UNEXPECTED_STATE = "payment_intent_unexpected_state"
# fmt: off
BROWSER_FIELDS = (
    "id", "object", "allowed_payment_method_types", "amount", "amount_details", "automatic_payment_methods",
    "canceled_at", "cancellation_reason", "capture_method", "client_secret", "confirmation_method",
    "created", "currency", "description", "last_payment_error", "livemode", "next_action", "payment_method",
    "payment_method_configuration_details", "payment_method_types", "processing", "receipt_email",
    "setup_future_usage", "shipping", "source", "status",
)
# fmt: on


def new(account: Account, params: dict[str, Any]) -> Object:
    """Return a new intent, not yet stored. Raises StripeError for invalid parameters."""
    check_texts(params)
    id = f"pi_3{account.store.token(23)}"
    currency = currencies.parse(params["currency"])
    currencies.check_amount(params["amount"], currency)
    if params.get("customer"):
        account.store.get_active("customer", params["customer"], param="customer")
    automatic = params.get("automatic_payment_methods")
    check_automatic(params)
    legacy = params.get("payment_method_types")
    allowed = params.get("allowed_payment_method_types")
    allow_redirects = (automatic or {}).get("allow_redirects", "always")
    return {
        "id": id,
        "object": "payment_intent",
        "allowed_payment_method_types": allowed,
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None if legacy else {"allow_redirects": allow_redirects, "enabled": True},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{id}_secret_{account.store.token(25)}",
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": account.clock.unix(),
        "currency": currency,
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": params.get("excluded_payment_method_types"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": _method_options({}, params.get("payment_method_options")),
        "payment_method_types": legacy or payments.payable_types(allowed_types(params), currency),
        "payment_record": None,
        "processing": None,
        "receipt_email": params.get("receipt_email") or None,
        "review": None,
        "setup_future_usage": params.get("setup_future_usage") or None,
        "shipping": charges.shipping(params.get("shipping")),
        "source": None,
        "statement_descriptor": params.get("statement_descriptor"),
        "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": params.get("transfer_group"),
    }


def check_automatic(params: dict[str, Any]) -> None:
    """Raise StripeError if the request disables automatic payment methods."""
    if (params.get("automatic_payment_methods") or {}).get("enabled") is False:
        name = "automatic_payment_methods[enabled]"
        message = f"The simulator does not support `{name}` `false`, although Stripe does: name the allowed types."
        raise validation_error(message, param=name)


def named_types(params: dict[str, Any]) -> list[str]:
    """Return the types that the parameters of an intent or a session name, if they name any."""
    return params.get("allowed_payment_method_types") or params.get("payment_method_types") or []


def allowed_types(params: dict[str, Any]) -> list[str]:
    """Return the allowed types, by default all that are enabled, without the excluded types."""
    excluded = params.get("excluded_payment_method_types") or []
    if params.get("capture_method") == "manual":
        # Only cards support separate capture.
        excluded = [*excluded, *(kind for kind in ENABLED_TYPES if kind != "card")]
    return [kind for kind in params.get("allowed_payment_method_types") or ENABLED_TYPES if kind not in excluded]


def _method_options(options: Object, params: Any) -> Object:
    """Return the options after a request: merged by type."""
    card = {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    merged = {"card": card, **options}
    for kind, values in (params or {}).items():
        changed = merged.get(kind, {}) | (values or {})
        merged[kind] = {name: value for name, value in changed.items() if value != ""}
    return merged


def check_texts(params: dict[str, Any], path: str = "") -> None:
    """Raise StripeError for an invalid address, URL or text. `path` is where the parameters are in the request."""
    validation.check_email(params, "receipt_email", path)
    validation.check_url(params, "return_url")
    validation.check_statement_descriptor(params, "statement_descriptor", path)
    validation.check_statement_descriptor(params, "statement_descriptor_suffix", path)


def _method(account: Account, params: dict[str, Any], intent: Object) -> Object | None:
    """Return the payment method that the request names or describes, if any."""
    method = confirmation_tokens.use_token(account, params, intent)
    if method is not None:
        return method
    if params.get("payment_method_data") and params.get("payment_method"):
        raise validation_error("You may only specify one of these parameters: payment_method, payment_method_data.")
    if params.get("payment_method_data"):
        return payment_methods.from_params(account, params["payment_method_data"], "payment_method_data")
    if params.get("payment_method"):
        return payment_methods.resolve(account, params["payment_method"])
    return None


def create(call: Call) -> Object:
    """POST /v1/payment_intents."""
    params = call.params
    names = ("off_session", "return_url", "error_on_requires_action", "mandate_data", "mandate")
    mandates.check_confirm(params, names, "PaymentIntent")
    intent = new(call.account, params)
    payments.check_statement_descriptor(intent, named_types(params))
    method = _method(call.account, params, intent)
    if method is not None:
        payments.check_usable(call.account, intent, method, "statement_descriptor")
        intent["payment_method"], intent["status"] = method["id"], "requires_confirmation"
        intent["setup_future_usage"] = params.get("setup_future_usage") or None
        intent["shipping"] = charges.shipping(params.get("shipping"))
    call.store.add(intent)
    call.account.emit("payment_intent.created", intent)
    if params.get("confirm"):
        _confirm(call, intent)
    return public_fields(intent)


def _confirm(call: Call, intent: Object) -> None:
    account, params = call.account, call.params
    if intent["payment_method"] is None:
        raise _unexpected(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update "
            "the PaymentIntent with a payment method and then confirm it again, or confirm it again directly "
            "with a payment method or ConfirmationToken.",
            intent,
        )
    off_session = params.get("off_session") not in (None, False)
    if off_session and intent["setup_future_usage"]:
        raise invalid_request(
            "You cannot confirm with the `off_session` parameter when `setup_future_usage` is also set on the "
            "PaymentIntent because you cannot set up future usages when processing payments off-session.",
            param="off_session",
            payment_intent=public_fields(intent),
        )
    payments.check_return_url(intent, params, browser=call.browser)
    method = account.store.get("payment_method", intent["payment_method"])
    if intent["customer"] and payment_methods.future_usage(intent, method) is not None:
        account.store.get_active("customer", intent["customer"], param="customer")  # it may have been deleted (m)
    payments.pay(
        account,
        intent,
        method,
        off_session=off_session,
        error_on_requires_action=bool(params.get("error_on_requires_action")),
        return_url=None if params.get("use_stripe_sdk") else params.get("return_url"),
        authenticated=intent.get("_authenticated") == intent["payment_method"],
        consent=mandates.consent_of(call),
    )


def _unexpected(message: str, intent: Object) -> StripeError:
    return invalid_request(message, code=UNEXPECTED_STATE, payment_intent=public_fields(intent))


def _get(call: Call) -> Object:
    """Return the intent of the path. A browser must send its client secret."""
    intent = call.store.get("payment_intent", call.ids[0])
    secret = call.params.get("client_secret")
    if call.browser and secret is None:
        raise validation_error(
            "Missing required param: client_secret.", code="parameter_missing", param="client_secret"
        )
    if secret is not None and secret != intent["client_secret"]:
        raise invalid_request(
            "The client_secret provided does not match any associated PaymentIntent.",
            param="client_secret",
        )
    return intent


def _visible(call: Call, intent: Object) -> Object:
    """Return the fields that the caller may see."""
    fields = public_fields(intent)
    return for_browser(fields) if call.browser else fields


def for_browser(intent: Object) -> Object:
    """Return the fields that a publishable key may see: neither the customer nor the metadata."""
    fields, error = {name: intent[name] for name in BROWSER_FIELDS}, intent["last_payment_error"]
    if error:
        fields["last_payment_error"] = error | {"payment_method": payment_methods.for_browser(error["payment_method"])}
    return fields


def retrieve(call: Call) -> Object:
    """GET /v1/payment_intents/:id."""
    return _visible(call, _get(call))


def confirm(call: Call) -> Object:
    """POST /v1/payment_intents/:id/confirm, from a server or from Stripe.js."""
    intent = _get(call)
    if call.browser and intent["confirmation_method"] == "manual":
        raise invalid_request(
            "The PaymentIntent cannot be confirmed using your publishable key because its `confirmation_method` is "
            "set to `manual`. Please use your secret key instead, or create a PaymentIntent with "
            "`confirmation_method` set to `automatic`.",
            code="payment_intent_invalid_parameter",
        )
    if intent["status"] not in OPEN_STATUSES:
        raise _unexpected(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
            if intent["status"] == "succeeded"
            else f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be confirmed: requires_confirmation, "
            "requires_action.",
            intent,
        )
    if call.browser:
        _check_usage(intent, call.params)
    with validation.restore_on_error(intent):
        _confirm_with(call, intent)
    return _visible(call, intent)


def _check_usage(intent: Object, params: dict[str, Any]) -> None:
    """Raise StripeError if a browser changes `setup_future_usage`, unless from `on_session` to `off_session`.

    https://docs.stripe.com/api/payment_intents/confirm
    """
    before, after = intent["setup_future_usage"], params.get("setup_future_usage", intent["setup_future_usage"])
    if before is not None and after not in (before, "off_session"):
        raise invalid_request(
            "With a publishable key, you may only update `setup_future_usage` from `on_session` to `off_session`.",
            param="setup_future_usage",
        )


def _confirm_with(call: Call, intent: Object) -> None:
    params = call.params
    check_texts(params)
    method = _method(call.account, params, intent)
    names = (
        *("receipt_email", "setup_future_usage", "allowed_payment_method_types", "payment_method_options"),
        *("capture_method", "excluded_payment_method_types", "payment_method_types"),
    )
    _apply(intent, {name: params[name] for name in names if name in params}, descriptor_param=None)
    if "shipping" in params:
        intent["shipping"] = charges.shipping(params["shipping"])
    if method is not None:
        payments.check_usable(call.account, intent, method)
        intent["payment_method"] = method["id"]
    _confirm(call, intent)


def _apply(intent: Object, params: dict[str, Any], descriptor_param: str | None = "statement_descriptor") -> None:
    """Apply changes to the intent, and recompute its payment method types.

    `descriptor_param` is the parameter of the request that could set the intent's statement descriptor.
    """
    names = (
        "amount description receipt_email setup_future_usage statement_descriptor statement_descriptor_suffix "
        "transfer_group capture_method"
    )
    for name in names.split():
        if name in params:
            intent[name] = params[name] if params[name] != "" else None
    if "payment_method_options" in params:
        options = _method_options(intent["payment_method_options"], params["payment_method_options"])
        intent["payment_method_options"] = options
    if "currency" in params:
        intent["currency"] = currencies.parse(params["currency"])
    currencies.check_amount(intent["amount"], intent["currency"])
    chosen = {} if intent["automatic_payment_methods"] else {"payment_method_types": intent["payment_method_types"]}
    allowed = {"allowed_payment_method_types": intent["allowed_payment_method_types"]}
    payments.check_statement_descriptor(intent, named_types({**chosen, **allowed, **params}), descriptor_param)
    types = ("allowed_payment_method_types", "excluded_payment_method_types")
    if any(name in params for name in (*types, "currency", "capture_method")):
        for name in types:
            intent[name] = params.get(name, intent[name]) or None
        intent["payment_method_types"] = payments.payable_types(allowed_types(intent), intent["currency"])
    if params.get("payment_method_types"):  # of a version that still takes it, or of none
        intent["payment_method_types"], intent["automatic_payment_methods"] = params["payment_method_types"], None


def update(call: Call) -> Object:
    """POST /v1/payment_intents/:id. Once the payment has begun, only descriptive fields can change."""
    intent, params = call.store.get("payment_intent", call.ids[0]), call.params
    descriptive = {"description", "metadata", "receipt_email", "shipping", "transfer_group"}
    for name in params:
        if name not in descriptive and intent["status"] not in OPEN_STATUSES:
            raise _unexpected(
                f"This PaymentIntent's {name} could not be updated because it has a status of "
                f"{intent['status']}. You may only update the {name} of a PaymentIntent with one of the "
                "following statuses: requires_payment_method, requires_confirmation, requires_action.",
                intent,
            )
    with validation.restore_on_error(intent):
        _update_with(call.account, intent, params)
    return public_fields(intent)


def _update_with(account: Account, intent: Object, params: dict[str, Any]) -> None:
    check_texts(params)
    if params.get("customer"):
        account.store.get_active("customer", params["customer"], param="customer")
        if intent["customer"] not in (None, params["customer"]):
            raise invalid_request(
                "You cannot modify `customer` on a PaymentIntent once it already has been set.", param="customer"
            )
        intent["customer"] = params["customer"]
    metadata = merge_metadata(intent["metadata"], params.get("metadata", {}))
    if "amount" in params:
        currencies.check_amount(params["amount"], intent["currency"])
    method = _method(account, params, intent)
    if method is not None:
        payments.check_usable(account, intent, method, "statement_descriptor")
    _apply(intent, params)
    intent["metadata"] = metadata
    if "shipping" in params:
        intent["shipping"] = charges.shipping(params["shipping"])
    if method is not None:
        intent["payment_method"], intent["status"] = method["id"], "requires_confirmation"
        intent["next_action"] = None


def cancel(call: Call) -> Object:
    """POST /v1/payment_intents/:id/cancel."""
    intent = call.store.get("payment_intent", call.ids[0])
    if intent.get("_session") and intent["status"] != "requires_capture":
        raise _unexpected(
            "You cannot cancel this PaymentIntent because it was created by a Checkout Session. Expire the "
            "Checkout Session instead.",
            intent,
        )
    if intent["status"] not in CANCELABLE_STATUSES and not _is_stuck(call.account, intent):
        raise _unexpected(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be canceled: requires_payment_method, "
            "requires_capture, requires_confirmation, requires_action, processing.",
            intent,
        )
    cancel_intent(call.account, intent, call.params.get("cancellation_reason"))
    return public_fields(intent)


@task("payment_intent.expire_authorization")
def _expire_authorization(account: Account, id: str, charge_id: str) -> None:
    """Cancel the intent of an authorization that was not captured in time."""
    intent = account.store.find("payment_intent", id)
    if intent is not None and intent["status"] == "requires_capture" and intent["latest_charge"] == charge_id:
        cancel_intent(account, intent, "automatic", has_expired=True)


def _is_stuck(account: Account, intent: Object) -> bool:
    """Return whether the intent stays processing forever: a rare case in which Stripe cancels a processing intent."""
    if intent["status"] != "processing":
        return False
    return bool(account.store.get("charge", intent["latest_charge"])["_settles"] == "never")


def cancel_intent(account: Account, intent: Object, reason: str | None, *, has_expired: bool = False) -> None:
    """Cancel the intent. `has_expired` is whether its authorization has ended."""
    payments.release_charge(account, intent, has_expired=has_expired)
    intent["status"], intent["canceled_at"] = "canceled", account.clock.unix()
    intent["cancellation_reason"], intent["amount_capturable"] = reason, 0
    intent["next_action"] = None
    account.emit("payment_intent.canceled", intent)


def capture(call: Call) -> Object:
    """POST /v1/payment_intents/:id/capture."""
    intent = call.store.get("payment_intent", call.ids[0])
    if intent["status"] != "requires_capture":
        raise _unexpected(
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be captured: requires_capture.",
            intent,
        )
    validation.check_minimum(call.params, "amount_to_capture", 1)
    amount_to_capture = call.params.get("amount_to_capture")
    amount = int(intent["amount_capturable"] if amount_to_capture is None else amount_to_capture)
    if not 0 < amount <= intent["amount_capturable"]:
        raise invalid_request(
            f"The provided capture amount ({amount}) is greater than the remaining amount you can capture for "
            f"this PaymentIntent ({intent['amount_capturable']}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    if amount < intent["amount_capturable"]:
        currencies.check_multiple(amount, intent["currency"], "amount_to_capture")
    metadata = merge_metadata(intent["metadata"], call.params.get("metadata", {}))
    validation.check_statement_descriptor(call.params, "statement_descriptor_suffix")
    if "statement_descriptor_suffix" in call.params:
        intent["statement_descriptor_suffix"] = call.params["statement_descriptor_suffix"] or None
    payments.capture(call.account, intent, amount)
    intent["metadata"] = metadata
    return public_fields(intent)


def list_(call: Call) -> Object:
    """GET /v1/payment_intents?customer&created."""
    intents = lists.select(call.store.all("payment_intent"), call.params, "customer")
    return lists.page(intents, call.params, call.path, "payment_intent")


def search(call: Call) -> Object:
    """GET /v1/payment_intents/search."""
    return lists.search(call.store.all("payment_intent"), call.params, call.path)


def complete_authentication(account: Account, id: str, *, passed: bool) -> Object:
    """Complete or fail the 3-D Secure step of a PaymentIntent."""
    intent = account.store.find("payment_intent", id)
    if intent is None:
        raise resource_missing("payment_intent", id)
    try:
        payments.complete_authentication(account, intent, passed=passed)
    except StripeError as error:
        if error.status != 402:  # a decline after the step is a valid outcome
            raise
    return public_fields(intent)


ROUTES = {
    "GET /v1/payment_intents/search": search,
    "POST /v1/payment_intents": create,
    "GET /v1/payment_intents": list_,
    "GET /v1/payment_intents/*": retrieve,
    "POST /v1/payment_intents/*": update,
    "POST /v1/payment_intents/*/confirm": confirm,
    "POST /v1/payment_intents/*/cancel": cancel,
    "POST /v1/payment_intents/*/capture": capture,
}
