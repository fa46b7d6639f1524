"""What follows a committed record: the readers of the audit table's stream."""
