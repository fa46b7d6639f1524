"""The rules of Tuition as values in, values out: no I/O, no clock, no SDK."""
