"""Charges: the attempts to pay PaymentIntents.

https://docs.stripe.com/api/charges
"""

from typing import Any

from stripe_simulator import lists
from stripe_simulator.account import Account, Call, task
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import balance_transactions, payment_methods
from stripe_simulator.store import Object, public_fields
from stripe_simulator.validation import MAX_DESCRIPTOR_LENGTH

SHIPPING_FIELDS = ("address", "carrier", "name", "phone", "tracking_number")
RISK_SCORES = {"normal": 32, "elevated": 67, "highest": 90}
STATEMENT_DESCRIPTOR = "SIMULATOR"
"""The account's descriptor on statements."""


def add(account: Account, intent: Object, method: Object, *, status: str, captured: bool) -> Object:
    """Add a charge of an intent. `status` is succeeded, pending or failed."""
    prefix = "ch" if method["type"] == "card" else "py"
    id = f"{prefix}_3{account.store.token(23)}"
    charge: Object = {
        "id": id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured and status == "succeeded" else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": dict(method["billing_details"]),
        "calculated_statement_descriptor": _statement_descriptor(intent) if method["type"] == "card" else None,
        "captured": captured and status == "succeeded",
        "created": account.clock.unix(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(payment_methods.behavior(method).risk_level),
        "paid": status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": payment_methods.charge_details(account, method),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": status,
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
        "_test": method["_test"],
    }
    if status != "failed":
        charge["receipt_url"] = f"{account.url}/receipts/payment/{account.store.token(60)}"
    if method["type"] == "card":
        details = charge["payment_method_details"]["card"]
        details["amount_authorized"] = intent["amount"] if status == "succeeded" else None
        details["overcapture"]["maximum_amount_capturable"] = intent["amount"] if status == "succeeded" else 0
    return account.store.add(charge)


def _statement_descriptor(intent: Object) -> str:
    """Return what a statement shows: the account's descriptor, and the suffix of the payment.

    https://docs.stripe.com/get-started/account/statement-descriptors#dynamic
    """
    suffix = intent["statement_descriptor_suffix"]
    return f"{STATEMENT_DESCRIPTOR}* {suffix}"[:MAX_DESCRIPTOR_LENGTH] if suffix else STATEMENT_DESCRIPTOR


def shipping(params: Any) -> Object | None:
    """Return the shipping of an intent or a charge with every field."""
    if not params:
        return None
    address = payment_methods.address_fields(params.get("address") or {})
    return {name: params.get(name) for name in SHIPPING_FIELDS} | {"address": address}


def _outcome(risk_level: str) -> Object:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": risk_level,
        "risk_score": RISK_SCORES[risk_level],
        "seller_message": "Payment complete.",
        "type": "authorized",
    }


def fail(charge: Object, code: str, decline_code: str | None, message: str, codes: Object | None = None) -> None:
    """Mark the charge as failed. `codes` has the advice and the codes of the network for a declined card."""
    is_blocked = decline_code == "fraudulent"
    charge["status"], charge["paid"], charge["captured"] = "failed", False, False
    charge["failure_code"], charge["failure_message"] = code, message
    charge["receipt_url"] = None
    charge["outcome"] = _outcome("highest" if is_blocked else charge["outcome"]["risk_level"]) | {
        **(codes or {}),
        "network_status": "not_sent_to_network" if is_blocked else "declined_by_network",
        "reason": "highest_risk_level" if is_blocked else decline_code or code,
        "seller_message": "Stripe blocked this payment as too risky."
        if is_blocked
        else "The bank did not return any further details with this decline.",
        "type": "blocked" if is_blocked else "issuer_declined",
    }


def block(charge: Object, code: str, message: str) -> None:
    """Mark the charge as failed before Stripe has sent it to the network."""
    fail(charge, code, None, message)
    charge["outcome"] |= {"network_status": "not_sent_to_network", "seller_message": message, "type": "blocked"}


def settle(account: Account, charge: Object) -> None:
    """Add the charge's amount, less the fee, to the balance. A partial capture has a second transaction.

    https://docs.stripe.com/reports/reporting-categories says that one transaction has the full amount, and another
    reverses the uncaptured part. The fee is that of the captured amount.
    """
    kind = charge["payment_method_details"]["type"]
    name = "charge" if kind == "card" else "payment"
    fee = balance_transactions.fee_of(charge["amount_captured"], kind)
    transaction = balance_transactions.add(account, name, charge, charge["amount"], fee, charge["description"])
    charge["balance_transaction"] = transaction["id"]
    if payment_methods.behavior_of(charge["_test"]).instant_funds:
        balance_transactions.release(account, transaction)
    uncaptured = charge["amount"] - charge["amount_captured"]
    if uncaptured:
        balance_transactions.add(
            account, "refund", charge, -uncaptured, 0, "REFUND FOR PARTIAL CAPTURE", "partial_capture_reversal"
        )


@task("charge.settle")
def _settle_later(account: Account, id: str) -> None:
    charge = account.store.find("charge", id)
    if charge is None or charge["balance_transaction"] is not None:
        return
    settle(account, charge)
    account.emit("charge.updated", charge, {"balance_transaction": None})


def retrieve(call: Call) -> Object:
    """GET /v1/charges/:id."""
    return public_fields(call.store.get("charge", call.ids[0]))


def list_(call: Call) -> Object:
    """GET /v1/charges."""
    charges = lists.select(call.store.all("charge"), call.params, "customer", "payment_intent", "transfer_group")
    return lists.page(charges, call.params, call.path, "charge")


def search(call: Call) -> Object:
    """GET /v1/charges/search."""
    return lists.search(call.store.all("charge"), call.params, call.path)


def update(call: Call) -> Object:
    """POST /v1/charges/:id."""
    charge = call.store.get("charge", call.ids[0])
    before = public_fields(charge)
    changes: dict[str, Any] = {
        name: call.params[name] or None
        for name in ("customer", "description", "receipt_email", "transfer_group")
        if name in call.params
    }
    if "metadata" in call.params:
        changes["metadata"] = merge_metadata(charge["metadata"], call.params["metadata"])
    if "fraud_details" in call.params:
        changes["fraud_details"] = call.params["fraud_details"]
    if "shipping" in call.params:
        changes["shipping"] = shipping(call.params["shipping"])
    charge.update(changes)
    return call.account.emit_update(charge, before, "charge.updated")


ROUTES = {
    "GET /v1/charges/search": search,
    "GET /v1/charges": list_,
    "GET /v1/charges/*": retrieve,
    "POST /v1/charges/*": update,
}
