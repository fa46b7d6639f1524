"""Whose an object is: by the metadata that we put on it at Stripe, by the pointer from its id, by its payment."""

from collections.abc import Mapping
from typing import Any

from tuition.core.errors import NotFound
from tuition.core.facts import Kind
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.core.stripe_json import MAX_ID_LENGTH, object_id
from tuition.settings import settings
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.items import PaymentItem
from tuition.stripe_gateway import client as stripe_client

APP = "tuition"


def metadata(key: PaymentRef, attempt: int, kind: Kind) -> dict[str, str]:
    """What goes on an intent, on a session and on its `payment_intent_data`; refunds carry it too."""
    return {
        "app": APP,
        "environment": settings().tuition_environment,
        "payment_id": key.payment_id,
        "user_id": key.user_id,
        "track": key.track,
        "attempt": str(attempt),
        "kind": kind,
    }


def ref_in_metadata(found: Mapping[str, Any]) -> PaymentRef | None:
    """The payment that metadata names; None where it is another app's or another environment's.

    Raises `EventUnusable` where it says that it is ours and names nothing that can be. The track need not be one that
    is still sold: what was bought once may be refunded years later.
    """
    if found.get("app") != APP or found.get("environment") != settings().tuition_environment:
        return None
    return PaymentRef(object_id(found, "payment_id"), object_id(found, "user_id"), object_id(found, "track"))


def ref_of_stripe_object(stripe_id: str | None) -> PaymentRef | None:
    """The payment that holds the pointer of an object at Stripe."""
    pointer = queries.stripe_object(stripe_id) if stripe_id else None
    if pointer and pointer.payment_id and pointer.user_id and pointer.track:
        return PaymentRef(pointer.payment_id, pointer.user_id, pointer.track)
    return None


def find_payment(reference: str, user_id: str | None = None) -> Payment:
    """The payment that its own id, or that of its intent, session or charge, names; only this user's, if one is given.

    Raises `NotFound`, without asking Stripe.
    """
    if reference.isascii() and len(reference) <= MAX_ID_LENGTH:
        key = ref_of_stripe_object(reference) if reference.startswith(("pi_", "cs_", "ch_", "py_")) else None
        payment_id = key.payment_id if key else reference
        if payment_id.startswith("pay_"):
            stored = dynamodb.batch_get({PaymentItem: [keys.payment_key(payment_id)]})[PaymentItem]
            found = [mapping.payment_from_raw(item) for item in stored]
            if found and user_id in (None, found[0].user_id):
                return found[0]
    raise NotFound("there is no such payment of yours" if user_id else "there is no such payment")


def find_ref(reference: str, user_id: str | None = None) -> PaymentRef:
    """The key of the payment that `find` finds."""
    return find_payment(reference, user_id).ref


def ref_of_intent(intent_id: str) -> PaymentRef | None:
    """The payment of an intent: by its pointer, or where there is none (yet) by asking Stripe for its metadata."""
    return ref_of_stripe_object(intent_id) or ref_in_metadata(
        stripe_client.retrieve_intent(intent_id).object.get("metadata") or {}
    )
