"""How fast the simulator serves on one core, and what an object costs in memory.

It starts `python -m stripe_simulator` on a core of its own and creates (then pays) intents over the wire, from eight
connections that stay open. What is told of each part: requests a second by the clock and by the simulator's own CPU
time (what a quiet machine would show), and how much its memory grew for each intent.

    make bench BENCH=stripe_simulator ARGS="--intents 5000"
"""

import argparse
import base64
import http.client
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 8
PARTS = 5
KEY = "sk_test_benchmark12345"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Part:
    """One fifth of a run."""

    what: str
    requests: int
    seconds: float
    cpu_s: float
    grown: int

    @property
    def per_second(self) -> float:
        """Requests a second by the clock on the wall."""
        return self.requests / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Requests in a second of the simulator's own CPU time."""
        return self.requests / self.cpu_s

    @property
    def bytes_each(self) -> float:
        """How much the simulator's memory grew for each request."""
        return self.grown / self.requests


def cpu_s(pid: int) -> float:
    """The CPU time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> int:
    """The resident memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


class Caller:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        token = base64.b64encode(f"{KEY}:".encode()).decode()
        form = "application/x-www-form-urlencoded"
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": form}

    def create(self, number: int) -> None:
        """An intent with metadata and an idempotency key, as Tuition makes one."""
        body = f"amount=49900&currency=usd&metadata[payment_id]=pay_{number}&metadata[track]=DP"
        self._post("/v1/payment_intents", body, f"k{number}")

    def pay(self, number: int) -> None:
        """An intent that is paid at once: a charge, its events, and its place on the balance later."""
        body = "amount=49900&currency=usd&confirm=true&payment_method=pm_card_visa"
        self._post("/v1/payment_intents", body, f"p{number}")

    def later(self) -> None:
        """What follows a payment after 2 s happens now: it belongs to the part that paid."""
        self._post("/_sim/clock", '{"advance_s": 3}', "")

    def _post(self, path: str, body: str, key: str) -> None:
        self._connection.request("POST", path, body, self._headers | {"Idempotency-Key": key})
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")


def run(intents: int) -> list[Part]:
    """Create so many intents, then pay as many, in five parts each."""
    words = [sys.executable, "-m", "stripe_simulator", "--port", "0", "--secret-key", KEY, "--seed", "1"]
    cores = sorted(os.sched_getaffinity(0))
    program = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    try:
        os.sched_setaffinity(program.pid, {cores[-1]})
        assert program.stdout is not None
        port = int(json.loads(program.stdout.readline().partition(" ")[2])["url"].rpartition(":")[2])
        callers = [Caller(port) for _ in range(CONNECTIONS)]
        return [
            _part(program.pid, callers, what, intents // PARTS, n) for what in ("create", "pay") for n in range(PARTS)
        ]
    finally:
        program.terminate()
        program.wait(timeout=30)


def _part(pid: int, callers: list[Caller], what: str, count: int, part: int) -> Part:
    each = count // CONNECTIONS
    memory_before, cpu_before, begun = memory(pid), cpu_s(pid), time.perf_counter()

    def call(index: int) -> None:
        for number in range(each):
            getattr(callers[index], what)(part * count + index * each + number)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(call, range(CONNECTIONS)))
    callers[0].later()
    seconds = time.perf_counter() - begun
    return Part(what, each * CONNECTIONS, seconds, cpu_s(pid) - cpu_before, memory(pid) - memory_before)


def table(parts: list[Part]) -> str:
    """What was measured, to read."""
    lines = [
        f"{sum(p.requests for p in parts)} requests, {CONNECTIONS} connections, the simulator on one core; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "",
        f"{'part':10}{'requests':>10}{'a second':>10}{'a CPU second':>14}{'KiB each':>10}",
    ]
    lines += [
        f"{p.what:10}{p.requests:>10}{p.per_second:>10.0f}{p.per_cpu_second:>14.0f}{p.bytes_each / 1024:>10.1f}"
        for p in parts
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and keep what was printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"))
    given = parser.parse_args()
    text = table(run(given.intents))
    print(text)
    given.out.write_text(text)


if __name__ == "__main__":
    main()
