"""Refunds, which succeed, stay pending, or fail.

https://docs.stripe.com/api/refunds
"""

from stripe_simulator import currencies, lists
from stripe_simulator.account import Account, Call, task
from stripe_simulator.errors import invalid_request, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import balance_transactions, disputes, payment_methods
from stripe_simulator.store import Object, public_fields

STATUSES = ("requires_action", "pending", "succeeded", "failed", "canceled")
FINAL_STATUSES = ("failed", "canceled")
ACTION_TIME_S = 30 * 24 * 3600  # how long a customer may take to provide bank details


def _charge_of(call: Call) -> Object:
    """Return the charge to refund."""
    charge_id, intent_id = call.params.get("charge"), call.params.get("payment_intent")
    if charge_id is None and intent_id is None:
        raise validation_error(
            "One of the following params should be provided for this request: payment_intent or charge."
        )
    intent = None
    if intent_id is not None:
        intent = call.store.get("payment_intent", intent_id, param="payment_intent")
    if charge_id is None:
        assert intent is not None
        latest_charge = intent["latest_charge"] and call.store.find("charge", intent["latest_charge"])
        if not latest_charge or latest_charge["status"] == "failed":
            raise invalid_request(
                f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
                param="payment_intent",
            )
        charge: Object = latest_charge
    else:
        charge = call.store.get("charge", charge_id, param="charge")
        if intent is not None and charge["payment_intent"] != intent_id:
            raise invalid_request("The charge does not belong to the PaymentIntent.", param="charge")
    return charge


def refundable_amount(charge: Object) -> int:
    """Return what can still be refunded of a captured charge.

    A partial capture adds the released amount to `amount_refunded`, so this is not relative to `amount_captured`.
    """
    return int(charge["amount"] - charge["amount_refunded"])


