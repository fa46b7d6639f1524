"""Refunds: succeed, pend, fail. https://docs.stripe.com/api/refunds"""

from stripe_simulator import currencies, lists
from stripe_simulator.account import Account, Call, later
from stripe_simulator.errors import invalid, unvalidated
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import balance_transactions, payment_methods, payments
from stripe_simulator.store import Object, shown

STATUSES = ("requires_action", "pending", "succeeded", "failed", "canceled")
ENDED = ("failed", "canceled")
ANSWER_S = 30 * 24 * 3600  # so long a person may take to say where the money shall go


def _charge_of(call: Call) -> Object:
    """The charge that is to be refunded."""
    charge_id, intent_id = call.params.get("charge"), call.params.get("payment_intent")
    if charge_id is None and intent_id is None:
        raise unvalidated("One of the following params should be provided for this request: payment_intent or charge.")
    intent = None
    if intent_id is not None:
        intent = call.store.get("payment_intent", intent_id, param="payment_intent")
    if charge_id is None:
        assert intent is not None
        found = intent["latest_charge"] and call.store.find("charge", intent["latest_charge"])
        if not found or found["status"] == "failed":
            raise invalid(
                f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
                param="payment_intent",
            )
        charge: Object = found
    else:
        charge = call.store.get("charge", charge_id, param="charge")
        if intent is not None and charge["payment_intent"] != intent_id:
            raise invalid("The charge does not belong to the PaymentIntent.", param="charge")
    return charge


def check(charge: Object, amount: int) -> None:
    """StripeError unless so much of the charge can be refunded."""
    if charge["status"] == "failed":
        raise invalid(f"Charge {charge['id']} has failed and cannot be refunded.", code="charge_not_refundable")
    if not charge["captured"]:
        raise invalid(
            f"Charge {charge['id']} has not been captured: cancel its PaymentIntent instead.",
            code="payment_intent_unexpected_state",
        )
    if charge["refunded"]:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if charge["disputed"] and not charge.get("_refundable"):
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    left = charge["amount_captured"] - charge["amount_refunded"]
    if amount > left:
        whole = charge["amount_refunded"] == 0
        of = "charge amount" if whole else "unrefunded amount on charge"
        raise invalid(
            f"Refund amount ({currencies.written(amount, charge['currency'])}) is greater than {of} "
            f"({currencies.written(left, charge['currency'])})",
            param="amount",
        )
    if amount < 1:
        raise unvalidated(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )


def create(call: Call) -> Object:
    """POST /v1/refunds, of a charge or of a PaymentIntent; all of what is left unless `amount` says less."""
    charge = _charge_of(call)
    amount = call.params.get("amount", charge["amount_captured"] - charge["amount_refunded"])
    metadata = merge_metadata({}, call.params.get("metadata", {}))
    check(charge, amount)
    refund = make(call.account, charge, amount, call.params.get("reason"), metadata)
    return shown(refund)


def make(account: Account, charge: Object, amount: int, reason: str | None, metadata: dict[str, str]) -> Object:
    """The refund, its events now, and what comes of it later."""
    how = payment_methods.behaviour_of(charge["_test"])
    pending = how.refund == "pending" or charge["status"] == "pending"
    refund = record(account, charge, amount, reason, metadata, "pending" if pending else "succeeded")
    account.after("refund.go_on", refund["id"])
    return refund


def record(
    account: Account, charge: Object, amount: int, reason: str | None, metadata: dict[str, str], status: str
) -> Object:
    """The refund in its first status: the charge, the balance and the events say so at once."""
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
    _dress(account, refund, charge)
    account.store.add(refund)
    moved = balance_transactions.record(
        account, "refund" if kind == "card" else "payment_refund", refund, -amount, 0, "REFUND FOR CHARGE"
    )
    refund["balance_transaction"] = moved["id"]
    before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    if before["refunded"] == charge["refunded"]:
        del before["refunded"]
    account.emit("refund.created", refund)
    account.emit("charge.refunded", charge, before)
    if charge["refunded"] and charge["disputed"]:
        from stripe_simulator.resources.disputes import averted

        averted(account, charge)
    return refund


def _dress(account: Account, refund: Object, charge: Object) -> None:
    """What a refund shows only in some statuses."""
    for name in ("pending_reason", "next_action", "instructions_email"):
        refund.pop(name, None)
    if refund["status"] == "pending":
        refund["pending_reason"] = "charge_pending" if charge["status"] == "pending" else "processing"
    if refund["status"] == "requires_action":
        now = account.clock.unix()
        email = charge["billing_details"]["email"] or charge["receipt_email"] or "nobody@example.com"
        sent = {"email_sent_at": now, "email_sent_to": email}
        refund["instructions_email"] = email
        refund["next_action"] = {
            "display_details": {"email_sent": sent, "expires_at": now + ANSWER_S},
            "type": "display_details",
        }


