"""Stripe: the only folder that calls it."""
