"""Shared by all tests: DynamoDB Local, the rule that a skipped test fails, and the summary at the end of a run."""

from __future__ import annotations

import gc
import os
import resource
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests import isolation

os.environ.update(isolation.ENVIRONMENT | os.environ)

from local import dynamodb_local
from tests.recorded_calls import call_log
from tests.seeds import first_seed
from tests.stripe_requests import request_log

pytest_plugins = ["pytester", "stripe_simulator.pytest_plugin"]
STACK_TESTS = Path(__file__).parent / "stack"
_sleep = time.sleep
_processor_seconds: dict[str, float] = {}
"""By worker, with all the processes that it has started."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--screenshots DIR`: the browser tests save pictures of the main steps there."""
    parser.addoption("--screenshots", help="a folder for screenshots of the student page")
    parser.addoption("--record", action="store_true", help="write what AWS and Stripe answered to the installer")
    compare_all = "compare every call of tests/tables with DynamoDB Local"
    parser.addoption("--compare-all", action="store_true", help=compare_all)


@pytest.fixture(autouse=True)
def _a_process_as_if_the_test_were_its_only_one() -> Iterator[None]:
    """Empty every cache before a test, and check that it restores what it has changed for the tests after it.

    This fixture is set up first and torn down last.
    """
    isolation.reset()
    before, session = isolation.state(), boto3.DEFAULT_SESSION
    yield
    isolation.restore_session(session)
    changes = isolation.changes(before, isolation.state())
    assert not changes, f"the test did not restore: {changes}"


@pytest.fixture(scope="session")
def dynamodb_local_url() -> Iterator[str]:
    """Start an empty, in-memory DynamoDB Local on loopback for this session and return its endpoint."""
    with dynamodb_local.running() as url:
        yield url


