"""Ways to pay in several payments: installments of a track's price, or a membership."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, cast

from tuition.core.money import Money, charge_problem
from tuition.core.plan_rules import PlanRules, RuleProblem
from tuition.core.refs import PlanKind, plan_kind

Every = Literal["week", "2 weeks", "month", "year"]
"""The time between two payments."""
MAX_INSTALLMENTS = 4
"""Of one offer. In the US more than four, or a finance charge, would be consumer credit (12 CFR 1026.17(c)(6))."""
LEAST_DAYS: Mapping[Every, int] = {"week": 7, "2 weeks": 14, "month": 28, "year": 365}
"""How many days such a time has at least."""
OF_INSTALLMENTS: tuple[Every, ...] = ("week", "2 weeks", "month")
OF_MEMBERSHIPS: tuple[Every, ...] = ("month", "year")
FULL = "full"
"""The name of the whole price at once, which is bought without a plan. No offer of the catalog is called so."""
MAX_NAME_LENGTH = 20


class PlanOffer(NamedTuple):
    """An offer of the catalog. `amounts` are its payments in minor units of `currency`; a membership has one amount."""

    offer: str
    amounts: tuple[int, ...]
    currency: str
    every: Every
    endless: bool = False

    @property
    def kind(self) -> PlanKind:
        """Whether it splits a price or never ends."""
        return plan_kind(is_membership=self.endless)

    @property
    def payments(self) -> list[Money]:
        """The amounts with their currency."""
        return [Money(amount, self.currency) for amount in self.amounts]

    @property
    def total(self) -> Money:
        """The sum of the amounts: the price of a track, or of one period of a membership."""
        return Money(sum(self.amounts), self.currency)

    def problem_with(self, rules: PlanRules) -> RuleProblem | None:
        """Return why a plan of this offer cannot have these rules: its charges would be later than agreed."""
        least = LEAST_DAYS[self.every]
        if rules.notice_days <= least:
            return None
        return RuleProblem("notice_days", f"must be at most {least}, for the offer {self.offer} of every {self.every}")


def installments(entries: object, product: str, price: Money) -> tuple[PlanOffer, ...]:
    """Return the offers of a track with this price. Raises `KeyError`, `TypeError` or `ValueError` if one is wrong."""
    offers = _parsed(entries, product, price.currency, OF_INSTALLMENTS)
    for one in offers:
        if not 2 <= len(one.amounts) <= MAX_INSTALLMENTS:
            raise ValueError(f"{_name(one, product)} must have 2 to {MAX_INSTALLMENTS} amounts, not {len(one.amounts)}")
        if one.total != price:
            raise ValueError(f"the amounts of {_name(one, product)} add up to {one.total}, and not to {price}")
    return offers


def memberships(entries: object, product: str, currency: str) -> tuple[PlanOffer, ...]:
    """Return the offers of a membership. Raises `KeyError`, `TypeError` or `ValueError` if one is wrong."""
    offers = tuple(one._replace(endless=True) for one in _parsed(entries, product, currency, OF_MEMBERSHIPS))
    for one in offers:
        if len(one.amounts) != 1:
            raise ValueError(f"{_name(one, product)} must have one amount, that of every {one.every}")
    if not offers:
        raise ValueError(f"the membership {product} has no offer")
    return offers


def _parsed(entries: object, product: str, currency: str, possible: Iterable[Every]) -> tuple[PlanOffer, ...]:
    if not isinstance(entries, list):
        raise TypeError(f"the offers of {product} must be a list of tables")
    offers = tuple(_offer(entry, product, currency, possible) for entry in entries)
    names = [one.offer for one in offers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{product} has two offers with the name {twice[0]}")
    return offers


def _offer(entry: Mapping[str, Any], product: str, currency: str, possible: Iterable[Every]) -> PlanOffer:
    unknown = sorted(set(entry) - {"offer", "amounts", "every"})
    if unknown:
        raise TypeError(f"an offer of {product} has the field {unknown[0]}, which is unknown")
    name, amounts, every = entry["offer"], entry["amounts"], entry["every"]
    if not _is_name(name):
        raise ValueError(f"an offer of {product} cannot have the name {name!r}")
    if not isinstance(amounts, list):
        raise TypeError(f"the amounts of the offer {name} of {product} must be a list of whole numbers")
    if every not in possible:
        raise ValueError(f"every of the offer {name} of {product} must be {' or '.join(possible)}, and not {every!r}")
    offer = PlanOffer(name, tuple(amounts), currency, cast(Every, every))
    for number, payment in enumerate(offer.payments, start=1):
        if problem := charge_problem(payment):
            raise ValueError(f"amount {number} of {_name(offer, product)}, {payment}, {problem}")
    return offer


def _is_name(name: object) -> bool:
    """Whether an offer can have this name: small letters, digits and dashes, as it is part of an address."""
    is_text = isinstance(name, str) and 0 < len(name) <= MAX_NAME_LENGTH and name != FULL
    return is_text and all(each in "abcdefghijklmnopqrstuvwxyz0123456789-" for each in str(name))


def _name(offer: PlanOffer, product: str) -> str:
    return f"the offer {offer.offer} of {product}"
