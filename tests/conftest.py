"""What every test shares: DynamoDB Local, the rule that a skip is a failure, and the printed counts."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from local import dynamodb_local
from tests.requests_sent import notes

TESTS = Path(__file__).parent
_sleep = time.sleep


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots DIR`: the browser tests keep pictures of the main steps there."""
    parser.addoption("--screenshots", help="a folder for pictures of the student page")


@pytest.fixture(autouse=True)
def _time_goes_on() -> Iterator[None]:
    """Set up first and taken down last: a clock that a test has bent must be straight again for the next."""
    yield
    assert time.sleep is _sleep, "this test leaves a time.sleep behind that does not sleep"


@pytest.fixture(scope="session")
def dynamodb_local_url() -> Iterator[str]:
    """The endpoint of a DynamoDB Local of this session, empty at its start, in memory, on loopback."""
    with dynamodb_local.running() as url:
        yield url


class OneStack(LoadScopeScheduling):
    """What shares one running stack stays on one worker; every other test goes to whichever is free.

    A scheduler of our own, because xdist 3.8 writes its groups where pytest 9.2 no longer reads them.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if nodeid.startswith("tests/stack/") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneStack:
    return OneStack(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note each test's backend for the summary."""
    for item in items:
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


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: what its tests sent to Stripe."""
    report = getattr(node, "workeroutput", {}).get("requests_sent")
    if report is not None:
        notes.add(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Every request of Tuition's is as Stripe's types have it, or the run fails; a worker hands its notes on."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["requests_sent"] = notes.report()
    elif session.exitstatus == pytest.ExitCode.OK and _faults(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _faults(config: pytest.Config) -> list[str]:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    passed = Counter(_folder(report) for report in reporter.getreports("passed") if report.when == "call")
    return notes.faults(passed)


def _folder(report: pytest.TestReport) -> str:
    path = report.nodeid.partition("::")[0].removeprefix("tests/")
    return path.partition("/")[0] if "/" in path else "tests"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print how many tests passed in each folder, and in each backend where a test runs on several."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        if getattr(report, "when", None) != "call":
            continue
        folder = _folder(report)
        backend = dict(report.user_properties).get("backend")
        counts[f"{folder} on {backend}" if backend else folder] += 1
    for folder, operations in notes.sent.items():
        if operations:
            said = f"{operations.total()} requests of {len(operations)} operations are as Stripe types them"
            terminalreporter.write_line(f"tests/{folder}: {said}")
    for fault in _faults(config):
        terminalreporter.write_line(f"requests to Stripe: {fault}", red=True)
    _what_was_searched(terminalreporter)
    _print_figures(terminalreporter)
    if counts:
        terminalreporter.write_sep("-", "passed by what was running")
        for name, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:6d}  {name}")


def _what_was_searched(terminalreporter: Any) -> None:
    """Print what the searches of schedules counted: a search that made none must show."""
    reports = [r for r in terminalreporter.getreports("passed") if getattr(r, "when", None) == "call"]
    told = [(name, value) for report in reports for name, value in report.user_properties]
    made = sum(value for name, value in told if name == "schedules")
    counts: Counter[str] = Counter()
    for name, value in told:
        if name == "searched":
            counts.update(value)
        elif name == "planted":
            terminalreporter.write_line(value)
    if made:
        seed = os.environ.get("TUITION_SEED", "1")
        listed = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"TUITION_SEED={seed}: {made:,} schedules without a violation: {listed}")


def _print_figures(terminalreporter: Any) -> None:
    """What the searches did, summed over their tests: each records `("figure", (what, how many))`."""
    figures: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if getattr(report, "when", None) == "call" else ():
            if name == "figure":
                figures[value[0]] += value[1]
    if figures:
        terminalreporter.write_sep("-", f"searched with TUITION_SEED={os.environ.get('TUITION_SEED', '1')}")
        for name, count in sorted(figures.items()):
            terminalreporter.write_line(f"{count:9d}  {name}")
