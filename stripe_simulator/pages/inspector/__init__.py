"""The inspector at `/` and under `/inspect/`: objects, events with their deliveries, and requests of the account.

Pages are plain HTML that works without scripts. `markup.py` escapes every text and masks every secret.
"""