class StackScheduling(LoadScopeScheduling):
    """Run the tests that share something expensive on one worker; spread all other tests over the free workers.

    The stack tests share two running stacks, one for those with a browser and one for the others, so that two workers
    can run them. `OWN_STACKS` start stacks of their own. The files of `WHOLE_FILES` share an expanded template or
    running functions, those of `SOURCES` the syntax trees of all our code (`tools/structure.py`). We need our own
    scheduler because xdist 3.8 writes its groups where pytest 9.2 no longer reads them.
    """

    WHOLE_FILES = ("tests/unit/", "tests/template/", "tests/runtime/")
    SOURCES = (*(f"tests/unit/test_{name}.py" for name in ("dead_code", "house_rules", "structure", "words")),)
    OWN_STACKS = ("tests/stack/test_install.py", "tests/stack/test_run.py")

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(self.SOURCES):
            return "sources"
        if nodeid.startswith((*self.WHOLE_FILES, *self.OWN_STACKS)):
            return nodeid.partition("::")[0]
        if nodeid.startswith("tests/stack/"):
            return "browser" if nodeid.startswith("tests/stack/browser/") else "stack"
        return nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> StackScheduling:
    """Use our scheduler."""
    return StackScheduling(config, log)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Record whether all stack tests run: each file is collected, and no option selects some of its tests.

    The modules and tests stay until the end. The garbage collector sets them aside, or it would visit them each time.
    """
    gc.freeze()
    option, arguments = session.config.option, session.config.args
    failed_only = getattr(option, "lf", False)  # absent without the cache provider
    selects = option.keyword or option.deselect or failed_only or any("::" in argument for argument in arguments)
    paths = {item.path for item in session.items if item.path.is_relative_to(STACK_TESTS)}
    call_log.complete = not selects and paths == {*STACK_TESTS.rglob("test_*.py")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Record the backend of each test for the summary."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        backend = callspec.params.get("backend") if callspec else None
        if backend is not None:
            item.user_properties.append(("backend", str(backend)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test, because it proves nothing. A test that cannot run here has a marker that deselects it."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped tests count as failures here: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that skips itself."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped tests count as failures here: {report.longrepr}"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Merge the requests to Stripe and the calls to AWS that a finished worker recorded."""
    output = getattr(node, "workeroutput", {})
    if "stripe_requests" in output:
        request_log.merge(output["stripe_requests"])
        call_log.merge(output["calls"])
        _processor_seconds[node.gateway.id] = output["processor_seconds"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a request does not match Stripe's types, or a call to AWS does not match its role's permissions.

    A worker passes its record to the main process.
    """
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        seconds = sum(one.ru_utime + one.ru_stime for one in usage)
        output |= {"stripe_requests": request_log.report(), "calls": call_log.report(), "processor_seconds": seconds}
    elif session.exitstatus == pytest.ExitCode.OK and _problems(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print why the run fails although no test did: last, where a reader of the end of a log finds it.

    pytest then collects garbage five times. It need not visit what the tests have left.
    """
    gc.freeze()
    if hasattr(config, "workeroutput") or config.pluginmanager.get_plugin("terminalreporter") is None:
        return
    for problem in _problems(config):
        config.get_terminal_writer().line(f"FAILED {problem}", red=True)


def _problems(config: pytest.Config) -> list[str]:
    """Return what is wrong with the recorded requests to Stripe and calls to AWS."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    passed = Counter(_folder(report) for report in reporter.getreports("passed") if report.when == "call")
    requests = [f"requests to Stripe: {problem}" for problem in request_log.problems(passed)]
    return requests + [f"calls to AWS: {problem}" for problem in call_log.problems()]


def _folder(report: pytest.TestReport) -> str:
    path = report.nodeid.partition("::")[0].removeprefix("tests/")
    return path.partition("/")[0] if "/" in path else "tests"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print how many tests passed in each folder, and in each backend where a test runs on several, and their time."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        if getattr(report, "when", None) != "call":
            continue
        folder = _folder(report)
        backend = dict(report.user_properties).get("backend")
        counts[f"{folder} on {backend}" if backend else folder] += 1
    for folder, operations in request_log.counts.items():
        if operations:
            summary = f"{operations.total()} requests of {len(operations)} operations match Stripe's types"
            terminalreporter.write_line(f"tests/{folder}: {summary}")
    if call_log.allowed:
        terminalreporter.write_line(f"tests/stack: {call_log.summary()}")
    _print_schedules(terminalreporter)
    _print_figures(terminalreporter)
    if counts:
        terminalreporter.write_sep("-", "passed tests by folder")
        for name, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:6d}  {name}")
        if "tables on compared" in counts:
            terminalreporter.write_line(f"TUITION_SEED={first_seed()} drew those that are compared")
        _print_seconds(terminalreporter)


def _print_seconds(terminalreporter: Any) -> None:
    """Print how long the tests of each folder took, and how busy each worker was: both should be until the end."""
    reports = [
        report
        for one in ("passed", "failed", "error", "")
        for report in terminalreporter.stats.get(one, ())
        if hasattr(report, "duration")
    ]
    folders, workers = Counter[str](), Counter[str]()
    for report in reports:
        folders[_folder(report)] += report.duration
        workers[getattr(report, "worker_id", "main")] += report.duration
    terminalreporter.write_sep("-", "seconds by folder and by worker")
    for name, seconds in sorted(folders.items()):
        terminalreporter.write_line(f"{seconds:6.0f}  {name}")
    for name, seconds in sorted(workers.items()):
        processor = f", {_processor_seconds[name]:.0f} processor seconds" if name in _processor_seconds else ""
        terminalreporter.write_line(f"{seconds:6.0f}  {name}{processor}")


def _print_schedules(terminalreporter: Any) -> None:
    """Print how many schedules the searches tried, so that a search without any is noticed."""
    reports = [r for r in terminalreporter.getreports("passed") if getattr(r, "when", None) == "call"]
    properties = [(name, value) for report in reports for name, value in report.user_properties]
    schedules = sum(value for name, value in properties if name == "schedules")
    counts: Counter[str] = Counter()
    for name, value in properties:
        if name == "searched":
            counts.update(value)
        elif name == "planted":
            terminalreporter.write_line(value)
    if schedules:
        seed = os.environ.get("TUITION_SEED", "1")
        details = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"TUITION_SEED={seed}: {schedules:,} schedules without a violation: {details}")


def _print_figures(terminalreporter: Any) -> None:
    """Print the figures of the randomized tests, summed: each test records `("figure", (name, count))`."""
    figures: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if getattr(report, "when", None) == "call" else ():
            if name == "figure":
                figures[value[0]] += value[1]
    if figures:
        terminalreporter.write_sep("-", f"randomized tests with TUITION_SEED={os.environ.get('TUITION_SEED', '1')}")
        for name, count in sorted(figures.items()):
            terminalreporter.write_line(f"{count:9d}  {name}")
