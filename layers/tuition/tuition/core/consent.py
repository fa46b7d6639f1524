"""The text to which a student agrees before they begin a plan, in plain words, with its version.

Charges that are made while the student is away need their agreement beforehand: that they permit them, how often they
are made, and how their amount is determined. Card networks call it an agreement on stored credentials, banks a mandate.

Source: https://docs.stripe.com/payments/setup-intents#mandates
"""

import hashlib
from typing import NamedTuple

from tuition.core.money import Money
from tuition.core.offers import Every, PlanOffer
from tuition.core.plan_rules import MAX_DEBIT_TRIES, PlanRules

WORDING = "2026-11"
"""The month in which these sentences were last changed. With it the sentences of an agreement are found."""


class School(NamedTuple):
    """The words of the text about the school. `support`, the contact, and `terms_url` may be empty.

    `refund_days` are those after the first payment in which a student gets their money back, and `is_eu` whether that
    is the right to withdraw from the contract.
    """

    name: str
    support: str
    terms_url: str
    refund_days: int
    is_eu: bool


class Consent(NamedTuple):
    """A text, its paragraphs separated by line breaks, and its version: another text has another version."""

    version: str
    text: str


def consent(offer: PlanOffer, title: str, school: School, rules: PlanRules) -> Consent:
    """Return the text of an offer for the track or membership with this title."""
    paragraphs = [
        _what_is_paid(offer, title, school),
        _when(offer),
        f"Stripe stores the card or bank account that you pay with. You authorize {school.name} to send instructions "
        "to the financial institution that issued your card or holds your account, to take these payments from your "
        "account on their dates, also while you are not on this page.",
        f"We announce each later charge by email at least {_days(rules.notice_days)} before it, with its amount and "
        "its date. Until then you can pay it yourself, or choose another card or bank account, on your payments page.",
        _when_it_fails(offer, rules),
        _how_to_cancel(offer, school),
        "The amounts and the rules of this agreement stay as they are, also if our prices change.",
    ]
    if school.terms_url:
        paragraphs.append(f"Our terms of sale apply too: {school.terms_url}")
    text = "\n".join(paragraphs)
    return Consent(f"{WORDING}-{hashlib.sha256(text.encode()).hexdigest()[:10]}", text)


def _what_is_paid(offer: PlanOffer, title: str, school: School) -> str:
    first, *later = offer.payments
    if offer.endless:
        later_ones = f"the same amount {_often(offer.every)} until you cancel"
        return f"You pay {school.name} {first} for {title} now, and {later_ones}."
    rest = ", then ".join(str(amount) if number == 1 else f"{number} times {amount}" for amount, number in _runs(later))
    return (
        f"You pay {school.name} {offer.total} for {title} in {len(offer.amounts)} payments: {first} now, then {rest}, "
        f"one {_often(offer.every)}. There is no interest and no fee."
    )


def _runs(amounts: list[Money]) -> list[tuple[Money, int]]:
    """Return the amounts in their order, those that follow each other once with their number."""
    runs: list[tuple[Money, int]] = []
    for amount in amounts:
        number = 1
        if runs and runs[-1][0] == amount:
            number += runs.pop()[1]
        runs.append((amount, number))
    return runs


def _when(offer: PlanOffer) -> str:
    text = "The dates count from the day on which we receive the first payment."
    if offer.every in ("month", "year"):
        text += " In a month that does not have that day, the last day counts."
    return text


def _when_it_fails(offer: PlanOffer, rules: PlanRules) -> str:
    retries = [str(day) for day in rules.retry_days if day]
    later = f"{_listed(retries)} day{'' if retries[-1:] == ['1'] else 's'} later" if retries else ""
    again = f"we try again {later}" if retries else "we do not try again"
    text = f"If a charge fails, {again}, and tell you by email. "
    if len(rules.retry_days) > MAX_DEBIT_TRIES:
        text += f"We debit a bank account {MAX_DEBIT_TRIES} times at most. "
    text += f"You keep your access for {_days(rules.grace_days)}. "
    if offer.endless:
        return text + "If nothing is paid by then, your membership ends, and you owe nothing for that time."
    return text + (
        "Then it is suspended until you pay what is due, and your progress is kept. "
        f"After {_days(rules.give_up_days)} the plan ends, and you can still pay the rest to continue."
    )


def _how_to_cancel(offer: PlanOffer, school: School) -> str:
    contact = f", or write to {school.support}" if school.support else ""
    action = "withdraw from the contract without a reason" if school.is_eu else "cancel"
    within = f"Within {_days(school.refund_days)} of the first payment you can {action} on your payments page, and get "
    refund = f"{within}all your money back. " if school.refund_days else ""
    if refund and not school.is_eu:
        refund += "If you paid from a bank account, or we refunded you before, the school decides first. "
    if offer.endless:
        return (
            f"{refund}You can cancel at any time on your payments page{contact}. Your membership then ends with the "
            "period that you have paid, and no charge follows."
        )
    later = "Later, ask" if refund else "To end the plan, ask"
    return f"{refund}{later} the school on your payments page{contact}. The school then decides how the plan ends."


def _often(every: Every) -> str:
    return f"every {every}"


def _days(number: int) -> str:
    return f"{number} day{'' if number == 1 else 's'}"


def _listed(texts: list[str]) -> str:
    return " and ".join([*([", ".join(texts[:-1])] if len(texts) > 1 else []), texts[-1]])
