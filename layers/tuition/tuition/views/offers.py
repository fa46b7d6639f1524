"""The offers of a track or membership as anyone sees them, each with the text to which its student must agree."""

from typing import Any

from tuition.core.catalog import Membership, Track
from tuition.core.offers import PlanOffer
from tuition.payments import offers


def listed(product: Track | Membership) -> list[dict[str, Any]]:
    """Return the offers of a track or membership, in the order of the catalog; none in a region without plans."""
    return [_offer_json(product, offer) for offer in product.offers] if offers.are_listed() else []


def _offer_json(product: Track | Membership, offer: PlanOffer) -> dict[str, Any]:
    return {
        "offer": offer.offer,
        "kind": offer.kind,
        "amounts": list(offer.amounts),
        "total": offer.total.amount,
        "currency": offer.currency,
        "every": offer.every,
        "consent": offers.consent_of(product, offer)._asdict(),
    }
