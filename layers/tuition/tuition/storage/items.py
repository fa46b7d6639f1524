"""The tables: their items, their keys and the one client that reads them. Only the ledger writes four of them.

Items are pynamodb models, for their schema and their serialization; calls go through one botocore client, since
a client is the dear part of a cold start and a transaction's failed conditions are wanted in the order of its
items, with the items that failed them. Every attribute is declared personal or not: export and erasure read that.
"""

from typing import ClassVar

from pynamodb.attributes import BooleanAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.models import Model

from tuition.settings import settings


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


class StripeObjectItem(Model):
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
    *(PaymentItem, EnrollmentItem, StripeObjectItem, CustomerItem, AuditItem),
    *(QuarantineItem, CursorItem, CountItem),
)
