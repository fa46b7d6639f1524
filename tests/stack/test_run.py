"""`make run` from outside: one ready line, a clear word about a port that is taken, and a clean end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from local.build import ROOT


def processes(group_of: str) -> list[int]:
    """Process ids whose environment or command names this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if group_of.encode() in text and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_says_ready_serves_and_ends_with_all_that_it_started(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "--api-port", "0", "--stripe-port", "0", "--aws-port", "0"]
    data = ["--data", str(tmp_path / "state")]
    started = subprocess.Popen(
        command + data, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}, text=True
    )
    try:
        assert started.stdout is not None
        word, _, said = started.stdout.readline().partition(" ")
        assert word == "ready"
        ready = json.loads(said)
        assert set(ready) == {
            *("api", "stripe", "aws", "stripe_secret_key", "stripe_publishable_key", "webhook_secret"),
            "admin_token",
        }
        assert urllib.request.urlopen(f"{ready['api']}/api/payments/tracks/", timeout=30).status == 200
        assert processes(str(tmp_path))
        started.send_signal(number)
        assert started.wait(20) == 0
        assert started.stdout.read() == ""
    finally:
        if started.poll() is None:
            started.terminate()
            started.wait(20)
    deadline = time.monotonic() + 5
    while (left := processes(str(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


@pytest.mark.parametrize("name", ["api", "stripe", "aws"])
def test_a_port_that_is_taken_is_a_clear_error(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"api": 0, "stripe": 0, "aws": 0, name: port}
        options = [part for key, value in ports.items() for part in (f"--{key}-port", str(value))]
        done = subprocess.run(
            [sys.executable, "-m", "local", *options], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    assert f"--{name}-port" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_what_is_no_port_is_a_clear_error(port: str) -> None:
    options = [sys.executable, "-m", "local", "--api-port", port]
    done = subprocess.run(options, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert port in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_tables_that_cannot_be_elsewhere_are_a_clear_error(url: str) -> None:
    ports = [part for name in ("api", "stripe", "aws") for part in (f"--{name}-port", "0")]
    done = subprocess.run(
        [sys.executable, "-m", "local", *ports],
        cwd=ROOT,
        env={**os.environ, "DYNAMODB_ENDPOINT_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"DYNAMODB_ENDPOINT_URL is {url}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_live_key_is_refused() -> None:
    environment = {**os.environ, "STRIPE_SECRET_KEY": "sk_live_never"}
    options = ["--api-port", "0", "--stripe-port", "0", "--aws-port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "local", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "not a test-mode key" in done.stderr
