"""Faults at the wire: every call of every flow cut, killed, refused or made late, and what must be true afterwards."""
