"""The processing of Stripe's events, the hourly reconciliation and the backfill."""
