"""Events through the official CLI: `stripe listen --forward-to` our webhook, for a payment that enrolls."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import webhook
from stripe_simulator import listen
from stripe_simulator.server import Simulator
from stripe_simulator.testing.receiver import ReceivedWebhook, WebhookReceiver, WebhookServer
from tests.harness import Harness, Student
from tests.stripe import stripe_cli
from tuition import settings


def serve_webhook(tuition: Harness, server: WebhookServer) -> tuple[WebhookReceiver, list[int]]:
    """Serve the webhook's handler; return its receiver and the statuses of its responses."""
    statuses: list[int] = []

    def handle(received: ReceivedWebhook) -> int:
        headers = {"stripe-signature": received.signature}
        statuses.append(tuition.call(webhook.handler, None, received.body.decode(), headers=headers).status)
        return statuses[-1]

    receiver = server.receiver()
    receiver.handler = handle
    return receiver, statuses


def wait_until(condition: Callable[[], Any], log: Path) -> Any:
    """Wait until the condition is truthy and return its value; fail with the log after 40 seconds."""
    deadline = time.monotonic() + 40
    while not (value := condition()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    return value


def test_a_payment_whose_events_stripe_listen_forwards_enrolls(
    tuition: Harness,
    student: Student,
    stripe_webhook_server: WebhookServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    simulator = Simulator(tuition.stripe)
    webhook_secret = {"signing_secrets": [listen.secret(tuition.stripe.account)]}
    secrets = {"stripe": {"secret_key": tuition.stripe.secret_key}, "webhook": webhook_secret}
    monkeypatch.setattr(settings, "_read_secret", lambda arn: secrets[arn])
    settings._kept.clear()
    env = os.environ | {"HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    options = ["--api-base", simulator.url, "--api-key", simulator.secret_key]
    program, log = str(stripe_cli.ensure()), tmp_path / "log"
    receiver, statuses = serve_webhook(tuition, stripe_webhook_server)
    with log.open("w") as output:
        command = [program, "listen", "--all-snapshot", "--forward-to", receiver.url, *options]
        listener = subprocess.Popen(command, env=env, stdout=output, stderr=output)
        try:
            wait_until(lambda: tuition.stripe.webhooks.listeners, log)
            intent = tuition.create(student).body["payment_intent_id"]
            wait_until(lambda: statuses, log)  # payment_intent.created has arrived
            assert tuition.enrollment(student)["status"] == "PENDING"  # type: ignore[index]
            confirm = [program, "payment_intents", "confirm", intent, "--payment-method", "pm_card_visa", *options]
            subprocess.run(confirm, env=env, check=True, capture_output=True, timeout=30)
            wait_until(lambda: (tuition.enrollment(student) or {}).get("status") == "ENROLLED", log)
            assert set(statuses) == {200}
            count = len(statuses)
            event = next(e["id"] for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
            subprocess.run([program, "events", "resend", event, *options], env=env, check=True, capture_output=True)
            wait_until(lambda: len(statuses) > count, log)
            assert set(statuses) == {200}
            receiver.check()
        finally:
            listener.terminate()
            listener.wait(timeout=10)
            simulator.stop()
    assert "payment_intent.succeeded" in log.read_text()
