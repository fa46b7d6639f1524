"""The local stack: the deployed template on a local AWS, a local Stripe, and a web server on port 8000."""
