"""The number of shards of every index, for tests that run with another one than the shipped.

`TUITION_SHARDS=4` runs any test with four shards of each index, except those whose functions run in a process of their
own.
"""

import os

import pytest

from tuition.storage import keys
from tuition.storage.keys import Shards

NUMBERS = (1, 4)
"""The numbers with which the model tests and the tests of the readers run."""


def set_shards(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Give every index this number of shards."""
    monkeypatch.setattr(keys, "SHARDS", {attribute: Shards(number, number) for attribute in keys.SHARDS})


def set_shards_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every index `TUITION_SHARDS` shards. Without the variable the shipped numbers stay."""
    if number := os.environ.get("TUITION_SHARDS"):
        set_shards(monkeypatch, int(number))
