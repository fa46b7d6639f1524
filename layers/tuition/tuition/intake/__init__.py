"""What Stripe's events and the clock bring in."""
