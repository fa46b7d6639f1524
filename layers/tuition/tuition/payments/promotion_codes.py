"""Find a promotion code at Stripe by its text, or refuse it with a reason before any open payment is closed.

Applying the code, computing the discounted amount and counting redemptions is left to Stripe.
"""

from tuition.core import promotion_rules
from tuition.core.catalog import Track
from tuition.core.errors import CodeRefused
from tuition.core.promotion_rules import UNKNOWN
from tuition.stripe_gateway import client as stripe_client


def find(text: str, track: Track, customer: str | None) -> str:
    """Return the Stripe id (`promo_…`) of the code that this customer can use for this track. Case is ignored.

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
        refusal = promotion_rules.refusal(code, track.price, customer, answer.date)
        if refusal is None and code["restrictions"].get("first_time_transaction") and customer:
            history = stripe_client.list_charges(customer), stripe_client.list_sessions(customer)
            refusal = promotion_rules.refusal_as_first(code["id"], track.track, *history)
        if refusal is None:
            return str(code["id"])
        refusals.append(refusal)
    nearest = promotion_rules.nearest(refusals)
    raise CodeRefused(nearest.message, nearest.reason)
