"""Counting proxies in front of DynamoDB and of Stripe. They share a gate that counts the calls and injects one fault.

`stripe_simulator.testing.fault_runs` has the points and their order. A point that lasts also is the fate of every later
call to the same backend.
"""

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from stripe_simulator.http_server import read_request
from stripe_simulator.testing.fault_runs import FaultPoint
from tests.chaos.backends import SHAPES, Response, Upstream

Backend = Literal["dynamodb", "stripe"]
Fate = Literal["kill before", "kill after", "drop before", "drop after", "error", "throttle", "kept error", "late"]
FATES: tuple[Fate, ...] = (
    *("kill before", "kill after", "drop before", "drop after", "error", "throttle", "kept error", "late"),
)
"""`kept error`: Stripe stores the error under the idempotency key. `late`: the call arrives too late."""
LASTING: tuple[Fate, ...] = ("drop before", "drop after", "error", "throttle")
"""The fates that may also last: the backend then stays unreachable until the flow has ended."""
WRITES = {"TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem"}
READS = {"GetItem", "BatchGetItem", "Query", "Scan"}


@dataclass(frozen=True)
class Call:
    """One call that passed a proxy."""

    backend: Backend
    name: str

    @property
    def is_write(self) -> bool:
        return self.name.startswith("POST") if self.backend == "stripe" else self.name in WRITES

    def fates(self) -> list[Fate]:
        """Return the fates that the call can have."""
        is_post, is_write = self.name.startswith("POST"), self.is_write
        return [fate for fate in FATES if (fate != "kept error" or is_post) and (fate != "late" or is_write)]


@dataclass
class FaultGate:
    """Counts the calls to both backends in order of arrival, and decides the fate of each."""

    point: FaultPoint | None = None
    pid: int | None = None
    calls: list[Call] = field(default_factory=list)
    delayed: list[Callable[[], object]] = field(default_factory=list)
    keep_error: Callable[[str], object] | None = None
    hit: bool = False
    on_write: Callable[[dict[str, Any]], object] = lambda _: None
    """Called with the parameters of each write to DynamoDB, before and after it is forwarded."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start_run(self, point: FaultPoint | None) -> None:
        """Start counting from 0 for a new run. Delayed calls of the previous run stay in flight."""
        self.point, self.pid, self.hit = point, None, False
        self.calls = []

    def arrive(self, call: Call) -> str | None:
        """Count a call, and return its fate if the fault applies to it."""
        with self._lock:
            number = len(self.calls)
            self.calls.append(call)
            point = self.point
            if point is None:
                return None
            still_lasts = point.lasts and number > point.call and call.backend == self.calls[point.call].backend
            if number == point.call or still_lasts:
                self.hit = True
                return point.fate
            return None

    def kill(self) -> None:
        """Kill the process that runs the flow."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def deliver_delayed(self) -> None:
        """Let the delayed calls arrive."""
        calls, self.delayed = self.delayed, []
        for call in calls:
            call()


class Proxy:
    """An HTTP/1.1 proxy to what `connect` connects to, on its own port, with one thread per connection."""

    def __init__(self, backend: Backend, connect: Callable[[], Upstream], gate: FaultGate) -> None:
        self._backend: Backend = backend
        self.connect = connect
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
        upstream = self.connect()
        with connection, contextlib.closing(upstream), contextlib.suppress(OSError, ValueError):
            reader = connection.makefile("rb")
            while True:
                request = read_request(reader)
                if request is None:
                    return
                response = self._respond(upstream, *request)
                if response is None:
                    return  # the connection closes without a response
                connection.sendall(_encode(response))

    def _respond(
        self, upstream: Upstream, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> Response | None:
        call = self._call(method, target, headers)
        fate = self._gate.arrive(call)

        write = json.loads(body) if call.backend == "dynamodb" and call.name not in READS else None

        def forward(connection: Upstream = upstream) -> Response:
            if write:
                self._gate.on_write(write)
            response = connection.send(method, target, headers, body)
            if write:
                self._gate.on_write(write)
            return response

        if fate in (None, "kept error"):
            if fate and self._gate.keep_error and call.backend == "stripe":
                self._gate.keep_error(f"{method} {target.partition('?')[0]}")
            return forward()
        if fate == "late":
            separate = self.connect()
            self._gate.delayed.append(lambda: forward(separate))
            return None
        if fate in ("error", "throttle"):
            return _refusal(call, fate, body)
        if fate in ("kill after", "drop after"):
            forward()
        if fate in ("kill before", "kill after"):
            self._gate.kill()
        return None

    def _call(self, method: str, target: str, headers: dict[str, str]) -> Call:
        if self._backend == "dynamodb":
            return Call("dynamodb", headers.get("x-amz-target", "").rpartition(".")[2])
        return Call("stripe", f"{method} {target.partition('?')[0]}")


def _refusal(call: Call, fate: str, body: bytes) -> Response:
    """Return the backend's error or throttling response. A throttled transaction is canceled by a conflict."""
    if call.backend == "stripe":
        status = 500 if fate == "error" else 429
        error = {"type": "api_error", "message": "injected by the test"}
        if fate == "throttle":
            error |= {"type": "invalid_request_error", "code": "rate_limit"}
        return status, [("Request-Id", "req_proxy"), ("Content-Type", "application/json")], _json({"error": error})
    message = "injected by the test"
    fault: dict[str, Any] = {"__type": f"{SHAPES}InternalServerError", "message": message}
    if fate == "throttle" and call.name == "TransactWriteItems":
        reasons = [{"Code": "None"} for _ in json.loads(body)["TransactItems"]]
        reasons[0] = {"Code": "TransactionConflict", "Message": message}
        fault = {"__type": f"{SHAPES}TransactionCanceledException"}
        fault |= {"message": message, "CancellationReasons": reasons}
    elif fate == "throttle":
        fault["__type"] = f"{SHAPES}ProvisionedThroughputExceededException"
    return 500 if fate == "error" else 400, [("Content-Type", "application/x-amz-json-1.0")], _json(fault)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _encode(response: Response) -> bytes:
    status, headers, body = response
    hop_by_hop = {"transfer-encoding", "connection", "content-length", "keep-alive"}
    kept = [f"{name}: {value}" for name, value in headers if name.lower() not in hop_by_hop]
    head = "\r\n".join([f"HTTP/1.1 {status} X", *kept, f"Content-Length: {len(body)}", "", ""])
    return head.encode("latin-1") + body


@contextlib.contextmanager
def start_proxies(
    dynamodb: Callable[[], Upstream], stripe: Callable[[], Upstream]
) -> Iterator[tuple[FaultGate, Proxy, Proxy]]:
    """Yield the gate, and the proxies of DynamoDB and of Stripe."""
    gate = FaultGate()
    proxies = Proxy("dynamodb", dynamodb, gate), Proxy("stripe", stripe, gate)
    try:
        yield gate, *proxies
    finally:
        for proxy in proxies:
            proxy.stop()
