"""Events and their signed deliveries.

https://docs.stripe.com/webhooks

`Webhooks` decides which event goes to which endpoint and when. `Sender` has the threads that post them; without a
sender, deliveries wait in `outbox`. Released deliveries keep their order: each waits for a response to the one before.
So do the deliveries of `disorder.py`.
"""

import contextlib
import hashlib
import hmac
import http.client
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from stripe_simulator import disorder
from stripe_simulator.clock import Clock
from stripe_simulator.store import Object, Store
from stripe_simulator.version import API_VERSION

FIRST_RETRY_S, MAX_RETRY_S, MAX_TRIES = 1.0, 3600.0, 40
CONNECT_TIMEOUT_S, TIMEOUT_S = 5.0, 30.0
IDLE_S = 1.0
"""How long a thread of a sender waits for a delivery before it ends."""
MAX_THREADS = 4
MAX_RESPONSE_LENGTH, MAX_RESPONSES = 1000, 1000
"""The characters of a response that are kept, and the tries whose response is kept."""
MAX_EMITTED = 1000
"""The events of one recorded operation that the history links with their objects."""
MODES = ("normal", "hold", "drop", "duplicate", "shuffle", "disorder")


def signature(secret: str, body: bytes, at: int) -> str:
    """Return the value of `Stripe-Signature` for a body sent at a Unix time."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def signature_header(secrets: list[str], body: bytes, at: int) -> str:
    """Return `Stripe-Signature` with one `v1` per secret, and the fake `v0` that Stripe adds in test mode.

    https://docs.stripe.com/webhooks#verify-manually
    """
    parts = [signature(secret, body, at) for secret in secrets]
    fake = hashlib.sha256(f"v0 {at}".encode() + body).hexdigest()
    return ",".join([parts[0], *(part.split(",", 1)[1] for part in parts[1:]), f"v0={fake}"])


@dataclass
class Delivery:
    """The delivery of one event to one endpoint."""

    event_id: str
    payload: str
    endpoint_id: str
    url: str
    secrets: list[str]
    api_version: str | None = None  # of the endpoint; None is the account's version
    due: float = 0.0
    tries: int = 0
    outcome: str = "waiting"
    predecessor: "Delivery | None" = None  # in the same release, or in the disorder of its endpoint
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether the delivery released before it has been tried."""
        return self.predecessor is None or self.predecessor.tries > 0

    @property
    def body(self) -> bytes:
        """The posted body: the event, indented like Stripe's."""
        return json.dumps(self.event, indent=2).encode()

    @property
    def event(self) -> Object:
        """The event, which names the version of its endpoint."""
        event: Object = json.loads(self.payload)
        event["api_version"] = self.api_version or event["api_version"]
        return event

    def headers(self, body: bytes | None = None) -> dict[str, str]:
        """Return the headers of a try.

        The signature uses the real time, not the simulated time, because receivers compare it with their own clock.
        """
        body = self.body if body is None else body
        at = int(time.time())
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature_header(self.secrets, body, at),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
        }


