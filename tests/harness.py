"""Tuition in one process: the real handlers, the simulator without a socket, and tables in a DynamoDB for tests.

There is a fake only where a network would be: Stripe's HTTP client passes each request to the simulator.
"""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests import isolation

os.environ.update(isolation.ENVIRONMENT | os.environ)

import boto3
import botocore
import pytest
import stripe
import yaml
from botocore.config import Config

import admin
import analytics as analytics_function
import audit as audit_function
import collect
import create_checkout_session
import create_payment
import enrollments
import my_payments
import payment_methods
import payment_status
import reconcile
import reconcile_worker
import recount as recount_function
import request_refund
import tracks
import webhook
from stripe_simulator.errors import NoAnswer
from stripe_simulator.server import Stripe
from stripe_simulator.webhooks import signature
from tests import openapi_answers, permissions
from tests.acceptance import ACCEPTANCE
from tests.in_memory_dynamodb.client import Client
from tests.in_memory_dynamodb.tables import InMemoryDynamoDB
from tests.local_http import LocalHTTP
from tests.shards import set_shards_from_environment
from tests.stripe_requests import request_log
from tuition import clock, log, settings
from tuition.core import audit, rollups
from tuition.payments import status
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.items import AuditItem, PaymentItem
from tuition.stripe_gateway import client as stripe_client
from tuition.views import recorded_reads

SECRET = "whsec_test"
PAGE = "https://tuition.example/"
SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=testing/20260101/eu-central-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)
ROOT = Path(__file__).parent.parent


