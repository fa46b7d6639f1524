"""Whether a promotion code of Stripe's fits a purchase, and if not, which of the reasons it is.

Sources: https://docs.stripe.com/api/promotion_codes/object, https://docs.stripe.com/api/coupons/object
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tuition.core.money import Money

Reason = Literal["unknown", "inactive", "expired", "used-up", "not-applicable"]

_NEAREST: tuple[Reason, ...] = ("not-applicable", "used-up", "expired", "inactive", "unknown")

LEAST_CHARGE = 50
"""The least that Stripe charges in USD, in minor units. https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts"""


@dataclass(frozen=True)
class Refusal:
    """Why a code cannot be used; `message` is for the student."""

    reason: Reason
    message: str


UNKNOWN = Refusal("unknown", "there is no such promotion code")
SOMEBODY_ELSES = Refusal("not-applicable", "this promotion code is for somebody else")
FIRST_ONLY = Refusal("not-applicable", "this promotion code is for a first purchase only")
FIRST_ELSEWHERE = Refusal(
    "not-applicable", "this promotion code is for one first purchase, and another track is being bought with it"
)


def nearest(refusals: Iterable[Refusal]) -> Refusal:
    """Of several codes with one text the refusal of the one that was nearest to being accepted."""
    return min(refusals, key=lambda known: (known in (SOMEBODY_ELSES, UNKNOWN), _NEAREST.index(known.reason)))


def is_possible(text: str) -> bool:
    """Letters of ASCII, digits and dashes are all that a code can have."""
    return 0 < len(text) <= 500 and text.isascii() and text.replace("-", "0").isalnum()


def refusal(code: Mapping[str, Any], price: Money, customer: str | None, now: int) -> Refusal | None:
    """Why this promotion code (its coupon expanded) cannot be used by the customer for a purchase at this price.

    None: nothing speaks against it but what only Stripe knows, whether it is the customer's first purchase. `now`
    is Stripe's clock in epoch seconds.
    """
    coupon = code["promotion"].get("coupon")
    if code.get("customer") not in (None, customer):
        return SOMEBODY_ELSES
    if not isinstance(coupon, Mapping) or coupon.get("deleted"):
        return Refusal("inactive", "this promotion code is no longer offered")
    if _used_up(code) or _used_up(coupon):
        return Refusal("used-up", "this promotion code has been used up")
    if any(end is not None and end <= now for end in (code.get("expires_at"), coupon.get("redeem_by"))):
        return Refusal("expired", "this promotion code has expired")
    if not code["active"] or not coupon["valid"]:
        return Refusal("inactive", "this promotion code is not active")
    why = _not_applicable(code["restrictions"], coupon, price)
    return Refusal("not-applicable", why) if why else None


def _used_up(counted: Mapping[str, Any]) -> bool:
    most = counted.get("max_redemptions")
    return most is not None and counted["times_redeemed"] >= most


def _not_applicable(rules: Mapping[str, Any], coupon: Mapping[str, Any], price: Money) -> str | None:
    minimum = _in_currency(rules, "minimum_amount", rules.get("minimum_amount_currency"), price.currency)
    if rules.get("minimum_amount") is not None and minimum is None:
        return f"this promotion code cannot be used for a price in {price.currency.upper()}"
    if minimum is not None and price.amount < minimum:
        return f"this promotion code needs a purchase of at least {Money(minimum, price.currency)}"
    if (coupon.get("applies_to") or {}).get("products"):
        return "this promotion code is not for this track"  # a track is no product of Stripe's
    if coupon.get("amount_off") is None:
        left, scale = price.amount * (10000 - round(coupon["percent_off"] * 100)), 10000
    else:
        off = _in_currency(coupon, "amount_off", coupon.get("currency"), price.currency)
        if off is None:
            return f"this promotion code cannot be used for a price in {price.currency.upper()}"
        left, scale = price.amount - off, 1
    if 0 < left < LEAST_CHARGE * scale:
        return f"what this promotion code leaves to pay is less than {Money(LEAST_CHARGE, price.currency)}"
    return None


def _in_currency(found: Mapping[str, Any], name: str, currency: str | None, wanted: str) -> int | None:
    """An amount in the currency that is wanted: its own, or one of its options'; None where there is none."""
    if currency == wanted:
        return found.get(name)
    option = (found.get("currency_options") or {}).get(wanted) or {}
    return option.get(name)


def refusal_as_first(
    code_id: str, track: str, charges: Iterable[Mapping[str, Any]], sessions: Iterable[Mapping[str, Any]]
) -> Refusal | None:
    """Why a code for first purchases only cannot be used for this track by who has these charges and sessions.

    Stripe counts what was paid when its page is paid. Here it counts too what a bank is still deciding, what a code
    made free (which leaves no charge), and what is open for another track with the same code.
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
