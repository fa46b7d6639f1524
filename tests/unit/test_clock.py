"""The cache that keeps values for a limited time."""

import pytest

from tuition import clock
from tuition.cache import Cache


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
