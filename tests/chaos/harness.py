"""One disaster: a flow, a fault at one of its calls, what people and Stripe do afterwards, and the books."""

import contextlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from local import dynamodb_local
from stripe_simulator.account import Fault
from stripe_simulator.http import Simulator
from stripe_simulator.server import Stripe
from tests import books
from tests.chaos import plants, worker
from tests.chaos.flows import FLOWS, Case, wipe
from tests.chaos.wire import FATES, LASTING, Called, Gate, Point, proxies
from tests.chaos.worker import Ended, Job
from tests.world import SECRET, World, client_for, create_tables, world
from tuition import clock, reconcile

Rescue = Literal["again", "told", "clock"]
RESCUES: tuple[Rescue, ...] = ("again", "told", "clock")
"""Who began it (a user, Stripe, the schedule) tries again and then all is told; all is told and then they try again;
nobody does anything and nothing is told: the clock finds out."""
TRIES = 4
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
"""Of a fixed day, or a backfill of today would make other calls in the next hour."""


def first_seed() -> int:
    """`TUITION_SEED`, or 1."""
    return int(os.environ.get("TUITION_SEED", "1"))


@dataclass
class Site:
    """DynamoDB Local and the simulator behind their proxies, for many disasters one after the other."""

    client: Any
    simulated: Stripe
    gate: Gate
    dynamodb: str
    stripe: str

    # --- one run ---

    @contextlib.contextmanager
    def fresh(self, plant: str | None = None) -> Iterator[World]:
        """A world in which nothing has happened, and no second passes by itself: each run makes the same calls."""
        self.gate.late.clear()
        wipe(self.client)
        self.simulated.handle("POST", "/_sim/reset", {}, b"{}")
        with pytest.MonkeyPatch.context() as patch, world(self.client, patch, simulated=self.simulated) as made:
            made.stop_the_clock(NOON)
            self._plant = plant
            if plant:
                plants.PLANTS[plant](patch.setattr)
            yield made

    def prepare(self, w: World, flow: str) -> Case:
        """What has happened before, with an hourly run an hour ago."""
        case = FLOWS[flow](w)
        reconcile._move(reconcile.CURSOR, w.stripe.account.clock.unix() - reconcile.WINDOW_S)
        return case

    def invoke(self, w: World, case: Case, point: Point | None) -> Ended:
        """The invocation, in a process of its own, with the fault at its place."""
        self.gate.begin(point)
        self.gate.keep_error = lambda call: w.stripe.account.faults.append(
            Fault([call.split()[0], *call.split()[1].strip("/").split("/")], 1, "error", 0.0)
        )
        secrets = {"stripe": {"secret_key": w.stripe.secret_key}, "webhook": {"signing_secrets": [SECRET]}}
        job = Job(case.function, case.event, self.dynamodb, self.stripe, clock.now(), secrets, self._plant)

        def begin(pid: int) -> None:
            self.gate.pid = pid

        ended = worker.invoke(job, begin)
        w.stripe.account.faults.clear()
        return ended

    def count(self, flow: str) -> list[Called]:
        """The calls of a flow that meets no fault, as they passed the wire."""
        with self.fresh() as w:
            case = self.prepare(w, flow)
            ended = self.invoke(w, case, None)
            assert ended.status in (200, 201, 202, 409), (flow, ended)
            return list(self.gate.calls)

    def disaster(self, flow: str, point: Point, rescue: Rescue, seed: int, plant: str | None = None) -> list[str]:
        """What is wrong after it, by the books; empty where every promise held."""
        chance = random.Random(f"{flow} {point} {rescue} {seed}")
        with self.fresh(plant) as w:
            case = self.prepare(w, flow)
            ended = self.invoke(w, case, point)
            if not self.gate.hit:
                return [f"call {point.call} was never made"]
            found = ["an unhandled exception"] if ended.raised == "unhandled" else []
            found += [f"torn: {what}" for what in [*books.torn(self._read()), *_promised(w, ended)]]
            if rescue == "again":
                self._try_again(w, case, ended, chance)
            self.gate.make_late()
            if rescue != "clock":
                _tell(w, _untold(w, case, ended), chance)
            if rescue == "told":
                self._try_again(w, case, ended, chance)
                self.gate.make_late()
                _tell(w, w.new_events(), chance)
            if rescue != "clock":
                found += [f"before the clock: {what}" for what in books.wrong(self._read())]
            _clock(w)
            found += [f"after the clock: {what}" for what in books.wrong(self._read())]
            _tell(w, [*case.told, *w.new_events()], chance)
            return found + [f"told late: {what}" for what in books.wrong(self._read())]

    def _read(self) -> books.Books:
        return books.read(self.client, self.simulated.account.store.objects)

    def _try_again(self, w: World, case: Case, ended: Ended, chance: random.Random) -> None:
        """Whoever began it does it again until they have an answer; in half of the cases it meets a second fault."""
        if case.function == "webhook" and ended.status == 200:
            return
        if case.function == "reconcile":
            w.time_passes(reconcile.LEASE_S + 1)
        again = Point(chance.randrange(4), chance.choice(FATES)) if chance.random() < 0.5 else None
        for point in (again, *[None] * TRIES):
            if (self.invoke(w, case, point).status or 500) < 500:
                return
            if case.function == "reconcile":
                w.time_passes(reconcile.LEASE_S + 1)


