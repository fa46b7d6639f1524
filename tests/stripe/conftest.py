"""A simulator on a port, a `stripe` client that talks to it, and one in process under a clock that we move.

A test that asks for `client` and for nothing that only the simulator has runs twice: on the simulator, and with
`-m live` on Stripe's test mode, with the key in STRIPE_SECRET_KEY (STRIPE_API_BASE for another address).
"""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator, start
from tests.stripe import shapes
from tests.stripe.checked import Checked

WAIT_S = 60.0
ONLY_HERE = {"simulator", "cli", "running", "here", "told"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A contract test is for both: what we built, and what it stands for."""
    if "backend" in metafunc.fixturenames:
        live = [] if ONLY_HERE & set(metafunc.fixturenames) else [pytest.param("live", marks=pytest.mark.live)]
        metafunc.parametrize("backend", ["simulator", *live])


@dataclass
class Receiver:
    """A webhook endpoint: what came, and what it answers."""

    url: str
    bodies: list[tuple[str, bytes]]
    statuses: list[int]

    def types(self) -> list[str]:
        """The types of the events in the order in which they came."""
        return [json.loads(body)["type"] for _, body in self.bodies]


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    simulator = start(seed=7)
    yield simulator
    simulator.stop()


def sim(simulator: Simulator, path: str, body: dict[str, Any] | None = None) -> Any:
    """Call a knob: POST with a body, else GET."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(simulator.url + path, data=data)) as answer:
        return json.load(answer)


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    """The simulator, new; every event that the test made is held against the types at its end."""
    sim(running, "/_sim/reset", {})
    yield running
    events = [json.loads(one) for one in list(running.stripe.webhooks.payloads.values())]
    wrong = {problem for event in events for problem in shapes.problems_of_event(event)}
    assert not wrong, "\n".join(sorted(wrong))


def live_client() -> stripe.StripeClient:
    """Stripe's test mode. A live key is refused: these tests move money."""
    key = os.environ.get("STRIPE_SECRET_KEY", "")
    if not key.startswith(("sk_test_", "rk_test_")):
        pytest.fail("-m live needs STRIPE_SECRET_KEY, a key of Stripe's test mode (sk_test_…), never a live one")
    base = os.environ.get("STRIPE_API_BASE")
    return stripe.StripeClient(
        key,
        max_network_retries=3,
        http_client=Checked(newer=True),
        **({"base_addresses": {"api": base}} if base else {}),  # type: ignore[arg-type]
    )


@pytest.fixture
def client(backend: str, request: pytest.FixtureRequest) -> stripe.StripeClient:
    if backend == "live":
        return live_client()
    simulator: Simulator = request.getfixturevalue("simulator")
    return stripe.StripeClient(
        simulator.secret_key,
        base_addresses={"api": simulator.url},
        max_network_retries=2,
        http_client=Checked(),
    )


Until = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def until(backend: str, request: pytest.FixtureRequest) -> Until:
    """Wait for what Stripe does later: the simulator's clock is moved, Stripe's is not."""

    def moved(true: Callable[[], Any]) -> Any:
        simulator: Simulator = request.getfixturevalue("simulator")
        found = true()
        if not found:
            sim(simulator, "/_sim/clock", {"advance_s": 2})
            found = true()
        assert found, "not after 2 seconds of the simulator's clock"
        return found

    def waited(true: Callable[[], Any]) -> Any:
        ends = time.monotonic() + WAIT_S
        while not (found := true()):
            assert time.monotonic() < ends, f"not after {WAIT_S} s"
            time.sleep(1)
        return found

    return waited if backend == "live" else moved


def eventually(check: Callable[[], bool], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    got = Receiver("", [], [])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.bodies.append((self.headers["Stripe-Signature"], body))
            self.send_response(got.statuses.pop(0) if got.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests' output is theirs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield got
    server.shutdown()
    server.server_close()


@pytest.fixture
def told(receiver: Receiver) -> Any:
    simulator = start(webhook_url=receiver.url, webhook_secret="whsec_one")
    yield simulator
    simulator.stop()


def customers(simulator: Simulator, count: int) -> None:
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    for n in range(count):
        client.v1.customers.create({"name": str(n)})


def names(receiver: Receiver) -> list[str]:
    return [json.loads(body)["data"]["object"]["name"] for _, body in receiver.bodies]
