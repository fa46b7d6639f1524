"""The Stripe API version that the simulator follows.

https://docs.stripe.com/api/versioning
"""

API_VERSION = "2026-10-28.endive"
