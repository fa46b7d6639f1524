"""Everything that is stored about one person, for a copy that the person or staff download.

Every attribute of an item is in the copy, so a new attribute is as well. Three things are not: who of the staff
decided, and whose data a member of staff has read, because that is other people's data, and that a bank suspects fraud,
which no student may learn from us. A copy has parts, and each part reads a bounded number of items. A part that is too
large for a Lambda's answer becomes a file that expires after three days.

Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from tuition import aws_client, clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.emails import TO_STUDENT
from tuition.core.errors import NotFound
from tuition.core.payment import DECLINED, SUSPECTED_FRAUD
from tuition.core.refs import is_user_id
from tuition.settings import settings
from tuition.storage import dynamodb, effects, keys, ledger, limits, mapping, notes, queries, search
from tuition.storage.dynamodb import Item
from tuition.storage.items import CustomerItem, EnrollmentItem, LimitsItem, NoteItem, PaymentItem, PlanItem
from tuition.storage.notes import NoteTopic
from tuition.storage.queries import Cursor

SCHEMA_VERSION = 1
PAYMENTS_PER_BATCH = 20
BATCHES_PER_PART = 10
EXPIRED_PER_PART = 100
"""Payments that were deleted after their retention period."""
RECORDS_PER_PART = 500
"""Of the person's own chain. The records of a payment are with their payment."""
BYTES_PER_PART = 8 * 1024 * 1024
"""A part with this many bytes of payments ends. One more batch may be in it."""
LAST_S = 8.0
"""With less time than this a part ends."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Of a Lambda's answer, in which the body is a JSON text again. Lambda's limit is 6 MB."""
REQUESTS_PER_PART = 10
"""As how many requests to Stripe a part counts in the limits of the user who asks for it."""
LINK_S = 300
S3_TIMEOUT_S = 3
STAFF = "staff"
"""Stands for the id of every member of staff."""
ANOTHER_PERSON = "another person"
"""Stands for the id of everyone whose data a member of staff has read or exported."""
FRAUD_WARNING = "fraud_warning:"
"""The beginning of the name of the attention reason of an early fraud warning."""
FRAUD_WARNING_EVENTS = "radar."
"""The beginning of the types of Stripe's events about early fraud warnings."""


def part(user_id: str, cursor: str | None) -> dict[str, Any]:
    """Return one part of everything that is stored about a person: their payments, then their own records.

    Between the two are the records of payments that were deleted after their retention period. The first part also has
    what does not grow with the payments: the customer item, enrollments, progress, limits, plans and notes. Raises
    `Unprocessable` for another list's cursor.
    """
    after = Cursor.decode(cursor, _list_id(user_id)) if cursor else None
    payments: list[dict[str, Any]] = []
    expired: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    last = after
    if after is None or after.stage not in ("expired", "record"):
        payments, last = _payments(user_id, after)
    if last is None or last.stage == "expired":
        expired, last = _expired_payments(user_id, last)
    if last is None or last.stage == "record":
        records, last = _own_records(user_id, last)
    return {
        "schema_version": SCHEMA_VERSION,
        "exported_at": timestamps.iso(clock.now()),
        "user_id": user_id,
        "person": None if after else _person(user_id),
        "payments": payments,
        "expired_payments": expired,
        "records": records,
        "next_cursor": last.encode(_list_id(user_id)) if last else None,
    }


def for_staff(user_id: str, cursor: str | None, staff: str) -> tuple[int, dict[str, Any]]:
    """Return the status and body of a part for a member of staff, with a record on their own chain.

    No part is shown without its record. Raises `NotFound` if nothing is stored, and what the other functions raise.
    """
    if not is_user_id(user_id):
        raise NotFound("Nothing is stored for this user id.")
    take_request(staff)
    data = part(user_id, cursor)
    if cursor is None and is_empty(data):
        raise NotFound("Nothing is stored for this user id.")
    entry = AuditEntry(data["exported_at"], f"export:{uuid.uuid4().hex}", "export.ordered", "staff", staff)
    ledger.record_for_user(staff, entry, {"export": {"kind": "personal_data", "user": user_id}})
    return answer(data)


def is_empty(data: Mapping[str, Any]) -> bool:
    """Whether the first part shows that nothing is stored about a person."""
    person = data["person"] or {}
    stored = tuple(person.get(name) for name in ("customer", "enrollments", "progress", "limits", "plans", "notes"))
    return not any((*stored, data["payments"], data["expired_payments"], data["records"]))


def take_request(user_id: str) -> None:
    """Count a part in the limits of the user who asks for it. Raises `TooManyRequests` and `Contended`."""
    limits.take_request(user_id, ledger.load_customer(user_id)[1], REQUESTS_PER_PART)


