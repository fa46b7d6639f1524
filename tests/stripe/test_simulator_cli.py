"""The official Stripe CLI believes the simulator."""

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
from tests.stripe.conftest import Receiver, sim

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
        "coupon.created",
        "promotion_code.created",
    ],
)
def test_trigger_makes_its_event(cli: Run, client: stripe.StripeClient, simulator: Simulator, event: str) -> None:
    cli("trigger", event)
    sim(simulator, "/_sim/clock", {"advance_s": 3})
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
        while not receiver.bodies:
            assert time.monotonic() < limit, (tmp_path / "log").read_text()
            client.v1.customers.create({})
            time.sleep(0.3)
    finally:
        listening.terminate()
        listening.wait(timeout=10)
        log.close()
    header, body = receiver.bodies[0]
    secret = listen.secret(simulator.stripe.account)
    assert stripe.Webhook.construct_event(body, header, secret).type == "customer.created"


def test_lists_and_resend_work(cli: Run, client: stripe.StripeClient) -> None:
    made = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    assert made.id in cli("payment_intents", "list", "--limit", "1")
    assert made.id in cli("get", f"/v1/payment_intents/{made.id}")
    event = client.v1.events.list().data[0]
    assert event.id in cli("events", "resend", event.id)
