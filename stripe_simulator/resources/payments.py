"""Payment attempts: success, decline, 3-D Secure and delayed methods.

`tests/stripe/test_simulator_flows.py` lists the order of the events of each flow.
https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from collections.abc import Callable
from typing import Any

from stripe_simulator import cards
from stripe_simulator.account import Account, task
from stripe_simulator.errors import DOCS, StripeError, card_error, invalid_request
from stripe_simulator.resources import charges, mandates, payment_methods
from stripe_simulator.store import Object, public_fields

Hook = Callable[[Account, Object, Object], None]
"""A reaction of another resource to a payment: `hook(account, intent, charge)`. `routes.py` registers the hooks."""
ON_SUCCESS: list[Hook] = []  # the payment succeeded
ON_AUTHORIZED: list[Hook] = []  # the amount is authorized, and awaits its capture
ON_PROCESSING: list[Hook] = []  # a delayed payment is processing
ON_FAILURE: list[Hook] = []  # a delayed payment failed or was canceled

CURRENCIES: dict[str, set[str] | None] = {"card": None, "us_bank_account": {"usd"}, "sepa_debit": {"eur"}}
AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)
AUTHORIZATION_S = 7 * 24 * 3600
VISA_OFF_SESSION_S = 4 * 24 * 3600 + 18 * 3600
"""How long an authorization lasts: https://docs.stripe.com/payments/place-a-hold-on-a-payment-method."""


def payable_types(types: list[str], currency: str) -> list[str]:
    """Return the types that can pay in the currency. Raises StripeError if there are none."""
    payable = [t for t in types if t in CURRENCIES and (CURRENCIES[t] is None or currency in CURRENCIES[t])]  # type: ignore[operator]
    if not payable:
        raise invalid_request(
            f"No valid payment method types for this Payment Intent. Please ensure that you have activated "
            f"payment methods compatible with your chosen currency ({currency}).",
            param="allowed_payment_method_types",
        )
    return payable


def check_return_url(intent: Object, params: dict[str, Any], *, browser: bool) -> None:
    """Raise StripeError if a method that redirects could be used, and a server confirms without `return_url`.

    Stripe.js says itself where the customer returns to, and off session there is no customer who could be redirected.
    """
    automatic, allowed = intent["automatic_payment_methods"], intent["allowed_payment_method_types"]
    could_redirect = automatic is not None and automatic["allow_redirects"] != "never"
    if allowed and all(kind in CURRENCIES for kind in allowed):  # none of these methods ever redirects
        could_redirect = False
    if not could_redirect or browser or params.get("return_url") or params.get("off_session") not in (None, False):
        return
    noun = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}[intent["object"]]
    shown: dict[str, Any] = {intent["object"]: public_fields(intent)}
    raise invalid_request(
        f"This {noun} is configured to accept payment methods enabled in your Dashboard. Because some of these "
        "payment methods might redirect your customer off of your page, you must provide a `return_url`. If you "
        "don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` "
        "and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents.",
        **shown,
    )


def pay(
    account: Account,
    intent: Object,
    method: Object,
    *,
    off_session: bool = False,
    error_on_requires_action: bool = False,
    return_url: str | None = None,
    authenticated: bool = False,
    consent: mandates.Consent = mandates.NO_CONSENT,
) -> None:
    """Try to pay the intent with the method. Raises StripeError 402 for a decline, which also changes the intent."""
    check_usable(account, intent, method)
    if payment_methods.is_blocked(method) and not payment_methods.has_step(method):
        raise _refuse_blocked_account(account, intent, method)
    if method["type"] == "card":
        mandates.refuse_for_card(intent, consent)
        mandate = None
    else:
        mandate = mandates.use(account, intent, method, consent)
    step = intent.get("_step") if authenticated else payment_methods.take_step(method)
    behavior = payment_methods.behavior(method, step)
    intent["_step"] = step
    intent.pop("_authenticated", None)
    intent["payment_method"] = method["id"]
    intent["next_action"] = None
    if mandate is not None:
        _process(account, intent, method, str(behavior.settles), mandate)
        return
    if step is None and payment_methods.has_expired(account, method):
        raise _decline(account, intent, method, "expired_card")
    must_authenticate = cards.must_authenticate(behavior, is_set_up=method["_set_up"], off_session=off_session)
    if must_authenticate and not authenticated:
        if off_session or error_on_requires_action:
            reason = "authentication_required" if off_session else "authentication_not_handled"
            raise _decline(account, intent, method, reason)
        _require_action(account, intent, return_url)
        return
    if behavior.decline is not None:
        raise _decline(account, intent, method, behavior.decline)
    charge = _succeed(account, intent, method, authenticated=authenticated)
    if intent["status"] == "requires_capture":
        _authorize(account, intent, charge, off_session=off_session)


