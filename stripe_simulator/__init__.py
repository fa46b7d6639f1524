"""A Stripe simulator: `python -m stripe_simulator` stands in for api.stripe.com on one machine.

It keeps state, sends signed webhooks, and follows one API version (`version.py`).
README.md lists what is simulated and how the simulator differs from Stripe.
"""
