"""Measurements: each is a command that writes its figures to a file beside it."""
