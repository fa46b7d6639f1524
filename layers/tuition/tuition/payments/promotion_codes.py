"""Find a promotion code at Stripe by its text, or refuse it with a reason before any open payment is closed.

Applying the code, computing the discounted amount and counting redemptions is left to Stripe.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tuition import clock
from tuition.core import promotion_rules
from tuition.core.errors import CodeRefused
from tuition.core.money import Money
from tuition.core.promotion_rules import UNKNOWN, Refusal
from tuition.stripe_gateway import client as stripe_client


class PromotionCode(NamedTuple):
    """A code that can be used: its Stripe id (`promo_…`), and whether it is for first purchases only.

    `text` is the code as Stripe writes it, and `discount` what it takes off the price, in minor units.
    """

    id: str
    first_purchase: bool
    text: str
    discount: int


def find(text: str, track: str, price: Money, customer: str | None) -> PromotionCode:
    """Return the code that this customer can use for this track at its price. Case is ignored.

    Makes one call to Stripe; two more for a code for first purchases only, and one more if more than a hundred codes
    have this text. Raises `CodeRefused` with the reason.
    """
    if not promotion_rules.is_possible(text):
        raise CodeRefused(UNKNOWN.message, UNKNOWN.reason)
    refusals = [UNKNOWN]
    answer = stripe_client.list_promotion_codes(text)
    codes = answer.object["data"]
    if customer and answer.object["has_more"]:
        codes += stripe_client.list_promotion_codes(text, customer).object["data"]
    for code in codes:
        refusal = promotion_rules.refusal(code, price, customer, answer.date)
        refusal = refusal or _refusal_as_first(code, track, customer)
        if refusal is None:
            is_first = promotion_rules.is_for_first_purchase(code)
            return PromotionCode(str(code["id"]), is_first, str(code["code"]), promotion_rules.discount(code, price))
        refusals.append(refusal)
    nearest = promotion_rules.nearest(refusals)
    raise CodeRefused(nearest.message, nearest.reason)


def require_payable(session: Mapping[str, Any], track: str, customer: str | None) -> None:
    """Raise `CodeRefused` if an open session cannot be paid any more because of its promotion code.

    Stripe leaves a session open whose code was used up, expired or switched off meanwhile, and refuses its payment. The
    session was retrieved with its codes expanded, so only a code for first purchases needs calls.
    """
    for discount in session.get("discounts") or []:
        code = discount.get("promotion_code")
        if isinstance(code, Mapping):
            refusal = promotion_rules.ended(code, int(clock.now())) or _refusal_as_first(code, track, customer)
            if refusal:
                raise CodeRefused(refusal.message, refusal.reason)


def _refusal_as_first(code: Mapping[str, Any], track: str, customer: str | None) -> Refusal | None:
    if not promotion_rules.is_for_first_purchase(code) or customer is None:
        return None
    history = stripe_client.list_charges(customer), stripe_client.list_sessions(customer)
    return promotion_rules.refusal_as_first(code["id"], track, *history)
