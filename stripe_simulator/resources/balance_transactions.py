"""Balance transactions: the movements of the balance and their fees.

https://docs.stripe.com/api/balance_transactions
"""

from stripe_simulator import lists
from stripe_simulator.account import Account, Call
from stripe_simulator.store import Object, public_fields

DAY_S = 24 * 3600
CARD_FEE_BASIS_POINTS, CARD_FEE_FIXED = 290, 30  # 2.9 % + 0.30
BANK_FEE_BASIS_POINTS, BANK_FEE_MAX = 80, 500  # 0.8 %, at most 5.00
DISPUTE_FEE = 1500


def fee_of(amount: int, method_type: str) -> int:
    """Return Stripe's fee for a charge, in minor units, rounded half up."""
    if method_type == "card":
        return (amount * CARD_FEE_BASIS_POINTS + 5000) // 10_000 + CARD_FEE_FIXED
    return min((amount * BANK_FEE_BASIS_POINTS + 5000) // 10_000, BANK_FEE_MAX)


def add(account: Account, kind: str, source: Object, amount: int, fee: int, description: str | None) -> Object:
    """Add a balance transaction. A negative amount leaves the balance."""
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
    prefix = "txn_3" if source["id"].startswith(("ch_3", "py_3", "re_3", "pyr_3")) else "txn_1"
    return account.store.add(
        {
            "id": f"{prefix}{account.store.token(23)}",
            "object": "balance_transaction",
            "amount": amount,
            "available_on": now + (0 if kind == "adjustment" else 2 * DAY_S),
            "balance_type": "payments",
            "created": now,
            "currency": source["currency"],
            "description": description,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": details,
            "net": amount - fee,
            "reporting_category": {"adjustment": "dispute"}.get(kind, kind),
            "source": source["id"],
            "status": "pending" if kind != "adjustment" else "available",
            "type": kind,
        }
    )


def retrieve(call: Call) -> Object:
    """GET /v1/balance_transactions/:id."""
    return public_fields(_refresh(call.account, call.store.get("balance_transaction", call.ids[0])))


def _refresh(account: Account, transaction: Object) -> Object:
    """Update and return the transaction, which becomes available with time."""
    if transaction["available_on"] <= account.clock.now():
        transaction["status"] = "available"
    return transaction


def list_(call: Call) -> Object:
    """GET /v1/balance_transactions."""
    refreshed = (_refresh(call.account, one) for one in call.store.all("balance_transaction"))
    transactions = lists.select(refreshed, call.params, "currency", "source", "type")
    return lists.page(transactions, call.params, call.path, "balance transaction")


def balance(call: Call) -> Object:
    """GET /v1/balance."""
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for transaction in call.store.all("balance_transaction"):
        status, currency = _refresh(call.account, transaction)["status"], transaction["currency"]
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
