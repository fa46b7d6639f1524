"""The search over the whole life of plans, its planted defects, and kills at every I/O of each step of a plan.

The properties are those of `docs/decisions/0048-search-over-the-life-of-plans.md`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests import plan_calls
from tests.acceptance import ACCEPTANCE
from tests.model import plan_checkers
from tests.model.plan_life import InstallDefect, LifeResult, run_life
from tests.model.planted_defects import LIFE_DEFECTS
from tests.model.search import schedule_count
from tests.model.simulation import Fate, Killed, Simulation, running
from tests.seeds import first_seed
from tuition.core import catalog
from tuition.intake import collect, stripe_events
from tuition.payments import offers, plan_endings, plan_payments, plans
from tuition.payments.checkout import Buyer

DAY = 86_400.0
SCHEDULES = 10
FULL_SIZE = 6_000
PARTS = 12
"""The search at full size is split into so many tests, so that two workers share it and each part counts."""
FULL_SIZE_OF_DEFECTS = 400


def report(result: LifeResult) -> str:
    """Return the history of a violation in a readable form."""
    lines = "\n".join(f"  {line}" for line in result.trace[-200:])
    return f"seed {result.seed}: {'; '.join(result.problems)}\n{lines}"


def _search(seeds: Sequence[int], record_property: Any) -> None:
    counts = Counter[str]()
    for seed in seeds:
        result = run_life(seed)
        assert not result.problems, report(result)
        counts.update(result.counts)
        counts["I/Os"] += len(result.trace)
    record_property("schedules", len(seeds))
    record_property("searched", dict(counts))


@pytest.mark.property
@pytest.mark.parametrize("part", range(2))
def test_the_life_of_a_plan_holds_its_properties_in_any_order_of_steps_and_faults(
    part: int, record_property: Any
) -> None:
    first = first_seed()
    _search(range(first + part, first + min(SCHEDULES, schedule_count(SCHEDULES)), 2), record_property)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_the_life_of_a_plan_holds_its_properties_at_full_size(part: int, record_property: Any) -> None:
    first = first_seed()
    _search(range(first + part, first + schedule_count(FULL_SIZE), PARTS), record_property)


@pytest.mark.property
@pytest.mark.parametrize("seed", [168, 870, 996, 2893, 3087, 4622, 6054])
def test_a_life_that_once_violated_a_property_holds_it(seed: int) -> None:
    result = run_life(seed)
    assert not result.problems, report(result)


# --- planted defects ---


def _shows(seed: int, defect: InstallDefect) -> bool:
    """Whether a schedule shows a defect, and not merely that the defect itself names what no longer exists."""
    return any("AttributeError" not in problem for problem in run_life(seed, defect).problems)


@pytest.mark.property
@pytest.mark.parametrize("defect", LIFE_DEFECTS, ids=lambda defect: defect.__name__)
def test_the_search_of_lives_finds_a_planted_defect(defect: InstallDefect) -> None:
    seed = LIFE_DEFECTS[defect]
    assert _shows(seed, defect), f"seed {seed} no longer shows it: search another one (`make soak` does)"


@pytest.mark.soak
@pytest.mark.parametrize("defect", LIFE_DEFECTS, ids=lambda defect: defect.__name__)
def test_the_search_of_lives_finds_a_planted_defect_at_full_size(defect: InstallDefect, record_property: Any) -> None:
    first = first_seed()
    seeds = [seed for seed in range(first, first + FULL_SIZE_OF_DEFECTS) if _shows(seed, defect)]
    assert seeds, "the search finds nothing"
    assert not run_life(seeds[0]).problems, f"seed {seeds[0]} is a violation without the defect too"
    record_property("planted", f"{defect.__name__}: found by {len(seeds)} of {FULL_SIZE_OF_DEFECTS}")


# --- kills at every I/O ---


class Story:
    """A plan's life, step by step, with a kill at one I/O. A step that was killed is repeated, as its caller does."""

    def __init__(self, sim: Simulation, kill_at: int = 0, fate: Fate = "go") -> None:
        self.sim, self.kill_at, self.fate = sim, kill_at, fate
        self.ios = 0

    def run(self, act: Callable[[], Any]) -> Any:
        """Perform one step. Return its result."""
        for _ in range(3):
            actor = self.sim.spawn("actor", lambda: self.sim.invoke(act))
            while not actor.finished:
                self.ios += 1
                actor.step(self.fate if self.ios == self.kill_at else "go")
            if not isinstance(actor.result, Killed):
                assert not isinstance(actor.result, BaseException), repr(actor.result)
                return actor.result
            self.sim.pass_time(1_000)  # the lease or task of the killed step has expired
        raise AssertionError("killed twice")

    def begin(self, product: str = "DP") -> str:
        """Begin a plan and pay its first installment. Return the plan's id."""
        item = catalog.memberships()[product] if product == "ALL" else self.sim.catalog[product]
        names = {"track": None, "membership": "ALL"} if product == "ALL" else {"track": product, "membership": None}
        consent = offers.consent_of(item, item.offers[0]).version
        opened = self.run(
            lambda: plans.begin(
                Buyer("ada", "ada@example.org"),
                **names,
                offer=item.offers[0].offer,
                consent=consent,
                kind="intent",
                urls=plans.Urls(),
            )
        )
        self.sim.pay(opened.payment.stripe_object_id)
        self.deliver()
        return str(opened.payment.plan)

    def deliver(self) -> None:
        """Deliver all events of Stripe."""
        self.sim.pass_time(3)
        for event in [one for one in self.sim.new_events() if one["type"] in stripe_events.SUBSCRIBED]:
            self.run(lambda e=event: stripe_events.apply(e))

    def collect(self, days: float) -> None:
        """Let days pass and run the collector, which works on the hour in which it was killed."""
        self.sim.pass_time(days * DAY)
        self.run(lambda: collect.run(lambda: 900.0))
        self.deliver()

    def choose(self, plan_id: str, method: str) -> None:
        """Set up and choose another payment method."""
        setup = self.run(lambda: plans.begin_method(plan_id, "ada"))
        path = f"/v1/setup_intents/{setup.setup_intent_id}/confirm"
        setup_intent = self.sim.at_stripe("POST", path, payment_method=method, **ACCEPTANCE)
        self.run(lambda: plans.choose_method(plan_id, "ada", setup_intent["payment_method"]))
        self.deliver()

    def pay(self, plan_id: str) -> None:
        """Pay the next installment on the page."""
        opened = self.run(lambda: plan_payments.pay(plan_id, "ada", "ada@example.org", "next"))
        self.sim.pay(opened.payment.stripe_object_id)
        self.deliver()


