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


def pause(attempt: int, base_s: float = 0.05, max_s: float = 1.0) -> None:
    """Wait before try number `attempt` (from 1): full jitter, doubling, never beyond the deadline.

    Source: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    time.sleep(min(random.uniform(0, min(max_s, base_s * 2**attempt)), remaining_s()))
