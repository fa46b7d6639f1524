"""Faults on the wire: every call of every flow dropped, killed, refused or delayed, and the invariants afterwards."""
