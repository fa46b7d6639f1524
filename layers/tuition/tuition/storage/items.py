"""The items of the tables, one pynamodb model per table. Only the ledger writes the first six.

pynamodb gives the schema and the serialization; calls go through `tuition.storage.dynamodb`. Every attribute is
declared `personal` or `not_personal`: export and erasure read that.
"""

from typing import Any

from pynamodb.attributes import Attribute, BooleanAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.models import Model

from tuition.settings import settings
from tuition.storage.json_attribute import JsonAttribute

_PERSONAL: dict[int, bool] = {}


def personal[A: Attribute[Any]](attribute: A) -> A:
    """Declare an attribute as personal data: it says something about a student that others must not learn."""
    _PERSONAL[id(attribute)] = True
    return attribute


def not_personal[A: Attribute[Any]](attribute: A) -> A:
    """Declare an attribute as not personal."""
    _PERSONAL[id(attribute)] = False
    return attribute


def is_personal(attribute: Attribute[Any]) -> bool:
    """Return how an attribute is declared. Raises `KeyError` for an undeclared one."""
    return _PERSONAL[id(attribute)]


class PaymentItem(Model):
    """A payment. The columns are derived from `facts` at each write, for the indexes and for human readers."""

    class Meta:
        """Which table it is."""

        table_name = settings().payments_table

    payment_id = not_personal(UnicodeAttribute(hash_key=True))
    user_id = personal(UnicodeAttribute())
    email = personal(UnicodeAttribute(null=True))
    stripe_payment_intent = not_personal(UnicodeAttribute(null=True))
    stripe_checkout_session = not_personal(UnicodeAttribute(null=True))
    stripe_customer_id = personal(UnicodeAttribute(null=True))
    stripe_charge_id = not_personal(UnicodeAttribute(null=True))
    amount = not_personal(NumberAttribute())
    currency = not_personal(UnicodeAttribute())
    price = not_personal(JsonAttribute())
    first_purchase = not_personal(BooleanAttribute(null=True))
    status = not_personal(UnicodeAttribute())
    track = not_personal(UnicodeAttribute())
    membership = not_personal(UnicodeAttribute(null=True))
    plan = not_personal(UnicodeAttribute(null=True))
    covers = not_personal(JsonAttribute(null=True))
    payment_method = personal(JsonAttribute(null=True))
    receipt_url = personal(UnicodeAttribute(null=True))
    refunded = not_personal(BooleanAttribute())
    refund_amount = not_personal(NumberAttribute())
    refund_reason = personal(UnicodeAttribute(null=True))
    refunded_at = not_personal(UnicodeAttribute(null=True))
    created_at = not_personal(UnicodeAttribute())
    updated_at = not_personal(UnicodeAttribute())

    kind = not_personal(UnicodeAttribute())
    attempt = not_personal(NumberAttribute())
    version = not_personal(NumberAttribute())
    audit_head = not_personal(UnicodeAttribute())
    terms = personal(JsonAttribute())
    facts = personal(JsonAttribute())
    refund_requests = personal(JsonAttribute())
    attention = not_personal(JsonAttribute(null=True))

    listed_at = not_personal(UnicodeAttribute())
    created_month = not_personal(UnicodeAttribute())
    status_track = not_personal(UnicodeAttribute())
    email_initial = personal(UnicodeAttribute(null=True))
    email_key = personal(UnicodeAttribute(null=True))
    attention_open = not_personal(UnicodeAttribute(null=True))
    check_due = not_personal(UnicodeAttribute(null=True))
    check_at = not_personal(UnicodeAttribute(null=True))
    synced_at = not_personal(UnicodeAttribute(null=True))
    disputed = not_personal(UnicodeAttribute(null=True))
    dispute_due = not_personal(UnicodeAttribute(null=True))
    refund_requested = not_personal(UnicodeAttribute(null=True))
    refund_requested_at = not_personal(UnicodeAttribute(null=True))


