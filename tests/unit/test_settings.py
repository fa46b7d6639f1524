"""Which of Stripe's keys a function uses."""

from collections.abc import Iterator
from typing import Any

import pytest

from tuition import settings
from tuition.core.errors import NotConfigured


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STRIPE_SECRET_ARN", "stripe")
    settings.settings.cache_clear()
    settings._kept.clear()
    yield
    settings.settings.cache_clear()
    settings._kept.clear()


KEYS = {name: f"rk_test_{name}" for name in ("default", "refunds", "webhook", "reconcile")}


def key(monkeypatch: pytest.MonkeyPatch, secret: dict[str, Any], group: str) -> str:
    monkeypatch.setenv("STRIPE_KEY_GROUP", group)
    monkeypatch.setattr(settings, "_read_secret", lambda arn: secret)
    return settings.stripe_secret_key()


@pytest.mark.parametrize("group", ["", *KEYS])
def test_one_key_works_for_every_group(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    assert key(monkeypatch, {"secret_key": "sk_test_1"}, group) == "sk_test_1"


@pytest.mark.parametrize("group", KEYS)
def test_a_function_uses_its_groups_key(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    assert key(monkeypatch, {**KEYS, "secret_key": "sk_test_1"}, group) == KEYS[group]


def test_a_group_without_a_key_uses_the_default_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key(monkeypatch, {"default": "rk_test_1", "refunds": ""}, "refunds") == "rk_test_1"


@pytest.mark.parametrize("secret", [{}, {"webhook": "rk_test_1"}, {"refunds": 5}, {**KEYS, "refunds": "rk_live_1"}])
def test_a_missing_key_or_one_of_the_other_mode_is_refused(
    monkeypatch: pytest.MonkeyPatch, secret: dict[str, Any]
) -> None:
    with pytest.raises(NotConfigured):
        key(monkeypatch, secret, "refunds")
