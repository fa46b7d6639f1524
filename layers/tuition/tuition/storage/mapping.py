"""Convert core values to items and items to core values."""

from collections.abc import Iterable
from typing import Any, cast

from tuition.core import attention
from tuition.core import payment as payments
from tuition.core.audit import Record
from tuition.core.enrollment import Enrollment, Standing
from tuition.core.facts import Facts, Kind
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.refund_request import RefundRequest
from tuition.storage import dynamodb, keys
from tuition.storage.dynamodb import Item
from tuition.storage.items import AuditItem, EnrollmentItem, PaymentItem

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


def payment_from_raw(stored: Item) -> Payment:
    """The payment of an item as DynamoDB writes it."""
    return payment_from_item(PaymentItem.from_raw_data(stored))


def payment_from_item(item: PaymentItem) -> Payment:
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


def enrollment_from_raw(stored: Item) -> Enrollment:
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


def progress_update(user_id: str, track: str, project: str, steps: Iterable[str], change: str) -> Item:
    """The update of one project's progress: it locks or unlocks, and never touches a step that is there."""
    sets = {
        "unlock": "unlocked = :true",
        "restore": "unlocked = if_not_exists(was_unlocked, :false)",
        "lock": "was_unlocked = if_not_exists(unlocked, :false), unlocked = :false",
    }
    values: Item = {":steps": {"M": {step: {"M": {"done": {"BOOL": False}}} for step in steps}}}
    values |= {":true": {"BOOL": True}} if change == "unlock" else {":false": {"BOOL": False}}
    return {
        "TableName": dynamodb.table_name(EnrollmentItem),
        "Key": keys.enrollment_key(user_id, keys.project_sort_key(track, project)),
        "UpdateExpression": f"SET {sets[change]}, steps = if_not_exists(steps, :steps)",
        "ExpressionAttributeValues": values,
    }
