"""The currencies in which can be charged, what is least and most of them, and how an amount is written.

https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
"""

from stripe_simulator.errors import unvalidated

# fmt: off
SMALLEST = {
    "usd": 50, "eur": 50, "gbp": 30, "cad": 50, "aud": 50, "chf": 50, "jpy": 50, "sek": 300,
    "dkk": 250, "nok": 300, "nzd": 50, "sgd": 50, "inr": 50, "brl": 50, "pln": 200, "czk": 1500,
    "huf": 17500, "ron": 200, "mxn": 1000, "hkd": 400, "myr": 200, "thb": 1000, "aed": 200,
}
# fmt: on
LARGEST = 99_999_999
WHOLE = {"jpy"}  # no smaller unit: 500 is ¥500
SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def known(given: str, param: str = "currency") -> str:
    """The currency in lower case; StripeError for one in which nothing can be charged."""
    if given.lower() not in SMALLEST:
        raise unvalidated(f"Invalid currency: {given}. The simulator supports: {', '.join(SMALLEST)}", param=param)
    return given.lower()


def written(amount: int, currency: str) -> str:
    """`$499.00`, `¥500`, or `499.00 SEK` for what has no sign of its own here."""
    whole, cents = divmod(abs(amount), 100)
    text = f"{abs(amount):,}" if currency in WHOLE else f"{whole:,}.{cents:02}"
    return SIGNS[currency] + text if currency in SIGNS else f"{text} {currency.upper()}"


def check(amount: int, currency: str) -> None:
    """StripeError unless the amount can be charged."""
    if amount < SMALLEST[currency]:
        least = written(SMALLEST[currency], currency)
        raise unvalidated(f"Amount must be at least {least} {currency}", code="amount_too_small", param="amount")
    if amount > LARGEST:
        most = written(LARGEST, currency)
        raise unvalidated(f"Amount must be no more than {most}", code="amount_too_large", param="amount")