class PlanItem(Model):
    """A plan. The columns are derived from `facts` and `parts` at each write, for the indexes and for human readers.

    `version` counts the commits of the plan, `records` the audit records of its own chain.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().plans_table

    plan_id = not_personal(UnicodeAttribute(hash_key=True))
    user_id = personal(UnicodeAttribute())
    track = not_personal(UnicodeAttribute(null=True))
    membership = not_personal(UnicodeAttribute(null=True))
    attempt = not_personal(NumberAttribute())
    status = not_personal(UnicodeAttribute())
    offer = not_personal(UnicodeAttribute())
    terms = not_personal(JsonAttribute())
    facts = personal(JsonAttribute())
    parts = personal(JsonAttribute())
    attention = not_personal(JsonAttribute(null=True))
    created_at = not_personal(UnicodeAttribute())
    updated_at = not_personal(UnicodeAttribute())
    version = not_personal(NumberAttribute())
    records = not_personal(NumberAttribute())
    audit_head = not_personal(UnicodeAttribute())

    listed_at = not_personal(UnicodeAttribute())
    plan_status = not_personal(UnicodeAttribute())
    due_at = not_personal(UnicodeAttribute())
    collect_due = not_personal(UnicodeAttribute(null=True))
    collect_at = not_personal(UnicodeAttribute(null=True))
    attention_open = not_personal(UnicodeAttribute(null=True))


class EnrollmentItem(Model):
    """An enrollment (sort key: the track or membership), or the head of a user's own audit chain (sort key: `#user`).

    `erased` is true once the user's data were erased: a commit that loads it stores no such data again.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().enrollments_table

    user_id = personal(UnicodeAttribute(hash_key=True))
    sort_key = not_personal(UnicodeAttribute(range_key=True))
    status = not_personal(UnicodeAttribute(null=True))
    standings = not_personal(JsonAttribute(null=True))
    attempt = not_personal(NumberAttribute(null=True))
    attempt_times = not_personal(JsonAttribute(null=True))
    erased = not_personal(BooleanAttribute(null=True))
    version = not_personal(NumberAttribute())
    audit_head = not_personal(UnicodeAttribute(null=True))


class StripeObjectItem(Model):
    """The pointer from a Stripe id to its payment, or from a customer to its user.

    `state` is `abandoned` if its creator gave the object up: no payment can be bound to it any more. It is `expired` if
    its payment was deleted after its retention period.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().stripe_objects_table

    stripe_id = personal(UnicodeAttribute(hash_key=True))
    payment_id = not_personal(UnicodeAttribute(null=True))
    user_id = personal(UnicodeAttribute(null=True))
    track = not_personal(UnicodeAttribute(null=True))
    state = not_personal(UnicodeAttribute(null=True))


class CustomerItem(Model):
    """The one Stripe customer of a user, the ids of the user's disputes and refunds, and of purchase blocks.

    `generation` rises when a new customer replaces a missing one. `email` is the address that Stripe was sent last,
    even if Stripe rejected it. A user who is blocked before the first purchase has no Stripe customer yet. An empty set
    is not stored. `purchase_decision` is the newest one of staff. `first_purchases` has the payment that holds the
    first-purchase claim of the user. `legal_hold` is true while staff hold the user's data, and absent otherwise.
    `legal_hold_decision` is the newest decision about it. `expired_payments` are those that were deleted after their
    retention period, whose records stay. `erasure` is the erasure of the user's data, scheduled or
    done: then the item has no Stripe customer, address and notes of staff any more.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().customers_table

    user_id = personal(UnicodeAttribute(hash_key=True))
    stripe_customer_id = personal(UnicodeAttribute(null=True))
    generation = not_personal(NumberAttribute(null=True))
    email = personal(UnicodeAttribute(null=True))
    disputes = not_personal(UnicodeSetAttribute(null=True))
    refunds = not_personal(UnicodeSetAttribute(null=True))
    lost_disputes = not_personal(UnicodeSetAttribute(null=True))
    other_blocks = not_personal(UnicodeSetAttribute(null=True))
    allowed_blocks = not_personal(UnicodeSetAttribute(null=True))
    purchase_decision = personal(JsonAttribute(null=True))
    first_purchases = not_personal(UnicodeSetAttribute(null=True))
    legal_hold = not_personal(BooleanAttribute(null=True))
    legal_hold_decision = personal(JsonAttribute(null=True))
    expired_payments = not_personal(UnicodeSetAttribute(null=True))
    erasure = personal(JsonAttribute(null=True))
    created_at = not_personal(UnicodeAttribute(null=True))
    updated_at = not_personal(UnicodeAttribute())


