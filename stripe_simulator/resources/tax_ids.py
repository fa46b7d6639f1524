"""The tax ids of customers, such as VAT numbers.

https://docs.stripe.com/billing/customer/tax-ids
"""

import re
from typing import Any

from stripe_simulator import lists
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import resource_missing, validation_error
from stripe_simulator.store import Object, public_fields

EU = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV"),
    *("MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
)
TYPES_OF_COUNTRIES: dict[str, str] = {
    **dict.fromkeys(EU, "eu_vat"),
    "AU": "au_abn",
    "CH": "ch_vat",
    "GB": "gb_vat",
    "NO": "no_vat",
    "NZ": "nz_gst",
    "US": "us_ein",
}
"""The tax id that the Checkout page asks for, by the country of the address. Other countries have none here."""
PATTERNS = {
    "ch_vat": r"CHE-?\d{3}\.?\d{3}\.?\d{3}( ?(MWST|TVA|IVA))?",
    "eu_vat": r"[A-Z]{2}[0-9A-Z]{2,12}",
    "gb_vat": r"GB(\d{9}|\d{12}|GD\d{3}|HA\d{3})",
    "us_ein": r"\d{2}-?\d{7}",
}
"""The formats that are checked. Values of other types are accepted as they are."""


def check(type_: str, value: str, param: str) -> None:
    """Raise StripeError for a value that the type cannot have."""
    pattern = PATTERNS.get(type_)
    if pattern and not re.fullmatch(pattern, value):
        raise validation_error(f"Invalid value for {type_}.", code="tax_id_invalid", param=param)


def add(account: Account, customer_id: str, type_: str, value: str) -> Object:
    """Add a tax id to a customer, with its event."""
    country = value[:2] if type_ == "eu_vat" else type_.partition("_")[0].upper()
    tax_id: Object = {
        "id": f"txi_1{account.store.token(23)}",
        "object": "tax_id",
        "country": country,
        "created": account.clock.unix(),
        "customer": customer_id,
        "customer_account": None,
        "livemode": False,
        "owner": {"customer": customer_id, "customer_account": None, "type": "customer"},
        "type": type_,
        "value": value,
        "verification": {"status": "unavailable", "verified_address": None, "verified_name": None},
    }
    account.store.add(tax_id)
    account.emit("customer.tax_id.created", tax_id)
    return tax_id


def of_customer(account: Account, customer_id: str) -> list[Object]:
    """Return the tax ids of a customer, newest first."""
    return [one for one in account.store.all("tax_id") if one["customer"] == customer_id]


def as_details(tax_ids: list[Object]) -> list[Object]:
    """Return tax ids as invoices and sessions show them: only type and value."""
    return [{"type": one["type"], "value": one["value"]} for one in tax_ids]


def create(call: Call) -> Object:
    """POST /v1/customers/:id/tax_ids."""
    customer = call.store.get_active("customer", call.ids[0])
    params: dict[str, Any] = call.params
    check(params["type"], params["value"], "value")
    return public_fields(add(call.account, customer["id"], params["type"], params["value"]))


def retrieve(call: Call) -> Object:
    """GET /v1/customers/:id/tax_ids/:id."""
    return public_fields(_of_call(call))


def delete(call: Call) -> Object:
    """DELETE /v1/customers/:id/tax_ids/:id."""
    tax_id = _of_call(call)
    del call.store.objects["tax_id"][tax_id["id"]]
    call.account.emit("customer.tax_id.deleted", tax_id)
    return {"id": tax_id["id"], "object": "tax_id", "deleted": True}


def _of_call(call: Call) -> Object:
    customer = call.store.get_active("customer", call.ids[0])
    tax_id = call.store.get("tax_id", call.ids[1])
    if tax_id["customer"] != customer["id"]:
        raise resource_missing("tax id", call.ids[1])
    return tax_id


def list_(call: Call) -> Object:
    """GET /v1/customers/:id/tax_ids."""
    customer = call.store.get_active("customer", call.ids[0])
    return lists.page(of_customer(call.account, customer["id"]), call.params, call.path, "tax id")


def expand_tax_ids(account: Account, customer: Object) -> Object:
    """Return a customer's `tax_ids`, which responses include only if expanded."""
    return lists.page(of_customer(account, customer["id"]), {}, f"/v1/customers/{customer['id']}/tax_ids")


ROUTES = {
    "POST /v1/customers/*/tax_ids": create,
    "GET /v1/customers/*/tax_ids": list_,
    "GET /v1/customers/*/tax_ids/*": retrieve,
    "DELETE /v1/customers/*/tax_ids/*": delete,
}
