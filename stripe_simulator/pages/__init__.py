"""Pages for people and their browsers: the overview, the hosted Checkout, 3-D Secure, and a stand-in for Stripe.js.

The hosted pages are plain HTML and work without scripts.
"""
