"""The tables: their items, their keys and the one client that reads them. Only the ledger writes four of them.

Items are pynamodb models, for their schema and their serialization; calls go through one botocore client, since
a client is the dear part of a cold start and a transaction's failed conditions are wanted in the order of its
items, with the items that failed them. Every attribute is declared personal or not: export and erasure read that.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, cast

import botocore.session
from botocore.config import Config
from pynamodb.attributes import BooleanAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.models import Model

from tuition import clock
from tuition.core import attention
from tuition.core import payment as payments
from tuition.core.audit import Record
from tuition.core.enrollment import Enrollment, Standing
from tuition.core.errors import Contended
from tuition.core.facts import Facts, Kind
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.refund_request import RefundRequest
from tuition.settings import settings

Raw = dict[str, Any]
"""An item as DynamoDB writes it: `{"name": {"S": "…"}}`."""

USER_ENTRY = "#user"
"""The range key, in `enrollments`, of what belongs to a user and to no track: the head of their own chain."""


class PaymentItem(Model):
    """A payment. The columns are derived from `facts` at each write, for finding and for reading by a person."""

    class Meta:
        table_name = settings().payments_table

    PERSONAL: ClassVar = {"user_id", "email", "email_initial", "email_key", "stripe_customer_id", "receipt_url"} | {
        "payment_method",
        "facts",
        "refund_requests",
        "refund_reason",
        "terms",
    }
    NOT_PERSONAL: ClassVar = {"payment_id", "stripe_payment_intent", "stripe_checkout_session", "stripe_charge_id"} | {
        *("amount", "currency", "status", "track", "refunded", "refund_amount", "refunded_at", "created_at"),
        *("updated_at", "kind", "attempt", "attention", "version", "audit_head", "listed_at", "created_month"),
        *("status_track", "attention_open", "check_due", "check_at", "disputed", "dispute_due"),
    }

    payment_id = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()
    email = UnicodeAttribute(null=True)
    stripe_payment_intent = UnicodeAttribute(null=True)
    stripe_checkout_session = UnicodeAttribute(null=True)
    stripe_customer_id = UnicodeAttribute(null=True)
    stripe_charge_id = UnicodeAttribute(null=True)
    amount = NumberAttribute()
    currency = UnicodeAttribute()
    status = UnicodeAttribute()
    track = UnicodeAttribute()
    payment_method = JSONAttribute(null=True)
    receipt_url = UnicodeAttribute(null=True)
    refunded = BooleanAttribute()
    refund_amount = NumberAttribute()
    refund_reason = UnicodeAttribute(null=True)
    refunded_at = UnicodeAttribute(null=True)
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()

    kind = UnicodeAttribute()
    attempt = NumberAttribute()
    terms = JSONAttribute()
    facts = JSONAttribute()
    refund_requests = JSONAttribute()
    attention = JSONAttribute(null=True)
    version = NumberAttribute()
    audit_head = UnicodeAttribute()

    listed_at = UnicodeAttribute()
    created_month = UnicodeAttribute()
    status_track = UnicodeAttribute()
    email_initial = UnicodeAttribute(null=True)
    email_key = UnicodeAttribute(null=True)
    attention_open = UnicodeAttribute(null=True)
    check_due = UnicodeAttribute(null=True)
    check_at = UnicodeAttribute(null=True)
    disputed = UnicodeAttribute(null=True)
    dispute_due = UnicodeAttribute(null=True)


class EnrollmentItem(Model):
    """An enrollment (`entry` is the track), or the head of a user's own chain (`#user`)."""

    class Meta:
        table_name = settings().enrollments_table

    PERSONAL: ClassVar = {"user_id"}
    NOT_PERSONAL: ClassVar = {"entry", "status", "standings", "attempt", "begun", "version", "audit_head"}

    user_id = UnicodeAttribute(hash_key=True)
    entry = UnicodeAttribute(range_key=True)
    status = UnicodeAttribute(null=True)
    standings = JSONAttribute(null=True)
    attempt = NumberAttribute(null=True)
    begun = JSONAttribute(null=True)
    version = NumberAttribute()
    audit_head = UnicodeAttribute(null=True)


class PointerItem(Model):
    """A Stripe id and whose it is. `state` `abandoned`: whoever made the object has given it up for good."""

    class Meta:
        table_name = settings().intents_table

    PERSONAL: ClassVar = {"user_id", "stripe_id"}
    NOT_PERSONAL: ClassVar = {"payment_id", "track", "state"}

    stripe_id = UnicodeAttribute(hash_key=True)
    payment_id = UnicodeAttribute(null=True)
    user_id = UnicodeAttribute(null=True)
    track = UnicodeAttribute(null=True)
    state = UnicodeAttribute(null=True)


