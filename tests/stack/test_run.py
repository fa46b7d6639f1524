"""`make run` as a process: its ready line, its error messages, and its clean shutdown."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.build import ROOT

START_S = 60
STOP_S = 60
"""The stack ends within a second or two on a quiet machine, and its busy workers a little later."""


def processes(folder: str) -> list[int]:
    """Return the ids of the processes whose command or environment contains this folder."""
    ids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if folder.encode() in text and int(entry.name) != os.getpid():
                ids.append(int(entry.name))
    return ids


@contextmanager
def make_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the stack with its files in a folder, and stop it if the test has not."""
    command = [sys.executable, "-m", "local", "--api-port", "0", "--stripe-port", "0", "--aws-port", "0"]
    data = ["--data", str(folder / "state")]
    environment = {**os.environ, "TMPDIR": str(folder)}
    process = subprocess.Popen(command + data, cwd=ROOT, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(STOP_S)


def expect_no_process(folder: Path) -> None:
    deadline = time.monotonic() + STOP_S
    while (remaining := processes(str(folder))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert remaining == []


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """Run the stack, yield what its ready line says, and end it by Ctrl-C. Fail if a process is left.

    `tests/stack/browser/test_plan_life.py` is the test of it, because a stack takes seconds to start.
    """
    with make_run(folder) as process:
        assert process.stdout is not None
        word, _, details = process.stdout.readline().partition(" ")
        assert word == "ready"
        ready = json.loads(details)
        assert set(ready) == {
            *("api", "stripe", "aws", "stripe_secret_key", "stripe_publishable_key", "webhook_secret"),
            "admin_token",
        }
        assert len(processes(str(folder))) > 1
        yield ready
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_S) == 0
        assert process.stdout.read() == ""
    expect_no_process(folder)


@pytest.mark.timeout(300)
def test_sigterm_stops_every_process_also_while_the_stack_starts(tmp_path: Path) -> None:
    """It sets the same event as Ctrl-C. So the stack need not be ready, which takes most of the time."""
    with make_run(tmp_path) as process:
        deadline = time.monotonic() + START_S
        while len(processes(str(tmp_path))) < 2 and time.monotonic() < deadline:  # `make run`, and MiniStack
            time.sleep(0.05)
        assert len(processes(str(tmp_path))) >= 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0
    expect_no_process(tmp_path)


@pytest.mark.parametrize("name", ["api", "stripe", "aws"])
def test_a_port_in_use_is_a_clear_error(name: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        ports = {"api": 0, "stripe": 0, "aws": 0, name: port}
        options = [part for key, value in ports.items() for part in (f"--{key}-port", str(value))]
        result = subprocess.run(
            [sys.executable, "-m", "local", *options], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert result.returncode == 1
    assert f"port {port} is taken" in result.stderr
    assert f"--{name}-port" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_an_invalid_port_is_a_clear_error(port: str) -> None:
    options = [sys.executable, "-m", "local", "--api-port", port]
    result = subprocess.run(options, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert port in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_an_unusable_dynamodb_endpoint_is_a_clear_error(url: str) -> None:
    ports = [part for name in ("api", "stripe", "aws") for part in (f"--{name}-port", "0")]
    result = subprocess.run(
        [sys.executable, "-m", "local", *ports],
        cwd=ROOT,
        env={**os.environ, "DYNAMODB_ENDPOINT_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert f"DYNAMODB_ENDPOINT_URL is {url}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_live_mode_key_is_rejected() -> None:
    environment = {**os.environ, "STRIPE_SECRET_KEY": "sk_live_never"}
    options = ["--api-port", "0", "--stripe-port", "0", "--aws-port", "0"]
    result = subprocess.run(
        [sys.executable, "-m", "local", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "not a test-mode key" in result.stderr
