"""Plans under every interleaving: their parts, standings and chains, with kills at every I/O and restores.

The oracle of `plan_checkers` knows Stripe's objects and the records of the plans' own chains. It derives each plan from
them, and the stored plan must be that plan, whatever the order of events, ticks, decisions and payments.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests import plans as on_tables
from tests.model.plan_checkers import plan_problems
from tests.model.search import deliver_until_quiet
from tests.model.simulation import START, Fate, Killed, Simulation, running
from tests.plans import FOUR, MONTHLY
from tests.seeds import first_seed
from tuition.core import payment_state
from tuition.core.payment_state import PaymentState
from tuition.core.plan_facts import PlanFacts
from tuition.intake import reconcile, stripe_events
from tuition.storage import ledger
from tuition.storage.items import PlanItem

SCHEDULES = 40
EVERY = 3
"""A kill at one I/O of so many, by the seed. The stories of `test_plan_life` are killed at each one, at full size."""
DAY = 86_400
METHODS = ("pm_card_visa", "pm_card_visa", "pm_usBankAccount_success", "pm_card_chargeDeclined")
FATES: tuple[Fate, ...] = ("kill before", "kill after", "drop before", "drop after", "conflict")
DISPUTES = (("needs_response", "lost"), ("needs_response", "won"), ("needs_response", "lost", "under_review", "won"))


# --- the search ---


class Schedule:
    """One seeded history of two students with plans, a collector, staff, banks and Stripe's events."""

    def __init__(self, sim: Simulation, seed: int) -> None:
        self.sim, self.rng = sim, random.Random(f"plans:{seed}")
        self.fault_rate = self.rng.choice((0.0, 0.02, 0.1))
        self.loss_rate = self.rng.choice((0.0, 0.0, 0.5))
        self.restores = self.rng.random() < 0.3
        self.undelivered: list[dict[str, Any]] = []
        self.snapshot: Any = None

    def run(self) -> list[str]:
        sim, rng = self.sim, self.rng
        for user, terms in (("ada", FOUR), ("bob", rng.choice((FOUR, MONTHLY)))):
            sim.spawn(f"student {user}", lambda u=user, t=terms: self._study(u, t))
        for name, act in (("collects", self._collect), ("staff", self._decide), ("bank", self._dispute)):
            for number in range(2 if name == "collects" else 1):
                sim.spawn(f"{name} {number}", act)
        for _ in range(4_000):
            for event in sim.new_events():
                if event["type"] in stripe_events.EVENT_TYPES and rng.random() >= self.loss_rate:
                    self.undelivered.append(event)
            sim.actors = [actor for actor in sim.actors if not self._is_finished(actor)]
            if not sim.actors and not self.undelivered:
                break
            if self.undelivered and (not sim.actors or rng.random() < 0.2):
                self._deliver()
            elif self.restores and rng.random() < 0.01:
                self._restore()
            else:
                actor = rng.choice(sim.actors)
                actor.step(self._fate(actor))
        else:
            sim.problems.append("not finished")
        return self._check()

    def _is_finished(self, actor: Any) -> bool:
        if actor.finished and actor.error is not None:
            self.sim.problems.append(f"{actor.name} raised {actor.error!r}")
        return bool(actor.finished)

    def _fate(self, actor: Any) -> Fate:
        waiting = actor.waiting or ""
        if not actor.invoking or self.rng.random() >= self.fault_rate or waiting == "sleep":
            return "go"
        fate = self.rng.choice(FATES)
        if fate == "conflict" and not waiting.startswith("transact"):
            return "go"
        self.sim.faults += 1
        return fate

    def _deliver(self) -> None:
        index = self.rng.randrange(len(self.undelivered))
        event = self.undelivered[index]
        if self.rng.random() < 0.85:
            del self.undelivered[index]

        def act() -> None:
            if isinstance(self.sim.invoke(lambda: stripe_events.apply(event)), BaseException):
                self.undelivered.append(event)

        self.sim.spawn(f"webhook {event['type']}", act)

    def _restore(self) -> None:
        """Take a snapshot, or return the plans, or all tables, to it."""
        sim = self.sim
        if self.snapshot is None:
            self.snapshot = sim.snapshot()
            return
        for actor in sim.actors:
            while not actor.finished and actor.invoking:
                actor.step("kill before")
        if self.rng.random() < 0.5:
            sim.restore(self.snapshot)
        else:
            sim.tables.stored["plans"].clear()  # the plans are lost; their records and payments are not
        self.snapshot, self.restores = None, False
        sim.faults += 1

    # --- the participants ---

    def _wait(self, reason: str) -> None:
        for _ in range(self.rng.randint(0, 8)):
            self.sim.pause(reason)

    def _try(self, act: Callable[[], Any]) -> Any:
        """Perform an invocation, again after a failure, as a student or the collector does."""
        for _ in range(4):
            result = self.sim.invoke(act)
            if not isinstance(result, BaseException):
                return result
            self._wait("tries again")
        return None

    def _study(self, user: str, terms: Any) -> None:
        """Begin a plan and pay it, one or two installments at a time, in two tabs for the first."""
        for _ in range(self.rng.choice((1, 1, 2))):
            state = self._try(lambda: on_tables.begin(user, terms))
            if state is None:
                return
            plan_id = state.existing_plan.plan_id
            for _ in range(self.rng.randint(1, 4)):
                self._pay(plan_id)
                self._wait("studies")
                self._add(plan_id)
            if terms.endless:
                track = self.rng.choice(("DP", "FSD"))
                self._try(lambda p=plan_id, t=track: on_tables.merge(p, PlanFacts(tracks={t: 1}), f"track:{t}", t))

    def _pay(self, plan_id: str) -> None:
        payments = [one for one in self.sim.payments() if one.plan == plan_id and one.payable]
        if payments:
            payment = self.rng.choice(payments)
            if self.sim.object(payment.stripe_object_id)["status"] == "requires_payment_method":
                self.sim.pay(payment.stripe_object_id, self.rng.choice(METHODS))

    def _add(self, plan_id: str) -> None:
        plan = self.sim.plan(plan_id)
        if plan and plan.owed and not any(part.open for part in plan.parts.values()):
            covers = plan.owed[: self.rng.choice((1, 1, 2))]
            self._try(lambda: on_tables.add_payment(plan_id, *covers))

    def _collect(self) -> None:
        """Observe boundaries, announce charges, and add payments."""
        for number in range(6):
            self._wait("collects")
            for plan in self.sim.plans():
                boundary = int(START) + DAY * self.rng.randint(1, 40)
                facts = PlanFacts(observed=boundary)
                event_id = f"tick:{boundary}"
                if plan.first_owed and self.rng.random() < 0.5:
                    key = f"{plan.first_owed}:2026-10-{self.rng.randint(10, 28)}"
                    facts, event_id = PlanFacts(announced={key: boundary}), f"announced:{key}:{number}"
                self._try(lambda p=plan, f=facts, e=event_id, b=boundary: on_tables.merge(p.plan_id, f, e, at=b))
                if self.rng.random() < 0.3:
                    self._add(plan.plan_id)

    def _decide(self) -> None:
        for number in range(5):
            self._wait("staff")
            for plan in self.sim.plans():
                name = self.rng.choice(("pause", "resume", "waive", "revoke", "restore"))
                seqs = (plan.first_owed,) if name == "waive" and plan.first_owed else ()
                self._try(lambda p=plan, n=name, s=seqs, i=number: on_tables.decide(p.plan_id, n, f"dec_{i}", seqs=s))

    def _dispute(self) -> None:
        for _ in range(3):
            self._wait("bank")
            charges = [one for one in self.sim.objects("charge") if one["status"] == "succeeded"]
            if not charges:
                continue
            charge = self.rng.choice(charges)
            if self.rng.random() < 0.5 and not charge["refunded"] and not charge.get("disputed"):
                self.sim.at_stripe("POST", "/v1/refunds", charge=charge["id"], amount=1000)
            elif not charge.get("disputed") and not charge["refunded"]:
                first, *later = self.rng.choice(DISPUTES)
                dispute = self.sim.at_stripe("POST", "/_sim/disputes", charge=charge["id"], status=first)
                for status in later:
                    self._wait("bank decides")
                    self.sim.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status=status)

    # --- the end ---

    def _check(self) -> list[str]:
        sim = self.sim
        sim.current = None
        for actor in sim.actors:
            self._is_finished(actor)
        lost = self.loss_rate or sim.faults
        deliver_until_quiet(sim, sim.all_events() if sim.faults and not self.loss_rate else self.undelivered)
        for _ in range(3 if lost else 0):
            sim.pass_time(2 * 3600)
            run = reconcile.run(lambda: 900.0)
            sim.problems += [f"the reconciler failed: {reason}" for reason in run.failed]
        for plan_id in {payment.plan for payment in sim.payments()}:
            if sim.faults and ledger.find_plan(plan_id):
                ledger.recompute_plan(plan_id)
        return sim.problems + plan_problems(sim)


