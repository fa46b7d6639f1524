"""Events, and their signed delivery. https://docs.stripe.com/webhooks

`Webhooks` decides what goes where and when; `Sender` is the threads that send it. Without a sender,
what would be sent waits in `outbox`. What is released keeps its order: each waits for the one before it to be answered.
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

from stripe_simulator import API_VERSION
from stripe_simulator.clock import Clock
from stripe_simulator.store import Object, Store

FIRST_RETRY_S, LONGEST_RETRY_S, TRIES = 1.0, 3600.0, 40
CONNECT_S, TIMEOUT_S = 5.0, 30.0
MODES = ("normal", "hold", "drop", "duplicate", "shuffle")


def signature(secret: str, body: bytes, at: int) -> str:
    """The value of `Stripe-Signature` for a body that is sent at a unix second."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def header(secrets: list[str], body: bytes, at: int) -> str:
    """`Stripe-Signature`: one `v1` a secret, and the `v0` of test mode, which nobody can check.

    https://docs.stripe.com/webhooks#verify-manually
    """
    parts = [signature(secret, body, at) for secret in secrets]
    fake = hashlib.sha256(f"v0 {at}".encode() + body).hexdigest()
    return ",".join([parts[0], *(part.split(",", 1)[1] for part in parts[1:]), f"v0={fake}"])


@dataclass
class Delivery:
    """One event on its way to one endpoint."""

    event_id: str
    payload: str
    endpoint_id: str
    url: str
    secrets: list[str]
    due: float = 0.0
    tries: int = 0
    outcome: str = "waiting"
    behind: "Delivery | None" = None  # of one release: not before that one was tried
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def may_go(self) -> bool:
        """Whether nothing that was released before it is still untried."""
        return self.behind is None or self.behind.tries > 0

    @property
    def body(self) -> bytes:
        """What is posted: the event, indented as Stripe indents it."""
        return json.dumps(json.loads(self.payload), indent=2).encode()

    @property
    def event(self) -> Object:
        """The event itself."""
        parsed: Object = json.loads(self.payload)
        return parsed

    def headers(self, body: bytes | None = None) -> dict[str, str]:
        """Signed anew for each try, with real time: receivers check it against theirs."""
        body = self.body if body is None else body
        at = int(time.time())
        stamp = header(self.secrets, body, at)
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": stamp,
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
        }


