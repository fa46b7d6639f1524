"""Coupons and promotion codes. https://docs.stripe.com/api/coupons https://docs.stripe.com/api/promotion_codes"""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stripe_simulator import checks, currencies, lists
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import invalid, unvalidated
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources.customers import active as active_customer
from stripe_simulator.store import Object, shown


def off(coupon: Object, amount: int, currency: str, products: set[str], param: str) -> int:
    """What the coupon takes off a purchase of these products, in minor units, rounded half up.

    StripeError where it is for other products, or for a fixed amount of another currency.
    """
    if coupon["_applies_to"] and not products & set(coupon["_applies_to"]["products"]):
        raise invalid(
            "This coupon cannot be redeemed because it does not apply to anything in this order.", param=param
        )
    if coupon["amount_off"] is not None:
        amounts = {name: option["amount_off"] for name, option in coupon["_currency_options"].items()}
        amounts[coupon["currency"]] = coupon["amount_off"]
        if currency not in amounts:
            message = f"This coupon cannot be redeemed because it is not defined in the currency {currency}."
            raise invalid(message, param=param)
        return min(amount, int(amounts[currency]))
    exact = Decimal(amount) * Decimal(str(coupon["percent_off"])) / 100
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def coupon_now(account: Account, coupon: Object) -> Object:
    """The coupon with `valid` as it is now."""
    used = coupon["max_redemptions"] is not None and coupon["times_redeemed"] >= coupon["max_redemptions"]
    late = coupon["redeem_by"] is not None and coupon["redeem_by"] <= account.clock.now()
    coupon["valid"] = not used and not late
    return coupon


def code_now(account: Account, code: Object) -> Object:
    """The promotion code with `active` as it is now."""
    used = code["max_redemptions"] is not None and code["times_redeemed"] >= code["max_redemptions"]
    late = code["expires_at"] is not None and code["expires_at"] <= account.clock.now()
    coupon = account.store.find("coupon", code["promotion"]["coupon"])
    valid = coupon is not None and coupon_now(account, coupon)["valid"]
    code["active"] = code["_wanted"] and not used and not late and valid
    return code


def check_code(account: Account, code: Object, customer: str | None, amount: int, currency: str, param: str) -> None:
    """StripeError when the code cannot be applied to a purchase of the amount by the customer."""
    if not code_now(account, code)["active"]:
        late = code["expires_at"] is not None and code["expires_at"] <= account.clock.now()
        used = code["max_redemptions"] is not None and code["times_redeemed"] >= code["max_redemptions"]
        why = "expired" if late else "fully redeemed" if used else "not active"
        raise invalid(f"This promotion code is {why}.", param=param)
    if code["customer"] is not None and code["customer"] != customer:
        raise invalid("This promotion code cannot be redeemed by this customer.", param=param)
    rules = code["restrictions"]
    least = {name: option["minimum_amount"] for name, option in code["_currency_options"].items()}
    least |= {rules["minimum_amount_currency"]: rules["minimum_amount"]} if rules["minimum_amount"] is not None else {}
    if least and amount < least.get(currency, amount + 1):
        raise invalid(
            "This promotion code cannot be redeemed because the minimum amount has not been met.", param=param
        )
    if rules["first_time_transaction"] and customer is not None:
        for intent in account.store.all("payment_intent"):
            if intent["customer"] == customer and intent["status"] == "succeeded":
                raise invalid(
                    "This promotion code cannot be redeemed because the associated customer has prior transactions.",
                    param=param,
                )


def _options(given: dict[str, Any]) -> dict[str, dict[str, int]]:
    """`currency_options` with its amounts as numbers."""
    options = given.get("currency_options") or {}
    return {name.lower(): {k: int(v) for k, v in option.items()} for name, option in options.items()}


def _check_future(call: Call, name: str) -> None:
    if name in call.params and call.params[name] <= call.account.clock.now():
        raise unvalidated(f"{name} must be in the future.", param=name)


def create_coupon(call: Call) -> Object:
    """POST /v1/coupons"""
    params = call.params
    if ("percent_off" in params) == ("amount_off" in params):
        raise unvalidated("You must pass exactly one of percent_off or amount_off.", param="percent_off")
    if "amount_off" in params and "currency" not in params:
        raise unvalidated("You must pass currency when passing amount_off.", param="currency")
    checks.at_least(params, "amount_off", 1)
    checks.at_least(params, "max_redemptions", 1)
    _check_future(call, "redeem_by")
    if "currency" in params:
        params["currency"] = currencies.known(params["currency"])
    percent = params.get("percent_off")
    if percent is not None and not 0 < Decimal(percent) <= 100:
        raise unvalidated("percent_off must be between 0 and 100.", param="percent_off")
    id = params.get("id") or call.store.token(8)
    if call.store.find("coupon", id) is not None:
        raise invalid("Coupon already exists.", code="resource_already_exists")
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
        "_currency_options": _options(params),
    }
    call.store.add(coupon)
    call.account.emit("coupon.created", coupon)
    return shown(coupon)


