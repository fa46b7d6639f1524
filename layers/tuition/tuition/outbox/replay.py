"""Publish records again that are in the audit table: those of a day, a page at a time, or those of one subject.

Two replays at once are harmless, as is every repetition: the events have the same ids as before, and nothing is stored.
The command `make replay` chooses the days, sets the pace, and knows where to resume.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from tuition.core.errors import Unprocessable
from tuition.outbox import publish
from tuition.storage import queries
from tuition.storage.dynamodb import Item

PAGE = 100
"""The most records of a page: as many as one batch read takes."""


def page(request: Mapping[str, Any]) -> dict[str, Any]:
    """Publish the records that a request names, and return what happened and where the day continues.

    `{"day", "after"?, "limit"?}` names the records that were committed on a day behind a position, and `{"subject"}`
    all records of a payment or a user. `after` of the result is None at the end. Raises `Unprocessable`.
    """
    if "subject" in request:
        items, after = queries.audit_items(str(request["subject"])), None
    else:
        limit = request.get("limit", PAGE)
        if type(limit) is not int or not 0 < limit <= PAGE:
            raise Unprocessable(f"The limit is a number from 1 to {PAGE}.", "limit")
        items, after = queries.page_of_day(_day(request.get("day")), limit, request.get("after"))
    outcome = publish.send({_name(item): item for item in items})
    return {"records": len(items), "events": outcome.events, "failed": outcome.failed, "after": after}


def _day(text: object) -> str:
    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError as error:
        raise Unprocessable("The day is a date, such as 2026-11-23.", "day") from error


def _name(item: Item) -> str:
    return f"{item['subject']['S']} {item['sort_key']['S']}"
