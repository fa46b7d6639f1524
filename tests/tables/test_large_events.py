"""Events as large as Stripe can make them are applied, and quarantined if they cannot be applied.

The limits are Stripe's: https://docs.stripe.com/metadata, https://docs.stripe.com/api/disputes/evidence_object. An
event of an update repeats what it replaces. Escaped in ASCII, a character outside the Basic Multilingual Plane takes
12 bytes.
"""

import json
from typing import Any

import pytest

import webhook
from tests.harness import Harness, Student
from tests.tables.test_refunds import buy
from tuition.storage import quarantine
from tuition.storage.items import QuarantineItem

METADATA_KEYS, KEY_CHARACTERS, VALUE_CHARACTERS = 50, 40, 500
EVIDENCE_CHARACTERS = 150_000
"""Of all evidence of a dispute together."""
LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
WIDE = "\U0001f600"


def largest_metadata(own: dict[str, str]) -> dict[str, str]:
    """Fill metadata up with the longest keys and values, apart from our own keys."""
    keys = [f"{number:02}" + WIDE * (KEY_CHARACTERS - 2) for number in range(METADATA_KEYS - len(own))]
    return own | dict.fromkeys(keys, WIDE * VALUE_CHARACTERS)


def largest_dispute_event(tuition: Harness, student: Student) -> dict[str, Any]:
    """Return the event of an update of a dispute whose evidence and metadata are as long as Stripe accepts."""
    payment_id = buy(tuition, student)
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=tuition.payment(payment_id).intent)
    event = next(e for e in tuition.new_events() if e["type"] == "charge.dispute.created")
    dispute = event["data"]["object"]
    large = {
        "metadata": largest_metadata(dispute["metadata"]),
        "evidence": dispute["evidence"] | {"uncategorized_text": WIDE * EVIDENCE_CHARACTERS},
    }
    data = {"object": dispute | large, "previous_attributes": large}
    return event | {"type": "charge.dispute.updated", "id": f"evt_large_{student.sub}", "data": data}


def test_the_largest_event_is_applied_and_fits_into_an_invocation(
    tuition: Harness, student: Student, record_property: Any
) -> None:
    event = largest_dispute_event(tuition, student)
    escaped = json.dumps(event)
    invocation = json.dumps({"body": escaped})
    record_property("figure", ("bytes of the largest event", len(escaped)))
    assert len(escaped) <= webhook.EVENT_BYTES
    assert len(invocation) + webhook.EVENT_BYTES - len(escaped) < LAMBDA_PAYLOAD_BYTES
    response = tuition.deliver_raw(escaped)
    assert (response.status, response.body.get("outcome")) == (200, "applied")


@pytest.mark.parametrize("text", [WIDE, "\ud800"], ids=["wide characters", "lone surrogates"])
def test_the_largest_event_that_cannot_be_applied_is_quarantined_and_can_be_replayed(
    tuition: Harness, student: Student, text: str
) -> None:
    event = largest_dispute_event(tuition, student)
    event["data"]["object"]["evidence"]["uncategorized_text"] = text * EVIDENCE_CHARACTERS
    intent_id, event["data"]["object"]["payment_intent"] = event["data"]["object"]["payment_intent"], 7
    response = tuition.deliver_raw(json.dumps(event))
    assert (response.status, response.body["outcome"]) == (200, "quarantined")
    key = {"event_id": {"S": event["id"]}}
    item = tuition.tables.get_item(TableName="quarantine", Key=key)["Item"]
    stored = json.loads(item["event"]["S"])
    assert len(item["event"]["S"].encode()) <= quarantine.MAX_EVENT_BYTES
    assert stored["data"]["object"]["id"] == event["data"]["object"]["id"]
    stored["data"]["object"]["payment_intent"] = intent_id
    assert tuition.deliver(stored).body["outcome"] == "applied"


def test_an_event_that_is_large_without_long_texts_is_quarantined_by_its_id_and_type(tuition: Harness) -> None:
    event = {"id": "evt_many", "type": "charge.succeeded", "data": {"object": {"rows": ["x" * 400] * 3000}}}
    quarantine.add(event, "too large")
    item: QuarantineItem = quarantine.read("evt_many")
    assert json.loads(item.event) == {"id": "evt_many", "type": "charge.succeeded"}
