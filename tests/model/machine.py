"""One Tuition whose every I/O is a place to stop: greenlets, a virtual clock, Stripe's simulator and tables in memory.

An actor runs until its next I/O and waits there. Whoever drives (a seeded scheduler, or a test that names the
interleaving) says which actor goes on and with what fate: it may die before the call or after its effect, or the
answer may be lost.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any, Literal

import botocore.exceptions
import greenlet
import pytest
import stripe

import tests.world  # noqa: F401  (the environment of the settings, before tuition is imported)
from stripe_simulator.server import Stripe
from tests.model import items, wire
from tests.model.dynamodb import Item, Tables
from tuition import checkout, clock, history, ledger, metrics, settings, stripe_client, tables
from tuition.checkout import Buyer, Offer
from tuition.core import catalog
from tuition.core.errors import TuitionError

START = 1_790_000_000.0
KEY = "sk_test_model"
SESSIONS = "POST /v1/checkout/sessions" in __import__("stripe_simulator.resources", fromlist=["ROUTES"]).ROUTES
DISPUTES = any("dispute" in route for route in __import__("stripe_simulator.resources", fromlist=["ROUTES"]).ROUTES)

Fate = Literal["go", "kill", "kill after", "lose", "lose after", "error", "limit", "conflict"]


class Killed(BaseException):
    """The invocation dies here: a crash, a time-out, a machine gone. No handler may catch it."""


class Actor:
    """Somebody who does things, one I/O at a time. `waiting`: the I/O that it is about to do."""

    def __init__(self, machine: "Machine", name: str, act: Callable[[], Any]) -> None:
        self.name = name
        self.waiting: str | None = "start"
        self.answer: Any = None
        self.error: BaseException | None = None
        self.over = False
        self.invoking = False
        self._machine = machine

        def run(_: Fate) -> None:
            try:
                self.answer = act()
            except BaseException as error:  # noqa: BLE001  (kept: the driver decides what it means)
                self.error = error
            self.over = True

        self.glet = greenlet.greenlet(run)

    def step(self, fate: Fate = "go") -> None:
        """Do the I/O that it waits at, with this fate, and go on to the next."""
        machine = self._machine
        machine.trace.append(f"{self.name}: {self.waiting}" + (f" [{fate}]" if fate != "go" else ""))
        before, machine.current = machine.current, self
        self.glet.parent = greenlet.getcurrent()
        self.glet.switch(fate)
        machine.current = before

    def until(self, io: str) -> "Actor":
        """Go on until the next I/O begins with that. Fails where the actor ends before."""
        while not self.over and not (self.waiting or "").startswith(io):
            self.step()
        assert not self.over, f"{self.name} ended ({self.answer!r}, {self.error!r}) before {io}"
        return self

    def past(self, io: str) -> "Actor":
        """Go on until just after that I/O."""
        self.until(io).step()
        return self

    def finish(self) -> Any:
        """Go on to the end; what it raised is raised."""
        while not self.over:
            self.step()
        if self.error is not None:
            raise self.error
        return self.answer

    def die(self, fate: Fate = "kill") -> None:
        """Die at the I/O that it waits at."""
        self.step(fate)
        assert self.over and isinstance(self.error, Killed)


class Machine:
    """The tables, Stripe, the clock, the actors, and all that has been done (`trace`)."""

    def __init__(self, seed: int = 1) -> None:
        self.now = START
        self.tables = Tables()
        self.stripe = Stripe(seed=seed, clock=lambda: self.now, secret_key=KEY)
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.trace: list[str] = []
        self.answered: list[Offer] = []
        self.problems: list[str] = []
        self.faults = 0
        self.closed_by_us: set[str] = set()
        self.track = catalog.find("DP")
        self._seen = 0
        self._events: list[dict[str, Any]] = []

    # --- I/O ---

    def io(self, name: str, act: Callable[[], Any], lost: Callable[[], None], *faults: Callable[[], None]) -> Any:
        """Wait for one's turn, then do it with the fate that one is given."""
        if self.current is None:
            return act()
        fate = self.pause(name)
        if fate == "lose":
            lost()
        if fate in ("error", "conflict"):
            faults[0]()
        if fate == "limit" and len(faults) > 1:
            faults[1]()
        try:
            return act()
        finally:
            if fate == "kill after":
                raise Killed
            if fate == "lose after":
                lost()

    def pause(self, name: str) -> Fate:
        """Give the turn back; the fate with which it comes again. Raises `Killed`."""
        actor = self.current
        if actor is None:
            return "go"
        actor.waiting = name
        fate: Fate = actor.glet.parent.switch()
        actor.waiting = None
        if fate == "kill":
            raise Killed
        return fate

    def spawn(self, name: str, act: Callable[[], Any]) -> Actor:
        actor = Actor(self, name, act)
        self.actors.append(actor)
        return actor

    def invoke(self, act: Callable[[], Any]) -> Any:
        """One invocation of a Lambda: what it answers, or `Killed`, or what it answers as a problem."""
        clock.start_deadline()
        actor = self.current
        if actor:
            actor.invoking = True
        try:
            return act()
        except (TuitionError, Killed, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as ended:
            return ended
        finally:
            if actor:
                actor.invoking = False

    def committed(self, writes: list[Item]) -> None:
        """A new payment must not be bound to what we have closed ourselves."""
        for write in writes:
            put = write.get("Put", {})
            if put.get("TableName") == "payments" and "not_exists" in put["ConditionExpression"]:
                bound_to = tables.payment_from_raw(put["Item"]).bound_to
                if bound_to in self.closed_by_us:
                    self.problems.append(f"{bound_to} was committed, and we had closed it")

    # --- what people and Stripe do ---

    def create(self, user: str = "ada", kind: str = "intent", *, save: bool = False) -> Offer:
        """A create, as its handler makes it; what it answers is kept."""
        buyer = Buyer(user, f"{user}@example.org")
        if kind == "checkout":
            urls = {"success_url": "https://example.org/ok", "cancel_url": "https://example.org/no"}
            offer = checkout.create_checkout_session(buyer, self.track, save=save, **urls)
        else:
            offer = checkout.create_payment(buyer, self.track, save=save)
        stored = self.payment(offer.payment.payment_id)
        if stored is None or stored.bound_to != offer.payment.bound_to:
            self.problems.append(f"{offer.payment.bound_to} was answered and is bound to nothing")
        self.answered.append(offer)
        return offer

    def at_stripe(self, method: str, path: str, **params: Any) -> Any:
        """A call to Stripe that is not Tuition's."""
        sim = path.startswith("/_sim")
        body = json.dumps(params) if sim else "&".join(f"{k}={v}" for k, v in params.items())
        headers = {"Authorization": f"Bearer {KEY}", "Stripe-Version": stripe.api_version or ""}
        return self.stripe.handle(method, path, headers, body.encode()).json()

    def pay(self, intent: str, method: str = "pm_card_visa") -> Any:
        return self.at_stripe("POST", f"/v1/payment_intents/{intent}/confirm", payment_method=method)

    def pass_time(self, seconds: float) -> None:
        """Later: what Stripe does later happens."""
        self.now += seconds
        self.at_stripe("GET", "/_sim/health")

    def due_within(self, seconds: float) -> bool:
        """Whether Stripe has something to do so soon."""
        later = self.stripe.account.clock.later
        return bool(later) and later[0].at <= self.stripe.account.clock.now() + seconds

    def all_events(self) -> list[dict[str, Any]]:
        """Every event that Stripe has made, oldest first: not to be changed."""
        made = self.stripe.webhooks.payloads
        if len(made) > len(self._events):
            self._events += [json.loads(payload) for payload in islice(made.values(), len(self._events), None)]
        return self._events

    def new_events(self) -> list[dict[str, Any]]:
        """Those that were made since this was last asked."""
        if len(self.stripe.webhooks.payloads) == self._seen:
            return []
        new = self.all_events()[self._seen :]
        self._seen += len(new)
        return new

    # --- what can be looked at, without I/O ---

    def payment(self, payment_id: str) -> Any:
        found = self.tables.stored["payments"].get((payment_id,))
        return tables.payment_from_raw(found) if found else None

    def payments(self) -> list[Any]:
        return [tables.payment_from_raw(item) for item in self.tables.stored["payments"].values()]

    def enrollment(self, user: str = "ada", track: str = "DP") -> Any:
        found = self.tables.stored["enrollments"].get((user, track))
        return tables.enrollment_from_raw(found) if found else None

    def payment_keys(self) -> list[ledger.Key]:
        return [ledger.Key(p.payment_id, p.user_id, p.track) for p in self.payments()]

    def objects(self, kind: str) -> list[dict[str, Any]]:
        return list(self.stripe.account.store.objects.get(kind, {}).values())


@contextlib.contextmanager
def running(seed: int, patch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine whose tables, Stripe and clock are the code's for the while."""
    machine = Machine(seed)
    settings.settings.cache_clear()
    settings._kept.clear()
    history._pulled.clear()  # what a warm container remembers
    clock._ends.set(None)  # nor has an invocation begun

    def sleep(_: float) -> None:
        machine.pause("sleep")

    fake = SimpleNamespace(time=lambda: machine.now, monotonic=lambda: machine.now, sleep=sleep)
    dynamodb = wire.Wire(machine)
    stripe_ = wire.client(machine, KEY)
    patch.setattr(clock, "time", fake)
    items.install(patch)
    patch.setattr(metrics, "count", lambda name: None)
    patch.setattr(tables, "client", lambda: dynamodb)
    patch.setattr(settings, "_read_secret", lambda arn: {"secret_key": KEY})
    patch.setattr(stripe_client, "_client_for", lambda key: stripe_)
    yield machine
    for actor in machine.actors:
        while not actor.over and actor.glet:
            actor.step("kill")
