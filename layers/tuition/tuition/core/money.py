"""The type of every amount of money."""

from dataclasses import dataclass

WITHOUT_DECIMALS = frozenset(
    {
        *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"),
    }
)
WITH_THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


@dataclass(frozen=True)
class Money:
    """An amount in the minor unit of its currency (cents for `usd`), as Stripe counts it.

    Source: https://docs.stripe.com/currencies#zero-decimal
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        """Reject an amount or a currency that is not written as Stripe writes it."""
        if type(self.amount) is not int:
            raise TypeError(f"amount must be an int in minor units, not {self.amount!r}")
        if self.currency != self.currency.lower():
            raise ValueError(f"currency must be in lower case, not {self.currency!r}")

    @property
    def decimal(self) -> str:
        """The amount in the major unit, exactly: `499.00` for 49900 cents. Stripe counts `isk` in hundredths too."""
        decimals = 0 if self.currency in WITHOUT_DECIMALS else 3 if self.currency in WITH_THREE_DECIMALS else 2
        whole, rest = divmod(abs(self.amount), 10**decimals)
        text = f"{whole}.{rest:0{decimals}}" if decimals else str(whole)
        return f"-{text}" if self.amount < 0 else text

    def __str__(self) -> str:
        """Format as `499.00 USD`."""
        return f"{self.decimal} {self.currency.upper()}"
