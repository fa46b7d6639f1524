"""The one clock: the time of day, the deadline of an invocation, and waiting inside it."""

import random
import time
from contextvars import ContextVar

DEADLINE_S = 20.0
"""What an invocation gives all its calls together: the gateway answers 503 after 30 s, whatever we do."""

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


def now() -> float:
    """Epoch seconds."""
    return time.time()


def start_deadline(seconds: float = DEADLINE_S) -> None:
    """Begin the time that all tries of all calls of this invocation share."""
    _ends.set(time.monotonic() + seconds)


def remaining_s() -> float:
    """Seconds until the deadline, never below 0; the whole time where none was begun."""
    ends = _ends.get()
    return DEADLINE_S if ends is None else max(0.0, ends - time.monotonic())


def pause(attempt: int, base_s: float = 0.05, most_s: float = 1.0) -> None:
    """Wait before try number `attempt` (from 1): full jitter, doubling, never beyond the deadline.

    Source: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    time.sleep(min(random.uniform(0, min(most_s, base_s * 2**attempt)), remaining_s()))


class Kept[T]:
    """Values by name that this container keeps a while."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, T]] = {}

    def get(self, name: str) -> T | None:
        """The value, while it is kept."""
        until, value = self._values.get(name, (0.0, None))
        return value if now() < until else None

    def keep(self, name: str, value: T, seconds: float) -> T:
        """Keep a value, and answer it. Beyond a thousand of them all others are forgotten."""
        if len(self._values) > 1000:
            self._values.clear()
        self._values[name] = now() + seconds, value
        return value

    def clear(self) -> None:
        """Forget every value."""
        self._values.clear()