class Webhooks:
    """The account's events and their deliveries. Not thread-safe: the account's lock guards it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.mode, self.delay_s = "normal", 0.0
        self.seed: int | None = None  # of the mode "disorder"
        self.default_seed: int | None = None
        self._queues: dict[str, disorder.Queue] = {}  # endpoint id -> its deliveries in disorder
        self.payloads: dict[str, str] = {}  # event id -> its JSON when it was created
        self.types: dict[str, str] = {}  # event id -> its type
        self.deliveries: dict[str, list[Delivery]] = {}  # event id -> its deliveries
        self.outbox: list[Delivery] = []
        self.held: list[Delivery] = []
        self.emitted: deque[tuple[str, str | None]] = deque(maxlen=MAX_EMITTED)  # the newest events and their objects
        self.responses: deque[dict[str, Any]] = deque()  # the tries whose response is kept, oldest first
        self.listeners: list[Callable[[Object, str], None]] = []
        self.wake: Callable[[], None] = lambda: None
        self.drain: Callable[[float], bool] | None = None
        """Set by the sender, if there is one: `Sender.drain`."""
        self.unsaved = False  # a delivery was tried
        self._uncommitted: list[tuple[str, str, str, list[Object]]] | None = None

    def reset(self) -> None:
        """Delete all events and deliveries, and deliver new events normally or in the disorder of `--disorder`."""
        self.delay_s = 0.0
        for collection in (
            self.payloads,
            self.types,
            self.deliveries,
            self.outbox,
            self.held,
            self._queues,
            self.responses,
        ):
            collection.clear()
        self.set_mode("normal" if self.default_seed is None else "disorder", self.default_seed)

    def set_default_seed(self, seed: int | None) -> None:
        """Deliver in the disorder of this seed, also after a reset. None means normally."""
        self.default_seed = seed
        self.set_mode("normal" if seed is None else "disorder", seed)

    @property
    def has_default_mode(self) -> bool:
        """Whether new events are delivered as the command line says: normally, or in the disorder of its seed."""
        default = "normal" if self.default_seed is None else "disorder"
        return (self.mode, self.seed) == (default, self.default_seed)

    def set_mode(self, mode: str, seed: int | None = None) -> None:
        """Deliver new events in this way. The disorder of a seed begins again with each call."""
        self.send_disordered()
        self._queues.clear()
        self.mode, self.seed = mode, seed

    @property
    def waiting(self) -> int:
        """The number of deliveries that are not held and not in flight, failed ones before their next try included."""
        return len(self.outbox) + sum(map(len, self._queues.values()))

    def emit(
        self,
        event_type: str,
        stored: Object,
        request: dict[str, str | None],
        previous: Object | None = None,
    ) -> None:
        """Create an event for a change of an object, and start its deliveries."""
        data: Object = {"object": {name: value for name, value in stored.items() if not name.startswith("_")}}
        if previous is not None:
            data["previous_attributes"] = previous
        prefix = "evt_1" if stored["object"] not in {"payment_intent", "charge", "refund"} else "evt_3"
        endpoints = self.endpoints_for(event_type)
        event: Object = {
            "id": f"{prefix}{self.store.token(23)}",
            "object": "event",
            "api_version": API_VERSION,
            "created": self.clock.unix(),
            "data": data,
            "livemode": False,
            "pending_webhooks": len(endpoints),
            "request": request,
            "type": event_type,
        }
        self.emitted.append((event["id"], stored.get("id")))
        created = (event["id"], event_type, json.dumps(event), endpoints)
        if self._uncommitted is None:
            self._publish(*created)
        else:
            self._uncommitted.append(created)

    def begin(self) -> None:
        """Withhold new events until `commit`."""
        self._uncommitted = []

    def commit(self) -> None:
        """Publish the events since `begin`."""
        events, self._uncommitted = self._uncommitted or [], None
        for created in events:
            self._publish(*created)

    def roll_back(self) -> None:
        """Forget the events since `begin`."""
        self._uncommitted = None

    def _publish(self, event_id: str, event_type: str, payload: str, endpoints: list[Object]) -> None:
        """Store an event, and start its deliveries."""
        self.payloads[event_id] = payload
        self.types[event_id] = event_type
        for endpoint in endpoints:
            self._deliver(event_id, payload, endpoint)
        for listener in self.listeners:
            listener(json.loads(payload), payload)

    def endpoints_for(self, event_type: str) -> list[Object]:
        """Return the enabled endpoints that receive events of a type."""
        return [
            endpoint
            for endpoint in self.store.objects.get("webhook_endpoint", {}).values()
            if endpoint["status"] == "enabled"
            and ("*" in endpoint["enabled_events"] or event_type in endpoint["enabled_events"])
        ]

    def _add_delivery(self, event_id: str, payload: str, endpoint: Object) -> Delivery:
        api_version = endpoint["api_version"]
        delivery = Delivery(event_id, payload, endpoint["id"], endpoint["url"], endpoint["_secrets"], api_version)
        self.deliveries.setdefault(event_id, []).append(delivery)
        return delivery

    def _deliver(self, event_id: str, payload: str, endpoint: Object) -> None:
        delivery = self._add_delivery(event_id, payload, endpoint)
        if self.mode == "drop":
            delivery.outcome = "dropped"
        elif self.mode == "hold":
            delivery.outcome = "held"
            self.held.append(delivery)
        elif self.mode == "disorder":
            self._disorder(delivery)
        else:
            self._send(delivery)
            if self.mode == "duplicate":
                self._send(self._copy(delivery))

    def _disorder(self, delivery: Delivery) -> None:
        """Send the deliveries of the endpoint whose turn has come; this one may have to wait for later ones."""
        queue = self._queues.get(delivery.endpoint_id)
        if queue is None:
            queue = self._queues[delivery.endpoint_id] = disorder.Queue(f"{self.seed} {len(self._queues)}")
        copies = [self._copy(delivery)] if queue.draw_double() else []
        for one in (delivery, *copies):
            queue.add(one, self.clock.now())
        queue.last = self._send_in_order(queue.take(), queue.last)

    def send_disordered(self, until: float = disorder.NEVER) -> bool:
        """Send what waits for later deliveries, of the endpoints quiet at this time. Return whether any was."""
        queues = [queue for queue in self._queues.values() if len(queue) and queue.quiet_at <= until]
        for queue in queues:
            queue.last = self._send_in_order(queue.take(everything=True), queue.last)
        return bool(queues)

    def _send_in_order(self, deliveries: list[Delivery], last: Delivery | None) -> Delivery | None:
        """Send each after a response to the one before, the first after a response to `last`. Return the last one."""
        for delivery in deliveries:
            delivery.outcome, delivery.due = "waiting", self.clock.now() + self.delay_s
            delivery.predecessor, last = last, delivery
            self.outbox.append(delivery)
        self.wake()
        return last

    def _copy(self, delivery: Delivery) -> Delivery:
        one = delivery
        copy = Delivery(one.event_id, one.payload, one.endpoint_id, one.url, one.secrets, one.api_version)
        self.deliveries.setdefault(delivery.event_id, []).append(copy)
        return copy

    def _send(self, delivery: Delivery) -> None:
        delivery.outcome = "waiting"
        delivery.due = self.clock.now() + self.delay_s
        if self.mode == "shuffle":
            delivery.due += self.store.random.random()
            self.outbox.insert(self.store.random.randint(0, len(self.outbox)), delivery)
        else:
            self.outbox.append(delivery)
        self.wake()

    def release(self, order: str, seed: int, times: int) -> int:
        """Send each held delivery the given number of times, and return the number of deliveries."""
        held, self.held = self.held, []
        queue = [delivery for delivery in held for _ in range(times)]
        if order == "reversed":
            queue.reverse()
        elif order == "shuffled":
            random.Random(seed).shuffle(queue)
        released: set[int] = set()
        deliveries = []
        for original in queue:
            deliveries.append(self._copy(original) if id(original) in released else original)
            released.add(id(original))
        self._send_in_order(deliveries, None)
        return len(queue)

    def resend(self, event_id: str, endpoint_id: str | None = None) -> None:
        """Deliver an event again, to one endpoint or to all."""
        payload = self.payloads[event_id]
        for endpoint in self.endpoints_for(self.types[event_id]):
            if endpoint_id is None or endpoint["id"] == endpoint_id:
                delivery = self._add_delivery(event_id, payload, endpoint)
                delivery.due = self.clock.now()
                self.outbox.append(delivery)
        if endpoint_id is None:
            for listener in self.listeners:
                listener(json.loads(payload), payload)
        self.wake()

    def pop_due(self) -> Delivery | None:
        """Remove the next due delivery from the outbox and return it."""
        now = self.clock.now()
        self.send_disordered(until=now)
        for index, delivery in enumerate(self.outbox):
            if delivery.due <= now and delivery.is_ready:
                delivery.predecessor = None
                return self.outbox.pop(index)
        return None

    def next_at(self) -> float | None:
        """Return when the next delivery is due."""
        quiet_at = [queue.quiet_at for queue in self._queues.values() if len(queue)]
        return min((*quiet_at, *(delivery.due for delivery in self.outbox if delivery.is_ready)), default=None)

    def is_drained(self) -> bool:
        """Return whether each delivery that is not held has been tried, and the next try of failed ones is not due."""
        now = self.clock.now()
        return not any(delivery.tries == 0 or delivery.due <= now for delivery in self.outbox)

    def record_try(
        self,
        delivery: Delivery,
        status: int | None,
        problem: str | None,
        *,
        response: str | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """Log a try. After a failure, schedule the next try with exponential backoff: 1, 2, 4 … seconds."""
        delivery.tries += 1
        self.unsaved = True
        entry = {"at": self.clock.unix(), "status": status, "problem": problem, "duration_ms": duration_ms}
        delivery.log.append(entry | {"response": response})
        self.keep_response(delivery.log[-1])
        if status is not None and 200 <= status < 300:
            delivery.outcome = "delivered"
            return
        delivery.outcome = "failed"
        if delivery.tries < MAX_TRIES and self.store.find("webhook_endpoint", delivery.endpoint_id) is not None:
            wait = min(FIRST_RETRY_S * 2 ** (delivery.tries - 1), MAX_RETRY_S)
            delivery.due = self.clock.now() + wait
            self.outbox.append(delivery)

    def keep_response(self, entry: dict[str, Any]) -> None:
        """Drop the oldest response once there are more than MAX_RESPONSES."""
        self.responses.append(entry)
        if len(self.responses) > MAX_RESPONSES:
            self.responses.popleft()["response"] = None

    def event(self, id: str) -> Object:
        """Return an event as the API does, with the current `pending_webhooks`."""
        event: Object = json.loads(self.payloads[id])
        deliveries = self.deliveries.get(id, [])
        delivered = {one.endpoint_id for one in deliveries if one.outcome == "delivered"}
        event["pending_webhooks"] = len({one.endpoint_id for one in deliveries} - delivered)
        return event


class Sender:
    """Threads that post the due deliveries of one account. One at a time sends, in order; the others await responses.

    The threads start when deliveries are due, and end when nothing has been due for `IDLE_S`.
    """

    def __init__(self, webhooks: Webhooks, lock: threading.RLock, name: str) -> None:
        self._webhooks = webhooks
        self._name = name  # of the threads
        self._ready = threading.Condition(lock)
        self._tried = threading.Condition(lock)
        self._in_flight = 0
        self._stopped = False
        self._is_sending = False
        self._threads, self._idle_threads = 0, 0
        webhooks.wake, webhooks.drain = self._notify, self.drain

    def _notify(self) -> None:
        with self._ready:
            self._ready.notify()
            self._start_thread()

    def start_if_due(self, seconds: float) -> None:
        """Start a thread if a delivery is due within that time and no thread waits for it. The lock must be held."""
        at = None if self._idle_threads else self._webhooks.next_at()
        if at is not None and at <= self._webhooks.clock.now() + seconds:
            self._start_thread()

    def _start_thread(self) -> None:
        """Start a thread if there are deliveries and no thread waits for them. The lock must be held."""
        if self._webhooks.waiting and not self._idle_threads and self._threads < MAX_THREADS and not self._stopped:
            self._threads += 1
            threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            with self._ready:
                self._threads -= 1

    def stop(self) -> None:
        """Stop the threads. A request in flight finishes first."""
        with self._ready:
            self._stopped = True
            self._ready.notify_all()
            self._tried.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Send what waits for later deliveries, wait until nothing is due or in flight, and return whether that is so.

        It does not wait for deliveries that are held, nor for the next try of those that failed. The caller may hold
        the lock, which is released meanwhile.
        """
        end = time.monotonic() + timeout_s
        with self._ready:
            while not self._stopped:
                if not self._in_flight and self._webhooks.is_drained():
                    if not self._webhooks.send_disordered():
                        return True
                elif not self._tried.wait(end - time.monotonic()) and time.monotonic() >= end:
                    return False
        return False

    def _work(self) -> None:
        while (delivery := self._next()) is not None:
            start = time.monotonic()
            status, problem, response = post(delivery, self._end_sending)
            duration_ms = int((time.monotonic() - start) * 1000)
            with self._ready:
                self._webhooks.record_try(delivery, status, problem, response=response, duration_ms=duration_ms)
                self._in_flight -= 1
                self._ready.notify()
                self._tried.notify_all()

    def _end_sending(self) -> None:
        with self._ready:
            self._is_sending = False
            self._notify()

    def _next(self) -> Delivery | None:
        """Wait for a due delivery, and return it as the one that is being sent. Return None if the thread must end."""
        with self._ready:
            idle_until = time.monotonic() + IDLE_S
            while not self._stopped:
                delivery = None if self._is_sending else self._webhooks.pop_due()
                if delivery is not None:
                    self._in_flight += 1
                    self._is_sending = True
                    self._start_thread()
                    return delivery
                wait = idle_until - time.monotonic()
                if wait <= 0:
                    break
                at = None if self._is_sending else self._webhooks.next_at()
                if at is not None:
                    wait = min(wait, max(0.01, at - self._webhooks.clock.now()))
                self._idle_threads += 1
                self._ready.wait(wait)
                self._idle_threads -= 1
            return None


def post(delivery: Delivery, on_sent: Callable[[], None]) -> tuple[int | None, str | None, str | None]:
    """Try a delivery once, and return the status of the response or the problem, and the start of the response.

    Calls `on_sent` exactly once, before it waits for the response.
    """
    try:
        try:
            connection = _send_request(delivery)
        finally:
            on_sent()
        with contextlib.closing(connection):
            response = connection.getresponse()
            text = response.read(10_000).decode(errors="replace")
            return response.status, None, text[:MAX_RESPONSE_LENGTH]
    except (OSError, ValueError, http.client.HTTPException) as error:
        return None, str(error) or type(error).__name__, None


def _send_request(delivery: Delivery) -> http.client.HTTPConnection:
    """Send the delivery, and return the connection to read the response from."""
    url = urlsplit(delivery.url)
    connection_type = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = connection_type(url.hostname or "", url.port, timeout=CONNECT_TIMEOUT_S)
    try:
        connection.connect()
        connection.sock.settimeout(TIMEOUT_S)
        body = delivery.body
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, body, delivery.headers(body))
    except Exception:
        connection.close()
        raise
    return connection