def answer(data: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return 200 with a part, or 202 with a link to a file that has it, if it is too large. Raises `Unavailable`."""
    body = json.dumps(data, separators=(",", ":"))
    if len(json.dumps(body)) <= MAX_ANSWER_BYTES:
        return 200, dict(data)
    object_key = f"personal/{uuid.uuid4().hex}.json"  # access logs have it, so it names no student
    file = {"Bucket": settings().exports_bucket, "Key": object_key}
    shown = {"ResponseContentDisposition": 'attachment; filename="my-data.json"'}
    with aws_client.failures_as_unavailable("the file with a person's data could not be stored"):
        _s3().put_object(**file, Body=body.encode(), ContentType="application/json")
        url = _s3().generate_presigned_url("get_object", Params={**file, **shown}, ExpiresIn=LINK_S)
    return 202, {
        "url": str(url),
        "url_expires_at": timestamps.iso(clock.now() + LINK_S),
        "bytes": len(body.encode()),
        "next_cursor": data["next_cursor"],
    }


def _list_id(user_id: str) -> str:
    return hashlib.sha256(f"personal-data:{user_id}".encode()).hexdigest()[:12]


# --- the items ---


def _person(user_id: str) -> dict[str, Any]:
    items = queries.user_items(user_id)
    raw = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)], LimitsItem: [keys.limits_key(user_id)]})
    customer = next((mapping.attributes(CustomerItem, item) for item in raw[CustomerItem]), None)
    projects = {key: item for key, item in items.items() if keys.project_of(key)}
    tracks = {key: item for key, item in items.items() if key not in projects and key != keys.USER_SORT_KEY}
    return {
        "customer": _without_others(customer, user_id),
        "email_delivery": effects.delivery_problem(customer["email"]) if customer else None,
        "limits": next((mapping.attributes(LimitsItem, item) for item in raw[LimitsItem]), None),
        "enrollments": [mapping.attributes(EnrollmentItem, item) for item in tracks.values()],
        "progress": [_plain(item) for item in projects.values()],
        "plans": [_plan(user_id, item) for item in queries.plan_items_of_user(user_id)],
        "notes": [_note(item, user_id) for item in notes.read(NoteTopic(user_id))],
    }


def _plan(user_id: str, item: Item) -> dict[str, Any]:
    """Return a plan's attributes, the records of its own chain, and the emails that were sent or skipped about it."""
    stored = mapping.attributes(PlanItem, item)
    for decision in stored["facts"].get("decisions", {}).values():
        decision["actor"] = decision["actor"] if decision["actor"] == user_id else STAFF
    attributes = _without_suspicion(_without_others(stored, user_id))
    return {"attributes": attributes, **_records_and_emails(user_id, stored["plan_id"])}


def _note(item: NoteItem, user_id: str) -> Any:
    return _without_others(mapping.attributes(NoteItem, dynamodb.to_raw(item)), user_id)


def _payments(user_id: str, after: Cursor | None) -> tuple[list[dict[str, Any]], Cursor | None]:
    """Return the payments of a part, newest first, and the cursor of the next; None after the last payment."""
    if after:
        after.listed_before()
    payments: list[dict[str, Any]] = []
    size, partition, last = 0, queries.by_user(user_id), after
    for _ in range(BATCHES_PER_PART):
        items, last = queries.page_of_payments(partition, PAYMENTS_PER_BATCH, last, descending=True, stage="listed")
        words = search.stored_words([item.payment_id for item in items])
        batch = [
            {**_payment(user_id, item), "search_words": words.get(item.payment_id, [])}
            for item in items
            if item.user_id == user_id
        ]
        payments += batch
        size += len(json.dumps(batch))
        if last is None or size >= BYTES_PER_PART or clock.remaining_s() < LAST_S:
            break
    return payments, last


def _payment(user_id: str, item: PaymentItem) -> dict[str, Any]:
    """Return a payment's attributes, its records, and the emails that were sent or skipped about it."""
    stored = {name: getattr(item, name) for name in PaymentItem.get_attributes()}
    stored["facts"] = _without_warnings(_without_suspicion(stored["facts"]))
    stored["attention"] = [one for one in stored["attention"] or [] if not _is_warning(one["name"])] or None
    for request in stored["refund_requests"]:
        request["by"] = request["by"] if request["by"] == user_id else STAFF
    return {"attributes": _without_others(stored, user_id), **_records_and_emails(user_id, item.payment_id)}


def _records_and_emails(user_id: str, subject: str) -> dict[str, Any]:
    """Return the records and emails of a person about a payment or a plan, by its id."""
    own = [record for record in queries.audit_items(subject) if record["user_id"]["S"] == user_id]
    return {
        "records": [_record(user_id, record) for record in own if not _is_about_warning(record)],
        "emails": [_email(raw) for raw in queries.emails_about(subject) if _is_to_student(raw)],
    }


def _expired_payments(user_id: str, after: Cursor | None) -> tuple[list[dict[str, Any]], Cursor | None]:
    """Return the payments that were deleted after their retention period, and the cursor of the next; None at the end.

    Their records and emails stay. A payment that a restore has brought back is among the others too.
    """
    raw = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)]})[CustomerItem]
    names = sorted(CustomerItem.from_raw_data(raw[0]).expired_payments or ()) if raw else []
    left = [name for name in names if after is None or name > after.item_id]
    payments: list[dict[str, Any]] = []
    size = 0
    for payment_id in left[:EXPIRED_PER_PART]:
        payments.append({"payment_id": payment_id, **_records_and_emails(user_id, payment_id)})
        size += len(json.dumps(payments[-1]))
        if size >= BYTES_PER_PART or clock.remaining_s() < LAST_S:
            break
    is_end = len(payments) == len(left)
    return payments, None if is_end else Cursor("expired", payments[-1]["payment_id"], payments[-1]["payment_id"])


