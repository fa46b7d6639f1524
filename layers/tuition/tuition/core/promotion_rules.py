"""Decide whether one of Stripe's promotion codes can be used for a purchase, and if not, why.

Sources: https://docs.stripe.com/api/promotion_codes/object, https://docs.stripe.com/api/coupons/object
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tuition.core.money import Money

Reason = Literal["unknown", "inactive", "expired", "used-up", "not-applicable"]

_NEAREST: tuple[Reason, ...] = ("not-applicable", "used-up", "expired", "inactive", "unknown")

MIN_CHARGE = 50
"""The smallest amount that Stripe charges in USD, in minor units. https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts"""


@dataclass(frozen=True)
class Refusal:
    """The reason why a code cannot be used. `message` is for the student."""

    reason: Reason
    message: str


UNKNOWN = Refusal("unknown", "There is no such promotion code.")
ANOTHER_CUSTOMERS = Refusal("not-applicable", "This promotion code belongs to another customer.")
FIRST_ONLY = Refusal("not-applicable", "This promotion code is for a first purchase only.")
FIRST_ELSEWHERE = Refusal(
    "not-applicable", "This promotion code is for one first purchase. You are already using it for another track."
)


def nearest(refusals: Iterable[Refusal]) -> Refusal:
    """Return, of several codes with the same text, the refusal of the code that came closest to being accepted."""
    return min(refusals, key=lambda one: (one in (ANOTHER_CUSTOMERS, UNKNOWN), _NEAREST.index(one.reason)))


def is_possible(text: str) -> bool:
    """Whether a text can be a code: codes consist of ASCII letters, digits and dashes."""
    return 0 < len(text) <= 500 and text.isascii() and text.replace("-", "0").isalnum()


def refusal(code: Mapping[str, Any], price: Money, customer: str | None, now: int) -> Refusal | None:
    """Return why the customer cannot use this code (with its coupon expanded) for a purchase at this price.

    None if it can be used; whether it is the customer's first purchase is checked by `refusal_as_first`. `now` is the
    time by Stripe's clock, in epoch seconds.
    """
    coupon = code["promotion"].get("coupon")
    if code.get("customer") not in (None, customer):
        return ANOTHER_CUSTOMERS
    if not isinstance(coupon, Mapping) or coupon.get("deleted"):
        return Refusal("inactive", "This promotion code is no longer available.")
    if _used_up(code) or _used_up(coupon):
        return Refusal("used-up", "This promotion code has been used up.")
    if any(end is not None and end <= now for end in (code.get("expires_at"), coupon.get("redeem_by"))):
        return Refusal("expired", "This promotion code has expired.")
    if not code["active"] or not coupon["valid"]:
        return Refusal("inactive", "This promotion code is not active.")
    why = _not_applicable(code["restrictions"], coupon, price)
    return Refusal("not-applicable", why) if why else None


def _used_up(counted: Mapping[str, Any]) -> bool:
    most = counted.get("max_redemptions")
    return most is not None and counted["times_redeemed"] >= most


def _not_applicable(rules: Mapping[str, Any], coupon: Mapping[str, Any], price: Money) -> str | None:
    minimum = _in_currency(rules, "minimum_amount", rules.get("minimum_amount_currency"), price.currency)
    if rules.get("minimum_amount") is not None and minimum is None:
        return f"This promotion code cannot be used for a price in {price.currency.upper()}."
    if minimum is not None and price.amount < minimum:
        return f"This promotion code requires a purchase of at least {Money(minimum, price.currency)}."
    if (coupon.get("applies_to") or {}).get("products"):
        return "This promotion code is not for this track."  # tracks are not products at Stripe
    if coupon.get("amount_off") is None:
        discounted, scale = price.amount * (10000 - round(coupon["percent_off"] * 100)), 10000
    else:
        off = _in_currency(coupon, "amount_off", coupon.get("currency"), price.currency)
        if off is None:
            return f"This promotion code cannot be used for a price in {price.currency.upper()}."
        discounted, scale = price.amount - off, 1
    if 0 < discounted < MIN_CHARGE * scale:
        return f"The discounted price would be less than {Money(MIN_CHARGE, price.currency)}, Stripe's minimum."
    return None


def _in_currency(obj: Mapping[str, Any], name: str, own_currency: str | None, currency: str) -> int | None:
    """Return an amount in this currency: the object's own, or one of its currency options; None without one."""
    if own_currency == currency:
        return obj.get(name)
    option = (obj.get("currency_options") or {}).get(currency) or {}
    return option.get(name)


def refusal_as_first(
    code_id: str, track: str, charges: Iterable[Mapping[str, Any]], sessions: Iterable[Mapping[str, Any]]
) -> Refusal | None:
    """Return why a first-purchase code cannot be used for this track by a customer with these charges and sessions.

    Stripe checks only what is paid when its page is paid. We also count a charge that a bank is still deciding, a
    session that a code made free (it has no charge), and an open session for another track with the same code.
    """
    if any(charge["status"] in ("succeeded", "pending") for charge in charges):
        return FIRST_ONLY
    for session in sessions:
        if session["status"] == "complete" and session["payment_status"] == "no_payment_required":
            return FIRST_ONLY
        used = {discount.get("promotion_code") for discount in session.get("discounts") or []}
        if session["status"] == "open" and code_id in used and session["metadata"].get("track") != track:
            return FIRST_ELSEWHERE
    return None
