"""`--host` and `--public-url`: where the simulator listens, what it writes into URLs, and who may use `/_sim`."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import stripe

from stripe_simulator import addresses
from stripe_simulator.server import Simulator, start
from tests.stripe.test_contract import create_session, pay

PUBLIC_URL = "http://stripe.example:8080"
OTHER_LOOPBACK = "127.0.0.2"
"""An address of this machine that a listener on 127.0.0.1 does not have."""
WEBSOCKET = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


def status_of(simulator: Simulator, path: str, headers: dict[str, str], address: str = addresses.LOOPBACK) -> int:
    """Send a request to a simulator, and return the status of the response."""
    connection = http.client.HTTPConnection(address, simulator.port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture(scope="module")
def public_simulator() -> Iterator[Simulator]:
    """A simulator on every address of this machine, with a public URL."""
    simulator = start(host="0.0.0.0", public_url=PUBLIC_URL)  # noqa: S104
    yield simulator
    simulator.stop()


@pytest.fixture
def public_client(public_simulator: Simulator) -> stripe.StripeClient:
    return stripe.StripeClient(public_simulator.secret_key, base_addresses={"api": public_simulator.url})


def test_the_simulator_listens_only_on_loopback_without_an_option(
    shared_simulator: Simulator, public_simulator: Simulator
) -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((OTHER_LOOPBACK, shared_simulator.port), timeout=20)
    assert status_of(public_simulator, "/_sim/health", {"Host": "localhost"}, OTHER_LOOPBACK) == 200


def test_a_listener_on_every_address_is_reached_at_loopback(public_simulator: Simulator) -> None:
    assert public_simulator.url == f"http://127.0.0.1:{public_simulator.port}"
    assert status_of(public_simulator, "/_sim/health", {}) == 200


def test_the_urls_of_objects_begin_with_the_public_url(public_client: stripe.StripeClient) -> None:
    session = create_session(public_client)
    assert str(session.url).startswith(f"{PUBLIC_URL}/c/pay/")
    intent = pay(public_client, "pm_card_visa")
    charge = public_client.v1.charges.retrieve(str(intent.latest_charge))
    assert str(charge.receipt_url).startswith(f"{PUBLIC_URL}/receipts/")
    step = pay(public_client, "pm_card_authenticationRequired", return_url="https://example.com").next_action
    assert step is not None and step.redirect_to_url is not None
    assert str(step.redirect_to_url.url).startswith(f"{PUBLIC_URL}/_sim/3ds/")
    opened = public_client.raw_request("post", "/v1/stripecli/sessions")
    assert json.loads(opened.body)["websocket_url"].startswith("ws://stripe.example:8080/_sim/listen")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "stripe.example:8080"}, 200),
        ({"Host": "STRIPE.example:8080", "Origin": PUBLIC_URL}, 200),
        ({"Host": "127.0.0.1", "Origin": "https://stripe.example"}, 200),
        ({"Host": "stripe.example.evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "192.0.2.7:12111"}, 403),
        ({"Host": "stripe.example:8080", "Origin": "https://evil.example"}, 403),
        ({"Host": "stripe.example:8080", "Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/_sim/health", "/"])
def test_only_pages_and_names_of_the_public_url_control_the_simulator(
    public_simulator: Simulator, path: str, headers: dict[str, str], status: int
) -> None:
    assert status_of(public_simulator, path, headers) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": PUBLIC_URL}, 101),
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_a_page_of_another_origin_cannot_read_events_from_the_websocket(
    public_simulator: Simulator, public_client: stripe.StripeClient, headers: dict[str, str], status: int
) -> None:
    opened = public_client.raw_request("post", "/v1/stripecli/sessions")
    path = json.loads(opened.body)["websocket_url"].partition("8080")[2]
    assert status_of(public_simulator, path, WEBSOCKET | headers) == status


def test_the_host_that_the_simulator_listens_on_may_control_it() -> None:
    simulator = start(host=OTHER_LOOPBACK)
    try:
        assert simulator.url == f"http://{OTHER_LOOPBACK}:{simulator.port}"
        assert simulator.hosts == {OTHER_LOOPBACK}
        assert status_of(simulator, "/_sim/health", {}, OTHER_LOOPBACK) == 200
    finally:
        simulator.stop()


@pytest.mark.parametrize(
    ("host", "url", "is_loopback"),
    [
        ("127.0.0.1", "http://127.0.0.1:80", True),
        ("localhost", "http://localhost:80", True),
        ("::1", "http://[::1]:80", True),
        ("::", "http://[::1]:80", False),
        ("0.0.0.0", "http://127.0.0.1:80", False),  # noqa: S104
        ("", "http://127.0.0.1:80", False),
        ("192.0.2.7", "http://192.0.2.7:80", False),
        ("stripe.example", "http://stripe.example:80", False),
    ],
)
def test_the_url_of_a_listener_and_whether_only_this_machine_reaches_it(host: str, url: str, is_loopback: bool) -> None:
    assert addresses.local_url(host, 80) == url
    assert addresses.is_loopback(host) is is_loopback


@pytest.mark.parametrize(
    "url",
    [
        *("stripe:12111", "ftp://stripe", "http://", "http://stripe/path", "http://stripe?x=1", "http://stripe#x"),
        *("http://user@stripe", "http://stripe:0", "http://stripe:99999", "http://[::1", "http://a b", "", "//stripe"),
        *("http://stripe:", "http://münchen", "http://стрипе:12111", "http://a\tb", "http://a\x7f"),
    ],
)
def test_an_invalid_public_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not a public URL"):
        addresses.public_url(url)


def test_a_public_url_may_end_with_a_slash_and_use_tls() -> None:
    assert addresses.public_url("https://stripe.example/") == "https://stripe.example"
    simulator = start(public_url="https://stripe.example/")
    try:
        assert simulator.public_url == "https://stripe.example"
        client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
        opened = client.raw_request("post", "/v1/stripecli/sessions")
        assert json.loads(opened.body)["websocket_url"].startswith("wss://stripe.example/_sim/listen")
    finally:
        simulator.stop()


def first_lines(*options: str) -> tuple[str, str]:
    """Start the program, stop it when it is ready, and return what it printed on stdout and on stderr."""
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    return line + rest, errors


def test_the_program_warns_when_other_machines_can_reach_it() -> None:
    line, errors = first_lines("--host", "0.0.0.0", "--public-url", PUBLIC_URL)  # noqa: S104
    assert "it listens on 0.0.0.0. Every program that reaches this port" in errors
    assert json.loads(line.removeprefix("ready "))["url"].startswith("http://127.0.0.1:")


def test_the_program_does_not_warn_on_loopback() -> None:
    line, errors = first_lines("--host", OTHER_LOOPBACK)
    assert errors == ""
    assert json.loads(line.removeprefix("ready "))["url"].startswith(f"http://{OTHER_LOOPBACK}:")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--public-url", "stripe:12111"), 2, "stripe:12111 is not a public URL"),
        (("--host", "192.0.2.7"), 1, "stripe_simulator: 192.0.2.7 port 0: "),
    ],
)
def test_the_program_reports_an_unusable_address(options: tuple[str, ...], code: int, message: str) -> None:
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0", *options]
    process = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (process.returncode, process.stdout) == (code, "")
    assert message in process.stderr and "Traceback" not in process.stderr
