"""The limits per user, raised for tests about something else, such as races of fifty creates."""

import pytest

from tuition import settings

NAMES = (
    *("DECLINES_PER_HOUR", "DECLINES_PER_DAY", "PAYMENTS_PER_HOUR"),
    *("REFUSED_CODES_PER_TEN_MINUTES", "STRIPE_REQUESTS_BURST", "STRIPE_REQUESTS_PER_MINUTE"),
)


def set_limits(monkeypatch: pytest.MonkeyPatch, **values: int | str) -> None:
    """Set settings by their name in lower case."""
    for name, value in values.items():
        monkeypatch.setenv(name.upper(), str(value))
    settings.settings.cache_clear()


def raise_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set every limit so high that no test reaches it."""
    set_limits(monkeypatch, **{name.lower(): 10_000 for name in NAMES})
