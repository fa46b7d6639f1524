"""The search itself: no schedule breaks a promise. Sizes and counts are in docs/testing.md."""

from collections import Counter
from typing import Any

import pytest

from tests.model.plans import PLANS, WHOLE
from tests.model.search import first_seed, one, report, schedules

SOAK = {
    "whole": (WHOLE, 44_000),
    "disputes": (("disputes", "appeals", "doubles"), 21_600),
    "many creates": (("many",), 42_000),
}
"""The full size: the plans in turn, and how many schedules."""
PARTS = 12
"""A test each, so that two workers share the work and what is done counts."""


def _look(plans: tuple[str, ...], seeds: range, record_property: Any) -> None:
    counts = Counter[str]()
    for seed in seeds:
        found = one(seed, plans[seed % len(plans)])
        assert not found.problems, report(found)
        counts.update(found.counts)
        counts["I/Os"] += len(found.trace)
    record_property("schedules", len(seeds))
    record_property("searched", dict(counts))


@pytest.mark.property
@pytest.mark.parametrize("part", range(4))
def test_whatever_order_whoever_dies_the_tables_end_as_stripe_is(part: int, record_property: Any) -> None:
    begin, count = first_seed(), schedules(1_000)
    _look((*WHOLE, "disputes", "appeals", "many"), range(begin + part, begin + count, 4), record_property)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SOAK)
def test_whatever_order_whoever_dies_at_full_size(name: str, part: int, record_property: Any) -> None:
    plans, count = SOAK[name]
    begin = first_seed()
    _look(plans, range(begin + part, begin + schedules(count), PARTS), record_property)


@pytest.mark.parametrize("plan", PLANS)
def test_a_seed_is_the_same_history_every_time(plan: str) -> None:
    first, second = one(11, plan), one(11, plan)
    assert first.trace == second.trace
    assert len(first.trace) > 5
