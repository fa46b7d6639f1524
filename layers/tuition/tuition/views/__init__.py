"""What students and staff read; nothing here changes a payment."""
