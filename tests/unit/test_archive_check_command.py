"""The command `make check-archive`: its exit code, and the records that it prints."""

from typing import Any

import pytest

from local import archive_check
from local.deployed_function import CommandFailed

COMPLETE = {
    "day": "2026-11-23",
    "records": 4,
    "archived": 4,
    "repaired": 0,
    "done": True,
    "complete": True,
    "missing_records": 0,
    "subjects_with_gaps": 0,
    "missing": [],
    "gaps": [],
}
MISSING = {"complete": False, "missing_records": 1, "missing": ["pay_1 2026"]}


def run(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | CommandFailed, *arguments: str
) -> tuple[int, list[Any]]:
    """Run the command against a function with this answer. Return the exit code, and what it was invoked with."""
    calls: list[Any] = []

    class Function:
        def __init__(self, **options: Any) -> None:
            calls.append((options["function"], options["qualifier"]))

        def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
            calls.append(event)
            if isinstance(answer, CommandFailed):
                raise answer
            return answer

    monkeypatch.setattr(archive_check, "DeployedFunction", Function)
    return archive_check.main(["--aws", *arguments]), calls


def test_it_compares_yesterday_and_ends_with_0_if_the_archive_is_complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, COMPLETE) == (0, [("ArchiveCheckFunction", None), {}])
    assert "2026-11-23: 4 records, 0 archived now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (MISSING, 1, "not archived pay_1 2026"),
        ({**MISSING, "repaired": 1}, 0, "1 archived now"),
        ({"complete": False, "subjects_with_gaps": 1, "gaps": ["pay_2"]}, 1, "a record of pay_2"),
        ({"complete": False, "done": False}, 1, "not complete"),
    ],
)
def test_it_says_what_is_missing_and_ends_with_1_unless_it_was_archived(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: dict[str, Any], code: int, text: str
) -> None:
    assert run(monkeypatch, {**COMPLETE, **change})[0] == code
    assert text in capsys.readouterr().out.replace("\n", " ")


def test_it_asks_for_a_day_and_a_repair_and_ends_with_2_if_the_function_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = CommandFailed("no local stack responds")
    code, calls = run(monkeypatch, answer, "--day", "2026-11-23", "--repair")
    assert (code, calls[1]) == (2, {"day": "2026-11-23", "repair": True})
    assert "no local stack responds" in capsys.readouterr().err
