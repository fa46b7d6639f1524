"""Tuition in one process for tests: the real handlers, the simulator without a socket, and tables of some DynamoDB.

A fake stands only where a network would be: Stripe's HTTP client hands each request to the simulator.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
os.environ.setdefault("TUITION_ENVIRONMENT", "test")
os.environ.setdefault("STRIPE_SECRET_ARN", "stripe")
os.environ.setdefault("STRIPE_WEBHOOK_SECRET_ARN", "webhook")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "tuition")

import boto3
import pytest
import stripe
import yaml

import admin
import create_payment
import enrollments
import my_payments
import payment_methods
import payment_status
import reconcile
import request_refund
import tracks
import webhook
from stripe_simulator.errors import NoAnswer
from stripe_simulator.server import Stripe
from stripe_simulator.webhooks import signature
from tests import rights
from tests.requests_sent import notes
from tuition import clock, log, settings
from tuition.core import audit
from tuition.payments import status
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.items import PaymentItem
from tuition.stripe_gateway import client as stripe_client

SECRET = "whsec_test"
ROOT = Path(__file__).parent.parent


class _Template(yaml.SafeLoader):
    """CloudFormation's YAML, its functions read as plain values."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: suffix)

NAMES = {logical: name for name, logical in rights.TABLES.items()}


@cache
def _resources() -> Any:
    return yaml.load((ROOT / "template.yaml").read_text(), _Template)["Resources"]  # noqa: S506 (a SafeLoader)


def create_tables(client: Any) -> None:
    """The tables as template.yaml has them: keys and indexes."""
    resources = _resources()
    for logical, name in NAMES.items():
        properties = resources[logical]["Properties"]
        wanted = {
            k: properties[k] for k in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes") if k in properties
        }
        client.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **wanted)


def client_for(url: str | None) -> Any:
    """A DynamoDB client of a backend; None is moto."""
    return rights.watched(boto3.client("dynamodb", endpoint_url=url, region_name="eu-central-1"))


class InProcess(stripe.HTTPClient):
    """Stripe's HTTP client without a network: each request goes to the simulator of the current world."""

    name = "in-process"

    def __init__(self, world: "World") -> None:
        super().__init__()
        self.world = world

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[Any, int, Mapping[str, str]]:
        path = "/" + url.split("/", 3)[3]
        notes.note("tables", method, path, post_data)
        self.world.stripe_calls.append(f"{method.upper()} {path.split('?')[0]}")
        if self.world.stripe_blocked:
            raise stripe.APIConnectionError("blocked by the test")
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        try:
            answer = self.world.stripe.handle(method.upper(), path, headers or {}, body)
        except NoAnswer as lost:
            raise stripe.APIConnectionError(f"lost: {lost}") from lost
        return answer.body, answer.status, {k.lower(): v for k, v in answer.headers.items()}

    def close(self) -> None:
        pass


@dataclass
class Student:
    """A signed-in user."""

    sub: str
    email: str = ""
    groups: tuple[str, ...] = ()
    verified: bool = True

    @property
    def claims(self) -> dict[str, str]:
        claims = {
            "sub": self.sub,
            "email": self.email or f"{self.sub}@example.org",
            "token_use": "id",
            "exp": "9999999999",
        }
        groups = {"cognito:groups": f"[{' '.join(self.groups)}]"} if self.groups else {}
        return {**claims, "email_verified": "true" if self.verified else "false", **groups}


@dataclass
class Answer:
    """What a handler answered."""

    status: int
    body: Any
    headers: Mapping[str, str]


