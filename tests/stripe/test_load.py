"""What the benchmark measures, bounded: a hundred requests a second on one core, and memory that grows evenly."""

import pytest

from benchmarks.stripe_simulator import Part, run, table


def bounded(parts: list[Part], requests: int) -> None:
    assert sum(part.requests for part in parts) == requests
    assert sum(part.requests for part in parts) / max(0.01, sum(part.cpu_s for part in parts)) > 100, table(parts)
    for what in ("create", "pay"):
        early, late = ([p.grown for p in parts if p.what == what][of] for of in (slice(1, 3), slice(3, 5)))
        assert sum(late) < 1.3 * sum(early) + 512 * 1024, table(parts)
    assert all(part.bytes_each < 64 * 1024 for part in parts[1:]), table(parts)


def test_two_thousand_intents_are_served_by_one_core_in_even_memory() -> None:
    bounded(run(2000), 4000)


@pytest.mark.soak
def test_five_thousand_intents_created_and_five_thousand_paid() -> None:
    parts = run(5000)
    bounded(parts, 10_000)
    assert min(part.per_second for part in parts) > 100, table(parts)
