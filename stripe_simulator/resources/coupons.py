"""Coupons and promotion codes.

https://docs.stripe.com/api/coupons
https://docs.stripe.com/api/promotion_codes
"""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stripe_simulator import currencies, lists, validation
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import invalid_request, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.store import Object, public_fields


def discount_amount(coupon: Object, amount: int, currency: str, products: set[str], param: str) -> int:
    """Return the coupon's discount on a purchase of these products, in minor units, rounded half up.

    Raises StripeError if the coupon applies only to other products, or has no amount in the currency.
    """
    if coupon["_applies_to"] and not products & set(coupon["_applies_to"]["products"]):
        raise invalid_request(
            "This coupon cannot be redeemed because it does not apply to anything in this order.", param=param
        )
    if coupon["amount_off"] is not None:
        amounts = {name: option["amount_off"] for name, option in coupon["_currency_options"].items()}
        amounts[coupon["currency"]] = coupon["amount_off"]
        if currency not in amounts:
            message = f"This coupon cannot be redeemed because it is not defined in the currency {currency}."
            raise invalid_request(message, param=param)
        return min(amount, int(amounts[currency]))
    exact = Decimal(amount) * Decimal(str(coupon["percent_off"])) / 100
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def _is_redeemed(stored: Object) -> bool:
    """Return whether a coupon or a promotion code has reached its maximum number of redemptions."""
    return stored["max_redemptions"] is not None and stored["times_redeemed"] >= stored["max_redemptions"]


def _is_past(account: Account, timestamp: int | None) -> bool:
    return timestamp is not None and timestamp <= account.clock.now()


def refresh_coupon(account: Account, coupon: Object) -> Object:
    """Update and return the coupon: `valid` depends on its redemptions and the time."""
    is_valid = not _is_redeemed(coupon) and not _is_past(account, coupon["redeem_by"])
    if coupon["valid"] != is_valid:
        account.store.keep(coupon)
        coupon["valid"] = is_valid
    return coupon


def refresh_code(account: Account, code: Object) -> Object:
    """Update and return the promotion code: `active` depends on its redemptions, its coupon and the time."""
    coupon = account.store.find("coupon", code["promotion"]["coupon"])
    is_coupon_valid = coupon is not None and refresh_coupon(account, coupon)["valid"]
    is_usable = not _is_redeemed(code) and not _is_past(account, code["expires_at"]) and is_coupon_valid
    is_active = code["_active"] and is_usable
    if code["active"] != is_active:
        account.store.keep(code)
        code["active"] = is_active
    return code


def check_code(
    account: Account, code: Object, customer: str | None, amount: int, currency: str, param: str | None
) -> None:
    """Raise StripeError if the promotion code does not apply to a purchase of the amount by the customer."""
    if not refresh_code(account, code)["active"]:
        is_expired = _is_past(account, code["expires_at"])
        reason = "expired" if is_expired else "fully redeemed" if _is_redeemed(code) else "not active"
        raise invalid_request(f"This promotion code is {reason}.", param=param)
    if code["customer"] is not None and code["customer"] != customer:
        raise invalid_request("This promotion code cannot be redeemed by this customer.", param=param)
    restrictions = code["restrictions"]
    minimums = {name: option["minimum_amount"] for name, option in code["_currency_options"].items()}
    if restrictions["minimum_amount"] is not None:
        minimums[restrictions["minimum_amount_currency"]] = restrictions["minimum_amount"]
    if minimums and amount < minimums.get(currency, amount + 1):
        raise invalid_request(
            "This promotion code cannot be redeemed because the minimum amount has not been met.", param=param
        )
    if restrictions["first_time_transaction"] and customer is not None:
        for intent in account.store.all("payment_intent"):
            if intent["customer"] == customer and intent["status"] == "succeeded":
                raise invalid_request(
                    "This promotion code cannot be redeemed because the associated customer has prior transactions.",
                    param=param,
                )


def _currency_options(params: dict[str, Any], path: str) -> dict[str, dict[str, int]]:
    """Return `currency_options` by currency in lower case. Raises StripeError for an amount below 1."""
    options: dict[str, dict[str, int]] = {}
    for name, option in (params.get("currency_options") or {}).items():
        for field, amount in option.items():
            param = f"{path}[{name}][{field}]"
            validation.check_minimum({param: amount}, param, 1)
        options[currencies.parse(name, f"{path}[{name}]")] = option
    return options


