"""Keep the tables that only the console reads, from events of the bus, and rebuild them by hand.

Events arrive at least once and in any order, so a message only names the payment whose words are stored again from its
present state (`tuition.storage.search`). An action of staff is stored as the event has it (`tuition.storage.activity`).
A rebuild stores the words of every payment, and removes those of payments that are in the table but no longer exist.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tuition import clock
from tuition.core import timestamps
from tuition.core.published_events import FOR_CONSOLE, STAFF_ACTED
from tuition.log import logger
from tuition.storage import activity, queries, search
from tuition.storage.activity import Action

FIRST_MONTH = "2020-01"
"""No payment is older."""
PAGE = 100
RESERVE_S = 10.0
"""With less time than this a rebuild ends, and says where to continue."""


def read(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Store what these messages are about. Return the ids of the messages that must be delivered again."""
    failed: list[str] = []
    done: set[str] = set()
    for record in records:
        clock.start_deadline()
        try:
            event = json.loads(record["body"])
            _store(event["detail-type"], event["detail"], done)
        except Exception:
            logger.exception("an event could not be stored for the console", message_id=record["messageId"])
            failed.append(str(record["messageId"]))
    return failed


def _store(detail_type: str, detail: Mapping[str, Any], done: set[str]) -> None:
    """Store what an event is about. `done` has the payments whose words this batch has stored."""
    payment_id = detail.get("payment_id")
    if detail_type == STAFF_ACTED:
        activity.store(_action(detail))
    elif detail_type in FOR_CONSOLE and payment_id not in done:
        search.refresh(str(payment_id))
        done.add(str(payment_id))


def _action(detail: Mapping[str, Any]) -> Action:
    """Return the action of an event. A record of a read is on the chain of its actor: it has no student."""
    subject, position, kind = str(detail["subject"]), int(detail["position"]), str(detail["type"])
    user_id = detail["user_id"] if detail["user_id"] != detail["actor"] else None
    at = str(detail["recorded_at"] or detail["at"])
    about = detail["payment_id"], user_id, detail["track"], detail["people"]
    return Action(str(detail["actor"]), at, subject, position, kind, *about)


# --- a rebuild by hand ---


def rebuild(after: str | None, remaining: Callable[[], float]) -> dict[str, Any]:
    """Store the words of every payment, as far as the time allows. Return how many, and where to continue.

    `after` is None at the first call, and at the end. It has the key of a page of the table, or else the month, the
    shard and the sort key of a payment.
    """
    refreshed = 0
    for payment_ids, position in _pages(json.loads(after) if after else {}):
        for payment_id in payment_ids:
            clock.start_deadline()
            search.refresh(payment_id)
        refreshed += len(payment_ids)
        if position and remaining() < RESERVE_S:
            return {"refreshed": refreshed, "after": json.dumps(position)}
    return {"refreshed": refreshed, "after": None}


_Position = dict[str, Any]


def _pages(start: _Position) -> Iterator[tuple[list[str], _Position]]:
    """Yield pages of payments, each with the position after it: those in the table, then all payments by month."""
    if "month" not in start:
        yield from _stored_pages(start.get("key"))
    first = start.get("month", FIRST_MONTH)
    for month in timestamps.months_between(f"{first}-01", timestamps.iso(clock.now())[:10]):
        shards = queries.by_month(month)
        for number in range(start.get("shard", 0) if month == first else 0, len(shards)):
            is_start = (month, number) == (first, start.get("shard"))
            for sort_keys, _ in queries.month_pages(shards[number], start["sort_key"] if is_start else " ", PAGE):
                if sort_keys:
                    position = {"month": month, "shard": number, "sort_key": sort_keys[-1]}
                    yield [sort_key.partition("#")[2] for sort_key in sort_keys], position


def _stored_pages(key: Any) -> Iterator[tuple[list[str], _Position]]:
    while True:
        payment_ids, key = search.page_of_payments(key)
        yield payment_ids, {"key": key} if key else {"month": FIRST_MONTH, "shard": 0, "sort_key": " "}
        if key is None:
            return
