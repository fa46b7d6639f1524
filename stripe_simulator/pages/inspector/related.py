"""The objects that belong together: the customer, payment method, session, charges, refunds… of an object."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from stripe_simulator.account import Account
from stripe_simulator.store import Object, public_fields

ORDER = (
    *("customer", "payment_method", "mandate", "setup_intent", "checkout.session", "payment_intent", "charge"),
    *(
        "invoice",
        "refund",
        "credit_note",
        "dispute",
        "radar.early_fraud_warning",
        "balance_transaction",
        "payout",
        "product",
        "price",
    ),
    *("coupon", "promotion_code", "tax_id", "confirmation_token", "webhook_endpoint"),
)
"""The kinds in the order in which a payment meets them."""
WITH_TRANSACTIONS = ("charge", "refund", "dispute", "payout")
MAX_RELATED = 40
"""The related objects that a page shows."""
MAX_SCANNED = 20_000
"""The newest objects of a kind that are searched for a reference."""


def rank(kind: str) -> int:
    """Return the position of a kind in ORDER."""
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def related(account: Account, stored: Object) -> list[Object]:
    """Return the objects that an object names, those that name it, and the balance transactions of both."""
    results: dict[str, Object] = {}
    for id in _names(public_fields(stored)):
        other = account.lookup(id)
        if other is not None:
            results[id] = other
    ids = {stored["id"]}
    for kind in ORDER:
        if kind == "balance_transaction":
            ids |= {id for id, other in results.items() if other["object"] in WITH_TRANSACTIONS}
        for other in islice(account.store.all(kind), MAX_SCANNED):
            if _refers(other, ids):
                results.setdefault(other["id"], other)
            if len(results) > MAX_RELATED:
                break
    results.pop(stored["id"], None)
    return sorted(results.values(), key=lambda other: rank(other["object"]))[:MAX_RELATED]


def _names(value: Any) -> Iterator[str]:
    """Yield every text of an object that may be an id."""
    if isinstance(value, str) and "_" in value and len(value) < 100:
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names(item)


def _refers(other: Object, ids: set[str]) -> bool:
    """Return whether an object names one of the ids in a field, or in a hash such as `promotion`."""
    for value in other.values():
        if isinstance(value, str):
            if value in ids and value != other["id"]:
                return True
        elif isinstance(value, dict) and any(isinstance(one, str) and one in ids for one in value.values()):
            return True
    return False
