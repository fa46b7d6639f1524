"""The rules of Tuition as pure functions of values: no I/O, no clock, no SDK."""
