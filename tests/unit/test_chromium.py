"""The choice of the browser for the browser tests, and the message when none is installed."""

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


def test_the_chromium_variable_names_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/opt/chromium")
    assert chromium.find() == "/opt/chromium"


def test_a_program_that_fails_to_start_is_skipped(tmp_path: Path) -> None:
    program(tmp_path, "chromium-browser", 1)
    chrome = program(tmp_path, "google-chrome", 0)
    assert chromium.find() == chrome


def test_a_headless_shell_is_preferred(tmp_path: Path) -> None:
    program(tmp_path, "chromium", 0)
    shell = program(tmp_path, "chromium-headless-shell", 0)
    assert chromium.find() == shell


def test_the_error_says_how_to_install_a_browser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []

    def fail(command: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(chromium, "_playwright_chromium", lambda: None)
    monkeypatch.setattr(chromium.subprocess, "run", fail)
    assert chromium.main() == 1
    assert [command[1:] for command in commands] == [["-m", "playwright", "install", "chromium"]]
    assert "apt-get install chromium-headless-shell" in capsys.readouterr().err
