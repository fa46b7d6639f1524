"""The simulator's speed and memory use stay within bounds, measured by its benchmark."""

from benchmarks.stripe_simulator import run, table


def test_ten_thousand_payment_intents_run_at_a_hundred_per_second_with_linear_memory() -> None:
    parts = run(5000)
    assert sum(part.requests for part in parts) == 10_000
    assert min(part.per_second for part in parts) > 100, table(parts)
    for operation in ("create", "pay"):
        parts_of_operation = [part for part in parts if part.what == operation]
        early, late = parts_of_operation[1:3], parts_of_operation[3:5]
        assert sum(part.grown for part in late) < 1.1 * sum(part.grown for part in early), table(parts)
    assert all(part.bytes_each < 64 * 1024 for part in parts[1:]), table(parts)
