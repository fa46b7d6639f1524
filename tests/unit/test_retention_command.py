"""The command `make retention`: it shows the list and asks the function to delete nothing."""

from typing import Any

import pytest

from local import retention
from local.deployed_function import CommandFailed

REPORT = {
    "year": 2034,
    "parts": 1,
    "listed": 1,
    "unfinished": 0,
    "deleted": 0,
    "changed": 0,
    "held": 0,
    "listed_at": "2034-01-01T06:30:00.000Z",
    "delete_from": "2034-01-31T06:30:00.000Z",
    "done_at": None,
}
PART = {**REPORT, "part": 0, "payments": {"pay_1": "2026-11-23T12:00:00.000Z"}, "next": None}


def run(monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> tuple[int, list[Any]]:
    calls: list[Any] = []

    class Function:
        def __init__(self, **options: Any) -> None:
            assert (options["function"], options["qualifier"]) == ("RetentionFunction", None)

        def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
            calls.append(event)
            answer = PART if "part" in event else answers.pop(0)
            if isinstance(answer, CommandFailed):
                raise answer
            return dict(answer)

    monkeypatch.setattr(retention, "DeployedFunction", Function)
    return retention.main(["--aws"]), calls


def test_it_continues_the_list_and_prints_each_payment_and_deletes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = {**REPORT, "listed_at": None, "delete_from": None, "listed": 0}
    assert run(monkeypatch, [unfinished, REPORT]) == (0, [{}, {}, {"part": 0}])
    output = capsys.readouterr().out
    assert "pay_1 money moved last 2026-11-23T12:00:00.000Z" in output
    assert "deleted from 2034-01-31T06:30:00.000Z" in output


def test_a_list_that_does_not_advance_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished = {**REPORT, "listed_at": None, "delete_from": None, "parts": 0}
    assert run(monkeypatch, [unfinished, unfinished]) == (1, [{}, {}])


def test_a_finished_deletion_says_when(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, [{**REPORT, "parts": 0, "done_at": "2034-02-01T06:31:00.000Z"}])[0] == 0
    assert "ended at 2034-02-01T06:31:00.000Z" in capsys.readouterr().out


def test_it_ends_with_2_if_the_function_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [CommandFailed("no local stack responds")])[0] == 2
