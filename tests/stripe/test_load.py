"""The simulator's speed and memory use stay within bounds, measured by its benchmark."""

from tests.stripe.simulator_load import run, table


def test_ten_thousand_payment_intents_run_at_a_hundred_per_second_with_linear_memory() -> None:
    parts = run(5000)
    assert sum(part.requests for part in parts) == 10_000
    assert min(part.per_second for part in parts) > 100, table(parts)
    for what in ("create", "pay"):
        early, late = ([p.memory_growth for p in parts if p.kind == what][of] for of in (slice(1, 3), slice(3, 5)))
        assert sum(late) < 1.1 * sum(early), table(parts)
    assert all(part.bytes_per_request < 64 * 1024 for part in parts[1:]), table(parts)
