"""The quarantine: events of ours that could not be applied.

They are stored without secrets and without personal data that we do not use, and whole unless they are large.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tuition import clock, metrics
from tuition.core import stripe_json, timestamps
from tuition.core.errors import NotFound
from tuition.storage import dynamodb, keys
from tuition.storage.dynamodb import ConditionFailed
from tuition.storage.items import DISCARDED, KEPT, QuarantineItem

PERSONAL = frozenset(
    {
        *("billing_details", "shipping", "shipping_details", "customer_details", "collected_information"),
        *("customer_email", "customer_name", "customer_phone", "customer_address", "customer_shipping"),
        *("customer_tax_ids", "custom_fields", "receipt_email", "instructions_email", "email_sent_to"),
        *("customer_email_address", "customer_purchase_ip", "billing_address", "shipping_address"),
        *("customer_account_id", "customer_device_fingerprint", "customer_device_id", "customer_signature"),
        *("customer_communication", "access_activity_log", "name", "email", "phone", "address", "owner", "source"),
        *("account_holder_name", "account_holder_address", "account_number", "cardholder_name", "individual_name"),
        *("business_name", "registered_name", "registered_address", "verified_name", "verified_phone_last4"),
        *("payer_details", "payer_email", "payer_id", "payer_name", "buyer_address", "buyer_id", "cashtag"),
        *("dob", "iban", "tax_id", "tax_ids", "vpa", "ip_address"),
    }
)
"""The fields of Stripe's objects, at any depth, that say who a student is. We read none of them.

`source` is a card or account of Stripe's older kind, with its owner.
"""
SECRET = frozenset({"client_secret", "url", "hosted_verification_url"})
"""The fields with which anybody could pay, or confirm a payment, in the student's place."""
KEPT_S = 180 * 86_400
"""The time to live of an event after its first try. Stripe itself lists an event for 30 days."""
MAX_REASON_LENGTH = 500
MAX_EVENT_BYTES = 350_000
"""Of an event as it is stored, in UTF-8. An item has at most 400 KB."""
MAX_TEXT_LENGTH = 500
"""Of each text in an event that is larger, in characters: enough for every id, address and value of metadata."""


def add(event: Mapping[str, Any], reason: str) -> bool:
    """Store an event under its id. Storing it again counts one more try and keeps the time of the first, and the end.

    Return False, with nothing stored, if staff have discarded the event.
    """
    body = _fitting(json.loads(json.dumps(event), object_hook=_without_private_fields))
    event_id, now = _event_id(event, body), timestamps.iso(clock.now())
    try:
        dynamodb.update(
            QuarantineItem,
            keys.quarantine_key(event_id),
            "SET kept = :kept, event = :event, reason = :reason, last_at = :now,"
            " first_at = if_not_exists(first_at, :now), listed_at = if_not_exists(listed_at, :listed),"
            " expires_at = if_not_exists(expires_at, :expires) ADD tries :one",
            condition="attribute_not_exists(discarded)",
            values={
                ":kept": {"S": keys.sharded("kept", KEPT, event_id)},
                ":event": {"S": body},
                ":reason": {"S": reason[:MAX_REASON_LENGTH]},
                ":now": {"S": now},
                ":listed": {"S": f"{now}#{event_id}"},
                ":expires": {"N": str(int(clock.now()) + KEPT_S)},
                ":one": {"N": "1"},
            },
        )
    except ConditionFailed:
        return False
    metrics.count("EventQuarantined")
    return True


def _fitting(event: Mapping[str, Any]) -> str:
    """Return an event as the JSON that is stored.

    In an event of more than `MAX_EVENT_BYTES` long texts (such as the evidence of a dispute) are cut. An event of
    Stripe then fits. Of any other only the id and type are kept.
    """
    body = _encode(event)
    if len(body.encode()) > MAX_EVENT_BYTES:
        body = _encode(_with_short_texts(event))
    if len(body.encode()) > MAX_EVENT_BYTES:
        body = _encode({name: _with_short_texts(event[name]) for name in ("id", "type") if name in event})
    return body


def _encode(event: object) -> str:
    """Encode as JSON in which a character takes its bytes in UTF-8, not an escape of up to 12."""
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be stored


def _with_short_texts(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_TEXT_LENGTH]
    if isinstance(value, list):
        return [_with_short_texts(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_short_texts(item) for name, item in value.items()}
    return value


def _event_id(event: Mapping[str, Any], body: str) -> str:
    """Return the event's id, or one made from its body where it has none that can be a key."""
    event_id = event.get("id")
    if isinstance(event_id, str) and event_id.isascii() and 0 < len(event_id) <= stripe_json.MAX_ID_LENGTH:
        return event_id
    return "unnamed_" + hashlib.sha256(body.encode()).hexdigest()[:24]


def _without_private_fields(obj: dict[str, Any]) -> dict[str, Any]:
    """Drop personal data, and secrets: also a text that contains a client secret, as the link of a 3-D Secure step."""
    return {
        name: value
        for name, value in obj.items()
        if name not in SECRET | PERSONAL and not (isinstance(value, str) and "client_secret" in value)
    }


def discard(event_id: str, note: str, staff: str) -> None:
    """Remove the payload of an event that is not to be applied. Its id and reason stay.

    Raises `NotFound` if it has been applied in the meantime.
    """
    now = timestamps.iso(clock.now())
    try:
        dynamodb.update(
            QuarantineItem,
            keys.quarantine_key(event_id),
            "SET kept = :kept, discarded = :discarded, last_at = :now REMOVE event",
            condition="attribute_exists(event_id) AND attribute_not_exists(discarded)",
            values={
                ":kept": {"S": keys.sharded("kept", DISCARDED, event_id)},
                ":discarded": {"S": json.dumps({"at": now, "by": staff, "note": note})},
                ":now": {"S": now},
            },
        )
    except ConditionFailed:
        read(event_id)  # a colleague was first


def remove(event_id: str) -> None:
    """Remove an event that has been applied, or that was discarded long ago."""
    dynamodb.delete(QuarantineItem, keys.quarantine_key(event_id))


def read(event_id: str) -> QuarantineItem:
    """Read one quarantined event. Raises `NotFound`."""
    if 0 < len(event_id) <= stripe_json.MAX_ID_LENGTH and event_id.isascii():
        item = dynamodb.get(QuarantineItem, keys.quarantine_key(event_id))
        if item:
            return QuarantineItem.from_raw_data(item)
    raise NotFound("This event is not in quarantine.")
