"""A seeded search over schedules: who goes on at each I/O, who dies there, which event comes when, and when not.

A seed is a whole schedule: the same seed makes the same history. `TUITION_SEED` begins a search elsewhere,
`TUITION_SCHEDULES` says how many it makes.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.model import checkers, wire
from tests.model.cast import Cast
from tests.model.machine import START, Actor, Fate, Machine, running
from tests.model.plans import PLANS, WHOLE, Plan
from tuition.core import catalog
from tuition.core.errors import Conflicted
from tuition.intake import reconcile, stripe_events
from tuition.payments import access

STEPS = 6_000


@dataclass
class Found:
    """What one schedule came to."""

    seed: int
    plan: str
    problems: list[str]
    trace: list[str]
    counts: Counter[str] = field(default_factory=Counter)


class Schedule:
    """One seeded history of students, staff, Stripe and the schedule's own malice."""

    def __init__(self, machine: Machine, plan: Plan, seed: int) -> None:
        self.machine, self.plan = machine, plan
        self.chance = chance = random.Random(f"{plan.name}:{seed}")
        self.counts: Counter[str] = Counter()
        self.cast = Cast(machine, plan, chance, self.counts)
        self.pool: list[dict[str, Any]] = []
        self.kept: Any = None
        self.restored = False
        self.too_early: set[str] = set()
        """Payments whose object was closed by somebody at Stripe, and told to be, before they were committed."""
        self.fault_rate = chance.choice(plan.rates) if chance.random() < plan.faults else 0.0
        self.loss_rate = chance.choice((0.1, 0.5, 1.0)) if chance.random() < plan.lost else 0.0
        self.unreadable = 0.1 if chance.random() < plan.unreadable else 0.0
        self.sharp = chance.random() < plan.sharp
        self.stick = chance.choice((0.0, 0.0, 0.5, 0.85))
        self.turn = chance.choice((0.02, 0.1, 0.2))
        self.ranks: dict[Actor, float] = {}
        self.tick = chance.choice(plan.ticks)
        self.eager = chance.choice(plan.eager)

    # --- the schedule ---

    def run(self) -> list[str]:
        machine, chance = self.machine, self.chance
        self._begin()
        self.cast.enter()
        last: Actor | None = None
        for _ in range(STEPS):
            self._collect()
            ready = [actor for actor in machine.actors if not actor.over]
            if len(ready) < len(machine.actors):
                machine.actors = [actor for actor in machine.actors if not self._left(actor)]
            if not ready and not self.pool:
                break
            machine.now += self.tick
            if self.pool and (not ready or chance.random() < self.eager) and len(ready) < 60:
                self._deliver()
                continue
            if self.plan.restore and self.counts["restores"] < 2 and chance.random() < 0.02:
                self._restore(ready)
                continue
            if not ready:
                continue
            last = self._next(ready, last)
            last.step(self._fate(last))
        else:
            machine.problems.append(f"not over after {STEPS} steps")
        return self._verdict()

    def _left(self, actor: Actor) -> bool:
        """Whoever is done leaves; what an actor ended in that no handler may end in is a violation."""
        if actor.over and actor.error is not None:
            self.machine.problems.append(f"{actor.name} ended in {actor.error!r}")
        return actor.over

    def _next(self, ready: list[Actor], last: Actor | None) -> Actor:
        chance = self.chance
        if not self.sharp:
            return last if last in ready and chance.random() < self.stick else chance.choice(ready)  # type: ignore[return-value]
        for actor in ready:
            self.ranks.setdefault(actor, chance.random())
        first = max(ready, key=self.ranks.__getitem__)
        if chance.random() < self.turn:
            self.ranks[first] = min(self.ranks.values()) - 1.0
            first = max(ready, key=self.ranks.__getitem__)
        return first

    def _fate(self, actor: Actor) -> Fate:
        if not self.fault_rate or not actor.invoking or self.chance.random() >= self.fault_rate:
            return "go"
        waiting = actor.waiting or ""
        fate: Fate = self.chance.choice(self.plan.fates)  # type: ignore[assignment]
        if (
            waiting == "sleep"
            or (fate == "conflict" and not waiting.startswith("transact"))
            or (fate in ("error", "limit") and "/v1/" not in waiting)
            or (fate == "unknown" and not waiting.startswith(tuple(f"{pull}/" for pull in wire.PULLS)))
        ):
            return "go"
        if fate == "error" and waiting.startswith("GET"):
            fate = "lose"
        self.machine.faults += 1
        self.counts[fate] += 1
        return fate

    def _collect(self) -> None:
        for event in self.machine.new_events():
            if event["type"] in stripe_events.EVENT_TYPES and self.chance.random() >= self.loss_rate:
                self.pool.append(event)
                if self.unreadable and self.chance.random() < self.unreadable:
                    self.machine.unreadable.add(event["id"])

    def _deliver(self) -> None:
        chance = self.chance
        last = self.plan.newest and chance.random() < self.plan.newest
        place = len(self.pool) - 1 if last else chance.randrange(len(self.pool))
        event = self.pool[place]
        if chance.random() < 0.85:
            del self.pool[place]
        told = event
        if chance.random() < self.plan.versions:
            told = {**event, "api_version": "2020-08-27"}
            self.counts["of another version"] += 1
        self.counts["deliveries"] += 1
        self.machine.spawn(f"webhook {event['type']}", lambda: self._webhook(event, told))

    def _webhook(self, event: dict[str, Any], told: dict[str, Any]) -> None:
        ended = self.machine.invoke(lambda: stripe_events.apply(told))
        if isinstance(ended, BaseException):
            self.pool.append(event)  # a 5xx: Stripe delivers again
        if ended == "left" and event["type"].endswith((".canceled", ".expired")):
            self.too_early.add(event["data"]["object"]["metadata"]["payment_id"])
        self.counts[f"webhook {ended}" if isinstance(ended, str) else "webhook failed"] += 1

    def _restore(self, ready: list[Actor]) -> None:
        """All four tables go back to one moment, and what was running is gone."""
        machine, chance = self.machine, self.chance
        if self.kept is None:
            self.kept = machine.keep()
            return
        for actor in ready:
            while not actor.over and actor.invoking:
                actor.step("kill")
        machine.go_back(self.kept, parted=chance.random() < self.plan.parted)
        machine.trace.append("RESTORE")
        self.pool += [e for e in self._all_events() if e not in self.pool and self.chance.random() < 0.5]
        self.restored, self.kept = True, None
        self.counts["restores"] += 1
        self.cast.marks = {mark for mark in self.cast.marks if self.cast.is_marked(mark)}
        machine.faults += 1

    def _all_events(self) -> list[dict[str, Any]]:
        return [event for event in self.machine.all_events() if event["type"] in stripe_events.EVENT_TYPES]

    def _begin(self) -> None:
        """How far things are when everybody comes."""
        machine, begin = self.machine, self.plan.begin
        for user in self.cast.users if begin else ():
            kind = self.chance.choice(self.plan.kinds)
            stripe_object_id = machine.create(user, kind).payment.stripe_object_id
            if begin in ("bought", "revoked"):
                machine.pay(stripe_object_id, self.chance.choice(self.plan.begins_with))
            elif kind == "intent":
                machine.at_stripe("POST", f"/v1/payment_intents/{stripe_object_id}/cancel")
            else:
                machine.at_stripe("POST", f"/v1/checkout/sessions/{stripe_object_id}/expire")
        for event in machine.new_events():
            stripe_events.apply(event)
        if begin == "revoked":
            for key in machine.payment_keys():
                access.decide(key, "revoke", "a beginning", "dean")
        for user in self.cast.users if begin == "orphan" else ():
            machine.spawn("dying", lambda u=user: machine.create(u, self.cast.kind)).until("transact").die()
            machine.faults += 1
            if self.chance.random() < self.plan.aged:
                machine.pass_time(25 * 3600)
        machine.answered.clear()
        machine.actors.clear()

    # --- the end ---

    def _verdict(self) -> list[str]:
        machine = self.machine
        machine.current = None
        for actor in machine.actors:
            self._left(actor)
        if not self.restored:
            machine.problems += checkers.after_answers(machine)
        prices = {code: track.price for code, track in catalog.tracks().items()}
        if self.cast.twins and {code: track.price for code, track in machine.catalog.items()} == prices:
            machine.problems += self._closed_for_nothing()
        try:
            self._settled()
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what the search is for)
            machine.problems.append(f"settling ended in {error!r}")
        return machine.problems

    def _settled(self) -> None:
        machine = self.machine
        self._told()
        machine.problems += checkers.settled_state(machine) + checkers.customers(machine)
        marks = sorted(self.cast.marks)
        machine.problems += [f"{mark} was done and is not" for mark in marks if not self.cast.is_marked(mark)]
        quarantined = machine.tables.stored["quarantine"]
        if quarantined and not self.restored:
            machine.problems.append(f"in quarantine: {[i['reason'] for i in quarantined.values()]}")
        if not machine.problems:
            machine.problems += self._can_go_on()

    def _told(self) -> None:
        """What is still to be told is told; where nothing was lost, that alone must end as Stripe is."""
        machine = self.machine
        machine.mended = True
        for (event_id,) in list(machine.tables.stored["quarantine"]):
            stripe_events.replay(event_id)
        if not self.loss_rate:
            again = self._all_events() if self.restored or self.chance.random() < 0.2 else []
            settle(machine, self.pool + again)
            untold = any(machine.payment(payment_id) for payment_id in self.too_early)
            if not (untold or machine.unknown or machine.parted):  # else only a pull can tell
                problems = checkers.settled_state(machine, driven=False)
                machine.problems += [f"without a pull: {problem}" for problem in problems]
            if not self.restored and not self.counts["of another version"]:  # a pull shows the latest charge alone
                machine.problems += checkers.card_testing(machine)
        if self._is_all_told() and self.chance.random() < 0.7:
            return  # a run would find nothing: it need not be seen every time
        machine.problems += reconciled(machine, backfill=self.restored)
        machine.problems += checkers.orphans(machine)

    def _is_all_told(self) -> bool:
        """Nothing was lost, nobody died, and nothing waits for a run."""
        machine = self.machine
        calling = any(request.state == "calling" for payment in machine.payments() for request in payment.requests)
        return not (self.loss_rate or machine.faults or self.too_early or calling or checkers.orphans(machine))

    def _closed_for_nothing(self) -> list[str]:
        """Where all wish the same, nobody closes what anybody was answered (but after too many declines)."""
        machine = self.machine
        found = []
        students = {key for key, name in machine.closed_by_us.items() if name.startswith(("student", "webhook"))}
        for object_id in sorted(
            {offer.payment.stripe_object_id for offer in machine.answered} & students - machine.unknown
        ):
            intents = {object_id, machine.object(object_id).get("payment_intent")}
            declined = [
                c for c in machine.objects("charge") if c["payment_intent"] in intents and c["status"] == "failed"
            ]
            if len(declined) < checkers.FAILED_CHARGES:
                found.append(f"{object_id} was answered, and closed though nobody wished anything else")
        return found

    def _can_go_on(self) -> list[str]:
        """Nobody is stuck: each student can buy, or is enrolled, or has a payment that is being processed."""
        machine = self.machine
        for user, track in checkers.owners(machine):
            ended = machine.invoke(lambda u=user, t=track: machine.create(u, track=t))
            held = checkers.undecided(machine, (user, track))
            if isinstance(ended, Conflicted):
                status = machine.enrollment(user, track).status
                if status not in ("ENROLLED", "PENDING") and not held:
                    return [f"{ended!r} while {status}"]
            elif isinstance(ended, BaseException):
                return [f"the next create of {user} for {track} ended in {ended!r}"]
            elif held:
                return [f"{user} was asked for more, and staff have not decided about {held}"]
            elif ended.payment.stripe_object_id not in checkers.payable(machine):
                return ["the next create answered what is dead"]
        return []


