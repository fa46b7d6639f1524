"""Simulators on a port, the `stripe` clients that call them, and a webhook receiver.

A test that uses `client` and no fixture of `SIMULATOR_FIXTURES` runs on two backends: the simulator and, with
`-m live`, Stripe's test mode. The live run reads its key from STRIPE_SECRET_KEY and an optional address from
STRIPE_API_BASE.
"""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator, start
from stripe_simulator.testing.receiver import WebhookReceiver as Receiver
from stripe_simulator.testing.receiver import WebhookServer
from tests.stripe import typed_responses
from tests.stripe.checked_http_client import CheckedHttpClient

LIVE_TIMEOUT_S = 60.0
SIMULATOR_FIXTURES = {"shared_simulator", "simulator", "webhook_simulator", "cli", "in_process"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a contract test on the simulator and on Stripe itself."""
    if "backend" in metafunc.fixturenames:
        simulator_only = SIMULATOR_FIXTURES & set(metafunc.fixturenames)
        live = [] if simulator_only else [pytest.param("live", marks=pytest.mark.live)]
        metafunc.parametrize("backend", ["simulator", *live])


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[Simulator]:
    """One simulator for the whole session; most tests use `simulator`, which resets it."""
    simulator = start(seed=7)
    yield simulator
    simulator.stop()


def control(simulator: Simulator, path: str, body: dict[str, Any] | None = None) -> Any:
    """Call the simulator's control API: POST if there is a body, else GET."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(simulator.url + path, data=data)) as response:
        return json.load(response)


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    """A reset simulator with one account; after the test, every event of it is checked against the package's types."""
    accounts = shared_simulator.stripe.accounts
    for account in accounts.all()[1:]:
        accounts.delete(account)
    control(shared_simulator, "/_sim/reset", {})
    yield shared_simulator
    events = [json.loads(payload) for payload in list(shared_simulator.stripe.webhooks.payloads.values())]
    problems = {problem for event in events for problem in typed_responses.problems_of_event(event)}
    assert not problems, "\n".join(sorted(problems))


def live_client() -> stripe.StripeClient:
    """Return a client for Stripe's test mode. Live keys are refused, because these tests move money."""
    key = os.environ.get("STRIPE_SECRET_KEY", "")
    if not key.startswith(("sk_test_", "rk_test_")):
        pytest.fail("-m live needs STRIPE_SECRET_KEY, a key of Stripe's test mode (sk_test_…), never a live one")
    base = os.environ.get("STRIPE_API_BASE")
    return stripe.StripeClient(
        key,
        max_network_retries=3,
        http_client=CheckedHttpClient(allow_unknown_fields=True),
        **({"base_addresses": {"api": base}} if base else {}),  # type: ignore[arg-type]
    )


@pytest.fixture
def client(backend: str, request: pytest.FixtureRequest) -> stripe.StripeClient:
    """A client for the backend, whose responses are checked against the package's types."""
    if backend == "live":
        return live_client()
    simulator: Simulator = request.getfixturevalue("simulator")
    return stripe.StripeClient(
        simulator.secret_key,
        base_addresses={"api": simulator.url},
        max_network_retries=2,
        http_client=CheckedHttpClient(),
    )


WaitUntil = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def wait_until(backend: str, request: pytest.FixtureRequest) -> WaitUntil:
    """Wait for an asynchronous result of Stripe and return it; the simulator's clock is advanced instead."""

    def advance_clock(check: Callable[[], Any]) -> Any:
        simulator: Simulator = request.getfixturevalue("simulator")
        result = check()
        if not result:
            control(simulator, "/_sim/clock", {"advance_s": 2})
            result = check()
        assert result, "no result after 2 seconds on the simulator's clock"
        return result

    def poll(check: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + LIVE_TIMEOUT_S
        while not (result := check()):
            assert time.monotonic() < deadline, f"no result after {LIVE_TIMEOUT_S} s"
            time.sleep(0.25)
        return result

    return poll if backend == "live" else advance_clock


def eventually(check: Callable[[], bool], seconds: float = 30) -> None:
    """Poll until the check is true; fail after the timeout."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"the check was still false after {seconds} s"
        time.sleep(0.02)


@pytest.fixture
def receiver(stripe_webhook_server: WebhookServer) -> Iterator[Receiver]:
    """A webhook endpoint, of no account yet."""
    receiver = stripe_webhook_server.receiver()
    yield receiver
    stripe_webhook_server.remove(receiver)
    receiver.check()


@pytest.fixture
def webhook_simulator(receiver: Receiver) -> Iterator[Simulator]:
    """A simulator that delivers its events to `receiver`, signed with `whsec_one`."""
    simulator = start(webhook_url=receiver.url, webhook_secret="whsec_one")
    yield simulator
    simulator.stop()


def drain(simulator: Simulator) -> None:
    """Wait until each delivery that is due has been tried."""
    assert control(simulator, "/_sim/webhooks/drain", {})["drained"]


def create_customers(simulator: Simulator, count: int) -> None:
    """Create customers named "0", "1", …; each creates one event."""
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    for n in range(count):
        client.v1.customers.create({"name": str(n)})


def names_delivered(receiver: Receiver) -> list[str]:
    """Return the customer names of the deliveries, in order."""
    return [event["data"]["object"]["name"] for event in receiver.events]