class CustomerItem(Model):
    """The one Stripe customer of a user. `generation` rises when Stripe no longer knows the one before."""

    class Meta:
        table_name = settings().customers_table

    PERSONAL: ClassVar = {"user_id", "stripe_customer_id"}
    NOT_PERSONAL: ClassVar = {"generation", "created_at", "updated_at"}

    user_id = UnicodeAttribute(hash_key=True)
    stripe_customer_id = UnicodeAttribute()
    generation = NumberAttribute()
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()


class AuditItem(Model):
    """A record of the chain, as `tuition.core.audit.Record` hashes it."""

    class Meta:
        table_name = settings().audit_table

    PERSONAL: ClassVar[set[str]] = set()
    NOT_PERSONAL: ClassVar = {"subject", "entry", "seq", "at", "event_id", "type", "source", "actor", "user_id"} | {
        *("track", "transition", "previous", "schema_version", "hash")
    }

    subject = UnicodeAttribute(hash_key=True)
    entry = UnicodeAttribute(range_key=True)
    seq = NumberAttribute()
    at = UnicodeAttribute()
    event_id = UnicodeAttribute()
    type = UnicodeAttribute()
    source = UnicodeAttribute()
    actor = UnicodeAttribute(null=True)
    user_id = UnicodeAttribute()
    track = UnicodeAttribute(null=True)
    transition = JSONAttribute()
    previous = UnicodeAttribute()
    schema_version = NumberAttribute()
    hash = UnicodeAttribute()


class QuarantineItem(Model):
    """An event of ours that could not be applied, kept whole until a person or a later try has dealt with it.

    `kept` is the same for all: the one partition of the indexes.
    """

    class Meta:
        table_name = settings().quarantine_table

    PERSONAL: ClassVar = {"event"}
    NOT_PERSONAL: ClassVar = {"event_id", "kept", "reason", "first_at", "last_at", "tries"}

    event_id = UnicodeAttribute(hash_key=True)
    kept = UnicodeAttribute()
    event = UnicodeAttribute()
    reason = UnicodeAttribute()
    first_at = UnicodeAttribute()
    last_at = UnicodeAttribute()
    tries = NumberAttribute()


class CursorItem(Model):
    """How far a walk over Stripe's objects has come (`place`, epoch seconds), and who is walking until when."""

    class Meta:
        table_name = settings().cursors_table

    PERSONAL: ClassVar[set[str]] = set()
    NOT_PERSONAL: ClassVar = {"name", "place", "holder", "held_until"}

    name = UnicodeAttribute(hash_key=True)
    place = NumberAttribute(null=True)
    holder = UnicodeAttribute(null=True)
    held_until = NumberAttribute(null=True)


class CountItem(Model):
    """How many of something there were on the days of a month, counted up to `place` since `begun` (epoch seconds)."""

    class Meta:
        table_name = settings().analytics_table

    PERSONAL: ClassVar[set[str]] = set()
    NOT_PERSONAL: ClassVar = {"period", "measure", "counted", "place", "begun"}

    period = UnicodeAttribute(hash_key=True)
    measure = UnicodeAttribute(range_key=True)
    counted = JSONAttribute()
    place = UnicodeAttribute()
    begun = NumberAttribute()


MODELS: tuple[type[Model], ...] = (
    *(PaymentItem, EnrollmentItem, PointerItem, CustomerItem, AuditItem),
    *(QuarantineItem, CursorItem, CountItem),
)


