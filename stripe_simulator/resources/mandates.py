"""Mandates: the customers' permissions to debit their bank accounts.

A confirmation with a secret key collects one by `mandate_data`. Stripe.js and Checkout collect one automatically. A
mandate for a payment that saves its method, or for a SetupIntent, serves any number of payments; another serves one.

https://docs.stripe.com/api/mandates
https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment
"""

from dataclasses import dataclass
from typing import Any

from stripe_simulator.account import Account, Call
from stripe_simulator.errors import StripeError, invalid_request, validation_error
from stripe_simulator.resources import payment_methods
from stripe_simulator.store import Object, public_fields

STATUSES = ("active", "inactive", "pending")
NOUNS = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}
CUSTOMER_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Consent:
    """The consent in a confirmation: the acceptance of a new mandate by the customer, or the id of an earlier one."""

    acceptance: Object | None = None
    mandate: str | None = None


NO_CONSENT = Consent()


def check_confirm(params: dict[str, Any], names: tuple[str, ...], noun: str) -> None:
    """Raise StripeError for a parameter of a confirmation in a request that does not confirm."""
    for name in names:
        if name in params and not params.get("confirm"):
            raise validation_error(
                f"The parameter `{name}` cannot be passed when creating a {noun} unless `confirm` is set to true.",
                param=name,
            )


def accepted_online(account: Account, user_agent: str | None = None) -> Object:
    """Return the acceptance that a page of Stripe collects from the customer in front of it."""
    online = {"ip_address": CUSTOMER_ADDRESS, "user_agent": user_agent}
    return {"accepted_at": account.clock.unix(), "online": online, "type": "online"}


def consent_of(call: Call) -> Consent:
    """Return what a confirmation says about the mandate. Raises StripeError for an incomplete acceptance."""
    account, params = call.account, call.params
    data = params.get("mandate_data")
    if call.browser:
        if "mandate" in params:
            message = "This API call cannot be made with a publishable API key: `mandate` needs a secret API key."
            raise validation_error(message, code="secret_key_required", param="mandate")
        return Consent(accepted_online(account, call.user_agent))
    if data is None or data == "":
        return Consent(mandate=params["mandate"]) if "mandate" in params else NO_CONSENT
    if "mandate" in params:
        raise validation_error("You may only specify one of these parameters: mandate, mandate_data.", param="mandate")
    accepted = _required(data, "mandate_data", "customer_acceptance")
    acceptance: Object = {
        "accepted_at": accepted.get("accepted_at", account.clock.unix()),
        "type": accepted["type"],
    }
    if accepted["type"] == "offline":
        return Consent(acceptance | {"offline": {}})
    online = _required(accepted, "mandate_data[customer_acceptance]", "online")
    names = ("ip_address", "user_agent")
    return Consent(
        acceptance
        | {"online": {name: _required(online, "mandate_data[customer_acceptance][online]", name) for name in names}}
    )


def _required(params: dict[str, Any], path: str, name: str) -> Any:
    if name not in params:
        param = f"{path}[{name}]"
        raise validation_error(f"Missing required param: {param}.", code="parameter_missing", param=param)
    return params[name]


def use(account: Account, intent: Object, method: Object, consent: Consent) -> Object:
    """Return the mandate for a debit, or for a SetupIntent: a new one, or an earlier one that is active.

    Raises StripeError if there is none.
    """
    if consent.mandate is not None:
        return _named(account, intent, method, consent.mandate)
    is_saved = intent["object"] == "setup_intent" or payment_methods.future_usage(intent, method) is not None
    if consent.acceptance is not None:
        return _add(account, intent, method, consent.acceptance, is_saved=is_saved)
    shown: dict[str, Any] = {intent["object"]: public_fields(intent)}
    if method["type"] == "sepa_debit" and is_saved and intent["object"] == "payment_intent":
        message = (
            "When confirming a PaymentIntent with a `sepa_debit` PaymentMethod and `setup_future_usage`, "
            "`mandate_data` is required."
        )
        raise invalid_request(message, **shown)
    for id in reversed(method.get("_mandates", [])):
        mandate = account.store.get("mandate", id)
        if mandate["status"] == "active":
            return mandate
    raise invalid_request(
        f"This {NOUNS[intent['object']]} requires a mandate, but no existing mandate was found. Collect mandate "
        "acceptance from the customer and try again, providing acceptance data in the mandate_data parameter.",
        **shown,
    )


def refuse_for_card(intent: Object, consent: Consent) -> None:
    """Raise StripeError if a payment by card names a mandate: only debits have one."""
    if consent.mandate is not None:
        raise _invalid(intent)


def _named(account: Account, intent: Object, method: Object, id: str) -> Object:
    mandate = account.store.get("mandate", id, param="mandate")
    if mandate["payment_method"] != method["id"] or mandate["status"] != "active":
        raise _invalid(intent)
    return mandate


def _invalid(intent: Object) -> StripeError:
    """Return the error in the words of https://docs.stripe.com/error-codes#payment-intent-mandate-invalid."""
    return invalid_request(
        "The provided mandate is invalid and can not be used for the payment intent.",
        code="payment_intent_mandate_invalid",
        param="mandate",
        payment_intent=public_fields(intent),
    )


def _add(account: Account, intent: Object, method: Object, acceptance: Object, *, is_saved: bool) -> Object:
    """Add a mandate. One for a single payment is used at once, so it is inactive from the beginning."""
    kind = method["type"]
    options = ((intent["payment_method_options"] or {}).get(kind) or {}).get("mandate_options") or {}
    if kind == "sepa_debit":
        reference = f"{options.get('reference_prefix') or ''}{account.store.token(16).upper()}"
        details: Object = {"reference": reference, "url": f"https://hooks.stripe.com/adapter/sepa_debit/{reference}"}
    else:
        details = {"collection_method": "paper"} if options.get("collection_method") == "paper" else {}
    mandate: Object = {
        "id": f"mandate_1{account.store.token(23)}",
        "object": "mandate",
        "customer_acceptance": acceptance,
        "livemode": False,
        **({"multi_use": {}} if is_saved else {}),
        "payment_method": method["id"],
        "payment_method_details": {kind: details, "type": kind},
        **({} if is_saved else {"single_use": {"amount": intent["amount"], "currency": intent["currency"]}}),
        "status": "active" if is_saved else "inactive",
        "type": "multi_use" if is_saved else "single_use",
    }
    if is_saved:
        method["_mandates"] = [*method.get("_mandates", []), mandate["id"]]
    return account.store.add(mandate)


def set_status(account: Account, mandate: Object, status: str) -> None:
    """Change the status of a mandate, as the customer's bank does."""
    if mandate["status"] != status:
        previous, mandate["status"] = mandate["status"], status
        account.emit("mandate.updated", mandate, {"status": previous})


def refuse_authorization(account: Account, method_id: str) -> None:
    """Revoke the mandates of a bank account whose customer has denied a debit. The second time, block the account.

    https://docs.stripe.com/payments/ach-direct-debit/blocked-bank-accounts
    """
    method = account.store.get("payment_method", method_id)
    if method.get("_was_refused"):
        payment_methods.block(account, method, "debit_not_authorized")
    method["_was_refused"] = True
    for id in method.get("_mandates", []):
        set_status(account, account.store.get("mandate", id), "inactive")


def retrieve(call: Call) -> Object:
    """GET /v1/mandates/:id."""
    return public_fields(call.store.get("mandate", call.ids[0]))


ROUTES = {"GET /v1/mandates/*": retrieve}