def request_event(
    who: Student | None,
    body: Any = None,
    *,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    route: str = "",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the HTTP API hands to a function, payload 2.0."""
    authorizer = {"jwt": {"claims": who.claims, "scopes": None}} if who else None
    return {
        "version": "2.0",
        "routeKey": route,
        "headers": dict(headers or {}),
        "pathParameters": dict(path or {}),
        "queryStringParameters": dict(query or {}),
        "requestContext": {"authorizer": authorizer} if authorizer else {},
        "body": body if isinstance(body, str) or body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


@dataclass
class World:
    """One Stripe and one set of tables, and everything that a student, staff and Stripe do to them."""

    tables: Any
    stripe: Stripe
    stripe_calls: list[str] = field(default_factory=list)
    stripe_blocked: bool = False
    seen: int = 0
    source: Callable[[], float] = time.time
    ahead_s: int = 0
    applied: list[str] = field(default_factory=list)

    # --- what people do ---

    def call(
        self,
        handler: Callable[[Any, Any], Any],
        who: Student | None,
        body: Any = None,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        route: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call a handler as the HTTP API does."""
        with rights.of(handler):
            result = handler(request_event(who, body, path=path, query=query, route=route, headers=headers), None)
        return Answer(result["statusCode"], json.loads(result["body"]), result["headers"])

    def create(self, who: Student, track: str = "DP", **more: Any) -> Answer:
        return self.call(create_payment.handler, who, {"track": track, **more})

    def status(self, who: Student, reference: str) -> Answer:
        status._synced.clear()
        return self.call(payment_status.handler, who, path={"payment_intent_id": reference})

    def saved(self, who: Student, **query: str) -> Answer:
        return self.call(payment_methods.handler, who, query=query, route="GET /api/payments/payment-methods/")

    def forget(self, who: Student, method: str) -> Answer:
        route = "DELETE /api/payments/payment-methods/{payment_method_id}/"
        return self.call(payment_methods.handler, who, path={"payment_method_id": method}, route=route)

    def refund(self, who: Student, payment_id: str, reason: str = "changed my mind") -> Answer:
        return self.call(request_refund.handler, who, {"payment_id": payment_id, "reason": reason})

    def enrolled(self, who: Student, track: str = "DP") -> dict[str, Any] | None:
        found = self.call(enrollments.handler, who).body["enrollments"]
        return next((e for e in found if e["track"] == track), None)

    def admin(self, who: Student, route: str, body: Any = None, **path: str) -> Answer:
        query = path.pop("query", {}) if "query" in path else {}
        return self.call(admin.handler, who, body, route=route, path=path, query=query)

    def reconcile(self, *, seconds: float = 900, **asked: Any) -> dict[str, Any]:
        """An invocation of the reconciler that has so many seconds."""
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
        with rights.of(reconcile.handler):
            return reconcile.handler(asked, context)

    def payments(self, who: Student, **query: str) -> Answer:
        return self.call(my_payments.handler, who, query=query)

    def tracks(self) -> Answer:
        return self.call(tracks.handler, None)

    # --- what happens at Stripe ---

    def at_stripe(self, method: str, path: str, **params: Any) -> dict[str, Any]:
        """A call to Stripe that is not Tuition's: the student's browser, the Dashboard, a test's knob."""
        sim = path.startswith("/_sim")
        body = json.dumps(params) if sim else "&".join(f"{k}={v}" for k, v in params.items())
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}", "Stripe-Version": stripe.api_version or ""}
        answer = self.stripe.handle(method, path, headers, body.encode())
        return dict(answer.json())

    def pay(self, intent_id: str, method: str = "pm_card_visa") -> dict[str, Any]:
        return self.at_stripe("POST", f"/v1/payment_intents/{intent_id}/confirm", payment_method=method)

    def new_events(self) -> list[dict[str, Any]]:
        """The events that Stripe has made since this was last asked, oldest first."""
        made = [json.loads(payload) for payload in self.stripe.webhooks.payloads.values()]
        new, self.seen = made[self.seen :], len(made)
        return new

    def deliver(self, event: Mapping[str, Any], *, secret: str = SECRET, at: float | None = None) -> Answer:
        """One event to the webhook, signed."""
        return self.deliver_raw(json.dumps(event), secret=secret, at=at)

    def deliver_raw(self, body: str, *, secret: str = SECRET, at: float | None = None) -> Answer:
        header = signature(secret, body.encode(), int(clock.now() if at is None else at))
        return self.call(webhook.handler, None, body, headers={"stripe-signature": header})

    def deliver_all(self) -> list[Answer]:
        """Every new event, in the order it was made."""
        return [self.deliver(event) for event in self.new_events()]

    def stop_the_clock(self, at: float | None = None) -> None:
        """Stripe's clock and ours go on by `later` and `time_passes` alone: on a slow machine the same happens."""
        at = at or time.time()
        self.source = self.stripe.account.clock._source = lambda: at

    def later(self, seconds: int) -> None:
        """Stripe's clock goes on, and what is due happens."""
        self.at_stripe("POST", "/_sim/clock", advance_s=seconds)

    def time_passes(self, seconds: int) -> None:
        """Stripe's clock and ours go on together."""
        self.later(seconds)
        self.ahead_s += seconds

    # --- what can be looked at ---

    def payment(self, payment_id: str) -> Any:
        found = dynamodb.batch_get({PaymentItem: [keys.payment_key(payment_id)]})[PaymentItem]
        return mapping.payment_from_raw(found[0]) if found else None

    def trail(self, payment_id: str) -> list[dict[str, Any]]:
        return queries.audit_trail(payment_id)

    def chain_problem(self, payment_id: str) -> audit.Broken | None:
        payment = self.payment(payment_id)
        return audit.verify(payment_id, self.trail(payment_id), payment.version, payment.audit_head)

    def attention(self, payment_id: str) -> list[str]:
        item = queries.payments_by_id([payment_id])[0]
        return [cause["name"] for cause in item.attention or []]


@contextmanager
def world(
    client: Any, monkeypatch: pytest.MonkeyPatch, seed: int = 1, simulated: Stripe | None = None
) -> Iterator[World]:
    """A world over these tables, with Stripe new where none is given."""
    made = World(client, simulated or Stripe(seed=seed))
    secrets = {"stripe": {"secret_key": made.stripe.secret_key}, "webhook": {"signing_secrets": [SECRET]}}
    settings.settings.cache_clear()
    settings._kept.clear()
    stripe_client._client_for.cache_clear()
    monkeypatch.setattr(settings, "_read_secret", lambda arn: secrets[arn])
    monkeypatch.setattr(stripe_client, "_http_client", lambda: InProcess(made))
    monkeypatch.setattr(dynamodb, "client", lambda: client)
    monkeypatch.setattr(clock.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(clock, "now", lambda: made.source() + made.ahead_s)
    monkeypatch.setattr(log.logger, "exception", _raise_unhandled)
    yield made
    stripe_client._client_for.cache_clear()


def _raise_unhandled(message: str, **_: Any) -> None:
    """An unhandled exception in a handler is a fault of ours: tests must see it, not its polite answer."""
    if message in ("unhandled", "a fault of ours"):
        raise