def settle(machine: Machine, events: list[dict[str, Any]]) -> None:
    """All is told in this order, and what Stripe does later is done and told: no call of ours asks Stripe for it."""
    machine.stripe.account.faults.clear()
    machine.new_events()
    for _ in range(20):
        for event in events:
            stripe_events.apply(event)
        machine.pass_time(3)
        events = [event for event in machine.new_events() if event["type"] in stripe_events.EVENT_TYPES]
        if not events and not machine.due_within(60):
            return
    raise AssertionError("Stripe does not come to rest")


def reconciled(machine: Machine, *, backfill: bool = False) -> list[str]:
    """Whatever was lost, the hourly runs learn, until one finds nothing more to do. What went wrong in them."""
    machine.stripe.account.faults.clear()
    found: list[str] = []
    for _ in range(6):
        machine.pass_time(2 * 3600)
        done = [reconcile.run(lambda: 900.0)]
        if backfill:
            done.append(reconcile.backfill(int(START), int(machine.now), lambda: 900.0))
        for run in done:
            found += [f"the reconciler failed: {why}" for why in run.failed]
            found += [] if run.done else ["the reconciler did not come to its end"]
        if found or not any(run.drifted + run.closed + run.orphans + run.resumed + run.replayed for run in done):
            return found
    return ["the reconciler finds something to do at every run"]


