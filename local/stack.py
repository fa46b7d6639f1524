"""The parts of the local stack, and the order in which they start and stop.

MiniStack and the Stripe simulator are programs of their own; the web server is a thread of this process.
Environment variables: a test-mode ``STRIPE_SECRET_KEY``, with ``STRIPE_PUBLISHABLE_KEY`` and
``STRIPE_WEBHOOK_SECRET``, replaces the simulator by Stripe's test mode. ``DYNAMODB_ENDPOINT_URL`` puts the tables on
another DynamoDB. ``STRIPE_API_BASE`` sends the functions' calls to Stripe to another address.
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

from local import build, deploy, pages, stream
from local.change_set import DeployedStack
from local.dynamodb_local import free_port
from local.ministack import PROGRAM, MiniStack
from local.outbox import Outbox
from local.sign_in import Person, SignIn
from local.web_server import WebServer

ROOT = Path(__file__).resolve().parent.parent
STRIPE = "https://api.stripe.com"
SIMULATOR_SECONDS = 20
WEBHOOK_PATH = "/api/payments/webhook"
ADMIN = Person(sub="local-admin", email="admin@example.com", groups=("admin",))

EMAIL_DOMAIN = "school.example"
SUPPORT, STAFF = f"help@{EMAIL_DOMAIN}", f"staff@{EMAIL_DOMAIN}"

PrintStatus = Callable[[str], None]


class PortTaken(Exception):
    """A requested port is in use."""


@dataclass(frozen=True)
class Settings:
    """Ports (0 picks a free one), the folder of the state, the folder of the build, and what runs MiniStack."""

    api_port: int = 0
    stripe_port: int = 0
    aws_port: int = 0
    data: Path | None = None
    root: Path = ROOT
    api_base: str | None = None
    log: Path | None = None
    aws_program: tuple[str, ...] = PROGRAM


class Simulator:
    """The Stripe simulator as a program of its own."""

    def __init__(self, port: int, webhook_url: str, keys: Path | None, data: Path | None) -> None:
        command = [sys.executable, "-m", "stripe_simulator", "--port", str(port), "--webhook-url", webhook_url]
        if keys is not None:
            command += _stored_keys(keys)
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
        """Wait for its ready line, and return it: url, secret_key, publishable_key, webhook_secret."""
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], SIMULATOR_SECONDS)[0]:
            line = self._process.stdout.readline().decode()
            if line.startswith("ready "):
                ready: dict[str, Any] = json.loads(line.removeprefix("ready "))
                threading.Thread(target=self._drain, daemon=True).start()
                return ready
        raise RuntimeError("the Stripe simulator did not start")

    def _drain(self) -> None:
        """Read its output, so that it never blocks on a full pipe."""
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            pass

    @property
    def running(self) -> bool:
        """Whether its process is running."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Interrupt it, and kill it if that fails."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            try:
                self._process.wait(3)
                return
            except subprocess.TimeoutExpired:
                continue


def _stored_keys(file: Path) -> list[str]:
    """Return the options that give a simulator with stored state the same keys at every start."""
    if not file.exists():
        keys = {
            "secret-key": f"sk_test_{secrets.token_hex(16)}",
            "publishable-key": f"pk_test_{secrets.token_hex(16)}",
            "webhook-secret": f"whsec_{secrets.token_hex(16)}",
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(keys))
    return [part for name, value in json.loads(file.read_text()).items() for part in (f"--{name}", value)]


