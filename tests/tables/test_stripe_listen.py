"""The official CLI as the way of the events: `stripe listen --forward-to` our webhook, and a payment that enrolls."""

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
from tests.stripe import stripe_cli
from tests.world import Student, World
from tuition import settings

PATH = "/api/payments/webhook/"


@contextmanager
def served(tuition: World) -> Iterator[tuple[str, list[int]]]:
    """The webhook's handler on a port: its address, and the statuses that it answered."""
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
            """Nothing: the tests' output is theirs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PATH}", statuses
    finally:
        server.shutdown()
        server.server_close()


def until(true: Callable[[], Any], log: Path) -> Any:
    ends = time.monotonic() + 40
    while not (found := true()):
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.2)
    return found


def test_a_payment_whose_events_stripe_listen_forwards_enrolls(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    simulator = Simulator(tuition.stripe)
    signing = {"signing_secrets": [listen.secret(tuition.stripe.account)]}
    secrets = {"stripe": {"secret_key": tuition.stripe.secret_key}, "webhook": signing}
    monkeypatch.setattr(settings, "_read_secret", lambda arn: secrets[arn])
    settings._kept.clear()
    home = os.environ | {"HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    at = ["--api-base", simulator.url, "--api-key", simulator.secret_key]
    program, log = str(stripe_cli.ensure()), tmp_path / "log"
    with served(tuition) as (url, statuses), log.open("w") as output:
        words = [program, "listen", "--all-snapshot", "--forward-to", url, *at]
        listening = subprocess.Popen(words, env=home, stdout=output, stderr=output)
        try:
            until(lambda: tuition.stripe.webhooks.listeners, log)
            intent = tuition.create(student).body["payment_intent_id"]
            until(lambda: statuses, log)  # payment_intent.created has come
            assert tuition.enrolled(student)["status"] == "PENDING"  # type: ignore[index]
            paying = [program, "payment_intents", "confirm", intent, "--payment-method", "pm_card_visa", *at]
            subprocess.run(paying, env=home, check=True, capture_output=True, timeout=30)
            until(lambda: (tuition.enrolled(student) or {}).get("status") == "ENROLLED", log)
            assert set(statuses) == {200}
            known = len(statuses)
            event = next(e["id"] for e in tuition.new_events() if e["type"] == "payment_intent.succeeded")
            subprocess.run([program, "events", "resend", event, *at], env=home, check=True, capture_output=True)
            until(lambda: len(statuses) > known, log)
            assert set(statuses) == {200}
        finally:
            listening.terminate()
            listening.wait(timeout=10)
            simulator.stop()
    assert "payment_intent.succeeded" in log.read_text()
