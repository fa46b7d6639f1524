"""The type of every amount of money, and what Stripe asks of an amount in each currency.

Stripe counts every amount in the minor unit of its currency, and never in fractions of it. How many decimals a currency
has, and which amounts it can charge, are rules of Stripe: ISO 4217 and the browser's `Intl` differ from them.

Source: https://docs.stripe.com/currencies
"""

from dataclasses import dataclass

_CODES = (
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp "
    "cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr "
    "isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn "
    "myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle "
    "sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar "
    "zmw"
)
CURRENCIES = frozenset(_CODES.split())
"""The currencies in which Stripe can charge. An amount that Stripe names may be in one that is newer than this list."""
WITHOUT_DECIMALS = frozenset(
    {
        *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"),
    }
)
WITH_THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
IN_WHOLE_UNITS = frozenset({"isk", "ugx"})
"""Stripe counts these in hundredths, and charges no fraction of the unit: 5 kronur are 500, and 501 is refused."""
# fmt: off
LEAST_CHARGES = {
    "aed": 200, "ars": 50, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "cop": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "idr": 50, "ils": 50, "inr": 50, "jpy": 50, "krw": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "php": 50, "pln": 200, "ron": 200, "rub": 50, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
    "zar": 50,
}
# fmt: on
"""The least amounts that Stripe charges, in minor units.

Stripe has one for each currency in which it pays out. A charge in another currency must be worth the least amount of
the currency to which Stripe converts it, which only Stripe can compute.
"""


@dataclass(frozen=True)
class Money:
    """An amount in the minor unit of its currency (cents for `usd`), as Stripe counts it."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        """Reject an amount or a currency that is not written as Stripe writes it."""
        if type(self.amount) is not int:
            raise TypeError(f"amount must be an int in minor units, not {self.amount!r}")
        if self.currency != self.currency.lower():
            raise ValueError(f"currency must be in lower case, not {self.currency!r}")

    @property
    def decimals(self) -> int:
        """How many decimals Stripe counts in this currency: 2 for `isk` too, whose decimals are always 00."""
        return 0 if self.currency in WITHOUT_DECIMALS else 3 if self.currency in WITH_THREE_DECIMALS else 2

    @property
    def decimal(self) -> str:
        """The amount in the major unit, exactly: `499.00` for 49900 cents."""
        whole, rest = divmod(abs(self.amount), 10**self.decimals)
        text = f"{whole}.{rest:0{self.decimals}}" if self.decimals else str(whole)
        return f"-{text}" if self.amount < 0 else text

    def __str__(self) -> str:
        """Format as `499.00 USD`."""
        return f"{self.decimal} {self.currency.upper()}"


def step(currency: str) -> Money:
    """Return the amount of which every charge and refund in a currency is a multiple: mostly one minor unit.

    It is ten where there are three decimals, because the card networks have two.
    Source: https://docs.stripe.com/currencies#three-decimal
    """
    return Money(100 if currency in IN_WHOLE_UNITS else 10 if currency in WITH_THREE_DECIMALS else 1, currency)


def least_charge(currency: str) -> Money:
    """Return the least amount that can be charged in a currency, as far as Stripe publishes it: else one step."""
    return Money(LEAST_CHARGES.get(currency, step(currency).amount), currency)


def is_on_step(money: Money) -> bool:
    """Whether Stripe could charge or refund exactly this amount, if it is neither too small nor too large."""
    return money.amount % step(money.currency).amount == 0


def charge_problem(money: Money) -> str | None:
    """Return why Stripe cannot charge an amount, as the end of a sentence about it; None if it can."""
    least = least_charge(money.currency)
    if money.currency not in CURRENCIES:
        return f"is in {money.currency!r}, which is no currency of Stripe's"
    if money.amount < least.amount:
        return f"is less than the least charge, {least}"
    if not is_on_step(money):
        return f"is not a multiple of {step(money.currency)}"
    return None
