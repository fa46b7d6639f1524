"""The type of every amount of money."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
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

    def __str__(self) -> str:
        """Format as `499.00 USD`. Every currency that a track is sold in has two decimals."""
        whole, cents = divmod(self.amount, 100)
        return f"{whole}.{cents:02d} {self.currency.upper()}"