def installments(story: Story) -> str:
    plan_id = story.begin()
    story.collect(24)
    story.choose(plan_id, "pm_card_mastercard")
    story.collect(7)
    story.pay(plan_id)
    return plan_id


def withdrawal(story: Story) -> str:
    plan_id = story.begin()
    story.pay(plan_id)
    story.run(lambda: plan_endings.cancel(plan_id, "ada", "changed my mind"))
    story.deliver()
    story.collect(1)
    return plan_id


def membership(story: Story) -> str:
    plan_id = story.begin("ALL")
    story.run(lambda: plans.begin_track(plan_id, "ada", "FSD"))
    story.collect(24)
    story.collect(7)
    story.run(lambda: plan_endings.cancel(plan_id, "ada", None))
    story.collect(40)
    return plan_id


def outcome(tell: Callable[[Story], str], kill_at: int = 0, fate: Fate = "go") -> tuple[Any, int]:
    """Return what a story came to, and the number of its I/Os."""
    with pytest.MonkeyPatch.context() as patch, running(1, patch) as sim:
        plan_calls.offer_plans(patch.setattr)
        sim.catalog = dict(catalog.tracks())
        watch = plan_checkers.Watch(sim, Counter())
        story = Story(sim, kill_at, fate)
        plan = sim.plan(tell(story))
        assert [
            *sim.problems,
            *plan_checkers.plan_problems(sim),
            *plan_checkers.final_problems(sim, int(sim.now)),
        ] == []
        intents = plan_checkers.intents_of(sim, plan.plan_id)
        settled = sorted((one["metadata"]["covers"], one["amount_received"]) for one in intents)
        refunds = sorted((one["amount"], one["status"]) for one in sim.objects("refund"))
        decisions = [one.decision for one in plan.decisions]
        enrollments = {one: sim.enrollment("ada", one).status for one in {plan.product, *plan.tracks}}
        facts = (decisions, plan.covered, [*plan.facts.tries], watch.counts["charges"])
        return (plan.status, facts, enrollments, settled, refunds), story.ios


EXPECTED = {installments: "ACTIVE", withdrawal: "REFUNDED", membership: "CLOSED"}


def _kill(tell: Callable[[Story], str], every: int) -> None:
    expected, ios = outcome(tell)
    assert expected[0] == EXPECTED[tell]
    assert ios > 40
    for kill_at in range(1 + first_seed() % every, ios + 1, every):
        for fate in ("kill before", "kill after"):
            assert outcome(tell, kill_at, fate)[0] == expected, f"{fate} at I/O {kill_at}"


@pytest.mark.property
@pytest.mark.parametrize("tell", EXPECTED, ids=lambda tell: tell.__name__)
def test_a_plan_killed_at_an_io_of_any_step_comes_to_the_same_without_a_second_charge(
    tell: Callable[[Story], str],
) -> None:
    _kill(tell, every=37)


@pytest.mark.soak
@pytest.mark.parametrize("tell", EXPECTED, ids=lambda tell: tell.__name__)
def test_a_plan_killed_at_every_io_comes_to_the_same_without_a_second_charge(tell: Callable[[Story], str]) -> None:
    _kill(tell, every=1)
