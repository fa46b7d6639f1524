"""Run a built function in Lambda's own runtime on this machine, with the emulator of ``aws-sam-cli``.

https://docs.aws.amazon.com/lambda/latest/dg/images-test.html
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

import httpx
import samcli

from local.build import BUILT, ROOT, logical_id
from local.dynamodb_local import free_port

EMULATOR = f"aws-lambda-rie-{'arm64' if platform.machine() in ('arm64', 'aarch64') else 'x86_64'}"
INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
INIT_SECONDS = 60
START_SECONDS = 60
PORT_TRIES = 3


@contextlib.contextmanager
def running(name: str, code: Path, environment: Mapping[str, str], log: TextIO, built: Path = BUILT) -> Iterator[str]:
    """Run the handler of module ``name`` in the folder ``code``, and yield its invocation URL. It ends with the block.

    Its INIT starts with the first invocation. The function and its runtime write to ``log``. ``built`` is the build
    whose layer it uses.
    """
    # The last folder has the runtime's own client, awslambdaric.
    site_packages = Path(sys.executable).parent.parent / "lib/python3.13/site-packages"
    paths = [code, built / "TuitionLayer" / "python", site_packages]
    python_path = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "awslambdaric", f"{name}.handler"]
    process, port = _start(command, code, {**environment, **python_path}, log)
    try:
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _start(
    command: list[str], folder: Path, environment: Mapping[str, str], log: TextIO
) -> tuple[subprocess.Popen[bytes], int]:
    """Start the emulator, and return it with its port once it listens. It exits if a port is taken.

    Raises RuntimeError if it does not listen on `PORT_TRIES` pairs of ports, or within `START_SECONDS`.
    """
    emulator = Path(samcli.__file__).parent / "local" / "rapid" / EMULATOR
    for _ in range(PORT_TRIES):
        port = free_port()
        addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        addresses += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
        process = subprocess.Popen(
            [str(emulator), *addresses, *command],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return process, port
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    raise RuntimeError("the emulator of the Lambda runtime did not listen; its log says why")


def functions(built: Path = BUILT) -> dict[str, Path]:
    """Return the folder of every function in a build, by module name."""
    names = sorted(file.stem for file in (ROOT / "functions").glob("*.py"))
    return {name: built / logical_id(name) for name in names}


def init_ms(name: str, code: Path, built: Path = BUILT) -> float:
    """Start a function in a new runtime, and return the duration of its INIT in milliseconds."""
    with tempfile.TemporaryFile("w+") as log, running(name, code, _environment(), log, built) as url:
        return _wait_for_init(url, log)


def import_cpu_ms(name: str, code: Path, built: Path = BUILT) -> float:
    """Import a function in a new process, and return the processor time that it took, in milliseconds.

    Other work on the machine lengthens an INIT, but hardly this.
    """
    program = f"import time; start = time.process_time_ns(); import {name}; print(time.process_time_ns() - start)"
    paths = os.pathsep.join(map(str, [code, built / "TuitionLayer" / "python"]))
    environment = {**_environment(), "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, check=True, text=True, timeout=INIT_SECONDS)
    return int(result.stdout) / 1_000_000


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "DYNAMODB_ENDPOINT_URL": "http://127.0.0.1:9",
        "POWERTOOLS_SERVICE_NAME": "tuition",
    }


def _wait_for_init(url: str, log: TextIO) -> float:
    """Invoke the function until its INIT is reported. The outcome of the invocation does not matter."""
    deadline = time.monotonic() + INIT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(url, json={}, timeout=5)
        log.seek(0)
        report = INIT.search(log.read())
        if report:
            return float(report[1])
        time.sleep(0.02)
    log.seek(0)
    raise RuntimeError(f"the runtime reported no INIT:\n{log.read()}")
