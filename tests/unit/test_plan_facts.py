"""The facts of a plan merge in any order, and are stored as JSON without loss. So are its terms and parts."""

import functools
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.plan_stories import FOUR, MEMBERSHIP, Story
from tuition.core import plan_facts, plan_methods
from tuition.core.facts import Acknowledgement
from tuition.core.offers import PlanOffer
from tuition.core.plan_basis import PlanBasis
from tuition.core.plan_facts import NO_PLAN_FACTS, Answer, Method, PlanDecision, PlanFacts, Try, merge
from tuition.core.plan_parts import Part
from tuition.core.plan_rules import PlanRules
from tuition.core.plan_terms import PlanTerms


def random_facts(seed: int) -> PlanFacts:
    """Return facts from a domain so small that two of them often differ in one field only."""
    rng = random.Random(seed)

    def small() -> int:
        return rng.randint(0, 3)

    def word() -> str:
        return rng.choice(("a", "b"))

    def maybe[T](make: Callable[[], T]) -> T | None:
        return make() if rng.random() < 0.5 else None

    def many[T](make: Callable[[], T], keys: tuple[str, ...] = ("x", "y")) -> dict[str, T]:
        return {key: make() for key in keys if rng.random() < 0.5}

    def decision() -> PlanDecision:
        seqs, accepts = ((), (1,), (1, 2))[rng.randrange(3)], rng.choice(((), ("re_1",)))
        return PlanDecision(
            version=small(), decision=rng.choice(("pause", "resume", "close")), at=small(), actor="staff", seqs=seqs,
            to=maybe(word), refund=rng.choice((None, "all", "none")), access=maybe(lambda: rng.random() < 0.5),
            accepts=accepts, note=word(),
        )  # fmt: skip

    def method() -> Method:
        times = {name: maybe(small) for name in ("chosen", "updated", "replaced", "gone")}
        return Method(set_up=small(), type=maybe(word), **times)

    def a_try() -> Try:
        answer = maybe(lambda: Answer(small(), maybe(word), maybe(word), maybe(word)))
        return Try(at=small(), payment_id=maybe(word) or "", seq=small(), method=maybe(word), answer=answer)

    return PlanFacts(
        observed=small(),
        announced=many(small, ("1:2026-03-01", "2:2026-03-01")),
        bounced=many(small, ("1:2026-03-01", "2:2026-03-01")),
        decisions=many(decision),
        methods=many(method),
        tries=many(a_try),
        tracks=many(small),
        last_number=small(),
        acknowledged=many(lambda: Acknowledgement(small(), word(), "staff", "checked")),
        rebuilt=rng.random() < 0.3,
        erased=rng.random() < 0.3,
    )


facts = st.integers(0, 2**32).map(random_facts)
many_examples = settings(max_examples=150, deadline=None, derandomize=True)


@pytest.mark.property
@many_examples
@given(facts, facts, facts)
def test_plan_facts_merge_in_any_order_and_more_than_once(a: PlanFacts, b: PlanFacts, c: PlanFacts) -> None:
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    once = merge(a, b)
    assert merge(once, b) == once == merge(once, a)
    assert merge(once, NO_PLAN_FACTS) == once


@pytest.mark.property
@many_examples
@given(facts)
def test_plan_facts_survive_a_json_round_trip(original: PlanFacts) -> None:
    assert PlanFacts.from_json(json.loads(json.dumps(original.to_json()))) == original
    assert NO_PLAN_FACTS.to_json() == {}


@pytest.mark.property
@many_examples
@given(facts, facts)
def test_an_erasure_leaves_the_same_plan_facts_at_every_place_among_the_changes(a: PlanFacts, b: PlanFacts) -> None:
    changes = [replace(a, erased=False), replace(b, erased=False), PlanFacts(erased=True)]
    first, *others = [functools.reduce(merge, order) for order in itertools.permutations(changes)]
    assert all(other == first for other in others)
    assert not (first.methods or first.tries) and {one.note for one in first.decisions.values()} <= {""}


