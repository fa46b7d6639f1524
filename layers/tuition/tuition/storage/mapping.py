"""Convert core values to items, and items to core values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from pynamodb.models import Model

from tuition.core import payment as payments
from tuition.core import texts, timestamps
from tuition.core.attention import AttentionReason
from tuition.core.audit import Record
from tuition.core.enrollment import Enrollment, Standing
from tuition.core.facts import Facts, Kind
from tuition.core.limits import Limits
from tuition.core.money import Money
from tuition.core.payment import Payment, Terms
from tuition.core.progress import Change
from tuition.core.purchase_blocks import PurchaseBlocks
from tuition.core.refs import Customer
from tuition.core.refund_request import RefundRequest
from tuition.core.stored import read
from tuition.core.switches import Switch, SwitchName
from tuition.storage import dynamodb, keys
from tuition.storage.dynamodb import Item
from tuition.storage.items import (
    AuditItem,
    CursorItem,
    CustomerItem,
    EnrollmentItem,
    LimitsItem,
    PaymentItem,
    PlanItem,
)

if TYPE_CHECKING:
    from tuition.core.plan import Plan

_SWITCH = ("on", "message", "note", "actor", "at")

SEQ_DIGITS = 6
"""Of a record's number in its position, with zeros in front, so that records of one moment are in order too."""


def listed_at(payment: Payment) -> str:
    """Return the sort key of a payment in every list: by time, then by id."""
    return f"{payment.created_at}#{payment.payment_id}"


def payment_to_item(payment: Payment, now: float, attention: Sequence[AttentionReason]) -> PaymentItem:
    """Return the item of a payment. A column with no value here is the attribute of `Payment` with its name."""
    check_due, check_at = payments.next_check(payment, int(now)) or (None, None)
    email_key = f"{texts.caseless(payment.email)}#{payment.created_at}" if payment.email else None
    disputed, dispute_due = payments.dispute_listing(payment) or (None, None)
    refund_requested, refund_requested_at = payments.refund_request_listing(payment) or (None, None)
    columns: dict[str, Any] = {
        "track": payment.product,  # a release that knows no memberships requires it
        "covers": list(payment.covers) or None,
        "price": {"amount": payment.price.amount, "currency": payment.price.currency},
        "first_purchase": payment.first_purchase or None,
        "stripe_payment_intent": payment.intent,
        "stripe_customer_id": payment.customer,
        "terms": {name: value for name, value in vars(payment.terms).items() if value},
        "facts": payment.facts.to_json(),
        "refund_requests": [request.to_json() for request in payment.requests],
        "attention": [vars(reason) for reason in attention] or None,
        "listed_at": listed_at(payment),
        "created_month": keys.sharded("created_month", payment.created_at[:7], payment.payment_id),
        "status_track": keys.sharded("status_track", f"{payment.status}#{payment.product}", payment.payment_id),
        "email_initial": email_key[0] if email_key else None,
        "email_key": email_key,
        "attention_open": "open" if attention else None,
        "check_due": keys.sharded("check_due", check_due, payment.payment_id) if check_due else None,
        "check_at": check_at,
        "disputed": disputed,
        "dispute_due": dispute_due,
        "refund_requested": refund_requested,
        "refund_requested_at": refund_requested_at,
    }
    return PaymentItem(
        **{name: columns[name] if name in columns else getattr(payment, name) for name in PaymentItem.get_attributes()}
    )


def payment_from_raw(raw: Item) -> Payment:
    """Return the payment of an item as DynamoDB writes it."""
    return payment_from_item(PaymentItem.from_raw_data(raw))


def payment_from_item(item: PaymentItem) -> Payment:
    """Return the payment of an item: from its facts, not from the columns that were derived from them."""
    kind = cast(Kind, item.kind)
    return Payment(
        payment_id=item.payment_id,
        user_id=item.user_id,
        track=None if item.membership else item.track,
        kind=kind,
        attempt=int(item.attempt),
        stripe_object_id=item.stripe_payment_intent if kind == "intent" else item.stripe_checkout_session,
        price=read(Money, item.price),
        created_at=item.created_at,
        updated_at=item.updated_at,
        email=item.email,
        customer=item.stripe_customer_id,
        terms=read(Terms, item.terms),
        facts=Facts.from_json(item.facts),
        requests=tuple(read(RefundRequest, request) for request in item.refund_requests),
        first_purchase=bool(item.first_purchase),
        version=int(item.version),
        audit_head=item.audit_head,
        synced_at=item.synced_at,
        membership=item.membership,
        plan=item.plan,
        covers=tuple(item.covers or ()),
    )


COLLECT_DUE = "due"
"""What `collect_due` says of every plan for which a time is known at which the collector has to look at it."""


