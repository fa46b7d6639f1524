"""What staff look at: one payment with what is known, a user, disputes, quarantine. Lists are `tuition.browse`'s."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tuition.core import audit
from tuition.core.errors import NotFound, Unprocessable
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.storage import dynamodb, keys, quarantine, queries
from tuition.storage.items import CustomerItem, EnrollmentItem, PaymentItem, QuarantineItem
from tuition.storage.queries import Cursor, payments_by_id
from tuition.views import facts_json, payment_list, student
from tuition.views.filters import Filters
from tuition.views.payment_list import PaymentView


def payments(wanted: Filters, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of payments."""
    found, next_cursor = payment_list.page(wanted, limit, cursor)
    return {"payments": [one.json() for one in found], "next_cursor": next_cursor}


# --- one payment ---

READS = 3
"""A commit between the reads of a payment and of its trail looks like tampering: both are read again first."""


def payment(payment_id: str) -> dict[str, Any]:
    """A payment with its fields, facts, refund requests and audit trail, the chain checked. Raises `NotFound`."""
    for _ in range(READS):
        found = (
            payments_by_id([payment_id]) if payment_id.startswith("pay_") and len(payment_id) <= MAX_ID_LENGTH else []
        )
        if not found:
            raise NotFound("there is no payment with this id")
        trail = queries.audit_trail(payment_id)
        if len(trail) == int(found[0].version):
            break
    item = found[0]
    one = payment_list.load_views(found)[0]
    return {
        "payment": {**one.json(), "refund_requests": item.refund_requests},
        "groups": facts_json.groups(one),
        "facts": facts_json.facts_json(one.payment, {record["seq"]: record["at"] for record in trail}),
        "audit": trail,
        "chain": _chain(payment_id, trail, int(item.version), item.audit_head),
    }


def _chain(subject: str, trail: Iterable[Mapping[str, Any]], version: int, head: str) -> dict[str, Any]:
    broken = audit.verify(subject, trail, version, head)
    return {"verified": broken is None, "problem": f"record {broken.seq}: {broken.why}" if broken else None}


def disputes(state: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of disputed payments' disputes: the `open` by when an answer is due, those that are `over` newest first.

    `limit` counts payments; one that is disputed twice shows both.
    """
    if state not in (None, *payment_list.DISPUTED):
        raise Unprocessable("state must be open or over", field="state")
    state = state or "open"
    start = _dispute_start(state, cursor) if cursor else {}
    answer = dynamodb.client().query(
        TableName=dynamodb.table_name(PaymentItem),
        IndexName="by_dispute_due",
        KeyConditionExpression="disputed = :state",
        ExpressionAttributeValues={":state": {"S": state}},
        ScanIndexForward=state == "open",
        Limit=limit,
        **start,
    )
    found = payment_list.load_views(payments_by_id([key["payment_id"]["S"] for key in answer["Items"]]))
    last = answer.get("LastEvaluatedKey")
    place = Cursor("dispute", last["dispute_due"]["S"], last["payment_id"]["S"]) if last else None
    rows = [_dispute_row(one, key) for one in found for key, _ in facts_json.oldest_first(one.payment.facts.disputes)]
    return {"disputes": rows, "next_cursor": place.cursor(f"disputes:{state}") if place else None}


def _dispute_start(state: str, cursor: str) -> dict[str, Any]:
    place = _whole_place(cursor, f"disputes:{state}")
    key = {"disputed": {"S": state}, "dispute_due": {"S": place.key}, **keys.payment_key(place.payment_id)}
    return {"ExclusiveStartKey": key}


def _whole_place(cursor: str, of: str) -> Cursor:
    """A place that is the start of a query as it stands. Raises `Unprocessable` where a part is missing."""
    place = Cursor.of_cursor(cursor, of)
    if not place.key or not place.payment_id:
        raise Unprocessable("cursor is not of this list: send the next_cursor of its page before", field="cursor")
    return place


def _dispute_row(one: PaymentView, dispute_id: str) -> dict[str, Any]:
    names = ("payment_id", "user_id", "email", "track")
    return {
        **facts_json.dispute_json(one.payment, dispute_id),
        **{name: getattr(one.item, name) for name in names},
        "payment_status": one.item.status,
        "enrollment": one.enrollment,
    }


# --- events in quarantine ---


def quarantined_events(limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of what needs a person, newest first, without the events' bodies: all that it shows is in the index."""
    start = _quarantine_start(cursor) if cursor else {}
    answer = dynamodb.client().query(
        TableName=dynamodb.table_name(QuarantineItem),
        IndexName="by_first_at",
        KeyConditionExpression="kept = :kept",
        ExpressionAttributeValues={":kept": quarantine.KEPT},
        ScanIndexForward=False,
        Limit=limit,
        **start,
    )
    last = answer.get("LastEvaluatedKey")
    place = Cursor("event", last["first_at"]["S"], last["event_id"]["S"]) if last else None
    return {
        "events": [_quarantined_json(QuarantineItem.from_raw_data(item)) for item in answer["Items"]],
        "next_cursor": place.cursor("quarantine") if place else None,
    }


def _quarantine_start(cursor: str) -> dict[str, Any]:
    place = _whole_place(cursor, "quarantine")
    key = {"kept": quarantine.KEPT, "first_at": {"S": place.key}, **keys.quarantine_key(place.payment_id)}
    return {"ExclusiveStartKey": key}


def quarantined_event(event_id: str) -> dict[str, Any]:
    """One event in quarantine, as Stripe sent it but for secrets. Raises `NotFound`."""
    kept = quarantine.read(event_id)
    return {"event": {**_quarantined_json(kept), "payload": json.loads(kept.event)}}


def _quarantined_json(item: QuarantineItem) -> dict[str, Any]:
    names = ("event_id", "reason", "first_at", "last_at")
    return {**{name: getattr(item, name) for name in names}, "tries": int(item.tries)}


# --- a user ---


def user(user_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """A user with their payments (a page), enrollments and Stripe customer, and their own chain. Raises `NotFound`."""
    if not 0 < len(user_id) <= 128:
        raise NotFound("there is nothing of a user with this id")
    found, next_cursor = payment_list.of_user(user_id, limit, cursor)
    entries = {raw["entry"]["S"]: raw for raw in queries.query_all(EnrollmentItem, "user_id", user_id)}
    read = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)]})[CustomerItem]
    customers = [CustomerItem.from_raw_data(raw) for raw in read]
    if not (found or cursor or entries or customers):
        raise NotFound("there is nothing of a user with this id")
    trail = queries.audit_trail(user_id)
    head = EnrollmentItem.from_raw_data(entries[keys.USER_SORT_KEY]) if keys.USER_SORT_KEY in entries else None
    return {
        "user": {
            "user_id": user_id,
            "email": found[0].item.email if found else None,
            "customer": _customer(customers[0]) if customers else None,
        },
        "enrollments": student.enrollments_of(entries),
        "payments": [one.json() for one in found],
        "next_cursor": next_cursor,
        "audit": trail,
        "chain": _chain(user_id, trail, int(head.version) if head else 0, (head.audit_head if head else None) or ""),
    }


def _customer(item: CustomerItem) -> dict[str, Any]:
    return {
        "stripe_customer_id": item.stripe_customer_id,
        "stripe_url": facts_json.dashboard_url("customers", item.stripe_customer_id),
        "generation": int(item.generation),
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }
