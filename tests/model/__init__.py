"""A search over schedules of the whole system.

The real use cases run, Stripe's simulator is the oracle, and at every I/O the scheduler may switch actors or inject a
fault.
"""
