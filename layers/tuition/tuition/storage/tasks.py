"""The tasks of the reconciler and of the daily audit: one item each in `cursors`, with a lease of its own.

A run plans tasks. The run itself claims and performs them, or a worker that received a task's name from the queue. The
item alone decides. A message that is lost, late or delivered twice changes nothing but the time at which a task is
performed: a task has one holder at a time, and a finished task has none.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tuition import clock
from tuition.core.stored import read as read_stored
from tuition.storage import dynamodb, keys, leases
from tuition.storage.dynamodb import ConditionFailed
from tuition.storage.items import KEPT_S, CursorItem

CLOCK_MARGIN_S = 30
"""How far the clocks of two invocations may differ."""
ITEMS_PER_READ = 100
"""A batch read has at most 100 keys."""
_CLAIMABLE = f"attribute_exists(task) AND attribute_not_exists(report) AND {leases.FREE}"
_STATE = ("name", "held_until", "report")


Kind = Literal["window", "payments", "plans", "movements", "changed", "subjects", "users", "every_payment"]


@dataclass(frozen=True)
class Task:
    """A window of a walk, payments to check, plans to collect, or a part of the daily audit.

    A window has the `walk` whose cursor it moves, its bounds `first` and `last`, both inclusive, and the position
    `after` at which the cursor stands once it is finished: the start of the next window (all in epoch seconds).
    Payments have their ids, and in `after` the position from which the walk of the run that planned them lists objects.
    Plans have their ids, and in `after` the time at which they were found to be due.

    A part of the audit, planned at `planned_at`, compares what is older than `until`: the balance transactions created
    from `first` to `last`, both inclusive (`movements`); the subjects with an audit record in the `shard` of a day,
    committed from `first` until before `last` (`changed`); the `subjects`; or one of `segments` segments of a table
    (`users`, `every_payment`).
    """

    name: str
    kind: Kind
    walk: str = ""
    first: int = 0
    last: int = 0
    after: int = 0
    payment_ids: tuple[str, ...] = ()
    plan_ids: tuple[str, ...] = ()
    until: int = 0
    planned_at: int = 0
    shard: str = ""
    subjects: tuple[str, ...] = ()
    segment: int = 0
    segments: int = 1

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its payments or plans."""
        return self.payment_ids or self.plan_ids

    def to_json(self) -> dict[str, Any]:
        """Return what the item stores beside the name."""
        if self.kind in ("payments", "plans"):
            return {"kind": self.kind, "after": self.after, f"{self.kind[:-1]}_ids": list(self.ids)}
        if self.kind == "window":
            return {"kind": self.kind, "walk": self.walk, "first": self.first, "last": self.last, "after": self.after}
        times = {"until": self.until, "planned_at": self.planned_at, "first": self.first, "last": self.last}
        rest = {"subjects": list(self.subjects), "segment": self.segment, "segments": self.segments}
        return {"kind": self.kind, **times, "shard": self.shard, **rest}

    @classmethod
    def from_json(cls, name: str, stored: Mapping[str, Any]) -> "Task":
        """Read what `to_json` wrote, also in a later release with more fields: two releases run at once in a shift."""
        ids = {field: tuple(stored.get(field, ())) for field in ("payment_ids", "plan_ids", "subjects")}
        return read_stored(cls, {**stored, "name": name, **ids})


class State(NamedTuple):
    """Whether a task is held or finished. `report` is what it did once it is finished; until then it may be held."""

    is_held: bool
    report: dict[str, Any] | None


class StoredTask(NamedTuple):
    """A task as its item has it, with its state. `progress` is what `checkpoint` stored."""

    task: Task
    is_held: bool
    report: dict[str, Any] | None
    progress: dict[str, Any] | None = None


class Claim(NamedTuple):
    """A claimed task, with its last checkpoint. Only its holder may finish it or release it."""

    task: Task
    holder: str
    progress: dict[str, Any] | None = None


def window(walk: str, first: int, last: int, after: int) -> Task:
    """Return the task of a window. A walk has at most one task for each start."""
    return Task(window_name(walk, first), "window", walk, first, last, after)


def window_name(walk: str, first: int) -> str:
    """Return the name of a walk's window that starts at this time."""
    return f"window:{walk}:{first}"


def store(task: Task) -> bool:
    """Store a task in place of an earlier one with its name. Return False, with nothing stored, if that one is held."""
    now = int(clock.now())
    values = {":now": {"N": str(now)}, ":expires": {"N": str(now + KEPT_S)}}
    try:
        dynamodb.update(
            CursorItem,
            keys.cursor_key(task.name),
            "SET task = :task, expires_at = :expires REMOVE holder, held_until, report, progress",
            condition=leases.FREE,
            values={":task": {"S": json.dumps(task.to_json())}, **values},
        )
    except ConditionFailed:
        return False
    return True


def claim(name: str, seconds: float) -> Claim | None:
    """Hold a task for as long as the invocation can live. Return None if it is held, finished, or does not exist."""
    holder = leases.take(name, int(seconds) + CLOCK_MARGIN_S, _CLAIMABLE)
    stored = read([name]).get(name) if holder else None
    return Claim(stored.task, holder, stored.progress) if stored and holder else None


def checkpoint(claimed: Claim, progress: Mapping[str, Any]) -> bool:
    """Store how far a task has come and what it has found until there, in one write.

    The next holder continues from the newest checkpoint. Return False, with nothing stored, if the lease has expired.
    """
    values = {":progress": {"S": json.dumps(dict(progress))}}
    return leases.update(claimed.task.name, claimed.holder, "progress = :progress", values)


def finish(claimed: Claim, report: Mapping[str, Any]) -> None:
    """Store what a task did. A holder whose lease has expired stores nothing: the task is another's by now."""
    values = {":report": {"S": json.dumps(dict(report))}}
    leases.release(claimed.task.name, claimed.holder, sets="report = :report", removes="progress", values=values)


def clear_report(task: Task) -> None:
    """Empty the report of a finished task once a run has added it, so that no later run adds it again."""
    condition, values = "attribute_exists(report)", {":report": {"S": "{}"}}
    try:
        dynamodb.update(
            CursorItem, keys.cursor_key(task.name), "SET report = :report", condition=condition, values=values
        )
    except ConditionFailed:
        return  # it was removed or planned again


def release(claimed: Claim) -> None:
    """Let another claim a task that was not finished."""
    leases.release(claimed.task.name, claimed.holder)


def read(names: Iterable[str]) -> dict[str, StoredTask]:
    """Return the tasks with these names that exist."""
    return {
        item.name: StoredTask(Task.from_json(item.name, item.task), _is_held(item), item.report, item.progress)
        for item in _items(names)
        if item.task
    }


def read_states(names: Iterable[str]) -> dict[str, State]:
    """Return the states of the tasks with these names that exist, without the up to 500 payments of each."""
    return {item.name: State(_is_held(item), item.report) for item in _items(names, _STATE)}


def _items(names: Iterable[str], attributes: Iterable[str] = ()) -> Iterator[CursorItem]:
    for batch in itertools.batched(names, ITEMS_PER_READ, strict=False):
        raw = dynamodb.batch_get({CursorItem: [keys.cursor_key(name) for name in batch]}, attributes)
        yield from map(CursorItem.from_raw_data, raw[CursorItem])


def _is_held(item: CursorItem) -> bool:
    return item.held_until is not None and int(item.held_until) >= int(clock.now())


def remove(task: Task) -> None:
    """Remove a task that is finished."""
    dynamodb.delete(CursorItem, keys.cursor_key(task.name))
