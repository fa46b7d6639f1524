"""The one writer of payments, enrollments (with progress), intents and audit: one transaction, all or nothing.

So there is no moment in which money was taken and nobody was enrolled, and no change without its record. Every
condition is on the version that was loaded. Who loses one learns why:

- `AlreadyRecorded`: the event's record is there. It wins over every other failure: nothing is left to do.
- `PointerTaken`: a Stripe object that this payment names belongs to another, or was abandoned.
- `Conflict`: somebody else was first. Load again, decide again.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from botocore.exceptions import ClientError

from tuition import clock, metrics
from tuition.core import audit, catalog, progress, timestamps
from tuition.core.audit import Entry, Record
from tuition.core.enrollment import Enrollment
from tuition.core.errors import Contended, NotFound, TuitionError
from tuition.core.payment import Payment
from tuition.core.refs import Customer, PaymentRef
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import CustomerItem, EnrollmentItem, PaymentItem, StripeObjectItem

TRIES = 12
ABANDONED = "abandoned"
_TRANSIENT = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"}


@dataclass(frozen=True)
class PaymentState:
    """A payment and its enrollment, read together. No payment: there is none (yet)."""

    payment: Payment | None
    enrollment: Enrollment

    @property
    def found(self) -> Payment:
        """The payment. Raises `NotFound` where there is none."""
        if self.payment is None:
            raise NotFound("there is no such payment")
        return self.payment


@dataclass(frozen=True)
class Change:
    """What a payment becomes, and the record of why."""

    payment: Payment
    entry: Entry


class AlreadyRecorded(TuitionError):
    """The record of this event exists: it has been applied."""


class StripeObjectTaken(TuitionError):
    """`pointer` says whose the object is."""

    def __init__(self, pointer: StripeObjectItem) -> None:
        super().__init__(f"{pointer.stripe_id} is {pointer.state or 'bound to'} {pointer.payment_id or ''}".rstrip())
        self.pointer = pointer


class VersionConflict(TuitionError):
    """Somebody else was first. `current` is what is there now, where the failed conditions brought it along."""

    def __init__(self, current: PaymentState | None) -> None:
        super().__init__("the version loaded is no longer the newest")
        self.current = current


# --- loading ---


def load(key: PaymentRef) -> PaymentState:
    """One strongly consistent batch read."""
    found = dynamodb.batch_get(
        {
            PaymentItem: [keys.payment_key(key.payment_id)],
            EnrollmentItem: [keys.enrollment_key(key.user_id, key.track)],
        }
    )
    stored = [mapping.payment_from_raw(item) for item in found[PaymentItem]]
    return PaymentState(stored[0] if stored else None, _enrollment(found[EnrollmentItem], key.user_id, key.track))


def load_for_create(user_id: str, track: str) -> tuple[Enrollment, Customer | None]:
    """What a create begins from: one strongly consistent batch read."""
    found = dynamodb.batch_get(
        {
            EnrollmentItem: [keys.enrollment_key(user_id, track)],
            CustomerItem: [keys.customer_key(user_id)],
        }
    )
    return _enrollment(found[EnrollmentItem], user_id, track), _customer(found[CustomerItem])


def load_customer(user_id: str) -> Customer | None:
    """The Stripe customer of a user who has bought: one strongly consistent read."""
    return _customer(dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)]})[CustomerItem])


def _customer(found: list[Item]) -> Customer | None:
    if not found:
        return None
    item = CustomerItem.from_raw_data(found[0])
    return Customer(item.user_id, item.stripe_customer_id, int(item.generation))


def _enrollment(found: list[Item], user_id: str, track: str) -> Enrollment:
    return mapping.enrollment_from_raw(found[0]) if found else Enrollment(user_id=user_id, track=track)


# --- the transaction ---


def update(
    key: PaymentRef, decide: Callable[[PaymentState], Change | None], before: PaymentState | None = None
) -> PaymentState:
    """Load, decide, commit; after a conflict all of it again, so that whatever `decide` pulled is pulled again.

    `decide` answers None where nothing is to be written. `before` is what the caller has just loaded.
    Raises `Contended` after `TRIES` conflicts, and whatever `decide` raises.
    """
    for attempt in range(1, TRIES + 1):
        before = before or load(key)
        change = decide(before)
        if change is None:
            return before
        try:
            return commit(before, change)
        except AlreadyRecorded:
            return load(key)
        except VersionConflict as conflict:
            before = conflict.current
            clock.pause(attempt)
    raise Contended(f"{key.payment_id} is being changed by others: try again")


def commit(
    before: PaymentState, change: Change, *, begun: tuple[int, ...] | None = None, customer: Customer | None = None
) -> PaymentState:
    """The transaction. Raises `AlreadyRecorded`, `PointerTaken` or `Conflict` with nothing written.

    `begun` (the times of the newest attempts) and `customer` are a create's.
    """
    enrollment = before.enrollment.with_payment(change.payment)
    if begun is not None:
        enrollment = replace(enrollment, begun=begun)
    touched = enrollment != before.enrollment or not before.enrollment.version
    if touched:
        enrollment = replace(enrollment, version=before.enrollment.version + 1)
    record = _record(before, change, enrollment)
    now = clock.now()
    after = replace(change.payment, version=record.seq, audit_head=record.hash, updated_at=timestamps.iso(now))

    writes = {"payment": _put_payment(before.payment, after, now, double=bool(enrollment.doubled))}
    writes["enrollment"] = (
        _put_enrollment(before.enrollment, enrollment) if touched else _check_enrollment(before.enrollment)
    )
    writes["audit"] = {"Put": _put_absent(mapping.record_to_item(record), "subject")}
    for stripe_id in _stripe_objects(after) - _stripe_objects(before.payment):
        writes[f"pointer {stripe_id}"] = {"Put": _put_stripe_object(stripe_id, after)}
    if customer:
        writes |= _put_customer(customer, now)
    track = catalog.tracks().get(after.track)  # None: it is sold no more, and shown to nobody
    for project in progress.changes(track, before.enrollment, enrollment) if track else ():
        update = mapping.progress_update(after.user_id, after.track, project.project, project.steps, project.change)
        writes[f"progress {project.project}"] = {"Update": update}
    _write(writes, before, pull=change.entry.pulled)
    if "attention" in record.transition:
        metrics.count("AttentionRaised")
    return PaymentState(after, enrollment)


def _record(before: PaymentState, change: Change, enrollment: Enrollment) -> Record:
    after = change.payment
    known = before.payment or after  # one that is rebuilt goes on where its records end
    return Record(
        subject=after.payment_id,
        seq=known.version + 1,
        entry=change.entry,
        user_id=after.user_id,
        track=after.track,
        transition=audit.transition(before.payment, after, before.enrollment, enrollment),
        previous=known.audit_head,
    )


def _stripe_objects(payment: Payment | None) -> set[str]:
    """The Stripe objects that this payment owns: each has a pointer, put when it is first named."""
    if payment is None:
        return set()
    paid = {key for key, charge in payment.facts.charges.items() if charge.status == "succeeded"}
    return {payment.bound_to, *({payment.intent} if payment.intent else ()), *paid}


def _put_payment(before: Payment | None, after: Payment, now: float, *, double: bool) -> Item:
    """`double`: its track was paid for twice. Whoever settles last bears the mark in the queue's index; which of the
    two a person should look at is derived when it is read (`tuition.console`)."""
    item = mapping.payment_to_item(after, now, double=double)
    if before is None:
        return {"Put": _put_absent(item, "payment_id")}
    return {"Put": _put_version(item, before.version)}


def _put_enrollment(before: Enrollment, after: Enrollment) -> Item:
    item = mapping.enrollment_to_item(after)
    return {"Put": _put_version(item, before.version) if before.version else _put_absent(item, "user_id")}


def _check_enrollment(enrollment: Enrollment) -> Item:
    """Only read, and still a condition: or two payments of one student lose each other's standing."""
    key = keys.enrollment_key(enrollment.user_id, enrollment.track)
    return {
        "ConditionCheck": {"TableName": dynamodb.table_name(EnrollmentItem), "Key": key, **_version(enrollment.version)}
    }


