"""A payment of ours whose item is missing: made anew from what Stripe shows, never from an event's own body."""

from typing import Any

from tuition import clock
from tuition.core import catalog, stripe_json, timestamps
from tuition.core import facts as core_facts
from tuition.core.audit import Entry
from tuition.core.errors import EventUnusable
from tuition.core.facts import Facts
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.storage import queries
from tuition.storage.ledger import Change, PaymentState
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import sync
from tuition.stripe_gateway.resolve import ref_in_metadata


def from_stripe(key: PaymentRef, intent: str | None, session: str | None) -> Payment | None:
    """The payment of a settled object, for a person to look at; None where nothing is settled.

    Its price is the catalog's, less what Stripe took off a session by a code, so that an amount that differs shows.
    Whatever is not settled is left alone: a create may be about to commit it, and the reconciler closes what stays
    behind.
    """
    if not session and not intent:
        raise EventUnusable("it names neither an intent nor a session")
    answer = stripe_client.retrieve_session(session) if session else stripe_client.retrieve_intent(str(intent))
    found = answer.object.get("metadata") or {}
    if ref_in_metadata(found) != key:
        raise EventUnusable(f"the object at Stripe does not name {key.payment_id}")
    if not session and found.get("kind") == "checkout" and intent:
        session = stripe_client.find_session_of_intent(intent)
        if session is None:
            raise EventUnusable(f"{intent} says that it is of a Checkout Session, and Stripe lists none")
        answer = stripe_client.retrieve_session(session)
    read = stripe_json.of_session if session else stripe_json.of_intent
    facts = read(answer.object, answer.date)
    if facts.settled is None:
        return None
    payment = _payment(key, found, answer.object, session, facts)
    return payment.merged(sync.fetch(payment, followed=True)[0])


def change(
    key: PaymentRef, loaded: PaymentState, intent: str | None, session: str | None, entry: Entry
) -> Change | None:
    """The payment that is not there, made anew; None where it is there, or not settled."""
    made = None if loaded.payment else from_stripe(key, intent, session)
    return Change(made, entry) if made else None


def _payment(key: PaymentRef, found: dict[str, Any], obj: dict[str, Any], session: str | None, facts: Facts) -> Payment:
    attempt = found.get("attempt", "")
    if not (attempt.isascii() and attempt.isdigit() and len(attempt) < 9):
        raise EventUnusable("its metadata has no attempt")
    track = catalog.tracks().get(key.track)
    if track is None:
        raise EventUnusable(f"its metadata names the track {key.track[:40]!r}, which has no price here")
    trail = queries.audit_trail(key.payment_id)  # where that is still there its chain goes on
    return Payment(
        payment_id=key.payment_id,
        user_id=key.user_id,
        track=key.track,
        kind="checkout" if session else "intent",
        attempt=int(attempt),
        bound_to=obj["id"],
        price=_price(track.price, obj),
        created_at=timestamps.iso(obj["created"]),
        updated_at=timestamps.iso(clock.now()),
        version=int(trail[-1]["seq"]) if trail else 0,
        audit_head=trail[-1]["hash"] if trail else "",
    ).merged(core_facts.merge(facts, Facts(rebuilt=True)))


def _price(listed: Money, obj: dict[str, Any]) -> Money:
    """What was asked: by a session for this price with a code that is what is left of it, else the catalog's."""
    if (obj.get("amount_subtotal"), obj.get("currency")) != (listed.amount, listed.currency):
        return listed
    return Money(listed.amount - stripe_json.integer(obj["total_details"], "amount_discount"), listed.currency)
