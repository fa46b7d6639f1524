"""What happens when an intent is paid: success, decline, 3-D Secure, delayed methods.

The order of the events is SIMULATOR's table (`docs/testing.md`).
https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from collections.abc import Callable
from typing import Any

from stripe_simulator import cards
from stripe_simulator.account import Account, later
from stripe_simulator.cards import Behaviour
from stripe_simulator.errors import DOCS, StripeError, declined, invalid
from stripe_simulator.resources import charges, payment_methods
from stripe_simulator.store import Object, shown

PAID: list[Callable[[Account, Object, Object], None]] = []  # (account, intent, charge), once money came
PROCESSING: list[Callable[[Account, Object, Object], None]] = []  # … a delayed method was accepted
FAILED: list[Callable[[Account, Object, Object], None]] = []  # … or a delayed payment failed

CURRENCIES: dict[str, set[str] | None] = {"card": None, "us_bank_account": {"usd"}, "sepa_debit": {"eur"}}
REFUSED_3DS = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)


def fitting(types: list[str], currency: str) -> list[str]:
    """Which of the types can pay in the currency."""
    fits = [t for t in types if t in CURRENCIES and (CURRENCIES[t] is None or currency in CURRENCIES[t])]  # type: ignore[operator]
    if not fits:
        raise invalid(
            f"No valid payment method types for this Payment Intent. Please ensure that you have activated "
            f"payment methods compatible with your chosen currency ({currency}).",
            param="allowed_payment_method_types",
        )
    return fits


def pay(
    account: Account,
    intent: Object,
    method: Object,
    *,
    off_session: bool = False,
    refuse_action: bool = False,
    return_url: str | None = None,
    authenticated: bool = False,
) -> None:
    """Try to pay the intent with the method. Raises StripeError 402 for a decline, the intent changed."""
    check_usable(intent, method)
    how = payment_methods.behaviour(method)
    intent["payment_method"] = method["id"]
    intent["next_action"] = None
    if how.settles is not None:
        _process(account, intent, method)
        return
    asks = {"always": True, "unless_setup": not method["_set_up"], "on_session": not off_session}
    if asks.get(how.authenticate or "") and not authenticated:
        if off_session or refuse_action:
            raise _declined(account, intent, method, "authentication_required")
        _ask(account, intent, return_url)
        return
    if how.decline is not None:
        raise _declined(account, intent, method, how.decline)
    _succeed(account, intent, method, how, authenticated)


def check_usable(intent: Object, method: Object) -> None:
    """Whether the intent may be paid with the method at all."""
    if method["type"] not in intent["payment_method_types"]:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. Please attach "
            f"a PaymentMethod of one of the following types: {', '.join(intent['payment_method_types'])}.",
            code="payment_intent_invalid_parameter",
            param="payment_method",
        )
    if method.get("_detached"):
        raise invalid(payment_methods.DETACHED)
    if method["customer"] is not None and method["customer"] != intent["customer"]:
        raise invalid(
            f"The PaymentMethod {method['id']} belongs to the Customer {method['customer']}. Please include the "
            "Customer in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )


def action(account: Account, intent: Object, return_url: str | None) -> Object:
    """The `next_action` of an intent that asks for 3-D Secure."""
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


def _ask(account: Account, intent: Object, return_url: str | None) -> None:
    intent["next_action"] = action(account, intent, return_url)
    intent["status"] = "requires_action"
    tell_created(account, intent)
    account.emit("payment_intent.requires_action", intent)


def _error(intent: Object, method: Object, code: str, message: str, **fields: Any) -> Object:
    return {
        "code": code,
        "doc_url": DOCS + code.replace("_", "-"),
        "message": message,
        "payment_method": shown(method),
        "type": "card_error",
        **{name: value for name, value in fields.items() if value is not None},
    }


def _declined(account: Account, intent: Object, method: Object, why: str) -> StripeError:
    code, message = cards.MESSAGES[why]
    decline_code = why if code == "card_declined" or why == "authentication_required" else None
    charge = charges.attempt(account, intent, method, status="failed", captured=False)
    charges.fail(charge, code, decline_code, message)
    intent["latest_charge"] = charge["id"]
    to_begin(intent, _error(intent, method, code, message, charge=charge["id"], decline_code=decline_code))
    account.emit("charge.failed", charge)
    tell_created(account, intent)
    account.emit("payment_intent.payment_failed", intent)
    return declined(
        message,
        code=code,
        decline_code=decline_code,
        charge=charge["id"],
        payment_intent=shown(intent),
        payment_method=shown(method),
    )


def to_begin(intent: Object, error: Object) -> None:
    """Back to requires_payment_method, with what went wrong."""
    intent["status"], intent["payment_method"] = "requires_payment_method", None
    intent["last_payment_error"], intent["next_action"] = error, None


def _succeed(account: Account, intent: Object, method: Object, how: Behaviour, authenticated: bool) -> None:
    capture = intent["capture_method"] != "manual"
    charge = charges.attempt(account, intent, method, status="succeeded", captured=capture)
    if authenticated:
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
    save(account, intent, method)
    if not capture:
        intent["status"], intent["amount_capturable"] = "requires_capture", intent["amount"]
        account.emit("payment_intent.amount_capturable_updated", intent)
        account.emit("charge.succeeded", charge)
        return
    intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
    _tell(account, intent, charge)


def _tell(account: Account, intent: Object, charge: Object) -> None:
    """The events of a captured payment, and its place on the balance now or later."""
    at_once = intent["capture_method"] == "automatic"
    if at_once:
        charges.settle(account, charge)
    kinds = [("payment_intent.succeeded", intent), ("charge.succeeded", charge)]
    if intent.get("_session"):
        kinds.reverse()
    for kind, about in kinds:
        account.emit(kind, about)
    tell_created(account, intent)
    if not at_once:
        account.after("charge.settle", charge["id"])
    for hook in PAID:
        hook(account, intent, charge)


def tell_created(account: Account, intent: Object) -> None:
    """A session's intent is told of with, or after, the first attempt to pay it."""
    if intent.get("_session") and not intent.get("_told"):
        intent["_told"] = True
        account.emit("payment_intent.created", intent)


