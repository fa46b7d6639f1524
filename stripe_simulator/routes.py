"""Every route of the simulated API, and the hooks between resources."""

from collections.abc import Callable

from stripe_simulator.account import Account, Handler
from stripe_simulator.resources import (
    balance_transactions,
    charges,
    checkout_sessions,
    confirmation_tokens,
    coupons,
    credit_notes,
    customers,
    disputes,
    early_fraud_warnings,
    events,
    invoices,
    mandates,
    payment_intents,
    payment_methods,
    payments,
    payouts,
    products,
    refunds,
    setup_intents,
    tax_ids,
    webhook_endpoints,
)
from stripe_simulator.store import Object

ROUTES: dict[str, Handler] = {
    **balance_transactions.ROUTES,
    **charges.ROUTES,
    **checkout_sessions.ROUTES,
    **confirmation_tokens.ROUTES,
    **coupons.ROUTES,
    **credit_notes.ROUTES,
    **disputes.ROUTES,
    **early_fraud_warnings.ROUTES,
    **products.ROUTES,
    **customers.ROUTES,
    **events.ROUTES,
    **invoices.ROUTES,
    **mandates.ROUTES,
    **payment_intents.ROUTES,
    **payment_methods.ROUTES,
    **payouts.ROUTES,
    **refunds.ROUTES,
    **setup_intents.ROUTES,
    **tax_ids.ROUTES,
    **webhook_endpoints.ROUTES,
}
EXPAND_ONLY: dict[tuple[str, str], Callable[[Account, Object], Object | list[Object] | None]] = {
    ("charge", "refunds"): refunds.expand_refunds,
    ("checkout.session", "line_items"): checkout_sessions.expand_line_items,
    ("checkout.session", "total_details.breakdown"): checkout_sessions.expand_breakdown,
    ("coupon", "applies_to"): coupons.expand_applies_to,
    ("coupon", "currency_options"): coupons.expand_currency_options,
    ("customer", "sources"): customers.expand_empty_list("sources"),
    ("customer", "subscriptions"): customers.expand_empty_list("subscriptions"),
    ("customer", "tax_ids"): tax_ids.expand_tax_ids,
    ("item", "discounts"): checkout_sessions.expand_item_discounts,
    ("item", "taxes"): checkout_sessions.expand_item_taxes,
    ("promotion_code", "restrictions.currency_options"): coupons.expand_minimum_amounts,
}
"""Fields that a response includes only if `expand` names them, by the object's kind and the path inside it."""
PUBLISHABLE = {
    "GET /v1/payment_intents/*",
    "POST /v1/payment_intents/*/confirm",
    "POST /v1/payment_methods",
    "GET /v1/setup_intents/*",
    "POST /v1/setup_intents/*/confirm",
}
"""The operations that accept a publishable key."""

# The order of the hooks is the order of the events.
payments.ON_SUCCESS.extend((checkout_sessions.on_success, early_fraud_warnings.on_success, disputes.on_success))
payments.ON_PROCESSING.append(checkout_sessions.on_unpaid)
payments.ON_AUTHORIZED.append(checkout_sessions.on_unpaid)
payments.ON_FAILURE.extend((checkout_sessions.on_failure, refunds.on_failure))
