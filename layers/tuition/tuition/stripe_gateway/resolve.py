"""Find the payment that a Stripe object belongs to: by the pointer from one of its ids, else by our metadata on it.

A pointer is our own record and decides. Anybody with access to Stripe's dashboard can edit metadata, so metadata
decide only where there is no pointer.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from tuition import metrics
from tuition.core.errors import EventUnusable, NotFound
from tuition.core.facts import Kind
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.core.stripe_json import MAX_ID_LENGTH, object_id, optional_id
from tuition.settings import settings
from tuition.storage import dynamodb, keys, ledger, mapping, queries
from tuition.storage.dynamodb import Item
from tuition.storage.items import PaymentItem, StripeObjectItem
from tuition.stripe_gateway import client as stripe_client

if TYPE_CHECKING:
    from tuition.core.plan import Plan

APP = "tuition"
POINTED = ("pi_", "cs_", "ch_", "py_", "re_", "pyr_", "dp_", "du_")
"""The beginnings of the Stripe ids that have a pointer to a payment: intents, sessions, charges, refunds, disputes."""
Subject = Literal["intent", "session", "charge", "refund", "dispute", "fraud_warning"]


class StripeIds(NamedTuple):
    """The ids of the session, intent and charge that a Stripe object is or names."""

    session: str | None
    intent: str | None
    charge: str | None

    def strongest_first(self) -> list[str]:
        """Return the ids that are there, in the order in which their pointers decide."""
        return [stripe_id for stripe_id in (self.session, self.intent, self.charge) if stripe_id]


class Resolved(NamedTuple):
    """The payment that an object belongs to, and its state if the same read has loaded it.

    `intent` is the intent of a refund or dispute that names only its charge, if Stripe had to be asked for it.
    """

    ref: PaymentRef
    state: PaymentState | None = None
    intent: str | None = None


class Expired(NamedTuple):
    """The payment that an object belongs to was deleted, seven years after its money moved last."""

    payment_id: str


def owner_metadata() -> dict[str, str]:
    """Return the metadata of every object that we create at Stripe: our app, environment and stack."""
    stack_id = settings().stack_id
    owner = {"app": APP, "environment": settings().tuition_environment}
    return {**owner, "stack": stack_id} if stack_id else owner


def metadata(
    ref: PaymentRef, attempt: int, kind: Kind, plan: "Plan | None" = None, covers: Sequence[int] = ()
) -> dict[str, str]:
    """Return the metadata of an intent, of a session and of its `payment_intent_data`. Refunds carry it too.

    Those of a payment of a plan have the plan's terms, so that a restore can lose no plan that was paid. They leave out
    when the student agreed: a retry of the same request has the same metadata, as Stripe demands of the same key.
    """
    of_plan = {}
    if plan:
        terms = json.dumps(_without_time(plan.terms.to_json()), separators=(",", ":"))
        of_plan = {"plan": plan.plan_id, "plan_attempt": str(plan.attempt), "plan_terms": terms}
        of_plan["covers"] = ",".join(map(str, covers))
    return {
        **owner_metadata(),
        "payment_id": ref.payment_id,
        "user_id": ref.user_id,
        "membership" if plan and plan.membership else "track": ref.track,
        "attempt": str(attempt),
        "kind": kind,
        **of_plan,
    }


def _without_time(terms: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in terms.items() if name != "agreed_at"}


def ref_in_metadata(metadata: Mapping[str, Any]) -> PaymentRef | None:
    """Return the payment that metadata names; None if they are another app's, another environment's or stack's.

    Raises `EventUnusable` if they are ours and lack an id. The track may be one that is no longer sold: what was
    bought once can be refunded years later.
    """
    if not is_ours(metadata):
        return None
    product = "membership" if "membership" in metadata else "track"
    return PaymentRef(object_id(metadata, "payment_id"), object_id(metadata, "user_id"), object_id(metadata, product))


def is_ours(metadata: object) -> bool:
    """Whether metadata carry our app and environment, and no other stack's id."""
    return isinstance(metadata, Mapping) and is_of_our_environment(metadata) and not _is_of_another_stack(metadata)


