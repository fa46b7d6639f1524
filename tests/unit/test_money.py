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


def test_equal_amounts_in_different_currencies_are_not_equal() -> None:
    assert Money(1, "usd") != Money(1, "eur")