def check_statement_descriptor(params: Object, types: list[str], param: str | None = "statement_descriptor") -> None:
    """Raise StripeError for a complete statement descriptor of a card payment: cards only take a suffix.

    https://docs.stripe.com/get-started/account/statement-descriptors
    """
    if params.get("statement_descriptor") and "card" in types:
        raise invalid_request(
            "The `statement_descriptor` parameter is not supported for the payment_method_type `card`. To continue "
            "supporting payment_method_type `card`, please pass in `statement_descriptor_suffix` or remove the "
            "`statement_descriptor` parameter altogether.",
            param=param,
        )


def check_usable(account: Account, intent: Object, method: Object, descriptor_param: str | None = None) -> None:
    """Raise StripeError if the intent cannot be paid with the method.

    `descriptor_param` is the parameter of the request that could set the intent's statement descriptor.
    """
    if method["type"] not in intent["payment_method_types"]:
        raise invalid_request(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. Please attach "
            f"a PaymentMethod of one of the following types: {', '.join(intent['payment_method_types'])}.",
            code="payment_intent_invalid_parameter",
            param="payment_method",
        )
    check_statement_descriptor(intent, [method["type"]], descriptor_param)
    if method.get("_detached"):
        raise invalid_request(payment_methods.DETACHED)
    if method["customer"] is not None:
        account.store.get_active("customer", method["customer"], param="customer")  # it may have been deleted (m)
    if method["customer"] is not None and method["customer"] != intent["customer"]:
        raise invalid_request(
            f"The PaymentMethod {method['id']} belongs to the Customer {method['customer']}. Please include the "
            "Customer in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )


def next_action(account: Account, intent: Object, return_url: str | None) -> Object:
    """Return the `next_action` of an intent that requires 3-D Secure."""
    page = f"{account.url}/_sim/3ds/{intent['id']}"
    if return_url:
        return {"redirect_to_url": {"return_url": return_url, "url": page}, "type": "redirect_to_url"}
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {
            "source": f"src_1{account.store.token(23)}",
            "stripe_js": page,
            "type": "three_d_secure_redirect",
        },
    }


def _require_action(account: Account, intent: Object, return_url: str | None) -> None:
    intent["next_action"] = next_action(account, intent, return_url)
    intent["status"] = "requires_action"
    _emit_created(account, intent)
    account.emit("payment_intent.requires_action", intent)


def _payment_error(method: Object, code: str, message: str, **fields: Any) -> Object:
    """Return the `last_payment_error` of an intent."""
    return {
        "code": code,
        "doc_url": DOCS + code.replace("_", "-"),
        "message": message,
        "payment_method": public_fields(method),
        "type": "card_error",
        **{name: value for name, value in fields.items() if value is not None},
    }


def _decline(account: Account, intent: Object, method: Object, reason: str) -> StripeError:
    """Record a declined attempt, and return its error."""
    code, message = cards.MESSAGES[reason]
    decline_code = reason if code in ("card_declined", "authentication_required") else None
    charge = charges.add(account, intent, method, status="failed", captured=False)
    charges.fail(charge, code, decline_code, message, cards.decline_codes(reason, method["card"]["brand"]))
    intent["latest_charge"] = charge["id"]
    fields = {name: charge["outcome"][name] for name in ("advice_code", "network_advice_code", "network_decline_code")}
    fields |= {"charge": charge["id"], "decline_code": decline_code}
    _reset_intent(intent, _payment_error(method, code, message, **fields))
    account.emit("charge.failed", charge)
    _emit_created(account, intent)
    account.emit("payment_intent.payment_failed", intent)
    return card_error(
        message,
        code=code,
        **fields,
        payment_intent=public_fields(intent),
        payment_method=public_fields(method),
    )


def _refuse_blocked_account(account: Account, intent: Object, method: Object) -> StripeError:
    """Record a refused debit of a blocked bank account, and return its error.

    https://docs.stripe.com/payments/ach-direct-debit/blocked-bank-accounts
    """
    charge = charges.add(account, intent, method, status="failed", captured=False)
    charges.block(charge, cards.BLOCKED_CODE, cards.BLOCKED_MESSAGE)
    intent["latest_charge"] = charge["id"]
    error = _payment_error(method, cards.BLOCKED_CODE, cards.BLOCKED_MESSAGE, charge=charge["id"])
    _reset_intent(intent, error)
    account.emit("charge.failed", charge)
    _emit_created(account, intent)
    account.emit("payment_intent.payment_failed", intent)
    return card_error(
        cards.BLOCKED_MESSAGE,
        code=cards.BLOCKED_CODE,
        charge=charge["id"],
        payment_intent=public_fields(intent),
        payment_method=public_fields(method),
    )


