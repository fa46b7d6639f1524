"""The items and events that each release wrote, which every later version must read: see `docs/testing.md`."""
