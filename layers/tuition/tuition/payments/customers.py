"""The one Stripe customer of a user, and the payment methods that the user has saved.

A customer is created once, stored with the user's first payment, and replaced if it is missing at Stripe. Payment
methods are stored at Stripe only. A method is the user's if Stripe finds it under the user's own customer, which it
does not for a method of another customer or a detached one.
"""

from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

from tuition.core import catalog
from tuition.core.errors import Contended, MethodInUse, NotFound, StripeRefused, StripeUnavailable, Unprocessable
from tuition.core.refs import Customer
from tuition.core.stripe_json import MAX_ID_LENGTH, optional_id
from tuition.settings import settings
from tuition.storage import ledger, limits, queries
from tuition.storage.queries import Cursor
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve

if TYPE_CHECKING:
    from tuition.core.plan import Plan

MAX_GENERATIONS = 8
"""Generations that one create tries."""
METHODS_PER_CALL = 100
MAX_METHOD_CALLS = 5
"""Pages of Stripe's list that one request reads. Methods saved before these are not shown."""
MAX_COPIES_PER_REQUEST = 20
"""Copies of a method that one removal detaches."""
LIST_ID = "payment-methods"
STAGE = "payment_method"
MAX_SEARCH_PAGES = 5
"""Pages of 100 customers of one user that one erasure reads. The next run continues."""


def create(user_id: str, email: str, generation: int) -> Customer:
    """Create a customer at Stripe with the first usable generation, starting with this one.

    The idempotency key consists of the user and the generation, so a repeated create returns the same customer. A
    replayed answer is read again because the customer may have been deleted. A deleted customer, a replayed 5xx and a
    key that was used with another email address all lead to the next generation. So does a verified address that
    Stripe rejects (`ada@internal`, `jörg@example.org`): that user's customer has no address.
    """
    params = _params(user_id, email)
    for candidate in range(generation, generation + MAX_GENERATIONS):
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
                return Customer(user_id, answer.object["id"], candidate, email)
    raise StripeUnavailable("No customer could be created at Stripe. Try again.", 502)


def of_plan(plan: "Plan") -> Customer | None:
    """Return the customer who paid a plan, after a restore has lost our record; None if Stripe has none any more."""
    first = ledger.load(plan.payment_ref(plan.first_payment_id)).payment if plan.first_payment_id else None
    if first is None or first.intent is None:
        return None
    customer_id = optional_id(stripe_client.retrieve_intent(first.intent).object, "customer")
    if customer_id is None or stripe_client.retrieve_customer(customer_id).object.get("deleted"):
        return None
    return Customer(plan.user_id, customer_id, generation=1, email=None)


def send_email(customer: Customer, email: str) -> None:
    """Send the verified address of a user's token to their Stripe customer, unless Stripe was sent it last.

    One call and one write. If Stripe rejects the address, as it may in `create`, the customer keeps the one it has,
    because Stripe cannot unset it. The rejected address is remembered, so it is not sent again. So is that of a
    customer that is missing at Stripe, which the create replaces. Raises `StripeUnavailable` with nothing stored, so
    that the next create sends the address.
    """
    if customer.email == email:
        return
    try:
        stripe_client.update_customer(customer.stripe_customer_id, {"email": email})
    except StripeRefused as refused:
        if refused.code != "resource_missing" and refused.param != "email":
            raise
    ledger.remember_email(customer, email)


def _params(user_id: str, email: str) -> dict[str, object]:
    return {"email": email, "metadata": {**resolve.owner_metadata(), "user_id": user_id}}


def _key(user_id: str, generation: int) -> str:
    return f"customer:{settings().namespace}:{user_id}:{generation}"


def search(user_id: str) -> tuple[list[dict[str, Any]], bool]:
    """Return the customers at Stripe that a user's creates have made, and whether there are more of them.

    A create that was killed before its commit leaves a customer that no table names. Stripe's search shows it within an
    hour. The metadata are compared again, because the search ignores case.
    """
    customers: list[dict[str, Any]] = []
    page: str | None = None
    for _ in range(MAX_SEARCH_PAGES):
        answer = stripe_client.search_customers(_query(user_id), page).object
        customers += [one for one in answer["data"] if _is_of(one, user_id)]
        page = answer.get("next_page")
        if page is None:
            return customers, False
    return customers, True


