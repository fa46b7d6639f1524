"""Two counting proxies, before DynamoDB and before Stripe, with one gate: it counts every call and cuts the one chosen.

Nothing here knows what a flow calls. A first run counts; the runs after it each have one fault, at one call.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from stripe_simulator.http import read_request

Backend = Literal["dynamodb", "stripe"]
Fate = Literal["kill before", "kill after", "drop before", "drop after", "error", "throttle", "kept error", "late"]
FATES: tuple[Fate, ...] = (
    *("kill before", "kill after", "drop before", "drop after", "error", "throttle", "kept error", "late"),
)
LASTING: tuple[Fate, ...] = ("drop before", "drop after", "error", "throttle")
"""Those that may also go on: from that call the other side is out of reach until the flow has ended."""

Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclass(frozen=True)
class Point:
    """A fault: what becomes of call number `call` (from 0), and of all that follow to the same side if it `lasts`."""

    call: int
    fate: Fate
    lasts: bool = False

    def __str__(self) -> str:
        return f"call {self.call} {self.fate}{' from then on' if self.lasts else ''}"


@dataclass(frozen=True)
class Called:
    """One call as it was counted."""

    backend: Backend
    name: str

    @property
    def writes(self) -> bool:
        return self.name.startswith("POST") if self.backend == "stripe" else self.name in WRITES


WRITES = {"TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem"}


@dataclass
class Gate:
    """Counts the calls of both sides in the order of their arrival, and says what becomes of each."""

    point: Point | None = None
    pid: int | None = None
    calls: list[Called] = field(default_factory=list)
    late: list[Callable[[], object]] = field(default_factory=list)
    keep_error: Callable[[str], object] | None = None
    hit: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, point: Point | None) -> None:
        """A new run: nothing has been called. What is late from the run before is on its way still."""
        self.point, self.pid, self.hit = point, None, False
        self.calls = []

    def arrive(self, called: Called) -> Fate | None:
        """Count a call; its fate where it is the one, or after the one."""
        with self._lock:
            number = len(self.calls)
            self.calls.append(called)
            point = self.point
            if point is None:
                return None
            again = point.lasts and number > point.call and called.backend == self.calls[point.call].backend
            if number == point.call or again:
                self.hit = True
                return point.fate
            return None

    def kill(self) -> None:
        """The machine that runs the flow is gone, at once."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def make_late(self) -> None:
        """What was on its way arrives now."""
        calls, self.late = self.late, []
        for call in calls:
            call()


class Proxy:
    """An HTTP/1.1 proxy to one address, on a port of its own; a thread a connection."""

    def __init__(self, backend: Backend, port: int, gate: Gate) -> None:
        self._backend: Backend = backend
        self._port = port
        self._gate = gate
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name=f"proxy-{backend}", daemon=True).start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with connection, contextlib.closing(upstream), contextlib.suppress(OSError, ValueError):
            reader = connection.makefile("rb")
            while True:
                received = read_request(reader)
                if received is None:
                    return
                answer = self._answer(upstream, *received)
                if answer is None:
                    return  # the connection closes without an answer
                connection.sendall(_bytes(answer))

    def _answer(
        self, upstream: http.client.HTTPConnection, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> Answer | None:
        called = self._called(method, target, headers)
        fate = self._gate.arrive(called)

        def forward(over: http.client.HTTPConnection = upstream) -> Answer:
            over.request(method, target, body, headers)
            answer = over.getresponse()
            return answer.status, list(answer.getheaders()), answer.read()

        if fate in (None, "kept error"):
            if fate and self._gate.keep_error and called.backend == "stripe":
                self._gate.keep_error(f"{method} {target.partition('?')[0]}")
            return forward()
        if fate == "late":
            fresh = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            self._gate.late.append(lambda: forward(fresh))
            return None
        if fate in ("error", "throttle"):
            return _refusal(called, fate, body)
        if fate in ("kill after", "drop after"):
            forward()
        if fate in ("kill before", "kill after"):
            self._gate.kill()
        return None

    def _called(self, method: str, target: str, headers: dict[str, str]) -> Called:
        if self._backend == "dynamodb":
            return Called("dynamodb", headers.get("x-amz-target", "").rpartition(".")[2])
        return Called("stripe", f"{method} {target.partition('?')[0]}")


def _refusal(called: Called, fate: Fate, body: bytes) -> Answer:
    """What each side says when it fails, or when it is asked too often; a transaction meets another one."""
    if called.backend == "stripe":
        status = 500 if fate == "error" else 429
        error = {"type": "api_error", "message": "made by the test"}
        if fate == "throttle":
            error |= {"type": "invalid_request_error", "code": "rate_limit"}
        return status, [("Request-Id", "req_proxy"), ("Content-Type", "application/json")], _json({"error": error})
    kind: dict[str, Any] = {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "by the test"}
    if fate == "throttle" and called.name == "TransactWriteItems":
        reasons = [{"Code": "None"} for _ in json.loads(body)["TransactItems"]]
        reasons[0] = {"Code": "TransactionConflict", "Message": "by the test"}
        kind = {"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"}
        kind |= {"message": "by the test", "CancellationReasons": reasons}
    elif fate == "throttle":
        kind["__type"] = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
    return 500 if fate == "error" else 400, [("Content-Type", "application/x-amz-json-1.0")], _json(kind)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _bytes(answer: Answer) -> bytes:
    status, headers, body = answer
    hop = {"transfer-encoding", "connection", "content-length", "keep-alive"}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers if name.lower() not in hop)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


@contextlib.contextmanager
def proxies(dynamodb_port: int, stripe_port: int) -> Iterator[tuple[Gate, str, str]]:
    """The gate, and the addresses of DynamoDB and of Stripe behind it."""
    gate = Gate()
    dynamodb, stripe = Proxy("dynamodb", dynamodb_port, gate), Proxy("stripe", stripe_port, gate)
    try:
        yield gate, dynamodb.url, stripe.url
    finally:
        dynamodb.stop()
        stripe.stop()
