"""The supported currencies, the amounts that can be charged in them, and the format of amounts.

https://docs.stripe.com/currencies
"""

from stripe_simulator.errors import validation_error

_CODES = (
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp "
    "cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr "
    "isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn "
    "myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle "
    "sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar "
    "zmw"
)
CURRENCIES = frozenset(_CODES.split())
# fmt: off
MIN_AMOUNTS = {
    "aed": 200, "ars": 50, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "cop": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "idr": 50, "ils": 50, "inr": 50, "jpy": 50, "krw": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "php": 50, "pln": 200, "ron": 200, "rub": 50, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
    "zar": 50,
}
# fmt: on
"""The minimum charge amounts. The simulator does not convert currencies, so the others have none."""
MAX_AMOUNTS = {"idr": 999_999_999_999, "cop": 9_999_999_999, "inr": 999_999_999}
MAX_AMOUNT = 99_999_999
"""Eight digits, except for MAX_AMOUNTS: these amounts are possible with every payment method."""
ZERO_DECIMAL = frozenset(
    {
        *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"),
    }
)
"""Currencies without decimals: the amount 500 is ¥500."""
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
WHOLE_UNITS = frozenset({"isk", "ugx"})
"""Currencies without fractions, whose amounts nevertheless have two decimals: 500 is 5 ISK."""
WHOLE_UNIT_PAYOUTS = WHOLE_UNITS | {"huf", "twd"}
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def parse(value: str, param: str = "currency") -> str:
    """Return the currency in lower case. Raises StripeError for an unsupported currency."""
    if value.lower() not in CURRENCIES:
        message = f"Invalid currency: {value}. Stripe supports these currencies: {', '.join(sorted(CURRENCIES))}"
        raise validation_error(message, param=param)
    return value.lower()


def format_amount(amount: int, currency: str) -> str:
    """Return `$499.00`, `¥500`, or `499.00 SEK` for a currency without a symbol in SYMBOLS."""
    decimals = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, fraction = divmod(abs(amount), 10**decimals)
    text = f"{whole:,}.{fraction:0{decimals}}" if decimals else f"{whole:,}"
    return SYMBOLS[currency] + text if currency in SYMBOLS else f"{text} {currency.upper()}"


def minimum_amount(currency: str) -> int:
    """Return the minimum charge amount; 1 for a currency that Stripe publishes none for."""
    return MIN_AMOUNTS.get(currency, 1)


def maximum_amount(currency: str) -> int:
    """Return the maximum charge amount."""
    return MAX_AMOUNTS.get(currency, MAX_AMOUNT)


def check_multiple(amount: int, currency: str, param: str | None = "amount") -> None:
    """Raise StripeError if the amount of a charge or a refund is a fraction that its currency does not have.

    Stripe documents the rule, and not its message: https://docs.stripe.com/currencies#special-cases
    """
    step = 100 if currency in WHOLE_UNITS else 10 if currency in THREE_DECIMAL else 1
    if amount % step:
        message = f"Invalid amount: amounts in {currency} must be evenly divisible by {step}."
        raise validation_error(message, code="parameter_invalid_integer", param=param)


def check_payout(amount: int, currency: str) -> None:
    """Raise StripeError if a manual payout has a fraction in a currency that is paid out in whole units only."""
    if amount % 100 and currency in WHOLE_UNIT_PAYOUTS:
        message = f"Invalid amount: payouts in {currency} must be evenly divisible by 100."
        raise validation_error(message, code="parameter_invalid_integer", param="amount")


def check_amount(amount: int, currency: str) -> None:
    """Raise StripeError unless a payment of the amount is possible.

    https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
    """
    if amount <= 0:
        message = "Invalid positive integer" if amount else "This value must be greater than or equal to 1."
        raise validation_error(message, code="parameter_invalid_integer", param="amount")
    if amount < minimum_amount(currency):
        minimum = format_amount(minimum_amount(currency), currency)
        raise validation_error(f"Amount must be at least {minimum} {currency}", code="amount_too_small", param="amount")
    if amount > maximum_amount(currency):
        maximum = format_amount(maximum_amount(currency), currency)
        raise validation_error(f"Amount must be no more than {maximum}", code="amount_too_large", param="amount")
    check_multiple(amount, currency)
