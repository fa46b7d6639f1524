"""Decide whether one of Stripe's promotion codes can be used for a purchase, and if not, why.

Sources: https://docs.stripe.com/api/promotion_codes/object, https://docs.stripe.com/api/coupons/object
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from tuition.core.money import Money, is_on_step, least_charge, step

Reason = Literal["unknown", "expired", "used-up", "not-applicable"]

_NEAREST: tuple[Reason, ...] = ("not-applicable", "used-up", "expired", "unknown")


class Refusal(NamedTuple):
    """Why a code cannot be used. `message` is for the student."""

    reason: Reason
    message: str


UNKNOWN = Refusal("unknown", "This promotion code is not valid. Check the spelling, or continue without it.")
"""The one answer for a code that does not exist, is inactive, or is another customer's.

A different answer for each would show a student who guesses codes which guesses are real.
"""
FIRST_ONLY = Refusal("not-applicable", "This promotion code is for a first purchase only. Continue without it.")
FIRST_ELSEWHERE = Refusal(
    "not-applicable",
    "You are already using this promotion code to buy another track, and it is for a first purchase only. "
    "Continue without it.",
)


FIRST_CLAIMED = Refusal(
    "not-applicable",
    "You have already used a promotion code for a first purchase. Finish that purchase, or continue without a code.",
)


def is_for_first_purchase(code: Mapping[str, Any]) -> bool:
    """Whether a promotion code is for first purchases only."""
    return bool((code.get("restrictions") or {}).get("first_time_transaction"))


def nearest(refusals: Iterable[Refusal]) -> Refusal:
    """Return the refusal of the code that came closest to being accepted, of several codes with the same text."""
    return min(refusals, key=lambda each: _NEAREST.index(each.reason))


def is_possible(text: str) -> bool:
    """Whether a code can have this text: 1 to 500 ASCII letters, digits and dashes."""
    return 0 < len(text) <= 500 and text.isascii() and text.replace("-", "0").isalnum()


def refusal(code: Mapping[str, Any], price: Money, customer: str | None, now: int) -> Refusal | None:
    """Return why the customer cannot use this promotion code (its coupon expanded) at this price.

    None if it can be used. For a code that is for first purchases only, `refusal_as_first` must be checked too. `now`
    is Stripe's time in epoch seconds.
    """
    coupon = code["promotion"].get("coupon")
    if code.get("customer") not in (None, customer):
        return UNKNOWN
    return ended(code, now) or _refusal_of_terms(code["restrictions"], coupon, price)


def ended(code: Mapping[str, Any], now: int) -> Refusal | None:
    """Return why this promotion code (its coupon expanded) can no longer be paid with; None if it is still valid."""
    coupon = code["promotion"].get("coupon")
    if not isinstance(coupon, Mapping) or coupon.get("deleted"):
        return UNKNOWN
    if _used_up(code) or _used_up(coupon):
        return Refusal("used-up", "This promotion code has been used up. Try a different code.")
    if any(end is not None and end <= now for end in (code.get("expires_at"), coupon.get("redeem_by"))):
        return Refusal("expired", "This promotion code has expired. Try a different code.")
    if not code["active"] or not coupon["valid"]:
        return UNKNOWN
    return None


def discount(code: Mapping[str, Any], price: Money) -> int:
    """Return by how much a code that can be used (its coupon expanded) lowers the price, in minor units.

    Stripe rounds a percentage of the price half up, and a discount is never more than the price.
    """
    return min(_amount_off(code["promotion"]["coupon"], price) or 0, price.amount)


def _amount_off(coupon: Mapping[str, Any], price: Money) -> int | None:
    """Return what a coupon takes off, rounded half up; None if it has no amount in the price's currency."""
    if coupon.get("amount_off") is None:
        millionths: int = round(coupon["percent_off"] * 1_000_000)  # Stripe's percentages may have decimals
        return (price.amount * millionths + 50_000_000) // 100_000_000
    return _in_currency(coupon, "amount_off", coupon.get("currency"), price.currency)


def _refusal_of_terms(rules: Mapping[str, Any], coupon: Mapping[str, Any], price: Money) -> Refusal | None:
    message = _not_applicable(rules, coupon, price)
    return Refusal("not-applicable", message) if message else None


def _used_up(code_or_coupon: Mapping[str, Any]) -> bool:
    limit = code_or_coupon.get("max_redemptions")
    return limit is not None and code_or_coupon["times_redeemed"] >= limit


def _not_applicable(rules: Mapping[str, Any], coupon: Mapping[str, Any], price: Money) -> str | None:
    minimum = _in_currency(rules, "minimum_amount", rules.get("minimum_amount_currency"), price.currency)
    if rules.get("minimum_amount") is not None and minimum is None:
        return f"This promotion code cannot be used for a price in {price.currency.upper()}. Try a different code."
    if minimum is not None and price.amount < minimum:
        least = Money(minimum, price.currency)
        return f"This promotion code requires a purchase of at least {least}. Try a different code."
    if (coupon.get("applies_to") or {}).get("products"):
        return "This promotion code is not for this track. Try a different code."  # tracks are not products at Stripe
    off = _amount_off(coupon, price)
    if off is None:
        return f"This promotion code cannot be used for a price in {price.currency.upper()}. Try a different code."
    reduced, least = Money(max(0, price.amount - off), price.currency), least_charge(price.currency)
    if 0 < reduced.amount < least.amount:
        return f"This promotion code reduces the price below the minimum charge of {least}. Try a different code."
    if not is_on_step(reduced):
        multiple = step(price.currency)
        return f"This promotion code reduces the price to {reduced}, no multiple of {multiple}. Try a different code."
    return None


def _in_currency(rules: Mapping[str, Any], name: str, own_currency: str | None, currency: str) -> int | None:
    """Return an amount in `currency`: the object's own, or that of a currency option. None if there is neither."""
    if own_currency == currency:
        return rules.get(name)
    option = (rules.get("currency_options") or {}).get(currency) or {}
    return option.get(name)


def refusal_as_first(
    code_id: str, track: str, charges: Iterable[Mapping[str, Any]], sessions: Iterable[Mapping[str, Any]]
) -> Refusal | None:
    """Return why the customer with these charges and sessions cannot use a first-purchase code for this track.

    Stripe counts earlier payments when its page is paid. This also counts a payment that a bank is still processing, a
    purchase that a code made free (it has no charge), and an open session for another track with the same code.
    """
    if any(charge["status"] in ("succeeded", "pending") for charge in charges):
        return FIRST_ONLY
    for session in sessions:
        if session["status"] == "complete" and session["payment_status"] == "no_payment_required":
            return FIRST_ONLY
        used = {discount.get("promotion_code") for discount in session.get("discounts") or []}
        if session["status"] == "open" and code_id in used and _track(session) != track:
            return FIRST_ELSEWHERE
    return None


def _track(session: Mapping[str, Any]) -> str | None:
    """Return the track in a session's metadata, which Stripe may leave empty."""
    return (session.get("metadata") or {}).get("track")
