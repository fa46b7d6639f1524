"""The history of the account's objects, for the inspector: every change with its cause and the events that it made.

A change keeps only the old values of the fields that changed. The states of an object follow from its present state,
by undoing its changes one after the other. The oldest changes are dropped first, so the states that remain are right.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stripe_simulator.store import Object, Watch

MAX_CHANGES = 10_000
"""The changes of all objects that are kept."""
ABSENT: Any = object()
"""The old value of a field that did not exist."""


@dataclass(slots=True)
class Change:
    """One change of an object. `source` is the id of a request, or says what else changed the object.

    `previous` has the old values of the changed fields. It is None if the object was created.
    """

    number: int
    at: int
    id: str
    kind: str
    source: str
    previous: Object | None
    events: list[str] = field(default_factory=list)

    def undo(self, state: Object) -> Object:
        """Return the state before this change. An object that did not exist is empty."""
        if self.previous is None:
            return {}
        before = state | self.previous
        return {name: value for name, value in before.items() if value is not ABSENT}


class History:
    """The changes of all objects, oldest first. Not thread-safe: the account's lock guards it."""

    def __init__(self) -> None:
        self.changes: deque[Change] = deque()
        self._of_object: dict[str, deque[Change]] = {}
        self._number = 1

    def clear(self) -> None:
        """Forget all changes."""
        self.changes.clear()
        self._of_object.clear()

    def record(
        self,
        watch: Watch,
        objects: dict[str, dict[str, Object]],
        source: str,
        at: int,
        events: Iterable[tuple[str, str | None]],
    ) -> None:
        """Record what changed during a watch. `events` are the ids of its events, each with the id of its object."""
        events_of: dict[str, list[str]] = {}
        for event_id, object_id in events:
            if object_id is not None:
                events_of.setdefault(object_id, []).append(event_id)
        added = {stored["id"]: stored["object"] for stored in watch.added if stored}  # one that is undone may be empty
        for id, kind in added.items():
            if id in objects.get(kind, {}):
                self._append(Change(self._number, at, id, kind, source, None, events_of.pop(id, [])))
        for stored, before in watch.before.values():
            id, kind = before["id"], before["object"]
            after = objects.get(kind, {}).get(id, {})
            if id in added or (after is stored and stored == before and id not in events_of):
                continue
            previous = _previous(before, after)
            if previous or id in events_of:
                self._append(Change(self._number, at, id, kind, source, previous, events_of.pop(id, [])))

    def _append(self, change: Change) -> None:
        self._number += 1
        self.changes.append(change)
        self._of_object.setdefault(change.id, deque()).append(change)
        if len(self.changes) > MAX_CHANGES:
            oldest = self.changes.popleft()
            of_object = self._of_object[oldest.id]
            of_object.popleft()
            if not of_object:
                del self._of_object[oldest.id]

    def has(self, id: str) -> bool:
        """Return whether a change of an object is kept."""
        return id in self._of_object

    def of(self, id: str) -> list[Change]:
        """Return the changes of an object, newest first."""
        return list(reversed(self._of_object.get(id, ())))

    def states(self, id: str, present: Object) -> Iterator[tuple[Change, Object, Object]]:
        """Yield each change of an object, newest first, with the states before and after it."""
        after = present
        for change in self.of(id):
            before = change.undo(after)
            yield change, before, after
            after = before

    def of_request(self, request_id: str) -> list[Change]:
        """Return the changes that a request made."""
        return [change for change in self.changes if change.source == request_id]


def _previous(before: Object, after: Object) -> Object:
    """Return the old values of the fields that differ, without the simulator's own fields."""
    return {
        name: before.get(name, ABSENT)
        for name in before | after
        if not name.startswith("_") and before.get(name, ABSENT) != after.get(name, ABSENT)
    }
