"""Cursors of the walks over Stripe's objects, and the lease that lets one run at a time move them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tuition import clock
from tuition.core.errors import TuitionError
from tuition.storage import dynamodb, keys
from tuition.storage.dynamodb import ConditionFailed
from tuition.storage.items import CursorItem

RECONCILE = "reconcile"
"""The cursor of the hourly run. Its item also holds the lease of all runs."""
LEASE_S = 900
"""As long as an invocation can live: a lease that was not released expires."""


class LeaseTaken(TuitionError):
    """Another run holds the lease."""


@contextmanager
def lease() -> Iterator[None]:
    """Hold the lease. Raises `LeaseTaken` while another run holds it."""
    holder, now = {"S": uuid.uuid4().hex}, int(clock.now())
    try:
        dynamodb.update(
            CursorItem,
            keys.cursor_key(RECONCILE),
            "SET holder = :me, held_until = :until",
            condition="attribute_not_exists(held_until) OR held_until < :now",
            values={":me": holder, ":until": {"N": str(now + LEASE_S)}, ":now": {"N": str(now)}},
        )
    except ConditionFailed:
        raise LeaseTaken("Another run is in progress. Wait for it to finish, then try again.") from None
    try:
        yield
    finally:
        _release(holder)


def _release(holder: dynamodb.Item) -> None:
    try:
        dynamodb.update(
            CursorItem,
            keys.cursor_key(RECONCILE),
            "REMOVE holder, held_until",
            condition="holder = :me",
            values={":me": holder},
        )
    except ConditionFailed:
        return  # it has expired, and another run holds it


def read(name: str) -> int | None:
    """Return how far a walk has come, in epoch seconds; None before its first window."""
    item = dynamodb.get(CursorItem, keys.cursor_key(name))
    cursor = CursorItem.from_raw_data(item).cursor if item else None
    return None if cursor is None else int(cursor)


def advance(name: str, cursor: int) -> None:
    """Store how far a walk has come, in epoch seconds."""
    names, values = {"#cursor": "cursor"}, {":cursor": {"N": str(cursor)}}
    dynamodb.update(CursorItem, keys.cursor_key(name), "SET #cursor = :cursor", names=names, values=values)


def remove(name: str) -> None:
    """Remove the cursor of a walk that is finished."""
    dynamodb.update(CursorItem, keys.cursor_key(name), "REMOVE #cursor", names={"#cursor": "cursor"})
