"""The cost sheet: it is computed from the files, and its figures are those of the price list."""

from decimal import Decimal

import pytest

from tools import costs
from tools.costs import Line

PRICES = costs.read_prices()
LINES = costs.read_lines()


def test_the_page_has_the_computed_table() -> None:
    page = costs.PAGE.read_text(encoding="utf-8")
    assert costs.updated(page) == page, "run make costs"


def test_a_million_writes_cost_the_price_of_the_list() -> None:
    line = Line("writes", "dynamodb_write", Decimal(100))
    assert costs.cost(line, 10_000, PRICES) == Decimal("0.625")


def test_a_monthly_count_costs_the_same_with_any_number_of_purchases() -> None:
    line = Line("secrets", "secret", per_month=Decimal(2))
    assert {costs.cost(line, number, PRICES) for number in (0, 1, 1_000_000)} == {Decimal("0.80")}


def test_the_sum_is_that_of_the_lines() -> None:
    assert costs.sum_of(LINES, 1_000, PRICES) == sum(costs.cost(line, 1_000, PRICES) for line in LINES)


@pytest.mark.parametrize("name", sorted(PRICES))
def test_a_price_has_a_unit_and_a_source(name: str) -> None:
    price = PRICES[name]
    assert Decimal(price["price"]) > 0 and price["per"] >= 1 and price["unit"]
    assert price["source"].startswith("https://aws.amazon.com/")


def test_every_price_is_used() -> None:
    assert {line.price for line in LINES} == set(PRICES)


def test_a_purchase_costs_less_than_a_cent_without_its_student() -> None:
    """The student's account and email do not depend on the code."""
    own = [line for line in LINES if line.price not in ("cognito_lite", "ses")]
    marginal = costs.sum_of(own, 100_000, PRICES) - costs.sum_of(own, 0, PRICES)
    assert marginal / 100_000 < Decimal("0.01")