def _destination(kind: str) -> Object:
    if kind == "card":
        reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number"}
        return {"card": {**reference, "type": "refund"}, "type": "card"}
    name = {"us_bank_account": "us_bank_transfer", "sepa_debit": "eu_bank_transfer"}[kind]
    return {name: {"reference": None, "reference_status": "pending"}, "type": name}


@later("refund.go_on")
def _go_on(account: Account, id: str) -> None:
    """A pending refund succeeds, a doomed one fails, and the others get their bank's reference."""
    refund = account.store.get("refund", id)
    charge = account.store.get("charge", refund["charge"])
    how = payment_methods.behaviour_of(charge["_test"])
    if refund["status"] == "pending" and charge["status"] == "pending":
        account.after("refund.go_on", id)  # the money has to come before it can go back
        return
    if refund["status"] == "succeeded" and how.refund == "failed":
        give_back(account, refund, "failed", "unknown")
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


def charge_failed(account: Account, intent: Object, charge: Object) -> None:
    """A debit was refused: what was to be refunded of it never came."""
    for refund in account.store.all("refund"):
        if refund["charge"] == charge["id"] and refund["status"] not in ENDED:
            give_back(account, refund, "failed", "declined")


payments.FAILED.append(charge_failed)


def give_back(account: Account, refund: Object, status: str, reason: str) -> None:
    """The refund ends `failed` or `canceled`: the charge is as if it had never been, the money is ours again."""
    charge = account.store.get("charge", refund["charge"])
    previous = {"failure_balance_transaction": None, "failure_reason": None, "status": refund["status"]}
    moved = balance_transactions.record(
        account, "refund_failure", refund, refund["amount"], 0, "REFUND FAILURE FOR CHARGE"
    )
    refund["status"], refund["failure_reason"] = status, reason
    refund["failure_balance_transaction"] = moved["id"]
    _dress(account, refund, charge)
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    account.emit("refund.failed" if status == "failed" else "refund.updated", refund, previous)
    account.emit("charge.refund.updated", refund, previous)


def put(account: Account, refund: Object, status: str, reason: str | None) -> None:
    """Move a refund to a status, with its events and its funds. StripeError where it has come to its end."""
    if status not in STATUSES:
        raise invalid(f"status must be one of {', '.join(STATUSES)}", param="status")
    if refund["status"] in ENDED:
        raise invalid(f"The refund {refund['id']} is {refund['status']}: it stays so.", param="status")
    if status in ENDED:
        give_back(account, refund, status, reason or ("merchant_request" if status == "canceled" else "unknown"))
    elif status != refund["status"]:
        previous = {"status": refund["status"]}
        refund["status"] = status
        _dress(account, refund, account.store.get("charge", refund["charge"]))
        account.emit("refund.updated", refund, previous)
        account.emit("charge.refund.updated", refund, previous)


def retrieve(call: Call) -> Object:
    """GET /v1/refunds/:id"""
    return shown(call.store.get("refund", call.ids[0]))


def update(call: Call) -> Object:
    """POST /v1/refunds/:id: metadata only"""
    refund = call.store.get("refund", call.ids[0])
    before = dict(refund["metadata"])
    refund["metadata"] = merge_metadata(before, call.params.get("metadata", {}))
    if refund["metadata"] != before:
        names = {*before, *refund["metadata"]}
        previous = {"metadata": {n: before.get(n) for n in names if before.get(n) != refund["metadata"].get(n)}}
        call.account.emit("refund.updated", refund, previous)
        call.account.emit("charge.refund.updated", refund, previous)
    return shown(refund)


def cancel(call: Call) -> Object:
    """POST /v1/refunds/:id/cancel: only while it needs an action"""
    refund = _waiting(call, "canceled")
    give_back(call.account, refund, "canceled", "merchant_request")
    return shown(refund)


def expire(call: Call) -> Object:
    """POST /v1/test_helpers/refunds/:id/expire: nobody did what it needed"""
    refund = _waiting(call, "expired")
    give_back(call.account, refund, "failed", "expired_or_canceled_card")
    return shown(refund)


def _waiting(call: Call, what: str) -> Object:
    refund = call.store.get("refund", call.ids[0])
    if refund["status"] != "requires_action":
        raise invalid(
            f"This refund has a status of {refund['status']}; only refunds that require an action can be {what}."
        )
    return refund


def list_(call: Call) -> Object:
    """GET /v1/refunds?charge&payment_intent&created"""
    chosen = lists.matching(call.store.all("refund"), call.params, "charge", "payment_intent")
    return lists.page(chosen, call.params, call.path, "refund")


def of_charge(account: Account, charge: Object) -> Object:
    """A charge's `refunds`, which is answered only when expanded."""
    rows = (one for one in account.store.all("refund") if one["charge"] == charge["id"])
    return lists.page(rows, {}, f"/v1/charges/{charge['id']}/refunds")


ROUTES = {
    "POST /v1/refunds": create,
    "GET /v1/refunds": list_,
    "GET /v1/refunds/*": retrieve,
    "POST /v1/refunds/*": update,
    "POST /v1/refunds/*/cancel": cancel,
    "POST /v1/test_helpers/refunds/*/expire": expire,
}
