"""The official Stripe CLI works with the simulator."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import stripe

from stripe_simulator import listen
from stripe_simulator.server import Simulator
from tests.stripe import stripe_cli
from tests.stripe.conftest import Receiver, control, drain, eventually

Run = Callable[..., str]


def command_of(simulator: Simulator, *words: str) -> list[str]:
    """Return the command line of a CLI call to the simulator."""
    return [str(stripe_cli.ensure()), *words, "--api-base", simulator.url, "--api-key", simulator.secret_key]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the CLI has no configuration and sends no telemetry."""
    return os.environ | {"HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}


@pytest.fixture
def cli(simulator: Simulator, environment: dict[str, str]) -> Run:
    """Run a CLI command that must succeed and return its output."""

    def run(*words: str) -> str:
        command = command_of(simulator, *words)
        process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    return run


@pytest.mark.parametrize(
    "event",
    [
        "payment_intent.created",
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.requires_action",
        "payment_intent.processing",
        "charge.succeeded",
        "charge.failed",
        "charge.refunded",
        "charge.refund.updated",
        "charge.dispute.created",
        "charge.dispute.closed",
        "charge.dispute.updated",
        "checkout.session.completed",
        "checkout.session.expired",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "customer.created",
        "customer.updated",
        "customer.deleted",
        "payment_method.attached",
        "payment_method.detached",
        "setup_intent.created",
        "setup_intent.succeeded",
        "setup_intent.setup_failed",
        "setup_intent.canceled",
        "product.created",
        "coupon.created",
        "promotion_code.created",
        "balance.available",
        "charge.captured",
        "payment_intent.amount_capturable_updated",
        "product.updated",
        "product.deleted",
        "coupon.updated",
        "coupon.deleted",
        "promotion_code.updated",
    ],
)
def test_trigger_creates_the_event(cli: Run, client: stripe.StripeClient, simulator: Simulator, event: str) -> None:
    cli("trigger", event)
    control(simulator, "/_sim/clock", {"advance_s": 3})
    assert client.v1.events.list({"type": event}).data, f"no {event}"


@pytest.mark.parametrize("event", ["setup_intent.requires_action", "payment_method.updated"])
def test_trigger_creates_the_event_of_a_setup_with_a_return_url(
    cli: Run, client: stripe.StripeClient, simulator: Simulator, environment: dict[str, str], event: str
) -> None:
    command = command_of(simulator, "trigger", event)
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode != 0 and "return_url" in process.stdout + process.stderr
    cli("trigger", event, "--add", "setup_intent:return_url=https://example.com")
    assert client.v1.events.list({"type": event}).data


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
    command = command_of(simulator, "listen", "--all-snapshot", "--forward-to", receiver.url)
    command[command.index("--api-key") + 1] = account.secret_key
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not account.webhooks.listeners:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.05)
            for key in (simulator.secret_key, account.secret_key):
                client = stripe.StripeClient(key, base_addresses={"api": simulator.url})
                client.v1.customers.create({"name": key})
            eventually(lambda: len(receiver.deliveries) == 1)
            simulator.stripe.accounts.delete(account)
            eventually(lambda: not account.connections)
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
