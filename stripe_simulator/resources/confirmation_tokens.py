"""Confirmation tokens: payment details that a page has collected, for a confirmation on the server.

https://docs.stripe.com/api/confirmation_tokens https://docs.stripe.com/api/confirmation_tokens/test_create
"""

from typing import Any

from stripe_simulator.account import Account, Call
from stripe_simulator.errors import invalid_request, validation_error
from stripe_simulator.resources import mandates, payment_methods
from stripe_simulator.store import Object, public_fields

LIFETIME_S = 12 * 3600
PREVIEW_FIELDS = ("allow_redisplay", "billing_details", "customer", "customer_account", "type")


def create(call: Call) -> Object:
    """POST /v1/test_helpers/confirmation_tokens, which replaces Stripe.js in tests of a server."""
    account, params = call.account, call.params
    if ("payment_method" in params) == ("payment_method_data" in params):
        raise validation_error(
            "You must pass exactly one of payment_method or payment_method_data.", param="payment_method"
        )
    if "payment_method" in params:
        method = payment_methods.resolve(account, params["payment_method"])
    else:
        method = payment_methods.from_params(account, params["payment_method_data"], "payment_method_data")
    now = account.clock.unix()
    token: Object = {
        "id": f"ctoken_1{account.store.token(23)}",
        "object": "confirmation_token",
        "created": now,
        "expires_at": now + LIFETIME_S,
        "livemode": False,
        "mandate_data": _mandate_data(account, method),
        "metadata": {},
        "payment_intent": None,
        "payment_method_options": None,
        "payment_method_preview": {name: method[name] for name in (*PREVIEW_FIELDS, method["type"])},
        "return_url": params.get("return_url"),
        "setup_future_usage": params.get("setup_future_usage"),
        "setup_intent": None,
        "shipping": _shipping(params.get("shipping")),
        "use_stripe_sdk": False,
        "_method": method["id"],
    }
    return public_fields(account.store.add(token))


def _mandate_data(account: Account, method: Object) -> Object | None:
    """Return the acceptance of a mandate, which Stripe.js collects with the details of a bank account."""
    if method["type"] == "card":
        return None
    acceptance = mandates.accepted_online(account, "Stripe.js")
    return {"customer_acceptance": {"online": acceptance["online"], "type": "online"}}


def _shipping(params: Object | None) -> Object | None:
    if not params:
        return None
    address = payment_methods.address_fields(params["address"])
    return {"address": address, "name": params.get("name"), "phone": params.get("phone")}


def retrieve(call: Call) -> Object:
    """GET /v1/confirmation_tokens/:id."""
    return public_fields(call.store.get("confirmation_token", call.ids[0]))


def use_token(account: Account, params: dict[str, Any], intent: Object) -> Object | None:
    """Use the token that a confirmation names, if any, and return its payment method unless the request names one.

    Adds the token's other values to `params`: those of the request take precedence. A token can be used once.

    https://docs.stripe.com/api/payment_intents/confirm
    """
    if "confirmation_token" not in params:
        return None
    token = account.store.get("confirmation_token", params["confirmation_token"], param="confirmation_token")
    if token["expires_at"] <= account.clock.now():
        raise invalid_request("This ConfirmationToken has expired.", param="confirmation_token")
    if token["payment_intent"] or token["setup_intent"]:
        raise invalid_request("This ConfirmationToken has already been used.", param="confirmation_token")
    token[intent["object"]] = intent["id"]
    for name in ("return_url", "setup_future_usage", "shipping", "mandate_data"):
        if token[name] and not params.get(name):
            params[name] = token[name]
    if params.get("payment_method") or params.get("payment_method_data"):
        return None
    return account.store.get("payment_method", token["_method"])


ROUTES = {
    "POST /v1/test_helpers/confirmation_tokens": create,
    "GET /v1/confirmation_tokens/*": retrieve,
}