def check_refundable(charge: Object, amount: int) -> None:
    """Raise StripeError if the amount of the charge cannot be refunded."""
    if charge["status"] == "failed":
        raise invalid_request(f"Charge {charge['id']} has failed and cannot be refunded.", code="charge_not_refundable")
    if not charge["captured"]:
        raise invalid_request(
            f"Charge {charge['id']} has not been captured: cancel its PaymentIntent instead.",
            code="payment_intent_unexpected_state",
        )
    if charge["refunded"]:
        raise invalid_request(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if charge["disputed"] and not charge.get("_refundable"):
        raise invalid_request(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    refundable = refundable_amount(charge)
    if amount > refundable:
        limit = "charge amount" if charge["amount_refunded"] == 0 else "unrefunded amount on charge"
        raise invalid_request(
            f"Refund amount ({currencies.format_amount(amount, charge['currency'])}) is greater than {limit} "
            f"({currencies.format_amount(refundable, charge['currency'])})",
            param="amount",
        )
    if amount < 1:
        raise validation_error(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount < refundable:
        currencies.check_multiple(amount, charge["currency"])


def create(call: Call) -> Object:
    """POST /v1/refunds, of a charge or a PaymentIntent. The default amount is the refundable amount."""
    charge = _charge_of(call)
    amount = call.params.get("amount", refundable_amount(charge))
    metadata = merge_metadata({}, call.params.get("metadata", {}))
    check_refundable(charge, amount)
    behavior = payment_methods.behavior_of(charge["_test"])
    is_pending = behavior.refund == "pending" or charge["status"] == "pending"
    status = "pending" if is_pending else "succeeded"
    refund = add(call.account, charge, amount, call.params.get("reason"), metadata, status)
    call.account.schedule("refund.settle", refund["id"])
    return public_fields(refund)


def add(
    account: Account, charge: Object, amount: int, reason: str | None, metadata: dict[str, str], status: str
) -> Object:
    """Add a refund with its first status, update the charge and the balance, and emit the events."""
    kind = charge["payment_method_details"]["type"]
    refund: Object = {
        "id": f"{'re' if kind == 'card' else 'pyr'}_3{account.store.token(23)}",
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": account.clock.unix(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": _destination(kind),
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    _set_status_fields(account, refund, charge)
    account.store.add(refund)
    transaction = balance_transactions.add(
        account, "refund" if kind == "card" else "payment_refund", refund, -amount, 0, "REFUND FOR CHARGE"
    )
    refund["balance_transaction"] = transaction["id"]
    previous = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    if previous["refunded"] == charge["refunded"]:
        del previous["refunded"]
    account.emit("refund.created", refund)
    account.emit("charge.refunded", charge, previous)
    if charge["refunded"] and charge["disputed"]:
        disputes.close_inquiries(account, charge)
    return refund


def _set_status_fields(account: Account, refund: Object, charge: Object) -> None:
    """Set the fields that a refund has only in some statuses."""
    for name in ("pending_reason", "next_action", "instructions_email"):
        refund.pop(name, None)
    if refund["status"] == "pending":
        refund["pending_reason"] = "charge_pending" if charge["status"] == "pending" else "processing"
    if refund["status"] == "requires_action":
        now = account.clock.unix()
        email = charge["billing_details"]["email"] or charge["receipt_email"] or "nobody@example.com"
        email_sent = {"email_sent_at": now, "email_sent_to": email}
        refund["instructions_email"] = email
        refund["next_action"] = {
            "display_details": {"email_sent": email_sent, "expires_at": now + ACTION_TIME_S},
            "type": "display_details",
        }


def _destination(kind: str) -> Object:
    if kind == "card":
        reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number"}
        return {"card": {**reference, "type": "refund"}, "type": "card"}
    name = {"us_bank_account": "us_bank_transfer", "sepa_debit": "eu_bank_transfer"}[kind]
    return {name: {"reference": None, "reference_status": "pending"}, "type": name}


@task("refund.settle")
def _settle(account: Account, id: str) -> None:
    """Settle a refund: it succeeds with a reference of the bank, or fails if its test card says so."""
    refund = account.store.get("refund", id)
    charge = account.store.get("charge", refund["charge"])
    behavior = payment_methods.behavior_of(charge["_test"])
    if refund["status"] == "pending" and charge["status"] == "pending":
        account.schedule("refund.settle", id)  # the charge must settle first
        return
    if refund["status"] == "succeeded" and behavior.refund == "failed":
        _reverse(account, refund, "failed", "unknown")
        return
    if refund["status"] not in ("pending", "succeeded"):
        return
    previous: Object = {}
    if refund["status"] == "pending":
        previous |= {"status": "pending", "pending_reason": refund.pop("pending_reason", None)}
        refund["status"] = "succeeded"
    kind = refund["destination_details"]["type"]
    details = refund["destination_details"][kind]
    previous["destination_details"] = {kind: {"reference": None, "reference_status": "pending"}}
    details["reference"] = str(account.store.random.randrange(10**22, 10**23))
    details["reference_status"] = "available"
    account.emit("refund.updated", refund, previous)
    account.emit("charge.refund.updated", refund, previous)


def on_failure(account: Account, intent: Object, charge: Object) -> None:
    """Fail the refunds of a failed debit: there is no money to refund."""
    for refund in account.store.all("refund"):
        if refund["charge"] == charge["id"] and refund["status"] not in FINAL_STATUSES:
            account.store.keep(refund)
            _reverse(account, refund, "failed", "declined")


def _reverse(account: Account, refund: Object, status: str, reason: str) -> None:
    """End a refund as `failed` or `canceled`: return its amount to the charge and to the balance."""
    charge = account.store.get("charge", refund["charge"])
    previous = {"failure_balance_transaction": None, "failure_reason": None, "status": refund["status"]}
    transaction = balance_transactions.add(
        account, "refund_failure", refund, refund["amount"], 0, "REFUND FAILURE FOR CHARGE"
    )
    refund["status"], refund["failure_reason"] = status, reason
    refund["failure_balance_transaction"] = transaction["id"]
    _set_status_fields(account, refund, charge)
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    account.emit("refund.failed" if status == "failed" else "refund.updated", refund, previous)
    account.emit("charge.refund.updated", refund, previous)


def set_status(account: Account, refund: Object, status: str, reason: str | None) -> None:
    """Change the status of a refund, with its events and funds. Raises StripeError if its status is final."""
    if status not in STATUSES:
        raise invalid_request(f"status must be one of {', '.join(STATUSES)}", param="status")
    if refund["status"] in FINAL_STATUSES:
        message = f"The refund {refund['id']} is {refund['status']}, which is final."
        raise invalid_request(message, param="status")
    if status in FINAL_STATUSES:
        _reverse(account, refund, status, reason or ("merchant_request" if status == "canceled" else "unknown"))
    elif status != refund["status"]:
        previous = {"status": refund["status"]}
        refund["status"] = status
        _set_status_fields(account, refund, account.store.get("charge", refund["charge"]))
        account.emit("refund.updated", refund, previous)
        account.emit("charge.refund.updated", refund, previous)


def retrieve(call: Call) -> Object:
    """GET /v1/refunds/:id."""
    return public_fields(call.store.get("refund", call.ids[0]))


def update(call: Call) -> Object:
    """POST /v1/refunds/:id. Only metadata can change."""
    refund = call.store.get("refund", call.ids[0])
    before = public_fields(refund)
    refund["metadata"] = merge_metadata(refund["metadata"], call.params.get("metadata", {}))
    return call.account.emit_update(refund, before, "refund.updated", "charge.refund.updated")


def cancel(call: Call) -> Object:
    """POST /v1/refunds/:id/cancel, only in `requires_action`."""
    refund = _refund_requiring_action(call, "canceled")
    _reverse(call.account, refund, "canceled", "merchant_request")
    return public_fields(refund)


def expire(call: Call) -> Object:
    """POST /v1/test_helpers/refunds/:id/expire, as if the customer had not acted in time."""
    refund = _refund_requiring_action(call, "expired")
    _reverse(call.account, refund, "failed", "expired_or_canceled_card")
    return public_fields(refund)


def _refund_requiring_action(call: Call, verb: str) -> Object:
    refund = call.store.get("refund", call.ids[0])
    if refund["status"] != "requires_action":
        raise invalid_request(
            f"This refund has a status of {refund['status']}; only refunds that require an action can be {verb}."
        )
    return refund


def list_(call: Call) -> Object:
    """GET /v1/refunds?charge&payment_intent&created."""
    refunds = lists.select(call.store.all("refund"), call.params, "charge", "payment_intent")
    return lists.page(refunds, call.params, call.path, "refund")


def expand_refunds(account: Account, charge: Object) -> Object:
    """Return a charge's `refunds`, which responses include only if expanded."""
    refunds = (refund for refund in account.store.all("refund") if refund["charge"] == charge["id"])
    return lists.page(refunds, {}, f"/v1/charges/{charge['id']}/refunds")


ROUTES = {
    "POST /v1/refunds": create,
    "GET /v1/refunds": list_,
    "GET /v1/refunds/*": retrieve,
    "POST /v1/refunds/*": update,
    "POST /v1/refunds/*/cancel": cancel,
    "POST /v1/test_helpers/refunds/*/expire": expire,
}
