"""What a container keeps a while."""

import pytest

from tuition import clock
from tuition.cache import Cache


def test_a_value_is_kept_as_long_as_was_said_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1000.0
    monkeypatch.setattr(clock, "now", lambda: at)
    kept: Cache[str] = Cache()
    assert kept.get("a") is None
    assert kept.keep("a", "x", 5) == "x"
    at = 1004.9
    assert (kept.get("a"), kept.get("b")) == ("x", None)
    at = 1005.0
    assert kept.get("a") is None


def test_what_is_kept_does_not_grow_without_end() -> None:
    kept: Cache[int] = Cache()
    for n in range(5000):
        kept.keep(str(n), n, 60)
    assert kept.get("4999") == 4999
    assert sum(kept.get(str(n)) is not None for n in range(5000)) <= 1001