def is_of_our_environment(metadata: object) -> bool:
    """Whether metadata carry our app and environment."""
    if not isinstance(metadata, Mapping):
        return False
    return metadata.get("app") == APP and metadata.get("environment") == settings().tuition_environment


def _is_of_another_stack(metadata: Mapping[str, Any]) -> bool:
    """Whether metadata carry another stack's id. Metadata without an id are ours; a stack without one checks none."""
    stack_id = metadata.get("stack")
    return bool(stack_id and settings().stack_id) and stack_id != settings().stack_id


def _ref_or_count(metadata: object) -> PaymentRef | None:
    """Return the payment that metadata name, and count an object of our environment that is another stack's."""
    ref = ref_in_metadata(metadata) if isinstance(metadata, Mapping) else None
    if ref is None and is_of_our_environment(metadata):
        metrics.count("MisroutedEvent")
    return ref


def ids_of(obj: Mapping[str, Any], subject: Subject) -> StripeIds:
    """Return the ids that an object is or names. Raises `EventUnusable` for a value that cannot be an id."""
    charge = None
    if subject in ("charge", "refund", "dispute", "fraud_warning"):
        charge = optional_id(obj, "id" if subject == "charge" else "charge")
    return StripeIds(
        session=optional_id(obj, "id") if subject == "session" else None,
        intent=optional_id(obj, "id" if subject == "intent" else "payment_intent"),
        charge=charge,
    )


def resolve(obj: Mapping[str, Any], subject: Subject) -> Resolved | None:
    """Return the payment that an object belongs to; None if it is foreign or expired. Raises `EventUnusable`."""
    resolved = resolve_or_expired(obj, subject)
    return None if isinstance(resolved, Expired) else resolved


def resolve_or_expired(obj: Mapping[str, Any], subject: Subject) -> Resolved | Expired | None:
    """Return the payment that an object belongs to, or that was deleted; None if it is foreign. Raises `EventUnusable`.

    One batch read takes the pointers of the object's ids and the payment that its metadata name. The metadata of a
    refund or dispute never decide, because anybody who makes a refund writes them. Without a pointer, Stripe is asked
    for its intent or charge.
    """
    metadata = obj.get("metadata")
    stripe_ids = ids_of(obj, subject)
    named = _complete_ref(metadata)
    if named:
        state, by_id = ledger.load_with_pointers(named, stripe_ids.strongest_first())
        pointers = [by_id.get(stripe_id) for stripe_id in stripe_ids.strongest_first()]
    else:
        state, pointers = None, _pointers(stripe_ids.strongest_first())
    owner = _first_ref(pointers)
    if owner:
        return Resolved(owner, state if owner == named else None)
    expired = [pointer.payment_id for pointer in pointers if pointer and pointer.state == ledger.EXPIRED]
    if expired:
        return _expired_or_restored(str(expired[0]))
    if subject in ("refund", "dispute", "fraud_warning"):
        return _resolve_at_stripe(stripe_ids)
    owner = _ref_or_count(metadata)
    return Resolved(owner, state) if owner else None


def _expired_or_restored(payment_id: str) -> Resolved | Expired:
    """Return that a payment was deleted, unless it exists: its mark is older than a restore, or forged."""
    items = queries.payments_by_id([payment_id])
    return Resolved(mapping.payment_from_item(items[0]).ref) if items else Expired(payment_id)


def payments_of(objects: Sequence[Mapping[str, Any]]) -> list[Payment | None]:
    """Return the payment of each charge, refund or dispute of a page, in its order; None for one that has none here.

    Two batch reads per `PAGE_OF_PAYMENTS` ids, and Stripe is not asked. As in `resolve`, a pointer decides, else the
    metadata of a charge. Raises `Contended`.
    """
    ids = [_readable_ids(obj) for obj in objects]
    pointers: dict[str, StripeObjectItem] = {}
    for batch in batched(dict.fromkeys(i for each in ids for i in each), queries.PAGE_OF_PAYMENTS, strict=False):
        pointers |= queries.stripe_objects(list(batch))
    refs = [
        _first_ref([pointers.get(i) for i in each])
        or (_complete_ref(obj.get("metadata")) if obj.get("object") == "charge" else None)
        for obj, each in zip(objects, ids, strict=True)
    ]
    payments: dict[str, Payment] = {}
    payment_ids = dict.fromkeys(ref.payment_id for ref in refs if ref)
    for page in batched(payment_ids, queries.PAGE_OF_PAYMENTS, strict=False):
        payments |= {item.payment_id: mapping.payment_from_item(item) for item in queries.payments_by_id(list(page))}
    return [payments.get(ref.payment_id) if ref else None for ref in refs]


