"""The pytest plugin: fixtures for an account of the simulator, its client, webhooks, clock and faults.

The package activates it when it is installed. Without installing it, write in the top `conftest.py`:
`pytest_plugins = ["stripe_simulator.pytest_plugin"]`.
"""

import random
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from stripe_simulator.http_server import Simulator
from stripe_simulator.server import start
from stripe_simulator.testing.account import SimulatorError, StripeAccount, StripeClock
from stripe_simulator.testing.fault_runs import FAULTS, LASTING, FaultPoint, Step, run_each_fault
from stripe_simulator.testing.receiver import WebhookReceiver, WebhookServer

if TYPE_CHECKING:
    import stripe

MARKER = "stripe_fault"
MARKER_FIELDS = ("match", "fail", "times", "skip", "seconds")
MAX_SEED = 1_000_000
REQUESTS_SHOWN = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--disorder SEED`."""
    parser.getgroup("stripe simulator").addoption(
        "--disorder",
        metavar="SEED",
        type=_seed,
        help="deliver the simulator's webhooks out of order, twice and late, as this seed draws; `random` draws a seed",
    )


def _seed(text: str) -> int:
    return random.randrange(MAX_SEED) if text == "random" else int(text)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the seed to a worker of xdist, which would draw another one."""
    node.workerinput["stripe_disorder"] = node.config.getoption("--disorder")


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, and take the seed of the main process."""
    worker_input = getattr(config, "workerinput", {})
    config.option.disorder = worker_input.get("stripe_disorder", config.option.disorder)
    config.addinivalue_line(
        "markers",
        f"{MARKER}(match, fail='before', times=1, skip=0, seconds=None): cause a fault in the calls that the test "
        "makes to Stripe, as POST /_sim/calls of the simulator does. A fault that no call meets fails the test.",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the seed of the disorder."""
    seed = config.getoption("--disorder")
    return None if seed is None else f"stripe simulator: --disorder {seed}"


# --- fixtures ---


@pytest.fixture(scope="session")
def stripe_simulator(pytestconfig: pytest.Config) -> Iterator[Simulator]:
    """The simulator of the session, on a free port of 127.0.0.1. Its tests have accounts of their own."""
    simulator = start(disorder=pytestconfig.getoption("--disorder"))
    yield simulator
    simulator.stop()


@pytest.fixture
def stripe_account_factory(stripe_simulator: Simulator) -> Iterator[Callable[[], StripeAccount]]:
    """Return a function that returns a new, empty account each time. They are deleted after the test."""
    accounts: list[StripeAccount] = []

    def create() -> StripeAccount:
        accounts.append(StripeAccount(stripe_simulator.url))
        return accounts[-1]

    yield create
    for account in accounts:
        account.delete()


@pytest.fixture
def stripe_account(stripe_account_factory: Callable[[], StripeAccount]) -> StripeAccount:
    """An account of the test's own: its keys, its address, and its part of the control API."""
    return stripe_account_factory()


@pytest.fixture(scope="session")
def stripe_client_options() -> dict[str, Any]:
    """More options of `stripe.StripeClient` for `stripe_client`. Override this fixture to set some."""
    return {}


@pytest.fixture
def stripe_client(stripe_account: StripeAccount, stripe_client_options: dict[str, Any]) -> "stripe.StripeClient":
    """A client of Stripe's library for the test's account."""
    return stripe_account.client(**stripe_client_options)


@pytest.fixture
def stripe_clock(stripe_account: StripeAccount) -> StripeClock:
    """The clock of the test's account."""
    return stripe_account.clock


@pytest.fixture(scope="session")
def stripe_webhook_server() -> Iterator[WebhookServer]:
    """The HTTP server that receives the webhooks of the session."""
    server = WebhookServer()
    yield server
    server.stop()


@pytest.fixture
def stripe_webhooks(stripe_account: StripeAccount, stripe_webhook_server: WebhookServer) -> Iterator[WebhookReceiver]:
    """The webhooks of the test's account, verified and collected in order. A webhook that is refused fails the test."""
    receiver = stripe_webhook_server.receiver().connect(stripe_account)
    yield receiver
    stripe_webhook_server.remove(receiver)
    receiver.check()


@pytest.fixture
def stripe_each_fault(
    stripe_account_factory: Callable[[], StripeAccount],
) -> Callable[..., list[FaultPoint]]:
    """Return a function that runs a callable once for each of its calls to the simulator and each fault.

    See `testing.fault_runs.run_each_fault`.
    """

    def run(
        flow: Step,
        check: Step,
        *,
        prepare: Step | None = None,
        faults: tuple[str, ...] = FAULTS,
        lasting: tuple[str, ...] = LASTING,
        client_options: dict[str, Any] | None = None,
    ) -> list[FaultPoint]:
        __tracebackhide__ = True
        return run_each_fault(
            flow,
            check,
            new_account=stripe_account_factory,
            prepare=prepare,
            faults=faults,
            lasting=lasting,
            client_options=client_options,
        )

    return run


# --- the marker ---


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Cause the faults of the markers in the test itself, not in its fixtures. Fail if no call met one of them.

    This runs for every kind of test, also for a method of a `unittest.TestCase`, whose `setUp` is part of the test.
    """
    __tracebackhide__ = True
    faults = [_fault(marker) for marker in reversed(list(item.iter_markers(MARKER)))]
    if not faults:
        return (yield)
    account = getattr(item, "funcargs", {}).get("stripe_account")
    if not isinstance(account, StripeAccount):
        pytest.fail(f"@pytest.mark.{MARKER} needs a fixture of the account, such as stripe_client", pytrace=False)
    for fault in faults:
        try:
            account.control("POST /_sim/calls", fault)
        except SimulatorError as error:
            pytest.fail(f"@pytest.mark.{MARKER}: {error}", pytrace=False)
    remaining = [_without_skip(fault) for fault in account.faults()]
    result = yield
    unmet = [fault for fault in map(_without_skip, account.faults()) if fault in remaining]
    if unmet:
        pytest.fail(f"no call met the fault of @pytest.mark.{MARKER}: {unmet}", pytrace=False)
    return result


def _without_skip(fault: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fault.items() if name != "skip"}


def _fault(marker: pytest.Mark) -> dict[str, Any]:
    """Return the body of `POST /_sim/calls`. Fails the test if the marker's arguments are wrong."""
    fields = dict(marker.kwargs)
    usage = f"@pytest.mark.{MARKER}(match=…, fail=…, times=…)"
    if len(marker.args) == 1 and "match" not in fields:
        fields["match"] = marker.args[0]
    elif marker.args:
        pytest.fail(f"{usage} takes only match without a name, not {marker.args!r}", pytrace=False)
    unknown = [name for name in fields if name not in MARKER_FIELDS]
    if unknown:
        pytest.fail(f"{usage} has no {', '.join(unknown)}: it takes {', '.join(MARKER_FIELDS)}", pytrace=False)
    if "match" not in fields:
        pytest.fail(f"{usage} needs match, such as 'POST /v1/payment_intents'", pytrace=False)
    return fields


# --- the report of a failed test ---


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the account, its last requests and the seed of the disorder."""
    report = yield
    account = getattr(item, "funcargs", {}).get("stripe_account")
    if report.failed and report.when != "teardown" and isinstance(account, StripeAccount):
        report.sections.append(("stripe simulator", _state(account, item.config.getoption("--disorder"))))
    return report


def _state(account: StripeAccount, seed: int | None) -> str:
    lines = [repr(account)]
    if seed is not None:
        lines.append(f"--disorder {seed} repeats this order of the deliveries")
    try:
        requests = account.control(f"GET /_sim/requests?limit={REQUESTS_SHOWN}")["requests"]
    except (SimulatorError, OSError) as error:
        return "\n".join([*lines, f"no requests: {error}"])
    lines += [f"{one['method']} {one['path']} -> {one['status']}{_detail(one)}" for one in requests]
    return "\n".join(lines)


def _detail(request: dict[str, Any]) -> str:
    fault = f" (fault: {request['fault']})" if request["fault"] else ""
    error = request["error"] or {}
    return fault + (f" {error['message']}" if error.get("message") else "")