class Stack:
    """The local stack of one ``make run`` or one test session."""

    def __init__(self, settings: Settings, print_status: PrintStatus) -> None:
        self.settings = settings
        self._print_status = print_status
        self.aws: MiniStack | None = None
        self.simulator: Simulator | None = None
        self.web_server: WebServer | None = None
        self.deployed: DeployedStack | None = None
        self.sign_in: SignIn | None = None
        self.stream_readers: list[stream.StreamReader] = []

    def start(self, stop: threading.Event | None = None) -> dict[str, Any] | None:
        """Start every part and return the content of the ready line; None if ``stop`` is set meanwhile."""
        stop = stop or threading.Event()
        for step in self._steps():
            if stop.is_set():
                return None
            ready = step
        return ready

    def _steps(self) -> Iterator[dict[str, Any] | None]:
        """Start one part after another. The last value is the content of the ready line."""
        settings = self.settings
        aws_port = self._check_port("aws", settings.aws_port)
        self.web_server = self._make_web_server()
        test_mode_key = _test_mode_key()
        if test_mode_key is None:
            stripe_port = self._check_port("stripe", settings.stripe_port)
        if settings.data is not None:
            settings.data.mkdir(parents=True, exist_ok=True)
        with _naming_the_other_dynamodb() as tables:
            if tables is not None:
                tables.list_tables(Limit=1)  # before the parts start, so that a wrong address is reported at once
        self.aws = MiniStack(aws_port, settings.data, settings.log, settings.aws_program)
        yield None
        if test_mode_key is None:
            keys = None if settings.data is None else settings.data / "stripe-keys.json"
            url = self.web_server.url + WEBHOOK_PATH
            self.simulator = Simulator(stripe_port, url, keys, settings.data)
        yield None
        self._build()
        yield None
        stripe = self.simulator.wait() if self.simulator else self._stripe_test_mode(test_mode_key)
        self.aws.wait()
        yield None
        self._deploy(stripe)
        yield {
            "api": self.web_server.url,
            "stripe": stripe["url"],
            "aws": self.aws.url,
            "stripe_secret_key": stripe["secret_key"],
            "stripe_publishable_key": stripe["publishable_key"],
            "webhook_secret": stripe["webhook_secret"],
            "admin_token": self._require_sign_in().token(ADMIN),
        }

    def _check_port(self, name: str, port: int) -> int:
        """Return the port, or a free one for 0. Raises `PortTaken` if it is in use."""
        if port == 0:
            return free_port()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise PortTaken(_taken(name, port)) from error
        return port

    def _make_web_server(self) -> WebServer:
        port = self.settings.api_port
        try:
            return WebServer(port)
        except OSError as error:
            raise PortTaken(_taken("api", port)) from error

    def _build(self) -> None:
        started = time.monotonic()
        if build.build(self.settings.root):
            self._print_status(f"built in {time.monotonic() - started:.1f} s")

    def _stripe_test_mode(self, key: str | None) -> dict[str, Any]:
        """Return what the simulator's ready line would contain, for Stripe's test mode."""
        webhook = f"{self.web_server.url if self.web_server else ''}{WEBHOOK_PATH}"
        self._print_status(
            f"Using Stripe's test mode, not the simulator. Forward its events: `stripe listen --forward-to {webhook}`"
        )
        secret = os.environ.get("STRIPE_WEBHOOK_SECRET")
        if not secret:
            self._print_status(
                "STRIPE_WEBHOOK_SECRET is not set, so the webhook will reject every event. "
                "`stripe listen --print-secret` prints it."
            )
        return {
            "url": STRIPE,
            "secret_key": key,
            "publishable_key": os.environ.get("STRIPE_PUBLISHABLE_KEY", ""),
            "webhook_secret": secret or None,
        }

    def _deploy(self, stripe: dict[str, Any]) -> None:
        """Deploy the template, fill the secrets, and start serving pages and sign-in."""
        assert self.aws is not None
        assert self.web_server is not None
        dynamodb_url = os.environ.get("DYNAMODB_ENDPOINT_URL")
        function_environment = {"DYNAMODB_ENDPOINT_URL": dynamodb_url} if dynamodb_url else {}
        parameters = {
            "Environment": "local",
            "Architecture": deploy.architecture(),
            "DeletionProtection": "false",
            "StripeCallIntervalMs": "250" if self.simulator is None else "0",
            "StripeApiBase": self.settings.api_base or os.environ.get("STRIPE_API_BASE") or stripe["url"],
            "StripePublishableKey": stripe["publishable_key"],
            "WebOrigin": self.web_server.url,
            "SecondWebOrigin": self.web_server.url.replace("127.0.0.1", "localhost"),
            "CallbackUrls": f"{self.web_server.url}/",
            "SchoolName": "Tuition School",
            "SupportContact": SUPPORT,
            "TermsVersion": "2026-11",
            "TermsUrl": "https://school.example/terms",
            "PrivacyUrl": "https://school.example/privacy",
            "SignInSender": f"Tuition School <no-reply@{EMAIL_DOMAIN}>",
            "EmailDomain": EMAIL_DOMAIN,
            "StaffEmails": STAFF,
        }
        build_folder = self.settings.root / ".aws-sam" / "build"
        self.deployed = deploy.deploy(self.aws, build_folder, parameters, function_environment)
        outputs = self.deployed.outputs
        deploy.put_secret(self.aws, outputs["StripeSecretArn"], {"secret_key": stripe["secret_key"]})
        signing_secrets = [stripe["webhook_secret"]] if stripe["webhook_secret"] else []
        deploy.put_secret(self.aws, outputs["StripeWebhookSecretArn"], {"signing_secrets": signing_secrets})
        if dynamodb_url:
            with _naming_the_other_dynamodb() as tables:
                deploy.copy_tables(self.aws, self.deployed, tables)
            self._print_status(f"the tables are on {dynamodb_url}; no function reads their streams")
        else:
            resources = deploy.read_template(build_folder / "template.yaml")["Resources"]
            self.stream_readers = [
                stream.StreamReader(self.aws, self.deployed, name, resources[name]["Properties"])
                for name in stream.MAPPINGS
            ]
        sign_in = SignIn(self.aws.client("cognito-idp"), outputs["UserPoolId"], outputs["UserPoolClientId"])
        sign_in.allow_passwords()
        self.sign_in = sign_in
        self.web_server.outbox = Outbox(self.aws, self.deployed)
        site = pages.local_site(self.settings.root / "web", stripe["url"] if self.simulator else None)
        self.web_server.open(
            self.aws.port, self.deployed.api_path, lambda body: sign_in.token(Person.parse(body)), site
        )

    def _require_sign_in(self) -> SignIn:
        assert self.sign_in is not None
        return self.sign_in

    def ended_part(self) -> str | None:
        """Return the name of a part that has ended unexpectedly, if there is one."""
        if self.aws is not None and not self.aws.running:
            return "MiniStack"
        if self.simulator is not None and not self.simulator.running:
            return "the Stripe simulator"
        return None

    def stop(self) -> None:
        """Stop every part that has started."""
        if self.web_server is not None:
            self.web_server.close()
        for reader in self.stream_readers:
            reader.request_stop()
        for reader in self.stream_readers:
            reader.stop()
        if self.simulator is not None:
            self.simulator.stop()
        if self.aws is not None:
            self.aws.stop()


@contextlib.contextmanager
def _naming_the_other_dynamodb() -> Iterator[Any]:
    """Yield a client of the DynamoDB that ``DYNAMODB_ENDPOINT_URL`` names, None if it is not set.

    Raises RuntimeError with the address if that DynamoDB refuses a call or does not respond.
    """
    url = os.environ.get("DYNAMODB_ENDPOINT_URL")
    try:
        yield deploy.other_dynamodb(url) if url else None
    except (BotoCoreError, ClientError, ValueError) as error:
        raise RuntimeError(f"DYNAMODB_ENDPOINT_URL is {url}: {error}") from error


def _taken(name: str, port: int) -> str:
    return f'port {port} is taken; choose another: make run ARGS="--{name}-port {port + 1000}"'


def _test_mode_key() -> str | None:
    """Return the caller's Stripe key, if one is set. Raises RuntimeError for a live key."""
    key = os.environ.get("STRIPE_SECRET_KEY")
    if not key:
        return None
    if not key.startswith(("sk_test_", "rk_test_")):
        raise RuntimeError("STRIPE_SECRET_KEY is not a test-mode key (sk_test_…), and the local stack accepts no other")
    return key