def _readable_ids(obj: Mapping[str, Any]) -> list[str]:
    """Return the ids of an object that may have a pointer; none if they cannot be read."""
    try:
        return ids_of(obj, cast(Subject, obj["object"])).strongest_first()
    except EventUnusable:
        return []


def _complete_ref(metadata: object) -> PaymentRef | None:
    """Return the payment that metadata name; None also if they lack an id, which matters only without a pointer."""
    try:
        return ref_in_metadata(metadata) if isinstance(metadata, Mapping) else None
    except EventUnusable:
        return None


def _first_ref(pointers: Sequence[StripeObjectItem | None]) -> PaymentRef | None:
    """Return the payment that the first pointer of a payment names. One that is abandoned or expired names none."""
    for pointer in pointers:
        if pointer and pointer.payment_id and pointer.user_id and pointer.track:
            return PaymentRef(pointer.payment_id, pointer.user_id, pointer.track)
    return None


def _pointers(stripe_ids: Sequence[str]) -> list[StripeObjectItem | None]:
    """Read the pointers of these ids one after another, until one names a payment: the first almost always does."""
    pointers: list[StripeObjectItem | None] = []
    for stripe_id in stripe_ids:
        pointers.append(queries.stripe_object(stripe_id))
        if _first_ref(pointers):
            break
    return pointers


def _resolve_at_stripe(stripe_ids: StripeIds) -> Resolved | Expired | None:
    """Return the payment of a refund or dispute by the metadata that Stripe has of its intent, else of its charge."""
    intent = stripe_ids.intent
    if intent is None:
        if stripe_ids.charge is None:
            return None
        charge = stripe_client.retrieve_charge(stripe_ids.charge).object
        resolved, intent = resolve_or_expired(charge, "charge"), optional_id(charge, "payment_intent")
        return resolved._replace(intent=intent) if isinstance(resolved, Resolved) else resolved
    ref = _ref_or_count(stripe_client.retrieve_intent(intent).object.get("metadata"))
    return Resolved(ref) if ref else None


def intent_of_charge(charge_id: str) -> str | None:
    """Ask Stripe for the intent of a charge."""
    return optional_id(stripe_client.retrieve_charge(charge_id).object, "payment_intent")


def find_payment(reference: str, user_id: str | None = None) -> Payment:
    """Read a payment by its own id or that of one of its objects at Stripe; with `user_id` only that user's.

    Raises `NotFound`, without asking Stripe.
    """
    return mapping.payment_from_raw(find_item(reference, user_id))


def find_item(reference: str, user_id: str | None = None) -> Item:
    """Read the item of the payment that `find_payment` finds, as DynamoDB writes it.

    Raises `NotFound`, without asking Stripe.
    """
    if reference.isascii() and len(reference) <= MAX_ID_LENGTH:
        is_stripe_id = reference.startswith(POINTED)
        pointer = queries.stripe_object(reference) if is_stripe_id else None
        payment_id = (pointer.payment_id if pointer else None) or reference
        if payment_id.startswith("pay_"):
            raw = dynamodb.batch_get({PaymentItem: [keys.payment_key(payment_id)]})[PaymentItem]
            if raw and user_id in (None, raw[0]["user_id"]["S"]):
                return raw[0]
            if pointer and pointer.state == ledger.EXPIRED and user_id is None:
                raise NotFound("This payment was deleted seven years after its money moved last.")
    raise NotFound("You have no such payment." if user_id else "There is no such payment.")


def find_ref(reference: str, user_id: str | None = None) -> PaymentRef:
    """Return the ids of the payment that `find_payment` finds."""
    return find_payment(reference, user_id).ref
