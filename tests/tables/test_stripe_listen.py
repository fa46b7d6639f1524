"""Events through the official CLI: `stripe listen --forward-to` our webhook, for a payment that enrolls."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import webhook
from stripe_simulator import listen
from stripe_simulator.server import Simulator
from tests.harness import Harness, Student
from tests.stripe import stripe_cli
from tuition import settings

PATH = "/api/payments/webhook"


@contextmanager
def serve_webhook(tuition: Harness) -> Iterator[tuple[str, list[int]]]:
    """Serve the webhook's handler on a port; yield its URL and the statuses of its responses."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = tuition.call(webhook.handler, None, body, headers=headers).status if self.path == PATH else 404
            statuses.append(status)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing, to keep the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PATH}", statuses
    finally:
        server.shutdown()
        server.server_close()


def wait_until(condition: Callable[[], Any], log: Path) -> Any:
    """Wait until the condition is truthy and return its value; fail with the log after 40 seconds."""
    deadline = time.monotonic() + 40
    while not (value := condition()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    return value


def test_a_payment_whose_events_stripe_listen_forwards_enrolls(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    simulator = Simulator(tuition.stripe)
    webhook_secret = {"signing_secrets": [listen.secret(tuition.stripe.account)]}
    secrets = {"stripe": {"secret_key": tuition.stripe.secret_key}, "webhook": webhook_secret}
    monkeypatch.setattr(settings, "_read_secret", lambda arn: secrets[arn])
    settings._kept.clear()
    env = os.environ | {"HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    options = ["--api-base", simulator.url, "--api-key", simulator.secret_key]
    program, log = str(stripe_cli.ensure()), tmp_path / "log"
    with serve_webhook(tuition) as (url, statuses), log.open("w") as output:
        command = [program, "listen", "--all-snapshot", "--forward-to", url, *options]
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
        finally:
            listener.terminate()
            listener.wait(timeout=10)
            simulator.stop()
    assert "payment_intent.succeeded" in log.read_text()
