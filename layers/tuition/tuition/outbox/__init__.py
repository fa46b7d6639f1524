"""The readers of the audit table's stream, which act after the commit."""
