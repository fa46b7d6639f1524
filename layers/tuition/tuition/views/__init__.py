"""The data that students and staff read. Nothing here changes a payment."""
