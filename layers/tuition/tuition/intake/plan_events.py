"""Apply Stripe's events about payment methods: each becomes a fact of the plans of its customer's user.

Such an event names no payment. The pointer of its customer names the user.

Source: https://docs.stripe.com/api/events/types
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from tuition import metrics
from tuition.core import plan_methods, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import EventUnusable, StripeRefused
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import Method, PlanFacts
from tuition.core.stripe_json import object_id, optional_id, text, timestamp
from tuition.storage import ledger, limits, queries
from tuition.storage.ledger import PlanChange
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing


class MethodEvent(NamedTuple):
    """An event about the payment methods of a customer. `at` is Stripe's time of it (epoch seconds).

    `method` is the one that it is about: None for all of the customer's. `obj` is the event's object.
    """

    event_id: str
    type: str
    at: int
    customer: str
    method: str | None
    obj: Mapping[str, Any]


Read = Callable[[MethodEvent, Plan], Mapping[str, Method] | None]


def _set_up(event: MethodEvent, plan: Plan) -> Mapping[str, Method] | None:
    """Return the method that a SetupIntent has set up for its plan; None for another plan, or without the method.

    It is set up since the event: the SetupIntent may have been created before a charge failed.
    """
    if _plan_named(event) != plan.plan_id or event.method is None:
        return None
    try:
        method = stripe_client.retrieve_payment_method(event.customer, event.method).object
    except StripeRefused as refused:
        if refused.stripe_status not in (400, 404):
            raise
        return None  # detached in the meantime, which its own event tells
    return {event.method: Method(set_up=event.at, type=method["type"])}


def _not_set_up(event: MethodEvent, plan: Plan) -> Mapping[str, Method] | None:
    return {} if _plan_named(event) == plan.plan_id else None


def _updated(event: MethodEvent, plan: Plan) -> Mapping[str, Method] | None:
    method = plan_methods.methods(plan).get(event.method or "")
    return {str(event.method): Method(set_up=method.set_up, type=method.type, updated=event.at)} if method else None


def _gone(event: MethodEvent, plan: Plan) -> Mapping[str, Method] | None:
    """Return the plan's methods that Stripe no longer has."""
    methods = plan_methods.methods(plan)
    lost = {key: one for key, one in methods.items() if event.method in (None, key)}
    return {key: Method(set_up=one.set_up, type=one.type, gone=event.at) for key, one in lost.items()} or None


def _mandate(event: MethodEvent, plan: Plan) -> Mapping[str, Method] | None:
    """Return the bank account whose owner has revoked its mandate: it can no longer be debited."""
    return _gone(event, plan) if event.obj.get("status") == "inactive" else None


EVENT_TYPES: Mapping[str, Read] = {
    "setup_intent.succeeded": _set_up,
    "setup_intent.setup_failed": _not_set_up,
    "payment_method.automatically_updated": _updated,
    "payment_method.detached": _gone,
    "mandate.updated": _mandate,
    "customer.deleted": _gone,
}
"""Every event type about payment methods, and how its facts are read."""


class Applied(NamedTuple):
    """The result of an event. `is_new`: it changed a plan, or has its first record.

    `foreign`: its customer is not one of ours. `not_found`: no plan of the user is about its payment method.
    """

    outcome: Literal["applied", "foreign", "not_found"]
    is_new: bool = False


def apply(event: Mapping[str, Any]) -> Applied:
    """Apply one verified event to the plans that it is about. Repeating it changes nothing.

    Raises `EventUnusable` and what may pass.
    """
    parsed = parse(event)
    pointer = queries.stripe_object(parsed.customer) if parsed else None
    if parsed is None or pointer is None or pointer.user_id is None or pointer.payment_id:
        return Applied("foreign")
    read = EVENT_TYPES[parsed.type]
    entry = AuditEntry(timestamps.iso(parsed.at), parsed.event_id, parsed.type, "webhook")
    is_applied = is_new = False
    for plan in list(queries.plans_of_user(pointer.user_id)):
        if read(parsed, plan) is None:
            continue
        is_applied = True

        def change(state: PaymentState) -> PlanChange | None:
            current = state.existing_plan
            methods = read(parsed, current)
            after = current.merged(PlanFacts(methods=methods or {}))
            if methods is None or (after == current and (methods or _is_recorded(current.plan_id, parsed.event_id))):
                return None
            return PlanChange(after, entry)

        is_new |= ledger.update_plan(plan.plan_id, change).existing_plan.version != plan.version
    if is_applied and parsed.type == "setup_intent.setup_failed":
        _limit_tries(parsed, pointer.user_id, is_new=is_new)
    return Applied("applied" if is_applied else "not_found", is_new)


def _is_recorded(plan_id: str, event_id: str) -> bool:
    """Whether the plan has a record of an event that changes nothing, such as a setup that failed."""
    return any(record["event_id"] == event_id for record in queries.audit_trail(plan_id))


def _limit_tries(event: MethodEvent, user_id: str, *, is_new: bool) -> None:
    """Count a method that was refused as a decline, and cancel its SetupIntent if cards may be tested with it.

    The browser sets up methods directly with Stripe, where our rate limit does not apply.
    """
    if is_new:
        metrics.count("ChargeDeclined")
    used = limits.count_decline(user_id, event.event_id, event.at)
    if not closing.wait_to_try_again(used):
        return
    try:
        stripe_client.cancel_setup_intent(object_id(event.obj, "id"))
    except StripeRefused as refused:
        if refused.code not in ("setup_intent_unexpected_state", "resource_missing"):
            raise


def parse(event: Mapping[str, Any]) -> MethodEvent | None:
    """Read an event; None if it has no customer. Raises `EventUnusable` for a shape that Stripe does not have."""
    data = event.get("data")
    obj = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(obj, Mapping):
        raise EventUnusable("event.data.object should be an object")
    type_ = text(event, "type")
    method = None if type_ == "customer.deleted" else optional_id(obj, _METHOD_FIELD[type_.partition(".")[0]])
    customer = _customer(type_, obj, data.get("previous_attributes"), method)
    if customer is None:
        return None
    return MethodEvent(object_id(event, "id"), type_, timestamp(event, "created"), customer, method, obj)


_METHOD_FIELD = {"setup_intent": "payment_method", "payment_method": "id", "mandate": "payment_method"}
"""The field of an object that has the id of its payment method."""


def _customer(type_: str, obj: Mapping[str, Any], previous: object, method: str | None) -> str | None:
    """Return the customer that an event is about. A mandate does not name it, and a detached method no longer does."""
    if type_ == "customer.deleted":
        return object_id(obj, "id")
    if type_ == "payment_method.detached":
        return optional_id(previous, "customer") if isinstance(previous, Mapping) else None
    if type_ == "mandate.updated":
        return stripe_client.find_customer_of_method(method) if method else None
    return optional_id(obj, "customer")


def _plan_named(event: MethodEvent) -> str | None:
    metadata = event.obj.get("metadata")
    return metadata.get("plan") if isinstance(metadata, Mapping) else None
