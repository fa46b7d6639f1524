"""Products and prices.

https://docs.stripe.com/api/products
https://docs.stripe.com/api/prices
"""

from collections.abc import Callable
from typing import Any

from stripe_simulator import currencies, lists, validation
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import invalid_request, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.store import Object, public_fields

LISTS = ("images", "marketing_features")
"""The fields of a product that an empty value makes an empty list, not null."""


def _dimensions(params: dict[str, Any]) -> Object | None:
    """Return the dimensions of a product in inches and its weight in ounces, if the request has them."""
    dimensions = params.get("package_dimensions")
    return {name: float(value) for name, value in dimensions.items()} if dimensions else None


def new_product(account: Account, params: dict[str, Any]) -> Object:
    """Create a product."""
    if params.get("id") and account.store.find("product", params["id"]) is not None:
        raise invalid_request(f"Product already exists: {params['id']}.", code="resource_already_exists", param="id")
    product: Object = {
        "id": params.get("id") or account.store.new_id("prod", 14),
        "object": "product",
        "active": params.get("active", True),
        "created": account.clock.unix(),
        "default_price": None,
        "description": params.get("description"),
        "images": params.get("images", []),
        "livemode": False,
        "marketing_features": params.get("marketing_features", []),
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "name": params["name"],
        "package_dimensions": _dimensions(params),
        "shippable": params.get("shippable"),
        "statement_descriptor": params.get("statement_descriptor"),
        "tax_code": params.get("tax_code"),
        "tax_details": None,
        "type": params.get("type", "service"),
        "unit_label": params.get("unit_label"),
        "updated": account.clock.unix(),
        "url": params.get("url"),
    }
    account.store.add(product)
    account.emit("product.created", product)
    return product


def _check_price(account: Account, params: dict[str, Any], path: str) -> None:
    """Raise StripeError, before anything is created, for parameters that make no price."""

    def param(name: str) -> str:
        return f"{path}[{name}]" if path else name

    if params.get("product") and params.get("product_data"):
        message = "You may only specify one of these parameters: product, product_data."
        raise validation_error(message, param=param("product"))
    if not params.get("product") and not params.get("product_data"):
        message = "You must specify either `product` or `product_data` when creating a price."
        raise validation_error(message, code="parameter_missing", param=param("product"))
    if params.get("product"):
        account.store.get("product", params["product"], param=param("product"))
    if "unit_amount" not in params:
        message = "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set."
        raise validation_error(message, code="parameter_missing", param=param("unit_amount"))
    validation.check_minimum(params, "unit_amount", 0)
    if params.get("billing_scheme") == "tiered":
        message = "The simulator does not support `billing_scheme` `tiered`, although Stripe does."
        raise validation_error(message, param="billing_scheme")
    _check_lookup_key(account, params.get("lookup_key"), None)


def _check_lookup_key(account: Account, lookup_key: str | None, own_id: str | None) -> None:
    """Raise StripeError if another price, active or not, has the lookup key."""
    if not lookup_key:
        return
    for other in account.store.all("price"):
        if other["lookup_key"] == lookup_key and other["id"] != own_id:
            raise invalid_request(f"A price (`{other['id']}`) already uses that lookup key.", param="lookup_key")


def new_price(account: Account, params: dict[str, Any], path: str = "") -> Object:
    """Create a price, and its product if `product_data` describes one. Errors name parameters of the hash at `path`."""
    _check_price(account, params, path)
    product = params.get("product") or new_product(account, params["product_data"])["id"]
    price: Object = {
        "id": f"price_1{account.store.token(23)}",
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": "per_unit",
        "created": account.clock.unix(),
        "currency": currencies.parse(params["currency"]),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": params.get("lookup_key"),
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "nickname": params.get("nickname"),
        "product": product,
        "recurring": None,
        "tax_behavior": params.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": params["unit_amount"],
        "unit_amount_decimal": str(params["unit_amount"]),
    }
    account.store.add(price)
    account.emit("price.created", price)
    return price


def create_product(call: Call) -> Object:
    """POST /v1/products."""
    product = new_product(call.account, call.params)
    if call.params.get("default_price_data"):
        data = call.params["default_price_data"] | {"product": product["id"]}
        product["default_price"] = new_price(call.account, data, "default_price_data")["id"]
    return public_fields(product)


