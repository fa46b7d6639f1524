"""The text to which a student agrees before they begin a plan."""

import re

import pytest

from tuition.core import money
from tuition.core.consent import School, consent
from tuition.core.offers import PlanOffer
from tuition.core.plan_rules import PlanRules

SCHOOL = School("School of Data", "help@example.org", "https://example.org/terms", 14, is_eu=False)
RULES = PlanRules()
FOUR_TIMES = PlanOffer("4x", (12_475,) * 4, "usd", "month")
MEMBERSHIP = PlanOffer("monthly", (4_900,), "usd", "month", endless=True)
WHOLE = """
You pay School of Data 499.00 USD for Data Professional in 4 payments: 124.75 USD now, then 3 times 124.75 USD, one
every month. There is no interest and no fee.

The dates count from the day on which we receive the first payment. In a month that does not have that day, the last
day counts.

Stripe stores the card or bank account that you pay with. You authorize School of Data to send instructions to the
financial institution that issued your card or holds your account, to take these payments from your account on their
dates, also while you are not on this page.

We announce each later charge by email at least 7 days before it, with its amount and its date. Until then you can pay
it yourself, or choose another card or bank account, on your payments page.

If a charge fails, we try again 3, 7 and 12 days later, and tell you by email. We debit a bank account 3 times at most.
You keep your access for 14 days. Then it is suspended until you pay what is due, and your progress is kept. After 60
days the plan ends, and you can still pay the rest to continue.

Within 14 days of the first payment you can cancel on your payments page, and get all your money back. If you paid from
a bank account, or we refunded you before, the school decides first. Later, ask the school on your payments page, or
write to help@example.org. The school then decides how the plan ends.

The amounts and the rules of this agreement stay as they are, also if our prices change.

Our terms of sale apply too: https://example.org/terms
"""


def text(offer: PlanOffer = FOUR_TIMES, school: School = SCHOOL, rules: PlanRules = RULES) -> str:
    return consent(offer, "Data Professional", school, rules).text


def test_the_text_of_installments_says_what_is_charged_and_when_and_how_it_ends() -> None:
    assert text().split("\n") == [" ".join(paragraph.split()) for paragraph in WHOLE.split("\n\n")]


def test_the_text_of_a_membership_says_that_it_continues_until_it_is_canceled() -> None:
    paragraphs = text(MEMBERSHIP).split("\n")
    assert paragraphs[0] == (
        "You pay School of Data 49.00 USD for Data Professional now, and the same amount every month until you cancel."
    )
    assert "your membership ends, and you owe nothing for that time." in paragraphs[4]
    assert "You can cancel at any time on your payments page" in paragraphs[5]
    assert "no charge follows" in paragraphs[5]


@pytest.mark.parametrize(
    ("amounts", "every", "sentence"),
    [
        ((20_000, 10_000), "week", "2 payments: 200.00 USD now, then 100.00 USD, one every week."),
        ((20_000, 10_000, 10_000), "2 weeks", "200.00 USD now, then 2 times 100.00 USD, one every 2 weeks."),
        ((10_000, 10_000, 5_000), "month", "100.00 USD now, then 100.00 USD, then 50.00 USD, one every month."),
    ],
)
def test_different_amounts_are_named_in_their_order(amounts: tuple[int, ...], every: str, sentence: str) -> None:
    shown = text(PlanOffer("x", amounts, "usd", every))  # type: ignore[arg-type]
    assert sentence in shown
    assert ("does not have that day" in shown) == (every == "month")


def test_where_students_can_withdraw_from_the_contract_the_text_says_so() -> None:
    in_the_eu = text(school=SCHOOL._replace(is_eu=True))
    assert "you can withdraw from the contract without a reason on your payments page" in in_the_eu
    assert "the school decides first" not in in_the_eu
    without = text(school=SCHOOL._replace(refund_days=0, support="", terms_url=""))
    assert "Within" not in without and "To end the plan, ask the school on your payments page." in without
    assert "write to" not in without and "terms of sale" not in without


def test_every_rule_of_a_plan_is_in_its_text_and_changes_its_version() -> None:
    changes = {"grace_days": 21, "retry_days": (0, 5), "give_up_days": 90, "notice_days": 1}
    assert changes.keys() == set(PlanRules._fields)
    versions = {consent(FOUR_TIMES, "Data Professional", SCHOOL, RULES).version}
    for name, value in changes.items():
        other = consent(FOUR_TIMES, "Data Professional", SCHOOL, RULES._replace(**{name: value}))
        assert str(value if isinstance(value, int) else value[-1]) in other.text
        versions.add(other.version)
    assert "If a charge fails, we try again 1 day later, and tell" in text(rules=RULES._replace(retry_days=(0, 1)))
    without = text(rules=RULES._replace(retry_days=(0,)))
    assert "If a charge fails, we do not try again, and tell" in without and "debit" not in without
    versions |= {consent(MEMBERSHIP, "Data Professional", SCHOOL, RULES).version}
    versions |= {consent(FOUR_TIMES, "Data Professional", SCHOOL._replace(name="Another"), RULES).version}
    assert len(versions) == 3 + len(changes)
    assert all(re.fullmatch(r"\d{4}-\d{2}-[0-9a-f]{10}", version) for version in versions)
    assert consent(FOUR_TIMES, "Data Professional", SCHOOL, RULES).version in versions


def test_amounts_are_written_in_every_currency_of_stripe() -> None:
    for currency in money.CURRENCIES:
        part = money.least_charge(currency)
        offer = PlanOffer("2x", (part.amount, part.amount), currency, "month")
        assert f"You pay School of Data {offer.total} for" in text(offer)
        assert f": {part} now, then {part}, one every month." in text(offer)
