"""Find the payment that a Stripe object belongs to: by our metadata on the object, or by the pointer from its id."""

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


def metadata(ref: PaymentRef, attempt: int, kind: Kind) -> dict[str, str]:
    """Return the metadata of an intent, of a session and of its `payment_intent_data`. Refunds carry it too."""
    return {
        "app": APP,
        "environment": settings().tuition_environment,
        "payment_id": ref.payment_id,
        "user_id": ref.user_id,
        "track": ref.track,
        "attempt": str(attempt),
        "kind": kind,
    }


def ref_in_metadata(metadata: Mapping[str, Any]) -> PaymentRef | None:
    """Return the payment that metadata names; None if they are another app's or another environment's.

    Raises `EventUnusable` if they are ours and lack an id. The track may be one that is no longer sold: what was
    bought once can be refunded years later.
    """
    if metadata.get("app") != APP or metadata.get("environment") != settings().tuition_environment:
        return None
    return PaymentRef(object_id(metadata, "payment_id"), object_id(metadata, "user_id"), object_id(metadata, "track"))


def ref_of_stripe_object(stripe_id: str | None) -> PaymentRef | None:
    """Return the payment that the pointer from a Stripe id names."""
    pointer = queries.stripe_object(stripe_id) if stripe_id else None
    if pointer and pointer.payment_id and pointer.user_id and pointer.track:
        return PaymentRef(pointer.payment_id, pointer.user_id, pointer.track)
    return None


def ref_of_intent(intent_id: str) -> PaymentRef | None:
    """Return the payment of an intent: by its pointer, else by the metadata that Stripe has of it."""
    by_pointer = ref_of_stripe_object(intent_id)
    return by_pointer or ref_in_metadata(stripe_client.retrieve_intent(intent_id).object.get("metadata") or {})


def find_payment(reference: str, user_id: str | None = None) -> Payment:
    """Read a payment by its own id or its intent's, session's or charge's; with `user_id` only that user's.

    Raises `NotFound`, without asking Stripe.
    """
    if reference.isascii() and len(reference) <= MAX_ID_LENGTH:
        is_stripe_id = reference.startswith(("pi_", "cs_", "ch_", "py_"))
        ref = ref_of_stripe_object(reference) if is_stripe_id else None
        payment_id = ref.payment_id if ref else reference
        if payment_id.startswith("pay_"):
            raw = dynamodb.batch_get({PaymentItem: [keys.payment_key(payment_id)]})[PaymentItem]
            payments = [mapping.payment_from_raw(item) for item in raw]
            if payments and user_id in (None, payments[0].user_id):
                return payments[0]
    raise NotFound("You have no such payment." if user_id else "There is no such payment.")


def find_ref(reference: str, user_id: str | None = None) -> PaymentRef:
    """Return the ids of the payment that `find_payment` finds."""
    return find_payment(reference, user_id).ref
