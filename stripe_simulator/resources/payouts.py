"""Payouts: what Stripe sends from the balance to the account's bank.

https://docs.stripe.com/api/payouts
https://docs.stripe.com/payouts/reconciliation
"""

from stripe_simulator import currencies, lists, validation
from stripe_simulator.account import Account, Call, task
from stripe_simulator.errors import invalid_request, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import balance_transactions
from stripe_simulator.store import Object, public_fields

DAY_S = 24 * 3600
ARRIVAL_DAYS = 2
FINAL_STATUSES = ("failed", "canceled")
FAILURES = {
    "account_closed": "The bank account has been closed.",
    "could_not_process": "The bank could not process this payout.",
    "invalid_account_number": "The routing number seems correct, but the account number is invalid.",
    "no_account": "The bank account could not be located.",
}
REVERSALS = {"failed": "payout_failure", "canceled": "payout_cancel"}


def pay_out(account: Account, currency: str, amount: int | None = None, fields: Object | None = None) -> Object:
    """Pay out the available balance of a currency; with an amount, that amount as a manual payout.

    `fields` replace those of the new payout.

    An automatic payout includes each available balance transaction that no earlier payout includes. Stripe cannot say
    which transactions a manual payout includes. Raises StripeError if the balance does not suffice.
    """
    is_automatic = amount is None
    included = [] if not is_automatic else balance_transactions.unpaid(account, currency)
    available = balance_transactions.available(account, currency)
    amount = sum(one["net"] for one in included) if amount is None else amount
    if not 0 < amount <= available:
        raise invalid_request("You have insufficient funds in your Stripe account.", code="balance_insufficient")
    if not is_automatic:
        currencies.check_payout(amount, currency)
    now = account.clock.unix()
    payout: Object = {
        "id": f"po_1{account.store.token(23)}",
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": now - now % DAY_S + ARRIVAL_DAYS * DAY_S,
        "automatic": is_automatic,
        "balance_transaction": None,
        "created": now,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": _destination(account, currency),
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress" if is_automatic else "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }
    account.store.add(payout | (fields or {}))
    payout = account.store.get("payout", payout["id"])
    own = balance_transactions.add(account, "payout", payout, -amount, 0, "STRIPE PAYOUT")
    payout["balance_transaction"] = own["id"]
    if is_automatic:
        for transaction in (*included, own):
            transaction["_payout"] = payout["id"]
        account.schedule("payout.reconcile", payout["id"])
    account.emit("payout.created", payout)
    account.schedule("payout.arrive", payout["id"], seconds=payout["arrival_date"] - now)
    return payout


def _destination(account: Account, currency: str) -> str:
    """Return the id of the bank account, one per currency."""
    earlier = (one["destination"] for one in account.store.all("payout") if one["currency"] == currency)
    return next(earlier, None) or f"ba_1{account.store.token(23)}"


@task("payout.reconcile")
def _reconcile(account: Account, id: str) -> None:
    payout = account.store.get("payout", id)
    payout["reconciliation_status"] = "completed"
    account.emit("payout.reconciliation_completed", payout)


@task("payout.arrive")
def _arrive(account: Account, id: str) -> None:
    payout = account.store.get("payout", id)
    if payout["status"] in ("pending", "in_transit"):
        set_status(account, payout, "paid")


def set_status(account: Account, payout: Object, status: str, failure_code: str = "account_closed") -> None:
    """Change the status of a payout. `failed` and `canceled` return the amount to the balance.

    A payout may be `paid` before it fails. Raises StripeError for a change that Stripe does not make.
    """
    if status not in ("in_transit", "paid", *FINAL_STATUSES):
        raise invalid_request("status must be one of in_transit, paid, failed, canceled", param="status")
    if failure_code not in FAILURES:
        raise invalid_request(f"failure_code must be one of {', '.join(FAILURES)}", param="failure_code")
    if payout["status"] in FINAL_STATUSES or (payout["status"] == "paid" and status != "failed"):
        message = f"The payout {payout['id']} is {payout['status']}: it cannot become {status}."
        raise invalid_request(message, param="status")
    if status == "canceled" and (payout["automatic"] or payout["status"] != "pending"):
        raise invalid_request("Only a manual payout that is pending can be canceled.", param="status")
    previous: Object = {"status": payout["status"]}
    payout["status"] = status
    if status == "paid":
        previous["trace_id"] = payout["trace_id"]
        payout["trace_id"] = {"status": "supported", "value": str(account.store.random.randrange(10**14, 10**15))}
    if status in FINAL_STATUSES:
        kind = REVERSALS[status]
        reversal = balance_transactions.add(account, kind, payout, payout["amount"], 0, "STRIPE PAYOUT RETURNED")
        previous["failure_balance_transaction"] = None
        payout["failure_balance_transaction"] = reversal["id"]
    if status == "failed":
        previous |= {"failure_code": None, "failure_message": None}
        payout["failure_code"], payout["failure_message"] = failure_code, FAILURES[failure_code]
    account.emit("payout.updated" if status == "in_transit" else f"payout.{status}", payout, previous)


def create(call: Call) -> Object:
    """POST /v1/payouts, a manual payout."""
    params = call.params
    if params.get("method") == "instant":
        message = "The simulator does not support `method` `instant`, although Stripe does."
        raise validation_error(message, param="method")
    validation.check_minimum(params, "amount", 1)
    validation.check_statement_descriptor(params, "statement_descriptor")
    fields: Object = {name: params.get(name) for name in ("description", "statement_descriptor")}
    fields["metadata"] = merge_metadata({}, params.get("metadata", {}))
    return public_fields(pay_out(call.account, currencies.parse(params["currency"]), params["amount"], fields))


def update(call: Call) -> Object:
    """POST /v1/payouts/:id. Only metadata can change."""
    payout = call.store.get("payout", call.ids[0])
    before = public_fields(payout)
    payout["metadata"] = merge_metadata(payout["metadata"], call.params.get("metadata", {}))
    return call.account.emit_update(payout, before, "payout.updated")


def cancel(call: Call) -> Object:
    """POST /v1/payouts/:id/cancel, only of a manual payout that is pending."""
    payout = call.store.get("payout", call.ids[0])
    if payout["automatic"] or payout["status"] != "pending":
        raise invalid_request(f"Only a manual payout that is pending can be canceled: {payout['id']} is not.")
    set_status(call.account, payout, "canceled")
    return public_fields(payout)


def retrieve(call: Call) -> Object:
    """GET /v1/payouts/:id."""
    return public_fields(call.store.get("payout", call.ids[0]))


def list_(call: Call) -> Object:
    """GET /v1/payouts?status&destination&arrival_date&created."""
    arrives = call.params.get("arrival_date")
    payouts = (one for one in call.store.all("payout") if lists.is_in_range(one["arrival_date"], arrives))
    return lists.page(lists.select(payouts, call.params, "destination", "status"), call.params, call.path, "payout")


ROUTES = {
    "POST /v1/payouts": create,
    "GET /v1/payouts": list_,
    "GET /v1/payouts/*": retrieve,
    "POST /v1/payouts/*": update,
    "POST /v1/payouts/*/cancel": cancel,
}
