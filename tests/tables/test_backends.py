"""Which tests run on both implementations of DynamoDB, and why."""

from pathlib import Path

import pytest

from tests.tables.conftest import ON_MOTO_TOO, backends_of

FOLDER = Path(__file__).parent


def test_each_file_that_runs_on_moto_too_exists_and_has_a_reason() -> None:
    for name, reason in ON_MOTO_TOO.items():
        assert "tuition: Harness" in (FOLDER / name).read_text(encoding="utf-8"), f"{name} has no test on tables"
        assert len(reason) > 20, name


@pytest.mark.parametrize("feature", ["transactions", "condition", "cancellation", "index", "paging", "size limit"])
def test_a_feature_that_implementations_may_differ_in_is_tested_on_both(feature: str) -> None:
    assert [name for name, reason in ON_MOTO_TOO.items() if feature in reason]


def test_every_other_file_runs_on_dynamodb_local_alone(backend: str) -> None:
    for path in FOLDER.glob("test_*.py"):
        assert backends_of(path) == [*(["moto"] if path.name in ON_MOTO_TOO else []), "dynamodb-local"]
    assert backend == "dynamodb-local"  # of this file