class Webhooks:
    """What has happened, and who is told. Not safe by itself: the account's lock guards it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.mode, self.delay_s = "normal", 0.0
        self.payloads: dict[str, str] = {}  # event id -> its JSON as made
        self.types: dict[str, str] = {}
        self.deliveries: dict[str, list[Delivery]] = {}
        self.outbox: list[Delivery] = []
        self.held: list[Delivery] = []
        self.listeners: list[Callable[[Object, str], None]] = []
        self.wake: Callable[[], None] = lambda: None

    def emit(
        self,
        kind: str,
        about: Object,
        request: dict[str, str | None],
        previous: Object | None = None,
    ) -> None:
        """Make the event of a change and start its deliveries."""
        data: Object = {"object": {name: value for name, value in about.items() if not name.startswith("_")}}
        if previous is not None:
            data["previous_attributes"] = previous
        prefix = "evt_1" if about["object"] not in {"payment_intent", "charge", "refund"} else "evt_3"
        endpoints = self._endpoints(kind)
        event: Object = {
            "id": f"{prefix}{self.store.token(23)}",
            "object": "event",
            "api_version": API_VERSION,
            "created": self.clock.unix(),
            "data": data,
            "livemode": False,
            "pending_webhooks": len(endpoints),
            "request": request,
            "type": kind,
        }
        payload = json.dumps(event)
        self.payloads[event["id"]] = payload
        self.types[event["id"]] = kind
        for endpoint in endpoints:
            self._deliver(event["id"], payload, endpoint)
        for listener in self.listeners:
            listener(json.loads(payload), payload)

    def _endpoints(self, kind: str) -> list[Object]:
        return [
            endpoint
            for endpoint in self.store.objects.get("webhook_endpoint", {}).values()
            if endpoint["status"] == "enabled"
            and ("*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"])
        ]

    def _deliver(self, event_id: str, payload: str, endpoint: Object) -> None:
        delivery = Delivery(event_id, payload, endpoint["id"], endpoint["url"], endpoint["_secrets"])
        self.deliveries.setdefault(event_id, []).append(delivery)
        if self.mode == "drop":
            delivery.outcome = "dropped"
        elif self.mode == "hold":
            delivery.outcome = "held"
            self.held.append(delivery)
        else:
            self._send(delivery)
            if self.mode == "duplicate":
                self._send(self._again(delivery))

    def _again(self, delivery: Delivery) -> Delivery:
        twin = Delivery(delivery.event_id, delivery.payload, delivery.endpoint_id, delivery.url, delivery.secrets)
        self.deliveries.setdefault(delivery.event_id, []).append(twin)
        return twin

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
        """Send what is held, each so many times; how many deliveries that is."""
        held, self.held = self.held, []
        sending = [one for one in held for _ in range(times)]
        if order == "reversed":
            sending.reverse()
        elif order == "shuffled":
            random.Random(seed).shuffle(sending)
        begun: set[int] = set()
        last: Delivery | None = None
        for one in sending:
            delivery = self._again(one) if id(one) in begun else one
            begun.add(id(one))
            delivery.outcome, delivery.due = "waiting", self.clock.now() + self.delay_s
            delivery.behind, last = last, delivery
            self.outbox.append(delivery)
        self.wake()
        return len(sending)

    def resend(self, event_id: str, endpoint_id: str | None = None) -> int:
        """Deliver an event once more; how many deliveries that is."""
        payload = self.payloads[event_id]
        kind = self.types[event_id]
        chosen = [
            endpoint for endpoint in self._endpoints(kind) if endpoint_id is None or endpoint["id"] == endpoint_id
        ]
        for endpoint in chosen:
            delivery = Delivery(event_id, payload, endpoint["id"], endpoint["url"], endpoint["_secrets"])
            self.deliveries.setdefault(event_id, []).append(delivery)
            delivery.due = self.clock.now()
            self.outbox.append(delivery)
        if endpoint_id is None:
            for listener in self.listeners:
                listener(json.loads(payload), payload)
        self.wake()
        return len(chosen)

    def take(self) -> Delivery | None:
        """The next delivery that is due, taken out of the outbox."""
        now = self.clock.now()
        for index, delivery in enumerate(self.outbox):
            if delivery.due <= now and delivery.may_go:
                delivery.behind = None
                return self.outbox.pop(index)
        return None

    def next_at(self) -> float | None:
        """When the next delivery is due."""
        return min((delivery.due for delivery in self.outbox if delivery.may_go), default=None)

    def done(self, delivery: Delivery, status: int | None, problem: str | None) -> None:
        """Note a try; when it failed, the next comes after 1, 2, 4 … seconds."""
        delivery.tries += 1
        entry = {"at": self.clock.unix(), "status": status, "problem": problem}
        delivery.log.append(entry)
        if status is not None and 200 <= status < 300:
            delivery.outcome = "delivered"
            return
        delivery.outcome = "failed"
        if delivery.tries < TRIES and self.store.find("webhook_endpoint", delivery.endpoint_id) is not None:
            wait = min(FIRST_RETRY_S * 2 ** (delivery.tries - 1), LONGEST_RETRY_S)
            delivery.due = self.clock.now() + wait
            self.outbox.append(delivery)

    def event(self, id: str) -> Object:
        """An event as the API answers it, with `pending_webhooks` of now."""
        event: Object = json.loads(self.payloads[id])
        tried = self.deliveries.get(id, [])
        delivered = {one.endpoint_id for one in tried if one.outcome == "delivered"}
        event["pending_webhooks"] = len({one.endpoint_id for one in tried} - delivered)
        return event


class Sender:
    """Threads that post what is due: one at a time sends, in order, while the others wait for answers."""

    def __init__(self, webhooks: Webhooks, lock: threading.RLock, threads: int = 4) -> None:
        self._webhooks = webhooks
        self._lock = lock
        self._ready = threading.Condition(lock)
        self._turn = threading.Lock()
        self._stopped = False
        webhooks.wake = self._notify
        self.recent: deque[Delivery] = deque(maxlen=200)
        self._threads = [threading.Thread(target=self._work, name=f"webhook-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _notify(self) -> None:
        with self._lock:
            self._ready.notify()

    def stop(self) -> None:
        """End the threads; what is on its way ends by itself."""
        with self._lock:
            self._stopped = True
            self._ready.notify_all()

    def _work(self) -> None:
        while (delivery := self._next()) is not None:
            status, problem = post(delivery, self._turn.release)
            with self._lock:
                self._webhooks.done(delivery, status, problem)
                self._ready.notify()

    def _next(self) -> Delivery | None:
        """Waits for what is due, and keeps the turn for it; None at the end."""
        self._turn.acquire()
        with self._lock:
            while not self._stopped:
                delivery = self._webhooks.take()
                if delivery is not None:
                    self.recent.append(delivery)
                    return delivery
                at = self._webhooks.next_at()
                wait = 5.0 if at is None else max(0.01, at - self._webhooks.clock.now())
                self._ready.wait(min(wait, 5.0))
        self._turn.release()
        return None


def post(delivery: Delivery, sent: Callable[[], None]) -> tuple[int | None, str | None]:
    """One try: the status answered, or what went wrong. `sent` is called once, before the answer is waited for."""
    try:
        try:
            connection = _asked(delivery)
        finally:
            sent()
        with contextlib.closing(connection):
            response = connection.getresponse()
            response.read(10_000)
            return response.status, None
    except (OSError, ValueError, http.client.HTTPException) as error:
        return None, str(error) or type(error).__name__


def _asked(delivery: Delivery) -> http.client.HTTPConnection:
    """A connection on which the delivery has been sent."""
    address = urlsplit(delivery.url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=CONNECT_S)
    try:
        connection.connect()
        connection.sock.settimeout(TIMEOUT_S)
        body = delivery.body
        path = (address.path or "/") + (f"?{address.query}" if address.query else "")
        connection.request("POST", path, body, delivery.headers(body))
    except Exception:
        connection.close()
        raise
    return connection
