"""What a cold start costs: the INIT of every function in the real Lambda runtime, against a floor.

The floor is a function that only makes a botocore DynamoDB client, built the same way: the same layer, hash-based
bytecode, nothing written. Each round starts every one of them once, in a new process of the runtime interface emulator
that `aws-sam-cli` brings; what is told are medians of the rounds, and each function's median of its ratios to the floor
of the same round. DESIGN's limits are in `MOST`; the exit code is 1 where one is exceeded.

    make bench BENCH=cold_start ARGS="--rounds 15"
"""

import argparse
import contextlib
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import httpx
import samcli

from local.build import compile_bytecode
from local.dynamodb_local import free_port

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / ".aws-sam" / "build"
RIE = f"aws-lambda-rie-{'arm64' if platform.machine() in ('arm64', 'aarch64') else 'x86_64'}"
INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
LONGEST_S = 60
FLOOR = """\
import botocore.session

client = botocore.session.get_session().create_client("dynamodb")


def handler(event, context):
    return {}
"""
READS = dict.fromkeys(("payment_status", "my_payments", "payment_methods", "enrollments"), 1.45)
MOST = {"webhook": 1.25, **READS, "create_payment": 1.75, "create_checkout_session": 1.75}
"""The largest ratio to the floor, where there is a limit."""
HEADER = "INIT: the median of the rounds; the median of its ratios to the floor of the same round"


def init_ms(name: str, code: Path) -> float:
    """Start the function in a runtime of its own, and stop it as soon as its INIT is reported."""
    port = free_port()
    site_packages = Path(sys.executable).parent.parent / "lib/python3.13/site-packages"
    paths = [code, BUILT / "TuitionLayer" / "python", site_packages]  # the last one for awslambdaric, the runtime's own
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "DYNAMODB_ENDPOINT_URL": "http://127.0.0.1:9",
        "POWERTOOLS_SERVICE_NAME": "tuition",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    rie = Path(samcli.__file__).parent / "local" / "rapid" / RIE
    addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    addresses += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [str(rie), *addresses, sys.executable, "-m", "awslambdaric", f"{name}.handler"],
            cwd=code,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return _reported(port, log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _reported(port: int, log: TextIO) -> float:
    """The emulator begins the INIT when it is first asked for an invocation, whose answer is not awaited."""
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations", json={}, timeout=5)
        log.seek(0)
        found = INIT.search(log.read())
        if found:
            return float(found[1])
        time.sleep(0.02)
    log.seek(0)
    raise RuntimeError(f"no INIT was reported:\n{log.read()}")


def functions() -> dict[str, Path]:
    """Every function of the build, by the name of its module."""
    names = sorted(file.stem for file in (ROOT / "functions").glob("*.py"))
    return {name: BUILT / ("".join(part.title() for part in name.split("_")) + "Function") for name in names}


def measure(rounds: int) -> dict[str, list[float]]:
    """The INIT durations of each, in ms, one a round."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "floor.py").write_text(FLOOR)
        compile_bytecode(Path(folder))
        started = {"floor": Path(folder), **functions()}
        found: dict[str, list[float]] = {name: [] for name in started}
        for number in range(rounds + 1):
            for name, code in started.items():
                took = init_ms(name, code)
                if number:  # the first one fills the page cache
                    found[name].append(took)
    return found


def report(found: dict[str, list[float]]) -> tuple[str, bool]:
    """A line a function, and whether all limits are kept."""
    lines, kept = [], True
    for name, took in found.items():
        ratio = statistics.median(mine / floor for mine, floor in zip(took, found["floor"], strict=True))
        most = MOST.get(name)
        said = "" if most is None else f"at most {most:.2f}: {'kept' if ratio <= most else 'EXCEEDED'}"
        kept = kept and (most is None or ratio <= most)
        lines.append(f"{name:24} {statistics.median(took):7.1f} ms  {ratio:5.2f}  {said}".rstrip())
    return "\n".join(lines), kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="where the figures go too")
    options = parser.parse_args()
    lines, kept = report(measure(options.rounds))
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    machine = (
        f"Python {platform.python_version()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end"
    )
    head = f'$ make bench BENCH=cold_start ARGS="--rounds {options.rounds}"\n{now}, {machine}\n'
    text = f"{head}\n{HEADER}\n{lines}\n"
    print(text, end="")
    options.out.write_text(text)
    sys.exit(not kept)


if __name__ == "__main__":
    main()