def _reset_intent(intent: Object, error: Object) -> None:
    """Set the intent back to requires_payment_method, with the error of its last attempt."""
    intent["status"], intent["payment_method"] = "requires_payment_method", None
    intent["last_payment_error"], intent["next_action"] = error, None


def _succeed(account: Account, intent: Object, method: Object, *, authenticated: bool) -> Object:
    """Charge the method, and return the charge: captured, or authorized if the intent is captured manually."""
    capture = intent["capture_method"] != "manual"
    charge = charges.add(account, intent, method, status="succeeded", captured=capture)
    if authenticated:
        charge["payment_method_details"]["card"]["electronic_commerce_indicator"] = "05"
        charge["payment_method_details"]["card"]["three_d_secure"] = {
            "authentication_flow": "challenge",
            "electronic_commerce_indicator": "05",
            "exemption_indicator": None,
            "result": "authenticated",
            "result_reason": None,
            "transaction_id": account.store.token(36),
            "version": "2.2.0",
        }
    intent["latest_charge"], intent["last_payment_error"] = charge["id"], None
    _save_method(account, intent, method)
    if not capture:
        intent["status"], intent["amount_capturable"] = "requires_capture", intent["amount"]
        return charge
    intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
    _emit_succeeded(account, intent, charge)
    return charge


def _authorize(account: Account, intent: Object, charge: Object, *, off_session: bool) -> None:
    """Emit the events of an authorization, and end it later unless it is captured."""
    details = charge["payment_method_details"]["card"]
    seconds = VISA_OFF_SESSION_S if off_session and details["brand"] == "visa" else AUTHORIZATION_S
    details["capture_before"] = charge["created"] + seconds
    _emit_created(account, intent)
    account.emit("payment_intent.amount_capturable_updated", intent)
    account.emit("charge.succeeded", charge)
    for hook in ON_AUTHORIZED:
        hook(account, intent, charge)
    account.schedule("payment_intent.expire_authorization", intent["id"], charge["id"], seconds=seconds)


def _emit_succeeded(account: Account, intent: Object, charge: Object) -> None:
    """Emit the events of a captured payment, and settle its charge now or later.

    The funds of a test card that bypasses the pending balance are available with the response.
    """
    bypasses_pending = payment_methods.behavior_of(charge["_test"]).instant_funds
    settles_now = intent["capture_method"] == "automatic" or bypasses_pending
    if settles_now:
        charges.settle(account, charge)
    events = [("payment_intent.succeeded", intent), ("charge.succeeded", charge)]
    if intent.get("_session"):
        events.reverse()
    for event_type, stored in events:
        account.emit(event_type, stored)
    _emit_created(account, intent)
    if not settles_now:
        account.schedule("charge.settle", charge["id"])
    for hook in ON_SUCCESS:
        hook(account, intent, charge)


def _emit_created(account: Account, intent: Object) -> None:
    """Emit `payment_intent.created` for a session's intent, once, with or after the first attempt to pay it."""
    if intent.get("_session") and not intent.get("_created_emitted"):
        intent["_created_emitted"] = True
        account.emit("payment_intent.created", intent)


def _save_method(account: Account, intent: Object, method: Object) -> None:
    """Save the method if the intent says so. Otherwise it cannot be used again, unless it was saved before.

    A Checkout Session sets an unspecified `allow_redisplay`: to `always` if the customer checked the box to save the
    method, to `limited` otherwise. https://docs.stripe.com/payments/checkout/save-during-payment
    """
    usage = payment_methods.future_usage(intent, method)
    if usage is not None:  # without a customer, it can be attached later
        method["_set_up"] = method["_set_up"] or usage == "off_session"
        if intent.get("_session") and method["allow_redisplay"] == "unspecified":
            method["allow_redisplay"] = "always" if intent.get("_save_checked") else "limited"
        payment_methods.save_for_customer(account, method, intent["customer"])
    elif method["customer"] is None:
        method["_detached"] = True


