"""What a Stripe event becomes: read, placed, merged, recorded. No handler moves a payment; facts do.

An event is ours when the metadata that we put on intents and sessions (and Stripe copies to charges) says so, or
when its intent leads to a payment of ours. One that is ours and cannot be applied is kept in quarantine and
answered 200: 5xx is only for what may pass by itself, since Stripe switches off endpoints that keep failing.

Source: https://docs.stripe.com/api/events/types
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tuition import clock
from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.audit import Entry
from tuition.core.errors import EventUnusable, StripeRefused
from tuition.core.facts import Facts
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.core.stripe_json import integer, object_id, optional_id, text, timestamp
from tuition.settings import settings
from tuition.storage import ledger, quarantine
from tuition.storage.ledger import Change, PaymentState, StripeObjectTaken
from tuition.stripe_gateway import closing, rebuild, sync
from tuition.stripe_gateway.resolve import ref_in_metadata, ref_of_intent, ref_of_stripe_object

API_VERSION = "2026-10-28.endive"
"""The version that the endpoint is pinned to; `stripe` pins the same (a test holds them together)."""

EVENT_TYPES = frozenset(
    {f"payment_intent.{x}" for x in ("created", "processing", "requires_action", "succeeded", "canceled")}
    | {"payment_intent.payment_failed"}
    | {f"charge.{x}" for x in ("succeeded", "failed", "updated", "refunded")}
    | {f"refund.{x}" for x in ("created", "updated", "failed")}
    | {f"charge.dispute.{x}" for x in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")}
    | {f"checkout.session.{x}" for x in ("completed", "expired", "async_payment_succeeded", "async_payment_failed")}
)

Outcome = Literal["applied", "foreign", "ignored", "left", "quarantined"]


@dataclass(frozen=True)
class ParsedEvent:
    """An event, read. `facts` are empty where the object must be pulled (`pull`)."""

    event_id: str
    type: str
    at: int
    obj: Mapping[str, Any]
    facts: Facts = field(default_factory=Facts)
    intent: str | None = None
    session: str | None = None
    refunded_total: int | None = None
    pull: bool = False

    @property
    def entry(self) -> Entry:
        """The record that it leaves when it is applied, at Stripe's time."""
        return Entry(timestamps.iso(self.at), self.event_id, self.type, "webhook")

    @property
    def shows_money(self) -> bool:
        """It says, or may say, that money has moved: reason enough to rebuild a payment that is missing."""
        paid = any(charge.status == "succeeded" for charge in self.facts.charges.values())
        return self.pull or paid or self.facts.settled is not None or bool(self.facts.refunds)


def apply(event: object) -> Outcome:
    """Apply one verified event. Raises only what may pass by itself (`Unavailable` and failures of AWS)."""
    if not isinstance(event, Mapping):
        return "ignored"
    try:
        return _apply(event)
    except (EventUnusable, StripeObjectTaken, StripeRefused) as error:
        quarantine.add(event, str(error))
        return "quarantined"


def _apply(event: Mapping[str, Any]) -> Outcome:
    if event.get("livemode") is not settings().stripe_livemode:
        return "foreign"
    if str(event.get("type")) not in EVENT_TYPES:
        return "ignored"
    key = _resolve(_outline(event))
    if key is None:
        return "foreign"
    notice = parse(event)
    loaded = ledger.update(key, lambda before: _decide(notice, key, before))
    if loaded.payment is None:
        return "left"
    if closing.must_close(loaded.payment):
        closing.close(key)
    return "applied"


# --- reading ---


def parse(event: Mapping[str, Any]) -> ParsedEvent:
    """The event as facts. Raises `EventUnusable` where a shape is not Stripe's."""
    return _with_object(_outline(event))


def _outline(event: Mapping[str, Any]) -> ParsedEvent:
    """What any event has, and which intent it is about: enough to place it. What is foreign is read no further."""
    data = event.get("data")
    obj = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(obj, Mapping):
        raise EventUnusable("event.data.object should be an object")
    type_, at = text(event, "type"), timestamp(event, "created")
    own = type_.startswith("payment_intent.")
    intent = object_id(obj, "id") if own else optional_id(obj, "payment_intent")
    pull = event.get("api_version") != API_VERSION or type_.startswith("charge.dispute.")
    return ParsedEvent(object_id(event, "id"), type_, at, obj, intent=intent, pull=pull)


def _with_object(notice: ParsedEvent) -> ParsedEvent:
    obj, at, kind = notice.obj, notice.at, notice.type.rpartition(".")[0]
    if kind == "checkout.session":
        notice = replace(notice, session=object_id(obj, "id"))
    if notice.pull:
        return notice
    if kind == "checkout.session":
        failed = notice.type.endswith("async_payment_failed")
        return replace(notice, facts=(stripe_json.failed_session if failed else stripe_json.of_session)(obj, at))
    if kind == "payment_intent":
        return replace(notice, facts=stripe_json.of_intent(obj, at))
    if kind == "refund":
        return replace(notice, facts=stripe_json.of_refund(obj))
    total = integer(obj, "amount_refunded") if notice.type == "charge.refunded" else None
    return replace(notice, facts=stripe_json.of_charge(obj), refunded_total=total)


