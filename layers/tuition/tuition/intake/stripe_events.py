"""Apply Stripe's events: parse, resolve, merge, record. No handler moves a payment; facts do.

An event is ours if a pointer of ours names one of its ids, or if the metadata that we put on intents and sessions (and
Stripe copies to charges) say so. An event of ours that cannot be applied is quarantined and answered 200. A 5xx is
only for failures that may pass, because Stripe disables endpoints that keep failing.

Source: https://docs.stripe.com/api/events/types
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from tuition import clock, metrics
from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import Conflicted, EventUnusable, StripeRefused, Unavailable
from tuition.core.facts import NO_FACTS, Facts
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.core.stripe_json import integer, object_id, text, timestamp
from tuition.settings import settings, stripe_secret_key
from tuition.storage import ledger, quarantine
from tuition.storage.dynamodb import StorageRefused
from tuition.storage.ledger import Change, StripeObjectTaken
from tuition.stripe_gateway import closing, rebuild, resolve, sync
from tuition.stripe_gateway.objects import StripeObject
from tuition.stripe_gateway.resolve import Expired, Resolved, Subject

API_VERSION = "2026-10-28.endive"
"""The API version that the endpoint is pinned to, the same as the `stripe` package's (a test compares them)."""

Outcome = Literal["applied", "checked", "expired", "foreign", "ignored", "not_found", "quarantined"]
RELEASE_CHECK = "tuition.release_check"
"""The type of the test event that `release_check` signs. Stripe has no such type."""


class EventType(NamedTuple):
    """The subject of a type of events, and how their object is read.

    Without `read` the payment is always synced. `has_refund_total`: the object is a charge whose `amount_refunded` must
    agree with the refunds that we know.
    """

    subject: Subject
    read: Callable[[Mapping[str, Any], int], Facts] | None
    has_refund_total: bool = False

    @property
    def is_about_refund_or_dispute(self) -> bool:
        """Whether refunds and disputes must be listed, because the charge may not show this one."""
        return self.has_refund_total or self.subject in ("refund", "dispute")


_INTENT = EventType("intent", lambda obj, at: stripe_json.of_intent(obj, at))
_SESSION = EventType("session", lambda obj, at: stripe_json.of_session(obj, at))
_FAILED_SESSION = EventType("session", lambda obj, at: stripe_json.failed_session(obj, at))
_CHARGE = EventType("charge", lambda obj, _at: stripe_json.of_charge(obj))
_REFUND = EventType("refund", lambda obj, _at: stripe_json.of_refund(obj))
_DISPUTE = EventType("dispute", None)
_FRAUD_WARNING = EventType("fraud_warning", lambda obj, _at: stripe_json.of_fraud_warning(obj))

EVENT_TYPES: Mapping[str, EventType] = {
    "payment_intent.created": _INTENT,
    "payment_intent.processing": _INTENT,
    "payment_intent.requires_action": _INTENT,
    "payment_intent.succeeded": _INTENT,
    "payment_intent.payment_failed": _INTENT,
    "payment_intent.canceled": _INTENT,
    "checkout.session.completed": _SESSION,
    "checkout.session.expired": _SESSION,
    "checkout.session.async_payment_succeeded": _SESSION,
    "checkout.session.async_payment_failed": _FAILED_SESSION,
    "charge.succeeded": _CHARGE,
    "charge.failed": _CHARGE,
    "charge.updated": _CHARGE,
    "charge.refunded": _CHARGE._replace(has_refund_total=True),
    "refund.created": _REFUND,
    "refund.updated": _REFUND,
    "refund.failed": _REFUND,
    "charge.dispute.created": _DISPUTE,
    "charge.dispute.updated": _DISPUTE,
    "charge.dispute.closed": _DISPUTE,
    "charge.dispute.funds_withdrawn": _DISPUTE,
    "charge.dispute.funds_reinstated": _DISPUTE,
    "radar.early_fraud_warning.created": _FRAUD_WARNING,
}
"""Every event type about a payment."""
METHOD_EVENT_TYPES = frozenset(
    {
        *("setup_intent.succeeded", "setup_intent.setup_failed", "mandate.updated", "customer.deleted"),
        *("payment_method.automatically_updated", "payment_method.detached"),
    }
)
"""The event types about payment methods, which concern payment plans only."""
SUBSCRIBED = METHOD_EVENT_TYPES | EVENT_TYPES.keys()
"""Every event type that is applied. All others are ignored."""