def _put_absent(item: Any, key: str) -> Item:
    return {
        "TableName": dynamodb.table_name(type(item)),
        "Item": dynamodb.to_raw(item),
        "ConditionExpression": f"attribute_not_exists({key})",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _put_version(item: Any, version: int) -> Item:
    return {"TableName": dynamodb.table_name(type(item)), "Item": dynamodb.to_raw(item), **_version(version)}


def _version(version: int) -> Item:
    return {
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": {":version": {"N": str(version)}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _put_stripe_object(stripe_id: str, payment: Payment) -> Item:
    pointer = StripeObjectItem(stripe_id, payment_id=payment.payment_id, user_id=payment.user_id, track=payment.track)
    put = _put_absent(pointer, "stripe_id")
    values: Item = {":payment": {"S": payment.payment_id}}
    put["ConditionExpression"] += " OR payment_id = :payment"
    if payment.facts.settled:  # money that is in is kept, even of an object that its maker gave up
        put["ConditionExpression"] += " OR #state = :abandoned"
        put["ExpressionAttributeNames"] = {"#state": "state"}
        values[":abandoned"] = {"S": ABANDONED}
    return {**put, "ExpressionAttributeValues": values}


def _put_customer(customer: Customer, now: float) -> dict[str, Item]:
    """The customer and its pointer: unique both ways. The same one again is no conflict."""
    written = timestamps.iso(now)
    item = CustomerItem(
        customer.user_id,
        stripe_customer_id=customer.stripe_customer_id,
        generation=customer.generation,
        created_at=written,
        updated_at=written,
    )
    put = _put_absent(item, "user_id")
    put["ConditionExpression"] += " OR stripe_customer_id = :customer OR generation < :generation"
    values = {":customer": {"S": customer.stripe_customer_id}, ":generation": {"N": str(customer.generation)}}
    pointer = _put_absent(StripeObjectItem(customer.stripe_customer_id, user_id=customer.user_id), "stripe_id")
    pointer["ConditionExpression"] += " OR user_id = :user"
    return {
        "customer": {"Put": {**put, "ExpressionAttributeValues": values}},
        "pointer customer": {"Put": {**pointer, "ExpressionAttributeValues": {":user": {"S": customer.user_id}}}},
    }


def _write(writes: Mapping[str, Item], before: PaymentState | None, *, pull: bool) -> None:
    try:
        dynamodb.client().transact_write_items(TransactItems=list(writes.values()))
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        reasons: dict[str, Item] = dict(zip(writes, cast(Any, error.response)["CancellationReasons"], strict=True))
        _explain(reasons, before, pull=pull)
        raise


def _explain(reasons: Mapping[str, Item], before: PaymentState | None, *, pull: bool) -> None:
    """Raise what a cancellation means; return where it is none of the ledger's own conditions."""
    failed = {what: reason for what, reason in reasons.items() if reason["Code"] == "ConditionalCheckFailed"}
    if "audit" in failed and not pull:
        raise AlreadyRecorded("this event has been applied") from None
    for what, reason in failed.items():
        if what.startswith("pointer ") and "Item" in reason:
            raise StripeObjectTaken(StripeObjectItem.from_raw_data(reason["Item"])) from None
    if failed:
        raise VersionConflict(_current(failed, before)) from None
    if any(reason["Code"] in _TRANSIENT for reason in reasons.values()):
        raise VersionConflict(None) from None


def _current(failed: Mapping[str, Item], before: PaymentState | None) -> PaymentState | None:
    """What is there now: the items that came back with the failed conditions, and what was loaded where none failed.

    None where something failed without its item: then it must be read again.
    """
    if before is None or set(failed) - {"payment", "enrollment"}:
        return None
    if any("Item" not in reason for reason in failed.values()):
        return None
    payment, enrollment = before.payment, before.enrollment
    if "payment" in failed:
        payment = mapping.payment_from_raw(failed["payment"]["Item"])
    if "enrollment" in failed:
        enrollment = mapping.enrollment_from_raw(failed["enrollment"]["Item"])
    return PaymentState(payment, enrollment)


def reschedule_check(looked_at: PaymentState) -> None:
    """Nothing was new: write only when the reconciler should look next, if the payment is still as it was loaded.

    The version stays and there is no record, since nothing is known that was not known before.
    """
    payment = looked_at.payment
    if payment is None:
        return
    put = _put_payment(payment, payment, clock.now(), double=bool(looked_at.enrollment.doubled))["Put"]
    try:
        dynamodb.client().put_item(**put)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


# --- what belongs to no payment ---


def abandon(stripe_id: str, user_id: str, track: str) -> StripeObjectItem | None:
    """Claim an object for nobody, before it is closed: no create can commit it afterwards.

    None: it is abandoned (now, or before). A pointer: a payment holds it, and it must be left alone.
    """
    pointer = StripeObjectItem(stripe_id, user_id=user_id, track=track, state=ABANDONED)
    put = _put_absent(pointer, "stripe_id")
    try:
        dynamodb.client().put_item(**put)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        held = queries.stripe_object(stripe_id)
        return held if held and held.payment_id else None
    return None


def next_attempt(enrollment: Enrollment, used: int, why: str) -> None:
    """Take attempt `used` out of use, with its record on the user's chain. Losing the race is as good as winning."""
    raised = replace(enrollment, attempt=max(enrollment.attempt, used), version=enrollment.version + 1)
    user_id, now = enrollment.user_id, timestamps.iso(clock.now())
    entry = Entry(now, f"attempt:{enrollment.track}:{used}", f"attempt.skipped.{why}", "request", actor=user_id)
    writes = {"enrollment": _put_enrollment(enrollment, raised), **_user_record(user_id, entry, enrollment.track, {})}
    try:
        _write(writes, None, pull=False)
    except (AlreadyRecorded, VersionConflict):
        return


def drop_standing(enrollment: Enrollment, payment_id: str) -> None:
    """Drop the standing of a payment that is not there, with its record on the user's chain.

    Losing the race, or a payment that is there after all, is as good as winning.
    """
    left = {key: standing for key, standing in enrollment.standings.items() if key != payment_id}
    after = replace(enrollment, standings=left, version=enrollment.version + 1)
    user_id, now = enrollment.user_id, timestamps.iso(clock.now())
    entry = Entry(now, f"forgotten:{payment_id}", "payment.forgotten", "request", actor=user_id)
    made = {"enrollment": {"from": enrollment.status, "to": after.status}}
    absent = {
        "TableName": dynamodb.table_name(PaymentItem),
        "Key": keys.payment_key(payment_id),
        "ConditionExpression": "attribute_not_exists(payment_id)",
    }
    writes = {"payment": {"ConditionCheck": absent}, "enrollment": _put_enrollment(enrollment, after)}
    try:
        _write({**writes, **_user_record(user_id, entry, enrollment.track, made)}, None, pull=False)
    except (AlreadyRecorded, VersionConflict):
        return


def record_for_user(user_id: str, entry: Entry, transition: Mapping[str, Any]) -> None:
    """A record on a user's own chain, of what belongs to no payment. Recorded before, it is left as it is.

    Raises `Contended` after `TRIES` conflicts.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return _write(_user_record(user_id, entry, None, transition), None, pull=False)
        except AlreadyRecorded:
            return None
        except VersionConflict:
            clock.pause(attempt)
    raise Contended(f"the records of {user_id} are being changed by others: try again")


def _user_record(user_id: str, entry: Entry, track: str | None, transition: Mapping[str, Any]) -> dict[str, Item]:
    """The writes of one more record on a user's chain, on the head that is there now."""
    found = dynamodb.batch_get({EnrollmentItem: [keys.enrollment_key(user_id, keys.USER_SORT_KEY)]})[EnrollmentItem]
    head = EnrollmentItem.from_raw_data(found[0]) if found else None
    version = int(head.version) if head else 0
    previous = head.audit_head if head and head.audit_head else ""
    record = Record(user_id, version + 1, entry, user_id, track, transition, previous)
    chain = EnrollmentItem(user_id, keys.USER_SORT_KEY, version=record.seq, audit_head=record.hash)
    return {
        "chain": {"Put": _put_version(chain, version) if version else _put_absent(chain, "user_id")},
        "audit": {"Put": _put_absent(mapping.record_to_item(record), "subject")},
    }
