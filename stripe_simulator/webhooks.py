"""Events and their signed deliveries.

https://docs.stripe.com/webhooks

`Webhooks` decides which event goes to which endpoint and when. `Sender` has the threads that post them; without a
sender, deliveries wait in `outbox`. Released deliveries keep their order: each waits for a response to the one before.
"""

import contextlib
import hashlib
import hmac
import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from stripe_simulator.clock import Clock
from stripe_simulator.store import Object, Store
from stripe_simulator.version import API_VERSION

FIRST_RETRY_S, MAX_RETRY_S, MAX_TRIES = 1.0, 3600.0, 40
CONNECT_TIMEOUT_S, TIMEOUT_S = 5.0, 30.0
MODES = ("normal", "hold", "drop", "duplicate", "shuffle")


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
    predecessor: "Delivery | None" = None  # in the same release
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
        self.payloads: dict[str, str] = {}  # event id -> its JSON when it was created
        self.types: dict[str, str] = {}  # event id -> its type
        self.deliveries: dict[str, list[Delivery]] = {}  # event id -> its deliveries
        self.outbox: list[Delivery] = []
        self.held: list[Delivery] = []
        self.listeners: list[Callable[[Object, str], None]] = []
        self.wake: Callable[[], None] = lambda: None
        self._uncommitted: list[tuple[str, str, str, list[Object]]] | None = None

    def reset(self) -> None:
        """Delete all events and deliveries, and deliver new events normally."""
        self.mode, self.delay_s = "normal", 0.0
        for collection in (self.payloads, self.types, self.deliveries, self.outbox, self.held):
            collection.clear()

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
        endpoints = self._endpoints(event_type)
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

    def _endpoints(self, event_type: str) -> list[Object]:
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
        else:
            self._send(delivery)
            if self.mode == "duplicate":
                self._send(self._copy(delivery))

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
        last: Delivery | None = None
        for original in queue:
            delivery = self._copy(original) if id(original) in released else original
            released.add(id(original))
            delivery.outcome, delivery.due = "waiting", self.clock.now() + self.delay_s
            delivery.predecessor, last = last, delivery
            self.outbox.append(delivery)
        self.wake()
        return len(queue)

    def resend(self, event_id: str, endpoint_id: str | None = None) -> None:
        """Deliver an event again, to one endpoint or to all."""
        payload = self.payloads[event_id]
        for endpoint in self._endpoints(self.types[event_id]):
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
        for index, delivery in enumerate(self.outbox):
            if delivery.due <= now and delivery.is_ready:
                delivery.predecessor = None
                return self.outbox.pop(index)
        return None

    def next_at(self) -> float | None:
        """Return when the next delivery is due."""
        return min((delivery.due for delivery in self.outbox if delivery.is_ready), default=None)

    def record_try(self, delivery: Delivery, status: int | None, problem: str | None) -> None:
        """Log a try. After a failure, schedule the next try with exponential backoff: 1, 2, 4 … seconds."""
        delivery.tries += 1
        delivery.log.append({"at": self.clock.unix(), "status": status, "problem": problem})
        if status is not None and 200 <= status < 300:
            delivery.outcome = "delivered"
            return
        delivery.outcome = "failed"
        if delivery.tries < MAX_TRIES and self.store.find("webhook_endpoint", delivery.endpoint_id) is not None:
            wait = min(FIRST_RETRY_S * 2 ** (delivery.tries - 1), MAX_RETRY_S)
            delivery.due = self.clock.now() + wait
            self.outbox.append(delivery)

    def event(self, id: str) -> Object:
        """Return an event as the API does, with the current `pending_webhooks`."""
        event: Object = json.loads(self.payloads[id])
        deliveries = self.deliveries.get(id, [])
        delivered = {one.endpoint_id for one in deliveries if one.outcome == "delivered"}
        event["pending_webhooks"] = len({one.endpoint_id for one in deliveries} - delivered)
        return event


class Sender:
    """Threads that post due deliveries. One thread at a time sends, in order, while the others wait for responses."""

    def __init__(self, webhooks: Webhooks, lock: threading.RLock, threads: int = 4) -> None:
        self._webhooks = webhooks
        self._lock = lock
        self._ready = threading.Condition(lock)
        self._turn = threading.Lock()
        self._stopped = False
        webhooks.wake = self._notify
        self._threads = [threading.Thread(target=self._work, name=f"webhook-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _notify(self) -> None:
        with self._lock:
            self._ready.notify()

    def stop(self) -> None:
        """Stop the threads. A request in flight finishes first."""
        with self._lock:
            self._stopped = True
            self._ready.notify_all()

    def _work(self) -> None:
        while (delivery := self._next()) is not None:
            status, problem = post(delivery, self._turn.release)
            with self._lock:
                self._webhooks.record_try(delivery, status, problem)
                self._ready.notify()

    def _next(self) -> Delivery | None:
        """Wait for a due delivery and return it with the turn still locked. Return None after `stop()`."""
        self._turn.acquire()
        with self._lock:
            while not self._stopped:
                delivery = self._webhooks.pop_due()
                if delivery is not None:
                    return delivery
                at = self._webhooks.next_at()
                wait = 5.0 if at is None else max(0.01, at - self._webhooks.clock.now())
                self._ready.wait(min(wait, 5.0))
        self._turn.release()
        return None


def post(delivery: Delivery, on_sent: Callable[[], None]) -> tuple[int | None, str | None]:
    """Try a delivery once, and return the status of the response or the problem.

    Calls `on_sent` exactly once, before it waits for the response.
    """
    try:
        try:
            connection = _send_request(delivery)
        finally:
            on_sent()
        with contextlib.closing(connection):
            response = connection.getresponse()
            response.read(10_000)
            return response.status, None
    except (OSError, ValueError, http.client.HTTPException) as error:
        return None, str(error) or type(error).__name__


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
