"""Cursors of the walks over Stripe's objects, and the lease that lets one run at a time move them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tuition import clock
from tuition.core.errors import TuitionError
from tuition.core.money import Money
from tuition.storage import dynamodb, keys, leases
from tuition.storage.dynamodb import ConditionFailed
from tuition.storage.items import KEPT_S, CursorItem

RECONCILE = "reconcile"
"""The cursor of the hourly run. Its item also holds the lease of all runs."""
NEWEST_EVENT = "newest_event"
"""The time of the newest event that a webhook has delivered, as far as the reconciler has seen."""
AGAIN = "again"
"""The cursor of the hourly run's second walk over each window, an hour after the first."""
PRICES = "prices"
"""The item with the catalog's prices, as the hourly run has seen them."""
LASTING = frozenset({RECONCILE, AGAIN})
"""The cursors that never expire. Any other is of a backfill, which may be abandoned."""
LEASE_S = 900
"""As long as an invocation can live: a lease that was not released expires."""


class LeaseTaken(TuitionError):
    """Another run holds the lease."""


COLLECT = "collect"
"""The item with the lease of the runs that collect plans."""
BOOKS = "books"
"""The item with the report of the daily audit, and with its lease."""
RECOUNT = "recount"
"""The item with the report of the recount of the roll-ups, and with its lease."""
ARCHIVE = "archive"
"""The item with the progress of the monthly comparison of the archive, and with its lease."""
ARCHIVE_LOCKS = "archive_locks"
"""The item with the position of the yearly look at the archive's locks, and with its lease."""
RETENTION = "retention"
"""The item with the state of the yearly deletion of payments, and with its lease."""
LISTED_S = 400 * 86_400
"""The time to live of a part of the list of payments to delete: until the next year's list."""
DAILY = "books:daily"
"""The item with the plan of a daily audit that is not finished, and with what it has found until now."""


@contextmanager
def lease(name: str = RECONCILE) -> Iterator[None]:
    """Hold the lease of an item. Raises `LeaseTaken` while another run holds it."""
    holder = leases.take(name, LEASE_S)
    if holder is None:
        raise LeaseTaken("Another run is in progress. Wait for it to finish, then try again.")
    try:
        yield
    finally:
        leases.release(name, holder)


def report_of(event: Mapping[str, Any], run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the report of a run; for a caller that `waits`, `{"lease_taken": true}` while another run has the lease.

    An error of the function would ring an alarm, and roll back a release in progress. Raises `LeaseTaken` for others.
    """
    try:
        return run()
    except LeaseTaken:
        if event.get("waits"):
            return {"lease_taken": True}
        raise


def read(name: str) -> int | None:
    """Return how far a walk has come, in epoch seconds; None before its first window."""
    item = dynamodb.get(CursorItem, keys.cursor_key(name))
    cursor = CursorItem.from_raw_data(item).cursor if item else None
    return None if cursor is None else int(cursor)


def advance(name: str, cursor: int) -> None:
    """Store how far a walk has come, in epoch seconds. The cursor of a backfill expires if nothing moves it again."""
    names, values = {"#cursor": "cursor"}, {":cursor": {"N": str(cursor)}}
    expression = "SET #cursor = :cursor"
    if name not in LASTING:
        expression += ", expires_at = :expires"
        values[":expires"] = {"N": str(int(clock.now()) + KEPT_S)}
    dynamodb.update(CursorItem, keys.cursor_key(name), expression, names=names, values=values)


def advance_if_newer(name: str, cursor: int) -> None:
    """Store a time in epoch seconds, unless a newer one is stored: several runs may find one at once."""
    names, values = {"#cursor": "cursor"}, {":cursor": {"N": str(cursor)}}
    condition = "attribute_not_exists(#cursor) OR #cursor < :cursor"
    try:
        dynamodb.update(
            CursorItem,
            keys.cursor_key(name),
            "SET #cursor = :cursor",
            condition=condition,
            names=names,
            values=values,
        )
    except ConditionFailed:
        return


def read_report(name: str = BOOKS) -> dict[str, Any] | None:
    """Return the report of the daily audit, or of the recount; None before the first."""
    item = dynamodb.get(CursorItem, keys.cursor_key(name))
    report: dict[str, Any] | None = CursorItem.from_raw_data(item).report if item else None
    return report


def store_report(report: Mapping[str, Any], name: str = BOOKS) -> None:
    """Store the report of the daily audit or the recount, or what an unfinished audit has found until now."""
    values = {":report": {"S": json.dumps(dict(report))}}
    dynamodb.update(CursorItem, keys.cursor_key(name), "SET report = :report", values=values)


def read_plan(name: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the plan of an audit that is not finished, and what the audit has found until now; None without them."""
    item = dynamodb.get(CursorItem, keys.cursor_key(name))
    cursor = CursorItem.from_raw_data(item) if item else None
    return (cursor.plan, cursor.report) if cursor else (None, None)


def store_list(name: str, payments: Mapping[str, str]) -> None:
    """Store a part of the list of payments to delete, in place of an earlier one: when money of each moved last."""
    values = {":plan": {"S": json.dumps(dict(payments))}, ":expires": {"N": str(int(clock.now()) + LISTED_S)}}
    expression = "SET #plan = :plan, expires_at = :expires"
    dynamodb.update(CursorItem, keys.cursor_key(name), expression, names={"#plan": "plan"}, values=values)


def store_plan(name: str, plan: Mapping[str, Any]) -> None:
    """Store the plan of an audit that is not finished."""
    values = {":plan": {"S": json.dumps(dict(plan))}}
    dynamodb.update(CursorItem, keys.cursor_key(name), "SET #plan = :plan", names={"#plan": "plan"}, values=values)


def remove(name: str) -> None:
    """Remove the cursor of a backfill, the plan of an audit, or a part of a list, that is finished."""
    dynamodb.delete(CursorItem, keys.cursor_key(name))


def prices_since(prices: Mapping[str, Money], now: int) -> dict[str, int]:
    """Return since when each track has had its price, in epoch seconds, and remember a price that is new.

    A change counts from the first hourly run that sees it.
    """
    item = dynamodb.get(CursorItem, keys.cursor_key(PRICES))
    stored = (CursorItem.from_raw_data(item).prices or {}) if item else {}
    current: dict[str, list[str | int]] = {}
    for track, price in prices.items():
        text, since = stored.get(track, ("", now))
        current[track] = [str(price), since if text == str(price) else now]
    if current != stored:
        values = {":prices": {"S": json.dumps(current)}}
        dynamodb.update(CursorItem, keys.cursor_key(PRICES), "SET prices = :prices", values=values)
    return {track: int(since) for track, (_, since) in current.items()}
