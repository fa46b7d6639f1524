"""Sync a payment with Stripe: always after loading it, always committed on the version that was loaded.

So an older answer can never overwrite a newer one: after a conflict Stripe is asked again.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tuition import clock
from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.audit import AuditEntry, Source
from tuition.core.errors import StripeRefused
from tuition.core.facts import NO_FACTS, Facts
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.storage import ledger
from tuition.storage.ledger import Change
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import objects
from tuition.stripe_gateway.objects import StripeObject


def fetch(payment: Payment, *, full: bool = False, declines: bool = False) -> tuple[Facts, dict[str, Any]]:
    """Return what Stripe knows of a loaded payment now, and its object (for a client secret or an address).

    One call, and one more each for refunds and disputes if there are any. `full` lists both in any case, because a
    charge does not show a refund that failed. `declines` lists the charges too if the latest one failed and is new to
    us: the object shows no other, and webhooks may be late. A missing object counts as closed and is returned empty.
    The facts also say whether the answer confirms or contradicts that the payment has settled.
    """
    try:
        answer = StripeObject(payment.kind, payment.stripe_object_id).retrieve()
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        return core_facts.missing_object(payment.kind, int(clock.now())), {}
    stamp = stripe_json.sync_stamp(payment.facts.phase, answer.date)
    stripe_object = StripeObject(payment.kind, payment.stripe_object_id)
    facts = stripe_json.readable(lambda obj: stripe_object.facts(obj, *stamp), answer.object)
    facts = core_facts.merge(facts, confirmation(payment, facts))
    charge = objects.latest_charge(payment.kind, answer.object)
    intent = charge.get("payment_intent") or payment.intent
    if declines and intent and charge.get("status") == "failed" and charge.get("id") not in payment.facts.charges:
        for listed in stripe_client.list_newest_charges(intent):
            facts = core_facts.merge(facts, stripe_json.readable(stripe_json.of_charge, listed))
    return core_facts.merge(facts, _refunds_and_disputes(payment, charge, full=full)), answer.object


def confirmation(payment: Payment, facts: Facts) -> Facts:
    """Return whether the facts of the payment's object, which Stripe showed after the payment was loaded, confirm it.

    Money never leaves an object that settled, so one that is not settled now never was.
    """
    if facts.settled:
        return Facts(confirmed=facts.settled)
    return Facts(contradicted=payment.facts.settled is not None and bool(facts.closed or facts.phase))


def _refunds_and_disputes(payment: Payment, charge: Mapping[str, Any], *, full: bool) -> Facts:
    """List refunds and disputes, unless neither the charge nor the payment has one and `full` is not asked for."""
    facts = Facts()
    intent = charge.get("payment_intent") or payment.intent
    if not intent:
        return facts
    submitted = any(request.state in ("submitting", "pending") for request in payment.requests)
    charge_id = charge.get("id") or payment.stripe_charge_id
    if full or submitted or charge.get("amount_refunded") or payment.facts.refunds:
        for refund in _list_of_payment(stripe_client.list_refunds, intent, charge_id, payment.facts.refunds):
            facts = core_facts.merge(facts, stripe_json.readable(stripe_json.of_refund, refund))
    if full or charge.get("disputed") or payment.facts.disputes:
        for dispute in _list_of_payment(stripe_client.list_disputes, intent, charge_id, payment.facts.disputes):
            read = functools.partial(stripe_json.of_dispute, stamp=payment.version)
            facts = core_facts.merge(facts, stripe_json.readable(read, dispute))
    return facts


def _list_of_payment(
    list_: Callable[..., list[dict[str, Any]]], intent: str, charge: str | None, stored: Iterable[str]
) -> list[dict[str, Any]]:
    """List refunds or disputes by intent, and by charge too if that lacks a stored one: it may name only its charge."""
    listed = list_(payment_intent=intent)
    missing = {*stored} - {obj["id"] for obj in listed}
    return [*listed, *(list_(charge=charge) if missing and charge else ())]


def fetch_unbound(stripe_object: StripeObject | None) -> Facts:
    """Return what Stripe knows of an object that no payment is bound to."""
    if stripe_object is None:
        return NO_FACTS
    answer = stripe_object.retrieve()
    return stripe_object.facts(answer.object, answer.date)


def refresh(
    ref: PaymentRef,
    before: PaymentState | None = None,
    *,
    extra: Facts = NO_FACTS,
    full: bool = False,
    source: Source = "pull",
) -> tuple[Payment, dict[str, Any]]:
    """Sync an existing payment and commit what is new. Return the payment and Stripe's object as they are now.

    Arguments as of `refresh_state`.
    """
    state, obj = refresh_state(ref, before, extra=extra, full=full, source=source)
    return state.existing, obj


def refresh_state(
    ref: PaymentRef,
    before: PaymentState | None = None,
    *,
    extra: Facts = NO_FACTS,
    full: bool = False,
    declines: bool = False,
    source: Source = "pull",
) -> tuple[PaymentState, dict[str, Any]]:
    """Sync an existing payment and commit what is new. Return its state and Stripe's object as they are now.

    Nothing is written if nothing is new. `extra` is merged with what Stripe answers; `full` and `declines` as in
    `fetch`.
    """
    objects_seen: list[dict[str, Any]] = []

    def decide(state: PaymentState) -> Change | None:
        payment = state.existing
        at = timestamps.iso(clock.now())
        facts, obj = fetch(payment, full=full, declines=declines)
        objects_seen.append(obj)
        after = payment.merged(facts).merged(extra)
        if is_up_to_date(state, after):
            return None
        return Change(after, AuditEntry(at, f"pull:{payment.version}", "pull", source))

    state = ledger.update(ref, decide, before)
    return state, objects_seen[-1]


def is_up_to_date(state: PaymentState, after: Payment) -> bool:
    """Whether nothing needs to be written. A restore may have separated a payment from its plan or enrollment."""
    if state.lost_plan or not differs_only_in_time(state.existing, after):
        return False
    then = state.with_payment(after)
    return (then.plan, then.enrollments) == (state.plan, state.enrollments)


def differs_only_in_time(before: Payment, after: Payment) -> bool:
    """Whether two payments are the same but for the time at which Stripe was asked."""
    return _without_times(before) == _without_times(after)


def _without_times(payment: Payment) -> Payment:
    facts = payment.facts
    is_open = payments.status(facts) in payments.OPEN_STATUSES
    phase = replace(facts.phase, at=0, order=0) if facts.phase and is_open else None
    disputes = {dispute_id: replace(dispute, stamp=0) for dispute_id, dispute in facts.disputes.items()}
    return replace(payment, facts=replace(facts, phase=phase, disputes=disputes))
