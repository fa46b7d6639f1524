"""The threat model in `docs/security.md` is complete, and every test that it names exists."""

import re

from local.build import ROOT

MANUAL = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").partition("## Threat model")[2]
ACTORS = (
    *("A student", "A stranger", "Staff", "An insider with one role", "An insider with the tables"),
    *("An insider with the account", "A thief of a laptop"),
)


def rows_of(section: str) -> list[list[str]]:
    """Return the rows of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def sections() -> dict[str, str]:
    parts = re.split(r"^### (.+)$", MANUAL, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_person_has_rows_that_say_what_prevents_detects_and_remains() -> None:
    for actor in ACTORS:
        rows = rows_of(sections()[actor])
        assert rows, actor
        for row in rows:
            assert len(row) == 4, row
            assert all(row), row


def test_the_rows_are_numbered_and_each_has_its_tests_or_says_that_it_has_none() -> None:
    numbers = [int(row[0].partition(".")[0]) for actor in ACTORS for row in rows_of(sections()[actor])]
    tested = {int(row[0]): row[1] for row in rows_of(sections()["Tests of the threat model"])}
    assert numbers == list(range(1, len(numbers) + 1)) == list(tested)
    assert all("::" in tests or tests.startswith("none: ") for tests in tested.values())


def test_every_test_of_the_threat_model_exists() -> None:
    cited = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", MANUAL)
    assert len(cited) == MANUAL.count("::")
    for path, name in cited:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), f"{path}::{name}"
