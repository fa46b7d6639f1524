"""Stripe's resources: one module per resource, each with its ROUTES."""
