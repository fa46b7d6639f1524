"""The command `make erase-again`: its exit code, and what it says."""

from typing import Any

import pytest

from local import erase_again
from local.deployed_function import CommandFailed

DONE = {"erased": 3, "waiting": 1, "held": 0, "failed": 0, "done": True}


def run(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | CommandFailed) -> tuple[int, list[Any]]:
    """Run the command against a function with these answers. Return the exit code, and what it was invoked with."""
    calls: list[Any] = []
    following = iter(answers)

    class Function:
        def __init__(self, **options: Any) -> None:
            calls.append(options["function"])

        def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
            calls.append(event)
            answer = next(following)
            if isinstance(answer, CommandFailed):
                raise answer
            return answer

    monkeypatch.setattr(erase_again, "DeployedFunction", Function)
    return erase_again.main(["--aws"]), calls


def test_it_erases_everything_on_the_list_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, DONE) == (0, ["EraseFunction", {"again": True}])
    assert "3 erased, 0 failed" in capsys.readouterr().out


def test_it_continues_where_an_invocation_had_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"erased": 0, "waiting": 0, "held": 0, "failed": 0, "done": False}
    answers = ({**nothing, "next": "ada"}, {**nothing, "next": "mo"}, DONE)
    again = {"again": True}
    calls = ["EraseFunction", again, {**again, "after": "ada"}, {**again, "after": "mo"}]
    assert run(monkeypatch, *answers) == (0, calls)


def test_it_ends_with_2_if_the_list_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase_again, "MAX_INVOCATIONS", 2)
    assert run(monkeypatch, *[{**DONE, "next": "ada"}] * 3)[0] == 2


@pytest.mark.parametrize("change", [{"failed": 1}, {"done": False}])
def test_it_ends_with_1_while_an_erasure_is_not_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    assert run(monkeypatch, {**DONE, **change})[0] == 1
    assert "Not every erasure is done" in capsys.readouterr().out


def test_it_ends_with_2_if_the_function_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, CommandFailed("no local stack responds"))[0] == 2
    assert "no local stack responds" in capsys.readouterr().err