def run_schedule(seed: int, defect: Callable[[pytest.MonkeyPatch], None] | None = None) -> list[str]:
    """Run one schedule, with a planted defect if one is given. Return the violations."""
    with pytest.MonkeyPatch.context() as patch, running(seed, patch) as sim:
        if defect:
            defect(patch)
        return Schedule(sim, seed).run()


@pytest.mark.parametrize("part", range(4))
def test_plans_are_what_their_payments_and_records_lead_to_after_any_order_of_steps_and_faults(part: int) -> None:
    for seed in range(first_seed() + part, first_seed() + SCHEDULES, 4):
        assert run_schedule(seed) == [], f"seed {seed}"


# --- kills at every I/O ---


def story(sim: Simulation, terms: Any, kill_at: int, fate: Fate) -> tuple[Any, int]:
    """Play a plan's life, with a kill at one I/O, after which the invocation is repeated.

    Return what the plan came to, and the number of I/Os.
    """
    ios = 0

    def run(act: Callable[[], Any]) -> Any:
        nonlocal ios
        for _ in range(3):
            actor = sim.spawn("actor", lambda: sim.invoke(act))
            while not actor.finished:
                ios += 1
                actor.step(fate if ios == kill_at else "go")
            if not isinstance(actor.result, Killed):
                assert not isinstance(actor.result, BaseException), repr(actor.result)
                return actor.result
        raise AssertionError("killed twice")

    def pay() -> None:
        (payment,) = [one for one in sim.payments() if one.payable]
        sim.pay(payment.stripe_object_id)
        for event in [event for event in sim.new_events() if event["type"] in stripe_events.EVENT_TYPES]:
            run(lambda e=event: stripe_events.apply(e))

    plan_id = run(lambda: on_tables.begin("ada", terms)).existing_plan.plan_id
    pay()
    if terms.endless:
        run(lambda: on_tables.merge(plan_id, PlanFacts(tracks={"DP": 1}), "track:DP", "DP"))
    run(lambda: on_tables.merge(plan_id, PlanFacts(announced={"2:2026-10-20": 5}), "announced:2"))
    run(lambda: on_tables.add_payment(plan_id, 2))
    pay()
    run(lambda: on_tables.merge(plan_id, PlanFacts(observed=int(START) + DAY), "tick:1", at=int(START) + DAY))
    run(lambda: on_tables.decide(plan_id, "pause", "dec_1"))
    run(lambda: ledger.recompute_plan(plan_id))
    assert plan_problems(sim) == []
    plan = sim.plan(plan_id)
    intents = sorted((one["status"], one["metadata"]["covers"]) for one in sim.objects("payment_intent"))
    decided = [(key, one.decision) for key, one in plan.facts.decisions.items()]
    facts = (plan.facts.observed, plan.facts.announced, decided, plan.facts.tracks, plan.facts.last_number)
    enrollments = {one: sim.enrollment("ada", one).status for one in {plan.product, *plan.tracks}}
    return (plan.status, plan.covered, facts, enrollments, intents), ios


