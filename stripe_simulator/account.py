"""A simulated account: all of its state, behind one lock. `accounts.py` has the accounts side by side."""

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stripe_simulator.clock import Clock
from stripe_simulator.errors import StripeError
from stripe_simulator.history import History
from stripe_simulator.idempotency import IdempotencyKeys
from stripe_simulator.store import Object, Store, previous_values, public_fields
from stripe_simulator.webhooks import Webhooks

MAX_REQUESTS = 10_000
"""The requests that the log keeps."""
MAX_RESPONSES, MAX_RESPONSE_BYTES = 100, 32 * 1024
"""The responses that are kept for the inspector, and the size of the largest."""
TASK_DELAY_S = 2.0  # the default delay of Stripe's asynchronous work
INTENTS = {"payment_intent", "setup_intent"}
"""The fields of an error that show an intent."""
NO_REQUEST: dict[str, str | None] = {"id": None, "idempotency_key": None}

TaskFunction = Callable[..., None]
TASKS: dict[str, TaskFunction] = {}


def task(name: str) -> Callable[[TaskFunction], TaskFunction]:
    """Register a function that `Account.schedule` can name; it is called as `function(account, *arguments)`."""

    def register(function: TaskFunction) -> TaskFunction:
        TASKS[name] = function
        return function

    return register


@dataclass
class Fault:
    """A fault for the next matching calls. `match` is the method and the path segments, `*` for any.

    `["*"]` alone matches every call. The first `skip` matching calls have no fault.
    """

    match: list[str]
    times: int
    fail: str
    seconds: float
    skip: int = 0