def applies_to(account: Account, coupon: Object) -> Object | None:
    """A coupon's `applies_to`, which is answered only when expanded."""
    found: Object | None = account.store.get("coupon", coupon["id"])["_applies_to"]
    return found


def currency_options(account: Account, coupon: Object) -> Object:
    """A coupon's amounts in other currencies, which are answered only when expanded."""
    return dict(account.store.get("coupon", coupon["id"])["_currency_options"])


def minimum_options(account: Account, code: Object) -> Object:
    """A code's minimum amounts in other currencies, which are answered only when expanded."""
    return dict(account.store.get("promotion_code", code["id"])["_currency_options"])


def get_coupon(call: Call) -> Object:
    """GET /v1/coupons/:id"""
    return shown(coupon_now(call.account, call.store.get("coupon", call.ids[0])))


def update_coupon(call: Call) -> Object:
    """POST /v1/coupons/:id"""
    coupon = call.store.get("coupon", call.ids[0])
    if "name" in call.params:
        coupon["name"] = call.params["name"]
    if "metadata" in call.params:
        coupon["metadata"] = merge_metadata(coupon["metadata"], call.params["metadata"])
    call.account.emit("coupon.updated", coupon, {})
    return shown(coupon)


def delete_coupon(call: Call) -> Object:
    """DELETE /v1/coupons/:id"""
    coupon = call.store.get("coupon", call.ids[0])
    del call.store.objects["coupon"][coupon["id"]]
    call.account.emit("coupon.deleted", coupon)
    return {"id": coupon["id"], "object": "coupon", "deleted": True}


def list_coupons(call: Call) -> Object:
    """GET /v1/coupons"""
    found = (coupon_now(call.account, one) for one in call.store.all("coupon"))
    return lists.page(lists.matching(found, call.params), call.params, call.path, "coupon")


def _promotion(call: Call) -> Object:
    if "coupon" in call.params:  # the CLI's way, which names no version
        return {"coupon": call.params["coupon"], "type": "coupon"}
    promotion: Object = call.params["promotion"]
    return {"coupon": promotion.get("coupon"), "type": "coupon"}


def create_code(call: Call) -> Object:
    """POST /v1/promotion_codes"""
    params, promotion = call.params, _promotion(call)
    call.store.get("coupon", promotion["coupon"] or "", param="promotion[coupon]")
    if params.get("customer"):
        active_customer(call.account, params["customer"], param="customer")
    checks.at_least(params, "max_redemptions", 1)
    _check_future(call, "expires_at")
    text = params.get("code") or call.store.token(8).upper()
    if not re.fullmatch(r"[A-Za-z0-9-]{1,500}", text):
        raise unvalidated("A code has letters, digits and dashes only.", param="code")
    for other in call.store.all("promotion_code"):
        same = None in (params.get("customer"), other["customer"]) or params["customer"] == other["customer"]
        if same and other["code"].lower() == text.lower() and code_now(call.account, other)["active"]:
            raise invalid(f"An active promotion code with `code: {text}` already exists.")
    given: dict[str, Any] = params.get("restrictions") or {}
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
            "first_time_transaction": given.get("first_time_transaction", False),
            "minimum_amount": given.get("minimum_amount"),
            "minimum_amount_currency": given.get("minimum_amount_currency"),
        },
        "times_redeemed": 0,
        "_wanted": params.get("active", True),
        "_currency_options": _options(given),
    }
    call.store.add(code)
    call.account.emit("promotion_code.created", code)
    return shown(code)


def get_code(call: Call) -> Object:
    """GET /v1/promotion_codes/:id"""
    return shown(code_now(call.account, call.store.get("promotion_code", call.ids[0])))


def update_code(call: Call) -> Object:
    """POST /v1/promotion_codes/:id"""
    code = call.store.get("promotion_code", call.ids[0])
    if "active" in call.params:
        code["_wanted"] = call.params["active"]
    if "metadata" in call.params:
        code["metadata"] = merge_metadata(code["metadata"], call.params["metadata"])
    code_now(call.account, code)
    call.account.emit("promotion_code.updated", code, {})
    return shown(code)


def list_codes(call: Call) -> Object:
    """GET /v1/promotion_codes?active&code&coupon&customer"""
    found = (code_now(call.account, one) for one in call.store.all("promotion_code"))
    wanted = call.params.get("code")
    chosen = (
        one
        for one in lists.matching(found, call.params, "active", "customer")
        if (wanted is None or one["code"].lower() == wanted.lower())
        and call.params.get("coupon") in (None, one["promotion"]["coupon"])
    )
    return lists.page(chosen, call.params, call.path, "promotion code")


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