@cache
def client() -> Any:
    """The one DynamoDB client of this process, with time-outs: an answer that is lost is asked for again."""
    config = Config(connect_timeout=1, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
    session = botocore.session.get_session()
    return session.create_client("dynamodb", endpoint_url=settings().dynamodb_endpoint_url, config=config)


if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
    client()  # at the start of a Lambda, which has the processor to itself, and not in somebody's first request


def table(model: type[Model]) -> str:
    """The name of a model's table."""
    name: str = model.Meta.table_name
    return name


def raw(item: Model) -> Raw:
    """The item as DynamoDB writes it, without what is None."""
    return {name: value for name, value in item.serialize().items() if "NULL" not in value}


# --- reading ---


def read_together(keys: Mapping[type[Model], Iterable[Raw]]) -> dict[type[Model], list[Raw]]:
    """Items of several tables in one strongly consistent batch read. What is not there is left out.

    Raises `Contended` when DynamoDB leaves keys unread five times.
    """
    wanted = {table(model): {"Keys": list(k), "ConsistentRead": True} for model, k in keys.items()}
    wanted = {name: request for name, request in wanted.items() if request["Keys"]}
    models = {table(model): model for model in keys}
    found: dict[type[Model], list[Raw]] = {model: [] for model in keys}
    for attempt in range(1, 6):
        if not wanted:
            return found
        answer = client().batch_get_item(RequestItems=wanted)
        for name, items in answer["Responses"].items():
            found[models[name]].extend(items)
        wanted = answer.get("UnprocessedKeys", {})
        if wanted:
            clock.pause(attempt)
    raise Contended("the tables are busy: try again")


def payment_key(payment_id: str) -> Raw:
    """The key of a payment."""
    return {"payment_id": {"S": payment_id}}


def enrollment_key(user_id: str, entry: str) -> Raw:
    """The key of an enrollment, of progress or of a user's own chain; `entry` is its range."""
    return {"user_id": {"S": user_id}, "entry": {"S": entry}}


def pointer_key(stripe_id: str) -> Raw:
    """The key of the pointer from a Stripe id."""
    return {"stripe_id": {"S": stripe_id}}


def customer_key(user_id: str) -> Raw:
    """The key of a user's Stripe customer."""
    return {"user_id": {"S": user_id}}


def audit_key(subject: str, entry: str) -> Raw:
    """The key of a record; `entry` is `<event time>#<event id>`."""
    return {"subject": {"S": subject}, "entry": {"S": entry}}


def quarantine_key(event_id: str) -> Raw:
    """The key of an event in quarantine."""
    return {"event_id": {"S": event_id}}


def cursor_key(name: str) -> Raw:
    """The key of a walk over Stripe's objects."""
    return {"name": {"S": name}}


def count_key(period: str, measure: str) -> Raw:
    """The key of the counts of one measure in a month (`2026-11`)."""
    return {"period": {"S": period}, "measure": {"S": measure}}


def project_entry(track: str, project: str) -> str:
    """The range key of the progress in a project."""
    return f"{track}#{project}"


def read_pointer(stripe_id: str) -> PointerItem | None:
    """The pointer from a Stripe id, strongly consistent; None where there is none."""
    found = client().get_item(TableName=table(PointerItem), Key=pointer_key(stripe_id), ConsistentRead=True)
    return PointerItem.from_raw_data(found["Item"]) if "Item" in found else None


def query_all(model: type[Model], key: str, value: str) -> Iterator[Raw]:
    """Every item under a hash key, strongly consistent: for what is small by nature (a user, a payment's log)."""
    start: Raw | None = None
    while True:
        more = {"ExclusiveStartKey": start} if start else {}
        answer = client().query(
            TableName=table(model),
            ConsistentRead=True,
            KeyConditionExpression="#k = :v",
            ExpressionAttributeNames={"#k": key},
            ExpressionAttributeValues={":v": {"S": value}},
            **more,
        )
        yield from answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if not start:
            return


def audit_trail(subject: str) -> list[dict[str, Any]]:
    """The records of a subject, in order of acceptance, as `tuition.core.audit` hashed them, each with its `hash`."""
    records = [record_to_json(AuditItem.from_raw_data(item)) for item in query_all(AuditItem, "subject", subject)]
    return sorted(records, key=lambda record: int(record["seq"]))


# --- items and values ---


def listed_at(payment: Payment) -> str:
    """The place of a payment in every list: by time, then by id."""
    return f"{payment.created_at}#{payment.payment_id}"


def payment_to_item(payment: Payment, now: float, *, double: bool) -> PaymentItem:
    """The item of a payment, its columns derived anew."""
    facts = payment.facts
    charge_id, charge = payment.charge or (None, None)
    refund = payments.newest_refund(payment)
    reasons = attention.unacknowledged(payment, double=double)
    due = payments.check_at(payment, now)
    email_key = f"{payment.email.lower()}#{payment.created_at}" if payment.email else None
    disputed, dispute_due = payments.dispute_listing(payment) or (None, None)
    return PaymentItem(
        payment_id=payment.payment_id,
        user_id=payment.user_id,
        email=payment.email,
        stripe_payment_intent=payment.intent,
        stripe_checkout_session=payment.bound_to if payment.kind == "checkout" else None,
        stripe_customer_id=payment.customer,
        stripe_charge_id=charge_id,
        amount=payment.price.amount,
        currency=payment.price.currency,
        status=payment.status,
        track=payment.track,
        payment_method={"type": charge.type, "brand": charge.brand, "last4": charge.last4} if charge else None,
        receipt_url=charge.receipt_url if charge and charge.status == "succeeded" else None,
        refunded=payment.refunded,
        refund_amount=payments.refunded_amount(facts),
        refund_reason=refund[0] if refund else None,
        refunded_at=refund[1] if refund else None,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
        kind=payment.kind,
        attempt=payment.attempt,
        terms={name: value for name, value in vars(payment.terms).items() if value},
        facts=facts.to_json(),
        refund_requests=[request.to_json() for request in payment.requests],
        attention=[vars(reason) for reason in reasons] or None,
        version=payment.version,
        audit_head=payment.audit_head,
        listed_at=listed_at(payment),
        created_month=payment.created_at[:7],
        status_track=f"{payment.status}#{payment.track}",
        email_initial=email_key[0] if email_key else None,
        email_key=email_key,
        attention_open="open" if reasons else None,
        check_due="due" if due else None,
        check_at=due,
        disputed=disputed,
        dispute_due=dispute_due,
    )


def payment_from_raw(stored: Raw) -> Payment:
    """The payment of an item as DynamoDB writes it."""
    return payment_of(PaymentItem.from_raw_data(stored))


def payment_of(item: PaymentItem) -> Payment:
    """The payment of an item: its facts, not the columns that were derived from them."""
    kind = cast(Kind, item.kind)
    return Payment(
        payment_id=item.payment_id,
        user_id=item.user_id,
        track=item.track,
        kind=kind,
        attempt=int(item.attempt),
        bound_to=item.stripe_payment_intent if kind == "intent" else item.stripe_checkout_session,
        price=Money(int(item.amount), item.currency),
        created_at=item.created_at,
        updated_at=item.updated_at,
        email=item.email,
        customer=item.stripe_customer_id,
        terms=Terms(**item.terms),
        facts=Facts.from_json(item.facts),
        requests=tuple(RefundRequest(**request) for request in item.refund_requests),
        version=int(item.version),
        audit_head=item.audit_head,
    )


def enrollment_to_item(enrollment: Enrollment) -> EnrollmentItem:
    """The item of an enrollment."""
    return EnrollmentItem(
        user_id=enrollment.user_id,
        entry=enrollment.track,
        status=enrollment.status,
        standings=enrollment.standings_to_json(),
        attempt=enrollment.attempt,
        begun=list(enrollment.begun),
        version=enrollment.version,
    )


def enrollment_from_raw(stored: Raw) -> Enrollment:
    """The enrollment of an item as DynamoDB writes it."""
    item = EnrollmentItem.from_raw_data(stored)
    return Enrollment(
        user_id=item.user_id,
        track=item.entry,
        standings={key: Standing(**standing) for key, standing in (item.standings or {}).items()},
        attempt=int(item.attempt or 0),
        begun=tuple(item.begun or ()),
        version=int(item.version),
    )


def record_to_item(record: Record) -> AuditItem:
    """The item of a record, with its hash."""
    return AuditItem(entry=record.entry.key, hash=record.hash, **record.body())


def record_to_json(item: AuditItem) -> dict[str, Any]:
    """The body of a stored record with its hash."""
    body: dict[str, Any] = {"subject": item.subject, "seq": int(item.seq)}
    for name in ("at", "event_id", "type", "source", "actor"):
        if getattr(item, name) is not None:
            body[name] = getattr(item, name)
    body |= {"user_id": item.user_id, "track": item.track, "transition": item.transition, "previous": item.previous}
    return {**body, "schema_version": int(item.schema_version), "hash": item.hash}


def progress_update(user_id: str, track: str, project: str, steps: Iterable[str], change: str) -> Raw:
    """The update of one project's progress: it locks or unlocks, and never touches a step that is there."""
    sets = {
        "unlock": "unlocked = :true",
        "restore": "unlocked = if_not_exists(was_unlocked, :false)",
        "lock": "was_unlocked = if_not_exists(unlocked, :false), unlocked = :false",
    }
    values: Raw = {":steps": {"M": {step: {"M": {"done": {"BOOL": False}}} for step in steps}}}
    values |= {":true": {"BOOL": True}} if change == "unlock" else {":false": {"BOOL": False}}
    return {
        "TableName": table(EnrollmentItem),
        "Key": enrollment_key(user_id, project_entry(track, project)),
        "UpdateExpression": f"SET {sets[change]}, steps = if_not_exists(steps, :steps)",
        "ExpressionAttributeValues": values,
    }
