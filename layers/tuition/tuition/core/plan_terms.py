"""The terms of a plan, as the student agreed to them. No later catalog changes them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tuition.core import timestamps
from tuition.core.money import Money
from tuition.core.offers import Every, PlanOffer
from tuition.core.plan_rules import PlanRules
from tuition.core.stored import read

MAX_PERIODS = 240
"""How many periods a membership has at most: 20 years of months. Every payment of a plan is on its item."""

_DEFAULT = PlanRules()
_DAYS: Mapping[str, int] = {"week": 7, "2 weeks": 14}
_MONTHS: Mapping[str, int] = {"month": 1, "year": 12}


@dataclass(frozen=True, kw_only=True)
class PlanTerms:
    """The amounts and dates that a student agreed to, and the rules for money that is late.

    `amounts` are those of the installments in minor units, from installment 1; an `endless` plan, a membership, has the
    one amount of every period. `agreed_at` is in epoch seconds. `retry_days` are counted from the collection day, and
    so are `grace_days` and `give_up_days`. `notice_days` lie between the announcement of a charge and the charge.
    `zone` is the school's time zone by its IANA name. Every day of the plan is a day there.
    """

    offer: str
    amounts: tuple[int, ...]
    currency: str
    every: Every
    consent_version: str
    agreed_at: int
    endless: bool = False
    grace_days: int = _DEFAULT.grace_days
    retry_days: tuple[int, ...] = _DEFAULT.retry_days
    give_up_days: int = _DEFAULT.give_up_days
    notice_days: int = _DEFAULT.notice_days
    zone: str = timestamps.UTC_ZONE

    @classmethod
    def of(cls, offer: PlanOffer, rules: PlanRules, *, zone: str, consent_version: str, agreed_at: int) -> "PlanTerms":
        """Return the terms of a plan that is begun now with an offer of the catalog and the school's rules."""
        return cls(
            offer=offer.offer,
            amounts=offer.amounts,
            currency=offer.currency,
            every=offer.every,
            endless=offer.endless,
            **rules._asdict(),
            zone=zone,
            consent_version=consent_version,
            agreed_at=agreed_at,
        )

    @property
    def rules(self) -> PlanRules:
        """The rules with which the plan began."""
        return PlanRules(self.grace_days, self.retry_days, self.give_up_days, self.notice_days)

    @property
    def seqs(self) -> range:
        """The numbers of the installments, from 1."""
        return range(1, (MAX_PERIODS if self.endless else len(self.amounts)) + 1)

    @property
    def total(self) -> Money | None:
        """The sum of all installments; None for an endless plan."""
        return None if self.endless else self.amount_of(self.seqs)

    def amount_of(self, seqs: Iterable[int]) -> Money:
        """Return the sum of some installments."""
        return Money(sum(self.amounts[0 if self.endless else seq - 1] for seq in seqs), self.currency)

    def due_day(self, anchor: str, seq: int) -> str:
        """Return the day on which an installment is due, counted from the anchor and never from another due day.

        So the plan of 31 January is due on 28 February and 31 March.
        """
        if self.every in _DAYS:
            return timestamps.day_after(anchor, _DAYS[self.every] * (seq - 1))
        return timestamps.months_after(anchor, _MONTHS[self.every] * (seq - 1))

    def day_of(self, at: int) -> str:
        """Return the school's day of a moment."""
        return timestamps.day_of(at, self.zone)

    def start_of(self, day: str) -> int:
        """Return when a day starts at the school (epoch seconds)."""
        return timestamps.start_of(day, self.zone)

    def require_possible(self) -> None:
        """Raise `ValueError` for terms that no school offers. Metadata at Stripe can be edited, and then hold anything.

        Raises `TypeError` too.
        """
        days = (*self.retry_days, self.grace_days, self.give_up_days, self.notice_days)
        are_rules = all(type(number) is int for number in days) and self.rules.problem() is None
        are_amounts = all(type(amount) is int and amount > 0 for amount in self.amounts)
        are_texts = all(isinstance(text, str) for text in (self.offer, self.consent_version, self.currency, self.zone))
        is_known = self.every in {*_DAYS, *_MONTHS} and type(self.agreed_at) is int and type(self.endless) is bool
        if not (are_rules and are_amounts and are_texts and is_known and self.amounts):
            raise ValueError("these are no terms of a plan")
        timestamps.zone_info(self.zone)
        Money(self.amounts[0], self.currency)

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "PlanTerms":
        """Return the terms that `to_json` wrote."""
        lists = {name: tuple(stored[name]) for name in ("amounts", "retry_days") if name in stored}
        return read(cls, {**stored, **lists})
