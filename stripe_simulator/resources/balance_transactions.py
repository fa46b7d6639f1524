"""What moved the balance: charges, refunds, disputes, each with its fee.

https://docs.stripe.com/api/balance_transactions
"""

from stripe_simulator import lists
from stripe_simulator.account import Account, Call
from stripe_simulator.store import Object, shown

DAY_S = 24 * 3600
PERCENT_BASIS, FIXED = 290, 30  # 2.9 % + 0.30 for cards
BANK_BASIS, BANK_MOST = 80, 500  # 0.8 %, at most 5.00, for bank debits
DISPUTE_FEE = 1500


def fee_of(amount: int, method_type: str) -> int:
    """Stripe's fee for a charge, in minor units, rounded half up."""
    if method_type == "card":
        return (amount * PERCENT_BASIS + 5000) // 10_000 + FIXED
    return min((amount * BANK_BASIS + 5000) // 10_000, BANK_MOST)


def record(account: Account, kind: str, source: Object, amount: int, fee: int, description: str | None) -> Object:
    """A new balance transaction; `amount` and `net` are negative for what leaves."""
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
    """GET /v1/balance_transactions/:id"""
    return shown(_now(call.account, call.store.get("balance_transaction", call.ids[0])))


def _now(account: Account, transaction: Object) -> Object:
    if transaction["available_on"] <= account.clock.now():
        transaction["status"] = "available"
    return transaction


def list_(call: Call) -> Object:
    """GET /v1/balance_transactions"""
    found = (_now(call.account, one) for one in call.store.all("balance_transaction"))
    chosen = lists.matching(found, call.params, "currency", "source", "type")
    return lists.page(chosen, call.params, call.path, "balance transaction")


def balance(call: Call) -> Object:
    """GET /v1/balance"""
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for one in call.store.all("balance_transaction"):
        status = _now(call.account, one)["status"]
        sums[status][one["currency"]] = sums[status].get(one["currency"], 0) + one["net"]
    for each in sums.values():
        each.setdefault("usd", 0)
    return {
        "object": "balance",
        "livemode": False,
        **{
            status: [
                {"amount": amount, "currency": currency, "source_types": {"card": amount}}
                for currency, amount in each.items()
            ]
            for status, each in sums.items()
        },
    }


ROUTES = {
    "GET /v1/balance": balance,
    "GET /v1/balance_transactions": list_,
    "GET /v1/balance_transactions/*": retrieve,
}
