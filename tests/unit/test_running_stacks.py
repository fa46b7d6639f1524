"""The files of running local stacks: one per stack, and how `make demo` and `make reconcile` choose one."""

import os
from pathlib import Path
from typing import Any

import pytest

from local import demo, deployed_function, reconcile, running


def ready(port: int) -> dict[str, Any]:
    return {"api": f"http://127.0.0.1:{port}", "aws": f"http://127.0.0.1:{port + 1}"}


@pytest.fixture(autouse=True)
def responding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the addresses of the stacks that respond. The files are in a folder of the test."""
    responding = {ready(port)["api"] for port in (8000, 9000)}
    monkeypatch.setattr(running, "FOLDER", tmp_path / "running")
    monkeypatch.setattr(running, "_responds", lambda api: api in responding)
    return responding


def make_older(port: int) -> None:
    os.utime(running.FOLDER / f"{port}.json", (1, 1))


def test_a_stack_that_stops_leaves_the_file_of_another() -> None:
    with running.running_file(ready(8000)):
        with running.running_file(ready(9000)):
            assert running.find_stack(8000) == ready(8000)
        assert running.find_stack(None) == ready(8000)
        assert running.find_stack(9000) is None
    assert running.find_stack(None) is None


def test_the_newest_stack_that_responds_is_used(responding: set[str]) -> None:
    with running.running_file(ready(8000)), running.running_file(ready(9000)):
        make_older(8000)
        assert running.find_stack(None) == ready(9000)
        make_older(9000)
        os.utime(running.FOLDER / "8000.json", (2, 2))
        assert running.find_stack(None) == ready(8000)
        responding.remove(ready(8000)["api"])  # it was killed and left its file
        assert running.find_stack(None) == ready(9000)


def test_a_stack_in_place_of_a_killed_one_is_the_newest() -> None:
    (running.FOLDER).mkdir()
    (running.FOLDER / "8000.json").write_text("{}")
    make_older(8000)
    with running.running_file(ready(8000)):
        assert running.find_stack(8000) == ready(8000)


def test_only_its_owner_can_read_the_keys() -> None:
    with running.running_file(ready(8000)):
        assert (running.FOLDER / "8000.json").stat().st_mode & 0o077 == 0


def test_a_port_without_a_stack_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with running.running_file(ready(8000)):
        assert demo.main(["--api-port", "9000"]) == 1
        assert reconcile.main(["--api-port", "9000"]) == 2
    assert capsys.readouterr().err.count("port 9000") == 2


class Busy(deployed_function.DeployedFunction):
    """A function whose first invocations meet another run."""

    def __init__(self, busy: int, reports: list[dict[str, Any]]) -> None:
        self.busy, self.reports = busy, reports

    def _invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        if self.busy:
            self.busy -= 1
            raise deployed_function.AnotherRun("Another run is in progress.")
        return self.reports.pop(0)


def report(cursor: str, *, done: bool = False, unanswered: int = 0) -> dict[str, Any]:
    return {"cursor": cursor, "done": done, "unanswered": unanswered, "checked": 0}


def test_a_run_that_meets_another_says_so_once_and_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(deployed_function.time, "sleep", sleep)
    monkeypatch.setattr(deployed_function.time, "monotonic", lambda: now)
    assert list(reconcile.runs(Busy(3, [report("2", done=True)]))) == [report("2", done=True)]
    assert capsys.readouterr().out.count("Another run is in progress") == 1
    with pytest.raises(deployed_function.AnotherRun):
        Busy(10_000, []).invoke({})
    assert now < deployed_function.WAIT_S + 2 * 15 + deployed_function.WAIT_BETWEEN_S


@pytest.mark.parametrize(
    ("reports", "used"),
    [
        ([report("1"), report("2"), report("3", done=True), report("4")], 3),
        ([report("1"), report("1"), report("2")], 2),  # nothing advanced
        ([report("1", unanswered=1), report("2")], 1),
    ],
)
def test_a_run_is_repeated_until_it_is_done_or_cannot_advance(reports: list[dict[str, Any]], used: int) -> None:
    assert len(list(reconcile.runs(Busy(0, list(reports))))) == used