def _check_future(call: Call, name: str) -> None:
    if name in call.params and call.params[name] <= call.account.clock.now():
        raise validation_error(f"{name} must be in the future.", param=name)


def create_coupon(call: Call) -> Object:
    """POST /v1/coupons."""
    params = call.params
    if "percent_off" not in params and "amount_off" not in params:
        raise validation_error("Must provide percent_off or amount_off.", code="parameter_missing")
    if "percent_off" in params and "amount_off" in params:
        message = "Received both percent_off and amount_off parameters. Please pass in only one."
        raise validation_error(message)
    if "amount_off" in params and "currency" not in params:
        raise validation_error("You must pass currency when passing amount_off", param="currency")
    if params.get("duration") == "repeating" and "duration_in_months" not in params:
        message = "The duration_in_months param must be set when creating a coupon with a repeating duration"
        raise validation_error(message, param="duration")
    validation.check_minimum(params, "duration_in_months", 1)
    validation.check_minimum(params, "amount_off", 1)
    validation.check_minimum(params, "max_redemptions", 1)
    _check_future(call, "redeem_by")
    if "currency" in params:
        params["currency"] = currencies.parse(params["currency"])
    percent = params.get("percent_off")
    if percent is not None and not 0 < Decimal(percent) <= 100:
        raise validation_error("percent_off must be between 0 and 100.", param="percent_off")
    id = params.get("id") or call.store.token(8)
    if call.store.find("coupon", id) is not None:
        raise invalid_request("Coupon already exists.", code="resource_already_exists")
    coupon: Object = {
        "id": id,
        "object": "coupon",
        "amount_off": params.get("amount_off"),
        "created": call.account.clock.unix(),
        "currency": params.get("currency"),
        "duration": params.get("duration", "once"),
        "duration_in_months": params.get("duration_in_months"),
        "livemode": False,
        "max_redemptions": params.get("max_redemptions"),
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "name": params.get("name"),
        "percent_off": None if percent is None else float(percent),
        "redeem_by": params.get("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
        "_applies_to": params.get("applies_to"),
        "_currency_options": _currency_options(params, "currency_options"),
    }
    call.store.add(coupon)
    call.account.emit("coupon.created", coupon)
    return public_fields(coupon)


def expand_applies_to(account: Account, coupon: Object) -> Object | None:
    """Return a coupon's `applies_to`, which responses include only if expanded."""
    products: Object | None = account.store.get("coupon", coupon["id"])["_applies_to"]
    return products


def expand_currency_options(account: Account, coupon: Object) -> Object:
    """Return a coupon's amounts in other currencies, which responses include only if expanded."""
    return dict(account.store.get("coupon", coupon["id"])["_currency_options"])


def expand_minimum_amounts(account: Account, code: Object) -> Object:
    """Return a code's minimum amounts in other currencies, which responses include only if expanded."""
    return dict(account.store.get("promotion_code", code["id"])["_currency_options"])


def get_coupon(call: Call) -> Object:
    """GET /v1/coupons/:id."""
    return public_fields(refresh_coupon(call.account, call.store.get("coupon", call.ids[0])))


def update_coupon(call: Call) -> Object:
    """POST /v1/coupons/:id."""
    coupon = refresh_coupon(call.account, call.store.get("coupon", call.ids[0]))
    before = public_fields(coupon)
    if "name" in call.params:
        coupon["name"] = call.params["name"]
    if "metadata" in call.params:
        coupon["metadata"] = merge_metadata(coupon["metadata"], call.params["metadata"])
    coupon["_currency_options"] |= _currency_options(call.params, "currency_options")
    return call.account.emit_update(coupon, before, "coupon.updated")


def delete_coupon(call: Call) -> Object:
    """DELETE /v1/coupons/:id."""
    coupon = call.store.get("coupon", call.ids[0])
    del call.store.objects["coupon"][coupon["id"]]
    call.account.emit("coupon.deleted", coupon)
    return {"id": coupon["id"], "object": "coupon", "deleted": True}


def list_coupons(call: Call) -> Object:
    """GET /v1/coupons."""
    coupons = (refresh_coupon(call.account, one) for one in call.store.all("coupon"))
    return lists.page(lists.select(coupons, call.params), call.params, call.path, "coupon")


def _promotion(call: Call) -> Object:
    if "coupon" in call.params:  # from the CLI, which sends no API version
        return {"coupon": call.params["coupon"], "type": "coupon"}
    promotion: Object = call.params["promotion"]
    return {"coupon": promotion.get("coupon"), "type": "coupon"}


def _check_minimum_amount(restrictions: dict[str, Any]) -> None:
    """Raise StripeError if the minimum amount has no currency, or one that is not supported."""
    if "minimum_amount" in restrictions and "minimum_amount_currency" not in restrictions:
        message = "You must pass minimum_amount_currency when passing minimum_amount"
        raise validation_error(message, param="minimum_amount_currency")
    if "minimum_amount_currency" in restrictions:
        currency = restrictions["minimum_amount_currency"]
        name = "restrictions[minimum_amount_currency]"
        restrictions["minimum_amount_currency"] = currencies.parse(currency, name)


def create_code(call: Call) -> Object:
    """POST /v1/promotion_codes."""
    params, promotion = call.params, _promotion(call)
    restrictions: dict[str, Any] = params.get("restrictions") or {}
    _check_minimum_amount(restrictions)
    call.store.get("coupon", promotion["coupon"] or "", param="promotion[coupon]")
    if params.get("customer"):
        call.store.get_active("customer", params["customer"], param="customer")
    validation.check_minimum(params, "max_redemptions", 1)
    _check_future(call, "expires_at")
    text = params.get("code") or call.store.token(8).upper()
    if not re.fullmatch(r"[A-Za-z0-9-]{1,500}", text):
        raise validation_error("A code may only contain letters, digits and dashes.", param="code")
    for other in call.store.all("promotion_code"):
        overlaps = None in (params.get("customer"), other["customer"]) or params["customer"] == other["customer"]
        if overlaps and other["code"].lower() == text.lower() and refresh_code(call.account, other)["active"]:
            raise invalid_request(f"An active promotion code with `code: {text}` already exists.")
    code: Object = {
        "id": f"promo_1{call.store.token(23)}",
        "object": "promotion_code",
        "active": params.get("active", True),
        "code": text,
        "created": call.account.clock.unix(),
        "customer": params.get("customer"),
        "customer_account": None,
        "expires_at": params.get("expires_at"),
        "livemode": False,
        "max_redemptions": params.get("max_redemptions"),
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "promotion": promotion,
        "restrictions": {
            "first_time_transaction": restrictions.get("first_time_transaction", False),
            "minimum_amount": restrictions.get("minimum_amount"),
            "minimum_amount_currency": restrictions.get("minimum_amount_currency"),
        },
        "times_redeemed": 0,
        "_active": params.get("active", True),
        "_currency_options": _currency_options(restrictions, "restrictions[currency_options]"),
    }
    call.store.add(code)
    call.account.emit("promotion_code.created", code)
    return public_fields(code)


def get_code(call: Call) -> Object:
    """GET /v1/promotion_codes/:id."""
    return public_fields(refresh_code(call.account, call.store.get("promotion_code", call.ids[0])))


def update_code(call: Call) -> Object:
    """POST /v1/promotion_codes/:id."""
    code = refresh_code(call.account, call.store.get("promotion_code", call.ids[0]))
    before = public_fields(code)
    if "active" in call.params:
        code["_active"] = call.params["active"]
    if "metadata" in call.params:
        code["metadata"] = merge_metadata(code["metadata"], call.params["metadata"])
    restrictions: dict[str, Any] = call.params.get("restrictions") or {}
    code["_currency_options"] |= _currency_options(restrictions, "restrictions[currency_options]")
    refresh_code(call.account, code)
    return call.account.emit_update(code, before, "promotion_code.updated")


def list_codes(call: Call) -> Object:
    """GET /v1/promotion_codes?active&code&coupon&customer."""
    codes = (refresh_code(call.account, one) for one in call.store.all("promotion_code"))
    text = call.params.get("code")
    codes = (
        code
        for code in lists.select(codes, call.params, "active", "customer")
        if (text is None or code["code"].lower() == text.lower())
        and call.params.get("coupon") in (None, code["promotion"]["coupon"])
    )
    return lists.page(codes, call.params, call.path, "promotion code")


ROUTES = {
    "POST /v1/coupons": create_coupon,
    "GET /v1/coupons": list_coupons,
    "GET /v1/coupons/*": get_coupon,
    "POST /v1/coupons/*": update_coupon,
    "DELETE /v1/coupons/*": delete_coupon,
    "POST /v1/promotion_codes": create_code,
    "GET /v1/promotion_codes": list_codes,
    "GET /v1/promotion_codes/*": get_code,
    "POST /v1/promotion_codes/*": update_code,
}
