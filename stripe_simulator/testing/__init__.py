"""The library for tests that use the simulator: an account, its clock, received webhooks, and runs with faults.

`pytest_plugin.py` offers all of it as fixtures. Nothing here needs pytest.
"""
