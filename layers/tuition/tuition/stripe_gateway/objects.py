"""The two kinds of Stripe object that a payment can be bound to: a PaymentIntent or a Checkout Session.

Every difference between the two kinds is in this module.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tuition.core import stripe_json
from tuition.core.errors import StripeRefused, StripeUnavailable
from tuition.core.facts import Facts, Kind
from tuition.core.money import Money
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway.client import Answer

PAYABLE = ("open", "requires_payment_method", "requires_confirmation", "requires_action")
"""The statuses, of both kinds, in which an object can still be paid."""


class StripeObject(NamedTuple):
    """A PaymentIntent (`kind` intent) or a Checkout Session (`kind` checkout), by its id."""

    kind: Kind
    id: str

    def retrieve(self) -> Answer:
        """Ask Stripe for the object, with its latest charge."""
        if self.kind == "intent":
            return stripe_client.retrieve_intent(self.id)
        return stripe_client.retrieve_session(self.id)

    def close(self) -> None:
        """Cancel the intent or expire the session. A refusal means that it is no longer open: sync to see why."""
        try:
            if self.kind == "intent":
                stripe_client.cancel_intent(self.id)
            else:
                stripe_client.expire_session(self.id)
        except StripeRefused as refused:
            if refused.stripe_status not in (400, 404):
                raise

    def facts(self, obj: Mapping[str, Any], at: int, order: int | None = None) -> Facts:
        """Read the facts of the object as Stripe showed it at `at` (epoch seconds); see `stripe_json.of_intent`."""
        read = stripe_json.of_intent if self.kind == "intent" else stripe_json.of_session
        return read(obj, at, order)


def create(kind: Kind, params: Mapping[str, Any], metadata: Mapping[str, str], idempotency_key: str) -> Answer:
    """Create an object. An answer from Stripe's memory of the key is retrieved again: the object may be long closed."""
    if kind == "intent":
        answer = stripe_client.create_intent({**params, "metadata": metadata}, idempotency_key)
    else:
        named = {"payment_intent_data": {**params["payment_intent_data"], "metadata": metadata}, "metadata": metadata}
        if "invoice_creation" in params:
            named["invoice_creation"] = {**params["invoice_creation"], "invoice_data": {"metadata": metadata}}
        answer = stripe_client.create_session({**params, **named}, idempotency_key)
    return StripeObject(kind, answer.object["id"]).retrieve() if answer.replayed else answer


def price(kind: Kind, obj: Mapping[str, Any]) -> Money:
    """Return what the student is asked to pay, after Stripe has applied a promotion code."""
    return Money(_present(obj, "amount" if kind == "intent" else "amount_total"), _present(obj, "currency"))


def how_to_pay(kind: Kind, obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the student's browser needs to pay, as the API answers it."""
    if kind == "intent":
        return {"payment_intent_id": obj["id"], "client_secret": _present(obj, "client_secret")}
    return {"session_id": obj["id"], "url": _present(obj, "url")}


def _present(obj: Mapping[str, Any], name: str) -> Any:
    """Return a field that Stripe's types call Optional and that a payable object has. Raises `StripeUnavailable`."""
    value = obj.get(name)
    if value is None:
        raise StripeUnavailable(f"Stripe's answer has no {name}. Try again.", 502)
    return value


def latest_charge(kind: Kind, obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the latest charge of a retrieved object; empty if there is none."""
    intent = obj if kind == "intent" else obj.get("payment_intent") or {}
    charge = intent.get("latest_charge")
    return charge if isinstance(charge, Mapping) else {}


def in_customers_name(
    customer_id: str, named_id: str, name: Literal["payment_id", "plan"] = "payment_id"
) -> list[StripeObject]:
    """Return the customer's objects that name a payment, or a plan. The intent of a session belongs to the session."""
    listed = [*stripe_client.list_intents(customer_id), *stripe_client.list_sessions(customer_id)]
    named = [obj for obj in listed if (obj.get("metadata") or {}).get(name) == named_id]
    sessions = [StripeObject("checkout", obj["id"]) for obj in named if obj["object"] == "checkout.session"]
    return sessions or [StripeObject("intent", obj["id"]) for obj in named]
