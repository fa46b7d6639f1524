"""A seeded search over schedules: which actor runs at each I/O, which one dies there, and which events are delivered.

A seed fixes a whole schedule: the same seed gives the same history. `TUITION_SEED` starts the search at another seed,
and `TUITION_SCHEDULES` sets how many schedules it runs.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.limits import set_limits
from tests.model import checkers, fake_clients
from tests.model.participants import Participants
from tests.model.scenarios import SCENARIOS, WHOLE_SYSTEM, Scenario
from tests.model.simulation import START, Actor, Fate, Simulation, running, without_inspector
from tests.seeds import first_seed
from tests.shards import set_shards
from tuition.core import catalog
from tuition.core.errors import Conflicted, PurchasesBlocked, TooManyRequests
from tuition.intake import audit_run, reconcile, stripe_events
from tuition.payments import access, switches

MAX_STEPS = 6_000


@dataclass
class ScheduleResult:
    """The result of one schedule."""

    seed: int
    scenario: str
    problems: list[str]
    trace: list[str]
    counts: Counter[str] = field(default_factory=Counter)


class Schedule:
    """One seeded history of students, staff and Stripe, with the faults that the scheduler injects."""

    def __init__(self, sim: Simulation, scenario: Scenario, seed: int) -> None:
        self.sim, self.scenario = sim, scenario
        self.rng = rng = random.Random(scenario.seed(seed))
        self.counts: Counter[str] = Counter()
        self.people = Participants(sim, scenario, rng, self.counts)
        self.undelivered: list[dict[str, Any]] = []
        self.snapshot: Any = None
        self.restored = False
        self.closed_too_early: set[str] = set()
        """Payments whose object was closed at Stripe, and the event delivered, before the payment was committed."""
        self.fault_rate = rng.choice(scenario.fault_rates) if rng.random() < scenario.faults else 0.0
        self.loss_rate = rng.choice((0.1, 0.5, 1.0)) if rng.random() < scenario.lost_webhooks else 0.0
        self.unreadable = 0.1 if rng.random() < scenario.unreadable_events else 0.0
        self.by_priority = rng.random() < scenario.priority_scheduling
        self.stay_rate = rng.choice((0.0, 0.0, 0.5, 0.85))
        self.demotion_rate = rng.choice((0.02, 0.1, 0.2))
        self.priorities: dict[Actor, float] = {}
        self.seconds_per_step = rng.choice(scenario.seconds_per_step)
        self.delivery_rate = rng.choice(scenario.delivery_rates)

    # --- the schedule ---

    def run(self) -> list[str]:
        sim, rng = self.sim, self.rng
        self._prepare()
        self.people.spawn_all()
        last: Actor | None = None
        for _ in range(MAX_STEPS):
            self._collect_events()
            ready = [actor for actor in sim.actors if not actor.finished]
            if len(ready) < len(sim.actors):
                sim.actors = [actor for actor in sim.actors if not self._is_finished(actor)]
            if not ready and not self.undelivered:
                break
            sim.now += self.seconds_per_step
            if self.undelivered and (not ready or rng.random() < self.delivery_rate) and len(ready) < 60:
                self._deliver()
                continue
            if self.scenario.restore and self.counts["restores"] < 2 and rng.random() < 0.02:
                self._restore(ready)
                continue
            if not ready:
                continue
            last = self._next(ready, last)
            last.step(self._choose_fate(last))
        else:
            sim.problems.append(f"not finished after {MAX_STEPS} steps")
        return self._check()

    def _is_finished(self, actor: Actor) -> bool:
        """Return whether the actor has finished. An error that escaped from it is a violation."""
        if actor.finished and actor.error is not None:
            self.sim.problems.append(f"{actor.name} raised {actor.error!r}")
        return actor.finished

    def _next(self, ready: list[Actor], last: Actor | None) -> Actor:
        rng = self.rng
        if not self.by_priority:
            return last if last in ready and rng.random() < self.stay_rate else rng.choice(ready)  # type: ignore[return-value]
        for actor in ready:
            self.priorities.setdefault(actor, rng.random())
        first = max(ready, key=self.priorities.__getitem__)
        if rng.random() < self.demotion_rate:
            self.priorities[first] = min(self.priorities.values()) - 1.0
            first = max(ready, key=self.priorities.__getitem__)
        return first

    def _choose_fate(self, actor: Actor) -> Fate:
        if not self.fault_rate or not actor.invoking or self.rng.random() >= self.fault_rate:
            return "go"
        waiting = actor.waiting or ""
        fate: Fate = self.rng.choice(self.scenario.fates)  # type: ignore[assignment]
        if (
            waiting == "sleep"
            or (fate == "conflict" and not waiting.startswith("transact"))
            or (fate in ("error", "throttle") and "/v1/" not in waiting)
            or (fate == "missing" and not waiting.startswith(tuple(f"{read}/" for read in fake_clients.RETRIEVALS)))
        ):
            return "go"
        if fate == "error" and waiting.startswith("GET"):
            fate = "drop before"
        self.sim.faults += 1
        self.counts[fate] += 1
        return fate

    def _collect_events(self) -> None:
        for event in self.sim.new_events():
            if event["type"] in stripe_events.EVENT_TYPES and self.rng.random() >= self.loss_rate:
                self.undelivered.append(event)
                if self.unreadable and self.rng.random() < self.unreadable:
                    self.sim.unreadable.add(event["id"])

    def _deliver(self) -> None:
        rng = self.rng
        newest = self.scenario.newest_first and rng.random() < self.scenario.newest_first
        index = len(self.undelivered) - 1 if newest else rng.randrange(len(self.undelivered))
        event = self.undelivered[index]
        if rng.random() < 0.85:
            del self.undelivered[index]
        payload = event
        if rng.random() < self.scenario.other_api_version:
            payload = {**event, "api_version": "2020-08-27"}
            self.counts["of another version"] += 1
        self.counts["deliveries"] += 1
        self.sim.spawn(f"webhook {event['type']}", lambda: self._handle_webhook(event, payload))

    def _handle_webhook(self, event: dict[str, Any], payload: dict[str, Any]) -> None:
        outcome = self.sim.invoke(lambda: stripe_events.apply(payload))
        if isinstance(outcome, BaseException):
            self.undelivered.append(event)  # a 5xx response: Stripe retries the delivery
        if outcome == "not_found" and event["type"].endswith((".canceled", ".expired")):
            self.closed_too_early.add(event["data"]["object"]["metadata"]["payment_id"])
        self.counts[f"webhook {outcome}" if isinstance(outcome, str) else "webhook failed"] += 1

    def _restore(self, ready: list[Actor]) -> None:
        """Take a snapshot, or restore the tables to it and kill the invocations in flight."""
        sim, rng = self.sim, self.rng
        if self.snapshot is None:
            self.snapshot = sim.snapshot()
            return
        for actor in ready:
            while not actor.finished and actor.invoking:
                actor.step("kill before")
        sim.restore(self.snapshot, only="enrollments" if rng.random() < self.scenario.partial_restore else None)
        sim.trace.append("RESTORE")
        self.undelivered += [e for e in self._handled_events() if e not in self.undelivered and self.rng.random() < 0.5]
        self.restored, self.snapshot = True, None
        self.counts["restores"] += 1
        self.people.done_steps = {step for step in self.people.done_steps if self.people.is_done(step)}
        sim.faults += 1

    def _handled_events(self) -> list[dict[str, Any]]:
        return [event for event in self.sim.all_events() if event["type"] in stripe_events.EVENT_TYPES]

    def _prepare(self) -> None:
        """Bring the simulation into the scenario's start state."""
        sim, start = self.sim, self.scenario.start
        for user in self.people.users if start else ():
            kind = self.rng.choice(self.scenario.kinds)
            object_id = sim.create(user, kind).payment.stripe_object_id
            if start in ("bought", "revoked"):
                sim.pay(object_id, self.rng.choice(self.scenario.start_methods))
            elif kind == "intent":
                sim.at_stripe("POST", f"/v1/payment_intents/{object_id}/cancel")
            else:
                sim.at_stripe("POST", f"/v1/checkout/sessions/{object_id}/expire")
        for event in sim.new_events():
            stripe_events.apply(event)
        if start == "revoked":
            for ref in sim.payment_refs():
                access.decide(ref, "revoke", "before the schedule", "dean")
        for user in self.people.users if start == "orphan" else ():
            sim.spawn("dying", lambda u=user: sim.create(u, self.people.kind)).run_until("transact").die()
            sim.faults += 1
            if self.rng.random() < self.scenario.orphan_aged:
                sim.pass_time(25 * 3600)
        sim.offers.clear()
        sim.actors.clear()

    # --- the checks at the end ---

    def _check(self) -> list[str]:
        sim = self.sim
        sim.current = None
        for actor in sim.actors:
            self._is_finished(actor)
        if not self.restored:
            sim.problems += checkers.after_responses(sim)
        prices = {code: track.price for code, track in catalog.tracks().items()}
        if self.people.same_choices and {code: track.price for code, track in sim.catalog.items()} == prices:
            sim.problems += self._closed_without_reason()
        try:
            self._check_after_delivery()
        except Exception as error:  # noqa: BLE001  (the search looks for any error)
            sim.problems.append(f"the final deliveries raised {error!r}")
        return sim.problems

    def _check_after_delivery(self) -> None:
        sim = self.sim
        self._deliver_the_rest()
        sim.problems += checkers.final_state(sim) + checkers.customers(sim)
        steps = sorted(self.people.done_steps)
        sim.problems += [f"{step} was marked done, but is no longer" for step in steps if not self.people.is_done(step)]
        quarantined = sim.tables.stored["quarantine"]
        if quarantined and not self.restored:
            sim.problems.append(f"in quarantine: {[item['reason'] for item in quarantined.values()]}")
        if self.scenario.selling_stops:
            sim.problems += checkers.stopped_sales(sim)
            switches.decide("selling", on=True, note="the end", staff="staff")
        if not sim.problems:
            sim.problems += self._check_students_can_buy()

    def _deliver_the_rest(self) -> None:
        """Deliver the remaining events, then reconcile. If no event was lost, delivery alone must match Stripe."""
        sim = self.sim
        sim.parser_fixed = True
        for (event_id,) in list(sim.tables.stored["quarantine"]):
            stripe_events.replay(event_id)
        if not self.loss_rate:
            repeated = self._handled_events() if self.restored or self.rng.random() < 0.2 else []
            deliver_until_quiet(sim, self.undelivered + repeated)
            needs_sync = any(sim.payment(payment_id) for payment_id in self.closed_too_early)
            if not (needs_sync or sim.missing_at_stripe or sim.partially_restored):
                problems = checkers.final_state(sim, refunds_resumed=False)
                sim.problems += [f"without a sync: {problem}" for problem in problems]
            if not self.restored and not self.counts["of another version"]:  # a sync reads the latest charge only
                sim.problems += checkers.card_testing(sim)
        if self._nothing_to_reconcile() and self.rng.random() < 0.7:
            return  # a run would find nothing, so a sample of the schedules is enough
        sim.problems += reconcile_until_quiet(sim, backfill=self.restored)
        sim.problems += checkers.orphans(sim) + checkers.unconfirmed(sim)
        if not (sim.problems or sim.partially_restored):
            sim.problems += audit_problems(sim)

    def _nothing_to_reconcile(self) -> bool:
        """Return whether no event was lost, no invocation died, and no refund or orphan needs a run."""
        sim = self.sim
        submitting = any(request.state == "submitting" for payment in sim.payments() for request in payment.requests)
        return not (self.loss_rate or sim.faults or self.closed_too_early or submitting or checkers.orphans(sim))

    def _closed_without_reason(self) -> list[str]:
        """If all tabs want the same, no offered object is closed, except after too many declines or a withdrawal.

        A student can withdraw while a bank is processing, and then the bank may decline.
        """
        sim = self.sim
        withdrawn = {payment.stripe_object_id for payment in sim.payments() if payment.facts.withdrawn}
        problems = []
        closed = {key for key, name in sim.closed_by_us.items() if name.startswith(("student", "webhook"))}
        for object_id in sorted(
            {offer.payment.stripe_object_id for offer in sim.offers} & closed - sim.missing_at_stripe - withdrawn
        ):
            intents = {object_id, sim.object(object_id).get("payment_intent")}
            declined = [c for c in sim.objects("charge") if c["payment_intent"] in intents and c["status"] == "failed"]
            limited = checkers.declined_too_often(sim, sim.object(object_id)["metadata"]["user_id"])
            if len(declined) < checkers.MAX_FAILED_CHARGES and not limited:
                problems.append(f"{object_id} was offered, then closed although no tab wanted anything else")
        return problems

    def _check_students_can_buy(self) -> list[str]:
        """Each student can buy, or is enrolled, or has a payment that is being processed."""
        sim = self.sim
        for user, track in checkers.owners(sim):
            result = sim.invoke(lambda u=user, t=track: sim.create(u, track=t))
            awaiting_decision = checkers.awaiting_decision(sim, (user, track))
            blocked = checkers.blocked(sim, user)
            if isinstance(result, PurchasesBlocked) or (blocked and not isinstance(result, Conflicted)):
                if isinstance(result, PurchasesBlocked) != bool(blocked):
                    return [f"{user} is blocked by {blocked}, but a create answered {result!r}"]
            elif isinstance(result, Conflicted):
                status = sim.enrollment(user, track).status
                if status not in ("ENROLLED", "PENDING") and not awaiting_decision:
                    return [f"{result!r} while {status}"]
            elif isinstance(result, TooManyRequests) and checkers.declined_too_often(sim, user):
                continue
            elif isinstance(result, BaseException):
                return [f"the next create of {user} for {track} raised {result!r}"]
            elif awaiting_decision:
                return [f"{user} was asked for more money before staff decided about {awaiting_decision}"]
            elif result.payment.stripe_object_id not in checkers.payable(sim):
                return ["the next create returned an object that cannot be paid"]
        return []