class _Template(yaml.CSafeLoader):
    """A loader for CloudFormation's YAML that reads its functions as plain values."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: suffix)

NAMES = {logical: name for name, logical in permissions.TABLES.items()}


@cache
def _resources() -> Any:
    return yaml.load((ROOT / "template.yaml").read_text(), _Template)["Resources"]  # noqa: S506 (a SafeLoader)


def create_tables(client: Any) -> None:
    """Create the tables with the keys and indexes that template.yaml gives them."""
    resources = _resources()
    for logical, name in NAMES.items():
        properties = resources[logical]["Properties"]
        schema = {name: properties[name] for name in ("AttributeDefinitions", "KeySchema")}
        indexes = properties.get("GlobalSecondaryIndexes", [])
        if indexes:
            names = ("IndexName", "KeySchema", "Projection")
            schema["GlobalSecondaryIndexes"] = [{name: index[name] for name in names} for index in indexes]
        client.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **schema)


def delete_tables(client: Any) -> None:
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)


def in_memory_client(database: InMemoryDynamoDB | None = None) -> Any:
    """Return a client of an in-memory DynamoDB, by default a new one without tables. It enforces permissions."""
    database = database or InMemoryDynamoDB()
    return permissions.enforced(Client(lambda method, params: getattr(database, method)(**params)))


def client_for(url: str | None) -> Any:
    """Return a DynamoDB client that enforces permissions. Without a URL, it calls moto.

    The fixed user agent saves 15 % of a call: botocore otherwise rebuilds it for each one. A constant signature saves
    another 17 %: DynamoDB Local requires one but does not check it. `tests/local_http.py` sends the requests.
    """
    config = Config(user_agent="tests", signature_version=botocore.UNSIGNED if url else None)
    client = boto3.client("dynamodb", endpoint_url=url, region_name="eu-central-1", config=config)
    if url:
        client.meta.events.register("before-call.dynamodb", _sign)
        client.meta.events.register("before-send.dynamodb", LocalHTTP(url).send)
    return permissions.enforced(client)


def _sign(params: dict[str, Any], **_: Any) -> None:
    params["headers"]["Authorization"] = SIGNATURE


class InProcess(stripe.HTTPClient):
    """Stripe's HTTP client without a network: it passes each request to the harness's simulator."""

    name = "in-process"

    def __init__(self, harness: "Harness") -> None:
        super().__init__()
        self.harness = harness

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[Any, int, Mapping[str, str]]:
        path = "/" + url.split("/", 3)[3]
        request_log.record("tables", method, path, post_data)
        self.harness.stripe_calls.append(f"{method.upper()} {path.split('?')[0]}")
        permissions.check_stripe_call(method, path, post_data if isinstance(post_data, str) else "")
        if self.harness.stripe_blocked:
            raise stripe.APIConnectionError("blocked by the test")
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        try:
            response = self.harness.stripe.handle(method.upper(), path, headers or {}, body)
        except NoAnswer as error:
            raise stripe.APIConnectionError(f"lost: {error}") from error
        return response.body, response.status, {k.lower(): v for k, v in response.headers.items()}

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
class Response:
    """The response of a handler."""

    status: int
    body: Any
    headers: Mapping[str, str]


def request_event(
    user: Student | None,
    body: Any = None,
    *,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    route: str = "",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Build the event that an HTTP API passes to a function.

    It has payload format 2.0:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    authorizer = {"jwt": {"claims": user.claims, "scopes": None}} if user else None
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
class Harness:
    """One Stripe and one set of tables, with everything that students, staff and Stripe do to them."""

    tables: Any
    stripe: Stripe
    stripe_calls: list[str] = field(default_factory=list)
    stripe_blocked: bool = False
    events_returned: int = 0
    time_source: Callable[[], float] = time.time
    offset_s: int = 0

    # --- actions of students and staff ---

    def call(
        self,
        handler: Callable[[Any, Any], Any],
        user: Student | None,
        body: Any = None,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        route: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Call a handler the way the HTTP API does."""
        with permissions.acting_as(handler):
            result = handler(request_event(user, body, path=path, query=query, route=route, headers=headers), None)
        openapi_answers.check_event(handler.__module__, route, result)
        return Response(result["statusCode"], json.loads(result["body"]), result["headers"])

    def create(self, user: Student, /, track: str = "DP", **more: Any) -> Response:
        return self.call(create_payment.handler, user, {"track": track, **more})

    def status(self, user: Student, reference: str) -> Response:
        route = "GET /api/payments/status/{payment_intent_id}"
        return self.call(payment_status.handler, user, path={"payment_intent_id": reference}, route=route)

    def preview(self, user: Student, code: str, track: str = "DP") -> Response:
        route, body = "POST /api/payments/promotion-codes/preview", {"track": track, "promotion_code": code}
        return self.call(create_checkout_session.handler, user, body, route=route)

    def order(self, user: Student, payment_id: str) -> Response:
        """Read a payment by its own id."""
        route = "GET /api/payments/{payment_id}"
        return self.call(payment_status.handler, user, path={"payment_id": payment_id}, route=route)

    def documents(self, user: Student, payment_id: str) -> Response:
        route = "GET /api/payments/{payment_id}/documents"
        return self.call(payment_status.handler, user, path={"payment_id": payment_id}, route=route)

    def cancel(self, user: Student, payment_id: str) -> Response:
        route = "POST /api/payments/{payment_id}/cancel"
        return self.call(payment_status.handler, user, path={"payment_id": payment_id}, route=route)

    def saved_methods(self, user: Student, /, **query: str) -> Response:
        return self.call(payment_methods.handler, user, query=query, route="GET /api/payments/payment-methods")

    def remove_method(self, user: Student, method: str) -> Response:
        route = "DELETE /api/payments/payment-methods/{payment_method_id}"
        return self.call(payment_methods.handler, user, path={"payment_method_id": method}, route=route)

    def refund(self, user: Student, payment_id: str, reason: str = "changed my mind") -> Response:
        body = {"payment_id": payment_id, "reason": reason}
        return self.call(request_refund.handler, user, body, route="POST /api/payments/request-refund")

    def withdraw_request(self, user: Student, payment_id: str, request_id: str) -> Response:
        """Withdraw a refund request that awaits approval."""
        route = "POST /api/payments/{payment_id}/refunds/{request_id}/withdraw"
        path = {"payment_id": payment_id, "request_id": request_id}
        return self.call(request_refund.handler, user, path=path, route=route)

    def enrollment(self, user: Student, track: str = "DP") -> dict[str, Any] | None:
        items = self.call(enrollments.handler, user).body["enrollments"]
        return next((item for item in items if item["track"] == track), None)

    def admin(self, user: Student, /, route: str, body: Any = None, **path: str) -> Response:
        query = path.pop("query", {}) if "query" in path else {}
        return self.call(admin.handler, user, body, route=route, path=path, query=query)

    def reconcile(self, *, seconds: float = 900, **event: Any) -> dict[str, Any]:
        """Invoke the reconciler with this many seconds left, and return its report."""
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
        with permissions.acting_as(reconcile.handler):
            return reconcile.handler(event, context)

    def collect(self, *, seconds: float = 900, **event: Any) -> dict[str, Any]:
        """Invoke the collector of plans with this many seconds left, and return its report."""
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
        with permissions.acting_as(collect.handler):
            return collect.handler(event, context)

    def perform_task(self, name: str, *, seconds: float = 900) -> bool:
        """Deliver a task's message to a worker. Return whether the queue may delete it."""
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
        with permissions.acting_as(reconcile_worker.handler):
            response = reconcile_worker.handler({"Records": [{"messageId": "m-1", "body": name}]}, context)
        assert response["batchItemFailures"] in ([], [{"itemIdentifier": "m-1"}])
        return not response["batchItemFailures"]

    def run_audit(self, *, seconds: float = 900, **event: Any) -> dict[str, Any]:
        """Invoke the daily audit with this many seconds left, and return its report."""
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
        with permissions.acting_as(audit_function.handler):
            return audit_function.handler(event, context)

    def count_records(self, records: Sequence[Mapping[str, Any]]) -> list[int]:
        """Deliver audit records to the analytics function. Return the positions of those that failed."""
        entries = [rollups.queue_entry(record) for record in records]
        messages = [
            {"messageId": str(number), "body": json.dumps(entry.body)} for number, entry in enumerate(entries) if entry
        ]
        failed: list[int] = []
        with permissions.acting_as(analytics_function.handler):
            for batch in itertools.batched(messages, 10, strict=False):
                response = analytics_function.handler({"Records": list(batch)}, None)
                failed += [int(one["itemIdentifier"]) for one in response["batchItemFailures"]]
        return failed

    def recount(self, *, seconds: float = 900, **event: Any) -> dict[str, Any]:
        """Invoke the recount with this many seconds left, and return its report."""
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
        with permissions.acting_as(recount_function.handler):
            return recount_function.handler(event, context)

    def stored_records(self) -> list[dict[str, Any]]:
        """Return every audit record as the table has it, in JSON types."""
        items = [AuditItem.from_raw_data(item) for item in self.tables.scan(TableName="audit")["Items"]]
        return [
            {name: getattr(item, name) for name in AuditItem.get_attributes()}
            for item in sorted(items, key=lambda item: str(item.recorded_position))
        ]

    def payments(self, user: Student, /, **query: str) -> Response:
        return self.call(my_payments.handler, user, query=query)

    def tracks(self) -> Response:
        return self.call(tracks.handler, None)

    # --- events at Stripe ---

    def at_stripe(self, method: str, path: str, *, may_be_refused: bool = False, **params: Any) -> dict[str, Any]:
        """Call Stripe as the student's browser, the Dashboard or the simulator's control API, not as Tuition.

        A 400 fails the test, unless the object may be in a state that refuses the call.
        """
        sim = path.startswith("/_sim")
        body = json.dumps(params) if sim else "&".join(f"{k}={v}" for k, v in params.items())
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}", "Stripe-Version": stripe.api_version or ""}
        response = self.stripe.handle(method, path, headers, body.encode())
        assert may_be_refused or response.status != 400, f"Stripe refuses {method} {path} {params}: {response.json()}"
        return dict(response.json())

    def pay(self, intent_id: str, method: str = "pm_card_visa", *, may_be_refused: bool = False) -> dict[str, Any]:
        path, params = f"/v1/payment_intents/{intent_id}/confirm", {"payment_method": method, "return_url": PAGE}
        return self.at_stripe("POST", path, may_be_refused=may_be_refused, **params, **ACCEPTANCE)

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events that Stripe has created since the last call, oldest first."""
        payloads = self.stripe.webhooks.payloads
        new = [json.loads(payload) for payload in itertools.islice(payloads.values(), self.events_returned, None)]
        self.events_returned = len(payloads)
        return new

    def deliver(self, event: Mapping[str, Any], *, secret: str = SECRET, at: float | None = None) -> Response:
        """Send one event to the webhook, signed."""
        return self.deliver_raw(json.dumps(event), secret=secret, at=at)

    def deliver_raw(self, body: str, *, secret: str = SECRET, at: float | None = None) -> Response:
        header = signature(secret, body.encode(), int(clock.now() if at is None else at))
        return self.call(webhook.handler, None, body, headers={"stripe-signature": header})

    def deliver_all(self) -> list[Response]:
        """Send every new event to the webhook, oldest first."""
        return [self.deliver(event) for event in self.new_events()]

    def freeze_time(self, at: float | None = None) -> None:
        """Stop Stripe's clock and ours, so that a test behaves the same on a slow machine.

        Afterwards only `advance_stripe` and `advance_time` move them.
        """
        at = at or time.time()
        self.time_source = self.stripe.account.clock._source = lambda: at

    def advance_stripe(self, seconds: int) -> None:
        """Advance Stripe's clock; the simulator does everything that becomes due."""
        self.at_stripe("POST", "/_sim/clock", advance_s=seconds)

    def advance_time(self, seconds: int) -> None:
        """Advance Stripe's clock and ours together."""
        self.advance_stripe(seconds)
        self.offset_s += seconds

    # --- stored state ---

    def empty_table(self, name: str, *key: str) -> None:
        """Delete all items of a table with this key."""
        items = self.tables.scan(TableName=name)["Items"]
        for batch in itertools.batched(items, 25, strict=False):
            deletes = [{"DeleteRequest": {"Key": {attribute: item[attribute] for attribute in key}}} for item in batch]
            assert not self.tables.batch_write_item(RequestItems={name: deletes})["UnprocessedItems"]

    def payment(self, payment_id: str) -> Any:
        items = dynamodb.batch_get({PaymentItem: [keys.payment_key(payment_id)]})[PaymentItem]
        return mapping.payment_from_raw(items[0]) if items else None

    def audit_trail(self, payment_id: str) -> list[dict[str, Any]]:
        return queries.audit_trail(payment_id)

    def chain_problem(self, payment_id: str) -> audit.Broken | None:
        payment = self.payment(payment_id)
        return audit.verify_payment(payment, self.audit_trail(payment_id))

    def attention(self, payment_id: str) -> list[str]:
        item = queries.payments_by_id([payment_id])[0]
        return [reason["name"] for reason in item.attention or []]


