"""Which browser the browser tests drive, and what is said where there is none."""

import subprocess
from pathlib import Path

import pytest

from local import chromium


def program(folder: Path, name: str, status: int) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)


def test_the_one_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/opt/chromium")
    assert chromium.find() == "/opt/chromium"


def test_a_name_that_only_says_where_to_get_one_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path, "chromium-browser", 1)
    wanted = program(tmp_path, "google-chrome", 0)
    assert chromium.find() == wanted


def test_where_none_can_be_had_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def refused(command: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(chromium, "_playwright_chromium", lambda: None)
    monkeypatch.setattr(chromium.subprocess, "run", refused)
    assert chromium.main() == 1
    assert [command[1:] for command in asked] == [["-m", "playwright", "install", "chromium"]]
    assert "apt-get install chromium" in capsys.readouterr().err
