"""API versions: every answer has the shape of one version, and requests may name any version of three families.

https://docs.stripe.com/api/versioning
https://docs.stripe.com/changelog
"""

import re

from stripe_simulator.errors import validation_error

API_VERSION = "2026-10-28.endive"
"""The version of every answer, which the header `Stripe-Version` of the answer names."""
VERSION = re.compile(r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\.(endive|dahlia|clover)")


def family_of(version: str, param: str | None = None) -> str:
    """Return the family of a version, such as `dahlia`. Raises StripeError for a version that is not served."""
    match = VERSION.fullmatch(version)
    if match is None:
        raise validation_error(
            f"Invalid Stripe API version: {version[:100]}. The simulator serves the versions of the families endive, "
            f"dahlia and clover, for example {API_VERSION}, and requests without a version.",
            param=param,
        )
    return match[1]
