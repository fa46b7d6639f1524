"""Tuition in one process, stopped at every I/O: greenlets, a virtual clock, Stripe's simulator, tables in memory.

An actor runs until its next I/O and waits there. The driver (a seeded scheduler, or a test that spells out an
interleaving) picks the next actor and its fate: the actor may die before the call or after the call's effect, or its
response may be lost.
"""

import contextlib
import gc
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

from tests.harness import create_tables  # isort: skip  (sets the settings' variables before tuition is imported)
from stripe_simulator import api
from stripe_simulator.account import Account
from stripe_simulator.api import Stripe
from stripe_simulator.resources import events
from tests.acceptance import ACCEPTANCE
from tests.in_memory_dynamodb.tables import InMemoryDynamoDB, Item
from tests.limits import raise_limits
from tests.model import fake_clients, fast_items
from tests.shards import set_shards_from_environment
from tuition import clock, log, metrics, retry, settings
from tuition.core import catalog, refs
from tuition.core.catalog import Track
from tuition.core.enrollment import standing_of
from tuition.core.errors import EventUnusable, TuitionError
from tuition.core.facts import Agreement
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.plan_parts import part_of
from tuition.intake import fan_out, stripe_events, task_queue, walk
from tuition.payments import checkout
from tuition.payments.checkout import Buyer
from tuition.payments.opening import OpenedPayment
from tuition.storage import dynamodb, keys, mapping
from tuition.stripe_gateway import client as stripe_client

INVOCATION_S = 30.0
START = 1_790_000_000.0
SECRET_KEY = "sk_test_model"
RESTORED_TABLES = ("payments", "plans", "enrollments", "stripe_objects", "audit", "customers")
"""The tables that a restore returns to one moment."""

Fate = Literal[
    "go", "kill before", "kill after", "drop before", "drop after", "error", "throttle", "conflict", "missing"
]


class Killed(BaseException):
    """The invocation dies here: a crash, a timeout, a lost machine. No handler may catch it."""


class Actor:
    """A participant that performs one I/O at a time. `waiting` names the I/O that comes next."""

    def __init__(self, sim: "Simulation", name: str, act: Callable[[], Any]) -> None:
        self.name = name
        self.waiting: str | None = "start"
        self.result: Any = None
        self.error: BaseException | None = None
        self.finished = False
        self.invoking = False
        self.first_io_step: int | None = None
        """The step of the first I/O of the current invocation: nothing that it reads is older."""
        self.events_at_read: int | None = None
        """How many events Stripe had created when this actor last retrieved an intent or a session, as a sync does."""
        self.acknowledging: tuple[str, str] = ("", "")
        """The name and fingerprint of the attention reason that this member of staff is about to acknowledge."""
        self._sim = sim

        def run(_: Fate) -> None:
            try:
                self.result = act()
            except BaseException as error:  # noqa: BLE001  (kept: the driver decides what it means)
                self.error = error
            self.finished = True

        self.greenlet = greenlet.greenlet(run)

    def step(self, fate: Fate = "go") -> None:
        """Perform the pending I/O with this fate, then run to the next I/O."""
        sim = self._sim
        sim.steps += 1
        sim.trace.append(f"{self.name}: {self.waiting}" + (f" [{fate}]" if fate != "go" else ""))
        previous, sim.current = sim.current, self
        self.greenlet.parent = greenlet.getcurrent()
        self.greenlet.switch(fate)
        sim.current = previous

    def run_until(self, io: str) -> "Actor":
        """Run until the name of the pending I/O starts with `io`. Fail if the actor finishes first."""
        while not self.finished and not (self.waiting or "").startswith(io):
            self.step()
        assert not self.finished, f"{self.name} finished ({self.result!r}, {self.error!r}) before {io}"
        return self

    def run_past(self, io: str) -> "Actor":
        """Run until just after that I/O."""
        self.run_until(io).step()
        return self

    def finish(self) -> Any:
        """Run to the end. Return the result, or raise the actor's error."""
        while not self.finished:
            self.step()
        if self.error is not None:
            raise self.error
        return self.result

    def die(self, fate: Fate = "kill before") -> None:
        """Die at the pending I/O."""
        self.step(fate)
        assert self.finished and isinstance(self.error, Killed)