class ParsedEvent(NamedTuple):
    """A parsed event. If the payment must be synced (`needs_sync`), `facts` are empty.

    The exception is a dispute without an intent. Its facts have stamp 0, so that every sync outranks them: they make
    the sync look for the dispute under its charge.
    """

    event_id: str
    type: str
    at: int
    obj: Mapping[str, Any]
    facts: Facts = NO_FACTS
    intent: str | None = None
    session: str | None = None
    charge: str | None = None
    refunded_total: int | None = None
    needs_sync: bool = False

    @property
    def event_type(self) -> EventType:
        """The row of `EVENT_TYPES`."""
        return EVENT_TYPES[self.type]

    @property
    def entry(self) -> AuditEntry:
        """The audit entry of the event, at Stripe's time."""
        return AuditEntry(timestamps.iso(self.at), self.event_id, self.type, "webhook")

    @property
    def stripe_object(self) -> StripeObject | None:
        """The session or intent that the event is about."""
        if self.session:
            return StripeObject("checkout", self.session)
        return StripeObject("intent", self.intent) if self.intent else None

    @property
    def shows_money(self) -> bool:
        """Whether it shows, or may show, that money has moved: then a missing payment is rebuilt."""
        paid = any(charge.status == "succeeded" for charge in self.facts.charges.values())
        moved = self.facts.settled is not None or bool(self.facts.refunds) or bool(self.facts.fraud_warnings)
        return self.needs_sync or paid or moved


def apply(event: object) -> Outcome:
    """Apply one verified event. Raises only failures that may pass (`Unavailable`)."""
    if not isinstance(event, Mapping):
        return "ignored"
    if event.get("type") == RELEASE_CHECK:
        return _check(event)
    try:
        return _apply(event)
    except (EventUnusable, StripeObjectTaken, StripeRefused, StorageRefused) as error:
        quarantine.add(event, str(error))
        return "quarantined"


def _apply(event: Mapping[str, Any]) -> Outcome:
    if event.get("livemode") is not settings().stripe_livemode:
        _count_if_misrouted(event)
        return "foreign"
    if str(event.get("type")) in METHOD_EVENT_TYPES:
        from tuition.intake import plan_events  # most events are about payments

        return plan_events.apply(event).outcome
    if str(event.get("type")) not in EVENT_TYPES:
        return "ignored"
    resolved = _resolve(_outline(event))
    if resolved is None:
        return "foreign"
    if isinstance(resolved, Expired):
        metrics.count("ExpiredEvent")
        return "expired"
    ref, parsed = resolved.ref, parse(event)
    parsed = parsed._replace(intent=parsed.intent or resolved.intent)
    state = ledger.update(ref, lambda before: _decide(parsed, ref, before), resolved.state)
    if state.payment is None:
        return "not_found"
    if closing.must_close(state):
        closing.close(ref, state)
    elif closing.wait_after_declines(state.limits):
        closing.close_after_declines(state.enrollment)  # a late event of one payment, while another is open
    if payments.refunds_without_credit_note(state.payment):
        from tuition.payments import credit_notes

        credit_notes.try_to_issue(ref, state.payment, "webhook")
    return "applied"


def _check(event: Mapping[str, Any]) -> Outcome:
    """Do everything that an event needs before its commit: read the key, parse, and load the payment. Write nothing.

    Raises `EventUnusable` or `Unavailable`. Only a holder of the signing secret can send the event. The answer tells
    nothing but that this version works.
    """
    stripe_secret_key()
    paid = {**event, "type": "payment_intent.succeeded"}
    resolved, parsed = _resolve(_outline(paid)), parse(paid)
    if not isinstance(resolved, Resolved) or resolved.state is None or parsed.facts.settled is None:
        raise EventUnusable("The test event does not describe a paid payment of this stack.")
    return "checked"


