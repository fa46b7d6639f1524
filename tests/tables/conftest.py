"""Fixtures of the tests on tables: in DynamoDB Local, and for the files of `ON_MOTO_TOO` also in moto."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from tests import stored_data
from tests.harness import Harness, Student, client_for, create_tables, delete_tables, running_harness
from tuition.core.emails import Email
from tuition.outbox import rendering
from tuition.outbox.rendering import Rendered

_user_numbers = itertools.count(1)
ON_MOTO_TOO: Mapping[str, str] = {
    "test_creates.py": "creates that compete: which cancellation reason decides the answer",
    "test_first_purchases.py": "the claim of a first purchase is a condition on another item",
    "test_large_events.py": "the size limit of an item",
    "test_ledger.py": "transactions, their conditions, and the item that a canceled one returns",
    "test_malicious_input.py": "any text as a value and as a part of a key",
    "test_refund_queue.py": "a sparse index, to which an item is added and from which it is removed",
    "test_shards.py": "every index, its order and its paging, in one and in four shards",
    "test_stripe_events.py": "an event is applied once: the condition on the audit record, and the quarantine",
    "test_student_views.py": "consistent reads of a partition in pages",
}
"""The files whose tests also run on moto, and the feature of DynamoDB that they use.

All tests run on DynamoDB Local: it is closer to AWS, its transactions are atomic under threads, and a test takes half
the processor time there. A second implementation of DynamoDB can find only a statement that we misunderstand, so only
the tests of statements need it. A rule about payments holds or fails alike on both.
"""


def backends_of(file: Path) -> list[str]:
    """Return the backends on which the tests of a file run."""
    return ["moto", "dynamodb-local"] if file.name in ON_MOTO_TOO else ["dynamodb-local"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on both backends if its file is in `ON_MOTO_TOO`, otherwise on DynamoDB Local alone."""
    if "backend" in metafunc.fixturenames:
        backends = backends_of(Path(metafunc.module.__file__))
        metafunc.parametrize("backend", backends, indirect=True, scope="session")


@pytest.fixture(scope="session")
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
    names = _backend_client.list_tables()["TableNames"]
    stored = {name: [item for item in _items(_backend_client, name) if not _is_forged(item)] for name in names}
    delete_tables(_backend_client)
    assert stored_data.problems_of_tables(stored) == []


def _is_forged(item: dict[str, Any]) -> bool:
    """Whether a test has forged a record, whose transition may have any shape."""
    return item.get("event_id", {}).get("S", "").startswith("forged-")


def _items(client: Any, table: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("scan").paginate(TableName=table):
        yield from page["Items"]


@pytest.fixture
def tuition(client: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Harness]:
    """A harness with a seed of the test's own, so that no two tests create the same Stripe ids."""
    import zlib

    with running_harness(client, monkeypatch, seed=zlib.crc32(request.node.nodeid.encode())) as harness:
        yield harness


@pytest.fixture(autouse=True)
def _emails_are_declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check each email that is rendered, before it is sent."""
    problems: list[str] = []

    def checked(email: Email) -> Rendered:
        rendered = render(email)
        values = {name: str(value) for name, value in email.values.items()}
        problems.extend(stored_data.problems("email", [values, vars(rendered)]))
        return rendered

    render = rendering.render
    monkeypatch.setattr(rendering, "render", checked)
    yield
    assert problems == []


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
        tuition.empty_table(table, key)
