"""Our books beside those of Stripe."""

from dataclasses import dataclass
from typing import Annotated

from api_schema.about import About, Currency, Day, Time
from tuition.core import books


@dataclass
class Difference:
    """A difference between our books and Stripe's."""

    kind: Annotated[books.Kind, About(examples=["charge"])]
    day: Annotated[str, About("A UTC day; empty for a difference that is about no day.", examples=["2026-11-23"])]
    currency: Currency | None
    ours: Annotated[int, About("In minor units, below zero for money that left; a count without a currency.")]
    stripe: Annotated[int, About("As `ours`, at Stripe.")]
    ids: Annotated[list[str], About("The ids that differ, at most 20.", examples=[["ch_3SXk2e"]])]


@dataclass
class Books:
    """The result of the daily audit. Everything is null before the first."""

    compared_at: Time | None
    through: Annotated[Day | None, About("The last UTC day that was compared.")]
    equal: Annotated[bool | None, About("Null also while an audit is not finished and has found no difference.")]
    differences: list[Difference]
    unfinished: Annotated[
        list[str], About("The tasks of an audit that are not finished, or have failed and are repeated.", examples=[[]])
    ]