def _count_if_misrouted(event: Mapping[str, Any]) -> None:
    """Count a foreign event that carries our app and environment: its endpoint or its key is of another deployment."""
    data = event.get("data")
    obj = data.get("object") if isinstance(data, Mapping) else None
    if isinstance(obj, Mapping) and resolve.is_of_our_environment(obj.get("metadata")):
        metrics.count("MisroutedEvent")


# --- parsing ---


def parse(event: Mapping[str, Any]) -> ParsedEvent:
    """Read an event of one of our types as facts. Raises `EventUnusable` for a shape that Stripe does not have."""
    outline = _outline(event)
    event_type = outline.event_type
    if event_type.subject == "session":
        outline = outline._replace(session=object_id(outline.obj, "id"))
    if outline.needs_sync or event_type.read is None:
        by_charge = event_type.subject == "dispute" and outline.intent is None
        return outline._replace(facts=stripe_json.of_dispute(outline.obj, 0)) if by_charge else outline
    total = integer(outline.obj, "amount_refunded") if event_type.has_refund_total else None
    return outline._replace(facts=event_type.read(outline.obj, outline.at), refunded_total=total)


def _outline(event: Mapping[str, Any]) -> ParsedEvent:
    """Read what every event has, and which intent and charge it is about. A foreign event is read no further."""
    data = event.get("data")
    obj = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(obj, Mapping):
        raise EventUnusable("event.data.object should be an object")
    type_, at = text(event, "type"), timestamp(event, "created")
    event_type = EVENT_TYPES[type_]
    if event_type.subject == "intent":
        object_id(obj, "id")
    ids = resolve.ids_of(obj, event_type.subject)
    needs_sync = event.get("api_version") != API_VERSION or event_type.read is None
    return ParsedEvent(
        object_id(event, "id"), type_, at, obj, intent=ids.intent, charge=ids.charge, needs_sync=needs_sync
    )


# --- resolving ---


def resolve_event(event: Mapping[str, Any]) -> PaymentRef | None:
    """Return the payment that an event is about; None if it is foreign or expired. Raises `EventUnusable`."""
    resolved = _resolve(_outline(event))
    return resolved.ref if isinstance(resolved, Resolved) else None


def audit_entry(event: Mapping[str, Any]) -> AuditEntry:
    """Return the audit entry of an event."""
    return _outline(event).entry


def is_about_refund_or_dispute(event: Mapping[str, Any]) -> bool:
    """Whether an event is about a refund or a dispute, of which the charge may show nothing."""
    return _outline(event).event_type.is_about_refund_or_dispute


def facts_beside_intent(event: Mapping[str, Any]) -> Facts:
    """Return the facts of an event that a sync by intent does not show until they are among the payment's facts.

    These are the facts about a fraud warning, and about a refund or dispute that names only its charge.
    """
    outline = _outline(event)
    subject = outline.event_type.subject
    by_charge = subject in ("refund", "dispute") and not outline.intent
    return parse(event).facts if by_charge or subject == "fraud_warning" else NO_FACTS


def _resolve(event: ParsedEvent) -> Resolved | Expired | None:
    return resolve.resolve_or_expired(event.obj, event.event_type.subject)


# --- deciding ---


def _decide(event: ParsedEvent, ref: PaymentRef, before: PaymentState) -> Change | None:
    payment = before.payment
    if payment is None:
        if not event.shows_money:
            return None
        change = rebuild.change(ref, before, _object_to_rebuild_from(event), event.entry)
        return change and change._replace(payment=change.payment.merged(event.facts))
    if payment.ref != ref:
        raise EventUnusable(f"its metadata and {ref.payment_id} name different users or tracks")
    if event.session is None and payment.intent is None:
        payment = _synced(event, payment, payment)  # only the session says which intent is its own
    if not _is_about_own_object(event, payment):
        return _claim(event, payment)
    after = payment.merged(event.facts)
    if event.needs_sync or _is_ambiguous(event, payment) or _total_disagrees(event, after):
        after = _synced(event, payment if event.stripe_object else after, after)
    return Change(after, event.entry)


