"""The simulator's clock, and what Stripe does later.

`/_sim/clock` moves it; what is due is done when the clock passes it. Work is kept as a name and
arguments, not as a closure, so that `--data` can save it.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(order=True)
class Due:
    """One piece of later work."""

    at: float
    seq: int
    name: str = field(compare=False)
    arguments: list[Any] = field(compare=False)


class Clock:
    """Seconds since the epoch, moved by `advance`."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self.offset = 0.0
        self.later: list[Due] = []
        self._seq = 0

    def now(self) -> float:
        """The time here, in seconds since the epoch."""
        return self._source() + self.offset

    def unix(self) -> int:
        """The time in whole seconds, as `created` has it."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self.offset += seconds

    def after(self, seconds: float, name: str, *arguments: Any) -> None:
        """Do `name(*arguments)` when the clock has moved by so many seconds."""
        self._seq += 1
        heapq.heappush(self.later, Due(self.now() + seconds, self._seq, name, list(arguments)))

    def resume(self) -> None:
        """Number new work after what was loaded."""
        self._seq = max((due.seq for due in self.later), default=0)

    def due(self) -> Due | None:
        """Takes the next piece of work whose time has come."""
        if self.later and self.later[0].at <= self.now():
            return heapq.heappop(self.later)
        return None

    def next_at(self) -> float | None:
        """When the next work is due."""
        return self.later[0].at if self.later else None
