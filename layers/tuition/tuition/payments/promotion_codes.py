"""Promotion codes: found at Stripe by what a student typed, and refused with the reason before anything is closed.

Stripe applies a code, computes what is left to pay and counts its redemptions; nothing of that is done here.
"""

from tuition.core import promotion_rules
from tuition.core.catalog import Track
from tuition.core.errors import CodeRefused
from tuition.core.promotion_rules import UNKNOWN
from tuition.stripe_gateway import client as stripe_client


def find(text: str, track: Track, customer: str | None) -> str:
    """The id at Stripe (`promo_…`) of the code that this customer can use for this track, whatever its case.

    One call to Stripe; two more for a code that is for first purchases only, and one where a hundred customers have
    a code of this text each. Raises `CodeRefused`, which says why.
    """
    if not promotion_rules.is_possible(text):
        raise CodeRefused(UNKNOWN.message, UNKNOWN.reason)
    refusals = [UNKNOWN]
    answer = stripe_client.list_promotion_codes(text)
    listed = answer.object["data"]
    if customer and answer.object["has_more"]:
        listed += stripe_client.list_promotion_codes(text, customer).object["data"]
    for code in listed:
        refusal = promotion_rules.refusal(code, track.price, customer, answer.date)
        if refusal is None and code["restrictions"].get("first_time_transaction") and customer:
            history = stripe_client.list_charges(customer), stripe_client.list_sessions(customer)
            refusal = promotion_rules.refusal_as_first(code["id"], track.track, *history)
        if refusal is None:
            return str(code["id"])
        refusals.append(refusal)
    told = promotion_rules.nearest(refusals)
    raise CodeRefused(told.message, told.reason)
