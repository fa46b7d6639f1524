"""The quarantine: events of ours that could not be applied, stored whole except for secrets."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tuition import clock, metrics
from tuition.core import stripe_json, timestamps
from tuition.core.errors import NotFound
from tuition.storage import dynamodb, keys
from tuition.storage.items import KEPT, QuarantineItem

MAX_REASON_LENGTH = 500


def add(event: Mapping[str, Any], reason: str) -> None:
    """Store an event under its id. Storing it again counts one more try and keeps the time of the first."""
    without_secrets = json.loads(json.dumps(event), object_hook=_without_secrets)
    body = json.dumps(without_secrets, separators=(",", ":"))
    dynamodb.update(
        QuarantineItem,
        keys.quarantine_key(_event_id(event, body)),
        "SET kept = :kept, event = :event, reason = :reason, last_at = :now,"
        " first_at = if_not_exists(first_at, :now) ADD tries :one",
        values={
            ":kept": {"S": KEPT},
            ":event": {"S": body},
            ":reason": {"S": reason[:MAX_REASON_LENGTH]},
            ":now": {"S": timestamps.iso(clock.now())},
            ":one": {"N": "1"},
        },
    )
    metrics.count("EventQuarantined")


def _event_id(event: Mapping[str, Any], body: str) -> str:
    """Return the event's id, or one made from its body where it has none that can be a key."""
    event_id = event.get("id")
    if isinstance(event_id, str) and event_id.isascii() and 0 < len(event_id) <= stripe_json.MAX_ID_LENGTH:
        return event_id
    return "unnamed_" + hashlib.sha256(body.encode()).hexdigest()[:24]


def _without_secrets(obj: dict[str, Any]) -> dict[str, Any]:
    """Drop client secrets: with one, anybody could pay or confirm in the student's place."""
    return {name: value for name, value in obj.items() if name != "client_secret"}


def remove(event_id: str) -> None:
    """Remove an event that has been applied."""
    dynamodb.delete(QuarantineItem, keys.quarantine_key(event_id))


def read(event_id: str) -> QuarantineItem:
    """Read one quarantined event. Raises `NotFound`."""
    if 0 < len(event_id) <= stripe_json.MAX_ID_LENGTH and event_id.isascii():
        item = dynamodb.get(QuarantineItem, keys.quarantine_key(event_id))
        if item:
            return QuarantineItem.from_raw_data(item)
    raise NotFound("This event is not in quarantine.")
