"""On which DynamoDB each test runs, and why."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.tables import conftest
from tests.tables.conftest import COMPARED, DYNAMODB_LOCAL, IN_MEMORY, ON_MOTO_TOO, STATEMENTS, backend_of

FOLDER = Path(__file__).parent


@cache
def functions() -> list[tuple[str, str]]:
    """Return `file::function` and the source of each test of the other files."""
    sources = []
    for path in set(FOLDER.glob("test_*.py")) - {Path(__file__)}:
        source = path.read_text(encoding="utf-8")
        tests = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
        lines = source.splitlines()
        for test in (test for test in tests if test.name.startswith("test_")):
            first = min([test.lineno, *(decorator.lineno for decorator in test.decorator_list)])
            sources.append((f"{path.name}::{test.name}", "\n".join(lines[first - 1 : test.end_lineno])))
    return sources


def test_each_file_about_statements_exists_and_names_its_feature() -> None:
    for name, reason in STATEMENTS.items():
        assert "tuition: Harness" in (FOLDER / name).read_text(encoding="utf-8"), f"{name} has no test on tables"
        assert len(reason) > 20, name


@pytest.mark.parametrize("feature", ["transactions", "condition", "cancellation", "index", "paging", "size limit"])
def test_a_feature_that_implementations_may_differ_in_is_tested_on_all(feature: str) -> None:
    files = {name for name, reason in STATEMENTS.items() if feature in reason}
    assert files
    assert files & ON_MOTO_TOO


def test_every_file_about_statements_is_compared_whole() -> None:
    assert STATEMENTS.keys() >= ON_MOTO_TOO
    for file in STATEMENTS:
        assert {backend_of(f"{file}::test_{number}") for number in range(50)} == {COMPARED}


def test_each_test_that_is_not_repeated_on_moto_exists() -> None:
    assert {name for name, _ in functions()} >= conftest.NOT_ON_MOTO
    assert {name.partition("::")[0] for name in conftest.NOT_ON_MOTO} <= ON_MOTO_TOO


def test_every_test_with_threads_runs_on_dynamodb_local_alone() -> None:
    concurrent = ("ThreadPoolExecutor", "run_concurrently(", "threading.Thread(")
    with_threads = [name for name, source in functions() if any(call in source for call in concurrent)]
    marked = [name for name, source in functions() if "@pytest.mark.threads" in source]
    assert sorted(with_threads) == sorted(marked)
    assert len(marked) > 10
    assert backend_of(marked[0], has_threads=True, compares_all=True) == DYNAMODB_LOCAL


def test_the_seed_draws_which_other_files_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name, _ in functions() if name.partition("::")[0] not in STATEMENTS]
    drawn = []
    for seed in range(50):
        monkeypatch.setenv("TUITION_SEED", str(seed))
        compared = {name for name in names if backend_of(name) == COMPARED}
        assert compared == {name for name in names if backend_of(name) == COMPARED}
        assert {name.partition("::")[0] for name in compared}.isdisjoint(
            name.partition("::")[0] for name in names if name not in compared
        )
        drawn.append(compared)
    share = sum(map(len, drawn)) / len(names) / len(drawn)
    assert 0.02 < share < 0.08
    assert len(set[str]().union(*drawn)) > len(names) / 2
    assert {backend_of(name, compares_all=True) for name in names} == {COMPARED}


def test_this_test_runs_where_the_fixture_says(backend: str, request: pytest.FixtureRequest) -> None:
    has_threads, compares_all = False, request.config.getoption("compare_all")
    name = "test_backends.py::test_this_test_runs_where_the_fixture_says"
    assert backend == backend_of(name, has_threads=has_threads, compares_all=compares_all)
    assert backend in (IN_MEMORY, COMPARED)
    assert backend != conftest.MOTO
