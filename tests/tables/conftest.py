"""Each test here runs on moto and on DynamoDB Local."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from tests.world import Student, World, client_for, create_tables, world

_people = itertools.count(1)


@pytest.fixture(scope="session", params=["moto", "dynamodb-local"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def _connected(backend: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    if backend == "moto":
        with mock_aws():
            yield client_for(None)
    else:
        yield client_for(request.getfixturevalue("dynamodb_local_url"))


@pytest.fixture(scope="module")
def client(_connected: Any) -> Iterator[Any]:
    """One set of tables a file: tests keep apart by their users. moto copies whole tables for each transaction, so
    they must not grow over the whole run."""
    create_tables(_connected)
    yield _connected
    for name in _connected.list_tables()["TableNames"]:
        _connected.delete_table(TableName=name)


@pytest.fixture
def tuition(client: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[World]:
    """Its seed is the test's own: no two tests make the same Stripe ids."""
    import zlib

    with world(client, monkeypatch, seed=zlib.crc32(request.node.nodeid.encode())) as made:
        yield made


@pytest.fixture
def student() -> Student:
    return Student(f"student-{next(_people)}")


@pytest.fixture
def admin() -> Student:
    return Student(f"admin-{next(_people)}", groups=("admin",))


@pytest.fixture
def walk(tuition: World) -> None:
    """A run knows of no other test's: the tables are shared, the simulator is each test's own."""
    for table, key in (("cursors", "name"), ("payments", "payment_id"), ("quarantine", "event_id")):
        for item in tuition.tables.scan(TableName=table)["Items"]:
            tuition.tables.delete_item(TableName=table, Key={key: item[key]})
