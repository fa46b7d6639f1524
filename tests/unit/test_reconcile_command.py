"""The command `make reconcile`: when it ends, its totals and its exit code."""

import io
import json
from typing import Any

import boto3
import pytest

from local import deployed_function, reconcile

COUNTS = ("checked", "confirmed", "drifted", "closed", "orphans", "resumed", "replayed")
RANGE = ["--from", "2026-11-01", "--to", "2026-11-02"]


def report(hour: int, **values: Any) -> dict[str, Any]:
    """Return the report of an invocation that ends with the cursor at this hour."""
    base = {**dict.fromkeys(COUNTS, 0), "cursor": f"2026-11-01T{hour:02}:00:00.000Z", "done": False, "unanswered": 0}
    return {**base, "failed": [], **values}


def run(monkeypatch: pytest.MonkeyPatch, reports: list[dict[str, Any]], arguments: list[str]) -> tuple[int, int]:
    """Run the command against a function that answers with these reports, the last one for ever.

    Return the exit code and the number of invocations.
    """
    invoked: list[dict[str, Any]] = []

    class Function:
        def __init__(self, **_: Any) -> None:
            pass

        def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
            invoked.append(event)
            assert len(invoked) <= reconcile.MAX_RUNS, "the command does not end"
            return reports[min(len(invoked), len(reports)) - 1]

    monkeypatch.setattr(reconcile, "DeployedFunction", Function)
    return reconcile.main(arguments), len(invoked)


@pytest.mark.parametrize("arguments", [[], RANGE], ids=["now", "range"])
def test_it_ends_with_0_once_everything_is_done_and_adds_up_the_totals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    reports = [report(1, checked=2), report(2, checked=3), report(3, done=True)]
    assert run(monkeypatch, reports, arguments) == (0, 3)
    assert "5 checked" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], RANGE], ids=["now", "range"])
def test_it_ends_with_1_and_names_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    reports = [report(1, failed=["pay_1: refused"]), report(2, done=True)]
    assert run(monkeypatch, reports, arguments)[0] == 1
    assert "pay_1: refused" in capsys.readouterr().out


def test_a_range_whose_window_no_invocation_finishes_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [report(1, checked=900)], RANGE) == (1, 1 + reconcile.MAX_STALLED)
    assert "Run the command again" in capsys.readouterr().out


def test_a_range_waits_for_a_window_that_a_killed_worker_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [report(1), report(1), report(1), report(9, done=True)], RANGE) == (0, 4)


def test_it_waits_for_another_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer without an error says that another run is in progress, because errors would ring an alarm."""
    answers = [{"lease_taken": True}, {"lease_taken": True}, report(1, done=True)]
    invoked: list[dict[str, Any]] = []

    class Client:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def describe_stack_resource(self, **_: Any) -> dict[str, Any]:
            return {"StackResourceDetail": {"PhysicalResourceId": "reconcile"}}

        def invoke(self, **params: Any) -> dict[str, Any]:
            invoked.append(json.loads(params["Payload"]))
            return {"Payload": io.BytesIO(json.dumps(answers.pop(0)).encode())}

    monkeypatch.setattr(boto3, "client", Client)
    monkeypatch.setattr(deployed_function.time, "sleep", lambda _: None)
    assert reconcile.main(["--aws"]) == 0
    assert invoked == [{"waits": True}] * 3
    assert "Waiting for it" in capsys.readouterr().out