def _process(account: Account, intent: Object, method: Object, outcome: str, mandate: Object) -> None:
    """Start a delayed payment: it is processing now, and has its outcome later: see `Behavior.settles`."""
    charge = charges.add(account, intent, method, status="pending", captured=True)
    charge["_settles"] = outcome
    charge["payment_method_details"][method["type"]]["mandate"] = mandate["id"]
    charge["captured"], charge["amount_captured"] = True, intent["amount"]
    intent["latest_charge"], intent["last_payment_error"] = charge["id"], None
    intent["status"] = "processing"
    _save_method(account, intent, method)
    _emit_created(account, intent)
    account.emit("payment_intent.processing", intent)
    account.emit("charge.pending", charge)
    for hook in ON_PROCESSING:
        hook(account, intent, charge)
    if outcome != "never":
        account.schedule("payment_intent.settle", intent["id"], charge["id"])


@task("payment_intent.settle")
def _settle(account: Account, intent_id: str, charge_id: str) -> None:
    intent = account.store.get("payment_intent", intent_id)
    charge = account.store.get("charge", charge_id)
    if intent["status"] != "processing":
        return
    method = account.store.get("payment_method", charge["payment_method"])
    outcome = charge["_settles"]
    if outcome == "succeeded":
        charge["status"], charge["paid"] = "succeeded", True
        intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
        charges.settle(account, charge)
        account.emit("payment_intent.succeeded", intent)
        account.emit("charge.succeeded", charge)
        for hook in ON_SUCCESS:
            hook(account, intent, charge)
        return
    code = str(outcome)
    message = f"The bank refused the payment: {code.replace('_', ' ')}."
    charges.fail(charge, code, None, message)
    charge["amount_captured"] = 0
    _reset_intent(intent, _payment_error(method, code, message, charge=charge["id"]))
    account.emit("charge.failed", charge)
    account.emit("payment_intent.payment_failed", intent)
    for hook in ON_FAILURE:
        hook(account, intent, charge)
    if code in cards.BLOCKED_AFTER:
        payment_methods.block(account, method, cards.BLOCKED_AFTER[code])
    elif code == "debit_not_authorized":
        mandates.refuse_authorization(account, method["id"])


def complete_authentication(account: Account, intent: Object, *, passed: bool) -> None:
    """Complete a 3-D Secure step: continue the payment, or fail it."""
    if intent["status"] != "requires_action":
        raise invalid_request(
            f"This PaymentIntent does not require authentication: its status is {intent['status']}.",
            code="payment_intent_unexpected_state",
        )
    method = account.store.get("payment_method", intent["payment_method"])
    if not passed:
        code = "payment_intent_authentication_failure"
        error = _payment_error(method, code, AUTHENTICATION_FAILED)
        error["type"] = "invalid_request_error"
        _reset_intent(intent, error)
        account.emit("payment_intent.payment_failed", intent)
        return
    if intent["confirmation_method"] == "manual":  # the server must confirm again to attempt the payment
        intent["status"], intent["next_action"] = "requires_confirmation", None
        intent["_authenticated"] = method["id"]
        return
    pay(account, intent, method, authenticated=True)


def release_charge(account: Account, intent: Object, *, has_expired: bool) -> None:
    """Undo the charge of a canceled intent: stop a pending debit, or release an authorized amount."""
    charge = account.store.find("charge", intent["latest_charge"] or "")
    if charge is not None and charge["status"] == "pending":
        charges.fail(charge, "payment_intent_canceled", None, "The PaymentIntent was canceled.")
        charge["amount_captured"] = 0
        account.emit("charge.failed", charge)
        for hook in ON_FAILURE:
            hook(account, intent, charge)
    elif intent["status"] == "requires_capture" and charge is not None:
        charge["refunded"], charge["amount_refunded"] = True, charge["amount"]
        previous = {"amount_refunded": 0, "refunded": False}
        account.emit("charge.expired" if has_expired else "charge.refunded", charge, previous)


def capture(account: Account, intent: Object, amount: int) -> None:
    """Capture the authorized amount or a part of it, and release the rest."""
    charge = account.store.get("charge", intent["latest_charge"])
    intent["status"], intent["amount_received"], intent["amount_capturable"] = "succeeded", amount, 0
    charge["captured"], charge["amount_captured"] = True, amount
    charge["statement_descriptor_suffix"] = intent["statement_descriptor_suffix"]
    if amount < charge["amount"]:
        charge["amount_refunded"] = charge["amount"] - amount
    charges.settle(account, charge)
    account.emit("charge.captured", charge)
    account.emit("payment_intent.succeeded", intent)
    for hook in ON_SUCCESS:
        hook(account, intent, charge)
