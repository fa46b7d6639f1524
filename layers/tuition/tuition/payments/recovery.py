"""Recover a user whose open payment is missing from the tables, after a restore to different moments."""

from tuition import clock
from tuition.core import payment as payments
from tuition.core import timestamps
from tuition.core.audit import Entry
from tuition.core.enrollment import Enrollment
from tuition.core.errors import (
    Contended,
    PaymentInProgress,
)
from tuition.core.facts import Kind
from tuition.core.refs import Customer, PaymentRef
from tuition.storage import ledger
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, rebuild, sync

RECOVER_AFTER_S = 60
PROCESSING = "your payment for this track is being processed: wait for its outcome"


def recover(key: PaymentRef, enrollment: Enrollment, customer: Customer | None) -> None:
    """An open payment that is not there: the tables were restored to different moments.

    What Stripe has of it is closed, or was paid and makes it anew; else its enrollment forgets it. Raises
    `PaymentInProgress` while a bank decides, `Contended` where a transaction may be about to show.
    """
    if max(enrollment.begun, default=0) > clock.now() - RECOVER_AFTER_S:
        raise Contended("a payment is being made: try again")
    for kind, object_id in _objects_at_stripe(key, customer.stripe_customer_id) if customer else ():
        if _close_or_rebuild(key, kind, object_id):
            return
    ledger.drop_standing(enrollment, key.payment_id)


def _close_or_rebuild(key: PaymentRef, kind: Kind, object_id: str) -> bool:
    """Close an object whose payment is not there. True: it was paid, and the payment is there again."""
    intent, session = (object_id, None) if kind == "intent" else (None, object_id)
    if payments.status(sync.fetch_unbound(intent, session)) != "PROCESSING":
        closing.close_object(kind, object_id)
    facts = sync.fetch_unbound(intent, session)
    if payments.status(facts) in payments.OPEN_STATUSES:
        raise PaymentInProgress(PROCESSING)
    entry = Entry(timestamps.iso(clock.now()), "pull:0", "rebuilt", "pull")
    return bool(ledger.update(key, lambda loaded: rebuild.change(key, loaded, intent, session, entry)).payment)


def _objects_at_stripe(key: PaymentRef, customer_id: str) -> list[tuple[Kind, str]]:
    """What Stripe has in the name of a payment."""
    intents, sessions = stripe_client.list_intents(customer_id), stripe_client.list_sessions(customer_id)
    named = [obj for obj in (*intents, *sessions) if obj["metadata"].get("payment_id") == key.payment_id]
    found: list[tuple[Kind, str]] = [("checkout", obj["id"]) for obj in named if obj["object"] == "checkout.session"]
    return found or [("intent", obj["id"]) for obj in named]  # the intent of a session is the session's to close
