"""The one Stripe customer of a user: made once, kept with the first payment, replaced when Stripe forgot it.

And the payment methods that they have saved, which are kept at Stripe alone. A method is theirs if Stripe finds it
under their own customer; everybody else's, and one that is detached, is not found.
"""

from collections.abc import Mapping
from typing import Any

from tuition.core.errors import NotFound, StripeRefused, StripeUnavailable, Unprocessable
from tuition.core.refs import Customer
from tuition.core.stripe_json import MAX_ID_LENGTH
from tuition.settings import settings
from tuition.storage import ledger
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway.resolve import APP

GENERATIONS = 8


def create(user_id: str, email: str, generation: int) -> Customer:
    """A customer at Stripe of this generation or the next that can be had.

    The key is made of user and generation: who comes twice gets the same one. A replayed answer is read again,
    since the customer may be gone; one that is, a replayed 5xx and a key used with another address (the user's
    e-mail changed) take the next generation. So does an address that Stripe does not take for one, though it was
    verified (`ada@internal`, `jörg@example.org`): its customer has none.
    """
    params = _params(user_id, email)
    for candidate in range(generation, generation + GENERATIONS):
        try:
            answer = stripe_client.create_customer(params, _key(user_id, candidate))
            if answer.replayed:
                answer = stripe_client.retrieve_customer(answer.object["id"])
        except StripeRefused as refused:
            if refused.param == "email":
                params.pop("email", None)
            elif refused.stripe_type != "idempotency_error" and refused.code != "resource_missing":
                raise
        except StripeUnavailable as unavailable:
            if not unavailable.replayed:
                raise
        else:
            if not answer.object.get("deleted"):
                return Customer(user_id, answer.object["id"], candidate)
    raise StripeUnavailable("no customer could be made at Stripe: try again", 502)


def _params(user_id: str, email: str) -> dict[str, object]:
    metadata = {"app": APP, "environment": settings().tuition_environment, "user_id": user_id}
    return {"email": email, "metadata": metadata}


def _key(user_id: str, generation: int) -> str:
    return f"customer:{settings().tuition_environment}:{user_id}:{generation}"


# --- saved payment methods ---


def payment_methods(user_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of a user's saved methods, newest first, as the API shows them: one read and one call to Stripe."""
    nothing: dict[str, Any] = {"payment_methods": [], "next_cursor": None}
    if cursor is not None and not _is_id(cursor):
        raise Unprocessable("cursor is not one of ours: send the next_cursor of the page before", field="cursor")
    customer = ledger.load_customer(user_id)
    if customer is None:
        return nothing
    try:
        page = stripe_client.list_payment_methods(customer.stripe_customer_id, limit, cursor).object
    except StripeRefused as refused:
        if refused.param == "starting_after":
            raise Unprocessable("cursor is no longer there: begin at the first page", field="cursor") from refused
        if refused.code == "resource_missing":  # the customer was deleted at Stripe
            return nothing
        raise
    shown = [_shown(method) for method in page["data"]]
    return {"payment_methods": shown, "next_cursor": shown[-1]["id"] if page["has_more"] else None}


def _shown(method: Mapping[str, Any]) -> dict[str, Any]:
    """Type, brand, last four and expiry: nothing else of what Stripe knows leaves."""
    details = method.get(method["type"]) or {}
    kept = {name: details.get(name) for name in ("brand", "last4", "exp_month", "exp_year")}
    return {"id": method["id"], "type": method["type"], **kept}


def detach(user_id: str, method_id: str) -> None:
    """Forget a saved method of this user's. Raises `NotFound` where there is none, no longer or not of theirs."""
    customer = ledger.load_customer(user_id)
    if not _has_saved(customer, method_id):
        raise NotFound("there is no such saved payment method of yours")
    try:
        stripe_client.detach_payment_method(method_id)
    except StripeRefused as refused:
        if refused.stripe_status not in (400, 404) or _has_saved(customer, method_id):
            raise  # what is gone now was detached by somebody at the same time


def require_saved(customer: Customer | None, method_id: str) -> None:
    """Raises `Unprocessable` where the method is not one that this customer has saved."""
    if not _has_saved(customer, method_id):
        raise Unprocessable("there is no such saved payment method of yours", field="payment_method")


def _has_saved(customer: Customer | None, method_id: str) -> bool:
    if customer is None or not _is_id(method_id):
        return False
    try:
        stripe_client.retrieve_payment_method(customer.stripe_customer_id, method_id)
    except StripeRefused as refused:
        if refused.stripe_status not in (400, 404):
            raise
        return False
    return True


def _is_id(text: str) -> bool:
    """It can be an id of Stripe's: letters, digits and underscores, so that it can be no other path."""
    return 0 < len(text) <= MAX_ID_LENGTH and text.isascii() and text.replace("_", "0").isalnum()
