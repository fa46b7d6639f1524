"""Pages for people and browsers: inspector, hosted Checkout, 3-D Secure, receipts, and a stand-in for Stripe.js.

The hosted pages are plain HTML and work without scripts.
"""
