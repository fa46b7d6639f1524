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
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import httpx

from local import rie
from local.build import BUILT, ROOT, compile_bytecode, logical_id

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
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "DYNAMODB_ENDPOINT_URL": "http://127.0.0.1:9",
        "POWERTOOLS_SERVICE_NAME": "tuition",
    }
    with tempfile.TemporaryFile("w+") as log, rie.running(name, code, environment, log) as url:
        return _reported(url, log)


def _reported(url: str, log: TextIO) -> float:
    """The answer of the invocation that begins the INIT is not awaited."""
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(url, json={}, timeout=5)
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
    return {name: BUILT / logical_id(name) for name in names}


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
