"""The whole system, searched: real use cases, Stripe's simulator as oracle, every I/O a place to switch or die."""
