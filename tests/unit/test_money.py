"""The money type, and the rules of each currency."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tuition.core import money
from tuition.core.money import Money

CURRENCIES = sorted(money.CURRENCIES)
AMOUNTS = some.integers(-(10**15), 10**15)


@pytest.mark.parametrize("amount", [499.0, "49900", None, True])
def test_an_amount_must_be_an_integer_of_minor_units(amount: object) -> None:
    with pytest.raises(TypeError):
        Money(amount, "usd")  # type: ignore[arg-type]


def test_a_currency_must_be_lower_case_as_in_stripes_api() -> None:
    with pytest.raises(ValueError):
        Money(1, "USD")


@pytest.mark.parametrize(
    ("amount", "text"), [(49900, "499.00 USD"), (5, "0.05 USD"), (0, "0.00 USD"), (100, "1.00 USD")]
)
def test_money_is_formatted_with_two_decimals(amount: int, text: str) -> None:
    assert str(Money(amount, "usd")) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (49900, "usd", "499.00"),
        (5, "eur", "0.05"),
        (-100, "usd", "-1.00"),
        (0, "usd", "0.00"),
        (5000, "jpy", "5000"),
        (5000, "kwd", "5.000"),
        (5000, "ugx", "50.00"),
        (5000, "isk", "50.00"),
        (5000, "huf", "50.00"),
        (5000, "twd", "50.00"),
        (10**15 + 1, "usd", "10000000000000.01"),
    ],
)
def test_a_decimal_amount_has_the_decimals_of_its_currency(amount: int, currency: str, text: str) -> None:
    assert Money(amount, currency).decimal == text


def test_equal_amounts_in_different_currencies_are_not_equal() -> None:
    assert Money(1, "usd") != Money(1, "eur")


@given(AMOUNTS, some.sampled_from(CURRENCIES))
def test_a_decimal_amount_is_exact_in_every_currency(amount: int, currency: str) -> None:
    one = Money(amount, currency)
    whole, _, decimals = one.decimal.partition(".")
    assert len(decimals) == one.decimals
    assert int(whole + decimals) == amount
    assert one.decimal.startswith("-") == (amount < 0)
    assert str(one) == f"{one.decimal} {currency.upper()}"


def test_the_lists_of_special_currencies_name_currencies_of_stripe() -> None:
    named = (money.WITHOUT_DECIMALS, money.WITH_THREE_DECIMALS, money.IN_WHOLE_UNITS, money.LEAST_CHARGES.keys())
    assert all(set(codes) <= money.CURRENCIES for codes in named)
    assert all(len(code) == 3 and code.isascii() and code.islower() for code in CURRENCIES)
    assert not money.WITHOUT_DECIMALS & (money.WITH_THREE_DECIMALS | money.IN_WHOLE_UNITS)


@pytest.mark.parametrize(
    ("currency", "step"), [("usd", 1), ("jpy", 1), ("huf", 1), ("twd", 1), ("kwd", 10), ("isk", 100), ("ugx", 100)]
)
def test_a_charge_is_a_multiple_of_the_step_of_its_currency(currency: str, step: int) -> None:
    assert money.step(currency) == Money(step, currency)
    least = money.least_charge(currency).amount
    for amount in range(least, least + 200):
        assert (money.charge_problem(Money(amount, currency)) is None) == (amount % step == 0), amount


def test_the_least_charge_is_above_zero_and_can_be_charged_and_less_cannot() -> None:
    for currency in CURRENCIES:
        least, step = money.least_charge(currency), money.step(currency).amount
        assert least.amount > 0 and money.charge_problem(least) is None
        for amount in (least.amount - step, 0, -least.amount):
            assert money.charge_problem(Money(amount, currency)) == f"is less than the least charge, {least}"


def test_a_currency_that_stripe_does_not_list_cannot_be_charged() -> None:
    assert "no currency of Stripe's" in str(money.charge_problem(Money(49900, "usa")))
