"""The files of running local stacks: one per stack, and how `make demo` and `make reconcile` choose one."""

import os
from pathlib import Path
from typing import Any

import pytest

from local import demo, reconcile, running


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
