"""One fault harness per test worker, and the DynamoDB on which each test runs."""

import zlib
from collections.abc import Iterator

import pytest

from tests.chaos.harness import Database, FaultHarness, open_database, start_harness
from tests.harness import delete_tables
from tests.seeds import first_seed

DYNAMODB_LOCAL_PERCENT = 8
"""Of the tests. The seed of the run, `TUITION_SEED`, decides which."""
ON_DYNAMODB_LOCAL = ("threads", "soak")
"""The markers of the tests that always run on DynamoDB Local. Decision 37 has the reasons."""


@pytest.fixture(scope="package")
def _harness() -> Iterator[FaultHarness]:
    with start_harness() as started:
        yield started


@pytest.fixture(scope="package")
def _dynamodb_local(dynamodb_local_url: str) -> Iterator[Database]:
    """Tables for the tests of this folder. The tests of other folders then create their own."""
    database = open_database(dynamodb_local_url)
    yield database
    delete_tables(database.client)


@pytest.fixture
def harness(_harness: FaultHarness, request: pytest.FixtureRequest) -> Iterator[FaultHarness]:
    """The harness with the DynamoDB of this test: DynamoDB Local for some, otherwise the one in memory."""
    in_memory, name = _harness.database, request.node.name
    is_drawn = zlib.crc32(f"{first_seed()} {name}".encode()) % 100 < DYNAMODB_LOCAL_PERCENT
    if is_drawn or any(request.node.get_closest_marker(marker) for marker in ON_DYNAMODB_LOCAL):
        _harness.use(request.getfixturevalue("_dynamodb_local"))
    yield _harness
    _harness.use(in_memory)
