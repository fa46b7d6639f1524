"""One file a Stripe resource; each gives its ROUTES.

INCLUDES: lists that an object leaves out unless `expand` asks. PUBLIC: what a publishable key may call.
"""

from collections.abc import Callable

from stripe_simulator.account import Account, Handler
from stripe_simulator.resources import (
    balance_transactions,
    charges,
    customers,
    events,
    payment_intents,
    payment_methods,
    refunds,
    webhook_endpoints,
)
from stripe_simulator.store import Object

ROUTES: dict[str, Handler] = {
    **balance_transactions.ROUTES,
    **charges.ROUTES,
    **customers.ROUTES,
    **events.ROUTES,
    **payment_intents.ROUTES,
    **payment_methods.ROUTES,
    **refunds.ROUTES,
    **webhook_endpoints.ROUTES,
}
INCLUDES: dict[tuple[str, str], Callable[[Account, Object], Object]] = {
    ("charge", "refunds"): refunds.of_charge,
}
PUBLIC = {
    "GET /v1/payment_intents/*",
    "POST /v1/payment_intents/*/confirm",
    "POST /v1/payment_methods",
}