Plant = Callable[[pytest.MonkeyPatch], None]


def one(seed: int, plan: str | None = None, defect: Plant | None = None) -> Found:
    """One schedule."""
    chosen = PLANS[plan or WHOLE[seed % len(WHOLE)]]
    with pytest.MonkeyPatch.context() as patch, running(seed, patch) as machine:
        if defect:
            defect(patch)
        schedule = Schedule(machine, chosen, seed)
        problems = schedule.run()
        return Found(seed, chosen.name, problems, machine.trace, schedule.counts)


def first_seed() -> int:
    return int(os.environ.get("TUITION_SEED", "1"))


def schedules(default: int) -> int:
    return int(os.environ.get("TUITION_SCHEDULES", default))


def search(count: int, plan: str | None = None, defect: Plant | None = None, seed: int = 1) -> Iterator[Found]:
    for number in range(seed, seed + count):
        yield one(number, plan, defect)


def report(found: Found) -> str:
    """The history of a violation, to read."""
    lines = "\n".join(f"  {line}" for line in found.trace[-400:])
    return f"seed {found.seed} ({found.plan}): {'; '.join(found.problems)}\n{lines}"


def measure(count: int, plan: str | None = None) -> None:
    """Print a rate and the first violations: `python -m tests.model.search 500 creates`."""
    begun, bad, counts, ios = time.process_time(), 0, Counter[str](), 0
    for found in search(count, plan, seed=first_seed()):
        counts.update(found.counts)
        ios += len(found.trace)
        if found.problems:
            bad += 1
            print(found.seed, found.plan, len(found.trace), found.problems[:3])
    rate = count / (time.process_time() - begun)
    print(f"{plan} {count} schedules, {ios} I/Os, {bad} violations, {rate:.1f}/s of CPU", dict(counts))


if __name__ == "__main__":
    import sys

    measure(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
