"""Measure the simulator and another program that stands in for Stripe, by turns: rates, times, start and memory.

Both get the same requests, one at a time over one open connection, so that other load on the machine slows both. An
intent takes two requests, because localstripe cannot confirm at once.
"""

import base64
import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.stripe.simulator_load import memory

ROOT = Path(__file__).parents[2]
KEY = "sk_test_benchmark12345"
OPERATIONS = ("create customer", "create + confirm intent", "list customers", "get customer")
START_TIMEOUT_S, CALL_TIMEOUT_S = 60.0, 60.0


class Caller:
    """One open connection to a program."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_TIMEOUT_S)
        token = base64.b64encode(f"{KEY}:".encode()).decode()
        form = "application/x-www-form-urlencoded"
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": form}
        self._customer = ""

    def send(self, method: str, path: str, body: str = "") -> dict[str, str]:
        """Send a request that must succeed."""
        self._connection.request(method, path, body or None, self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:300]!r}")
        answer: dict[str, str] = json.loads(content)
        return answer

    def run(self, operation: str) -> None:
        """Run one operation."""
        if operation == "create customer":
            self._customer = self.send("POST", "/v1/customers", "email=ada%40example.com&name=Ada")["id"]
        elif operation == "create + confirm intent":
            body = "amount=49900&currency=usd&payment_method=pm_card_visa&payment_method_types[0]=card"
            self.send("POST", f"/v1/payment_intents/{self.send('POST', '/v1/payment_intents', body)['id']}/confirm")
        elif operation == "list customers":
            self.send("GET", "/v1/customers?limit=10")
        else:
            self.send("GET", f"/v1/customers/{self._customer}")


@dataclass
class Figures:
    """The measurements of one program. Times in seconds, memory in bytes."""

    command: Callable[[int], list[str]]
    fill_command: Callable[[int], list[str]] | None = None
    """The command for the full account, if it is another one."""
    starts: list[float] = field(default_factory=list)
    times: dict[str, list[list[float]]] = field(default_factory=lambda: {name: [] for name in OPERATIONS})
    """The times of each operation by round."""
    empty: int = 0
    full: int = 0
    fill_s: float = 0.0

    def rate(self, operation: str) -> float:
        """Return the median of the rounds' operations per second."""
        return statistics.median(len(times) / sum(times) for times in self.times[operation])

    def percentile(self, operation: str, percent: int) -> float:
        """Return a percentile of the time of an operation in all rounds, in milliseconds."""
        times = sorted(one for times in self.times[operation] for one in times)
        return 1000 * times[min(len(times) - 1, len(times) * percent // 100)]


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def running(figures: Figures, command: Callable[[int], list[str]]) -> Iterator[tuple[int, Caller]]:
    """Start a program, and yield its process id and a connection. Records the time until the first answer."""
    port = _free_port()
    started = time.perf_counter()
    process = subprocess.Popen(
        command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=os.environ
    )
    try:
        caller = Caller(port)
        while True:
            try:
                caller.send("GET", "/v1/customers")
                break
            except OSError:
                if time.perf_counter() - started > START_TIMEOUT_S or process.poll() is not None:
                    raise
                caller = Caller(port)
                time.sleep(0.005)
        figures.starts.append(time.perf_counter() - started)
        yield process.pid, caller
    finally:
        process.terminate()
        process.wait(timeout=30)


def measure_round(figures: Figures, caller: Caller, requests: int) -> None:
    """Time each operation so many times."""
    for operation in OPERATIONS:
        times = []
        for _ in range(requests):
            before = time.perf_counter()
            caller.run(operation)
            times.append(time.perf_counter() - before)
        figures.times[operation].append(times)


def fill(figures: Figures, pid: int, caller: Caller, objects: int) -> None:
    """Create so many customers, and record the time and the memory."""
    started = time.perf_counter()
    for _ in range(objects):
        caller.run("create customer")
    figures.fill_s, figures.full = time.perf_counter() - started, memory(pid)


def simulator(port: int) -> list[str]:
    """Return the command that starts the simulator."""
    return [sys.executable, "-m", "stripe_simulator", "--port", str(port), "--secret-key", KEY]


def compare(programs: list[Figures], rounds: int, requests: int, objects: int) -> None:
    """Measure the programs by turns: starts, rounds of requests, and then the memory of a full account."""
    for _ in range(rounds):
        for figures in programs:
            with running(figures, figures.command) as (pid, caller):
                figures.empty = memory(pid)
                measure_round(figures, caller, requests)
    for figures in programs:
        with running(figures, figures.fill_command or figures.command) as (pid, caller):
            fill(figures, pid, caller, objects)


def table(ours: Figures, other: Figures, objects: int) -> str:
    """Format the figures and their ratios: above 1, the simulator is better."""
    rounds, requests = len(ours.times[OPERATIONS[0]]), len(ours.times[OPERATIONS[0]][0])
    lines = [
        f"{rounds} rounds of {requests} operations; Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "",
        f"{'':34}{'simulator':>12}{'localstripe':>13}{'ratio':>8}",
    ]

    def add(name: str, value: float, other_value: float, *, more_is_better: bool = False) -> None:
        ratio = value / other_value if more_is_better else other_value / value
        lines.append(f"{name:34}{value:>12.1f}{other_value:>13.1f}{ratio:>8.2f}")

    for operation in OPERATIONS:
        add(f"{operation}: per second", ours.rate(operation), other.rate(operation), more_is_better=True)
        for percent in (50, 99):
            values = (one.percentile(operation, percent) for one in (ours, other))
            add(f"{operation}: p{percent} ms", *values)
    add("start, ms", 1000 * statistics.median(ours.starts), 1000 * statistics.median(other.starts))
    add("memory, empty, MiB", ours.empty / 2**20, other.empty / 2**20)
    add(f"memory, {objects} customers, MiB", ours.full / 2**20, other.full / 2**20)
    add(f"creating {objects} customers, s", ours.fill_s, other.fill_s)
    return "\n".join(lines) + "\n"
