"""The simulator's clock, and the tasks that it runs later.

`/_sim/clock` moves the clock forward; a task runs when the clock passes its time. A task is a name and arguments,
not a closure, so that `--data` can save it.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(order=True)
class Task:
    """Work to do at a time."""

    at: float
    seq: int
    name: str = field(compare=False)
    arguments: list[Any] = field(compare=False)


class Clock:
    """Seconds since the epoch, moved by `advance`."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self.offset = 0.0
        self.tasks: list[Task] = []  # a heap
        self._seq = 0

    def now(self) -> float:
        """Return the simulated time in seconds since the epoch."""
        return self._source() + self.offset

    def real(self) -> float:
        """Return the time in seconds since the epoch that `advance` does not move, to measure durations."""
        return self._source()

    def unix(self) -> int:
        """Return the time in whole seconds, the unit of `created`."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self.offset += seconds

    def schedule(self, seconds: float, name: str, *arguments: Any) -> None:
        """Schedule the task `name(*arguments)`, to run after a number of seconds."""
        self._seq += 1
        heapq.heappush(self.tasks, Task(self.now() + seconds, self._seq, name, list(arguments)))

    def last_task(self) -> int:
        """Return the number of the newest task, for `forget_after`."""
        return self._seq

    def forget_after(self, seq: int) -> None:
        """Remove the tasks that are newer than the one with this number."""
        self.load([task for task in self.tasks if task.seq <= seq])
        self._seq = max(self._seq, seq)

    def load(self, tasks: list[Task]) -> None:
        """Replace the tasks, and number new tasks after them."""
        self.tasks = tasks
        heapq.heapify(self.tasks)
        self._seq = max((task.seq for task in tasks), default=0)

    def pop_due(self) -> Task | None:
        """Remove and return the next task whose time has come."""
        if self.tasks and self.tasks[0].at <= self.now():
            return heapq.heappop(self.tasks)
        return None

    def next_at(self) -> float | None:
        """Return when the next task is due."""
        return self.tasks[0].at if self.tasks else None
