"""What the property tests counted, in one line at the end of a run."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many orders of events were replayed: a search that ran none must show."""
    reports = [r for r in terminalreporter.getreports("passed") if getattr(r, "when", None) == "call"]
    run = sum(value for report in reports for name, value in report.user_properties if name == "permutations")
    if run:
        terminalreporter.write_line(f"{run:,} permutations of events ended as the oracle says")
