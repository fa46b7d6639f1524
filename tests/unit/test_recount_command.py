"""The command `make recount`: its exit code, and the differences that it prints."""

from typing import Any

import pytest

from local import recount
from local.deployed_function import CommandFailed

EQUAL = {"done": True, "equal": True, "payments": 4, "days": 2, "repaired": 0, "missing": [], "differences": []}
DIFFERENCE = {"roll_up": "2026-11#UTC|day#2026-11-23#usd#DP#card", "figure": "settled", "rolled_up": 1, "recounted": 2}


def run(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | CommandFailed) -> tuple[int, list[Any]]:
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

    monkeypatch.setattr(recount, "DeployedFunction", Function)
    return recount.main(["--aws"]), calls


def test_it_recounts_everything_and_ends_with_0_if_all_is_equal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, EQUAL) == (0, [("RecountFunction", None), {"full": True}])
    assert "4 payments, 2 days: 0 corrected" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"differences": [DIFFERENCE], "repaired": 1}, "settled: 1 instead of 2"),
        ({"missing": ["pay_1"], "repaired": 1}, "not counted pay_1"),
        ({"done": False}, "not complete"),
    ],
)
def test_it_ends_with_1_and_says_what_differed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: dict[str, Any], text: str
) -> None:
    assert run(monkeypatch, {**EQUAL, "equal": False, **change})[0] == 1
    assert text in capsys.readouterr().out.replace("\n", " ")


def test_it_ends_with_2_if_the_function_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, CommandFailed("no local stack responds"))[0] == 2
    assert "no local stack responds" in capsys.readouterr().err