class AuditItem(Model):
    """An audit record, as `tuition.core.audit.Record` hashes it, and when the ledger committed it, which it does not.

    `recorded_at` is our clock, `at` is Stripe's time of an event. `recorded_position` is
    `<recorded_at>#<subject>#<seq>`. Records of schema 1, and those that belong to no payment, have no `facts`.
    `final_form` is what the archive gets of a payment that this record closed.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().audit_table

    subject = not_personal(UnicodeAttribute(hash_key=True))
    sort_key = not_personal(UnicodeAttribute(range_key=True))
    seq = not_personal(NumberAttribute())
    at = not_personal(UnicodeAttribute())
    event_id = not_personal(UnicodeAttribute())
    type = not_personal(UnicodeAttribute())
    source = not_personal(UnicodeAttribute())
    actor = not_personal(UnicodeAttribute(null=True))
    user_id = not_personal(UnicodeAttribute())
    track = not_personal(UnicodeAttribute(null=True))
    transition = not_personal(JsonAttribute())
    facts = not_personal(JsonAttribute(null=True))
    previous = not_personal(UnicodeAttribute())
    schema_version = not_personal(NumberAttribute())
    hash = not_personal(UnicodeAttribute())
    recorded_at = not_personal(UnicodeAttribute())
    recorded_day = not_personal(UnicodeAttribute())
    recorded_position = not_personal(UnicodeAttribute())
    final_form = not_personal(JsonAttribute(null=True))


KEPT = "kept"
"""What `kept` says of every event that waits in the quarantine. Its indexes have one partition per shard."""
DISCARDED = "discarded"
"""What `kept` says of an event that staff have discarded: it is in no list and is not tried again."""


class QuarantineItem(Model):
    """An event of ours that could not be applied, until staff or a retry apply it.

    A discarded event has no payload any more. `discarded` says by whom, when and why. `last_at` is that time too.
    `listed_at` is `<first_at>#<event_id>`. `expires_at` (epoch seconds) is its time to live.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().quarantine_table

    event_id = not_personal(UnicodeAttribute(hash_key=True))
    kept = not_personal(UnicodeAttribute())
    listed_at = not_personal(UnicodeAttribute())
    event = personal(UnicodeAttribute(null=True))
    reason = not_personal(UnicodeAttribute())
    first_at = not_personal(UnicodeAttribute())
    last_at = not_personal(UnicodeAttribute())
    tries = not_personal(NumberAttribute())
    discarded = personal(JsonAttribute(null=True))
    expires_at = not_personal(NumberAttribute(null=True))


KEPT_S = 30 * 86_400
"""The time to live of a task, and of the cursor of a backfill, after their last plan or move."""


class CursorItem(Model):
    """How far a walk over Stripe's objects has come (`cursor`, epoch seconds), and who holds the lease until when.

    `report` is what the daily audit found: its differences may name users. One item has the catalog's `prices` by
    track, each with the time at which an hourly run first saw it. The switches `selling` and `collecting` have an
    item each, with the number and the hash of the newest audit record. A `task` of the reconciler or of the audit
    has an item of its own, with the lease of the invocation that performs it, its `progress`, and a `report` once
    it is finished (`tuition.storage.tasks`). An audit that is not finished has its `plan`. A part of the yearly
    list of payments to delete is a `plan` too. `expires_at` (epoch seconds) is the time to live of tasks, of the
    cursors of backfills, and of parts of that list. No other item has it.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().cursors_table

    name = not_personal(UnicodeAttribute(hash_key=True))
    cursor = not_personal(NumberAttribute(null=True))
    holder = not_personal(UnicodeAttribute(null=True))
    held_until = not_personal(NumberAttribute(null=True))
    report = personal(JsonAttribute(null=True))
    prices = not_personal(JsonAttribute(null=True))
    selling = personal(JsonAttribute(null=True))
    collecting = personal(JsonAttribute(null=True))
    version = not_personal(NumberAttribute(null=True))
    audit_head = not_personal(UnicodeAttribute(null=True))
    task = personal(JsonAttribute(null=True))
    progress = personal(JsonAttribute(null=True))
    plan = personal(JsonAttribute(null=True))
    expires_at = not_personal(NumberAttribute(null=True))


class CountItem(Model):
    """The counts of a month by day, up to `cursor` (a sort key), first counted at `counted_since` (epoch seconds)."""

    class Meta:
        """Which table it is."""

        table_name = settings().analytics_table

    period = not_personal(UnicodeAttribute(hash_key=True))
    measure = not_personal(UnicodeAttribute(range_key=True))
    counted = not_personal(JsonAttribute())
    cursor = not_personal(UnicodeAttribute())
    counted_since = not_personal(NumberAttribute())


class RollUpItem(Model):
    """A roll-up of analytics: the sum of what payments contribute to it (`tuition.core.rollups`).

    `recorded_days` are the days on which the audit records were committed that changed it: the recount finds by them
    the payments that contribute. `changed_at` is when it last changed. So that each contribution is counted once, a
    payment has such an item too, under `counted#<payment id>`: its `figures` have what was counted of it, by the key of
    the roll-up.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().analytics_table

    period = not_personal(UnicodeAttribute(hash_key=True))
    measure = not_personal(UnicodeAttribute(range_key=True))
    figures = not_personal(JsonAttribute())
    version = not_personal(NumberAttribute())
    recorded_days = not_personal(UnicodeSetAttribute(null=True))
    changed_at = not_personal(UnicodeAttribute(null=True))