@pytest.mark.parametrize("terms", [FOUR, MONTHLY], ids=["installments", "membership"])
def test_a_plan_killed_at_any_io_comes_to_the_same_without_a_second_object(terms: Any) -> None:
    def play(kill_at: int, fate: Fate) -> tuple[Any, int]:
        with pytest.MonkeyPatch.context() as patch, running(1, patch) as sim:
            return story(sim, terms, kill_at, fate)

    expected, ios = play(0, "go")
    assert ios > 30
    for kill_at in range(1 + first_seed() % EVERY, ios + 1, EVERY):
        for fate in ("kill before", "kill after"):
            assert play(kill_at, fate)[0] == expected, f"{fate} at I/O {kill_at}"


# --- planted defects ---


def parts_are_not_written_with_their_payments(patch: pytest.MonkeyPatch) -> None:
    real = PaymentState.with_payment

    def with_payment(self: PaymentState, payment: Any, plan: Any = None) -> PaymentState:
        after = real(self, payment, plan)
        stale = self.plan is not None and self.payment is not None and plan is None
        return replace(after, plan=self.plan, enrollment=self.enrollment) if stale else after

    patch.setattr(PaymentState, "with_payment", with_payment)


def plans_are_written_without_a_condition(patch: pytest.MonkeyPatch) -> None:
    real = ledger._put_version

    def put_version(item: Any, version: int) -> Any:
        put = real(item, version)
        return {name: put[name] for name in ("TableName", "Item")} if isinstance(item, PlanItem) else put

    patch.setattr(ledger, "_put_version", put_version)


def only_the_own_enrollment_has_the_standing(patch: pytest.MonkeyPatch) -> None:
    real = payment_state._with_plan
    patch.setattr(payment_state, "_with_plan", lambda one, plan: real(one, plan) if one.track == plan.product else one)


@pytest.mark.parametrize(
    "defect",
    [
        parts_are_not_written_with_their_payments,
        plans_are_written_without_a_condition,
        only_the_own_enrollment_has_the_standing,
    ],
    ids=lambda one: one.__name__,
)
def test_the_search_finds_a_planted_defect_of_plans(defect: Callable[[pytest.MonkeyPatch], None]) -> None:
    assert any(run_schedule(seed, defect) for seed in range(1, SCHEDULES)), "the search finds nothing"
