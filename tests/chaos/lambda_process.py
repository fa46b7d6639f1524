"""One invocation of a Lambda in a process of its own, which may be killed at any moment.

A fork server imports this module once; each invocation is a fork of it, so that it costs milliseconds. What it is
given comes as a plain job, what it answers goes back through a pipe, and everything else over sockets.
"""

import importlib
import multiprocessing
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import pytest
import stripe  # noqa: F401  (loaded once, before any fork)

import tests.world  # noqa: F401  (the environment of the settings, before tuition is imported)
from tests.chaos import plants
from tuition import api, clock, settings, stripe_client, tables

FUNCTIONS = ("create_payment", "create_checkout_session", "payment_status", "request_refund", "webhook", "admin")
HANDLERS = {name: importlib.import_module(name).handler for name in (*FUNCTIONS, "reconcile")}
LONGEST_SLEEP_S = 0.002
READY = "ready"
INSIDE = "TUITION_FORK_SERVER"
if os.environ.get(INSIDE):
    tables.client()


@dataclass(frozen=True)
class Job:
    """A function and the event that it is invoked with; `now` is the time that it finds, in epoch seconds."""

    function: str
    event: Mapping[str, Any]
    dynamodb: str
    stripe: str
    now: float
    secrets: Mapping[str, Any] = field(default_factory=dict)
    plant: str | None = None


@dataclass(frozen=True)
class Ended:
    """How an invocation ended: an answer, an error that it raised, or (neither) killed."""

    answer: Mapping[str, Any] | None = None
    raised: str | None = None

    @property
    def status(self) -> int | None:
        return None if self.answer is None else self.answer.get("statusCode", 200)


def start() -> None:
    """Start the fork server, with this module and a client of `DYNAMODB_ENDPOINT_URL` loaded."""
    multiprocessing.set_forkserver_preload(["tests.chaos.worker"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(INSIDE, "1")
        forkserver.ensure_running()


def invoke(job: Job, begin: Any) -> Ended:
    """Run a job in a new process; `begin` is told its process id before its first call."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    child = context.Process(target=serve, args=(job, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        assert ours.recv() == READY
        begin(child.pid)
        ours.send(READY)
        return _ended(ours)
    finally:
        ours.close()
        child.join(30)
        if child.is_alive():
            child.kill()
            raise AssertionError("the invocation did not end")


def _ended(pipe: Connection) -> Ended:
    if not pipe.poll(60):
        raise AssertionError("the invocation does not answer")
    try:
        found = pipe.recv()
    except (EOFError, ConnectionResetError):
        return Ended()
    assert isinstance(found, Ended)
    return found


def serve(job: Job, pipe: Connection) -> None:
    """In the new process: wait for the word, invoke, answer."""
    os.environ |= {"DYNAMODB_ENDPOINT_URL": job.dynamodb, "STRIPE_API_BASE": job.stripe}
    settings.settings.cache_clear()
    real_sleep = time.sleep
    time.sleep = lambda seconds: real_sleep(min(seconds, LONGEST_SLEEP_S))
    clock.now = lambda: job.now
    settings._read_secret = lambda arn: dict(job.secrets[arn])
    unhandled: list[str] = []
    api.logger.exception = lambda message, **_: unhandled.append(message)  # type: ignore[method-assign,assignment]
    stripe_client._client_for.cache_clear()
    if job.plant:
        plants.PLANTS[job.plant](setattr)
    pipe.send(READY)
    pipe.recv()
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
    try:
        ended = Ended(HANDLERS[job.function](dict(job.event), context))
    except Exception as error:  # noqa: BLE001  (kept: the test decides which a function may end with)
        ended = Ended(raised=type(error).__name__)
    if "unhandled" in unhandled:
        ended = Ended(raised="unhandled")
    pipe.send(ended)
    pipe.close()
    os._exit(0)  # nothing is left to tidy up, and Python takes its time for it
