"""The webhook's secret and Stripe's key are rotated on the running stack, while students pay."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from installer import rotation, stripe_account
from installer.questions import Interview
from installer.run import Run, install
from installer.state import State
from installer.steps import STEPS
from installer.world import World
from tests.stack.conftest import Running
from tuition.intake.stripe_events import SUBSCRIBED

OWN_KEY, NEW_KEY = "sk_test_tests00000000", "rk_test_rotated0000000"
"""Keys that the tests add at the simulator: their own, and the one that the functions get."""
PAUSE_S = 0.5
"""Between two students, because later tests read what all of them have bought."""


class QuietWorld(World):
    """The running stack, with the lines that the installer prints."""

    def __init__(self, aws: str, stripe_api: str) -> None:
        super().__init__("us-east-1", aws, stripe_api)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Students:
    """Students who buy one after another until they are stopped, each enrolled by a webhook."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.enrolled: list[str] = []
        self.problem: Exception | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        number = 0
        while not self._stopped.wait(PAUSE_S):
            number += 1
            try:
                self.buy(f"rotation-{number}")
            except Exception as problem:  # noqa: BLE001  # raised by `stop`
                self.problem = problem
                return

    def buy(self, sub: str) -> None:
        token = self.running.token(sub)
        created = self.running.create(token)
        assert created.status_code == 201, created.text
        intent = created.json()["payment_intent_id"]
        path = f"{self.running.ready['stripe']}/v1/payment_intents/{intent}/confirm"
        paid = httpx.post(path, auth=(OWN_KEY, ""), data={"payment_method": "pm_card_visa"})
        assert paid.json()["status"] == "succeeded", paid.text
        self.running.until_enrolled(token)
        self.enrolled.append(sub)

    def wait_for(self, count: int) -> None:
        """Wait until this many more students are enrolled."""
        target = len(self.enrolled) + count
        self.running.until(lambda: self.problem or len(self.enrolled) >= target, f"{target} students are enrolled")
        assert self.problem is None, self.problem

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def run(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run of the installer on the stack, with an endpoint of its own. The stack's own secrets return at the end."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    stack = running.stack
    assert stack.aws is not None
    assert stack.deployed is not None
    running.sim("keys", secret_key=OWN_KEY)
    world = QuietWorld(stack.aws.url, running.ready["stripe"])
    answers = {
        "environment": "local",
        "stack_name": "local",
        "publishable_key": running.ready["stripe_publishable_key"],
    }
    state = State(tmp_path / "state.json")
    interview = Interview(world, state, {"webhook_key": OWN_KEY}, use_defaults=True)
    run = Run(world, state, interview, answers, yes=True)
    run.facts["local"] = stack.deployed
    outputs = ("StripeSecretArn", "StripeWebhookSecretArn")
    before = {output: stripe_account.read_secret(run, output) for output in outputs}
    (configured,) = endpoints(running)
    set_disabled(running, configured["id"], "true")
    install(run, [step for step in STEPS if step.name == "webhook"])
    yield run
    running.sim("keys", secret_key=running.ready["stripe_secret_key"])
    for endpoint in endpoints(running):
        if endpoint["id"] != configured["id"]:
            httpx.delete(f"{running.ready['stripe']}/v1/webhook_endpoints/{endpoint['id']}", auth=(OWN_KEY, ""))
    set_disabled(running, configured["id"], "false")
    for output, value in before.items():
        stripe_account.put_secret(run, output, value)


def endpoints(running: Running) -> list[dict[str, Any]]:
    listed = httpx.get(f"{running.ready['stripe']}/v1/webhook_endpoints", auth=(OWN_KEY, "")).raise_for_status()
    return list(listed.json()["data"])


def set_disabled(running: Running, endpoint: str, disabled: str) -> None:
    url = f"{running.ready['stripe']}/v1/webhook_endpoints/{endpoint}"
    httpx.post(url, auth=(OWN_KEY, ""), data={"disabled": disabled}).raise_for_status()


@pytest.mark.timeout(300)
def test_students_pay_and_are_enrolled_while_both_secrets_are_rotated(running: Running, run: Run) -> None:
    """The old key is deleted at once, so every warm function meets a 401 and reads the new one."""
    (old,) = [one for one in endpoints(running) if one["status"] == "enabled"]
    signing_secrets = stripe_account.read_secret(run, "StripeWebhookSecretArn")["signing_secrets"]
    students = Students(running)
    try:
        students.wait_for(1)
        rotation.rotate_webhook(run)
        students.wait_for(2)
        running.sim("keys", secret_key=NEW_KEY)
        run.interview.explicit["new_key"] = NEW_KEY
        rotation.rotate_key(run, "default")
        old_key = running.ready["stripe_secret_key"]
        url = f"{running.ready['stripe']}/_sim/keys"
        httpx.request("DELETE", url, json={"secret_key": old_key}).raise_for_status()
        students.wait_for(2)
        rotation.rotate_key(run, "default")
    finally:
        students.stop()
    (new,) = [one for one in endpoints(running) if one["status"] == "enabled"]
    assert new["id"] != old["id"]
    assert set(new["enabled_events"]) == set(SUBSCRIBED)
    stored = stripe_account.read_secret(run, "StripeWebhookSecretArn")
    assert (stored["endpoint"]["id"], len(stored["signing_secrets"])) == (new["id"], 1)
    assert not set(stored["signing_secrets"]) & set(signing_secrets)
    assert stripe_account.read_secret(run, "StripeSecretArn") == {"secret_key": NEW_KEY}
    lines = "".join(run.world.lines)  # type: ignore[attr-defined]
    assert not [secret for secret in (*stored["signing_secrets"], NEW_KEY, old_key) if secret in lines]
    for sub in students.enrolled:
        (payment,) = running.api("GET", "/api/payments/my-payments", running.token(sub)).json()["payments"]
        assert payment["status"] == "SUCCEEDED"
