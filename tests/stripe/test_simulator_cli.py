"""The official Stripe CLI believes the simulator."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import stripe

from stripe_simulator import listen
from stripe_simulator.server import Simulator
from tests.stripe import stripe_cli
from tests.stripe.conftest import Receiver, control, eventually

Run = Callable[..., str]


@pytest.fixture
def cli(simulator: Simulator, tmp_path: Path) -> Run:
    program = stripe_cli.ensure()
    home = os.environ | {"HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}

    def run(*words: str) -> str:
        command = [str(program), *words, "--api-base", simulator.url, "--api-key", simulator.secret_key]
        done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

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
    ],
)
def test_trigger_makes_its_event(cli: Run, client: stripe.StripeClient, simulator: Simulator, event: str) -> None:
    cli("trigger", event)
    control(simulator, "/_sim/clock", {"advance_s": 3})
    assert client.v1.events.list({"type": event}).data, f"no {event}"


def test_listen_forwards_signed_events(simulator: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    words = [
        "listen",
        "--all-snapshot",
        "--forward-to",
        receiver.url,
        "--api-base",
        simulator.url,
        "--api-key",
        simulator.secret_key,
    ]
    home = os.environ | {"HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    log = (tmp_path / "log").open("w+")
    listening = subprocess.Popen([str(stripe_cli.ensure()), *words], env=home, stdout=log, stderr=log)
    try:
        client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
        limit = time.monotonic() + 15
        while not receiver.deliveries:
            assert time.monotonic() < limit, (tmp_path / "log").read_text()
            client.v1.customers.create({})
            time.sleep(0.3)
    finally:
        listening.terminate()
        listening.wait(timeout=10)
        log.close()
    header, body = receiver.deliveries[0]
    secret = listen.secret(simulator.stripe.account)
    assert stripe.Webhook.construct_event(body, header, secret).type == "customer.created"


def test_the_commands_of_resources_work(cli: Run, client: stripe.StripeClient) -> None:
    made = json.loads(cli("payment_intents", "create", "--amount", "500", "--currency", "usd"))["id"]
    assert made in cli("payment_intents", "list", "--limit", "1")
    assert made in cli("payment_intents", "retrieve", made)
    assert made in cli("get", f"/v1/payment_intents/{made}")
    assert "metadata" in cli("payment_intents", "update", made, "-d", "metadata[a]=b")
    paid = json.loads(cli("payment_intents", "confirm", made, "--payment-method", "pm_card_visa"))
    assert (paid["status"], paid["metadata"]) == ("succeeded", {"a": "b"})
    assert json.loads(cli("refunds", "create", "--payment-intent", made, "--amount", "100"))["amount"] == 100
    assert paid["latest_charge"] in cli("charges", "list")
    other = json.loads(cli("post", "/v1/payment_intents", "-d", "amount=700", "-d", "currency=usd"))["id"]
    assert json.loads(cli("payment_intents", "cancel", other))["status"] == "canceled"
    customer = json.loads(cli("customers", "create", "--email", "ada@example.com"))["id"]
    assert '"deleted": true' in cli("customers", "delete", customer, "--confirm")
    for words in (("balance", "retrieve"), ("disputes", "list"), ("coupons", "list"), ("events", "list")):
        assert json.loads(cli(*words))["object"] in ("balance", "list")
    assert cli("checkout", "sessions", "list").strip().startswith("{")


def test_an_event_is_sent_again_by_the_cli(cli: Run, simulator: Simulator, receiver: Receiver) -> None:
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})
    client.v1.customers.create({})
    event = client.v1.events.list({"type": "customer.created"}).data[0].id
    eventually(lambda: len(receiver.deliveries) == 1)
    assert event in cli("events", "resend", event)
    eventually(lambda: len(receiver.deliveries) == 2)
    assert {json.loads(body)["id"] for _, body in receiver.deliveries} == {event}


def test_the_cli_shows_an_error_of_stripes(simulator: Simulator, tmp_path: Path) -> None:
    home = os.environ | {"HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    words = ["payment_intents", "retrieve", "pi_none", "--api-base", simulator.url, "--api-key", simulator.secret_key]
    done = subprocess.run(
        [str(stripe_cli.ensure()), *words], env=home, capture_output=True, text=True, timeout=30, check=False
    )
    assert "resource_missing" in done.stdout + done.stderr
