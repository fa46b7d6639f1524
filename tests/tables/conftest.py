"""Fixtures of the tests on tables, and the DynamoDB on which each test runs."""

import itertools
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from tests import permissions, stored_data
from tests.harness import (
    Harness,
    Student,
    client_for,
    create_tables,
    delete_tables,
    in_memory_client,
    running_harness,
)
from tests.in_memory_dynamodb.client import Client
from tests.in_memory_dynamodb.comparison import Comparison
from tests.seeds import first_seed
from tuition.core.emails import Email
from tuition.outbox import rendering
from tuition.outbox.rendering import Rendered

_user_numbers = itertools.count(1)
IN_MEMORY, COMPARED, DYNAMODB_LOCAL, MOTO = "in-memory", "compared", "dynamodb-local", "moto"
COMPARED_PERCENT = 4
"""Of the files, each of which creates its tables once. The seed of the run, `TUITION_SEED`, decides which."""
STATEMENTS: Mapping[str, str] = {
    "test_creates.py": "creates that compete: which cancellation reason decides the answer",
    "test_first_purchases.py": "the claim of a first purchase is a condition on another item",
    "test_large_events.py": "the size limit of an item",
    "test_ledger.py": "transactions, their conditions, each cancellation reason, and the item that it returns",
    "test_malicious_input.py": "any text as a value and as a part of a key",
    "test_refund_queue.py": "a sparse index, to which an item is added and from which it is removed",
    "test_shards.py": "every index, its order and its paging, in one and in four shards",
    "test_stripe_events.py": "an event is applied once: the condition on the audit record, and the quarantine",
    "test_student_views.py": "consistent reads of a partition, and their paging",
}
"""The files that test statements themselves, and the feature of DynamoDB that they use.

All tests of these files run compared: each call goes to DynamoDB Local and to the in-memory DynamoDB, and the answers
must be the same.
"""
ON_MOTO_TOO = {
    "test_large_events.py",
    "test_ledger.py",
    "test_malicious_input.py",
    "test_refund_queue.py",
    "test_student_views.py",
}
"""The files whose tests also run on moto, a third implementation, which others wrote.

It can find only a statement that we misunderstand, so each feature needs it once. It copies whole tables for each
transaction: the other files took more processor time on it than all other tests on moto together.
"""
NOT_ON_MOTO = {
    "test_student_views.py::test_a_refund_is_offered_exactly_if_a_request_is_accepted",
    "test_student_views.py::test_payments_and_enrollments_say_what_is_so",
}
"""Tests of those files whose many cases differ in their payments only. They took half of the time on moto."""


def backend_of(name: str, *, has_threads: bool = False, compares_all: bool = False) -> str:
    """Return the backend of a test function, `file::function`: DynamoDB Local, or what takes its place.

    A test with threads runs on DynamoDB Local alone, which answers calls at once. Decision 37 has the reasons.
    """
    if has_threads:
        return DYNAMODB_LOCAL
    file = name.partition("::")[0]
    is_drawn = zlib.crc32(f"{first_seed()} {file}".encode()) % 100 < COMPARED_PERCENT
    return COMPARED if compares_all or is_drawn or file in STATEMENTS else IN_MEMORY


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the backends of a test: moto too if its file is in `ON_MOTO_TOO`."""
    if "backend" in metafunc.fixturenames:
        file = Path(metafunc.module.__file__).name
        has_threads = metafunc.definition.get_closest_marker("threads") is not None
        compares_all = metafunc.config.getoption("compare_all")
        name = f"{file}::{metafunc.definition.originalname}"
        backends = [MOTO] if file in ON_MOTO_TOO and name not in NOT_ON_MOTO else []
        backends.append(backend_of(name, has_threads=has_threads, compares_all=compares_all))
        metafunc.parametrize("backend", backends, indirect=True, scope="session")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def _backend_client(backend: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    if backend == MOTO:
        with mock_aws():
            yield client_for(None)
    elif backend == IN_MEMORY:
        yield in_memory_client()
    else:
        real = client_for(request.getfixturevalue("dynamodb_local_url"))
        yield real if backend == DYNAMODB_LOCAL else permissions.enforced(Client(Comparison(real).perform))


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