def _query(user_id: str) -> str:
    """Return a query in Stripe's language: https://docs.stripe.com/search#search-query-language.

    It names app and environment, so that customers of others with the same user id use up none of the pages.
    """
    metadata = {"user_id": user_id, "app": resolve.APP, "environment": settings().tuition_environment}
    return " AND ".join(f"metadata['{name}']:'{_escaped(text)}'" for name, text in metadata.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _is_of(customer: Mapping[str, Any], user_id: str) -> bool:
    metadata = customer.get("metadata") or {}
    return resolve.is_ours(metadata) and metadata.get("user_id") == user_id


# --- saved payment methods ---


def payment_methods(user_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of a user's saved payment methods, newest first, with one read and usually one call to Stripe.

    The copies of a method are listed once, as the newest of them. Raises `Unprocessable`, `TooManyRequests`,
    `Contended`.
    """
    after = None if cursor is None else _method_in_cursor(cursor)
    customer, used = ledger.load_customer(user_id)
    if customer:
        limits.take_request(user_id, used)
    copies = list(_by_identity(_all_saved(customer)).values()) if customer else []
    if customer and after is not None:
        copies = copies[_position_after(copies, after) :]
    methods = [_method_json(group[0]) for group in copies[:limit]]
    return {"payment_methods": methods, "next_cursor": _cursor_after(methods[-1]["id"]) if copies[limit:] else None}


def _all_saved(customer: Customer) -> list[dict[str, Any]]:
    """Return the customer's saved methods, newest first, from at most `MAX_METHOD_CALLS` pages of Stripe's list."""
    methods: list[dict[str, Any]] = []
    for _ in range(MAX_METHOD_CALLS):
        after = methods[-1]["id"] if methods else None
        try:
            page = stripe_client.list_payment_methods(customer.stripe_customer_id, METHODS_PER_CALL, after).object
        except StripeRefused as refused:
            if refused.param == "starting_after":
                raise Contended("Your saved payment methods were changed at the same time. Try again.") from refused
            if refused.code == "resource_missing":  # the customer was deleted at Stripe
                return []
            raise
        methods += page["data"]
        if not page["has_more"]:
            break
    return methods


def _by_identity(methods: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the methods grouped by the card or account that they are copies of, in the order of their first copy."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for method in methods:
        groups.setdefault(_identity(method), []).append(method)
    return groups


def _identity(method: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a method has in common with its copies: Stripe's fingerprint of the card or account number.

    A method without a fingerprint has no copies. https://docs.stripe.com/api/payment_methods/object
    """
    fingerprint = (method.get(method["type"]) or {}).get("fingerprint")
    return (method["type"], fingerprint) if fingerprint else ("id", method["id"])


def _position_after(copies: list[list[dict[str, Any]]], method_id: str) -> int:
    """Return the position after the group that contains a method. Raises `Unprocessable` if there is none."""
    for position, group in enumerate(copies, start=1):
        if any(method["id"] == method_id for method in group):
            return position
    raise Unprocessable(
        "cursor points to a payment method that is no longer saved. Start with the first page.", field="cursor"
    )


def _method_in_cursor(cursor: str) -> str:
    """Return the id of the payment method that a cursor points to. Raises `Unprocessable`."""
    position = Cursor.decode(cursor, LIST_ID)
    if position != Cursor(STAGE, position.item_id, position.item_id) or not _is_id(position.item_id):
        raise queries.wrong_cursor()
    return position.item_id


def _cursor_after(method_id: str) -> str:
    return Cursor(STAGE, method_id, method_id).encode(LIST_ID)


def _method_json(method: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's type, brand, last four digits and expiry. The API shows nothing else that Stripe stores."""
    details = method.get(method["type"]) or {}
    shown = {name: details.get(name) for name in ("brand", "last4", "exp_month", "exp_year")}
    return {"id": method["id"], "type": method["type"], **shown}


def detach(user_id: str, method_id: str) -> None:
    """Detach a saved payment method of this user with all its copies; the method itself last, so a retry finds it.

    Raises `NotFound` if it is not saved, or is another user's, `MethodInUse` if a plan charges it or a copy of it, and
    `Contended` if more copies are left than one request detaches.
    """
    customer, used = ledger.load_customer(user_id)
    if customer:
        limits.take_request(user_id, used)
    method = _saved(customer, method_id)
    if customer is None or method is None:
        raise NotFound("You have no such saved payment method. Reload the list.")
    copies = _by_identity(_all_saved(customer)).get(_identity(method), [])
    others = [copy["id"] for copy in copies if copy["id"] != method_id]
    _require_unused(user_id, {method_id, *others})
    for other_id in others[:MAX_COPIES_PER_REQUEST]:
        _detach(customer, other_id)
    if others[MAX_COPIES_PER_REQUEST:]:
        raise Contended("This payment method was saved many times, and some copies are left. Try again.")
    _detach(customer, method_id)


def _require_unused(user_id: str, method_ids: Set[str]) -> None:
    """Raise `MethodInUse` if a plan of the user charges one of these methods. A plan that ends charges none."""
    from tuition.payments import own_plans  # only a removal needs it

    for plan in queries.plans_of_user(user_id):
        if own_plans.method_to_charge(plan) in method_ids:
            raise MethodInUse(
                f"Your payment plan for {catalog.title(plan.product)} is charged to this payment method. Choose another"
                " one for the plan, then remove this one.",
                plan.plan_id,
            )


def _detach(customer: Customer, method_id: str) -> None:
    try:
        stripe_client.detach_payment_method(method_id)
    except StripeRefused as refused:
        if refused.stripe_status not in (400, 404) or _saved(customer, method_id):
            raise  # otherwise another request has detached it in the meantime


def require_saved(customer: Customer | None, method_id: str) -> dict[str, Any]:
    """Return a method that this customer has saved. Raises `Unprocessable` for any other."""
    method = _saved(customer, method_id)
    if method is None:
        raise Unprocessable("You have no such saved payment method. Choose another one.", field="payment_method")
    return method


def _saved(customer: Customer | None, method_id: str) -> dict[str, Any] | None:
    """Return a method if this customer has saved it, else None."""
    if customer is None or not _is_id(method_id):
        return None
    try:
        return stripe_client.retrieve_payment_method(customer.stripe_customer_id, method_id).object
    except StripeRefused as refused:
        if refused.stripe_status not in (400, 404):
            raise
        return None


def _is_id(text: str) -> bool:
    """Whether this can be a Stripe id: letters, digits and underscores, so it cannot change a URL's path."""
    return 0 < len(text) <= MAX_ID_LENGTH and text.isascii() and text.replace("_", "0").isalnum()
