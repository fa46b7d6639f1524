"""Asking Stripe what is true: always after loading the payment, always committed on the version loaded.

So an older answer can never overwrite a newer one, and after a conflict a pull is made again, not merged again.
"""

from dataclasses import replace
from typing import Any

from tuition import clock
from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.audit import Entry, Source
from tuition.core.errors import StripeRefused
from tuition.core.facts import NO_FACTS, Facts
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.storage import ledger
from tuition.storage.ledger import Change, PaymentState
from tuition.stripe_gateway import client as stripe_client


def fetch(payment: Payment, *, followed: bool = False) -> tuple[Facts, dict[str, Any]]:
    """All that Stripe knows of a loaded payment now, and its object (for a client secret or an address).

    One call, and one more each for refunds and disputes where there are any. `followed`: somebody spoke of one, so
    both are asked for in any case; of a refund that has failed the charge shows nothing. An object that Stripe no
    longer knows is closed, and empty here.
    """
    retrieve = stripe_client.retrieve_intent if payment.kind == "intent" else stripe_client.retrieve_session
    try:
        answer = retrieve(payment.bound_to)
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        return core_facts.missing_object(payment.kind, int(clock.now())), {}
    stamp = stripe_json.sync_stamp(payment.facts.phase, answer.date)
    if payment.kind == "intent":
        facts = stripe_json.of_intent(answer.object, *stamp)
        intent = answer.object
    else:
        facts = stripe_json.of_session(answer.object, *stamp)
        intent = answer.object.get("payment_intent") or {}
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {}
    return core_facts.merge(facts, _refunds_and_disputes(payment, charge, asked=followed)), answer.object


def fetch_unbound(intent: str | None, session: str | None) -> Facts:
    """What Stripe says of an object that no payment is bound to."""
    if session:
        answer = stripe_client.retrieve_session(session)
        return stripe_json.of_session(answer.object, answer.date)
    if intent:
        answer = stripe_client.retrieve_intent(intent)
        return stripe_json.of_intent(answer.object, answer.date)
    return NO_FACTS


def _refunds_and_disputes(payment: Payment, charge: dict[str, Any], *, asked: bool) -> Facts:
    """Refunds and disputes, asked for only where the charge or we know of one, or somebody spoke of it."""
    intent = charge.get("payment_intent") or payment.intent
    found = Facts()
    if not intent:
        return found
    requested = any(request.state in ("calling", "pending") for request in payment.requests)
    if asked or requested or charge.get("amount_refunded") or payment.facts.refunds:
        for refund in stripe_client.list_refunds(intent):
            found = core_facts.merge(found, stripe_json.of_refund(refund))
    if asked or charge.get("disputed") or payment.facts.disputes:
        for dispute in stripe_client.list_disputes(intent):
            found = core_facts.merge(found, stripe_json.of_dispute(dispute, payment.version))
    return found


def refresh(
    key: PaymentRef,
    before: PaymentState | None = None,
    *,
    told: Facts = NO_FACTS,
    followed: bool = False,
    source: Source = "pull",
) -> tuple[Payment, dict[str, Any]]:
    """Pull a payment and commit what is new; nothing is written where nothing is.

    `told` is merged with the pull, `followed` as in `pull`. Answers the payment, which must exist, and Stripe's object
    as they are now.
    """
    seen: list[dict[str, Any]] = []

    def decide(loaded: PaymentState) -> Change | None:
        payment = loaded.found
        at = timestamps.iso(clock.now())
        facts, obj = fetch(payment, followed=followed)
        seen.append(obj)
        after = payment.merged(facts).merged(told)
        if is_up_to_date(loaded, after):
            return None
        return Change(after, Entry(at, f"pull:{payment.version}", "pull", source))

    loaded = ledger.update(key, decide, before)
    return loaded.found, seen[-1]


def is_up_to_date(loaded: PaymentState, after: Payment) -> bool:
    """Nothing is to be written: payment and enrollment say so already (a restore may have parted them)."""
    return differs_only_in_time(loaded.found, after) and loaded.enrollment.with_payment(after) == loaded.enrollment


def differs_only_in_time(before: Payment, after: Payment) -> bool:
    """The same but for the time at which it was asked."""
    return _without_times(before) == _without_times(after)


def _without_times(payment: Payment) -> Payment:
    facts = payment.facts
    phase = (
        replace(facts.phase, at=0, order=0)
        if facts.phase and payments.status(facts) in payments.OPEN_STATUSES
        else None
    )
    disputes = {key: replace(dispute, stamp=0) for key, dispute in facts.disputes.items()}
    return replace(payment, facts=replace(facts, phase=phase, disputes=disputes))
