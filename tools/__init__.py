"""Checks of the repository itself: its structure and its dead code."""
