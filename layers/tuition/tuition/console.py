"""What staff look at: one payment with what is known, a user, disputes, quarantine. Lists are `tuition.browse`'s."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tuition import browse, history
from tuition.browse import Place, Shown
from tuition.core import audit, timestamps
from tuition.core import payment as payments_core
from tuition.core.errors import NotFound, Unprocessable
from tuition.core.payment import DECIDED_DISPUTES, Payment
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.filters import Filters
from tuition.settings import settings
from tuition.storage import dynamodb, keys, quarantine, queries
from tuition.storage.items import CustomerItem, EnrollmentItem, PaymentItem, QuarantineItem
from tuition.storage.queries import payments_by_id

DASHBOARD = "https://dashboard.stripe.com"


def payments(wanted: Filters, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of payments."""
    found, next_cursor = browse.page(wanted, limit, cursor)
    return {"payments": [one.json() for one in found], "next_cursor": next_cursor}


def stripe_page(kind: str, stripe_id: str | None) -> str | None:
    """Where Stripe's dashboard shows an object: `payments`, `customers` or `disputes`."""
    mode = "" if settings().stripe_livemode else "test/"
    return f"{DASHBOARD}/{mode}{kind}/{stripe_id}" if stripe_id else None


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
    one = browse.show(found)[0]
    return {
        "payment": {**one.json(), "refund_requests": item.refund_requests},
        "groups": _groups(one),
        "facts": facts_json(one.payment, {record["seq"]: record["at"] for record in trail}),
        "audit": trail,
        "chain": _chain(payment_id, trail, int(item.version), item.audit_head),
    }


def _chain(subject: str, trail: Iterable[Mapping[str, Any]], version: int, head: str) -> dict[str, Any]:
    broken = audit.verify(subject, trail, version, head)
    return {"verified": broken is None, "problem": f"record {broken.seq}: {broken.why}" if broken else None}


def _groups(one: Shown) -> dict[str, dict[str, Any]]:
    """Every field of a payment, by what it is about. Amounts are minor units."""
    item, paid, terms = one.item, one.payment, one.payment.terms
    settled = paid.facts.settled
    intent, customer = item.stripe_payment_intent, item.stripe_customer_id
    method = item.payment_method or {}
    return {
        "payment": {
            **{name: getattr(item, name) for name in ("payment_id", "status", "track", "kind")},
            "attempt": int(item.attempt),
            "grants_access": payments_core.grants_access(paid),
            "enrollment": one.enrollment,
        },
        "student": {"user_id": item.user_id, "email": item.email},
        "money": {
            "amount": int(item.amount),
            "currency": item.currency,
            "list_amount": terms.list_amount,
            "promotion_code": terms.promotion_code,
            "received": settled.amount if settled else None,
            "received_currency": settled.currency if settled else None,
            "refund_amount": int(item.refund_amount),
            "lost": payments_core.lost_amount(paid.facts),
            "left": max(0, paid.left),
        },
        "refund": {name: getattr(item, name) for name in ("refunded", "refund_reason", "refunded_at")},
        "method": {
            **{name: method.get(name) for name in ("type", "brand", "last4")},
            "saved": terms.save_payment_method,
            "receipt_url": item.receipt_url,
        },
        "stripe": {
            "payment_intent": intent,
            "payment_url": stripe_page("payments", intent),
            "checkout_session": item.stripe_checkout_session,
            "charge": item.stripe_charge_id,
            "customer": customer,
            "customer_url": stripe_page("customers", customer),
        },
        "times": {name: getattr(item, name) for name in ("created_at", "updated_at", "check_at")},
        "record": {"version": int(item.version), "audit_head": item.audit_head},
    }


