"""Assertions about deliveries of events, which say what came instead, what is pending and what failed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stripe_simulator.testing.account import DRAIN_S, StripeAccount

Event = dict[str, Any]
Expected = str | tuple[str, Mapping[str, Any]]
"""The type of an event, or the type and some fields of its object. A hash in the fields needs not be complete."""
MAX_ROWS = 1_000_000
MAX_LINES = 50
"""How many events a part of a message lists."""


@dataclass(frozen=True)
class Expectation:
    """An event of a type, whose object has some fields."""

    type: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.type} with {_text(self.fields)}" if self.fields else self.type

    def accepts(self, event: Event) -> bool:
        """Return whether this is the event."""
        return event["type"] == self.type and not self.differences(event)

    def differences(self, event: Event) -> list[str]:
        """Return how the fields of the event's object differ."""
        return _differences(self.fields, event["data"]["object"], "")


def expectation(expected: Expected) -> Expectation:
    """Return an expectation in full. Raises TypeError if it is neither a type nor a type with fields."""
    if isinstance(expected, str):
        return Expectation(expected)
    if (
        isinstance(expected, tuple)
        and len(expected) == 2
        and isinstance(expected[0], str)
        and isinstance(expected[1], Mapping)
    ):
        return Expectation(*expected)
    raise TypeError(f"{expected!r} is neither an event type nor a tuple of an event type and fields")


def _differences(expected: Mapping[str, Any], actual: Mapping[str, Any], path: str) -> list[str]:
    differences = []
    for name, value in expected.items():
        other = actual.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            differences += _differences(value, other, f"{path}{name}.")
        elif name not in actual:
            differences.append(f"{path}{name} is absent, not {_text(value)}")
        elif value != other:
            differences.append(f"{path}{name} is {_text(other)}, not {_text(value)}")
    return differences


def _text(value: Any) -> str:
    try:
        return json.dumps(dict(value) if isinstance(value, Mapping) else value)
    except TypeError:  # such as unittest.mock.ANY
        return repr(value)


def match(expectations: Sequence[Expectation], events: Sequence[Event]) -> dict[int, int]:
    """Return which event fulfils which expectation, each at most one: as many as possible (Kuhn's algorithm)."""
    expectation_of: dict[int, int] = {}

    def assign(number: int, visited: set[int]) -> bool:
        for position, event in enumerate(events):
            if position not in visited and expectations[number].accepts(event):
                visited.add(position)
                if position not in expectation_of or assign(expectation_of[position], visited):
                    expectation_of[position] = number
                    return True
        return False

    for number in range(len(expectations)):
        assign(number, set())
    return {number: position for position, number in expectation_of.items()}


@dataclass
class _State:
    """The deliveries to the endpoints that an assertion is about."""

    rows: list[dict[str, Any]]
    events: list[Event]
    """All events of the account."""
    now: float
    next_task_at: float | None

    def delivered(self) -> list[Event]:
        """Return the events that an endpoint has accepted, in the order in which they were created."""
        ids = {row["event"] for row in self.rows if row["outcome"] == "delivered"}
        return [event for event in self.events if event["id"] in ids]


def _read(account: StripeAccount, endpoint: str | None) -> _State:
    content = account.control(f"GET /_sim/deliveries?limit={MAX_ROWS}&events=1")
    clock = account.control("GET /_sim/clock")
    rows = [row for row in content["deliveries"] if endpoint in (None, row["endpoint"])]
    return _State(rows, content["events"], clock["now"], clock["next_task_at"])


def assert_delivered(
    account: StripeAccount,
    *expected: Expected,
    only: bool = False,
    endpoint: str | None = None,
    timeout: float = DRAIN_S,
) -> list[Event]:
    """Assert that these events were delivered, in any order, and return them in the order of `expected`.

    An event counts once its endpoint has responded with 2xx, and once only, however often it is delivered. With `only`,
    no other event may have been delivered. `endpoint` is the id of an endpoint, by default any.

    First wait until no delivery is due or in flight, at most `timeout` seconds. The next try of a failed delivery is
    due later: advance the clock. Raises AssertionError, which says what came instead, what is pending, and what failed.
    """
    __tracebackhide__ = True
    expectations = [expectation(one) for one in expected]
    drained = account.drain(timeout)
    state = _read(account, endpoint)
    events = state.delivered()
    matched = match(expectations, events)
    if len(matched) == len(expectations) and not (only and len(events) > len(matched)):
        return [events[matched[number]] for number in range(len(expectations))]
    missing = len(expectations) - len(matched)
    head = f"{missing} of {len(expectations)} events were not delivered" if missing else "other events were delivered"
    if not drained:
        head += f", and deliveries were still in flight after {timeout:g} s"
    raise AssertionError("\n".join([head, *_report(expectations, state)]))


def report(account: StripeAccount, expectations: Sequence[Expectation], endpoint: str | None = None) -> str:
    """Return what was delivered instead of the expected events, what is pending, and what failed."""
    return "\n".join(_report(expectations, _read(account, endpoint)))


def _report(expectations: Sequence[Expectation], state: _State) -> list[str]:
    events = state.delivered()
    matched = match(expectations, events)
    others = [event for position, event in enumerate(events) if position not in matched.values()]
    lines = []
    for number, one in enumerate(expectations):
        if number in matched:
            lines.append(f"  delivered  {one}  ({events[matched[number]]['id']})")
        else:
            lines.append(f"  missing    {one}{_why(one, state)}")
    lines += _part("came instead" if expectations else "came", [_other(event, expectations) for event in others])
    lines += _part("pending", [_pending(row, state.now) for row in state.rows if row["outcome"] not in _FINAL])
    lines += _part("failed", [_failed(row, state.now) for row in state.rows if row["outcome"] == "failed"])
    if state.next_task_at is not None and len(matched) < len(expectations):
        lines.append(
            f"The account's next scheduled work is due in {state.next_task_at - state.now:.1f} s of its clock."
        )
    return lines


_FINAL = {"delivered", "failed"}


def _part(title: str, entries: Iterable[str]) -> list[str]:
    entries = list(entries)
    more = [f"  … and {len(entries) - MAX_LINES} more"] if len(entries) > MAX_LINES else []
    return [f"{title}: none"] if not entries else [f"{title}:", *(f"  {one}" for one in entries[:MAX_LINES]), *more]


def _why(expected: Expectation, state: _State) -> str:
    """Return why no event of the expected type was delivered, if the lists below do not show it."""
    created = [event["id"] for event in state.events if event["type"] == expected.type]
    if not created:
        return "  (no such event was created)"
    if not set(created) & {row["event"] for row in state.rows}:
        return f"  ({created[0]} was created, but this endpoint does not receive it)"
    return ""


def _other(event: Event, expectations: Sequence[Expectation]) -> str:
    similar = [one for one in expectations if one.type == event["type"]]
    differences = min((one.differences(event) for one in similar), key=len, default=[])
    return f"{event['type']}  ({event['id']})" + (f": {'; '.join(differences)}" if differences else "")


def _pending(row: Mapping[str, Any], now: float) -> str:
    reasons = {
        "held": "held until POST /_sim/webhooks/release",
        "dropped": "dropped, as POST /_sim/webhooks demands",
    }
    reason = reasons.get(row["outcome"])
    if reason is None:
        reason = "in flight" if row["due"] is None else f"due in {max(0.0, row['due'] - now):.1f} s of the clock"
    return f"{row['type']}  ({row['event']}) to {row['url']}: {reason}"


def _failed(row: Mapping[str, Any], now: float) -> str:
    tries = ", ".join(one["problem"] or f"responded {one['status']}" for one in row["tries"])
    next_try = "" if row["due"] is None else f"; the next try is due in {max(0.0, row['due'] - now):.1f} s of the clock"
    return f"{row['type']}  ({row['event']}) to {row['url']}: {tries}{next_try}"
