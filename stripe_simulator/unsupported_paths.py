"""Parts of Stripe's API that the simulator does not simulate, by their paths.

A request for one is refused by name, and not with the 404 of a path that Stripe does not have.
`tests/stripe/test_unsupported_paths.py` finds an operation of the `stripe` package that is neither here nor a route.
"""

_DRAFTS = "invoices that Checkout has not made"

_ROOTS: dict[str, str] = {
    "account": "the account",
    "account_links": "Connect",
    "account_sessions": "Connect",
    "accounts": "Connect",
    "apple_pay": "wallets",
    "application_fees": "Connect",
    "apps": "Stripe Apps",
    "balance/history": "earlier paths of balance transactions",
    "balance_settings": "balance settings",
    "billing": "usage-based billing",
    "billing_portal": "the customer portal",
    "climate": "Climate",
    "country_specs": "Connect",
    "crypto": "crypto onramps",
    "customer_sessions": "customer sessions",
    "entitlements": "entitlements",
    "ephemeral_keys": "ephemeral keys",
    "exchange_rates": "exchange rates",
    "external_accounts": "Connect",
    "file_links": "files",
    "files": "files",
    "financial_connections": "Financial Connections",
    "forwarding": "forwarding",
    "identity": "Identity",
    "invoice_payments": "invoices",
    "invoice_rendering_templates": "invoices",
    "invoiceitems": "invoice items",
    "issuing": "Issuing",
    "link_account_sessions": "Financial Connections",
    "linked_accounts": "Financial Connections",
    "orders": "orders",
    "payment_attempt_records": "payment records",
    "payment_links": "payment links",
    "payment_method_configurations": "payment method configurations",
    "payment_method_domains": "payment method domains",
    "payment_records": "payment records",
    "plans": "plans",
    "product_catalog": "product catalog imports",
    "quotes": "quotes",
    "radar/payment_evaluations": "Radar's payment evaluations",
    "radar/value_list_items": "Radar's value lists",
    "radar/value_lists": "Radar's value lists",
    "reporting": "reports",
    "reviews": "reviews",
    "setup_attempts": "SetupAttempts",
    "shipping_rates": "shipping rates",
    "sigma": "Sigma",
    "skus": "orders",
    "sources": "sources",
    "subscription_items": "subscriptions",
    "subscription_schedules": "subscription schedules",
    "subscriptions": "subscriptions",
    "tax": "Tax",
    "tax_codes": "Tax",
    "tax_ids": "tax ids",
    "tax_rates": "tax rates",
    "terminal": "Terminal",
    "test_helpers/customers": "cash balances",
    "test_helpers/issuing": "Issuing",
    "test_helpers/terminal": "Terminal",
    "test_helpers/test_clocks": "test clocks",
    "test_helpers/treasury": "Treasury",
    "three_d_secure": "sources",
    "tokens": "tokens",
    "topups": "top-ups",
    "transfers": "Connect",
    "treasury": "Treasury",
    "charges/*/capture": "captures of charges",
    "charges/*/dispute": "earlier paths of disputes",
    "charges/*/refund": "earlier paths of refunds",
    "charges/*/refunds": "earlier paths of refunds",
    "credit_notes/*/void": "voiding credit notes",
    "customers/*/balance_transactions": "customer balances",
    "customers/*/bank_accounts": "sources",
    "customers/*/cards": "sources",
    "customers/*/cash_balance": "cash balances",
    "customers/*/cash_balance_transactions": "cash balances",
    "customers/*/discount": "discounts of customers",
    "customers/*/funding_instructions": "cash balances",
    "customers/*/sources": "sources",
    "customers/*/subscriptions": "subscriptions",
    "invoices/*/add_lines": _DRAFTS,
    "invoices/*/attach_payment": _DRAFTS,
    "invoices/*/finalize": _DRAFTS,
    "invoices/*/lines/*": _DRAFTS,
    "invoices/*/mark_uncollectible": _DRAFTS,
    "invoices/*/pay": _DRAFTS,
    "invoices/*/remove_lines": _DRAFTS,
    "invoices/*/send": _DRAFTS,
    "invoices/*/update_lines": _DRAFTS,
    "invoices/*/void": _DRAFTS,
    "payment_intents/*/amount_details_line_items": "line items of PaymentIntents",
    "payment_intents/*/apply_customer_balance": "cash balances",
    "payment_intents/*/increment_authorization": "incremental authorizations",
    "payment_intents/*/verify_microdeposits": "micro-deposits",
    "payouts/*/reverse": "reversals of payouts",
    "products/*/features": "entitlements",
    "setup_intents/*/verify_microdeposits": "micro-deposits",
}
"""The paths without `/v1/` -> the part of Stripe. Every method and every deeper path is refused."""
_OPERATIONS: dict[str, str] = {
    "POST /v1/charges": "charges without a PaymentIntent",
    "POST /v1/invoices": _DRAFTS,
    "POST /v1/invoices/*": _DRAFTS,
    "DELETE /v1/invoices/*": _DRAFTS,
}
"""Single operations of resources that the simulator has."""
_HINTS: dict[str, str] = {
    "captures of charges": "Capture the PaymentIntent.",
    "charges without a PaymentIntent": "Create a PaymentIntent.",
    "earlier paths of balance transactions": "Use `/v1/balance_transactions`.",
    "earlier paths of disputes": "Use `/v1/disputes`.",
    "earlier paths of refunds": "Use `/v1/refunds`.",
    _DRAFTS: "Create a Checkout Session with `invoice_creation`, and pay it.",
    "reversals of payouts": "Use `POST /_sim/payouts`.",
    "test clocks": "Advance the time with `POST /_sim/clock`.",
    "tokens": "Use a test token, such as `tok_visa`.",
}
"""The alternatives to some parts."""


def _matches(pattern: list[str], parts: list[str]) -> bool:
    """Return whether the first parts are those of the pattern. `*` matches any part that is not empty."""
    pairs = zip(pattern, parts, strict=False)
    return len(parts) >= len(pattern) and all(step == part or (step == "*" and part) for step, part in pairs)


def refusal_of(method: str, path: str) -> str | None:
    """Return the message for an operation of Stripe that is not simulated, or None for a path that Stripe has not."""
    part = _part_of(method, path)
    if part is None:
        return None
    message = f"The simulator does not simulate {part}, although Stripe does ({method} {path})."
    return f"{message} {_HINTS[part]}" if part in _HINTS else message


def _part_of(method: str, path: str) -> str | None:
    """Return the part of Stripe to which an operation belongs."""
    parts = path.strip("/").split("/")
    for root, name in _ROOTS.items():
        if _matches(["v1", *root.split("/")], parts):
            return name
    for operation, name in _OPERATIONS.items():
        verb, _, template = operation.partition(" ")
        pattern = template.strip("/").split("/")
        if verb == method and len(parts) == len(pattern) and _matches(pattern, parts):
            return name
    return None
