"""The activity of staff: what each member did, by the time at which the ledger recorded it, and who did anything.

It repeats audit records that name an actor, with ids only, so that one query answers "what did they do today?". An
action that is stored twice changes nothing. It ends `KEPT_S` after it was recorded. An older one is not stored, so a
replay of everything brings none back.
"""

from typing import Any, NamedTuple

from tuition import clock
from tuition.core import timestamps
from tuition.storage import dynamodb, keys
from tuition.storage.dynamodb import ConditionFailed, Item, Page, Partition, SortKeys
from tuition.storage.items import ActivityItem

KEPT_S = 400 * 86_400
MAX_STAFF = 500
"""Members of staff that one list shows, the most recent first."""


class Action(NamedTuple):
    """One audit record of a member of staff. `at` is when it was recorded, and `people` how many people were read."""

    actor: str
    at: str
    subject: str
    position: int
    type: str
    payment_id: str | None
    user_id: str | None
    track: str | None
    people: int | None


def store(action: Action) -> None:
    """Store an action, and that its actor was active then, unless it is too old."""
    expires_at = int(timestamps.epoch(action.at)) + KEPT_S
    if expires_at <= clock.now():
        return
    names = ("type", "payment_id", "user_id", "track", "people")
    values = {name: getattr(action, name) for name in names}
    sort_key = f"{action.at}#{action.subject}#{action.position}"
    dynamodb.put(ActivityItem(action.actor, sort_key, at=action.at, expires_at=expires_at, **values))
    try:
        dynamodb.update(
            ActivityItem,
            keys.activity_key(keys.ALL_STAFF, action.actor),
            "SET #at = :at, expires_at = :expires",
            condition="attribute_not_exists(#at) OR #at < :at",
            names={"#at": "at"},
            values={":at": {"S": action.at}, ":expires": {"N": str(expires_at)}},
        )
    except ConditionFailed:
        return  # a later action is known


def page(actor: str, day: str, limit: int, start: Item | None) -> Page:
    """Read one page of what a member of staff did on a day (UTC), newest first."""
    of_day = SortKeys("begins_with(#sort, :day)", {":day": day})
    return dynamodb.query(partition(actor), sort_keys=of_day, descending=True, limit=limit, start=start)


def partition(actor: str) -> Partition:
    """Return all that is stored of a member of staff."""
    return Partition(ActivityItem, "actor", actor, "sort_key")


def staff() -> list[tuple[str, str]]:
    """Return the id of each member of staff who did anything, and when last: the most recent first."""
    items: list[Any] = []
    for each in dynamodb.query_pages(partition(keys.ALL_STAFF)):
        items += map(ActivityItem.from_raw_data, each.items)
    active = [(str(item.at), str(item.sort_key)) for item in items if item.expires_at > clock.now()]
    return [(actor, at) for at, actor in sorted(active, reverse=True)[:MAX_STAFF]]
