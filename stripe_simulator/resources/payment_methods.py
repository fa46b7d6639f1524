"""Payment methods: card (by test id, number or token), us_bank_account and sepa_debit.

https://docs.stripe.com/api/payment_methods
"""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

from stripe_simulator import cards, lists
from stripe_simulator.account import Account, Call
from stripe_simulator.cards import Behavior
from stripe_simulator.errors import StripeError, card_error, invalid_request, resource_missing, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.store import Object, previous_values, public_fields

DETACHED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared "
    "with a connected account without Customer attachment, or was detached from a Customer. It may not be used "
    "again. To use a PaymentMethod multiple times, you must attach it to a Customer first."
)

MAX_STEPS = 100
HELPER_YEAR, HELPER_YEARS = 2034, 4
"""The year in which the cards of test ids expire, and how many years they are valid at least."""
AUTOMATICALLY_UPDATED = (
    *("brand", "country", "display_brand", "exp_month", "exp_year", "fingerprint", "funding", "last4", "networks"),
)
"""The fields that an update by the network changes."""


def behavior(method: Object, step: str | None = None) -> Behavior:
    """Return the behavior of payments with the method, with a step in place of what the method usually does."""
    usual = behavior_of(method["_test"])
    return usual if step is None else cards.after_step(usual, step)


def take_step(method: Object) -> str | None:
    """Return the next of the steps that the control API has set, if there is one, and remove it."""
    steps: list[str] = method.get("_next", [])
    return steps.pop(0) if steps else None


def has_step(method: Object) -> bool:
    """Return whether the control API has set what the next attempt does."""
    return bool(method.get("_next"))


def set_steps(method: Object, steps: Any) -> None:
    """Set the behavior of the next attempts. Raises StripeError for a step that the method's type does not have."""
    steps_of_type = cards.CARD_STEPS if method["type"] == "card" else cards.DEBIT_STEPS
    if not isinstance(steps, list) or len(steps) > MAX_STEPS:
        raise invalid_request(f"next must be a list of at most {MAX_STEPS} steps", param="next")
    for step in steps:
        if step not in steps_of_type:
            message = f"next has an unknown step for a {method['type']}: {step}. There are: {', '.join(steps_of_type)}"
            raise invalid_request(message, param="next")
    method["_next"] = list(steps)


def has_expired(account: Account, method: Object) -> bool:
    """Return whether the method is a card whose last month has passed."""
    if method["type"] != "card":
        return False
    today = time.gmtime(account.clock.now())
    return (method["card"]["exp_year"], method["card"]["exp_month"]) < (today.tm_year, today.tm_mon)


def is_blocked(method: Object) -> bool:
    """Return whether the method is a bank account that Stripe has blocked."""
    return bool((method[method["type"]].get("status_details") or {}).get("blocked"))


def for_browser(method: Object) -> Object:
    """Return the fields that a publishable key may see: not whether a bank account is blocked."""
    bank = method.get("us_bank_account")
    return method if bank is None else method | {"us_bank_account": bank | {"status_details": None}}


def block(account: Account, method: Object, reason: str | None) -> None:
    """Block a saved US bank account, or with no reason remove its block. Others are never used again.

    Stripe blocks every method of the account number. The numbers of test accounts are shared, so here only one is.
    https://docs.stripe.com/payments/ach-direct-debit/blocked-bank-accounts
    """
    if method["type"] != "us_bank_account" or method["customer"] is None:
        return
    before = public_fields(method)
    blocked = None if reason is None else {"blocked": {"network_code": cards.BLOCKS[reason], "reason": reason}}
    method["us_bank_account"]["status_details"] = blocked
    account.emit_update(method, before, "payment_method.automatically_updated")


def behavior_of(test_name: str) -> Behavior:
    """Return the behavior of a test name: `card:4242…`, `bank:success` or `iban:AT61…`."""
    kind, _, name = test_name.partition(":")
    if kind == "card":
        return cards.find_card(name).behavior
    if kind == "bank":
        return cards.BANKS[name]
    return cards.IBANS.get(name, Behavior(settles="succeeded"))


def future_usage(intent: Object, method: Object) -> str | None:
    """Return the usage for which a payment saves its method, or None if it does not."""
    options = (intent["payment_method_options"] or {}).get(method["type"]) or {}
    usage = options.get("setup_future_usage") or intent["setup_future_usage"]
    return usage if usage in ("on_session", "off_session") else None


def save_for_customer(account: Account, method: Object, customer_id: str | None) -> None:
    """Attach a method after its payment or its setup, unless the customer has been deleted meanwhile."""
    if method["customer"] is None and customer_id and not account.store.get("customer", customer_id).get("deleted"):
        method["customer"] = customer_id
        account.emit("payment_method.attached", method)


def charge_details(account: Account, method: Object) -> Object:
    """Return the `payment_method_details` of a charge."""
    kind = method["type"]
    if kind == "card":
        card = method["card"]
        names = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
        details: Object = {name: card[name] for name in names}
        details |= {
            "amount_authorized": None,
            "authorization_code": account.store.token(6).upper(),
            "checks": dict(card["checks"]),
            "electronic_commerce_indicator": None,
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": str(account.store.random.randrange(10**14, 2 * 10**14)),  # no card begins with 1
            "overcapture": {"maximum_amount_capturable": 0, "status": "unavailable"},
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "transaction_link_id": None,
            "wallet": None,
        }
        return {"card": details, "type": "card"}
    details = dict(method[kind])
    for name in ("networks", "status_details", "generated_from", "financial_connections_account"):
        details.pop(name, None)
    details["payment_reference" if kind == "us_bank_account" else "mandate"] = None
    return {kind: details, "type": kind}


def resolve(account: Account, id: str, *, param: str = "payment_method") -> Object:
    """Return the method with an id. A test id such as pm_card_visa creates a new method each time."""
    method = account.store.find("payment_method", id)
    if method is not None:
        return method
    test_name = find_test_name(id)
    if test_name is None:
        raise resource_missing("PaymentMethod", id, param=param)
    return make(account, test_name, {})


def find_test_name(id: str) -> str | None:
    """Return the test name of a test id (`pm_card_…`, `tok_…`, `pm_usBankAccount…`), or None for another id."""
    for prefix in ("pm_card_", "tok_"):
        if id.startswith(prefix):
            name = id.removeprefix(prefix)
            card = cards.CARDS.get(cards.ALIASES.get(name, name))
            return None if card is None else f"card:{card.number}"
    if id.startswith("pm_usBankAccount"):
        name = id.removeprefix("pm_usBankAccount").removeprefix("_") or "success"
        return f"bank:{name}" if name in cards.BANKS else None
    return None


def make(account: Account, test_name: str, params: dict[str, Any]) -> Object:
    """Create a method with the behavior of a test name."""
    kind = {"card": "card", "bank": "us_bank_account", "iban": "sepa_debit"}[test_name.partition(":")[0]]
    method: Object = {
        "id": account.store.new_id("pm_1", 23).replace("pm_1_", "pm_1"),
        "object": "payment_method",
        "allow_redisplay": params.get("allow_redisplay", "unspecified"),
        "billing_details": billing_details(params.get("billing_details") or {}),
        kind: DETAILS[kind](account, test_name, params),
        "created": account.clock.unix(),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "type": kind,
        "_test": test_name,
        "_set_up": False,
    }
    return account.store.add(method)


def address_fields(params: dict[str, Any]) -> Object:
    """Return an address with every field."""
    names = ("city", "country", "line1", "line2", "postal_code", "state")
    return {name: params.get(name) or None for name in names}


def billing_details(params: dict[str, Any]) -> Object:
    """Return billing details with every field."""
    return {
        "address": address_fields(params.get("address") or {}),
        "email": params.get("email") or None,
        "name": params.get("name") or None,
        "phone": params.get("phone") or None,
        "tax_id": params.get("tax_id") or None,
    }


def _fingerprint(account: Account, text: str) -> str:
    return hashlib.sha256(f"{account.id}{text}".encode()).hexdigest()[:16]


