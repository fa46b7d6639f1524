"""The acceptance of a mandate, which Stripe.js sends with a bank debit, as form parameters. A card ignores it."""

_PATH = "mandate_data[customer_acceptance]"
ACCEPTANCE = {
    f"{_PATH}[type]": "online",
    f"{_PATH}[online][ip_address]": "192.0.2.1",
    f"{_PATH}[online][user_agent]": "tests",
}