def plan_to_item(plan: "Plan", attention: Sequence[AttentionReason]) -> PlanItem:
    """Return the item of a plan. A column with no value here is the attribute of `Plan` with its name."""
    from tuition.core import plan_installments, plan_steps

    wake_at = plan_steps.wake_at(plan)
    columns: dict[str, Any] = {
        "offer": plan.terms.offer,
        "terms": plan.terms.to_json(),
        "facts": plan.facts.to_json(),
        "parts": {payment_id: part.to_json() for payment_id, part in plan.parts.items()},
        "attention": [vars(reason) for reason in attention] or None,
        "listed_at": plan_listed_at(plan),
        "plan_status": keys.sharded("plan_status", plan.status, plan.plan_id),
        "due_at": f"{plan_installments.next_due(plan) or payments.NO_DUE_DATE}#{plan.plan_id}",
        "collect_due": None if wake_at is None else keys.sharded("collect_due", COLLECT_DUE, plan.plan_id),
        "collect_at": None if wake_at is None else timestamps.iso(wake_at),
        "attention_open": "open" if attention else None,
    }
    return PlanItem(
        **{name: columns[name] if name in columns else getattr(plan, name) for name in PlanItem.get_attributes()}
    )


def plan_listed_at(plan: "Plan") -> str:
    """Return the sort key of a plan among those of its user: by the time of creation."""
    return f"{plan.created_at}#{plan.plan_id}"


def plan_from_raw(raw: Item) -> "Plan":
    """Return the plan of an item as DynamoDB writes it: from its terms, facts and parts."""
    from tuition.core.plan import Plan
    from tuition.core.plan_facts import PlanFacts
    from tuition.core.plan_parts import Part
    from tuition.core.plan_terms import PlanTerms

    item = PlanItem.from_raw_data(raw)
    return Plan(
        plan_id=item.plan_id,
        user_id=item.user_id,
        track=item.track,
        membership=item.membership,
        attempt=int(item.attempt),
        terms=PlanTerms.from_json(item.terms),
        facts=PlanFacts.from_json(item.facts),
        parts={payment_id: Part.from_json(part) for payment_id, part in item.parts.items()},
        created_at=item.created_at,
        updated_at=item.updated_at,
        version=int(item.version),
        records=int(item.records),
        audit_head=item.audit_head,
    )


def plan_from_records(plan_id: str, trail: Sequence[Mapping[str, Any]]) -> "Plan | None":
    """Return a plan whose item is missing, without its payments, as its own audit records show it.

    None if the record of its creation is missing too. Its payment methods are in no record.
    """
    from tuition.core import recorded_plan_facts
    from tuition.core.plan import Plan
    from tuition.core.plan_facts import PlanFacts
    from tuition.core.plan_terms import PlanTerms

    first = next((record for record in trail if "terms" in record["transition"].get("plan", {})), None)
    if first is None:
        return None
    agreed = first["transition"]["plan"]
    facts = recorded_plan_facts.restored(trail)
    return (
        Plan(
            plan_id=plan_id,
            user_id=first["user_id"],
            track=first["track"],
            membership=agreed.get("membership"),
            attempt=int(agreed["attempt"]),
            terms=PlanTerms.from_json(agreed["terms"]),
            created_at=agreed["created_at"],
            updated_at=trail[-1]["at"],
            version=max([len(trail), *(decision.version for decision in facts.decisions.values())]),
            records=int(trail[-1]["seq"]),
            audit_head=trail[-1]["hash"],
        )
        .merged(facts)
        .merged(PlanFacts(rebuilt=True))
    )


def enrollment_to_item(enrollment: Enrollment) -> EnrollmentItem:
    """Return the item of an enrollment."""
    return EnrollmentItem(
        user_id=enrollment.user_id,
        sort_key=enrollment.track,
        status=enrollment.status,
        standings=enrollment.standings_to_json(),
        attempt=enrollment.attempt,
        attempt_times=list(enrollment.attempt_times),
        erased=enrollment.erased or None,
        version=enrollment.version,
    )


def enrollment_from_raw(raw: Item) -> Enrollment:
    """Return the enrollment of an item as DynamoDB writes it."""
    item = EnrollmentItem.from_raw_data(raw)
    return Enrollment(
        user_id=item.user_id,
        track=item.sort_key,
        standings={grantor: read(Standing, standing) for grantor, standing in (item.standings or {}).items()},
        attempt=int(item.attempt or 0),
        attempt_times=tuple(item.attempt_times or ()),
        version=int(item.version),
        erased=bool(item.erased),
    )


