"""Publish audit records as events on the bus: those of the table's stream, and those that a replay reads again.

The same records go to the queue of analytics. It is no target of the bus, because a rule has one message group for all
its events.

A record may be published twice: after a partial failure, after a crash behind the call, and by every replay. Its events
have the same ids each time. A record that cannot become events fails alone. Its batch is divided until the others are
published, and Lambda keeps the record in `FailedRecordsBucket`, from where a replay sends it after the mend.

Sources: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html,
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tuition import aws_client, metrics
from tuition.core import emails, published_events, timestamps
from tuition.log import logger
from tuition.outbox import analytics_queue
from tuition.settings import settings
from tuition.storage import mapping
from tuition.storage.dynamodb import Item

SOURCE = "tuition"
"""The `source` of every event, for the patterns of rules."""
ENTRIES_PER_CALL = 10
BYTES_PER_CALL = 256 * 1024
"""The size of a call's entries, as EventBridge counts it. So no single entry may be larger either."""
_BYTES_OF_TIME = 14


@dataclass
class Outcome:
    """The number of events that the bus took, and the names of the records that it did not take whole."""

    events: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Entry:
    """An entry of a call, the name of its record, and its size in bytes."""

    record: str
    params: dict[str, Any]
    size: int


@dataclass(frozen=True)
class _Record:
    """An audit record as it is stored, and the entries of its events."""

    stored: Mapping[str, Any]
    entries: list[_Entry]


def read(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Publish the new records of a batch of the stream, and return the sequence numbers of those that failed.

    The mapping's filter passes new records only. A changed record is evidence for the other reader, and no event.
    """
    new = [record["dynamodb"] for record in records if record["eventName"] == "INSERT"]
    return send({str(change["SequenceNumber"]): change.get("NewImage", {}) for change in new}).failed


def send(items: Mapping[str, Item]) -> Outcome:
    """Publish audit items, as DynamoDB writes them, by name, and queue them for analytics.

    A record that fails holds up no other. One that the bus or the queue did not take is sent again to both.
    """
    outcome = Outcome()
    records = _records(items, outcome)
    calls = list(_calls(entry for record in records.values() for entry in record.entries))
    for number, call in enumerate(calls):
        if not _put(call, outcome):
            outcome.failed += [entry.record for later in calls[number:] for entry in later]
            break
    outcome.failed += analytics_queue.send({name: record.stored for name, record in records.items()})
    outcome.failed = list(dict.fromkeys(outcome.failed))
    return outcome


def _records(items: Mapping[str, Item], outcome: Outcome) -> dict[str, _Record]:
    records = {}
    for name, item in items.items():
        try:
            stored = mapping.stored_record(item)
            records[name] = _Record(stored, _entries_of(name, stored))
        except Exception:
            logger.exception("an audit record cannot be published", record=name, item_key=_key(item))
            metrics.count("RecordUnpublishable")
            outcome.failed.append(name)
    return records


def _key(item: Item) -> dict[str, Any]:
    return {name: item.get(name) for name in ("subject", "sort_key")}


def _entries_of(name: str, stored: Mapping[str, Any]) -> list[_Entry]:
    """Return the entries of a record. Raises for a record that no version of the ledger has written."""
    entries = []
    for event in published_events.of_record(stored):
        detail = json.dumps(event.detail, ensure_ascii=False, separators=(",", ":"))
        params = {
            "EventBusName": settings().event_bus,
            "Source": SOURCE,
            "DetailType": event.type,
            "Detail": detail,
            "Time": timestamps.epoch(event.detail["at"]),
        }
        size = _BYTES_OF_TIME + len(SOURCE) + len(event.type) + len(detail.encode())
        if size > BYTES_PER_CALL:
            raise ValueError(f"an event of {size} bytes is too large")
        entries.append(_Entry(name, params, size))
    return entries


def _calls(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    """Yield the entries of one call after another, within both limits of a call."""
    call: list[_Entry] = []
    for entry in entries:
        is_full = len(call) == ENTRIES_PER_CALL or sum(one.size for one in call) + entry.size > BYTES_PER_CALL
        if call and is_full:
            yield call
            call = []
        call.append(entry)
    if call:
        yield call


def _put(call: list[_Entry], outcome: Outcome) -> bool:
    """Make one call, and add what it did. Return False if it was not answered: then the bus may have taken it.

    Counts the events for the emails and for the console: if their rule then invokes nothing, an alarm rings.
    """
    try:
        response = _client().put_events(Entries=[entry.params for entry in call])
    except (ClientError, BotoCoreError):
        logger.exception("the bus did not take a call", entries=len(call))
        metrics.count("EventNotPublished", len(call))
        return False
    results = list(zip(call, response["Entries"], strict=True))
    refused = [(entry, result) for entry, result in results if "ErrorCode" in result]
    taken = [entry.params["DetailType"] for entry, result in results if "ErrorCode" not in result]
    outcome.events += len(taken)
    if for_emails := sum(type_ in emails.EVENT_TYPES for type_ in taken):
        metrics.count("EmailEventPublished", for_emails)
    if for_console := sum(type_ in published_events.FOR_CONSOLE for type_ in taken):
        metrics.count("ConsoleEventPublished", for_console)
    if refused:
        logger.error("the bus refused entries", codes=sorted({result["ErrorCode"] for _, result in refused}))
        metrics.count("EventNotPublished", len(refused))
        outcome.failed += [entry.record for entry, _ in refused]
    return True


@cache
def _client() -> Any:
    return aws_client.create("events", read_timeout_s=5)
