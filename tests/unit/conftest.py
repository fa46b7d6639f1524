"""The summary line of the property tests."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many orders of events were replayed, so that an empty search is visible."""
    reports = [r for r in terminalreporter.getreports("passed") if getattr(r, "when", None) == "call"]
    permutations = sum(value for report in reports for name, value in report.user_properties if name == "permutations")
    if permutations:
        terminalreporter.write_line(f"{permutations:,} permutations of events reached the final state of the oracle")
