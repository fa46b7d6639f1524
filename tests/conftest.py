"""What every test shares: DynamoDB Local, the rule that a skip is a failure, and the printed counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import dynamodb_local

TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def dynamodb_local_url() -> Iterator[str]:
    """The endpoint of a DynamoDB Local of this session, empty at its start, in memory, on loopback."""
    with dynamodb_local.running() as url:
        yield url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares one running stack on one worker, and note each test's backend for the summary."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder == "stack":
            item.add_marker(pytest.mark.xdist_group("stack"))
        callspec = getattr(item, "callspec", None)
        backend = callspec.params.get("backend") if callspec else None
        if backend is not None:
            item.user_properties.append(("backend", str(backend)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test shows nothing, so it fails: what cannot run here has a marker that deselects it."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and a skip is a failure here: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips itself."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and a skip is a failure here: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many tests passed in each folder, and in each backend where a test runs on several."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        if getattr(report, "when", None) != "call":
            continue
        path = report.nodeid.partition("::")[0].removeprefix("tests/")
        folder = path.partition("/")[0] if "/" in path else "tests"
        backend = dict(report.user_properties).get("backend")
        counts[f"{folder} on {backend}" if backend else folder] += 1
    if counts:
        terminalreporter.write_sep("-", "passed by what was running")
        for name, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:6d}  {name}")
