"""Measure how fast the simulator serves on one core, and how much memory an object takes.

It starts `python -m stripe_simulator` on a core of its own, then creates and pays intents over eight open connections.
"""

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

ROOT = Path(__file__).parents[2]
CONNECTIONS = 8
PARTS = 5
KEY = "sk_test_benchmark12345"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Part:
    """One fifth of the requests of a kind."""

    kind: str
    requests: int
    seconds: float
    cpu_s: float
    memory_growth: int

    @property
    def per_second(self) -> float:
        """Requests per second of wall-clock time."""
        return self.requests / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Requests per second of the simulator's CPU time."""
        return self.requests / self.cpu_s

    @property
    def bytes_per_request(self) -> float:
        """Bytes by which the simulator's memory grew per request."""
        return self.memory_growth / self.requests


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


class Caller:
    """One open connection to the simulator."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        token = base64.b64encode(f"{KEY}:".encode()).decode()
        form = "application/x-www-form-urlencoded"
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": form}

    def create(self, number: int) -> None:
        """Create an intent with metadata and an idempotency key, as Tuition does."""
        body = f"amount=49900&currency=usd&metadata[payment_id]=pay_{number}&metadata[track]=DP"
        self._post("/v1/payment_intents", body, f"k{number}")

    def pay(self, number: int) -> None:
        """Create an intent that is paid at once, which makes a charge, its events, and a balance transaction."""
        body = "amount=49900&currency=usd&confirm=true&off_session=true&payment_method=pm_card_visa"
        self._post("/v1/payment_intents", body, f"p{number}")

    def run_due_work(self) -> None:
        """Advance the clock, so that the work due 2 s after a payment counts in the part that paid."""
        self._post("/_sim/clock", '{"advance_s": 3}', "")

    def _post(self, path: str, body: str, idempotency_key: str) -> None:
        self._connection.request("POST", path, body, self._headers | {"Idempotency-Key": idempotency_key})
        response = self._connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status}")


def run(intents: int) -> list[Part]:
    """Create this many intents, then pay as many, each in five parts."""
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0", "--secret-key", KEY, "--seed", "1"]
    cores = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        os.sched_setaffinity(process.pid, {cores[-1]})
        assert process.stdout is not None
        port = int(json.loads(process.stdout.readline().partition(" ")[2])["url"].rpartition(":")[2])
        callers = [Caller(port) for _ in range(CONNECTIONS)]
        return [
            _part(process.pid, callers, kind, intents // PARTS, n) for kind in ("create", "pay") for n in range(PARTS)
        ]
    finally:
        process.terminate()
        process.wait(timeout=30)


def _part(pid: int, callers: list[Caller], kind: str, count: int, part: int) -> Part:
    per_caller = count // CONNECTIONS
    memory_before, cpu_before, started = memory(pid), cpu_s(pid), time.perf_counter()

    def call(index: int) -> None:
        for number in range(per_caller):
            getattr(callers[index], kind)(part * count + index * per_caller + number)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(call, range(CONNECTIONS)))
    callers[0].run_due_work()
    seconds = time.perf_counter() - started
    return Part(kind, per_caller * CONNECTIONS, seconds, cpu_s(pid) - cpu_before, memory(pid) - memory_before)


def table(parts: list[Part]) -> str:
    """Format the figures as a table."""
    lines = [
        f"{sum(p.requests for p in parts)} requests, {CONNECTIONS} connections, the simulator on one core; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "",
        f"{'part':10}{'requests':>10}{'per second':>12}{'per CPU second':>16}{'KiB each':>10}",
    ]
    lines += [
        f"{p.kind:10}{p.requests:>10}{p.per_second:>12.0f}{p.per_cpu_second:>16.0f}{p.bytes_per_request / 1024:>10.1f}"
        for p in parts
    ]
    return "\n".join(lines) + "\n"
