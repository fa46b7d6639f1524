"""A search over schedules of the whole system: the real use cases, Stripe's simulator as the oracle, and every I/O as
a point where the scheduler may switch actors or inject a fault."""
