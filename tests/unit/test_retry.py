"""Bounded retries."""

import pytest

from tuition import clock, retry
from tuition.retry import Limit


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the longest wait that each pause allows, instead of waiting."""
    clock.start_deadline()
    recorded: list[float] = []
    monkeypatch.setattr(clock.random, "uniform", lambda _low, high: high)
    monkeypatch.setattr(clock.time, "sleep", recorded.append)
    return recorded


def test_there_is_a_wait_before_every_attempt_but_the_first(waits: list[float]) -> None:
    waits_seen = [len(waits) for _ in retry.attempts(Limit(4))]
    assert waits_seen == [0, 1, 2, 3]
    assert len(waits) == 3  # the last failure is final: it is followed by no wait


def test_waits_double_up_to_the_longest(waits: list[float]) -> None:
    assert list(retry.attempts(Limit(6, base_s=0.1, max_s=1.0))) == [1, 2, 3, 4, 5, 6]
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0])


def test_a_limit_without_a_base_does_not_wait(waits: list[float]) -> None:
    assert len(list(retry.attempts(Limit(5, base_s=0)))) == 5
    assert waits == []


def test_a_wait_ends_at_the_deadline(waits: list[float]) -> None:
    clock.start_deadline(0.0)
    list(retry.attempts(Limit(3)))
    assert waits == [0.0, 0.0]
    clock.start_deadline()