def deliver_until_quiet(sim: Simulation, events: list[dict[str, Any]]) -> None:
    """Deliver these events in order, then those that Stripe creates meanwhile, until Stripe has nothing left to do."""
    sim.stripe.account.faults.clear()
    sim.new_events()
    for _ in range(25):  # a minute, and a few rounds for what follows
        for event in events:
            stripe_events.apply(event)
        sim.pass_time(3)
        events = [event for event in sim.new_events() if event["type"] in stripe_events.EVENT_TYPES]
        if not events and not sim.due_within(60):
            return
    raise AssertionError("Stripe keeps creating events")


def reconcile_until_quiet(sim: Simulation, *, backfill: bool = False) -> list[str]:
    """Run the hourly job until a run finds nothing to do. Return what went wrong in the runs."""
    sim.stripe.account.faults.clear()
    problems: list[str] = []
    for _ in range(6):
        sim.pass_time(2 * 3600)
        runs = [reconcile.run(lambda: 900.0)]
        if backfill:
            runs.append(reconcile.backfill(int(START), int(sim.now), lambda: 900.0))
        for run in runs:
            problems += [f"the reconciler failed: {reason}" for reason in run.failed]
            problems += [] if run.done else ["the reconciler did not finish"]
        if problems or not any(run.drifted + run.closed + run.orphans + run.resumed + run.replayed for run in runs):
            return problems
    return ["the reconciler finds something to do at every run"]


