"""One fault harness per test worker."""

from collections.abc import Iterator

import pytest

from tests.chaos.harness import FaultHarness, start_harness


@pytest.fixture(scope="package")
def harness(dynamodb_local_url: str) -> Iterator[FaultHarness]:
    """A harness for the tests of this folder. The tests of other folders then create their own tables."""
    with start_harness(dynamodb_local_url) as started:
        yield started
