"""The search itself: no schedule breaks a promise."""

from collections import Counter

import pytest

from tests.model.search import MIX, first_seed, one, report, schedules

SLICES = 6
"""A test a slice, so that two workers share the work."""


def _look(slice_: int, count: int) -> None:
    begin, counts, actors = first_seed(), Counter[str](), 0
    for seed in range(begin + slice_, begin + count, SLICES):
        found = one(seed)
        assert not found.problems, report(found)
        counts.update(found.counts)
        actors += len(found.trace)
    print(f"TUITION_SEED={begin} TUITION_SCHEDULES={count} slice {slice_}: {actors} I/Os, {dict(counts)}")


@pytest.mark.property
@pytest.mark.parametrize("slice_", range(SLICES))
def test_whatever_order_whoever_dies_the_tables_end_as_stripe_is(slice_: int) -> None:
    _look(slice_, schedules(72))


@pytest.mark.soak
@pytest.mark.parametrize("slice_", range(SLICES))
def test_whatever_order_whoever_dies_at_full_size(slice_: int) -> None:
    _look(slice_, schedules(60_000))


@pytest.mark.parametrize("plan", sorted(set(MIX)))
def test_a_seed_is_the_same_history_every_time(plan: str) -> None:
    first, second = one(11, plan), one(11, plan)
    assert first.trace == second.trace
    assert len(first.trace) > 5
