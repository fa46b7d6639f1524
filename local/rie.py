"""A function of the build in Lambda's own runtime, on this machine: the emulator that ``aws-sam-cli`` brings.

https://docs.aws.amazon.com/lambda/latest/dg/images-test.html
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

import samcli

from local.build import BUILT
from local.dynamodb_local import free_port

RIE = f"aws-lambda-rie-{'arm64' if platform.machine() in ('arm64', 'aarch64') else 'x86_64'}"


@contextlib.contextmanager
def running(name: str, code: Path, environment: Mapping[str, str], log: TextIO) -> Iterator[str]:
    """The handler of module ``name`` in the folder ``code``: the URL of its invocations, until the block ends.

    Its INIT begins with the first invocation. What it and its runtime write is in ``log``.
    """
    port = free_port()
    # The last folder has the runtime's own client, awslambdaric.
    site_packages = Path(sys.executable).parent.parent / "lib/python3.13/site-packages"
    paths = [code, BUILT / "TuitionLayer" / "python", site_packages]
    addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    addresses += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
    rie = Path(samcli.__file__).parent / "local" / "rapid" / RIE
    process = subprocess.Popen(
        [str(rie), *addresses, sys.executable, "-m", "awslambdaric", f"{name}.handler"],
        cwd=code,
        env={**environment, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
