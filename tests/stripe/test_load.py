"""The simulator's speed and memory use stay within bounds, measured by its benchmark."""

from tests.stripe.simulator_load import run, table


def test_ten_thousand_payment_intents_run_at_a_hundred_per_second_with_linear_memory() -> None:
    parts = run(5000)
    assert sum(part.requests for part in parts) == 10_000
    assert min(part.per_second for part in parts) > 100, table(parts)
    for operation in ("create", "pay"):
        parts_of_operation = [part for part in parts if part.kind == operation]
        early, late = parts_of_operation[1:3], parts_of_operation[3:5]
        assert sum(part.memory_growth for part in late) < 1.1 * sum(part.memory_growth for part in early), table(parts)
    assert all(part.bytes_per_request < 64 * 1024 for part in parts[1:]), table(parts)
