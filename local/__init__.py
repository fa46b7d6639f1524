"""The one-machine stack: the template on a local AWS, a local Stripe, and the front on port 8000."""