def facts_json(known: Payment, recorded: Mapping[int, str]) -> dict[str, Any]:
    """What Stripe and staff have told, oldest first; `recorded` is when each version came to be."""
    facts = known.facts
    settled, closed, phase = facts.settled, facts.closed, facts.phase
    decision = facts.decision
    return {
        "object": {"kind": known.kind, "id": known.bound_to, "intent": known.intent},
        "settled": {"amount": settled.amount, "currency": settled.currency, "at": _at(settled.at)} if settled else None,
        "closed": {"reason": closed.reason, "at": _at(closed.at)} if closed else None,
        "phase": {**_only(phase, "name", "code", "message"), "at": _at(phase.at)} if phase else None,
        "charges": [
            {"charge_id": key, **_only(c, *_CHARGE), "at": _at(c.created)} for key, c in _oldest_first(facts.charges)
        ],
        "refunds": [
            {"refund_id": key, **_only(r, *_REFUND), "at": _at(r.created)} for key, r in _oldest_first(facts.refunds)
        ],
        "disputes": [dispute_json(known, key) for key, _ in _oldest_first(facts.disputes)],
        "claims": [
            {"object_id": key, **_only(claim, "amount", "currency"), "at": _at(claim.at)}
            for key, claim in facts.claims.items()
        ],
        "decision": {**_only(decision, "decision", *_BY), "at": recorded.get(decision.version)} if decision else None,
        "acknowledged": [
            {"cause": name, **_only(seen, "mark", *_BY), "at": recorded.get(seen.version)}
            for name, seen in facts.acknowledged.items()
        ],
        "accepted": facts.accepted,
        "rebuilt": facts.rebuilt,
        "erased": facts.erased,
    }


_CHARGE = ("status", "amount", "type", "brand", "last4", "receipt_url", "code")
_REFUND = ("status", "amount", "reason", "request", "failure")
_BY = ("who", "note", "version")


def _only(fact: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in names}


def _at(epoch_s: int | None) -> str | None:
    return None if epoch_s is None else timestamps.iso(epoch_s)


def _oldest_first(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Within one second what succeeded comes last: whoever has paid does not try again."""
    return sorted(facts.items(), key=lambda pair: (pair[1].created, pair[1].status == "succeeded", pair[0]))


# --- disputes ---


def dispute_json(known: Payment, dispute_id: str) -> dict[str, Any]:
    """One dispute; `due_by` is when the bank wants its answer, `withdrawn` what it has taken so far."""
    dispute = known.facts.disputes[dispute_id]
    settled = known.facts.settled
    return {
        "dispute_id": dispute_id,
        **_only(dispute, "status", "reason", "amount", "withdrawn"),
        "currency": settled.currency if settled else known.price.currency,
        "created_at": _at(dispute.created),
        "due_by": _at(dispute.due_by),
        "over": dispute.status in DECIDED_DISPUTES,
        "stripe_url": stripe_page("disputes", dispute_id),
    }


def disputes(state: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of disputed payments' disputes: the `open` by when an answer is due, those that are `over` newest first.

    `limit` counts payments; one that is disputed twice shows both.
    """
    if state not in (None, *browse.DISPUTED):
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
    found = browse.show(payments_by_id([key["payment_id"]["S"] for key in answer["Items"]]))
    last = answer.get("LastEvaluatedKey")
    place = Place("dispute", last["dispute_due"]["S"], last["payment_id"]["S"]) if last else None
    rows = [_disputed(one, key) for one in found for key, _ in _oldest_first(one.payment.facts.disputes)]
    return {"disputes": rows, "next_cursor": place.cursor(f"disputes:{state}") if place else None}


def _dispute_start(state: str, cursor: str) -> dict[str, Any]:
    place = _whole_place(cursor, f"disputes:{state}")
    key = {"disputed": {"S": state}, "dispute_due": {"S": place.key}, **keys.payment_key(place.payment_id)}
    return {"ExclusiveStartKey": key}


def _whole_place(cursor: str, of: str) -> Place:
    """A place that is the start of a query as it stands. Raises `Unprocessable` where a part is missing."""
    place = Place.of_cursor(cursor, of)
    if not place.key or not place.payment_id:
        raise Unprocessable("cursor is not of this list: send the next_cursor of its page before", field="cursor")
    return place


def _disputed(one: Shown, dispute_id: str) -> dict[str, Any]:
    names = ("payment_id", "user_id", "email", "track")
    return {
        **dispute_json(one.payment, dispute_id),
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
    place = Place("event", last["first_at"]["S"], last["event_id"]["S"]) if last else None
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
    found, next_cursor = browse.of_user(user_id, limit, cursor)
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
        "enrollments": history.enrollments_of(entries),
        "payments": [one.json() for one in found],
        "next_cursor": next_cursor,
        "audit": trail,
        "chain": _chain(user_id, trail, int(head.version) if head else 0, (head.audit_head if head else None) or ""),
    }


def _customer(item: CustomerItem) -> dict[str, Any]:
    return {
        "stripe_customer_id": item.stripe_customer_id,
        "stripe_url": stripe_page("customers", item.stripe_customer_id),
        "generation": int(item.generation),
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }
