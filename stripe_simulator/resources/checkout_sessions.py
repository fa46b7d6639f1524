"""Checkout Sessions of mode payment. https://docs.stripe.com/api/checkout/sessions

A session's PaymentIntent does not exist before somebody tries to pay.
"""

from typing import Any

from stripe_simulator import checks, currencies, lists
from stripe_simulator.account import Account, Call, later
from stripe_simulator.errors import invalid, unvalidated
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import coupons, payment_intents, payment_methods, payments, products
from stripe_simulator.resources.customers import active
from stripe_simulator.store import Object, shown

DAY_S, HALF_HOUR_S, MOST_ITEMS = 24 * 3600, 1800, 100


def _line_items(account: Account, given: list[Object]) -> list[Object]:
    rows = []
    if len(given) > MOST_ITEMS:
        raise unvalidated(f"You may pass up to {MOST_ITEMS} line items.", param="line_items")
    for index, one in enumerate(given):
        at = f"line_items[{index}]"
        if "price" in one:
            price = account.store.get("price", one["price"], param=f"{at}[price]")
            if not price["active"]:
                message = "The price specified is inactive. This field only accepts active prices."
                raise invalid(message, param=f"{at}[price]")
        elif "price_data" in one:
            price = products.new_price(account, one["price_data"])
            price["active"] = False
        else:
            raise unvalidated(f"You must pass price or price_data in {at}.", param=at)
        quantity = one.get("quantity")
        if not quantity:
            raise unvalidated(f"Quantity is required. Add `quantity` to `{at}`.", param=f"{at}[quantity]")
        total = price["unit_amount"] * quantity
        product = account.store.get("product", price["product"])
        rows.append(
            {
                "id": f"li_1{account.store.token(23)}",
                "object": "item",
                "adjustable_quantity": None,
                "amount_discount": 0,
                "amount_subtotal": total,
                "amount_tax": 0,
                "amount_total": total,
                "currency": price["currency"],
                "description": product["name"],
                "metadata": one.get("metadata") or {},
                "price": shown(price),
                "quantity": quantity,
            }
        )
    if len({row["currency"] for row in rows}) > 1:
        raise unvalidated("All line items must have the same currency.", param="line_items")
    if not rows:
        raise unvalidated("Missing required param: line_items.", code="parameter_missing", param="line_items")
    return rows


def _discount(account: Account, params: dict[str, Any], items: list[Object]) -> tuple[list[Object], int]:
    given = params.get("discounts") or []
    subtotal, currency = sum(item["amount_total"] for item in items), items[0]["currency"]
    products = {item["price"]["product"] for item in items}
    if given and "allow_promotion_codes" in params:
        raise unvalidated("You may only specify one of these parameters: allow_promotion_codes, discounts.")
    if len(given) > 1:
        raise unvalidated("You may only pass one discount.", param="discounts")
    found, taken = [], 0
    for one in given:
        if ("promotion_code" in one) == ("coupon" in one):
            raise unvalidated(
                "You may only specify one of these parameters: coupon, promotion_code.", param="discounts"
            )
        if "promotion_code" in one:
            at = "discounts[0][promotion_code]"
            code = account.store.get("promotion_code", one["promotion_code"], param=at)
            coupons.check_code(account, code, params.get("customer"), subtotal, currency, at)
            coupon = account.store.get("coupon", code["promotion"]["coupon"])
        else:
            at = "discounts[0][coupon]"
            coupon = account.store.get("coupon", one.get("coupon", ""), param=at)
            if not coupons.coupon_now(account, coupon)["valid"]:
                raise invalid(f"Coupon {coupon['id']} is expired and cannot be applied.", param=at)
        taken += coupons.off(coupon, subtotal, currency, products, at)
        found.append(
            {
                "coupon": None if "promotion_code" in one else coupon["id"],
                "promotion_code": one.get("promotion_code"),
                "_coupon": coupon["id"],
            }
        )
    return found, taken


def create(call: Call) -> Object:
    """POST /v1/checkout/sessions"""
    account, params = call.account, call.params
    if params.get("mode") != "payment":
        raise unvalidated("The simulator has Checkout Sessions of mode `payment` only.", param="mode")
    if params.get("customer"):
        active(account, params["customer"], param="customer")
        if params.get("customer_email"):
            raise unvalidated("You may only specify one of these parameters: customer, customer_email.")
    hosted = params.get("ui_mode", "hosted_page") == "hosted_page"
    if hosted and not params.get("success_url"):
        raise unvalidated("Missing required param: success_url.", code="parameter_missing", param="success_url")
    for name in ("success_url", "cancel_url", "return_url"):
        checks.url({name: (params.get(name) or "").replace("{CHECKOUT_SESSION_ID}", "cs")}, name)
    checks.email(params, "customer_email")
    now = account.clock.unix()
    expires = params.get("expires_at", now + DAY_S)
    if not now + HALF_HOUR_S - 60 <= expires <= now + DAY_S + 60:
        raise unvalidated(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    items = _line_items(account, params.get("line_items") or [])
    subtotal = sum(item["amount_total"] for item in items)
    found, taken = _discount(account, params, items)
    currency = items[0]["currency"]
    least, most = currencies.SMALLEST[currency], currencies.LARGEST
    if 0 < subtotal - taken < least:
        message = f"The Checkout Session's total amount must be 0, or at least {currencies.written(least, currency)}."
        raise invalid(message, code="amount_too_small")
    if subtotal - taken > most:
        message = f"The Checkout Session's total amount must be no more than {currencies.written(most, currency)}."
        raise invalid(message, code="amount_too_large")
    types = params.get("payment_method_types")
    if params.get("currency", currency) != currency:
        raise unvalidated(f"The line items are in {currency}, not in {params['currency']}.", param="currency")
    session = _new(account, params, currency, subtotal, taken)
    session["payment_method_types"] = types or payments.fitting(
        [
            kind
            for kind in params.get("allowed_payment_method_types") or payment_intents.ENABLED
            if kind not in params.get("excluded_payment_method_types", [])
        ],
        currency,
    )
    _spread(items, taken)
    session |= {"_items": items, "_discounts": found, "expires_at": expires}
    session["discounts"] = [{k: v for k, v in one.items() if not k.startswith("_")} for one in found]
    session["url"] = f"{account.url}/c/pay/{session['id']}" if hosted else None
    account.store.add(session)
    account.after("session.expire", session["id"], seconds=expires - account.clock.now())
    return shown(session)


def _spread(items: list[Object], taken: int) -> None:
    for item in items:
        part = min(taken, item["amount_subtotal"])
        item["amount_discount"], item["amount_total"] = part, item["amount_subtotal"] - part
        taken -= part


def _new(account: Account, params: dict[str, Any], currency: str, subtotal: int, taken: int) -> Object:
    id = f"cs_test_a1{account.store.token(56)}"
    data = params.get("payment_intent_data") or {}
    return {
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": (params.get("adaptive_pricing") or {}).get("enabled", True)},
        "after_expiration": None,
        "allow_promotion_codes": params.get("allow_promotion_codes"),
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "amount_subtotal": subtotal,
        "amount_total": subtotal - taken,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": params.get("billing_address_collection"),
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": account.clock.unix(),
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": params.get("customer"),
        "customer_account": None,
        "customer_creation": None if params.get("customer") else params.get("customer_creation", "if_required"),
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "discounts": [],
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": params.get("locale"),
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "mode": "payment",
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": params.get("payment_method_options") or {},
        "payment_method_types": [],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "return_url": params.get("return_url"),
        "saved_payment_method_options": params.get("saved_payment_method_options"),
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": params.get("submit_type"),
        "subscription": None,
        "success_url": params.get("success_url"),
        "total_details": {"amount_discount": taken, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": params.get("ui_mode", "hosted_page"),
        "url": None,
        "wallet_options": None,
        "_intent_data": data,
    }


def pay(
    account: Account, session: Object, method: Object | None, *, email: str | None = None, save: bool = False
) -> None:
    """What the hosted page does when somebody presses Pay. Raises StripeError 402 for a decline."""
    if session["status"] != "open":
        raise invalid(f"This Checkout Session is {session['status']}.")
    session["_email"] = email
    for one in session["_discounts"]:
        if one["promotion_code"]:
            code = account.store.get("promotion_code", one["promotion_code"])
            asked = session["amount_subtotal"], session["currency"]
            coupons.check_code(account, code, session["customer"], *asked, "discounts")
    if session["amount_total"] == 0:
        _complete(account, session, "no_payment_required")
        return
    if method is None:
        raise unvalidated("A payment method is needed.", param="payment_method")
    intent = _intent(account, session)
    wants = (session["saved_payment_method_options"] or {}).get("payment_method_save") == "enabled"
    if save and wants and session["customer"]:
        intent["setup_future_usage"] = intent["setup_future_usage"] or "on_session"
        intent["_ticked"] = True
    page = f"{account.url}/c/pay/{session['id']}"
    payments.pay(account, intent, method, return_url=page)


def _intent(account: Account, session: Object) -> Object:
    if session["payment_intent"] is not None:
        return account.store.get("payment_intent", session["payment_intent"])
    data = session["_intent_data"]
    if session["customer"] is None and (session["customer_creation"] == "always" or data.get("setup_future_usage")):
        session["customer"] = _customer(account, session)
    params = {k: v for k, v in data.items() if k not in ("application_fee_amount", "transfer_data", "on_behalf_of")}
    params |= {
        "amount": session["amount_total"],
        "currency": session["currency"],
        "customer": session["customer"],
        "payment_method_types": list(session["payment_method_types"]),
    }
    intent = payment_intents.new(account, params)
    intent["allowed_payment_method_types"] = session["allowed_payment_method_types"]
    intent["_session"] = session["id"]
    session["payment_intent"] = intent["id"]
    return account.store.add(intent)


def _customer(account: Account, session: Object) -> str:
    from stripe_simulator.resources import customers

    email = session.get("_email") or session["customer_email"]
    call = Call(account, "POST", "/v1/customers", {"email": email} if email else {}, [])
    return str(customers.create(call)["id"])


def _complete(account: Account, session: Object, status: str) -> None:
    session["status"], session["payment_status"], session["url"] = "complete", status, None
    customer = account.store.find("customer", session["customer"] or "") or {}
    email = session.get("_email") or session["customer_email"] or customer.get("email")
    session["customer_details"] = {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": customer.get("name"),
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }
    for one in session["_discounts"]:
        account.store.get("coupon", one["_coupon"])["times_redeemed"] += 1
        if one["promotion_code"]:
            account.store.get("promotion_code", one["promotion_code"])["times_redeemed"] += 1
    account.emit("checkout.session.completed", session)


def _of(account: Account, intent: Object) -> Object | None:
    return account.store.find("checkout.session", intent["_session"]) if intent.get("_session") else None


def paid(account: Account, intent: Object, charge: Object) -> None:
    """The money came: now, or days after the session was completed."""
    session = _of(account, intent)
    if session is None:
        return
    if session["status"] == "open":
        _complete(account, session, "paid")
    elif session["payment_status"] == "unpaid":
        session["payment_status"] = "paid"
        account.emit("checkout.session.async_payment_succeeded", session)


def processing(account: Account, intent: Object, charge: Object) -> None:
    """A delayed method was accepted: complete, and not paid yet."""
    session = _of(account, intent)
    if session is not None and session["status"] == "open":
        _complete(account, session, "unpaid")


def failed(account: Account, intent: Object, charge: Object) -> None:
    """A delayed payment failed: the session stays complete and unpaid for ever."""
    session = _of(account, intent)
    if session is not None:
        account.emit("checkout.session.async_payment_failed", session)


payments.PAID.append(paid)
payments.FAILED.append(failed)
payments.PROCESSING.append(processing)


def _expire(account: Account, session: Object) -> None:
    session["status"], session["url"] = "expired", None
    intent = account.store.find("payment_intent", session["payment_intent"] or "")
    if intent is not None and intent["status"] in payment_intents.CANCELABLE:
        payment_intents.close(account, intent, "automatic")
    account.emit("checkout.session.expired", session)


@later("session.expire")
def _expires(account: Account, id: str) -> None:
    session = account.store.find("checkout.session", id)
    if session is not None and session["status"] == "open":
        _expire(account, session)


def expire(call: Call) -> Object:
    """POST /v1/checkout/sessions/:id/expire, only from open"""
    session = call.store.get("checkout.session", call.ids[0])
    if session["status"] != "open":
        raise invalid(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a '
            f"status of {session['status']}."
        )
    _expire(call.account, session)
    return shown(session)


def retrieve(call: Call) -> Object:
    """GET /v1/checkout/sessions/:id"""
    return shown(call.store.get("checkout.session", call.ids[0]))


def update(call: Call) -> Object:
    """POST /v1/checkout/sessions/:id: metadata"""
    session = call.store.get("checkout.session", call.ids[0])
    if "metadata" in call.params:
        session["metadata"] = merge_metadata(session["metadata"], call.params["metadata"])
    return shown(session)


def list_(call: Call) -> Object:
    """GET /v1/checkout/sessions?customer&payment_intent&status&created"""
    chosen = lists.matching(call.store.all("checkout.session"), call.params, "customer", "payment_intent", "status")
    return lists.page(chosen, call.params, call.path, "checkout.session")


def line_items(call: Call) -> Object:
    """GET /v1/checkout/sessions/:id/line_items"""
    session = call.store.get("checkout.session", call.ids[0])
    return lists.page(reversed(session["_items"]), call.params, call.path, "line item")


def items_of(account: Account, session: Object) -> Object:
    """A session's `line_items`, which is answered only when expanded."""
    stored = account.store.get("checkout.session", session["id"])
    return lists.page(reversed(stored["_items"]), {}, f"/v1/checkout/sessions/{session['id']}/line_items")


def payment_page(call: Call) -> Object:
    """GET /v1/payment_pages/:session, as the CLI asks"""
    session = call.store.get("checkout.session", call.ids[0])
    return shown(session) | {"object": "checkout.session", "session_id": session["id"]}


def confirm_page(call: Call) -> Object:
    """POST /v1/payment_pages/:session/confirm, as the CLI pays"""
    session = call.store.get("checkout.session", call.ids[0])
    expected = call.form.get("expected_amount")
    if expected is not None and str(expected) != str(session["amount_total"]):
        raise invalid("The expected amount does not match the session's.", param="expected_amount")
    given = call.form.get("payment_method")
    method = payment_methods.resolve(call.account, given) if isinstance(given, str) else None
    pay(call.account, session, method)
    return shown(session)


ROUTES = {
    "POST /v1/checkout/sessions": create,
    "GET /v1/checkout/sessions": list_,
    "GET /v1/checkout/sessions/*": retrieve,
    "POST /v1/checkout/sessions/*": update,
    "POST /v1/checkout/sessions/*/expire": expire,
    "GET /v1/checkout/sessions/*/line_items": line_items,
    "GET /v1/payment_pages/*": payment_page,
    "POST /v1/payment_pages/*/confirm": confirm_page,
}
