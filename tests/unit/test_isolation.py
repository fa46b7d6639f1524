"""A test starts with empty caches, and one that leaves something behind for others is reported."""

import importlib
import os
import time
from pathlib import Path

import pytest

from tests import isolation
from tuition import cache, clock, settings
from tuition.outbox import publish
from tuition.storage import dynamodb
from tuition.stripe_gateway import client as stripe_client
from tuition.views import recorded_reads


@pytest.mark.parametrize("position", ["first", "second"])
def test_a_test_starts_without_the_settings_secrets_and_deadline_of_another(position: str) -> None:
    assert settings.settings.cache_info().currsize == 0
    assert settings._kept.get("stripe") is None
    assert clock.remaining_s() == clock.DEADLINE_S
    settings.settings()
    settings._kept.keep("stripe", {"secret_key": position}, 600)
    clock.start_deadline(1)


def test_the_caches_of_settings_secrets_reads_and_clients_are_emptied() -> None:
    emptied = {id(one) for one in isolation.caches()}
    expected = [settings.settings, settings._kept, settings._reread, recorded_reads._recorded]
    expected += [dynamodb.client, stripe_client._client_for, publish._client]
    assert [one for one in expected if id(one) not in emptied] == []


def test_every_cache_that_stays_exists() -> None:
    for name in isolation.OF_THE_CODE:
        module, _, function = name.rpartition(".")
        stays = getattr(importlib.import_module(module), function)
        assert stays.cache_info().currsize >= 0
        assert id(stays) not in {id(one) for one in isolation.caches()}


def test_a_cache_of_values_is_emptied() -> None:
    values: cache.Cache[int] = cache.Cache()
    assert isolation._is_cache(values)


def test_each_change_that_a_test_leaves_behind_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = isolation.state()
    assert isolation.changes(before, isolation.state()) == []
    with monkeypatch.context() as patch:
        patch.setenv("LEFT_BEHIND", "a secret")
        patch.chdir(tmp_path)
        patch.setattr(time, "sleep", lambda _: None)
        patch.syspath_prepend(str(tmp_path))
        changes = isolation.changes(before, isolation.state())
    assert changes == ["the variable LEFT_BEHIND", "folder", "sleep", "import path"]
    assert isolation.changes(before, isolation.state()) == []


def test_the_environment_of_every_test_is_set() -> None:
    assert isolation.ENVIRONMENT.keys() <= os.environ.keys()
