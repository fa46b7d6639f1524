"""Why a promotion code cannot be used, from Stripe's own objects."""

from typing import Any

import pytest

from tuition.core import promotion_rules
from tuition.core.money import Money
from tuition.core.promotion_rules import FIRST_ELSEWHERE, FIRST_ONLY, SOMEBODY_ELSES, UNKNOWN, Refusal

PRICE = Money(49900, "usd")
NOW = 1_800_000_000


def code(coupon: Any = None, rules: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    made: Any = {"percent_off": 20.0, "amount_off": None, "currency": None, "valid": True, "times_redeemed": 0}
    made |= coupon or {}
    found: dict[str, Any] = {"active": True, "customer": None, "expires_at": None, "max_redemptions": None}
    found |= {"times_redeemed": 0, "promotion": {"coupon": made}}
    found["restrictions"] = {"minimum_amount": None, "minimum_amount_currency": None, **(rules or {})}
    return {**found, **more}


def why(found: dict[str, Any], customer: str | None = "cus_1", price: Money = PRICE) -> str | None:
    refusal = promotion_rules.refusal(found, price, customer, NOW)
    return refusal.reason if refusal else None


def minimum(amount: int, currency: str, **options: Any) -> dict[str, Any]:
    return {"minimum_amount": amount, "minimum_amount_currency": currency, "currency_options": options}


@pytest.mark.parametrize(
    "found",
    [
        code(),
        code(customer="cus_1"),
        code(expires_at=NOW + 1),
        code(max_redemptions=3, times_redeemed=2),
        code({"redeem_by": NOW + 1, "max_redemptions": 2, "times_redeemed": 1}),
        code({"applies_to": {"products": []}}),
        code({"percent_off": 100.0}),
        code({"percent_off": 99.5}),
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
def test_a_code_that_nothing_speaks_against_is_accepted(found: dict[str, Any]) -> None:
    assert why(found) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (code(active=False), "inactive"),
        (code({"valid": False}), "inactive"),
        (code(promotion={"coupon": None}), "inactive"),
        (code(promotion={"coupon": "CODED"}), "inactive"),
        (code(promotion={"coupon": {"id": "CODED", "deleted": True}}), "inactive"),
        (code(expires_at=NOW, active=False), "expired"),
        (code({"redeem_by": NOW, "valid": False}, active=False), "expired"),
        (code(max_redemptions=1, times_redeemed=1, active=False), "used-up"),
        (code({"max_redemptions": 5, "times_redeemed": 5, "valid": False}, active=False), "used-up"),
        (code(customer="cus_2"), "not-applicable"),
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
def test_a_code_that_cannot_be_used_says_which_it_is(found: dict[str, Any], reason: str) -> None:
    assert why(found) == reason


def test_a_code_of_one_customer_is_not_for_who_has_none_yet() -> None:
    assert why(code(customer="cus_1"), customer=None) == "not-applicable"
    assert why(code(), customer=None) is None


def test_of_several_codes_the_one_that_was_nearest_is_told() -> None:
    used, expired = Refusal("used-up", "used"), Refusal("expired", "late")
    assert promotion_rules.nearest([UNKNOWN]) == UNKNOWN
    assert promotion_rules.nearest([UNKNOWN, SOMEBODY_ELSES, expired, used]) == used
    assert promotion_rules.nearest([UNKNOWN, FIRST_ONLY, used]) == FIRST_ONLY
    assert promotion_rules.nearest([UNKNOWN, SOMEBODY_ELSES]) == SOMEBODY_ELSES


@pytest.mark.parametrize(
    ("text", "possible"),
    [("SPRING-20", True), ("a", True), ("", False), ("a b", False), ("ä", False), ("a_b", False), ("x" * 501, False)],
)
def test_only_what_stripe_could_have_made_is_asked_for(text: str, possible: bool) -> None:
    assert promotion_rules.is_possible(text) == possible


def session(status: str, paid: str = "unpaid", code: str | None = None, track: str = "FSD") -> dict[str, Any]:
    discounts = [{"coupon": None, "promotion_code": code}] if code else []
    return {"status": status, "payment_status": paid, "discounts": discounts, "metadata": {"track": track}}


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
def test_a_code_for_first_purchases_is_for_one(charges: list[str], sessions: list[Any], expected: Any) -> None:
    told = [{"status": status} for status in charges]
    assert promotion_rules.refusal_as_first("promo_1", "DP", told, sessions) == expected
