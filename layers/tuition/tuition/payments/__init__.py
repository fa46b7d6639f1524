"""The use cases that change a payment."""
