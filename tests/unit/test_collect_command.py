"""The command `make collect --recompute`: it continues until every plan was compared, and says what it corrected."""

from typing import Any

import pytest

from local import collect

NONE: dict[str, Any] = {"checked": 0, "changed": [], "failed": [], "done": False, "after": None}


def run(monkeypatch: pytest.MonkeyPatch, *reports: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Run the command against a function with these reports. Return the exit code, and the events that it sent."""
    events: list[dict[str, Any]] = []

    class Function:
        def __init__(self, **_: Any) -> None:
            pass

        def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
            events.append(event)
            return {**NONE, **reports[len(events) - 1]}

    monkeypatch.setattr(collect, "DeployedFunction", Function)
    return collect.main(["--recompute"]), events


def test_it_continues_where_an_invocation_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = {"checked": 2, "changed": ["pln_1"], "after": "0 2026-12-01#pln_2"}
    code, events = run(monkeypatch, first, {"checked": 1, "done": True, "after": "3 9999-12-31#pln_3"})
    assert (code, [event["after"] for event in events]) == (0, [None, "0 2026-12-01#pln_2"])
    shown = capsys.readouterr().out
    assert "corrected pln_1" in shown and "3 plans were compared" in shown


@pytest.mark.parametrize(
    "report", [{"done": True, "failed": ["pln_1: refused"]}, {"checked": 0}], ids=["failed", "stuck"]
)
def test_it_ends_with_1_if_a_plan_was_not_compared(monkeypatch: pytest.MonkeyPatch, report: dict[str, Any]) -> None:
    assert run(monkeypatch, report)[0] == 1
