"""The time-outs and retries of the DynamoDB client, on a server that does not answer."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import analytics
from local import deploy
from local.build import ROOT
from tests.permissions import ALLOWED
from tuition import clock
from tuition.settings import settings
from tuition.storage import dynamodb
from tuition.storage.items import PaymentItem

OVERRUN_S = dynamodb.CONNECT_TIMEOUT_S + dynamodb.READ_TIMEOUT_S + 2 ** (dynamodb.ATTEMPTS - 2)
"""How long a call can last beyond the deadline: one attempt that times out, and botocore's longest wait after it."""


class SilentServer:
    """Accept connections and read requests, without an answer. `requests` counts them."""

    def __init__(self) -> None:
        self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.requests += 1
            self.connections.append(connection)

    def close(self) -> None:
        self.listener.close()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentServer]:
    server = SilentServer()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("DYNAMODB_ENDPOINT_URL", server.url)
    monkeypatch.setattr(dynamodb, "READ_TIMEOUT_S", 0.1)
    settings.cache_clear()
    dynamodb.client.cache_clear()
    yield server
    server.close()
    monkeypatch.undo()
    settings.cache_clear()
    dynamodb.client.cache_clear()
    clock.start_deadline()


def read() -> Any:
    return dynamodb.get(PaymentItem, {"payment_id": {"S": "pay_1"}})


def test_a_call_without_an_answer_is_attempted_three_times(silent: SilentServer) -> None:
    clock.start_deadline()
    with pytest.raises(dynamodb.StorageUnavailable, match="ReadTimeoutError"):
        read()
    assert silent.requests == dynamodb.ATTEMPTS == 3


def test_a_call_is_not_retried_after_the_deadline(silent: SilentServer) -> None:
    clock.start_deadline(0.05)
    with pytest.raises(dynamodb.StorageUnavailable, match="DeadlineReached"):
        read()
    assert silent.requests == 1


def test_the_first_attempt_is_made_even_after_the_deadline(silent: SilentServer) -> None:
    clock.start_deadline(0)
    with pytest.raises(dynamodb.StorageUnavailable):
        read()
    assert silent.requests == 1


def test_a_call_overruns_the_deadline_by_one_attempt_and_one_wait_at_most(silent: SilentServer) -> None:
    clock.start_deadline(0.15)
    started = time.monotonic()
    with pytest.raises(dynamodb.StorageUnavailable):
        read()
    assert time.monotonic() - started < 0.15 + OVERRUN_S


def test_a_short_function_outlives_a_call_that_overruns_the_deadline() -> None:
    template = deploy.read_template(ROOT / "template.yaml")
    default = template["Globals"]["Function"]["Timeout"]
    for name in ALLOWED:
        timeout = template["Resources"][name]["Properties"].get("Timeout", default)
        if timeout < 30 and name != "StaffGroupsFunction":  # it uses no table
            deadline = analytics.DEADLINE_S if name == "AnalyticsFunction" else clock.DEADLINE_S
            assert timeout > deadline + OVERRUN_S, name