def audit_problems(sim: Simulation) -> list[str]:
    """Run the daily audit over all days. Return the differences that it finds, of which there must be none."""
    days = int(START) - int(START) % audit_run.DAY_S, int(sim.now) + audit_run.DAY_S
    report = audit_run.compare(lambda: 900.0, days)
    differences = [f"the daily audit found {difference}" for difference in report["differences"]]
    return differences + [f"the daily audit failed: {reason}" for reason in report["failed"]]


UNDECLARED_EVERY = 25
"""One schedule in so many is compared with the declaration of all data, which takes as long as the schedule."""
InstallDefect = Callable[[pytest.MonkeyPatch], None]


def run_schedule(
    seed: int, scenario: str | None = None, defect: InstallDefect | None = None, shards: int | None = None
) -> ScheduleResult:
    """Run one schedule, with a planted defect if one is given, and with this number of shards per index."""
    chosen = SCENARIOS[scenario or WHOLE_SYSTEM[seed % len(WHOLE_SYSTEM)]]
    with pytest.MonkeyPatch.context() as patch, running(seed, patch) as sim:
        without_inspector(patch)
        patch.setenv("CONSUMER_REGION", "EU" if chosen.withdrawals else "US")
        set_limits(patch, declines_per_hour=chosen.declines_per_hour)
        if shards:
            set_shards(patch, shards)
        if defect:
            defect(patch)
        schedule = Schedule(sim, chosen, seed)
        problems = schedule.run()
        if seed % UNDECLARED_EVERY == 0:
            problems += checkers.undeclared(sim)
        return ScheduleResult(seed, chosen.name, problems, sim.trace, schedule.counts)


