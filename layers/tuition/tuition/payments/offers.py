"""The rules of plans that begin now, the text to which their students agree, and where plans are offered."""

from tuition.core import catalog
from tuition.core.catalog import Membership, Track
from tuition.core.consent import Consent, School, consent
from tuition.core.errors import NotConfigured
from tuition.core.offers import PlanOffer
from tuition.core.plan_rules import PlanRules
from tuition.settings import settings


def are_listed() -> bool:
    """Whether plans are offered to the school's students: their consumer law must be one for which it planned them."""
    return settings().consumer_region in settings().plan_regions


def rules() -> PlanRules:
    """Return the rules of a plan that begins now. Raises `NotConfigured` if no plan can have those of the settings.

    They are checked here and by the check of a release, not in `settings`: plans that have begun do not need them.
    """
    current = settings().plan_rules
    problem = catalog.problem_with(current)
    if problem:
        value = getattr(current, problem.rule)
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        raise NotConfigured(f"The variable PLAN_{problem.rule.upper()} is {shown}, and it {problem.text}.")
    return current


def consent_of(product: Track | Membership, offer: PlanOffer) -> Consent:
    """Return the text of an offer of this track or membership, as the school's settings are now.

    Raises `NotConfigured`.
    """
    config = settings()
    school = School(config.school_name, config.support_contact, config.terms_url, config.refund_days, config.is_eu)
    return consent(offer, product.title, school, rules())
