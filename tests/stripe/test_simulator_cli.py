"""The official Stripe CLI works with the simulator."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from stripe_simulator import listen
from stripe_simulator.server import Simulator
from tests.stripe import cli_triggers, stripe_cli
from tests.stripe.conftest import Receiver, drain

Run = Callable[..., str]
ROOT = Path(__file__).parents[2]
VERSION = stripe_cli.PACKAGE.rpartition("@")[2]


def command_of(simulator: Simulator, *words: str) -> list[str]:
    """Return the command line of a CLI call to the simulator."""
    return [str(stripe_cli.ensure()), *words, "--api-base", simulator.url, "--api-key", simulator.secret_key]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the CLI has no configuration and sends no telemetry."""
    return cli_triggers.environment(tmp_path)


@pytest.fixture
def cli(simulator: Simulator, environment: dict[str, str]) -> Run:
    """Run a CLI command that must succeed and return its output."""

    def run(*words: str) -> str:
        command = command_of(simulator, *words)
        process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    return run


ROWS = {row.event: row for row in cli_triggers.read_table()}
"""The results in benchmarks/stripe_triggers.md."""


def compare_trigger(simulator: Simulator, event: str, home: Path) -> None:
    """Trigger an event, and compare its result with the table."""
    command = "make bench BENCH=stripe_triggers"
    assert cli_triggers.trigger(simulator, event, home) == ROWS[event], f"the table differs: run `{command}`"


@pytest.mark.parametrize("event", [row.event for row in ROWS.values() if row.result == cli_triggers.PASSES])
def test_trigger_creates_the_event(simulator: Simulator, tmp_path: Path, event: str) -> None:
    compare_trigger(simulator, event, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("event", [row.event for row in ROWS.values() if row.result != cli_triggers.PASSES])
def test_trigger_of_another_event_is_refused_as_the_table_says(
    simulator: Simulator, tmp_path: Path, event: str
) -> None:
    compare_trigger(simulator, event, tmp_path)


def test_the_table_has_every_event_of_the_cli_which_passes_or_is_refused_by_name(tmp_path: Path) -> None:
    assert list(ROWS) == cli_triggers.all_events(tmp_path)
    assert cli_triggers.write_table(list(ROWS.values()), VERSION) == cli_triggers.TABLE.read_text()
    for row in ROWS.values():
        assert row.result == cli_triggers.PASSES or cli_triggers.REFUSED_BY_NAME.fullmatch(row.result), row
    passing = [row for row in ROWS.values() if row.result == cli_triggers.PASSES]
    manual = (ROOT / "stripe_simulator" / "README.md").read_text()
    assert f"`stripe trigger` of CLI {VERSION} creates {len(passing)} of its {len(ROWS)} events" in manual


@pytest.mark.parametrize("event", ["setup_intent.requires_action", "payment_method.updated"])
def test_trigger_of_a_setup_needs_a_return_url(simulator: Simulator, environment: dict[str, str], event: str) -> None:
    command = command_of(simulator, "trigger", event)
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode != 0 and "return_url" in process.stdout + process.stderr


@pytest.mark.parametrize("version", ["2026-08-26.dahlia", "2025-11-17.clover"])
def test_the_cli_works_with_an_older_version(
    cli: Run, client: stripe.StripeClient, simulator: Simulator, version: str
) -> None:
    cli("trigger", "payment_intent.succeeded", "--api-version", version)
    assert client.v1.events.list({"type": "payment_intent.succeeded"}).data
    assert json.loads(cli("post", "/v1/customers", "--stripe-version", version))["object"] == "customer"


def test_listen_forwards_signed_events(
    simulator: Simulator, receiver: Receiver, environment: dict[str, str], tmp_path: Path
) -> None:
    command = command_of(simulator, "listen", "--all-snapshot", "--forward-to", receiver.url)
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
            deadline = time.monotonic() + 15
            while not receiver.deliveries:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                client.v1.customers.create({})
                time.sleep(0.3)
        finally:
            process.terminate()
            process.wait(timeout=10)
    header, body = receiver.deliveries[0]
    secret = listen.secret(simulator.stripe.account)
    assert stripe.Webhook.construct_event(body, header, secret).type == "customer.created"


def test_listen_forwards_the_events_of_the_account_of_its_key(
    simulator: Simulator, receiver: Receiver, environment: dict[str, str], tmp_path: Path
) -> None:
    account = simulator.stripe.accounts.select("sk_test_ListensForEvents1")

    def wait_until(check: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60
        while not check():
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)

    command = command_of(simulator, "listen", "--all-snapshot", "--forward-to", receiver.url)
    command[command.index("--api-key") + 1] = account.secret_key
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: account.webhooks.listeners)
            for key in (simulator.secret_key, account.secret_key):
                client = stripe.StripeClient(key, base_addresses={"api": simulator.url})
                client.v1.customers.create({"name": key})
            wait_until(lambda: len(receiver.deliveries) == 1)
            simulator.stripe.accounts.delete(account)
            wait_until(lambda: not account.connections)
        finally:
            process.terminate()
            process.wait(timeout=10)
    header, body = receiver.deliveries[0]
    event = stripe.Webhook.construct_event(body, header, listen.secret(account))
    assert event.data.object["name"] == account.secret_key
    assert listen.secret(account) != listen.secret(simulator.stripe.account)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("acct_none", {}, 404),
        ("", {}, 404),
        ("own", {"Origin": "https://evil.example"}, 403),
        ("own", {"Host": "evil.example"}, 403),
    ],
)
def test_the_websocket_needs_an_account_and_refuses_pages_of_other_origins(
    shared_simulator: Simulator, path: str, headers: dict[str, str], status: int
) -> None:
    account = shared_simulator.stripe.account
    websocket = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x"}
    url = f"{shared_simulator.url}/_sim/listen/{account.id if path == 'own' else path}"
    assert httpx.get(url, headers=websocket | headers).status_code == status
    assert account.connections == set()