@pytest.mark.parametrize("size", [plan_facts.MAX_TRIES + 40])
def test_only_the_newest_tries_announcements_methods_and_notes_are_kept_in_any_order(size: int) -> None:
    changes = [
        PlanFacts(
            announced={f"{n}:2026-03-01": 1},
            tries={f"day:{n}": Try(at=n, payment_id="pay_1", seq=n, method="pm_1")},
            methods={f"pm_{n}": Method(set_up=n, chosen=10**9 if n == 1 else None)},
            decisions={f"dec_{n}": PlanDecision(version=n, decision="continue", at=n, actor="u", note="n")},
        )
        for n in range(1, size + 1)
    ]
    random.Random(1).shuffle(changes)
    forward, backward = functools.reduce(merge, changes), functools.reduce(merge, reversed(changes))
    assert forward == backward
    assert len(forward.tries) == len(forward.announced) == plan_facts.MAX_TRIES == plan_facts.MAX_ANNOUNCEMENTS
    assert (len(forward.methods), sum(bool(one.note) for one in forward.decisions.values())) == (50, 20)
    assert {"pm_1", f"pm_{size}"} <= {*forward.methods}
    assert f"day:{size}" in forward.tries and f"{size}:2026-03-01" in forward.announced


def test_a_method_that_is_replaced_or_gone_stays_so_in_any_order() -> None:
    set_up, gone = PlanFacts(methods={"pm_1": Method(set_up=5)}), PlanFacts(methods={"pm_1": Method(set_up=9, gone=9)})
    assert merge(set_up, gone).methods["pm_1"] == merge(gone, set_up).methods["pm_1"] == Method(set_up=5, gone=9)
    assert merge(set_up, gone).methods["pm_1"].is_final


def test_the_method_that_the_student_chose_last_is_charged_in_any_order() -> None:
    first, second = ({name: Method(set_up=at)} for name, at in (("pm_1", 5), ("pm_2", 9)))
    again = {"pm_1": Method(set_up=5, chosen=12)}
    for changes in itertools.permutations((first, second, again)):
        facts = functools.reduce(merge, (PlanFacts(methods=methods) for methods in changes))
        assert plan_methods.chosen(PlanBasis(terms=FOUR, facts=facts)) == "pm_1"


def test_a_method_that_is_set_up_in_the_second_of_the_first_payment_is_charged() -> None:
    story = Story(terms=FOUR)
    story.begin()
    first = story.plan.first_payment
    assert first and first.method and first.settled_at
    same_second = PlanFacts(methods={"pm_0": Method(set_up=first.settled_at)})
    assert first.method > "pm_0"
    assert plan_methods.chosen(story.plan) == first.method
    assert plan_methods.chosen(story.plan.merged(same_second)) == "pm_0"


def test_the_terms_of_a_plan_are_those_of_its_offer_and_the_rules_of_that_day() -> None:
    offer = PlanOffer("4x", (12475,) * 4, "usd", "month")
    rules = PlanRules(grace_days=21, retry_days=(0, 5), give_up_days=90, notice_days=3)
    terms = PlanTerms.of(offer, rules, zone="UTC", consent_version="2026-11", agreed_at=FOUR.agreed_at)
    assert terms == replace(FOUR, **rules._asdict())


@pytest.mark.parametrize("terms", [FOUR, MEMBERSHIP])
def test_terms_and_parts_survive_a_json_round_trip(terms: PlanTerms) -> None:
    assert PlanTerms.from_json(json.loads(json.dumps(terms.to_json()))) == terms
    story = Story(terms=terms, bank=lambda *_: "insufficient_funds")
    first = story.begin()
    story.refund(first, 100, request="rr_1")
    story.dispute(first, "needs_response")
    story.create(2)
    story.charge(next(reversed(story.payments)), "processing")
    for part in story.plan.parts.values():
        assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part