def save(account: Account, intent: Object, method: Object) -> None:
    """Save the method for later when the intent says so; else it is used up, unless it was saved before.

    https://docs.stripe.com/payments/checkout/save-during-payment: what somebody has ticked may be shown `always`, what
    a session saves by itself is `limited`; elsewhere it is what the method's maker said.
    """
    options = (intent["payment_method_options"] or {}).get(method["type"]) or {}
    usage = options.get("setup_future_usage") or intent["setup_future_usage"]
    if usage in ("on_session", "off_session") and intent["customer"]:
        method["_set_up"] = True
        if intent.get("_session") and method["allow_redisplay"] == "unspecified":
            method["allow_redisplay"] = "always" if intent.get("_ticked") else "limited"
        if method["customer"] is None:
            method["customer"] = intent["customer"]
            account.emit("payment_method.attached", method)
    elif method["customer"] is None:
        method["_detached"] = True


def _process(account: Account, intent: Object, method: Object) -> None:
    """A delayed method: processing now, its end later."""
    charge = charges.attempt(account, intent, method, status="pending", captured=True)
    charge["captured"], charge["amount_captured"] = True, intent["amount"]
    intent["latest_charge"], intent["last_payment_error"] = charge["id"], None
    intent["status"] = "processing"
    save(account, intent, method)
    tell_created(account, intent)
    account.emit("payment_intent.processing", intent)
    account.emit("charge.pending", charge)
    for hook in PROCESSING:
        hook(account, intent, charge)
    if payment_methods.behaviour(method).settles != "never":
        account.after("payment_intent.settle", intent["id"], charge["id"])


@later("payment_intent.settle")
def _settle(account: Account, intent_id: str, charge_id: str) -> None:
    intent = account.store.get("payment_intent", intent_id)
    charge = account.store.get("charge", charge_id)
    if intent["status"] != "processing":
        return
    method = account.store.get("payment_method", charge["payment_method"])
    outcome = payment_methods.behaviour(method).settles
    if outcome == "succeeded":
        charge["status"], charge["paid"] = "succeeded", True
        intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
        charges.settle(account, charge)
        account.emit("payment_intent.succeeded", intent)
        account.emit("charge.succeeded", charge)
        for hook in PAID:
            hook(account, intent, charge)
        return
    code = str(outcome)
    message = f"The bank refused the payment: {code.replace('_', ' ')}."
    charges.fail(charge, code, None, message)
    charge["amount_captured"] = 0
    to_begin(intent, _error(intent, method, code, message, charge=charge["id"]))
    account.emit("charge.failed", charge)
    account.emit("payment_intent.payment_failed", intent)
    for hook in FAILED:
        hook(account, intent, charge)


def authenticated(account: Account, intent: Object, *, passed: bool) -> None:
    """The end of a 3-D Secure step: the payment goes on, or fails."""
    if intent["status"] != "requires_action":
        raise invalid(
            f"This PaymentIntent waits for no authentication: its status is {intent['status']}.",
            code="payment_intent_unexpected_state",
        )
    method = account.store.get("payment_method", intent["payment_method"])
    if not passed:
        code = "payment_intent_authentication_failure"
        error = _error(intent, method, code, REFUSED_3DS)
        error["type"] = "invalid_request_error"
        to_begin(intent, error)
        account.emit("payment_intent.payment_failed", intent)
        return
    pay(account, intent, method, authenticated=True)


def let_go(account: Account, intent: Object) -> None:
    """The attempt of a canceled intent comes to nothing: what was held is let go, a debit under way is stopped."""
    charge = account.store.find("charge", intent["latest_charge"] or "")
    if charge is not None and charge["status"] == "pending":
        charges.fail(charge, "payment_intent_canceled", None, "The PaymentIntent was canceled.")
        charge["amount_captured"] = 0
        account.emit("charge.failed", charge)
        for hook in FAILED:
            hook(account, intent, charge)
    elif intent["status"] == "requires_capture" and charge is not None:
        charge["refunded"], charge["amount_refunded"] = True, charge["amount"]
        account.emit("charge.refunded", charge, {"amount_refunded": 0, "refunded": False})


def capture(account: Account, intent: Object, amount: int) -> None:
    """Take what was authorised, or less of it; the rest is let go."""
    charge = account.store.get("charge", intent["latest_charge"])
    intent["status"], intent["amount_received"], intent["amount_capturable"] = "succeeded", amount, 0
    charge["captured"], charge["amount_captured"] = True, amount
    if amount < charge["amount"]:
        charge["amount_refunded"] = charge["amount"] - amount
    charges.settle(account, charge)
    account.emit("charge.captured", charge)
    account.emit("payment_intent.succeeded", intent)
    for hook in PAID:
        hook(account, intent, charge)
