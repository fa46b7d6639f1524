"""The money type."""

import pytest

from tuition.core.money import Money


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
        (10**15 + 1, "usd", "10000000000000.01"),
    ],
)
def test_a_decimal_amount_has_the_decimals_of_its_currency(amount: int, currency: str, text: str) -> None:
    assert Money(amount, currency).decimal == text


def test_equal_amounts_in_different_currencies_are_not_equal() -> None:
    assert Money(1, "usd") != Money(1, "eur")
