"""The calls to Stripe. Only this folder makes them."""
