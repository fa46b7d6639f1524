"""The one clock: the time of day, the deadline of an invocation, and waiting within it."""

import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

DEADLINE_S = 20.0
"""The time that all calls of one invocation share. The gateway answers 503 after 30 s in any case."""

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


def now() -> float:
    """Return the time in epoch seconds."""
    return time.time()


def start_deadline(seconds: float = DEADLINE_S) -> None:
    """Start the time that all attempts of all calls of this invocation share."""
    _ends.set(time.monotonic() + seconds)


def remaining_s() -> float:
    """Return the seconds until the deadline, never below 0; `DEADLINE_S` if no deadline was started."""
    ends = _ends.get()
    return DEADLINE_S if ends is None else max(0.0, ends - time.monotonic())


def remaining_of(context: Any) -> Callable[[], float]:
    """Return a function that returns the seconds that Lambda leaves to the invocation with this context."""
    return lambda: float(context.get_remaining_time_in_millis()) / 1000


def monotonic() -> float:
    """Return the seconds of a clock that is never set, for measuring intervals."""
    return time.monotonic()


def wait_s(seconds: float) -> None:
    """Wait for this long, if it is more than 0, but never beyond the deadline."""
    if seconds > 0:
        time.sleep(min(seconds, remaining_s()))


def pause(attempt: int, *, base_s: float, max_s: float) -> None:
    """Wait after attempt number `attempt` (from 1): exponential backoff with full jitter, never beyond the deadline.

    Source: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    time.sleep(min(random.uniform(0, min(max_s, base_s * 2**attempt)), remaining_s()))
