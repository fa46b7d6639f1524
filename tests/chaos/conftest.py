"""One fault harness per test worker."""

from collections.abc import Iterator

import pytest

from tests.chaos.harness import FaultHarness, start_harness


@pytest.fixture(scope="session")
def harness() -> Iterator[FaultHarness]:
    with start_harness() as started:
        yield started