def create_price(call: Call) -> Object:
    """POST /v1/prices."""
    return public_fields(new_price(call.account, call.params))


def _check_price_update(account: Account, price: Object, params: dict[str, Any]) -> None:
    """Raise StripeError if the default price of a product would be archived, or a lookup key used twice.

    https://docs.stripe.com/products-prices/manage-prices
    """
    product = account.store.get("product", price["product"])
    if params.get("active") is False and product["default_price"] == price["id"]:
        raise invalid_request("This price cannot be archived because it is the default price of its product.")
    _check_lookup_key(account, params.get("lookup_key"), price["id"])


def _check_product_update(account: Account, product: Object, params: dict[str, Any]) -> None:
    """Raise StripeError if the default price is missing, inactive, or a price of another product."""
    if "default_price" not in params:
        return
    price = account.store.get("price", params["default_price"], param="default_price")
    if price["product"] != product["id"]:
        message = f"The price {price['id']} belongs to the product {price['product']}, not to {product['id']}."
        raise invalid_request(message, param="default_price")
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise invalid_request(message, param="default_price")


def _update_handler(
    kind: str, check: Callable[[Account, Object, dict[str, Any]], None], fields: tuple[str, ...]
) -> Any:
    def update(call: Call) -> Object:
        stored = call.store.get(kind, call.ids[0])
        check(call.account, stored, call.params)
        before = public_fields(stored)
        for name in fields:
            if name in call.params:
                empty: list[Any] | None = [] if name in LISTS else None
                stored[name] = call.params[name] if call.params[name] != "" else empty
        if "package_dimensions" in call.params:
            stored["package_dimensions"] = _dimensions(call.params)
        if "metadata" in call.params:
            stored["metadata"] = merge_metadata(stored["metadata"], call.params["metadata"])
        if "updated" in stored and public_fields(stored) != before:
            stored["updated"] = call.account.clock.unix()
        return call.account.emit_update(stored, before, f"{kind}.updated")

    return update


def _retrieve_handler(kind: str) -> Any:
    def retrieve(call: Call) -> Object:
        return public_fields(call.store.get(kind, call.ids[0]))

    return retrieve


def _list_handler(kind: str, values_param: str, values_field: str, *fields: str) -> Any:
    """Return a handler that filters by single values (`fields`) and by a list of values (`ids`, `lookup_keys`)."""

    def list_(call: Call) -> Object:
        items = lists.select(call.store.all(kind), call.params, *fields)
        values = call.params.get(values_param)
        items = (item for item in items if values is None or item[values_field] in values)
        return lists.page(items, call.params, call.path, kind)

    return list_


def _search_handler(kind: str) -> Any:
    def search(call: Call) -> Object:
        return lists.search(call.store.all(kind), call.params, call.path)

    return search


def delete_product(call: Call) -> Object:
    """DELETE /v1/products/:id."""
    product = call.store.get("product", call.ids[0])
    if any(price["product"] == product["id"] for price in call.store.all("price")):
        raise invalid_request("This product cannot be deleted because it has one or more user-created prices.")
    del call.store.objects["product"][product["id"]]
    call.account.emit("product.deleted", product)
    return {"id": product["id"], "object": "product", "deleted": True}


ROUTES = {
    "GET /v1/products/search": _search_handler("product"),
    "GET /v1/prices/search": _search_handler("price"),
    "POST /v1/products": create_product,
    "GET /v1/products": _list_handler("product", "ids", "id", "active", "shippable", "type", "url"),
    "GET /v1/products/*": _retrieve_handler("product"),
    "POST /v1/products/*": _update_handler(
        "product",
        _check_product_update,
        (
            *("active", "default_price", "description", "images", "marketing_features", "name", "shippable"),
            *("statement_descriptor", "tax_code", "unit_label", "url"),
        ),
    ),
    "DELETE /v1/products/*": delete_product,
    "POST /v1/prices": create_price,
    "GET /v1/prices": _list_handler("price", "lookup_keys", "lookup_key", "active", "currency", "product", "type"),
    "GET /v1/prices/*": _retrieve_handler("price"),
    "POST /v1/prices/*": _update_handler(
        "price", _check_price_update, ("active", "lookup_key", "nickname", "tax_behavior")
    ),
}