def _promised(w: World, ended: Ended) -> list[str]:
    """Whoever was given something to pay with has a payment that is bound to it."""
    answer = ended.answer or {}
    body = json.loads(answer["body"]) if "body" in answer and ended.status in (200, 201) else {}
    if not {"client_secret", "url"} & set(body):
        return []
    given = body.get("session_id") or body["payment_intent_id"]
    payment = w.payment(body["payment_id"])
    return [] if payment and payment.bound_to == given else [f"{given} was given away and is bound to nothing"]


def _untold(w: World, case: Case, ended: Ended) -> list[dict[str, Any]]:
    """The events that are on their way: one that was accepted does not come again."""
    own = [case.own] if case.own and ended.status != 200 else []
    return [*own, *case.told, *w.new_events()]


def _tell(w: World, events: list[dict[str, Any]], chance: random.Random) -> None:
    """In any order, some twice; and what they make happen is told too."""
    for _ in range(TRIES):
        chance.shuffle(events)
        for event in [*events, *(event for event in events if chance.random() < 0.3)]:
            assert w.deliver(event).status == 200
        w.later(3)
        events = w.new_events()
        if not events:
            return


def _clock(w: World) -> None:
    """The hourly run, until nothing is on its way; one that was killed keeps its lease for a while."""
    for seconds in (400, 3700, 3700):
        w.time_passes(seconds)
        with contextlib.suppress(reconcile.AnotherRun):
            w.reconcile()


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """A DynamoDB of its own: its tables are emptied for every disaster."""
    with dynamodb_local.running() as url, pytest.MonkeyPatch.context() as patch:
        client = client_for(url)
        create_tables(client)
        simulated = Stripe(seed=1)
        simulator = Simulator(simulated)
        with proxies(urlsplit(url).port or 0, simulator.port) as (gate, dynamodb, stripe):
            patch.setenv("DYNAMODB_ENDPOINT_URL", dynamodb)
            worker.start()
            try:
                yield Site(client, simulated, gate, dynamodb, stripe)
            finally:
                simulator.stop()


def points(calls: list[Called]) -> list[Point]:
    """Every fault of every call."""
    found = []
    for number, called in enumerate(calls):
        for fate in FATES:
            if fate == "kept error" and not called.name.startswith("POST"):
                continue
            if fate == "late" and not called.writes:
                continue
            found.append(Point(number, fate))
            found += [Point(number, fate, lasts=True)] if fate in LASTING else []
    return found