class LimitsItem(Model):
    """The used-up part of a user's limits. `expires_at` (epoch seconds) is its time to live.

    Declines and refused codes are `<time>:<id>`. The id of a code is a hash of its text.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().limits_table

    user_id = personal(UnicodeAttribute(hash_key=True))
    declines = not_personal(UnicodeSetAttribute(null=True))
    refused_codes = not_personal(UnicodeSetAttribute(null=True))
    busy_until_ms = not_personal(NumberAttribute(null=True))
    expires_at = not_personal(NumberAttribute())


EMAILS = "emails"
"""The consumer, in `consumer_subject`, that sends the emails that follow records."""


class EffectItem(Model):
    """An effect of a published event, such as an email, by its consumer. It never expires: a replay must find it.

    `state` is `claimed`, then `sent`, or `skipped` for the `reason`, or `unsent` if the claim was found without its
    sending. `holder` is the invocation's claim, `at` is our clock. An item whose consumer is `address` says that a
    hashed email address is undeliverable.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().effects_table

    consumer_subject = personal(UnicodeAttribute(hash_key=True))
    sort_key = not_personal(UnicodeAttribute(range_key=True))
    state = not_personal(UnicodeAttribute())
    kind = not_personal(UnicodeAttribute(null=True))
    reason = not_personal(UnicodeAttribute(null=True))
    holder = not_personal(UnicodeAttribute(null=True))
    message_id = not_personal(UnicodeAttribute(null=True))
    at = not_personal(UnicodeAttribute())


class NoteItem(Model):
    """A note of staff about a user or one of their payments, all tags of one of these, or evidence for a dispute.

    The sort key is `<payment id>#<note id>`, `<payment id>#tags` or `<payment id>#<dispute id>`. One about the user
    begins with `user`.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().notes_table

    user_id = personal(UnicodeAttribute(hash_key=True))
    sort_key = not_personal(UnicodeAttribute(range_key=True))
    text = personal(UnicodeAttribute(null=True))
    tags = personal(UnicodeSetAttribute(null=True))
    evidence = personal(JsonAttribute(null=True))
    actor = personal(UnicodeAttribute())
    at = not_personal(UnicodeAttribute())


class SearchItem(Model):
    """A word by which staff find a payment, in the order of the payments' creation, or all words of one payment.

    The sort key of a word is the payment's `<created_at>#<payment_id>`. The item with all `words` of a payment has the
    key `payment#<payment_id>`, the sort key `words`, and the `position` that these words have.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().search_table

    word = personal(UnicodeAttribute(hash_key=True))
    listed_at = not_personal(UnicodeAttribute(range_key=True))
    words = personal(UnicodeSetAttribute(null=True))
    position = not_personal(UnicodeAttribute(null=True))
    version = not_personal(NumberAttribute(null=True))


class ActivityItem(Model):
    """An action of a member of staff (`tuition.storage.activity`). `expires_at` (epoch seconds) is its time to live.

    The sort key is `<recorded_at>#<subject>#<position>` of the audit record. An item whose key is `all staff` has a
    member of staff as its sort key, and when they did anything last.
    """

    class Meta:
        """Which table it is."""

        table_name = settings().activity_table

    actor = personal(UnicodeAttribute(hash_key=True))
    sort_key = personal(UnicodeAttribute(range_key=True))
    at = not_personal(UnicodeAttribute())
    type = not_personal(UnicodeAttribute(null=True))
    payment_id = not_personal(UnicodeAttribute(null=True))
    user_id = personal(UnicodeAttribute(null=True))
    track = not_personal(UnicodeAttribute(null=True))
    people = not_personal(NumberAttribute(null=True))
    expires_at = not_personal(NumberAttribute())


MODELS: tuple[type[Model], ...] = (
    *(PaymentItem, PlanItem, EnrollmentItem, StripeObjectItem, CustomerItem, AuditItem),
    *(QuarantineItem, CursorItem, CountItem, LimitsItem, EffectItem, RollUpItem, NoteItem, SearchItem),
    ActivityItem,
)
