"""A simulator on a port, a `stripe` client that talks to it, and one in process under a clock that we move."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator, start


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
def simulator(running: Simulator) -> Simulator:
    sim(running, "/_sim/reset", {})
    return running


@pytest.fixture
def client(simulator: Simulator) -> stripe.StripeClient:
    return stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url}, max_network_retries=2)


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
