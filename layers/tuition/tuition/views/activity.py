"""The activity of staff, from the table that a consumer keeps."""

import hashlib
from datetime import date
from typing import Any

from tuition import clock
from tuition.core import timestamps
from tuition.core.errors import Unprocessable
from tuition.core.refs import is_user_id
from tuition.storage import activity
from tuition.storage.items import ActivityItem
from tuition.storage.queries import Cursor, wrong_cursor

_FIELDS = ("at", "type", "payment_id", "user_id", "track")


def of_day(actor: str, day: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of what a member of staff did on a day (UTC), by default today, newest first.

    Raises `Unprocessable` for a day or an id that is none, and for the cursor of another list.
    """
    if not is_user_id(actor):
        raise Unprocessable("staff must be the id of a member of staff", field="staff")
    day = timestamps.iso(clock.now())[:10] if day is None else _day(day)
    list_id = hashlib.sha256(f"activity:{actor}:{day}".encode()).hexdigest()[:12]
    after = Cursor.decode(cursor, list_id) if cursor else None
    if after and (after.stage != "activity" or after.item_id != actor):
        raise wrong_cursor()
    partition = activity.partition(actor)
    page = activity.page(actor, day, limit, after.start_of(partition) if after else None)
    last = Cursor.after(page, partition, "activity")
    return {
        "staff": actor,
        "day": day,
        "actions": [_action(ActivityItem.from_raw_data(item)) for item in page.items],
        "next_cursor": last.encode(list_id) if last else None,
    }


def _day(text: str) -> str:
    """Return a day that is written as the table writes it. Raises `Unprocessable` for any other text."""
    try:
        is_day = date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_day = False
    if not is_day:
        raise Unprocessable("day must be a day such as 2026-11-23", field="day")
    return text


def _action(item: ActivityItem) -> dict[str, Any]:
    people = int(item.people) if item.people is not None else None
    return {**{name: getattr(item, name) for name in _FIELDS}, "people": people}


def staff() -> dict[str, Any]:
    """Return the members of staff who did anything in the time that is kept, the most recent first."""
    return {"staff": [{"staff": actor, "last_at": at} for actor, at in activity.staff()]}