def schedule_count(default: int) -> int:
    """Return `TUITION_SCHEDULES`, or the default."""
    return int(os.environ.get("TUITION_SCHEDULES", default))


def report(result: ScheduleResult) -> str:
    """Return the history of a violation in a readable form."""
    lines = "\n".join(f"  {line}" for line in result.trace[-400:])
    return f"seed {result.seed} ({result.scenario}): {'; '.join(result.problems)}\n{lines}"


def run_many(count: int, scenario: str | None = None) -> Iterator[ScheduleResult]:
    for seed in range(first_seed(), first_seed() + count):
        yield run_schedule(seed, scenario)


def measure(count: int, scenario: str | None = None) -> None:
    """Print the rate and the first violations: `python -m tests.model.search 500 refunds`."""
    start, violations, counts, ios = time.process_time(), 0, Counter[str](), 0
    for result in run_many(count, scenario):
        counts.update(result.counts)
        ios += len(result.trace)
        if result.problems:
            violations += 1
            print(result.seed, result.scenario, len(result.trace), result.problems[:3])
    rate = count / (time.process_time() - start)
    print(f"{scenario} {count} schedules, {ios} I/Os, {violations} violations, {rate:.1f}/s of CPU", dict(counts))


if __name__ == "__main__":
    import sys

    measure(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
