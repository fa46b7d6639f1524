"""The lease on an item of `cursors`: one holder at a time, until it releases the item or its time has passed."""

import uuid

from tuition import clock
from tuition.storage import dynamodb, keys
from tuition.storage.dynamodb import ConditionFailed, Item
from tuition.storage.items import CursorItem

FREE = "(attribute_not_exists(held_until) OR held_until < :now)"
"""The condition that no lease on an item holds. `:now` is the time in epoch seconds."""


def take(name: str, seconds: int, condition: str = FREE) -> str | None:
    """Hold an item for some seconds. Return the holder's id, or None if the condition fails, such as while it is held.

    A condition other than `FREE` contains it.
    """
    holder, now = uuid.uuid4().hex, int(clock.now())
    values = {":me": {"S": holder}, ":until": {"N": str(now + seconds)}, ":now": {"N": str(now)}}
    try:
        dynamodb.update(
            CursorItem,
            keys.cursor_key(name),
            "SET holder = :me, held_until = :until",
            condition=condition,
            values=values,
        )
    except ConditionFailed:
        return None
    return holder


def update(name: str, holder: str, sets: str, values: Item) -> bool:
    """Set attributes of a held item: `sets` is `name = :value`, and `values` has them.

    Return False, with nothing written, if the lease has expired, because another may hold the item by now.
    """
    return _update_held(name, holder, f"SET {sets}", values)


def release(name: str, holder: str, *, sets: str = "", removes: str = "", values: Item | None = None) -> None:
    """End a lease, and set and remove attributes of its item in the same write, as `update` does.

    Nothing is written if the lease has expired.
    """
    removed = ", ".join(filter(None, ("holder", "held_until", removes)))
    _update_held(name, holder, f"{f'SET {sets} ' if sets else ''}REMOVE {removed}", values or {})


def _update_held(name: str, holder: str, expression: str, values: Item) -> bool:
    values = {":me": {"S": holder}, **values}
    try:
        dynamodb.update(CursorItem, keys.cursor_key(name), expression, condition="holder = :me", values=values)
    except ConditionFailed:
        return False
    return True