@dataclass(frozen=True)
class LoggedRecord:
    """An audit record, and the step at which it was committed."""

    step: int
    subject: str
    user_id: str
    track: str | None
    type: str
    transition: dict[str, Any]
    acknowledged: tuple[str, str]


class Simulation:
    """The tables, Stripe, the clock, the actors, and every step so far (`trace`)."""

    def __init__(self, seed: int = 1) -> None:
        self.now = START
        self.tables = InMemoryDynamoDB(exact=False)
        create_tables(self.tables)
        self.stripe = Stripe(seed=seed, clock=lambda: self.now, secret_key=SECRET_KEY)
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.trace: list[str] = []
        self.offers: list[OpenedPayment] = []
        self.problems: list[str] = []
        self.faults = 0
        self.steps = 0
        self.catalog = dict(catalog.tracks())
        self.terms: list[str] = []
        """The versions of the school's terms, the current one last."""
        self.closed_by_us: dict[str, str] = {}
        """Stripe object id -> the actor that closed it."""
        self.partially_restored = False
        """Whether a restore returned enrollments to an earlier moment than the other tables."""
        self.missing_at_stripe: set[str] = set()
        """The objects for which Stripe answered resource_missing at least once."""
        self.closed_at: dict[str, int] = {}
        """Stripe object id -> the step at which Stripe sent the event that closed it."""
        self.records: list[LoggedRecord] = []
        self.offered_at: list[tuple[int, int]] = []
        """For each offer to an actor, the step of the create's first I/O and that of its answer."""
        self.bound_at: dict[str, int] = {}
        """Stripe object id -> the step at which it was bound to its payment."""
        self.last_active: dict[tuple[str, str], int] = {}
        """(user, track) -> the last step at which the user had an open payment for the track or was enrolled."""
        self._status: dict[tuple[str, str], str | None] = {}
        self.messages: list[str] = []
        """The reconciler's tasks whose names were sent to its workers, and that no worker has received yet."""
        self.unreadable: set[str] = set()
        """The events that the deployed version cannot parse. After `parser_fixed`, it can."""
        self.parser_fixed = False
        position = {"name": {"S": "reconcile"}, "cursor": {"N": str(int(START))}}
        self.tables.stored["cursors"]["reconcile",] = position
        self._events_read = 0
        self._events: list[dict[str, Any]] = []

    @property
    def track(self) -> Track:
        return self.catalog["DP"]

    @track.setter
    def track(self, track: Track) -> None:
        self.catalog[track.track] = track

    def raise_price(self, track: str, amount: int = 10_000) -> None:
        current = self.catalog[track]
        self.catalog[track] = replace(current, price=Money(current.price.amount + amount, current.price.currency))

    # --- I/O ---

    def io(self, name: str, act: Callable[[], Any], drop: Callable[[], None], *faults: Callable[[], None]) -> Any:
        """Wait until the scheduler picks the current actor, then perform the I/O with the fate that it chose."""
        if self.current is None:
            return act()
        fate = self.pause(name)
        if self.current.first_io_step is None:
            self.current.first_io_step = self.steps
        if fate == "drop before":
            drop()
        if fate in ("error", "conflict"):
            faults[0]()
        if fate == "throttle" and len(faults) > 1:
            faults[1]()
        if fate == "missing" and len(faults) > 2:
            faults[2]()
        try:
            return act()
        finally:
            if fate == "kill after":
                raise Killed
            if fate == "drop after":
                drop()

    def pause(self, name: str) -> Fate:
        """Yield to the scheduler. Return the fate that it chose when it resumes the actor. Raises `Killed`."""
        actor = self.current
        if actor is None:
            return "go"
        actor.waiting = name
        fate: Fate = actor.greenlet.parent.switch()
        actor.waiting = None
        if fate == "kill before":
            raise Killed
        return fate

    def spawn(self, name: str, act: Callable[[], Any]) -> Actor:
        actor = Actor(self, name, act)
        self.actors.append(actor)
        return actor

    def invoke(self, act: Callable[[], Any]) -> Any:
        """Run one Lambda invocation. Return its result, `Killed`, or the error that it turns into a response."""
        clock.start_deadline()
        actor = self.current
        if actor:
            actor.invoking, actor.first_io_step = True, None
        try:
            return act()
        except (TuitionError, Killed, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            return error
        finally:
            if actor:
                actor.invoking = False

    # --- invariants at each step ---

    def on_commit(self, writes: Sequence[Item]) -> None:
        """Log the record of a committed transaction, and check what must hold at each commit."""
        acknowledged = self.current.acknowledging if self.current else ("", "")
        for write in writes:
            put = write.get("Put")
            if put is None:
                continue
            item, table = put["Item"], put["TableName"]
            if table == "audit":
                text = {name: item[name]["S"] for name in ("subject", "user_id", "type")}
                track = item["track"]["S"] if "track" in item else None
                transition = json.loads(item["transition"]["S"])
                record = LoggedRecord(self.steps, **text, track=track, transition=transition, acknowledged=acknowledged)
                self.records.append(record)
                if text["type"] == "refund.refused":
                    self._check_rejection(text["subject"])
            elif table == "payments":
                self._check_payment(mapping.payment_from_raw(item), new="not_exists" in put["ConditionExpression"])
            elif table == "enrollments":
                owner = item["user_id"]["S"], item["sort_key"]["S"]
                before, self._status[owner] = self._status.get(owner), item.get("status", {"S": None})["S"]
                if {before, self._status[owner]} & {"PENDING", "ENROLLED"}:
                    self.last_active[owner] = self.steps

    def _check_payment(self, payment: Payment, *, new: bool) -> None:
        """A committed payment has its standing in its enrollment, and a new one is bound to an object we left open.

        One of a plan has its part in the plan, and the plan has the standing.
        """
        enrollment = self.enrollment(payment.user_id, payment.product)
        plan = self.plan(payment.plan) if payment.plan else None
        if plan and plan.parts.get(payment.payment_id) != part_of(payment):
            self.problems.append(f"{payment.payment_id} was committed, but its plan has another part of it")
        standing = plan.standing if plan else standing_of(payment)
        if enrollment.standings.get(payment.grantor) != (standing if standing.counts else None):
            self.problems.append(f"{payment.payment_id} was committed, but its enrollment has another standing for it")
        if new:
            self.bound_at[payment.stripe_object_id] = self.steps
            if payment.stripe_object_id in self.closed_by_us:
                self.problems.append(f"{payment.stripe_object_id} was committed after we closed it")

    def _check_rejection(self, payment_id: str) -> None:
        """A rejected refund is committed together with the facts that explain the rejection."""
        payment = self.payment(payment_id)
        rejected = [request for request in payment.requests if request.state == "rejected"]
        refunds = [r for r in self.objects("refund") if r["payment_intent"] == payment.intent]
        money_returned = any(r["status"] in ("failed", "canceled") for r in refunds)
        if (
            rejected
            and rejected[-1].amount <= payment.refundable_amount
            and not payment.facts.disputes
            and not money_returned
        ):
            self.problems.append(
                f"{rejected[-1].id} was rejected although {payment.refundable_amount} of its payment is refundable"
            )

    def on_close(self, object_id: str) -> None:
        """We closed an object. A create may close only what was open when it started, and its own losing object."""
        actor = self.current
        self.closed_by_us[object_id] = actor.name if actor else ""
        if actor is None or actor.first_io_step is None or not actor.name.startswith("student"):
            return
        if object_id in self.missing_at_stripe:
            return
        if object_id in self.bound_at:
            if self.bound_at[object_id] > actor.first_io_step:
                self.problems.append(f"{object_id} was closed by a create that started before it was committed")
            return
        metadata = self.object(object_id)["metadata"]
        owner = metadata["user_id"], metadata["track"]
        if "first_purchases" in self.tables.stored["customers"].get((metadata["user_id"],), {}):
            return  # another track's payment may hold the first-purchase claim
        enrollment = self.enrollment(*owner)
        if enrollment and enrollment.undecided:
            return  # staff must first decide about money of another amount
        active = self._status.get(owner) in ("PENDING", "ENROLLED")
        if not active and self.last_active.get(owner, -1) < actor.first_io_step:
            self.problems.append(f"{object_id} was closed by its creator although no other payment was open")

    # --- actions of people and of Stripe ---

    def create(
        self,
        user: str = "ada",
        kind: str = "intent",
        *,
        save: bool = False,
        track: str = "DP",
        email: str = "",
        code: str | None = None,
        agreed_version: str | None = None,
    ) -> OpenedPayment:
        """Create a payment as its handler does. The offer is kept in `offers`."""
        buyer = Buyer(user, email or f"{user}@example.org")
        item, terms = self.catalog[track], (self.catalog[track].price.amount, code, save)
        if kind == "checkout":
            urls = {"success_url": "https://example.org/ok", "cancel_url": "https://example.org/no"}
            offer = checkout.create_checkout_session(
                buyer, item, save=save, code=code, agreed_version=agreed_version, **urls
            )
        else:
            offer = checkout.create_payment(buyer, item, save=save, agreed_version=agreed_version)
        stored = self.payment(offer.payment.payment_id)
        if stored is None or stored.stripe_object_id != offer.payment.stripe_object_id:
            self.problems.append(f"{offer.payment.stripe_object_id} was offered, but no payment is bound to it")
        elif agreed_version and stored.payable and self._is_older(stored.facts.agreed, agreed_version):
            self.problems.append(f"{stored.payment_id} can be paid without the agreement to version {agreed_version}")
        offered = offer.payment.terms
        if (
            (offered.list_amount, offered.promotion_code, offered.save_payment_method) != terms
            or offer.payment.kind != kind
        ):  # fmt: skip
            self.problems.append(f"{offer.payment.stripe_object_id} was offered with other terms than requested")
        start = self.current.first_io_step if self.current else None
        if start is not None and self.closed_at.get(offer.payment.stripe_object_id, start) < start:
            self.problems.append(f"{offer.payment.stripe_object_id} was offered, but was closed before the request")
        self.offers.append(offer)
        if start is not None:
            self.offered_at.append((start, self.steps))
        return offer

    def publish_terms(self, version: str) -> None:
        """Make a version of the school's terms the current one."""
        self.terms.append(version)
        object.__setattr__(settings.settings(), "terms_version", version)  # the settings of a new version of a function

    def _is_older(self, agreed: Agreement | None, version: str) -> bool:
        """Whether a student agreed to none, or to a version before this one."""
        return agreed is None or self.terms.index(agreed.version) < self.terms.index(version)

    def at_stripe(self, method: str, path: str, **params: Any) -> Any:
        """Call Stripe as another client than Tuition."""
        is_control = path.startswith("/_sim")
        body = json.dumps(params) if is_control else "&".join(f"{k}={v}" for k, v in params.items())
        headers = {"Authorization": f"Bearer {SECRET_KEY}", "Stripe-Version": stripe.api_version or ""}
        return self.stripe.handle(method, path, headers, body.encode()).json()

    def create_promotion_codes(self, names: Sequence[str] = ("FREE", "FIFTH", "ONCE", "OVER")) -> None:
        """Create the promotion codes of these names.

        The whole price off, a fifth off, half off once, an inactive one, and two that make a first purchase free.
        """
        first = {"restrictions[first_time_transaction]": "true"}
        for name, coupon, options in (
            ("FREE", {"percent_off": 100}, {}),
            ("FIFTH", {"percent_off": 20}, {}),
            ("ONCE", {"percent_off": 50}, {"max_redemptions": 1}),
            ("OVER", {"percent_off": 50}, {"active": "false"}),
            ("FIRST", {"percent_off": 100}, first),
            ("FIRST-TOO", {"percent_off": 100}, first),
        ):
            if name not in names:
                continue
            coupon_id = self.at_stripe("POST", "/v1/coupons", **coupon)["id"]
            promotion = {"promotion[type]": "coupon", "promotion[coupon]": coupon_id}
            self.at_stripe("POST", "/v1/promotion_codes", code=name, **promotion, **options)

    def pay(self, object_id: str, method: str = "pm_card_visa") -> Any:
        """Confirm an intent as the browser does, or a session on Stripe's page."""
        if object_id.startswith("cs_"):
            return self.at_stripe("POST", f"/v1/payment_pages/{object_id}/confirm", payment_method=method)
        return self.at_stripe("POST", f"/v1/payment_intents/{object_id}/confirm", payment_method=method, **ACCEPTANCE)

    def pass_time(self, seconds: float) -> None:
        """Advance the clock; Stripe does what is due. An invocation in flight for too long times out, as in Lambda."""
        for actor in self.actors if seconds > INVOCATION_S else ():
            while actor is not self.current and actor.invoking and not actor.finished:
                self.faults += 1
                actor.step("kill before")
        self.now += seconds
        self.at_stripe("GET", "/_sim/health")

    def due_within(self, seconds: float) -> bool:
        """Return whether Stripe has a scheduled action in that time."""
        tasks = self.stripe.account.clock.tasks
        return bool(tasks) and tasks[0].at <= self.stripe.account.clock.now() + seconds

    def all_events(self) -> list[dict[str, Any]]:
        """Return every event that Stripe has created, oldest first. Do not change them."""
        payloads = self.stripe.webhooks.payloads
        if len(payloads) > len(self._events):
            self._events += [json.loads(payload) for payload in islice(payloads.values(), len(self._events), None)]
        return self._events

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events created since the last call."""
        if len(self.stripe.webhooks.payloads) == self._events_read:
            return []
        new = self.all_events()[self._events_read :]
        self._events_read += len(new)
        closed = [event["data"]["object"]["id"] for event in new if event["type"].endswith((".canceled", ".expired"))]
        self.closed_at |= dict.fromkeys(closed, self.steps)
        return new

    # --- restores ---

    def snapshot(self) -> tuple[Any, ...]:
        """Return the tables of now, and how much had been logged."""
        stored = {name: dict(self.tables.stored[name]) for name in RESTORED_TABLES}
        return stored, len(self.records), dict(self.bound_at)

    def restore(self, snapshot: tuple[Any, ...], *, only: Literal["enrollments", "plans"] | None = None) -> None:
        """Return all tables to the snapshot, or one of them, so that the other tables are ahead of it."""
        stored, record_count, bound_at = snapshot
        if only == "enrollments":
            current = self.tables.stored["enrollments"]
            heads = {key: item for key, item in current.items() if key[1] == keys.USER_SORT_KEY}
            self.tables.stored["enrollments"] = {**stored["enrollments"], **heads}
            self.partially_restored = True
            return
        if only == "plans":
            self.tables.stored["plans"] = dict(stored["plans"])
            return
        for name in RESTORED_TABLES:
            self.tables.stored[name] = dict(stored[name])
        del self.records[record_count:]
        self.bound_at = dict(bound_at)

    # --- reads without I/O ---

    def payment(self, payment_id: str) -> Any:
        item = self.tables.stored["payments"].get((payment_id,))
        return mapping.payment_from_raw(item) if item else None

    def payments(self) -> list[Any]:
        return [mapping.payment_from_raw(item) for item in self.tables.stored["payments"].values()]

    def plan(self, plan_id: str) -> Any:
        item = self.tables.stored["plans"].get((plan_id,))
        return mapping.plan_from_raw(item) if item else None

    def plans(self) -> list[Any]:
        return [mapping.plan_from_raw(item) for item in self.tables.stored["plans"].values()]

    def enrollment(self, user: str = "ada", track: str = "DP") -> Any:
        item = self.tables.stored["enrollments"].get((user, track))
        return mapping.enrollment_from_raw(item) if item else None

    def payment_refs(self) -> list[refs.PaymentRef]:
        return [refs.PaymentRef(p.payment_id, p.user_id, p.track) for p in self.payments()]

    def objects(self, kind: str) -> list[dict[str, Any]]:
        return list(self.stripe.account.store.objects.get(kind, {}).values())

    def object(self, object_id: str) -> dict[str, Any]:
        obj = self.stripe.account.lookup(object_id)
        assert obj is not None, object_id
        return obj

    def staff_records(self) -> dict[str, list[LoggedRecord]]:
        """Return the records of staff decisions, by payment."""
        by_payment: dict[str, list[LoggedRecord]] = defaultdict(list)
        for record in self.records:
            if record.type.startswith(("decision.", "attention.")):
                by_payment[record.subject].append(record)
        return by_payment


def without_inspector(patch: pytest.MonkeyPatch) -> None:
    """Let Stripe's simulator keep nothing for its inspector, and write its answers without indents."""
    patch.setattr(Stripe, "_log", lambda *_, **__: None)
    patch.setattr(Account, "recording", lambda *_: contextlib.nullcontext())
    patch.setattr(Account, "keep_response", lambda *_: None)
    patch.setattr(api, "_encode", lambda content: json.dumps(content).encode())


_parse_date = lru_cache(maxsize=1000)(parsedate_to_datetime)


@contextlib.contextmanager
def running(seed: int, patch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """Yield a simulation. The code uses its tables, its Stripe and its clock for the duration.

    Meanwhile no garbage is collected: a schedule makes little, and looking for it takes a tenth of the time.
    """
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield from _running(seed, patch)
    finally:
        if was_collecting:
            gc.enable()


def _running(seed: int, patch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    sim = Simulation(seed)
    set_shards_from_environment(patch)
    raise_limits(patch)
    settings._kept.clear()
    clock._ends.set(None)  # no invocation has started

    def sleep(_: float) -> None:
        sim.pause("sleep")

    def tell(names: Sequence[str]) -> bool:
        sim.messages += names
        return True

    def find(code: object) -> Track:
        return sim.catalog[code] if isinstance(code, str) and code in sim.catalog else real_find(code)

    real_read, real_find = stripe_events.parse, catalog.find

    def read(event: Any) -> Any:
        if event.get("id") in sim.unreadable and not sim.parser_fixed:
            raise EventUnusable("a shape that this version does not know")
        return real_read(event)

    def list_events(_: Any, types: list[str], __: bool | None) -> Iterator[dict[str, Any]]:
        """Return Stripe's events by type, newest first, each parsed once."""
        return (event for event in reversed(sim.all_events()) if not types or event["type"] in types)

    fake_time = SimpleNamespace(time=lambda: sim.now, monotonic=lambda: sim.now, sleep=sleep)
    database = fake_clients.DynamoDBClient(sim)
    stripe_ = fake_clients.stripe_client_for(sim, SECRET_KEY)
    patch.setattr(clock, "time", fake_time)
    patch.setattr(log.logger._logger, "disabled", True)  # most faults log a traceback, and nothing here reads it
    fast_items.install(patch)
    patch.setattr(catalog, "find", find)
    patch.setattr(stripe_events, "parse", read)
    for name in ("count", "age"):
        patch.setattr(metrics, name, lambda *_: None)
    patch.setattr(events, "_select", list_events)
    patch.setattr(stripe_client, "parsedate_to_datetime", _parse_date)
    patch.setattr(walk, "WINDOW_S", 5 * 86_400)  # every window costs the same calls
    patch.setattr(task_queue, "send", lambda names: sim.io("send messages", lambda: tell(names), lambda: None))
    patch.setattr(fan_out, "FEW_TASKS", 0)
    patch.setattr(retry, "TASK_WAIT", retry.Limit(3, base_s=0))
    patch.setattr(dynamodb, "client", lambda: database)
    patch.setattr(settings, "_read_secret", lambda arn: {"secret_key": SECRET_KEY})
    patch.setattr(stripe_client, "_client_for", lambda key: stripe_)
    yield sim
    for actor in sim.actors:
        while not actor.finished and actor.greenlet:
            actor.step("kill before")