class Account:
    """The state of one account: its objects, clock, webhooks and faults."""

    def __init__(
        self,
        seed: int | str | None = None,
        source: Callable[[], float] = time.time,
        secret_key: str | None = None,
        publishable_key: str | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.clock = Clock(source)
        self.store = Store(seed)
        with self.store.random_stream("account"):
            new_secret_key, new_publishable_key = f"sk_test_{self.store.token(24)}", f"pk_test_{self.store.token(24)}"
            self.id = f"acct_1{self.store.token(15)}"
        self.secret_key = secret_key or new_secret_key
        self.publishable_key = publishable_key or new_publishable_key
        self.more_secret_keys: list[str] = []
        self.expired_keys: list[str] = []
        self.url = "http://127.0.0.1:12111"  # the HTTP server sets its real address
        self.request: dict[str, str | None] = NO_REQUEST  # the `request` of new events
        self.log: deque[Object] = deque(maxlen=MAX_REQUESTS)
        self.responses: dict[str, bytes] = {}  # the newest responses, by the id of the request
        self.history = History()
        self.generation = 0  # the number of resets
        self.run = 1  # counts the runs that share one state file
        self.unsaved = False
        self.created = self.clock.unix()
        self.connections: set[socket.socket] = set()  # of `stripe listen`
        self.webhooks = Webhooks(self.store, self.clock)
        self.idempotency_keys = IdempotencyKeys(self.clock)
        self.faults: list[Fault] = []
        self.per_second = 0  # the rate limit; 0 means no limit
        self._second, self._requests_this_second = 0, 0

    def count_request(self) -> bool:
        """Count a request, and return whether it exceeds the rate limit."""
        second = self.clock.unix()
        if second != self._second:
            self._second, self._requests_this_second = second, 0
        self._requests_this_second += 1
        return self._requests_this_second > self.per_second

    def reset(self) -> None:
        """Delete all state but the API keys, the command line's webhook endpoint, and the sender."""
        endpoints = self.store.objects.get("webhook_endpoint", {})
        self.generation += 1
        self.log.clear()
        self.responses.clear()
        self.history.clear()
        self.clock.tasks.clear()
        self.clock.offset = 0.0
        self.store.objects.clear()
        self.store.reset_random()
        self.store.objects["webhook_endpoint"] = {id: one for id, one in endpoints.items() if one.get("_configured")}
        self.webhooks.reset()
        self.idempotency_keys.records.clear()
        self.faults.clear()
        self.per_second = 0

    def close(self) -> None:
        """Drop everything, and disconnect `stripe listen`: the account was deleted."""
        self.reset()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # already closed
                connection.shutdown(socket.SHUT_RDWR)

    def emit(self, event_type: str, stored: Object, previous: Object | None = None) -> None:
        """Create an event for a change of an object. `previous` has the old values of the changed fields."""
        self.webhooks.emit(event_type, stored, self.request, previous)

    def emit_update(self, stored: Object, before: Object, *event_types: str) -> Object:
        """Create the events of an update, if the object differs from `before`. Return it as responses show it."""
        after = public_fields(stored)
        previous = previous_values(before, after)
        for event_type in event_types if previous else ():
            self.emit(event_type, stored, previous)
        return after

    def schedule(self, name: str, *arguments: Any, seconds: float = TASK_DELAY_S) -> None:
        """Schedule a registered task."""
        self.clock.schedule(seconds, name, *arguments)
        self.webhooks.wake()

    def run_due(self) -> None:
        """Run the tasks whose time has come."""
        if not self.clock.tasks:
            return
        before, self.request = self.request, NO_REQUEST
        try:
            with self.store.random_stream("later"):
                while (due := self.clock.pop_due()) is not None:
                    with self.recording(f"later: {due.name}"):
                        TASKS[due.name](self, *due.arguments)
                    self.unsaved = True
        finally:
            self.request = before

    def keep_response(self, request_id: str, body: bytes) -> None:
        """Keep a response for the inspector, and drop the oldest one."""
        if len(body) <= MAX_RESPONSE_BYTES:
            self.responses[request_id] = body
            if len(self.responses) > MAX_RESPONSES:
                del self.responses[next(iter(self.responses))]

    @contextmanager
    def recording(self, source: str) -> Iterator[None]:
        """Record the changes of objects in the history. Within another recording, they belong to that one."""
        if self.store.is_watched:
            yield
            return
        self.webhooks.emitted.clear()
        with self.store.watch() as watch:
            try:
                yield
            finally:
                events = [event for event in self.webhooks.emitted if event[0] in self.webhooks.payloads]
                self.history.record(watch, self.store.objects, source, self.clock.unix(), events)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Undo all effects of a request that fails, events and scheduled tasks included.

        Two errors keep them, because the caller can see their effects: a decline (402) that shows an intent, and an
        error that shows an intent which the request has created. Any other error shows an intent as it was before.
        """
        last_task = self.clock.last_task()
        self.store.begin()
        self.webhooks.begin()
        try:
            yield
        except Exception as error:
            if isinstance(error, StripeError) and self._shows_effects(error):
                self._commit()
            else:
                self.store.roll_back()
                self.webhooks.roll_back()
                self.clock.forget_after(last_task)
                if isinstance(error, StripeError):
                    self._show_stored_intents(error)
            raise
        self._commit()

    def _shows_effects(self, error: StripeError) -> bool:
        """Return whether the error shows an intent that the failed request has changed for good or created."""
        intents = [error.fields[name] for name in INTENTS & error.fields.keys()]
        return any(error.status == 402 or self.store.has_created(intent["id"]) for intent in intents)

    def _show_stored_intents(self, error: StripeError) -> None:
        """Replace each intent of the error with its state after the effects of the request were undone."""
        for name in INTENTS & error.fields.keys():
            error.fields[name] = public_fields(self.store.get(name, error.fields[name]["id"]))

    def _commit(self) -> None:
        self.store.commit()
        self.webhooks.commit()

    def lookup(self, id: str) -> Object | None:
        """Return the object with an id, of any kind."""
        for kind in KINDS_BY_PREFIX.get(id.split("_", 1)[0], ()):
            stored = self.store.find(kind, id)
            if stored is not None:
                return stored
        for objects in self.store.objects.values():
            if id in objects:
                return objects[id]
        return None


KINDS_BY_PREFIX: dict[str, tuple[str, ...]] = {
    "pi": ("payment_intent",),
    "pm": ("payment_method",),
    "ch": ("charge",),
    "py": ("charge",),
    "re": ("refund",),
    "pyr": ("refund",),
    "cus": ("customer",),
    "cs": ("checkout.session",),
    "txn": ("balance_transaction",),
    "po": ("payout",),
    "du": ("dispute",),
    "dp": ("dispute",),
    "issfr": ("radar.early_fraud_warning",),
    "prod": ("product",),
    "price": ("price",),
    "promo": ("promotion_code",),
    "in": ("invoice",),
    "cn": ("credit_note",),
    "txi": ("tax_id",),
    "seti": ("setup_intent",),
    "mandate": ("mandate",),
    "we": ("webhook_endpoint",),
}


@dataclass
class Call:
    """One API request, as its handler receives it. `browser` is whether it uses the publishable key."""

    account: Account
    method: str
    path: str
    params: dict[str, Any]
    ids: list[str]
    browser: bool = False
    form: dict[str, Any] = field(default_factory=dict)
    user_agent: str | None = None

    @property
    def store(self) -> Store:
        """The account's objects."""
        return self.account.store


Handler = Callable[[Call], Object]