@contextmanager
def running_harness(
    client: Any, monkeypatch: pytest.MonkeyPatch, seed: int = 1, simulated: Stripe | None = None
) -> Iterator[Harness]:
    """Provide a harness over these tables, with a new simulator unless one is passed."""
    harness = Harness(client, simulated or Stripe(seed=seed))
    set_shards_from_environment(monkeypatch)
    secrets = {"stripe": {"secret_key": harness.stripe.secret_key}, "webhook": {"signing_secrets": [SECRET]}}
    settings.settings.cache_clear()
    settings._kept.clear()
    settings._reread.clear()
    recorded_reads._recorded.clear()
    stripe_client._client_for.cache_clear()
    monkeypatch.setattr(settings, "_read_secret", lambda arn: secrets[arn])
    monkeypatch.setattr(stripe_client, "_http_client", lambda: InProcess(harness))
    monkeypatch.setattr(dynamodb, "client", lambda: client)
    monkeypatch.setattr(status, "SYNC_INTERVAL_S", 0)
    monkeypatch.setattr(clock.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(clock, "now", lambda: harness.time_source() + harness.offset_s)
    monkeypatch.setattr(log.logger, "exception", _raise_unhandled)
    yield harness
    stripe_client._client_for.cache_clear()


def _raise_unhandled(message: str, **_: Any) -> None:
    """Raise a handler's unhandled exception, so that the test sees it and not the 500 response."""
    if message == "unhandled":
        raise
