"""Rebuild a payment whose item is missing, from what Stripe shows and never from an event's own body."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuition import clock
from tuition.core import catalog, promotion_rules, stripe_json, timestamps
from tuition.core import facts as core_facts
from tuition.core.audit import WITHDRAWN_RECORD, AuditEntry
from tuition.core.errors import EventUnusable
from tuition.core.facts import Agreement, Decision, Facts, Withdrawal
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import PlanFacts
from tuition.core.plan_terms import PlanTerms
from tuition.core.refs import PaymentRef, is_plan
from tuition.core.stored import read
from tuition.core.stripe_json import optional_id
from tuition.storage import ledger, queries
from tuition.storage.ledger import Change, PlanChange
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import sync
from tuition.stripe_gateway.objects import StripeObject
from tuition.stripe_gateway.resolve import ref_in_metadata

NOTE_LOST = "The note was lost. This decision comes from the audit trail."


def from_stripe(ref: PaymentRef, stripe_object: StripeObject | None) -> Payment | None:
    """Return the payment of a settled object, for staff to review; None if the object is not settled.

    Its price is the catalog's, less what a promotion code took off a session, so that a different amount is noticed.
    An object that is not settled is left alone: a create may be about to commit it, and the reconciler closes it
    otherwise. A payment that was deleted after its retention period stays deleted. Raises `EventUnusable`.
    """
    if queries.expired([ref.payment_id]):
        return None
    if stripe_object is None:
        raise EventUnusable("the event names neither an intent nor a session")
    answer = stripe_object.retrieve()
    metadata = answer.object.get("metadata") or {}
    if ref_in_metadata(metadata) != ref:
        raise EventUnusable(f"the object at Stripe does not name {ref.payment_id}")
    if stripe_object.kind == "intent" and metadata.get("kind") == "checkout":
        stripe_object = _session_of(stripe_object)
        answer = stripe_object.retrieve()
    facts = stripe_object.facts(answer.object, answer.date)
    if facts.settled is None:
        return None
    payment = _payment(ref, metadata, answer.object, stripe_object, facts)
    return payment.merged(sync.fetch(payment, full=True)[0])


def _session_of(intent: StripeObject) -> StripeObject:
    session = stripe_client.find_session_of_intent(intent.id)
    if session is None:
        raise EventUnusable(f"{intent.id} says that it belongs to a Checkout Session, but Stripe lists none")
    return StripeObject("checkout", session)


def change(
    ref: PaymentRef, state: PaymentState, stripe_object: StripeObject | None, entry: AuditEntry
) -> Change | None:
    """Return the change that rebuilds a missing payment; None if it exists or its object is not settled."""
    payment = None if state.payment else from_stripe(ref, stripe_object)
    if payment is None:
        return None
    if payment.plan is None:
        return Change(payment, entry)
    return Change(payment, entry, _rebuilt_plan(payment, stripe_object, entry))


def _rebuilt_plan(payment: Payment, stripe_object: StripeObject | None, entry: AuditEntry) -> PlanChange | None:
    """Return the plan of a rebuilt payment, with the terms that Stripe has of it, if neither it nor its records exist.

    None if the ledger finds it. Its student agreed to these terms, so no catalog of today changes them.
    """
    if stripe_object is None or payment.plan is None or ledger.find_plan(payment.plan):
        return None
    metadata = stripe_object.retrieve().object.get("metadata") or {}
    plan = Plan(
        plan_id=payment.plan,
        user_id=payment.user_id,
        track=payment.track,
        membership=payment.membership,
        attempt=_count(metadata, "plan_attempt"),
        terms=_terms(metadata, int(timestamps.epoch(payment.created_at))),
        created_at=payment.created_at,
        updated_at=payment.updated_at,
        facts=PlanFacts(rebuilt=True),
    )
    rebuilt = replace(entry, event_id=f"rebuilt:{payment.payment_id}", type="plan.rebuilt")
    return PlanChange(plan, rebuilt)


def _terms(metadata: Mapping[str, Any], agreed_at: int) -> PlanTerms:
    """Return the terms of a plan in metadata. The student agreed to them when the payment was created."""
    try:
        terms = PlanTerms.from_json({**json.loads(metadata["plan_terms"]), "agreed_at": agreed_at})
        terms.require_possible()
        return terms
    except (KeyError, TypeError, ValueError) as error:
        raise EventUnusable("its metadata name a plan, but not its terms") from error


def _count(metadata: Mapping[str, Any], name: str) -> int:
    text = metadata.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise EventUnusable(f"its metadata has no {name}")
    return int(text)


def _covers(metadata: Mapping[str, Any], terms: PlanTerms) -> tuple[int, ...]:
    parts = metadata.get("covers", "").split(",")
    covers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 9]
    if len(covers) != len(parts) or covers != sorted({*covers} & {*terms.seqs}):
        raise EventUnusable("its metadata name a plan, but not what it covers")
    return tuple(covers)


def _terms_of_plan(ref: PaymentRef, plan_id: str, metadata: Mapping[str, Any], created: int) -> PlanTerms:
    """Return the terms of the plan that metadata name: those of our record, if the plan is the same user's."""
    plan = ledger.find_plan(plan_id)
    if not is_plan(plan_id) or (plan and (plan.user_id, plan.product) != (ref.user_id, ref.track)):
        raise EventUnusable(f"its metadata name a plan of another user or track, {plan_id}")
    return plan.terms if plan else _terms(metadata, created)


