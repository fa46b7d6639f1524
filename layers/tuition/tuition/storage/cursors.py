"""Cursors of the walks over Stripe's objects, and the lease that lets one run at a time move them."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from tuition import clock
from tuition.core.errors import TuitionError
from tuition.storage import dynamodb, keys
from tuition.storage.items import CursorItem

RECONCILE = "reconcile"
"""The cursor of the hourly run, and the item that holds its lease."""
LEASE_S = 900
"""As long as an invocation can live: a lease that was not given back ends by itself."""


class LeaseTaken(TuitionError):
    """Somebody else is reconciling now."""


@contextmanager
def lease() -> Iterator[None]:
    """Hold the lease for the while."""
    holder, now = {"S": uuid.uuid4().hex}, int(clock.now())
    took = _update(
        RECONCILE,
        "SET holder = :me, held_until = :until",
        "attribute_not_exists(held_until) OR held_until < :now",
        {":me": holder, ":until": {"N": str(now + LEASE_S)}, ":now": {"N": str(now)}},
    )
    if not took:
        raise LeaseTaken("another run is under way: only one at a time")
    try:
        yield
    finally:
        _update(RECONCILE, "REMOVE holder, held_until", "holder = :me", {":me": holder})


def read(name: str) -> int | None:
    """Return how far a walk has come, in epoch seconds; None before its first step."""
    key = keys.cursor_key(name)
    found = dynamodb.client().get_item(TableName=dynamodb.table_name(CursorItem), Key=key, ConsistentRead=True)
    place = CursorItem.from_raw_data(found["Item"]).place if "Item" in found else None
    return None if place is None else int(place)


def advance(name: str, place: int) -> None:
    """Remember how far a walk has come, in epoch seconds."""
    _update(name, "SET place = :place", values={":place": {"N": str(place)}})


def remove(name: str) -> None:
    """Forget how far a walk has come: it is finished."""
    _update(name, "REMOVE place")


def _update(name: str, update: str, condition: str | None = None, values: Mapping[str, Any] | None = None) -> bool:
    """Update a cursor; False where the condition does not hold."""
    more: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
    more |= {"ExpressionAttributeValues": values} if values else {}
    key = keys.cursor_key(name)
    try:
        dynamodb.client().update_item(
            TableName=dynamodb.table_name(CursorItem), Key=key, UpdateExpression=update, **more
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True