def _own_records(user_id: str, after: Cursor | None) -> tuple[list[dict[str, Any]], Cursor | None]:
    """Return a page of the person's own chain, oldest first, and the cursor of the next."""
    page, last = queries.page_of_trail(user_id, RECORDS_PER_PART, after)
    return [_record(user_id, item) for item in page if item["user_id"]["S"] == user_id], last


def _record(user_id: str, item: Item) -> dict[str, Any]:
    stored = mapping.stored_record(item)
    stored["transition"] = _without_people(_without_suspicion(stored["transition"]), user_id)
    names = ("at", "recorded_at", "seq", "event_id", "type", "source", "actor", "track", "transition", "hash")
    return {name: _without_others(stored, user_id).get(name) for name in names}


def _is_to_student(raw: Item) -> bool:
    return raw.get("kind", {}).get("S") in TO_STUDENT


def _email(raw: Item) -> dict[str, Any]:
    return {name: raw[name]["S"] if name in raw else None for name in ("kind", "state", "reason", "at", "message_id")}


def _plain(raw: Item) -> dict[str, Any]:
    """Return an item that other systems write attributes to, in JSON types."""
    return {name: _plain_value(value) for name, value in raw.items()}


def _plain_value(value: Item) -> Any:
    (kind, content), *_ = value.items()
    if kind == "M":
        return _plain(content)
    if kind == "L":
        return [_plain_value(one) for one in content]
    if kind == "N":
        return int(content) if content.lstrip("-").isdigit() else content
    return sorted(content) if kind in ("SS", "NS") else None if kind == "NULL" else content


# --- the data of others, and suspicion ---


def _without_others(value: Any, user_id: str) -> Any:
    """Return a value in which `STAFF` stands for the id of everyone else who did something."""
    if isinstance(value, Mapping):
        return {name: _actor(name, part, user_id) for name, part in value.items()}
    return [_without_others(part, user_id) for part in value] if isinstance(value, list) else value


def _actor(name: str, value: Any, user_id: str) -> Any:
    if name in ("actor", "decided_by") and isinstance(value, str):
        return value if value == user_id else STAFF
    return _without_others(value, user_id)


def _without_people(transition: Mapping[str, Any], user_id: str) -> dict[str, Any]:
    """Return the transition of a record of a member of staff without the ids of those whose data they have read."""
    plain = dict(transition)
    if "read" in plain:
        plain["read"] = {"users": [_person_id(one, user_id) for one in plain["read"]["users"]]}
    if "user" in plain.get("export", {}):
        plain["export"] = plain["export"] | {"user": _person_id(plain["export"]["user"], user_id)}
    if "attention" in plain:
        plain["attention"] = [name for name in plain["attention"] if not _is_warning(name)]
    return plain


def _person_id(person: str, user_id: str) -> str:
    return person if person == user_id else ANOTHER_PERSON


def _without_warnings(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts without early fraud warnings, and without what staff decided about these."""
    plain = {name: value for name, value in facts.items() if name != "fraud_warnings"}
    if "acknowledged" in plain:
        plain["acknowledged"] = {name: one for name, one in plain["acknowledged"].items() if not _is_warning(name)}
    return plain


def _is_warning(reason: str) -> bool:
    return reason.startswith(FRAUD_WARNING)


def _is_about_warning(record: Item) -> bool:
    return bool(record["type"]["S"].startswith(FRAUD_WARNING_EVENTS))


def _without_suspicion(value: Any) -> Any:
    """Return a value in which a decline for suspected fraud is one for no special reason, as everywhere for students.

    Declines are `{"code", "message"}`, or codes by the id of their charge. A dispute's reason stays: the student's own
    bank has it from the student.
    """
    if isinstance(value, list):
        return [_without_suspicion(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    plain = {name: _without_suspicion(part) for name, part in value.items()}
    for name in ("code", "failure"):
        if plain.get(name) in SUSPECTED_FRAUD:
            plain |= {name: DECLINED.code} | ({"message": DECLINED.message} if "message" in plain else {})
    if isinstance(plain.get("declines"), Mapping):
        declines = plain["declines"].items()
        plain["declines"] = {key: DECLINED.code if code in SUSPECTED_FRAUD else code for key, code in declines}
    return plain


@cache
def _s3() -> Any:
    """Return a client that signs with version 4 for the region's endpoint. S3 refuses links signed for another."""
    return aws_client.create(
        "s3", read_timeout_s=S3_TIMEOUT_S, attempts=2, signature_version="s3v4", s3={"addressing_style": "virtual"}
    )
