"""The uses that count against a user's limits: declines, 3-D Secure steps, refused promotion codes, requests to Stripe.

Declines and refused codes are kept as texts `<time>:<id>` with the time in epoch seconds, so that each counts once and
only for its window. Requests fill a bucket that empties at a steady rate: `busy_until_ms` is when it will be empty.
Source: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

HOUR_S = 3600
DAY_S = 86_400
CODES_WINDOW_S = 600
KEPT_S = 2 * DAY_S
"""The time to live of a user's limits after their last change."""
MAX_DECLINES_KEPT = 100
"""The newest of a day. Every bound is lower."""
IN_FLIGHT_S = 30
"""No request lives longer. A younger entry of a code may be that of a request that is being answered."""
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Limits:
    """The used-up part of a user's limits."""

    declines: frozenset[str] = frozenset()
    refused_codes: frozenset[str] = frozenset()
    busy_until_ms: int = 0

    def with_declines(self, times: Mapping[str, int], now: int) -> "Limits":
        """Return the limits with these declines and 3-D Secure steps (id -> epoch seconds) of the last day too."""
        entries = self.declines | {_entry(at, key) for key, at in times.items()}
        return replace(self, declines=frozenset(sorted(_since(entries, now - DAY_S))[-MAX_DECLINES_KEPT:]))

    def declines_within(self, seconds: int, now: int) -> int:
        """Return how many declines and 3-D Secure steps there were in the last `seconds`."""
        return len(_since(self.declines, now - seconds))

    def wait_after_declines(self, now: int, per_hour: int) -> int:
        """Return in how many seconds no more than `per_hour` declines are within the last hour; 0 if that is so."""
        return _wait_s(self.declines, now, HOUR_S, per_hour)

    def wait_after_declines_of_day(self, now: int, per_day: int) -> int:
        """Return in how many seconds no more than `per_day` declines are within the last day; 0 if that is so."""
        return _wait_s(self.declines, now, DAY_S, per_day)

    def wait_after_codes(self, now: int, bound: int) -> int:
        """Return in how many seconds another code may be looked up; 0 if now."""
        return _wait_s(self.refused_codes, now, CODES_WINDOW_S, bound - 1)

    def code_in_flight(self, code_id: str, now: int) -> str | None:
        """Return the entry of a request for the same code that may still be waiting for its answer, if any."""
        young = (entry for entry in _since(self.refused_codes, now - IN_FLIGHT_S) if entry.endswith(f":{code_id}"))
        return max(young, default=None)

    def with_code(self, code_id: str, now: int) -> "Limits":
        """Return the limits with one more refused code, without those of earlier windows."""
        entries = _since(self.refused_codes, now - CODES_WINDOW_S)
        return replace(self, refused_codes=frozenset({*entries, code_entry(code_id, now)}))


NO_LIMITS = Limits()


def code_entry(code_id: str, now: int) -> str:
    """Return the entry of a code that was refused, or is being looked up, at this time."""
    return _entry(now, code_id)


def _entry(at: int, key: str) -> str:
    return f"{at:012d}:{key}"


def _time(entry: str) -> int:
    return int(entry.partition(":")[0])


def _since(entries: Iterable[str], start: int) -> list[str]:
    return [entry for entry in entries if _time(entry) > start]


def _wait_s(entries: Iterable[str], now: int, window_s: int, most: int) -> int:
    """Return in how many seconds at most `most` entries are within the window."""
    newest_first = sorted((_time(entry) for entry in _since(entries, now - window_s)), reverse=True)
    return max(1, newest_first[most] + window_s - now) if len(newest_first) > most else 0
