"""Why a promotion code is rejected, as derived from Stripe's objects."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tuition.core import money, promotion_rules
from tuition.core.money import Money
from tuition.core.promotion_rules import FIRST_ELSEWHERE, FIRST_ONLY, UNKNOWN, Refusal

PRICE = Money(49900, "usd")
NOW = 1_800_000_000


def code(coupon: Any = None, rules: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    full_coupon: Any = {"percent_off": 20.0, "amount_off": None, "currency": None, "valid": True, "times_redeemed": 0}
    full_coupon |= coupon or {}
    obj: dict[str, Any] = {"active": True, "customer": None, "expires_at": None, "max_redemptions": None}
    obj |= {"times_redeemed": 0, "promotion": {"coupon": full_coupon}}
    obj["restrictions"] = {"minimum_amount": None, "minimum_amount_currency": None, **(rules or {})}
    return {**obj, **more}


def reason_of(obj: dict[str, Any], customer: str | None = "cus_1", price: Money = PRICE) -> str | None:
    refusal = promotion_rules.refusal(obj, price, customer, NOW)
    return refusal.reason if refusal else None


def minimum(amount: int, currency: str, **options: Any) -> dict[str, Any]:
    return {"minimum_amount": amount, "minimum_amount_currency": currency, "currency_options": options}


@pytest.mark.parametrize(
    "obj",
    [
        code(),
        code(customer="cus_1"),
        code(expires_at=NOW + 1),
        code(max_redemptions=3, times_redeemed=2),
        code({"redeem_by": NOW + 1, "max_redemptions": 2, "times_redeemed": 1}),
        code({"applies_to": {"products": []}}),
        code({"percent_off": 100.0}),
        code({"percent_off": 99.5}),
        code({"percent_off": 99.9}),  # Stripe rounds the discount, so exactly the minimum charge is left
        code({"percent_off": None, "amount_off": 49850, "currency": "usd"}),
        code({"percent_off": None, "amount_off": 49900, "currency": "usd"}),
        code({"percent_off": None, "amount_off": 99900, "currency": "usd"}),
        code(
            {"percent_off": None, "amount_off": 1, "currency": "eur", "currency_options": {"usd": {"amount_off": 100}}}
        ),
        code(rules=minimum(49900, "usd")),
        code(rules=minimum(1, "eur", usd={"minimum_amount": 49900})),
    ],
)
def test_a_valid_code_is_accepted(obj: dict[str, Any]) -> None:
    assert reason_of(obj) is None


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (code(active=False), "unknown"),
        (code({"valid": False}), "unknown"),
        (code(promotion={"coupon": None}), "unknown"),
        (code(promotion={"coupon": "CODED"}), "unknown"),
        (code(promotion={"coupon": {"id": "CODED", "deleted": True}}), "unknown"),
        (code(expires_at=NOW, active=False), "expired"),
        (code({"redeem_by": NOW, "valid": False}, active=False), "expired"),
        (code(max_redemptions=1, times_redeemed=1, active=False), "used-up"),
        (code({"max_redemptions": 5, "times_redeemed": 5, "valid": False}, active=False), "used-up"),
        (code(customer="cus_2"), "unknown"),
        (code({"applies_to": {"products": ["prod_1"]}}), "not-applicable"),
        (code({"percent_off": 99.99}), "not-applicable"),
        (code({"percent_off": None, "amount_off": 49851, "currency": "usd"}), "not-applicable"),
        (code({"percent_off": None, "amount_off": 100, "currency": "eur"}), "not-applicable"),
        (code({"percent_off": None, "amount_off": 100, "currency": "eur", "currency_options": {}}), "not-applicable"),
        (code(rules=minimum(49901, "usd")), "not-applicable"),
        (code(rules=minimum(1, "eur")), "not-applicable"),
        (code(rules=minimum(1, "eur", usd={"minimum_amount": 49901})), "not-applicable"),
    ],
)
def test_an_unusable_code_is_rejected_with_its_reason(obj: dict[str, Any], reason: str) -> None:
    assert reason_of(obj) == reason


@pytest.mark.parametrize(
    ("price", "percent", "message"),
    [
        (Money(500, "jpy"), 90.0, None),  # 50 JPY, the minimum charge
        (Money(500, "jpy"), 90.2, "minimum charge of 50 JPY"),
        (Money(50_000, "kwd"), 10.0, None),
        (Money(50_000, "kwd"), 10.01, "reduces the price to 44.995 KWD, no multiple of 0.010 KWD"),
        (Money(4_990_000, "isk"), 10.0, None),
        (Money(333_000, "isk"), 15.0, "reduces the price to 2830.50 ISK, no multiple of 1.00 ISK"),
        (Money(333_000, "huf"), 15.0, None),
        (Money(33_300, "huf"), 50.0, "minimum charge of 175.00 HUF"),
        (Money(333_000, "ugx"), 100.0, None),
    ],
)
def test_a_discount_leaves_nothing_or_an_amount_that_can_be_charged(
    price: Money, percent: float, message: str | None
) -> None:
    refusal = promotion_rules.refusal(code({"percent_off": percent}), price, None, NOW)
    assert (refusal is None) if message is None else refusal is not None and message in refusal.message


@given(some.sampled_from(sorted(money.CURRENCIES)), some.integers(1, 10**6), some.decimals("0.01", 100, places=2))
def test_a_code_that_is_accepted_gives_a_price_of_0_or_one_that_can_be_charged(
    currency: str, steps: int, percent: Decimal
) -> None:
    least = money.least_charge(currency)
    price = Money(least.amount + steps * money.step(currency).amount, currency)
    half_price = {"percent_off": None, "amount_off": price.amount // 2, "currency": currency}
    for coupon in ({"percent_off": float(percent)}, half_price):
        one = code(coupon, minimum(price.amount, currency))
        reduced = Money(price.amount - promotion_rules.discount(one, price), currency)
        is_chargeable = reduced.amount == 0 or money.charge_problem(reduced) is None
        assert (promotion_rules.refusal(one, price, None, NOW) is None) == is_chargeable


@given(some.integers(1, 10**9), some.decimals("0.01", 100, places=2))
def test_a_percentage_is_rounded_half_up_to_the_minor_unit(amount: int, percent: Decimal) -> None:
    exact = (amount * percent / 100).quantize(Decimal(1), ROUND_HALF_UP)
    assert promotion_rules.discount(code({"percent_off": float(percent)}), Money(amount, "usd")) == exact


def test_a_code_for_one_customer_needs_a_customer() -> None:
    assert reason_of(code(customer="cus_1"), customer=None) == "unknown"
    assert reason_of(code(), customer=None) is None


def test_the_reason_of_the_closest_code_is_reported() -> None:
    used, expired = Refusal("used-up", "used"), Refusal("expired", "late")
    assert promotion_rules.nearest([UNKNOWN]) == UNKNOWN
    assert promotion_rules.nearest([UNKNOWN, expired, used]) == used
    assert promotion_rules.nearest([UNKNOWN, FIRST_ONLY, used]) == FIRST_ONLY


@pytest.mark.parametrize(
    ("text", "possible"),
    [("SPRING-20", True), ("a", True), ("", False), ("a b", False), ("ä", False), ("a_b", False), ("x" * 501, False)],
)
def test_only_codes_in_stripes_format_are_possible(text: str, possible: bool) -> None:
    assert promotion_rules.is_possible(text) == possible


def session(status: str, payment_status: str = "unpaid", code: str | None = None, track: str = "FSD") -> dict[str, Any]:
    discounts = [{"coupon": None, "promotion_code": code}] if code else []
    return {"status": status, "payment_status": payment_status, "discounts": discounts, "metadata": {"track": track}}


@pytest.mark.parametrize(
    ("charges", "sessions", "expected"),
    [
        ([], [], None),
        (["failed"], [session("expired"), session("open"), session("complete")], None),
        (["failed", "succeeded"], [], FIRST_ONLY),
        (["pending"], [], FIRST_ONLY),
        ([], [session("complete", "no_payment_required", "promo_1", "DP")], FIRST_ONLY),
        ([], [session("open", code="promo_1")], FIRST_ELSEWHERE),
        ([], [session("open", code="promo_1", track="DP")], None),
        ([], [session("open", code="promo_2")], None),
        ([], [session("expired", code="promo_1")], None),
    ],
)
def test_a_first_purchase_code_is_rejected_for_any_other_purchase(
    charges: list[str], sessions: list[Any], expected: Any
) -> None:
    objects = [{"status": status} for status in charges]
    assert promotion_rules.refusal_as_first("promo_1", "DP", objects, sessions) == expected