def _object_to_rebuild_from(event: ParsedEvent) -> StripeObject | None:
    """Return the event's session or intent; that of a refund or dispute that names neither is its charge's."""
    if event.stripe_object or event.charge is None:
        return event.stripe_object
    intent = resolve.intent_of_charge(event.charge)
    return StripeObject("intent", intent) if intent else None


def _synced(event: ParsedEvent, before: Payment, payment: Payment) -> Payment:
    """Return a payment merged with what Stripe says now. Raises `EventUnusable` if its object is missing at Stripe."""
    facts, _ = sync.fetch(before, full=event.event_type.is_about_refund_or_dispute)
    if facts.missing_at_stripe:
        raise EventUnusable(f"{before.stripe_object_id} is missing at Stripe, and the event may be about it")
    return payment.merged(facts)


def _is_about_own_object(event: ParsedEvent, payment: Payment) -> bool:
    """Whether the event is about the one object that the payment is bound to."""
    if event.session:
        return event.session == payment.stripe_object_id
    if event.intent is None:
        return event.charge in payment.facts.charges
    return event.intent is not None and event.intent == payment.intent


def _claim(event: ParsedEvent, payment: Payment) -> Change | None:
    """Record another object that was paid in this payment's name, for staff to review. Nothing else changes."""
    settled = (sync.fetch_unbound(event.stripe_object) if event.needs_sync else event.facts).settled
    if settled is None:
        return None
    claims = Facts(claims={event.session or event.intent or event.event_id: settled})
    return Change(payment.merged(claims), event.entry)


def _is_ambiguous(event: ParsedEvent, payment: Payment) -> bool:
    """Whether two phases, or two failures, have the same second: only Stripe knows which came last.

    A complete session looks as if its bank were deciding while it still waits for the student to confirm a deposit.
    """
    new, stored = event.facts.phase, payment.facts.phase
    if new is None or stored is None or not payment.open:
        return False
    if new.name != stored.name and (new.verify_by or stored.verify_by):
        return True
    return new.at == stored.at and (new.name, new.code, new.message) != (stored.name, stored.code, stored.message)


def _total_disagrees(event: ParsedEvent, after: Payment) -> bool:
    """Whether the total of charge.refunded, which lists no refunds, differs from the sum of those that we know."""
    return event.refunded_total is not None and event.refunded_total != payments.refunded_amount(after.facts)


# --- replaying ---


def replay(event_id: str, staff: str | None = None) -> Outcome:
    """Try a quarantined event again, and remove it from the quarantine once it is applied.

    A replay by staff is recorded on their own chain, because the event's record is the event's own. Raises `NotFound`,
    or `Conflicted` for an event that was discarded.
    """
    item = quarantine.read(event_id)
    if item.event is None:
        raise Conflicted("This event was discarded, so there is nothing left to try again.")
    if staff:
        entry = AuditEntry(timestamps.iso(clock.now()), f"replay:{event_id}", "event.replayed", "staff", staff)
        ledger.record_for_user(staff, entry, {"replay": event_id})
    event = json.loads(item.event)
    try:
        outcome = apply(event)
    except Unavailable:
        raise
    except Exception as error:
        quarantine.add(event, str(error))  # one more try, so that other events have their turn first
        raise
    if outcome != "quarantined":
        quarantine.remove(event_id)
    return outcome


def discard(event_id: str, note: str, staff: str) -> None:
    """Discard a quarantined event: its payload goes and it is not tried again, with a record on the author's own chain.

    Raises `NotFound`. An event that was discarded before stays as it is.
    """
    if quarantine.read(event_id).discarded:
        return
    entry = AuditEntry(timestamps.iso(clock.now()), f"discard:{event_id}", "event.discarded", "staff", staff)
    ledger.record_for_user(staff, entry, {"discard": event_id})
    quarantine.discard(event_id, note, staff)
