"""The cache that keeps values for a limited time."""

import pytest

from tuition import clock, settings
from tuition.cache import Cache
from tuition.stripe_gateway import client


def test_a_value_expires_after_its_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1000.0
    monkeypatch.setattr(clock, "now", lambda: at)
    cache: Cache[str] = Cache()
    assert cache.get("a") is None
    assert cache.keep("a", "x", 5) == "x"
    at = 1004.9
    assert (cache.get("a"), cache.get("b")) == ("x", None)
    at = 1005.0
    assert cache.get("a") is None


def test_the_number_of_cached_values_is_bounded() -> None:
    cache: Cache[int] = Cache()
    for n in range(5000):
        cache.keep(str(n), n, 60)
    assert cache.get("4999") == 4999
    assert sum(cache.get(str(n)) is not None for n in range(5000)) <= 1001


@pytest.mark.parametrize(("interval_ms", "waits"), [("0", []), ("250", [0.25, 0.5])])
def test_calls_of_the_reconciler_to_stripe_start_at_their_pace(
    monkeypatch: pytest.MonkeyPatch, interval_ms: str, waits: list[float]
) -> None:
    slept: list[float] = []
    monkeypatch.setenv("STRIPE_CALL_INTERVAL_MS", interval_ms)
    monkeypatch.setattr(clock.time, "sleep", lambda seconds: slept.append(round(seconds, 3)))
    monkeypatch.setattr(clock.time, "monotonic", lambda: 1_000.0)
    clock.start_deadline()
    settings.settings.cache_clear()
    pace = client.Pace()
    for _ in range(3):
        pace.wait()
    settings.settings.cache_clear()
    assert slept == waits
