"""The simulated account: everything there is, behind one lock."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stripe_simulator.clock import Clock
from stripe_simulator.idempotency import Keys
from stripe_simulator.store import Object, Store
from stripe_simulator.webhooks import Webhooks

LATER_S = 2.0  # what Stripe does later comes after so many seconds
NOBODY: dict[str, str | None] = {"id": None, "idempotency_key": None}

Work = Callable[..., None]
LATER: dict[str, Work] = {}


def later(name: str) -> Callable[[Work], Work]:
    """Registers work that `clock.after` can name: `work(account, *arguments)`."""

    def register(work: Work) -> Work:
        LATER[name] = work
        return work

    return register


@dataclass
class Fault:
    """Trouble for the next matching calls."""

    match: list[str]
    times: int
    fail: str
    seconds: float


class Account:
    """The state of one account, its clock, its webhooks and its faults."""

    def __init__(
        self,
        seed: int | None = None,
        source: Callable[[], float] = time.time,
        secret_key: str | None = None,
        publishable_key: str | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.clock = Clock(source)
        self.store = Store(seed)
        with self.store.apart("account"):
            made = f"sk_test_{self.store.token(24)}", f"pk_test_{self.store.token(24)}"
            self.id = f"acct_1{self.store.token(15)}"
        self.secret_key, self.publishable_key = secret_key or made[0], publishable_key or made[1]
        self.url = "http://127.0.0.1:12111"  # the server says where it really is
        self.request: dict[str, str | None] = NOBODY
        self.log: deque[Object] = deque(maxlen=10_000)
        self.generation = 0
        self.run = 1  # of those that have kept their state in one file
        self.unsaved = False
        self._fill()

    def _fill(self) -> None:
        self.webhooks = Webhooks(self.store, self.clock)
        self.keys = Keys(self.clock)
        self.faults: list[Fault] = []
        self.per_second = 0  # more requests than so many in one second are refused; 0: no limit
        self._second, self._asked = 0, 0

    def is_over_limit(self) -> bool:
        """Counts a request, and whether it is one too many in this second."""
        second = self.clock.unix()
        if second != self._second:
            self._second, self._asked = second, 0
        self._asked += 1
        return self._asked > self.per_second

    def reset(self) -> None:
        """Forget everything but the keys, the account's webhook endpoints and the sender."""
        endpoints = self.store.objects.get("webhook_endpoint", {})
        wake, listeners = self.webhooks.wake, self.webhooks.listeners
        self.generation += 1
        self.log.clear()
        self.clock.later.clear()
        self.clock.offset = 0.0
        self.store.objects.clear()
        self.store.rewind()
        self.store.objects["webhook_endpoint"] = {id: one for id, one in endpoints.items() if one.get("_configured")}
        webhooks = self.webhooks
        webhooks.mode, webhooks.delay_s = "normal", 0.0
        for kept in (webhooks.payloads, webhooks.types, webhooks.deliveries, webhooks.outbox, webhooks.held):
            kept.clear()
        webhooks.wake, webhooks.listeners = wake, listeners
        self.keys.kept.clear()
        self.faults.clear()
        self.per_second = 0

    def emit(self, kind: str, about: Object, previous: Object | None = None) -> None:
        """Make an event of what has just happened to an object."""
        self.webhooks.emit(kind, about, self.request, previous)

    def after(self, name: str, *arguments: Any, seconds: float = LATER_S) -> None:
        """Have registered work done later."""
        self.clock.after(seconds, name, *arguments)
        self.webhooks.wake()

    def run_due(self) -> None:
        """Do what is due by the clock."""
        if not self.clock.later:
            return
        before, self.request = self.request, NOBODY
        with self.store.apart("later"):
            while (due := self.clock.due()) is not None:
                LATER[due.name](self, *due.arguments)
                self.unsaved = True
        self.request = before

    def lookup(self, id: str) -> Object | None:
        """The object of an id, of whatever kind."""
        for kind in KINDS.get(id.split("_", 1)[0], ()):
            found = self.store.find(kind, id)
            if found is not None:
                return found
        for objects in self.store.objects.values():
            if id in objects:
                return objects[id]
        return None


KINDS: dict[str, tuple[str, ...]] = {
    "pi": ("payment_intent",),
    "pm": ("payment_method",),
    "ch": ("charge",),
    "py": ("charge",),
    "re": ("refund",),
    "pyr": ("refund",),
    "cus": ("customer",),
    "cs": ("checkout.session",),
    "txn": ("balance_transaction",),
    "du": ("dispute",),
    "dp": ("dispute",),
    "prod": ("product",),
    "price": ("price",),
    "promo": ("promotion_code",),
    "seti": ("setup_intent",),
    "we": ("webhook_endpoint",),
}


@dataclass
class Call:
    """One request, on its way through a handler."""

    account: Account
    method: str
    path: str
    params: dict[str, Any]
    ids: list[str]
    versioned: bool = True
    browser: bool = False
    form: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The account's objects."""
        return self.account.store


Handler = Callable[[Call], Object]
Routes = dict[str, Handler]
