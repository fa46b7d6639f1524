"""Tuition: what the Lambda functions share. Imports point inward: functions, use cases, ledger, tables, core."""
