"""The command `make extend-locks`: it begins a sweep and continues it to its end."""

from typing import Any

import pytest

from local import archive_locks
from local.deployed_function import CommandFailed

REPORT = {
    "year": 2034,
    "done": True,
    "extended": 2,
    "released": 1,
    "kept": 0,
    "later": 7,
    "missing": 0,
    "failed": 0,
}


def run(monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> tuple[int, list[Any]]:
    calls: list[Any] = []

    class Function:
        def __init__(self, **options: Any) -> None:
            assert (options["function"], options["qualifier"]) == ("ArchiveLocksFunction", None)

        def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
            calls.append(event)
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, CommandFailed):
                raise answer
            return dict(answer)

    monkeypatch.setattr(archive_locks, "DeployedFunction", Function)
    return archive_locks.main(["--aws"]), calls


def test_it_continues_a_sweep_until_it_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = {**REPORT, "done": False}
    assert run(monkeypatch, [unfinished, unfinished, REPORT]) == (0, [{"again": True}, {}, {}])
    assert "2034: 2 extended, 1 released, 0 kept, 7 later, 0 missing, 0 failed" in capsys.readouterr().out


def test_an_object_that_failed_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [{**REPORT, "failed": 1}])[0] == 1


def test_a_sweep_that_does_not_end_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, calls = run(monkeypatch, [{**REPORT, "done": False}])
    assert (code, len(calls)) == (1, archive_locks.MAX_RUNS + 1)
    assert "not finished" in capsys.readouterr().out


def test_it_ends_with_2_if_the_function_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [CommandFailed("PageFailed: 1 objects")])[0] == 2
