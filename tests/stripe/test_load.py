"""The simulator's speed and memory use stay within bounds, measured by its benchmark."""

import pytest

from tests.stripe.simulator_comparison import OPERATIONS, Figures, compare, simulator
from tests.stripe.simulator_comparison import table as comparison_table
from tests.stripe.simulator_load import run, table


@pytest.mark.parametrize("intents", [2500, pytest.param(5000, marks=pytest.mark.soak)])
def test_thousands_of_payment_intents_run_at_a_hundred_per_second_with_linear_memory(intents: int) -> None:
    parts = run(intents)
    assert sum(part.requests for part in parts) == pytest.approx(2 * intents, rel=0.01)
    assert min(part.per_second for part in parts) > 100, table(parts)
    for operation in ("create", "pay"):
        parts_of_operation = [part for part in parts if part.kind == operation]
        early, late = parts_of_operation[1:3], parts_of_operation[3:5]
        assert sum(part.memory_growth for part in late) < 1.1 * sum(part.memory_growth for part in early), table(parts)
    assert all(part.bytes_per_request < 64 * 1024 for part in parts[1:]), table(parts)


def test_the_comparison_measures_every_operation_on_two_simulators_by_turns() -> None:
    programs = [Figures(simulator), Figures(simulator)]
    compare(programs, rounds=2, requests=3, objects=20)
    for figures in programs:
        assert len(figures.starts) == 3 and min(figures.starts) > 0
        assert figures.empty > 0 and figures.full > 0 and figures.fill_s > 0
        for operation in OPERATIONS:
            assert [len(times) for times in figures.times[operation]] == [3, 3]
            assert 0 < figures.percentile(operation, 50) <= figures.percentile(operation, 99)
    lines = comparison_table(*programs, objects=20).splitlines()
    assert len(lines) == 3 + 3 * len(OPERATIONS) + 4


def test_the_comparison_has_the_median_rate_of_the_rounds_and_the_ratio_of_both() -> None:
    fast, slow = Figures(simulator), Figures(simulator)
    for figures, seconds in ((fast, 0.01), (slow, 0.04)):
        figures.starts, figures.empty, figures.full, figures.fill_s = [seconds], 2**20, 2**21, seconds
        for operation in OPERATIONS:
            figures.times[operation] = [[seconds] * 2, [seconds * 100] * 2, [seconds] * 2]
    assert (round(fast.rate("get customer")), round(slow.rate("get customer"))) == (100, 25)
    assert (fast.percentile("get customer", 50), fast.percentile("get customer", 99)) == (10, 1000)
    text = comparison_table(fast, slow, 20)
    assert "get customer: per second                 100.0         25.0    4.00" in text
    assert "start, ms                                 10.0         40.0    4.00" in text
