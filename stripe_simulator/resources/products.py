"""Products and prices. https://docs.stripe.com/api/products https://docs.stripe.com/api/prices"""

from typing import Any

from stripe_simulator import checks, currencies, lists
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import invalid, unvalidated
from stripe_simulator.params import merge_metadata
from stripe_simulator.store import Object, shown


def new_product(account: Account, params: dict[str, Any]) -> Object:
    """A new product."""
    if params.get("id") and account.store.find("product", params["id"]) is not None:
        raise invalid(f"Product already exists: {params['id']}.", code="resource_already_exists", param="id")
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
        "package_dimensions": None,
        "shippable": params.get("shippable"),
        "statement_descriptor": params.get("statement_descriptor"),
        "tax_code": params.get("tax_code"),
        "type": "service",
        "unit_label": params.get("unit_label"),
        "updated": account.clock.unix(),
        "url": params.get("url"),
    }
    account.store.add(product)
    account.emit("product.created", product)
    return product


def new_price(account: Account, params: dict[str, Any]) -> Object:
    """A new price, with its product when it describes one."""
    if params.get("product_data"):
        product = new_product(account, params["product_data"])["id"]
    else:
        if not params.get("product"):
            raise unvalidated("Missing required param: product.", code="parameter_missing", param="product")
        product = account.store.get("product", params["product"], param="product")["id"]
    if "unit_amount" not in params:
        raise unvalidated("Missing required param: unit_amount.", code="parameter_missing", param="unit_amount")
    checks.at_least(params, "unit_amount", 0)
    price: Object = {
        "id": f"price_1{account.store.token(23)}",
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": "per_unit",
        "created": account.clock.unix(),
        "currency": currencies.known(params["currency"]),
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
    """POST /v1/products"""
    product = new_product(call.account, call.params)
    if call.params.get("default_price_data"):
        data = call.params["default_price_data"] | {"product": product["id"]}
        product["default_price"] = new_price(call.account, data)["id"]
    return shown(product)


def create_price(call: Call) -> Object:
    """POST /v1/prices"""
    return shown(new_price(call.account, call.params))


def _updater(kind: str, fields: tuple[str, ...]) -> Any:
    def update(call: Call) -> Object:
        found = call.store.get(kind, call.ids[0])
        before = shown(found)
        for name in fields:
            if name in call.params:
                found[name] = call.params[name] if call.params[name] != "" else None
        if "metadata" in call.params:
            found["metadata"] = merge_metadata(found["metadata"], call.params["metadata"])
        changed = {name: before[name] for name in before if before[name] != found[name]}
        if changed:
            call.account.emit(f"{kind}.updated", found, changed)
        return shown(found)

    return update


def _getter(kind: str) -> Any:
    def retrieve(call: Call) -> Object:
        return shown(call.store.get(kind, call.ids[0]))

    return retrieve


def _lister(kind: str, many: str, one: str, *fields: str) -> Any:
    """Lists by its fields, and by several values of one: `ids`, `lookup_keys`."""

    def list_(call: Call) -> Object:
        found = lists.matching(call.store.all(kind), call.params, *fields)
        wanted = call.params.get(many)
        chosen = (each for each in found if wanted is None or each[one] in wanted)
        return lists.page(chosen, call.params, call.path, kind)

    return list_


def _searcher(kind: str) -> Any:
    def search(call: Call) -> Object:
        return lists.search(call.store.all(kind), call.params, call.path)

    return search


def delete_product(call: Call) -> Object:
    """DELETE /v1/products/:id"""
    product = call.store.get("product", call.ids[0])
    if any(price["product"] == product["id"] for price in call.store.all("price")):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    del call.store.objects["product"][product["id"]]
    call.account.emit("product.deleted", product)
    return {"id": product["id"], "object": "product", "deleted": True}


ROUTES = {
    "GET /v1/products/search": _searcher("product"),
    "GET /v1/prices/search": _searcher("price"),
    "POST /v1/products": create_product,
    "GET /v1/products": _lister("product", "ids", "id", "active", "shippable", "url"),
    "GET /v1/products/*": _getter("product"),
    "POST /v1/products/*": _updater("product", ("active", "default_price", "description", "images", "name", "url")),
    "DELETE /v1/products/*": delete_product,
    "POST /v1/prices": create_price,
    "GET /v1/prices": _lister("price", "lookup_keys", "lookup_key", "active", "currency", "product", "type"),
    "GET /v1/prices/*": _getter("price"),
    "POST /v1/prices/*": _updater("price", ("active", "lookup_key", "nickname", "tax_behavior")),
}