def _payment(
    ref: PaymentRef, metadata: Mapping[str, Any], obj: Mapping[str, Any], stripe_object: StripeObject, facts: Facts
) -> Payment:
    attempt = _count(metadata, "attempt")
    plan_id = optional_id(metadata, "plan")
    terms = _terms_of_plan(ref, plan_id, metadata, obj["created"]) if plan_id else None
    covers = _covers(metadata, terms) if terms else ()
    price = terms.amount_of(covers) if terms else _catalog_price(ref, obj)
    is_membership = "membership" in metadata
    trail = queries.audit_trail(ref.payment_id)  # if the records still exist, the chain continues after them
    return Payment(
        payment_id=ref.payment_id,
        user_id=ref.user_id,
        track=None if is_membership else ref.track,
        membership=ref.track if is_membership else None,
        plan=plan_id,
        covers=covers,
        kind=stripe_object.kind,
        attempt=attempt,
        stripe_object_id=stripe_object.id,
        price=price,
        created_at=timestamps.iso(obj["created"]),
        updated_at=timestamps.iso(clock.now()),
        first_purchase=_is_first_purchase(obj),
        version=int(trail[-1]["seq"]) if trail else 0,
        audit_head=trail[-1]["hash"] if trail else "",
    ).merged(functools.reduce(core_facts.merge, [facts, Facts(rebuilt=True), *_unknown_to_stripe(trail)]))


def _unknown_to_stripe(trail: Sequence[Mapping[str, Any]]) -> list[Facts]:
    """Return what Stripe does not know: the decisions of staff about access, and what the student declared.

    The notes of staff, and the name and address in a withdrawal, are lost with the item.
    """
    facts = [declared_in(trail)]
    for record in trail:
        kind, _, name = record["type"].partition(".")
        if kind == "decision":
            decision = Decision(int(record["seq"]), name, record["actor"], NOTE_LOST)
            facts.append(Facts(decision=decision, accepted=name == "accept_amount"))
    return facts


def declared_in(trail: Iterable[Mapping[str, Any]]) -> Facts:
    """Return what the student declared, as audit records have it: agreement to the terms, and the first withdrawal.

    The withdrawal is without name and address.
    """
    agreed, times = None, []
    for record in trail:
        agreed = (record.get("facts") or {}).get("agreed") or agreed
        if record["type"] == WITHDRAWN_RECORD:
            times.append(int(timestamps.epoch(record["at"])))
    return Facts(
        agreed=read(Agreement, agreed) if agreed else None, withdrawn=Withdrawal(min(times)) if times else None
    )


def _is_first_purchase(obj: Mapping[str, Any]) -> bool:
    """Whether a session, retrieved with its codes expanded, was made with a code for first purchases only."""
    codes = [discount.get("promotion_code") for discount in obj.get("discounts") or []]
    return any(isinstance(code, Mapping) and promotion_rules.is_for_first_purchase(code) for code in codes)


def _catalog_price(ref: PaymentRef, obj: Mapping[str, Any]) -> Money:
    """Return the catalog's price, less the discount of a session that was made for this price."""
    track = catalog.tracks().get(ref.track)
    if track is None:
        raise EventUnusable(f"its metadata names the track {ref.track[:40]!r}, which has no price here")
    catalog_price = track.price
    if (obj.get("amount_subtotal"), obj.get("currency")) != (catalog_price.amount, catalog_price.currency):
        return catalog_price
    details = obj.get("total_details")
    discount = stripe_json.integer(details, "amount_discount") if isinstance(details, Mapping) else 0
    return Money(catalog_price.amount - discount, catalog_price.currency)