def chain_head(raw: Item | None) -> tuple[int, str]:
    """Return the number and the hash of the newest record of a user's own chain; (0, "") before the first."""
    head = EnrollmentItem.from_raw_data(raw) if raw else None
    return (int(head.version), head.audit_head or "") if head else (0, "")


def customer_from_item(item: CustomerItem) -> Customer | None:
    """Return the Stripe customer of an item; None if the item has only what blocks the user's purchases."""
    if item.stripe_customer_id is None:
        return None
    first_purchases = frozenset(item.first_purchases or ())
    return Customer(item.user_id, item.stripe_customer_id, int(item.generation), item.email, first_purchases)


def blocks_from_item(item: CustomerItem) -> PurchaseBlocks:
    """Return what blocks the purchases of an item's user."""
    return PurchaseBlocks(
        frozenset(item.lost_disputes or ()),
        frozenset(item.other_blocks or ()),
        frozenset(item.allowed_blocks or ()),
        item.erasure is not None,
    )


def limits_from_raw(raw: Item) -> Limits:
    """Return the limits of an item as DynamoDB writes it, or of an empty dict."""
    item = LimitsItem.from_raw_data(raw)
    return Limits(frozenset(item.declines or ()), frozenset(item.refused_codes or ()), int(item.busy_until_ms or 0))


def switch_to_item(switch: Switch) -> CursorItem:
    """Return the item of a switch. Its state has the attribute with the switch's name."""
    item = CursorItem(switch.name, version=switch.version, audit_head=switch.audit_head)
    setattr(item, switch.name, {name: getattr(switch, name) for name in _SWITCH})
    return item


def switch_from_raw(name: SwitchName, raw: Item | None) -> Switch:
    """Return the switch of an item as DynamoDB writes it; without an item, it is on."""
    if not raw:
        return Switch(name)
    item = CursorItem.from_raw_data(raw)
    state = read(Switch, {**getattr(item, name), "name": name})
    return replace(state, version=int(item.version), audit_head=item.audit_head)


def record_to_item(record: Record, now: float, final_form: Mapping[str, Any] | None = None) -> AuditItem:
    """Return the item of an audit record that is committed now, with its hash, and with what it closed, if anything."""
    recorded_at = timestamps.iso(now)
    return AuditItem(
        sort_key=record.entry.sort_key,
        hash=record.hash,
        recorded_at=recorded_at,
        recorded_day=keys.sharded("recorded_day", recorded_at[:10], record.subject),
        recorded_position=f"{recorded_at}#{record.subject}#{record.seq:0{SEQ_DIGITS}}",
        final_form=final_form,
        **record.body(),
    )


def record_to_json(item: AuditItem) -> dict[str, Any]:
    """Return the body of a stored audit record, with its hash."""
    body: dict[str, Any] = {"subject": item.subject, "seq": int(item.seq)}
    for name in ("at", "event_id", "type", "source", "actor"):
        if getattr(item, name) is not None:
            body[name] = getattr(item, name)
    body |= {"user_id": item.user_id, "track": item.track, "transition": item.transition, "previous": item.previous}
    body |= {} if item.facts is None else {"facts": item.facts}
    return {**body, "schema_version": int(item.schema_version), "hash": item.hash}


def stored_record(raw: Item) -> dict[str, Any]:
    """Return what an audit item says, as DynamoDB writes it: the record's body with its key and its time of commit.

    Raises if the item is none that the ledger has written.
    """
    item = AuditItem.from_raw_data(raw)
    return {**record_to_json(item), "sort_key": item.sort_key, "recorded_at": item.recorded_at}


def attributes(model: type[Model], raw: Item) -> dict[str, Any]:
    """Return every attribute of an item as DynamoDB writes it, in JSON types; None for one that it does not have."""
    item = model.from_raw_data(raw)
    values = {name: getattr(item, name) for name in model.get_attributes()}
    return {name: sorted(value) if isinstance(value, set) else value for name, value in values.items()}


# --- progress ---


@dataclass(frozen=True)
class Progress:
    """A user's progress in one project: whether it is unlocked, and which steps are done."""

    unlocked: bool = False
    done: Mapping[str, bool] = field(default_factory=dict)


def progress_from_raw(raw: Item) -> Progress:
    """Return the progress of an item as DynamoDB writes it, or of an empty dict."""
    steps = raw.get("steps", {}).get("M", {})
    done = {step: bool(value.get("M", {}).get("done", {}).get("BOOL", False)) for step, value in steps.items()}
    return Progress(bool(raw.get("unlocked", {}).get("BOOL", False)), done)


def progress_update(user_id: str, track: str, project: str, steps: Iterable[str], change: Change) -> Item:
    """Return the update that locks or unlocks a project. It never changes a step that exists."""
    sets: Mapping[Change, str] = {
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
