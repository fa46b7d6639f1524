"""One Tuition whose every I/O is a place to stop: greenlets, a virtual clock, Stripe's simulator and tables in memory.

An actor runs until its next I/O and waits there. Whoever drives (a seeded scheduler, or a test that names the
interleaving) says which actor goes on and with what fate: it may die before the call or after its effect, or the
answer may be lost.
"""

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from types import SimpleNamespace
from typing import Any, Literal

import botocore.exceptions
import greenlet
import pytest
import stripe

import tests.harness  # noqa: F401  (the environment of the settings, before tuition is imported)
from stripe_simulator.resources import events
from stripe_simulator.server import Stripe
from tests.model import items, wire
from tests.model.dynamodb import Item, Tables
from tuition import clock, metrics, settings
from tuition.core import catalog, refs
from tuition.core.catalog import Track
from tuition.core.enrollment import standing_of
from tuition.core.errors import EventUnusable, TuitionError
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.intake import stripe_events, walk
from tuition.payments import checkout, status
from tuition.payments.checkout import Buyer, OpenedPayment
from tuition.storage import dynamodb, keys, mapping
from tuition.stripe_gateway import client as stripe_client

INVOCATION_S = 30.0
START = 1_790_000_000.0
KEY = "sk_test_model"
RESTORED = ("payments", "enrollments", "stripe_objects", "audit", "customers")
"""What a restore brings back to one moment."""

Fate = Literal["go", "kill", "kill after", "lose", "lose after", "error", "limit", "conflict", "unknown"]


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
        self.looked: int | None = None
        """The step of the first I/O of what it is doing now: what it saw first is not older."""
        self.asked: int | None = None
        """How many events Stripe had made when this one last asked for an intent or a session: a pull begins so."""
        self.acknowledges: tuple[str, str] = ("", "")
        """The cause and mark that this member of staff is about to acknowledge."""
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
        machine.steps += 1
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


@dataclass(frozen=True)
class Logged:
    """A record as it was committed, and when (`step`)."""

    step: int
    subject: str
    user_id: str
    track: str | None
    type: str
    transition: dict[str, Any]
    acknowledges: tuple[str, str]


