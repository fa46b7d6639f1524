"""The text to which the students of plans agree, and where plans are offered."""

from tuition.core.catalog import Membership, Track
from tuition.core.consent import Consent, School, consent
from tuition.core.offers import PlanOffer
from tuition.core.plan_terms import RULES
from tuition.settings import settings


def are_listed() -> bool:
    """Whether plans are offered to the school's students: their consumer law must be one for which it planned them."""
    return settings().consumer_region in settings().plan_regions


def consent_of(product: Track | Membership, offer: PlanOffer) -> Consent:
    """Return the text of an offer of this track or membership, as the school's settings are now."""
    config = settings()
    school = School(config.school_name, config.support_contact, config.terms_url, config.refund_days, config.is_eu)
    return consent(offer, product.title, school, RULES)
