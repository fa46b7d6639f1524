"""The quarantine: events that could not be applied, kept whole but for secrets."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tuition import clock, metrics
from tuition.core import stripe_json, timestamps
from tuition.core.errors import NotFound
from tuition.storage import dynamodb, keys
from tuition.storage.items import QuarantineItem

KEPT = {"S": "kept"}
"""The one partition of the indexes of the quarantine."""


def add(event: Mapping[str, Any], reason: str) -> None:
    """Keep an event for a person, by its id: a second time raises `tries`, and nothing is dropped but secrets."""
    bare = json.loads(json.dumps(event), object_hook=_without_secrets)
    body = json.dumps(bare, separators=(",", ":"))
    event_id = event.get("id")
    if not isinstance(event_id, str) or not event_id.isascii() or not 0 < len(event_id) <= 255:
        event_id = "unnamed_" + hashlib.sha256(body.encode()).hexdigest()[:24]
    dynamodb.client().update_item(
        TableName=dynamodb.table_name(QuarantineItem),
        Key=keys.quarantine_key(event_id),
        UpdateExpression="SET kept = :kept, event = :event, reason = :reason, last_at = :now,"
        " first_at = if_not_exists(first_at, :now) ADD tries :one",
        ExpressionAttributeValues={
            ":kept": KEPT,
            ":event": {"S": body},
            ":reason": {"S": reason[:500]},
            ":now": {"S": timestamps.iso(clock.now())},
            ":one": {"N": "1"},
        },
    )
    metrics.count("EventQuarantined")


def remove(event_id: str) -> None:
    """Drop an event that has been applied."""
    dynamodb.client().delete_item(TableName=dynamodb.table_name(QuarantineItem), Key=keys.quarantine_key(event_id))


def read(event_id: str) -> QuarantineItem:
    """One event that is kept. Raises `NotFound`."""
    if not 0 < len(event_id) <= stripe_json.MAX_ID_LENGTH or not event_id.isascii():
        raise NotFound("there is no such event in quarantine")
    key = keys.quarantine_key(event_id)
    found = dynamodb.client().get_item(TableName=dynamodb.table_name(QuarantineItem), Key=key, ConsistentRead=True)
    if "Item" not in found:
        raise NotFound("there is no such event in quarantine")
    return QuarantineItem.from_raw_data(found["Item"])


def _without_secrets(obj: dict[str, Any]) -> dict[str, Any]:
    """Whoever holds a client secret can pay, or confirm, in the student's place."""
    return {name: value for name, value in obj.items() if name != "client_secret"}


def oldest(most: int) -> list[str]:
    """The ids of `most` events in quarantine, the one whose last try is oldest first."""
    answer = dynamodb.client().query(
        TableName=dynamodb.table_name(QuarantineItem),
        IndexName="by_last_at",
        KeyConditionExpression="kept = :kept",
        ExpressionAttributeValues={":kept": KEPT},
        Limit=most,
    )
    return [key["event_id"]["S"] for key in answer["Items"]]