def _card(account: Account, test_name: str, params: dict[str, Any]) -> Object:
    number = test_name.partition(":")[2]
    card = cards.find_card(number)
    card_params = params.get("card") or {}
    year = _full_year(int(card_params.get("exp_year") or 0))
    helper_year = max(HELPER_YEAR, time.gmtime(account.clock.now()).tm_year + HELPER_YEARS)
    return {
        "brand": card.brand,
        "checks": _checks(card.behavior, params),
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": int(card_params.get("exp_month") or 12),
        "exp_year": year or helper_year,
        "fingerprint": _fingerprint(account, number),
        "funding": card.funding,
        "generated_from": None,
        "last4": number[-4:],
        "networks": {"available": [card.brand], "preferred": (card_params.get("networks") or {}).get("preferred")},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _checks(behavior: Behavior, params: dict[str, Any]) -> Object:
    """Return the results of the checks of an address and a CVC, each null if there is nothing to check.

    A method by a test id fails the checks of its card although it has neither.
    """
    address = (params.get("billing_details") or {}).get("address") or {}
    results = {
        "address_line1_check": (behavior.line1_check, address.get("line1")),
        "address_postal_code_check": (behavior.postal_code_check, address.get("postal_code")),
        "cvc_check": (behavior.cvc_check, (params.get("card") or {}).get("cvc")),
    }
    is_test_id = "number" not in (params.get("card") or {})
    return {
        name: result if entered or (is_test_id and result != "pass") else None
        for name, (result, entered) in results.items()
    }


def _bank(account: Account, test_name: str, params: dict[str, Any]) -> Object:
    bank_params = params.get("us_bank_account") or {}
    numbers = {name: number for number, name in cards.BANK_NUMBERS.items()}
    number = bank_params.get("account_number") or numbers.get(test_name.partition(":")[2], "000123456789")
    return {
        "account_holder_type": bank_params.get("account_holder_type") or "individual",
        "account_type": bank_params.get("account_type") or "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": _fingerprint(account, number),
        "last4": number[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": bank_params.get("routing_number") or "110000000",
        "status_details": None,
    }


def _sepa(account: Account, test_name: str, params: dict[str, Any]) -> Object:
    iban = test_name.partition(":")[2]
    return {
        "bank_code": iban[4:9],
        "branch_code": "",
        "country": iban[:2],
        "fingerprint": _fingerprint(account, iban),
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }


COMMON_PARAMS = ("allow_redisplay", "billing_details", "key", "metadata", "radar_options", "type")
"""The parameters of a method that do not depend on its type. `radar_options` has no effect, `key` is a browser's."""
DETAILS = {"card": _card, "us_bank_account": _bank, "sepa_debit": _sepa}


def from_params(account: Account, params: dict[str, Any], path: str = "") -> Object:
    """Create the method that a request describes: its `type`, and the hash of that name.

    Errors name parameters of the hash at `path`.
    """

    def param(name: str) -> str:
        head, bracket, rest = name.partition("[")
        return f"{path}[{head}]{bracket}{rest}" if path else name

    kind = params.get("type")
    details = params.get(kind) if kind else None
    if kind not in DETAILS:
        raise validation_error(f"The simulator does not support payment methods of type {kind}.", param=param("type"))
    if not details:
        raise validation_error(f"Missing required param: {kind}.", code="parameter_missing", param=param(kind))
    _check_names(str(kind), params, param)
    if kind == "card":
        return make(account, _card_test_name(account, details, param), params)
    if kind == "us_bank_account":
        number = details.get("account_number", "")
        if number not in cards.BANK_NUMBERS:
            raise invalid_request(
                "You must use a test bank account number in test mode. Try 000123456789 or see more options at "
                "https://stripe.com/docs/payments/ach-debit/accept-a-payment#test-account-numbers.",
                code="account_number_invalid",
                param=param("us_bank_account[account_number]"),
            )
        return make(account, f"bank:{cards.BANK_NUMBERS[number]}", params)
    iban = str(details.get("iban", "")).replace(" ", "").upper()
    if len(iban) < 15:
        raise invalid_request("The IBAN you provided is invalid.", code="invalid_iban", param=param("sepa_debit[iban]"))
    return make(account, f"iban:{iban}", params)


def _check_names(kind: str, params: dict[str, Any], param: Callable[[str], str]) -> None:
    """Raise StripeError for a parameter of another type of payment method, or one that is not simulated."""
    if params[kind].get("financial_connections_account"):
        name = "us_bank_account[financial_connections_account]"
        raise validation_error(f"The simulator does not support `{name}`, although Stripe does.", param=param(name))
    for name in params:
        if name not in (kind, *COMMON_PARAMS):
            message = f"The simulator does not support `{name}` of a payment method of type {kind}."
            raise validation_error(message, param=param(name))


def _card_test_name(account: Account, card: dict[str, Any], param: Callable[[str], str]) -> str:
    if "token" in card:
        test_name = find_test_name(card["token"])
        if test_name is None:
            raise resource_missing("token", card["token"], param=param("card[token]"))
        return test_name
    number = str(card.get("number", "")).replace(" ", "").replace("-", "")
    for name in ("number", "exp_month", "exp_year"):
        if name not in card:
            raise validation_error(
                f"Missing required param: card[{name}].", code="parameter_missing", param=param(f"card[{name}]")
            )
    if not number.isdecimal() or not 12 <= len(number) <= 19 or not cards.luhn(number):
        code = "incorrect_number" if number.isdecimal() else "invalid_number"
        message = (
            "Your card number is incorrect."
            if number.isdecimal()
            else ("The card number is not a valid credit card number.")
        )
        raise StripeError(402, "card_error", message, code=code, param="number")
    if number in cards.UNSUPPORTED:
        message = f"The simulator does not support this test card, although Stripe does: {cards.UNSUPPORTED[number]}."
        raise validation_error(message, param=param("card[number]"))
    if card.get("cvc") and not re.fullmatch(r"\d{3,4}", str(card["cvc"])):
        message = "Your card's security code is invalid."
        raise StripeError(402, "card_error", message, code="invalid_cvc", param="cvc")
    month, year = int(card["exp_month"]), int(card["exp_year"])
    _check_expiry(account, month, _full_year(year))
    return f"card:{number}"


def _full_year(year: int) -> int:
    """Return a year with four digits."""
    return year + 2000 if 0 < year < 100 else year


def _check_expiry(account: Account, month: int, year: int) -> None:
    if not 1 <= month <= 12:
        raise StripeError(
            402,
            "card_error",
            "Your card's expiration month is invalid.",
            code="invalid_expiry_month",
            param="exp_month",
        )
    today = time.gmtime(account.clock.now())
    if (year, month) < (today.tm_year, today.tm_mon) or year > today.tm_year + 50:
        raise StripeError(
            402,
            "card_error",
            "Your card's expiration year is invalid.",
            code="invalid_expiry_year",
            param="exp_year",
        )


def refusal_to_save(account: Account, method: Object, attempt: Behavior, step: str | None = None) -> str | None:
    """Return the reason why the issuer refuses that a card is saved, if it does. A step decides alone."""
    if step is None and has_expired(account, method):
        return "expired_card"
    refuses = attempt.decline is not None and not attempt.attaches and attempt.authenticate is None
    return attempt.decline if refuses else None


def attach_to(account: Account, id: str, customer: str) -> Object:
    """Attach a method to a customer. Some declined test cards fail here, as they do at Stripe."""
    method = resolve(account, id)
    if method["customer"] == customer:
        return method
    if method["customer"] is not None:
        raise invalid_request(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    if method.get("_detached"):
        raise invalid_request(DETACHED)
    reason = refusal_to_save(account, method, behavior(method))
    if reason is not None:
        code, message = cards.MESSAGES[reason]
        codes = cards.decline_codes(reason, method["card"]["brand"])
        raise card_error(message, code=code, decline_code=reason if code == "card_declined" else None, **codes)
    method["customer"] = customer
    account.emit("payment_method.attached", method)
    return method


def create(call: Call) -> Object:
    """POST /v1/payment_methods."""
    return public_fields(from_params(call.account, call.params))


def retrieve(call: Call) -> Object:
    """GET /v1/payment_methods/:id."""
    method = call.store.find("payment_method", call.ids[0])
    test_name = find_test_name(call.ids[0])
    if method is None and test_name is not None:
        method = make(call.account, test_name, {})
    if method is None:
        raise resource_missing("PaymentMethod", call.ids[0])
    return public_fields(method)


def update(call: Call) -> Object:
    """POST /v1/payment_methods/:id."""
    method = call.store.get("payment_method", call.ids[0])
    if method["customer"] is None:
        raise invalid_request("You must save this PaymentMethod to a customer before you can update it.")
    before = public_fields(method)
    method["metadata"] = merge_metadata(method["metadata"], call.params.get("metadata", {}))
    if "billing_details" in call.params:
        merged = {k: v for k, v in method["billing_details"].items() if v} | call.params["billing_details"]
        method["billing_details"] = billing_details(merged)
    if "allow_redisplay" in call.params:
        method["allow_redisplay"] = call.params["allow_redisplay"]
    _update_details(call.account, method, call.params)
    return call.account.emit_update(method, before, "payment_method.updated")


def _update_details(account: Account, method: Object, params: dict[str, Any]) -> None:
    """Change the fields that can change. Raises StripeError for the hash of another type, or a date in the past."""
    for kind in ("card", "us_bank_account"):
        if params.get(kind) and method["type"] != kind:
            message = f"You can only update `{kind}` of a PaymentMethod of type {kind}, not of type {method['type']}."
            raise invalid_request(message, param=kind)
        for name, value in (params.get(kind) or {}).items():
            if name == "networks":
                method[kind][name]["preferred"] = (value or {}).get("preferred") or None
            else:
                method[kind][name] = _full_year(value) if name == "exp_year" else value
    if any(name in (params.get("card") or {}) for name in ("exp_month", "exp_year")):
        _check_expiry(account, method["card"]["exp_month"], method["card"]["exp_year"])


def update_automatically(account: Account, method: Object, params: Object) -> None:
    """Update a saved card as its network does: a new expiry date, or another number in place of the first.

    https://docs.stripe.com/payments/cards/overview#automatic-card-updates
    """
    if method["type"] != "card" or method["customer"] is None:
        raise invalid_request("Only a card that is attached to a customer is updated automatically.", param="card")
    before = public_fields(method)
    names = ("exp_month", "exp_year")
    details = {"number": method["_test"].partition(":")[2], **{name: method["card"][name] for name in names}, **params}
    try:
        test_name = _card_test_name(account, details, lambda _name: "card")
    except StripeError as error:
        raise invalid_request(error.message, param="card") from error
    card = _card(account, test_name, {"card": details})
    method["card"] |= {name: card[name] for name in AUTOMATICALLY_UPDATED}
    method["_test"] = test_name
    previous = previous_values(before, public_fields(method))
    if not previous:
        raise invalid_request("card has the number and the expiry date that the payment method has.", param="card")
    account.emit("payment_method.automatically_updated", method, previous)


def attach(call: Call) -> Object:
    """POST /v1/payment_methods/:id/attach."""
    customer = call.params.get("customer")
    if customer is None:
        raise validation_error("Missing required param: customer.", code="parameter_missing", param="customer")
    call.store.get_active("customer", customer, param="customer")
    if call.store.find("payment_method", call.ids[0]) is None and find_test_name(call.ids[0]) is None:
        raise resource_missing("PaymentMethod", call.ids[0])
    return public_fields(attach_to(call.account, call.ids[0], customer))


def detach(call: Call) -> Object:
    """POST /v1/payment_methods/:id/detach."""
    method = call.store.get("payment_method", call.ids[0])
    detach_from_customer(call.account, method)
    return public_fields(method)


def detach_from_customer(account: Account, method: Object) -> None:
    """Detach a method, which then cannot be used again. Raises StripeError if it is attached to no customer."""
    if method["customer"] is None:
        raise invalid_request(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            code="payment_method_unexpected_state",
        )
    customer_id = method["customer"]
    customer = account.store.find("customer", customer_id)
    method["customer"], method["_detached"] = None, True
    if customer is not None and "invoice_settings" in customer:
        settings = customer["invoice_settings"]
        if settings["default_payment_method"] == method["id"]:
            settings["default_payment_method"] = None
    account.emit("payment_method.detached", method, {"customer": customer_id})


def list_(call: Call) -> Object:
    """GET /v1/payment_methods?customer&type. Without a customer the list is empty."""
    customer = call.params.get("customer")
    if customer is not None:
        call.store.get_active("customer", customer, param="customer")
    return page_of(call, customer)


def page_of(call: Call, customer: str | None) -> Object:
    """Return a page of a customer's methods."""
    methods = (one for one in call.store.all("payment_method") if customer and one["customer"] == customer)
    filters = {name: value for name, value in call.params.items() if name in ("type", "allow_redisplay")}
    methods = (one for one in methods if all(one[name] == value for name, value in filters.items()))
    return lists.page(methods, call.params, call.path, "PaymentMethod")


ROUTES = {
    "POST /v1/payment_methods": create,
    "GET /v1/payment_methods": list_,
    "GET /v1/payment_methods/*": retrieve,
    "POST /v1/payment_methods/*": update,
    "POST /v1/payment_methods/*/attach": attach,
    "POST /v1/payment_methods/*/detach": detach,
}
