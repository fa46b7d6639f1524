"""Customers.

https://docs.stripe.com/api/customers
"""

from collections.abc import Callable
from typing import Any

from stripe_simulator import lists, validation
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import invalid_request, resource_missing
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import payment_methods, tax_ids
from stripe_simulator.store import Object, public_fields

TEXT_FIELDS = ("description", "email", "name", "phone", "business_name", "individual_name", "tax_exempt")


def create(call: Call) -> Object:
    """POST /v1/customers."""
    params = call.params
    store = call.store
    customer: Object = {
        "id": store.new_id("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": call.account.clock.unix(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": store.token(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    _apply(customer, params)
    store.add(customer)
    call.account.emit("customer.created", customer)
    if params.get("payment_method"):
        payment_methods.attach_to(call.account, params["payment_method"], customer["id"])
    return public_fields(customer)


def _apply(customer: Object, params: dict[str, Any]) -> None:
    validation.check_email(params, "email")
    for name in TEXT_FIELDS:
        if name in params:
            customer[name] = params[name] or None
    for name in ("business_name", "individual_name"):  # absent, not null, if a customer has none
        if name in params and not params[name]:
            del customer[name]
    for name in ("balance", "preferred_locales"):
        if name in params:
            customer[name] = params[name]
    if "address" in params:
        customer["address"] = _address(params["address"])
    if "shipping" in params:
        customer["shipping"] = _shipping(params["shipping"])
    for name, value in (params.get("invoice_settings") or {}).items():
        customer["invoice_settings"][name] = _rendering(value) if name == "rendering_options" else value or None


def _rendering(params: Any) -> Object | None:
    """Return rendering options with every field."""
    return {name: params.get(name) or None for name in ("amount_tax_display", "template")} if params else None


def _address(params: Any) -> Object | None:
    if not params:
        return None
    names = ("city", "country", "line1", "line2", "postal_code", "state")
    return {name: params.get(name) or None for name in names}


def _shipping(params: Any) -> Object | None:
    if not params:
        return None
    return {"address": _address(params.get("address")), "name": params.get("name"), "phone": params.get("phone")}


def retrieve(call: Call) -> Object:
    """GET /v1/customers/:id. A deleted customer is `{id, object, deleted}`."""
    return public_fields(call.store.get("customer", call.ids[0]))


def update(call: Call) -> Object:
    """POST /v1/customers/:id."""
    customer = call.store.get_active("customer", call.ids[0])
    before = public_fields(customer)
    metadata = merge_metadata(customer["metadata"], call.params.get("metadata", {}))
    default = (call.params.get("invoice_settings") or {}).get("default_payment_method")
    if default:
        method = call.store.get("payment_method", default, param="invoice_settings[default_payment_method]")
        if method["customer"] != customer["id"]:
            raise invalid_request(
                f"The customer does not have a payment method with the ID {default}. The payment method must "
                "be attached to the customer.",
                code="resource_missing",
                param="invoice_settings[default_payment_method]",
            )
    customer["metadata"] = metadata
    _apply(customer, call.params)
    return call.account.emit_update(customer, before, "customer.updated")


def delete(call: Call) -> Object:
    """DELETE /v1/customers/:id. A later GET returns the customer as deleted."""
    return delete_with_tax_ids(call.account, call.ids[0])


def delete_with_tax_ids(account: Account, id: str) -> Object:
    """Delete a customer with its tax ids.

    The payment methods keep the id of the customer, and networks still update them, but no payment can use them.
    """
    customer = account.store.get_active("customer", id)
    for tax_id in tax_ids.of_customer(account, customer["id"]):
        del account.store.objects["tax_id"][tax_id["id"]]
    account.emit("customer.deleted", customer)
    tombstone = {"id": customer["id"], "object": "customer", "deleted": True}
    account.store.objects["customer"][customer["id"]] = tombstone
    return dict(tombstone)


def list_(call: Call) -> Object:
    """GET /v1/customers."""
    return lists.page(
        lists.select(call.store.all("customer"), call.params, "email"), call.params, call.path, "customer"
    )


def search(call: Call) -> Object:
    """GET /v1/customers/search."""
    customers = (one for one in call.store.all("customer") if not one.get("deleted"))
    return lists.search(customers, call.params, call.path)


def list_payment_methods(call: Call) -> Object:
    """GET /v1/customers/:id/payment_methods."""
    customer = call.store.get_active("customer", call.ids[0])
    return payment_methods.page_of(call, customer["id"])


def retrieve_payment_method(call: Call) -> Object:
    """GET /v1/customers/:id/payment_methods/:id."""
    customer = call.store.get_active("customer", call.ids[0])
    method = call.store.get("payment_method", call.ids[1])
    if method["customer"] != customer["id"]:
        raise resource_missing("PaymentMethod", call.ids[1])
    return public_fields(method)


def expand_empty_list(name: str) -> Callable[[Account, Object], Object]:
    """Return a loader of a list that responses include only if expanded, and that is always empty here."""

    def load(account: Account, customer: Object) -> Object:
        return lists.page([], {}, f"/v1/customers/{customer['id']}/{name}")

    return load


ROUTES = {
    "GET /v1/customers/search": search,
    "POST /v1/customers": create,
    "GET /v1/customers": list_,
    "GET /v1/customers/*": retrieve,
    "POST /v1/customers/*": update,
    "DELETE /v1/customers/*": delete,
    "GET /v1/customers/*/payment_methods": list_payment_methods,
    "GET /v1/customers/*/payment_methods/*": retrieve_payment_method,
}