def is_about_refund_or_dispute(type_: str) -> bool:
    """An event of this type is about a refund or a dispute, of which the charge may say nothing."""
    return "refund" in type_ or "dispute" in type_


# --- placing ---


def resolve_event(event: Mapping[str, Any]) -> PaymentRef | None:
    """The payment that an event is about; None where it is none of ours. Raises `EventUnusable`."""
    return _resolve(_outline(event))


def audit_entry(event: Mapping[str, Any]) -> Entry:
    """The record that an event leaves when it is applied."""
    return _outline(event).entry


def _resolve(notice: ParsedEvent) -> PaymentRef | None:
    """The payment that an event is about.

    Refunds and disputes belong to their intent's, whatever their own metadata say: anybody may have made them. The
    others carry our metadata; where somebody has altered those, the pointer from their id still knows.
    """
    if notice.type.startswith(("refund.", "charge.dispute.")):
        return ref_of_intent(notice.intent) if notice.intent else None
    metadata = notice.obj.get("metadata")
    named = ref_in_metadata(metadata) if isinstance(metadata, Mapping) else None
    return named or ref_of_stripe_object(optional_id(notice.obj, "id") if notice.intent is None else notice.intent)


# --- deciding ---


def _decide(notice: ParsedEvent, key: PaymentRef, before: PaymentState) -> Change | None:
    payment = before.payment
    if payment is None:
        rebuilt = rebuild.from_stripe(key, notice.intent, notice.session) if notice.shows_money else None
        return Change(rebuilt.merged(notice.facts), notice.entry) if rebuilt else None
    if (payment.user_id, payment.track) != (key.user_id, key.track):
        raise EventUnusable(f"its metadata and {key.payment_id} name different users or tracks")
    if notice.session is None and payment.intent is None:
        payment = _synced(notice, payment, payment)  # which intent is its own, only its session can say
    if not _is_about_own_object(notice, payment):
        return _claim(notice, payment)
    after = payment.merged(notice.facts)
    if notice.pull or _is_ambiguous(notice, payment) or _total_disagrees(notice, after):
        after = _synced(notice, payment, after)
    return Change(after, notice.entry)


def _synced(notice: ParsedEvent, before: Payment, payment: Payment) -> Payment:
    """Merged with what Stripe says now. Raises `EventUnusable` where it tells of what it says it does not know."""
    facts, _ = sync.fetch(before, followed=is_about_refund_or_dispute(notice.type))
    if facts.gone:
        raise EventUnusable(f"Stripe does not know {before.bound_to}, and this may be of it")
    return payment.merged(facts)


def _is_about_own_object(notice: ParsedEvent, payment: Payment) -> bool:
    """It tells of the one object that the payment is bound to."""
    if notice.session:
        return notice.session == payment.bound_to
    return notice.intent is not None and notice.intent == payment.intent


def _claim(notice: ParsedEvent, payment: Payment) -> Change | None:
    """Another object settled in this payment's name: nothing of the payment changes, and a person must look."""
    settled = (sync.fetch_unbound(notice.intent, notice.session) if notice.pull else notice.facts).settled
    if settled is None:
        return None
    claims = Facts(claims={notice.session or notice.intent or notice.event_id: settled})
    return Change(payment.merged(claims), notice.entry)


def _is_ambiguous(notice: ParsedEvent, payment: Payment) -> bool:
    """Two phases of one second, or two reasons of one: which came last, only Stripe knows."""
    told, known = notice.facts.phase, payment.facts.phase
    if told is None or known is None or not payment.open:
        return False
    return told.at == known.at and (told.name, told.code, told.message) != (known.name, known.code, known.message)


def _total_disagrees(notice: ParsedEvent, after: Payment) -> bool:
    """charge.refunded carries a total and no list: a reason to ask, when the refunds that we know do not add up."""
    return notice.refunded_total is not None and notice.refunded_total != payments.refunded_amount(after.facts)


def replay(event_id: str, staff: str | None = None) -> Outcome:
    """Try a quarantined event again; what is applied (or was) leaves the quarantine. Raises `NotFound`.

    `staff`: who asks for it; it is on their own chain, since the record that the event leaves is the event's.
    """
    kept = quarantine.read(event_id)
    if staff:
        asked = Entry(timestamps.iso(clock.now()), f"replay:{event_id}", "event.replayed", "staff", staff)
        ledger.record_for_user(staff, asked, {"replay": event_id})
    outcome = apply(json.loads(kept.event))
    if outcome != "quarantined":
        quarantine.remove(event_id)
    return outcome