class Machine:
    """The tables, Stripe, the clock, the actors, and all that has been done (`trace`)."""

    def __init__(self, seed: int = 1) -> None:
        self.now = START
        self.tables = Tables()
        self.stripe = Stripe(seed=seed, clock=lambda: self.now, secret_key=KEY)
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.trace: list[str] = []
        self.answered: list[OpenedPayment] = []
        self.problems: list[str] = []
        self.faults = 0
        self.steps = 0
        self.catalog = dict(catalog.tracks())
        self.closed_by_us: dict[str, str] = {}
        """Which of ours closed an object."""
        self.parted = False
        """Enrollments were restored to an earlier moment than the rest."""
        self.unknown: set[str] = set()
        """What Stripe said, once at least, that it does not know."""
        self.dead: dict[str, int] = {}
        """The step at which Stripe told that an object is closed."""
        self.log: list[Logged] = []
        self.bound: dict[str, int] = {}
        """The step at which each object was bound to its payment."""
        self.taken: dict[tuple[str, str], int] = {}
        """The last step at which a user was known to have an open payment for a track, or to be enrolled."""
        self._status: dict[tuple[str, str], str | None] = {}
        self.unreadable: set[str] = set()
        """Events that the code of today cannot read; a later version can (`mended`)."""
        self.mended = False
        place = {"name": {"S": "reconcile"}, "place": {"N": str(int(START))}}
        self.tables.stored["cursors"]["reconcile",] = place
        self._seen = 0
        self._events: list[dict[str, Any]] = []

    @property
    def track(self) -> Track:
        return self.catalog["DP"]

    @track.setter
    def track(self, track: Track) -> None:
        self.catalog[track.track] = track

    def raise_price(self, track: str, amount: int = 10_000) -> None:
        known = self.catalog[track]
        self.catalog[track] = replace(known, price=Money(known.price.amount + amount, known.price.currency))

    # --- I/O ---

    def io(self, name: str, act: Callable[[], Any], lost: Callable[[], None], *faults: Callable[[], None]) -> Any:
        """Wait for one's turn, then do it with the fate that one is given."""
        if self.current is None:
            return act()
        fate = self.pause(name)
        if self.current.looked is None:
            self.current.looked = self.steps
        if fate == "lose":
            lost()
        if fate in ("error", "conflict"):
            faults[0]()
        if fate == "limit" and len(faults) > 1:
            faults[1]()
        if fate == "unknown" and len(faults) > 2:
            faults[2]()
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
            actor.invoking, actor.looked = True, None
        try:
            return act()
        except (TuitionError, Killed, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as ended:
            return ended
        finally:
            if actor:
                actor.invoking = False

    # --- what must be true at the moment ---

    def committed(self, writes: Sequence[Item]) -> None:
        """A transaction: its record is logged; a new payment must not be bound to what we have closed ourselves."""
        acknowledges = self.current.acknowledges if self.current else ("", "")
        for write in writes:
            put = write.get("Put")
            if put is None:
                continue
            item, table = put["Item"], put["TableName"]
            if table == "audit":
                text = {name: item[name]["S"] for name in ("subject", "user_id", "type")}
                track = item["track"]["S"] if "track" in item else None
                made = json.loads(item["transition"]["S"])
                self.log.append(Logged(self.steps, **text, track=track, transition=made, acknowledges=acknowledges))
                if text["type"] == "refund.refused":
                    self._refusal_is_shown(text["subject"])
            elif table == "payments":
                self._committed(mapping.payment_from_raw(item), new="not_exists" in put["ConditionExpression"])
            elif table == "enrollments":
                owner = item["user_id"]["S"], item["sort_key"]["S"]
                before, self._status[owner] = self._status.get(owner), item.get("status", {"S": None})["S"]
                if {before, self._status[owner]} & {"PENDING", "ENROLLED"}:
                    self.taken[owner] = self.steps

    def _committed(self, payment: Payment, *, new: bool) -> None:
        """Its enrollment holds its standing; and what we have closed ourselves is not begun with."""
        enrollment = self.enrollment(payment.user_id, payment.track)
        standing = standing_of(payment)
        if enrollment.standings.get(payment.payment_id) != (standing if standing.counts else None):
            self.problems.append(f"{payment.payment_id} was committed, and its enrollment has another standing of it")
        if new:
            self.bound[payment.stripe_object_id] = self.steps
            if payment.stripe_object_id in self.closed_by_us:
                self.problems.append(f"{payment.stripe_object_id} was committed, and we had closed it")

    def _refusal_is_shown(self, payment_id: str) -> None:
        """A refund is committed as refused only with what makes it impossible: or who reads it cannot know why."""
        payment = self.payment(payment_id)
        refused = [request for request in payment.requests if request.state == "refused"]
        at_stripe = [r for r in self.objects("refund") if r["payment_intent"] == payment.intent]
        came_back = any(r["status"] in ("failed", "canceled") for r in at_stripe)
        if refused and refused[-1].amount <= payment.refundable_amount and not payment.facts.disputes and not came_back:
            self.problems.append(
                f"{refused[-1].id} was refused, and {payment.refundable_amount} seem to be left of its payment"
            )

    def closing(self, object_id: str) -> None:
        """We have closed an object: whoever buys closes what was open when it came, and what it made and lost with."""
        actor = self.current
        self.closed_by_us[object_id] = actor.name if actor else ""
        if actor is None or actor.looked is None or not actor.name.startswith("student"):
            return
        if object_id in self.unknown:
            return
        if object_id in self.bound:
            if self.bound[object_id] > actor.looked:
                self.problems.append(f"{object_id} was closed by a create that came before it was committed")
            return
        metadata = self.object(object_id)["metadata"]
        owner = metadata["user_id"], metadata["track"]
        now = self._status.get(owner) in ("PENDING", "ENROLLED")
        if not now and self.taken.get(owner, -1) < actor.looked:
            self.problems.append(f"{object_id} was closed by its maker, and nobody else's was open")

    # --- what people and Stripe do ---

    def create(
        self,
        user: str = "ada",
        kind: str = "intent",
        *,
        save: bool = False,
        track: str = "DP",
        email: str = "",
        code: str | None = None,
    ) -> OpenedPayment:
        """A create, as its handler makes it; what it answers is kept."""
        buyer = Buyer(user, email or f"{user}@example.org")
        wanted, terms = self.catalog[track], (self.catalog[track].price.amount, code, save)
        if kind == "checkout":
            urls = {"success_url": "https://example.org/ok", "cancel_url": "https://example.org/no"}
            offer = checkout.create_checkout_session(buyer, wanted, save=save, code=code, **urls)
        else:
            offer = checkout.create_payment(buyer, wanted, save=save)
        stored = self.payment(offer.payment.payment_id)
        if stored is None or stored.stripe_object_id != offer.payment.stripe_object_id:
            self.problems.append(f"{offer.payment.stripe_object_id} was answered and is bound to nothing")
        known = offer.payment.terms
        if (known.list_amount, known.promotion_code, known.save_payment_method) != terms or offer.payment.kind != kind:
            self.problems.append(f"{offer.payment.stripe_object_id} was answered, of other terms than were asked for")
        looked = self.current.looked if self.current else None
        if looked is not None and self.dead.get(offer.payment.stripe_object_id, looked) < looked:
            self.problems.append(f"{offer.payment.stripe_object_id} was answered, and was closed before anybody asked")
        self.answered.append(offer)
        return offer

    def at_stripe(self, method: str, path: str, **params: Any) -> Any:
        """A call to Stripe that is not Tuition's."""
        sim = path.startswith("/_sim")
        body = json.dumps(params) if sim else "&".join(f"{k}={v}" for k, v in params.items())
        headers = {"Authorization": f"Bearer {KEY}", "Stripe-Version": stripe.api_version or ""}
        return self.stripe.handle(method, path, headers, body.encode()).json()

    def codes(self) -> None:
        """The promotion codes that there are: all of the price off, a fifth, half but once, and one that is over."""
        for name, coupon, more in (
            ("FREE", {"percent_off": 100}, {}),
            ("FIFTH", {"percent_off": 20}, {}),
            ("ONCE", {"percent_off": 50}, {"max_redemptions": 1}),
            ("OVER", {"percent_off": 50}, {"active": "false"}),
        ):
            made = self.at_stripe("POST", "/v1/coupons", **coupon)
            promotion = {"promotion[type]": "coupon", "promotion[coupon]": made["id"]}
            self.at_stripe("POST", "/v1/promotion_codes", code=name, **promotion, **more)

    def pay(self, intent: str, method: str = "pm_card_visa") -> Any:
        """In the browser, or on Stripe's page."""
        if intent.startswith("cs_"):
            return self.at_stripe("POST", f"/v1/payment_pages/{intent}/confirm", payment_method=method)
        return self.at_stripe("POST", f"/v1/payment_intents/{intent}/confirm", payment_method=method)

    def pass_time(self, seconds: float) -> None:
        """Later: what Stripe does later happens. What is being invoked does not live so long: a Lambda times out."""
        for actor in self.actors if seconds > INVOCATION_S else ():
            while actor is not self.current and actor.invoking and not actor.over:
                self.faults += 1
                actor.step("kill")
        self.now += seconds
        self.at_stripe("GET", "/_sim/health")

    def due_within(self, seconds: float) -> bool:
        """Whether Stripe has something to do so soon."""
        tasks = self.stripe.account.clock.tasks
        return bool(tasks) and tasks[0].at <= self.stripe.account.clock.now() + seconds

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
        closed = [event["data"]["object"]["id"] for event in new if event["type"].endswith((".canceled", ".expired"))]
        self.dead |= dict.fromkeys(closed, self.steps)
        return new

    # --- going back ---

    def keep(self) -> tuple[Any, ...]:
        """The four tables at this moment, and what was recorded until then."""
        stored = {name: dict(self.tables.stored[name]) for name in RESTORED}
        return stored, len(self.log), dict(self.bound)

    def go_back(self, kept: tuple[Any, ...], *, parted: bool = False) -> None:
        """All four tables as they were then; `parted`: only what enrollments say, which the others have left behind."""
        stored, logged, bound = kept
        if parted:
            now = self.tables.stored["enrollments"]
            heads = {key: item for key, item in now.items() if key[1] == keys.USER_SORT_KEY}
            self.tables.stored["enrollments"] = {**stored["enrollments"], **heads}
            self.parted = True
            return
        for name in RESTORED:
            self.tables.stored[name] = dict(stored[name])
        del self.log[logged:]
        self.bound = dict(bound)

    # --- what can be looked at, without I/O ---

    def payment(self, payment_id: str) -> Any:
        found = self.tables.stored["payments"].get((payment_id,))
        return mapping.payment_from_raw(found) if found else None

    def payments(self) -> list[Any]:
        return [mapping.payment_from_raw(item) for item in self.tables.stored["payments"].values()]

    def enrollment(self, user: str = "ada", track: str = "DP") -> Any:
        found = self.tables.stored["enrollments"].get((user, track))
        return mapping.enrollment_from_raw(found) if found else None

    def payment_keys(self) -> list[refs.PaymentRef]:
        return [refs.PaymentRef(p.payment_id, p.user_id, p.track) for p in self.payments()]

    def objects(self, kind: str) -> list[dict[str, Any]]:
        return list(self.stripe.account.store.objects.get(kind, {}).values())

    def object(self, object_id: str) -> dict[str, Any]:
        found = self.stripe.account.lookup(object_id)
        assert found is not None, object_id
        return found

    def staff_log(self) -> dict[str, list[Logged]]:
        """What staff have decided, by payment."""
        found: dict[str, list[Logged]] = defaultdict(list)
        for logged in self.log:
            if logged.type.startswith(("decision.", "attention.")):
                found[logged.subject].append(logged)
        return found


_date = lru_cache(maxsize=1000)(parsedate_to_datetime)


@contextlib.contextmanager
def running(seed: int, patch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine whose tables, Stripe and clock are the code's for the while."""
    machine = Machine(seed)
    settings.settings.cache_clear()
    settings._kept.clear()
    status._synced.clear()  # what a warm container remembers
    clock._ends.set(None)  # nor has an invocation begun

    def sleep(_: float) -> None:
        machine.pause("sleep")

    def find(code: object) -> Track:
        return machine.catalog[code] if isinstance(code, str) and code in machine.catalog else known(code)

    read, known = stripe_events.parse, catalog.find

    def reading(event: Any) -> Any:
        if event.get("id") in machine.unreadable and not machine.mended:
            raise EventUnusable("a shape that this version does not know")
        return read(event)

    def listed(_: Any, types: list[str], __: bool | None) -> Iterator[dict[str, Any]]:
        """Stripe's events by type, newest first, each parsed once."""
        return (event for event in reversed(machine.all_events()) if not types or event["type"] in types)

    fake = SimpleNamespace(time=lambda: machine.now, monotonic=lambda: machine.now, sleep=sleep)
    database = wire.Wire(machine)
    stripe_ = wire.client(machine, KEY)
    patch.setattr(clock, "time", fake)
    items.install(patch)
    patch.setattr(catalog, "find", find)
    patch.setattr(stripe_events, "parse", reading)
    for name in ("count", "age"):
        patch.setattr(metrics, name, lambda *_: None)
    patch.setattr(events, "_select", listed)
    patch.setattr(stripe_client, "parsedate_to_datetime", _date)
    patch.setattr(walk, "WINDOW_S", 5 * 86_400)  # every window costs the same calls
    patch.setattr(dynamodb, "client", lambda: database)
    patch.setattr(settings, "_read_secret", lambda arn: {"secret_key": KEY})
    patch.setattr(stripe_client, "_client_for", lambda key: stripe_)
    yield machine
    for actor in machine.actors:
        while not actor.over and actor.glet:
            actor.step("kill")
