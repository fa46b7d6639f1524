"""The parts of the local stack and the order in which they start and end.

Two programs run beside this one, MiniStack and the Stripe simulator; the front is a thread of it.
Environment: ``STRIPE_SECRET_KEY`` (a test-mode key) uses Stripe's test mode in place of the simulator, with
``STRIPE_PUBLISHABLE_KEY`` and ``STRIPE_WEBHOOK_SECRET`` beside it; ``DYNAMODB_ENDPOINT_URL`` puts the tables
on that DynamoDB; ``STRIPE_API_BASE`` sends the functions' calls to Stripe elsewhere (tests cut them off so).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local import build, deploy, site
from local.dynamodb_local import free_port
from local.front import Front
from local.ministack import MiniStack
from local.sign_in import Person, SignIn

ROOT = Path(__file__).resolve().parent.parent
STRIPE = "https://api.stripe.com"
SIMULATOR_SECONDS = 20
WEBHOOK_PATH = "/api/payments/webhook/"
ADMIN = Person(sub="local-admin", email="admin@example.com", groups=("admin",))

Say = Callable[[str], None]


class PortTaken(Exception):
    """A port that was asked for is in use."""


@dataclass(frozen=True)
class Settings:
    """Ports (0 takes any free one), where state is kept, and where the build is."""

    api_port: int = 0
    stripe_port: int = 0
    aws_port: int = 0
    data: Path | None = None
    root: Path = ROOT
    api_base: str | None = None
    log: Path | None = None


class Simulator:
    """The Stripe simulator as a program of its own."""

    def __init__(self, port: int, webhook_url: str, keys: Path | None, data: Path | None) -> None:
        command = [sys.executable, "-m", "stripe_simulator", "--port", str(port), "--webhook-url", webhook_url]
        if keys is not None:
            command += _kept_keys(keys)
        if data is not None:
            command += ["--data", str(data / "stripe.json")]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def wait(self) -> dict[str, Any]:
        """What its ready line says: url, secret_key, publishable_key, webhook_secret."""
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], SIMULATOR_SECONDS)[0]:
            line = self._process.stdout.readline().decode()
            if line.startswith("ready "):
                said: dict[str, Any] = json.loads(line.removeprefix("ready "))
                threading.Thread(target=self._drain, daemon=True).start()
                return said
        raise RuntimeError("the Stripe simulator did not start")

    def _drain(self) -> None:
        """Read on, so that it never blocks on a full pipe."""
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            pass

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it as Ctrl-C would, and by force if that is not enough."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            try:
                self._process.wait(3)
                return
            except subprocess.TimeoutExpired:
                continue


def _kept_keys(file: Path) -> list[str]:
    """Options that give a simulator with state the same keys at every start."""
    if not file.exists():
        made = {
            "secret-key": f"sk_test_{secrets.token_hex(16)}",
            "publishable-key": f"pk_test_{secrets.token_hex(16)}",
            "webhook-secret": f"whsec_{secrets.token_hex(16)}",
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(made))
    return [part for name, value in json.loads(file.read_text()).items() for part in (f"--{name}", value)]


class Stack:
    """The stack of one ``make run`` or of one session of tests."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self.settings = settings
        self._say = say
        self.aws: MiniStack | None = None
        self.simulator: Simulator | None = None
        self.front: Front | None = None
        self.deployed: deploy.Deployed | None = None
        self.sign_in: SignIn | None = None

    def start(self, stop: threading.Event | None = None) -> dict[str, Any] | None:
        """Start everything and return what the ready line says; None if ``stop`` was set meanwhile."""
        stop = stop or threading.Event()
        for step in self._steps():
            if stop.is_set():
                return None
            ready = step
        return ready

    def _steps(self) -> Iterator[dict[str, Any] | None]:
        """Start part after part; the last yield is what the ready line says."""
        settings = self.settings
        aws_port = self._claim("aws", settings.aws_port)
        self.front = self._open_front()
        live_key = _test_mode_key()
        if live_key is None:
            stripe_port = self._claim("stripe", settings.stripe_port)
        if settings.data is not None:
            settings.data.mkdir(parents=True, exist_ok=True)
            forget_stream_positions(settings.data)
        self.aws = MiniStack(aws_port, settings.data, settings.log)
        yield None
        if live_key is None:
            keys = None if settings.data is None else settings.data / "stripe-keys.json"
            url = self.front.url + WEBHOOK_PATH
            self.simulator = Simulator(stripe_port, url, keys, settings.data)
        yield None
        self._build()
        yield None
        stripe = self.simulator.wait() if self.simulator else self._stripe_test_mode(live_key)
        self.aws.wait()
        yield None
        self._deploy(stripe)
        yield {
            "api": self.front.url,
            "stripe": stripe["url"],
            "aws": self.aws.url,
            "stripe_secret_key": stripe["secret_key"],
            "stripe_publishable_key": stripe["publishable_key"],
            "webhook_secret": stripe["webhook_secret"],
            "admin_token": self._require_sign_in().token(ADMIN),
        }

    def _claim(self, name: str, port: int) -> int:
        """The port to use, which must be free; 0 asks for any."""
        if port == 0:
            return free_port()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise PortTaken(_taken(name, port)) from error
        return port

    def _open_front(self) -> Front:
        port = self.settings.api_port
        try:
            return Front(port)
        except OSError as error:
            raise PortTaken(_taken("api", port)) from error

    def _build(self) -> None:
        started = time.monotonic()
        if build.build(self.settings.root):
            self._say(f"built in {time.monotonic() - started:.1f} s")

    def _stripe_test_mode(self, key: str | None) -> dict[str, Any]:
        """What takes the place of the simulator's ready line."""
        self._say(f"Stripe's test mode instead of the simulator; `stripe listen --forward-to "
                  f"{self.front.url if self.front else ''}{WEBHOOK_PATH}` feeds the webhook")  # fmt: skip
        secret = os.environ.get("STRIPE_WEBHOOK_SECRET")
        if not secret:
            self._say("STRIPE_WEBHOOK_SECRET is not set (`stripe listen --print-secret` prints it): "
                      "webhooks will be refused")  # fmt: skip
        return {
            "url": STRIPE,
            "secret_key": key,
            "publishable_key": os.environ.get("STRIPE_PUBLISHABLE_KEY", ""),
            "webhook_secret": secret or None,
        }

    def _deploy(self, stripe: dict[str, Any]) -> None:
        """Deploy the template, fill the secrets, and let people sign in."""
        assert self.aws is not None
        assert self.front is not None
        elsewhere = os.environ.get("DYNAMODB_ENDPOINT_URL")
        added = {"DYNAMODB_ENDPOINT_URL": elsewhere} if elsewhere else {}
        parameters = {
            "Environment": "local",
            "Architecture": deploy.architecture(),
            "DeletionProtection": "false",
            "StripeApiBase": self.settings.api_base or os.environ.get("STRIPE_API_BASE") or stripe["url"],
            "StripePublishableKey": stripe["publishable_key"],
            "WebOrigin": self.front.url,
            "SecondWebOrigin": self.front.url.replace("127.0.0.1", "localhost"),
            "CallbackUrls": f"{self.front.url}/",
        }
        built = self.settings.root / ".aws-sam" / "build"
        self.deployed = deploy.deploy(self.aws, built, parameters, added)
        outputs = self.deployed.outputs
        deploy.put_secret(self.aws, outputs["StripeSecretArn"], {"secret_key": stripe["secret_key"]})
        signing = [stripe["webhook_secret"]] if stripe["webhook_secret"] else []
        deploy.put_secret(self.aws, outputs["StripeWebhookSecretArn"], {"signing_secrets": signing})
        if elsewhere:
            try:
                deploy.tables_elsewhere(self.aws, self.deployed, elsewhere)
            except (BotoCoreError, ClientError, ValueError) as error:
                raise RuntimeError(f"DYNAMODB_ENDPOINT_URL is {elsewhere}: {error}") from error
            self._say(f"the tables are on {elsewhere}; its streams feed nothing here")
        self.sign_in = SignIn(self.aws.client("cognito-idp"), outputs["UserPoolId"], outputs["UserPoolClientId"])
        self.sign_in.allow_passwords()
        sign_in = self.sign_in
        pages = site.local(self.settings.root / "web", stripe["url"] if self.simulator else None)
        self.front.open(self.aws.port, self.deployed.api_path, lambda body: sign_in.token(Person.parse(body)), pages)

    def _require_sign_in(self) -> SignIn:
        assert self.sign_in is not None
        return self.sign_in

    def dead(self) -> str | None:
        """The name of a part that ended by itself, if one did."""
        if self.aws is not None and not self.aws.running:
            return "MiniStack"
        if self.simulator is not None and not self.simulator.running:
            return "the Stripe simulator"
        return None

    def stop(self) -> None:
        """End every part, whatever state it is in."""
        if self.front is not None:
            self.front.close()
        if self.simulator is not None:
            self.simulator.stop()
        if self.aws is not None:
            self.aws.stop()


def _taken(name: str, port: int) -> str:
    return f'port {port} is taken; another one: make run ARGS="--{name}-port {port + 1000}"'


def _test_mode_key() -> str | None:
    """The caller's Stripe key, if there is one; a live key is refused, whatever else is set."""
    key = os.environ.get("STRIPE_SECRET_KEY")
    if not key:
        return None
    if not key.startswith(("sk_test_", "rk_test_")):
        raise RuntimeError("STRIPE_SECRET_KEY is not a test-mode key (sk_test_…); the local stack takes no other")
    return key


def forget_stream_positions(data: Path) -> None:
    """MiniStack saves how far streams were read but not their records: it would skip all that is new."""
    state = data / "aws" / "lambda.json"
    if not state.exists():
        return
    saved = json.loads(state.read_text())
    positions = saved.get("payload", {}).get("dynamodb_stream_positions")
    if isinstance(positions, dict) and positions.get("data"):
        positions["data"] = {}
        state.write_text(json.dumps(saved))
