"""What the benchmark measures, bounded: a hundred requests a second on one core, and memory that grows evenly."""

from tests.stripe.simulator_load import run, table


def test_five_thousand_intents_are_created_and_paid_on_one_core_in_even_memory() -> None:
    parts = run(5000)
    assert sum(part.requests for part in parts) == 10_000
    assert min(part.per_second for part in parts) > 100, table(parts)
    for what in ("create", "pay"):
        early, late = ([p.memory_growth for p in parts if p.kind == what][of] for of in (slice(1, 3), slice(3, 5)))
        assert sum(late) < 1.1 * sum(early), table(parts)
    assert all(part.bytes_per_request < 64 * 1024 for part in parts[1:]), table(parts)