@pytest.mark.parametrize(
    ("words", "name"),
    [(("logs", "tail"), "stripe logs tail"), (("listen", "--all-thin", "--forward-to", "http://127.0.0.1:1/"), "thin")],
    ids=["logs", "thin"],
)
def test_a_command_that_would_wait_in_vain_is_refused(
    simulator: Simulator, environment: dict[str, str], words: tuple[str, ...], name: str
) -> None:
    command = command_of(simulator, *words)
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode != 0
    assert "The simulator does not support" in process.stdout + process.stderr
    assert name in process.stdout + process.stderr


def test_resource_commands_create_read_update_and_delete(cli: Run, client: stripe.StripeClient) -> None:
    id = json.loads(cli("payment_intents", "create", "--amount", "500", "--currency", "usd"))["id"]
    assert id in cli("payment_intents", "list", "--limit", "1")
    assert id in cli("payment_intents", "retrieve", id)
    assert id in cli("get", f"/v1/payment_intents/{id}")
    assert "metadata" in cli("payment_intents", "update", id, "-d", "metadata[a]=b")
    intent = json.loads(
        cli("payment_intents", "confirm", id, "--payment-method", "pm_card_visa", "--return-url", "https://x/")
    )
    assert (intent["status"], intent["metadata"]) == ("succeeded", {"a": "b"})
    assert json.loads(cli("refunds", "create", "--payment-intent", id, "--amount", "100"))["amount"] == 100
    assert intent["latest_charge"] in cli("charges", "list")
    other = json.loads(cli("post", "/v1/payment_intents", "-d", "amount=700", "-d", "currency=usd"))["id"]
    assert json.loads(cli("payment_intents", "cancel", other))["status"] == "canceled"
    customer = json.loads(cli("customers", "create", "--email", "ada@example.com"))["id"]
    assert '"deleted": true' in cli("customers", "delete", customer, "--confirm")
    for words in (("balance", "retrieve"), ("disputes", "list"), ("coupons", "list"), ("events", "list")):
        assert json.loads(cli(*words))["object"] in ("balance", "list")
    assert cli("checkout", "sessions", "list").strip().startswith("{")


def test_events_resend_delivers_an_event_again(cli: Run, simulator: Simulator, receiver: Receiver) -> None:
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})
    client.v1.customers.create({})
    event = client.v1.events.list({"type": "customer.created"}).data[0].id
    drain(simulator)
    assert event in cli("events", "resend", event)
    drain(simulator)
    assert [received["id"] for received in receiver.events] == [event, event]


def test_the_cli_shows_the_simulators_errors(simulator: Simulator, environment: dict[str, str]) -> None:
    command = command_of(simulator, "payment_intents", "retrieve", "pi_none")
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert "resource_missing" in process.stdout + process.stderr
