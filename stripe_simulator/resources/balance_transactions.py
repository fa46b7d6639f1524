"""Balance transactions: the movements of the balance and their fees.

https://docs.stripe.com/api/balance_transactions
"""

from collections.abc import Iterator

from stripe_simulator import lists
from stripe_simulator.account import TASK_DELAY_S, Account, Call, task
from stripe_simulator.errors import validation_error
from stripe_simulator.store import Object, public_fields

HOUR_S, DAY_S = 3600, 24 * 3600
CARD_FEE_BASIS_POINTS, CARD_FEE_FIXED = 290, 30  # 2.9 % + 0.30
BANK_FEE_BASIS_POINTS, BANK_FEE_MAX = 80, 500  # 0.8 %, at most 5.00
DISPUTE_FEE = 1500
PENDING_TYPES = ("charge", "payment", "refund", "payment_refund", "refund_failure")
"""The funds of these become available after two days. Those of any other type are available at once."""
TYPES_WITHOUT_SOURCE = ("adjustment", "contribution", "stripe_fee")
"""The types that `/_sim/balance_transactions` creates: Stripe charges a fee or corrects the balance."""
CATEGORIES = {
    "payment": "charge",
    "payment_refund": "refund",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
    "stripe_fee": "fee",
}
"""The reporting category of each type that is not its own: https://docs.stripe.com/reports/reporting-categories."""


def fee_of(amount: int, method_type: str) -> int:
    """Return Stripe's fee for a charge, in minor units, rounded half up."""
    if method_type == "card":
        return (amount * CARD_FEE_BASIS_POINTS + 5000) // 10_000 + CARD_FEE_FIXED
    return min((amount * BANK_FEE_BASIS_POINTS + 5000) // 10_000, BANK_FEE_MAX)


def _dispute_category(amount: int) -> str:
    return "dispute_reversal" if amount > 0 else "dispute"


def add(
    account: Account,
    kind: str,
    source: Object,
    amount: int,
    fee: int,
    description: str | None,
    category: str | None = None,
) -> Object:
    """Add a balance transaction. A negative amount leaves the balance. `category` is by default the type's own."""
    if category is None:
        category = _dispute_category(amount) if source.get("object") == "dispute" else CATEGORIES.get(kind, kind)
    now = account.clock.unix()
    details = []
    if fee:
        details.append(
            {
                "amount": fee,
                "application": None,
                "currency": source["currency"],
                "description": "Dispute fee" if kind == "adjustment" else "Stripe processing fees",
                "type": "stripe_fee",
            }
        )
    prefix = "txn_3" if str(source.get("id")).startswith(("ch_3", "py_3", "re_3", "pyr_3")) else "txn_1"
    transaction = account.store.add(
        {
            "id": f"{prefix}{account.store.token(23)}",
            "object": "balance_transaction",
            "amount": amount,
            "available_on": now + (2 * DAY_S if kind in PENDING_TYPES else 0),
            "balance_type": "payments",
            "created": now,
            "currency": source["currency"],
            "description": description,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": details,
            "net": amount - fee,
            "reporting_category": category,
            "source": source.get("id"),
            "status": "pending" if kind in PENDING_TYPES else "available",
            "type": kind,
        }
    )
    if kind in PENDING_TYPES and transaction["net"] > 0:
        full_hour = (transaction["available_on"] // HOUR_S + 1) * HOUR_S
        for seconds in (TASK_DELAY_S, full_hour - account.clock.now()):  # soon, if something releases it at once
            account.schedule("balance.available", transaction["id"], seconds=seconds)
    return transaction


@task("balance.available")
def _announce(account: Account, id: str) -> None:
    """Send `balance.available` once the funds of a transaction are available. One event is for all available funds.

    https://docs.stripe.com/api/events/types#event_types-balance.available
    """
    transaction = account.store.get("balance_transaction", id)
    if transaction.get("_announced") or _refresh(account, transaction)["status"] != "available":
        return
    for other in account.store.all("balance_transaction"):
        if _refresh(account, other)["status"] == "available":
            other["_announced"] = True
    account.emit("balance.available", _balance(account))


def add_without_source(account: Account, kind: str, currency: str, amount: int, description: str | None) -> Object:
    """Add a balance transaction that no charge, refund, dispute or payout has caused."""
    return add(account, kind, {"currency": currency}, amount, 0, description)


def retrieve(call: Call) -> Object:
    """GET /v1/balance_transactions/:id."""
    return public_fields(_refresh(call.account, call.store.get("balance_transaction", call.ids[0])))


def _refresh(account: Account, transaction: Object) -> Object:
    """Update and return the transaction, which becomes available with time."""
    if transaction["status"] != "available" and transaction["available_on"] <= account.clock.now():
        account.store.keep(transaction)
        transaction["status"] = "available"
    return transaction


def _available(account: Account, currency: str) -> Iterator[Object]:
    """Yield the available transactions of a currency, newest first."""
    for transaction in account.store.all("balance_transaction"):
        if transaction["currency"] == currency and _refresh(account, transaction)["status"] == "available":
            yield transaction


def available(account: Account, currency: str) -> int:
    """Return the available balance of a currency."""
    return sum(one["net"] for one in _available(account, currency))


def unpaid(account: Account, currency: str) -> list[Object]:
    """Return the available transactions of a currency that no automatic payout includes."""
    return [one for one in _available(account, currency) if "_payout" not in one]


def release(account: Account, transaction: Object) -> None:
    """Make the funds of a transaction available now."""
    transaction["available_on"], transaction["status"] = account.clock.unix(), "available"
    account.schedule("balance.available", transaction["id"], seconds=0)


def release_pending(account: Account, currency: str) -> None:
    """Make the pending funds of a currency available now."""
    for transaction in account.store.all("balance_transaction"):
        if transaction["currency"] == currency and _refresh(account, transaction)["status"] == "pending":
            release(account, account.store.get("balance_transaction", transaction["id"]))  # `get` lets it be undone


def list_(call: Call) -> Object:
    """GET /v1/balance_transactions. `payout` selects what an automatic payout includes, and its own transaction.

    https://docs.stripe.com/api/balance_transactions/list
    """
    refreshed = (_refresh(call.account, one) for one in call.store.all("balance_transaction"))
    if "payout" in call.params:
        payout = call.store.get("payout", call.params["payout"], param="payout")
        if not payout["automatic"]:
            message = "Balance transaction history can only be filtered on automatic transfers, not manual."
            raise validation_error(message, param="payout")
        refreshed = (one for one in refreshed if one.get("_payout") == payout["id"])
    transactions = lists.select(refreshed, call.params, "currency", "source", "type")
    return lists.page(transactions, call.params, call.path, "balance transaction")


def balance(call: Call) -> Object:
    """GET /v1/balance."""
    return _balance(call.account)


def _balance(account: Account) -> Object:
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for transaction in account.store.all("balance_transaction"):
        status, currency = _refresh(account, transaction)["status"], transaction["currency"]
        sums[status][currency] = sums[status].get(currency, 0) + transaction["net"]
    for amounts in sums.values():
        amounts.setdefault("usd", 0)
    return {
        "object": "balance",
        "livemode": False,
        **{
            status: [
                {"amount": amount, "currency": currency, "source_types": {"card": amount}}
                for currency, amount in amounts.items()
            ]
            for status, amounts in sums.items()
        },
    }


ROUTES = {
    "GET /v1/balance": balance,
    "GET /v1/balance_transactions": list_,
    "GET /v1/balance_transactions/*": retrieve,
}
