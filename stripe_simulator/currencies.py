"""The supported currencies, their minimum and maximum amounts, and the format of amounts.

https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
"""

from stripe_simulator.errors import validation_error

# fmt: off
MIN_AMOUNTS = {
    "usd": 50, "eur": 50, "gbp": 30, "cad": 50, "aud": 50, "chf": 50, "jpy": 50, "sek": 300,
    "dkk": 250, "nok": 300, "nzd": 50, "sgd": 50, "inr": 50, "brl": 50, "pln": 200, "czk": 1500,
    "huf": 17500, "ron": 200, "mxn": 1000, "hkd": 400, "myr": 200, "thb": 1000, "aed": 200,
}
# fmt: on
MAX_AMOUNT = 99_999_999
ZERO_DECIMAL = {"jpy"}  # the amount 500 is ¥500
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def parse(value: str, param: str = "currency") -> str:
    """Return the currency in lower case. Raises StripeError for an unsupported currency."""
    if value.lower() not in MIN_AMOUNTS:
        message = f"Invalid currency: {value}. The simulator supports: {', '.join(MIN_AMOUNTS)}"
        raise validation_error(message, param=param)
    return value.lower()


def format_amount(amount: int, currency: str) -> str:
    """Return `$499.00`, `¥500`, or `499.00 SEK` for a currency without a symbol in SYMBOLS."""
    whole, cents = divmod(abs(amount), 100)
    text = f"{abs(amount):,}" if currency in ZERO_DECIMAL else f"{whole:,}.{cents:02}"
    return SYMBOLS[currency] + text if currency in SYMBOLS else f"{text} {currency.upper()}"


def check_amount(amount: int, currency: str) -> None:
    """Raise StripeError unless a payment of the amount is possible."""
    if amount <= 0:
        message = "Invalid positive integer" if amount else "This value must be greater than or equal to 1."
        raise validation_error(message, code="parameter_invalid_integer", param="amount")
    if amount < MIN_AMOUNTS[currency]:
        minimum = format_amount(MIN_AMOUNTS[currency], currency)
        raise validation_error(f"Amount must be at least {minimum} {currency}", code="amount_too_small", param="amount")
    if amount > MAX_AMOUNT:
        maximum = format_amount(MAX_AMOUNT, currency)
        raise validation_error(f"Amount must be no more than {maximum}", code="amount_too_large", param="amount")
