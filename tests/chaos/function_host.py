"""One Lambda invocation in its own process, which a test may kill at any moment.

A fork server imports this module once. Each invocation is a fork of it, which costs milliseconds. A pipe carries the
job and the outcome; everything else goes over sockets.
"""

import gc
import importlib
import multiprocessing
import netrc  # noqa: F401  (imported by `requests` in its first request)
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import pytest
import stripe
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

import tests.harness  # noqa: F401  (sets the environment variables of the settings before tuition is imported)
from tests.chaos import planted_defects
from tests.plan_calls import offer_plans
from tuition import clock, log, settings
from tuition.core import catalog
from tuition.storage import dynamodb
from tuition.stripe_gateway import client as stripe_client

FUNCTIONS = (
    "create_payment",
    "create_checkout_session",
    "payment_status",
    "plans",
    "request_refund",
    "webhook",
    "admin",
)
HANDLERS = {name: importlib.import_module(name).handler for name in (*FUNCTIONS, "reconcile", "collect")}
MAX_SLEEP_S = 0.002
READY = "ready"
IN_FORK_SERVER = "TUITION_FORK_SERVER"
IMPORTED_BY = os.getpid()
"""The process that imported this module: for an invocation, the fork server."""


def _warm_up() -> None:
    """Load in the fork server whatever each invocation would otherwise load again: modules, models, the catalog."""
    catalog.tracks()
    services = stripe.StripeClient("sk_test_warm_up").v1
    _ = services.customers, services.payment_intents, services.checkout.sessions, services.charges
    _ = services.refunds, services.disputes, services.events, services.promotion_codes, services.setup_intents
    client = dynamodb.client()
    client.meta.events.register("before-send.dynamodb", _empty_response)
    client.batch_get_item(RequestItems={"payments": {"Keys": [{"payment_id": {"S": "warm up"}}]}})
    client.transact_write_items(TransactItems=[{"Put": {"TableName": "payments", "Item": {}}}])
    client.meta.events.unregister("before-send.dynamodb", _empty_response)
    gc.freeze()  # so that a collection in a fork does not touch, and copy, every page


def _empty_response(request: AWSPreparedRequest, **_: object) -> AWSResponse:
    """Answer a DynamoDB call of the warm-up without a network."""
    raw = SimpleNamespace(stream=lambda *_, **__: [b"{}"])
    return AWSResponse(request.url, 200, {"x-amz-request-id": "warm up"}, raw)


if os.environ.get(IN_FORK_SERVER):
    _warm_up()


@dataclass(frozen=True)
class Job:
    """A function and the event of its invocation. `now` is the time that it reads, in epoch seconds."""

    function: str
    event: Mapping[str, Any]
    dynamodb: str
    stripe: str
    now: float
    secrets: Mapping[str, Any] = field(default_factory=dict)
    defect: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended: with a response, with an error, or (neither) killed."""

    response: Mapping[str, Any] | None = None
    error: str | None = None

    @property
    def status(self) -> int | None:
        return None if self.response is None else self.response.get("statusCode", 200)


def start(dynamodb_url: str) -> None:
    """Start the fork server with this module and a client of DynamoDB at this URL loaded.

    In Python 3.13.0 a fork server does not take over `sys.path`, and it ignores a module that it cannot import.
    """
    multiprocessing.set_forkserver_preload([__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(IN_FORK_SERVER, "1")
        patch.setenv("DYNAMODB_ENDPOINT_URL", dynamodb_url)
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()


def invoke(job: Job, on_start: Callable[[int | None], None]) -> Outcome:
    """Run a job in a new process. `on_start` receives its process id before its first call."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    child = context.Process(target=serve, args=(job, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        assert ours.recv() == READY
        on_start(child.pid)
        ours.send(READY)
        return _receive_outcome(ours)
    finally:
        ours.close()
        child.join(30)
        if child.is_alive():
            child.kill()
            raise AssertionError("the invocation did not end")


def _receive_outcome(pipe: Connection) -> Outcome:
    if not pipe.poll(60):
        raise AssertionError("the invocation did not respond")
    try:
        outcome = pipe.recv()
    except (EOFError, ConnectionResetError):
        return Outcome()
    assert isinstance(outcome, Outcome)
    return outcome


def serve(job: Job, pipe: Connection) -> None:
    """In the new process: wait for the signal, invoke the handler, send the outcome."""
    assert os.getpid() != IMPORTED_BY, "the fork server did not load this module, so each invocation would"
    if os.environ.get("DYNAMODB_ENDPOINT_URL") != job.dynamodb:
        dynamodb.client.cache_clear()  # the fork server was started for another harness
    os.environ |= {"DYNAMODB_ENDPOINT_URL": job.dynamodb, "STRIPE_API_BASE": job.stripe}
    settings.settings.cache_clear()
    real_sleep = time.sleep
    time.sleep = lambda seconds: real_sleep(min(seconds, MAX_SLEEP_S))
    clock.now = lambda: job.now
    settings._read_secret = lambda arn: dict(job.secrets[arn])
    logged: list[str] = []
    log.logger.exception = lambda message, **_: logged.append(message)  # type: ignore[method-assign,assignment]
    stripe_client._client_for.cache_clear()
    offer_plans(setattr)
    if job.defect:
        planted_defects.DEFECTS[job.defect](setattr)
    pipe.send(READY)
    pipe.recv()
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
    try:
        outcome = Outcome(HANDLERS[job.function](dict(job.event), context))
    except Exception as error:  # noqa: BLE001  (kept: the test decides which errors are allowed)
        outcome = Outcome(error=type(error).__name__)
    if "unhandled" in logged:
        outcome = Outcome(error="unhandled")
    pipe.send(outcome)
    pipe.close()
    os._exit(0)  # skip Python's slow shutdown: nothing is left to clean up
