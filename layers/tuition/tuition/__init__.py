"""The code that all Lambda functions share.

A folder imports only from itself and from those before it: core, storage, stripe_gateway, payments, views, intake.
"""
