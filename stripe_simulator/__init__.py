"""A Stripe for one laptop: `python -m stripe_simulator` stands in for api.stripe.com.

It keeps state, sends signed webhooks and follows API version 2026-10-28.endive.
`docs/testing.md` says what is simulated and what differs.
"""

API_VERSION = "2026-10-28.endive"
