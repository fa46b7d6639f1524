"""Fixtures of the tests that run twice: on moto and on DynamoDB Local."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from tests.harness import Harness, Student, client_for, create_tables, running_harness

_user_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=["moto", "dynamodb-local"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def _backend_client(backend: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    if backend == "moto":
        with mock_aws():
            yield client_for(None)
    else:
        yield client_for(request.getfixturevalue("dynamodb_local_url"))


@pytest.fixture(scope="module")
def client(_backend_client: Any) -> Iterator[Any]:
    """Create one set of tables per file; each test has its own users.

    moto copies whole tables for each transaction, so the tables must not grow over the whole run.
    """
    create_tables(_backend_client)
    yield _backend_client
    for name in _backend_client.list_tables()["TableNames"]:
        _backend_client.delete_table(TableName=name)


@pytest.fixture
def tuition(client: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Harness]:
    """A harness with a seed of the test's own, so that no two tests create the same Stripe ids."""
    import zlib

    with running_harness(client, monkeypatch, seed=zlib.crc32(request.node.nodeid.encode())) as harness:
        yield harness


@pytest.fixture
def student() -> Student:
    return Student(f"student-{next(_user_numbers)}")


@pytest.fixture
def admin() -> Student:
    return Student(f"admin-{next(_user_numbers)}", groups=("admin",))


@pytest.fixture
def empty_tables(tuition: Harness) -> None:
    """Delete other tests' payments, cursors and quarantined events, because the simulator does not have them."""
    for table, key in (("cursors", "name"), ("payments", "payment_id"), ("quarantine", "event_id")):
        for item in tuition.tables.scan(TableName=table)["Items"]:
            tuition.tables.delete_item(TableName=table, Key={key: item[key]})
