"""Checkout Sessions of mode payment.

https://docs.stripe.com/api/checkout/sessions

A session has no PaymentIntent before the first attempt to pay.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from stripe_simulator import currencies, lists, validation
from stripe_simulator.account import Account, Call, task
from stripe_simulator.errors import invalid_request, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import (
    coupons,
    customers,
    invoices,
    mandates,
    payment_intents,
    payment_methods,
    payments,
    products,
    tax_ids,
)
from stripe_simulator.store import Object, public_fields

DAY_S, HALF_HOUR_S, MAX_LINE_ITEMS = 24 * 3600, 1800, 100
CUSTOM_TEXTS = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")


def _price(account: Account, item: Object, name: str) -> Object:
    """Return the price of a line item: an existing one, or a new one from `price_data`, which stays inactive."""
    if "price" in item:
        price = account.store.get("price", item["price"], param=f"{name}[price]")
        if not price["active"]:
            message = "The price specified is inactive. This field only accepts active prices."
            raise invalid_request(message, param=f"{name}[price]")
        if not account.store.get("product", price["product"])["active"]:
            message = f"Price `{price['id']}` is not available to be purchased because its product is not active."
            raise invalid_request(message, param=f"{name}[price]")
        return price
    if "price_data" not in item:
        raise validation_error(f"You must pass price or price_data in {name}.", param=name)
    price = products.new_price(account, item["price_data"], f"{name}[price_data]")
    price["active"] = False
    if not account.store.get("product", price["product"])["active"]:
        message = f"Product `{price['product']}` is not available to be purchased because it is not active."
        raise invalid_request(message, param=f"{name}[price_data][product]")
    return price


def _line_items(account: Account, params: list[Object]) -> list[Object]:
    items = []
    if len(params) > MAX_LINE_ITEMS:
        raise validation_error(f"You may pass up to {MAX_LINE_ITEMS} line items.", param="line_items")
    for index, item in enumerate(params):
        name = f"line_items[{index}]"
        price = _price(account, item, name)
        quantity = item.get("quantity")
        if not quantity:
            raise validation_error(f"Quantity is required. Add `quantity` to `{name}`.", param=f"{name}[quantity]")
        total = price["unit_amount"] * quantity
        product = account.store.get("product", price["product"])
        items.append(
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
                "metadata": item.get("metadata") or {},
                "price": public_fields(price),
                "quantity": quantity,
            }
        )
    if len({item["currency"] for item in items}) > 1:
        raise validation_error("All line items must have the same currency.", param="line_items")
    if not items:
        raise validation_error("Missing required param: line_items.", code="parameter_missing", param="line_items")
    return items


def _discounts(account: Account, params: dict[str, Any], items: list[Object]) -> tuple[list[Object], int]:
    """Return the session's discounts and their total amount."""
    discount_params = params.get("discounts") or []
    subtotal, currency = sum(item["amount_total"] for item in items), items[0]["currency"]
    products = {item["price"]["product"] for item in items}
    if discount_params and "allow_promotion_codes" in params:
        raise validation_error("You may only specify one of these parameters: allow_promotion_codes, discounts.")
    if len(discount_params) > 1:
        raise validation_error("You may only pass one discount.", param="discounts")
    discounts, discount_total = [], 0
    for discount in discount_params:
        if ("promotion_code" in discount) == ("coupon" in discount):
            raise validation_error(
                "You may only specify one of these parameters: coupon, promotion_code.", param="discounts"
            )
        if "promotion_code" in discount:
            name = "discounts[0][promotion_code]"
            code = account.store.get("promotion_code", discount["promotion_code"], param=name)
            coupons.check_code(account, code, params.get("customer"), subtotal, currency, name)
            coupon = account.store.get("coupon", code["promotion"]["coupon"])
        else:
            name = "discounts[0][coupon]"
            coupon = account.store.get("coupon", discount.get("coupon", ""), param=name)
            if not coupons.refresh_coupon(account, coupon)["valid"]:
                raise invalid_request(f"Coupon {coupon['id']} is expired and cannot be applied.", param=name)
        discount_total += coupons.discount_amount(coupon, subtotal, currency, products, name)
        discounts.append(
            {
                "coupon": None if "promotion_code" in discount else coupon["id"],
                "promotion_code": discount.get("promotion_code"),
                "_coupon": coupon["id"],
            }
        )
    return discounts, discount_total


def _check_total(total: int, currency: str) -> None:
    minimum, maximum = currencies.minimum_amount(currency), currencies.maximum_amount(currency)
    if 0 < total < minimum:
        text = currencies.format_amount(minimum, currency)
        message = f"The Checkout Session's total amount must be 0, or at least {text}."
        raise invalid_request(message, code="amount_too_small")
    if total > maximum:
        text = currencies.format_amount(maximum, currency)
        message = f"The Checkout Session's total amount must be no more than {text}."
        raise invalid_request(message, code="amount_too_large")
    currencies.check_multiple(total, currency, param=None)


def create(call: Call) -> Object:
    """POST /v1/checkout/sessions."""
    account, params = call.account, call.params
    if params.get("mode") != "payment":
        raise validation_error("The simulator only supports Checkout Sessions of mode `payment`.", param="mode")
    if params.get("customer"):
        account.store.get_active("customer", params["customer"], param="customer")
        if params.get("customer_email"):
            raise validation_error("You may only specify one of these parameters: customer, customer_email.")
    _check_hosted(params)
    for name in ("success_url", "cancel_url"):
        validation.check_url({name: (params.get(name) or "").replace("{CHECKOUT_SESSION_ID}", "cs")}, name)
    validation.check_email(params, "customer_email")
    _check_intent_data(params)
    _check_customer_details(params)
    now = account.clock.unix()
    expires = params.get("expires_at", now + DAY_S)
    if not now + HALF_HOUR_S - 60 <= expires <= now + DAY_S + 60:
        raise validation_error(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    items = _line_items(account, params.get("line_items") or [])
    subtotal = sum(item["amount_total"] for item in items)
    discounts, discount_total = _discounts(account, params, items)
    currency = items[0]["currency"]
    _check_total(subtotal - discount_total, currency)
    types = params.get("payment_method_types")
    if params.get("currency", currency) != currency:
        raise validation_error(f"The line items are in {currency}, not in {params['currency']}.", param="currency")
    session = _new(account, params, currency, subtotal, discount_total)
    intent_params = params.get("payment_intent_data") or {}
    session["payment_method_types"] = types or payments.payable_types(
        payment_intents.allowed_types({**params, "capture_method": intent_params.get("capture_method")}), currency
    )
    _spread(items, discount_total)
    session |= {"_items": items, "_discounts": discounts, "expires_at": expires}
    session["discounts"] = [public_fields(discount) for discount in discounts]
    session["url"] = f"{account.url}/c/pay/{session['id']}"
    account.store.add(session)
    account.schedule("session.expire", session["id"], seconds=expires - account.clock.now())
    return public_fields(session)


def _check_hosted(params: dict[str, Any]) -> None:
    """Raise StripeError for a session that is not paid on a hosted page, and for the parameters of others."""
    ui_mode = params.get("ui_mode", "hosted_page")
    if ui_mode != "hosted_page":
        message = f"The simulator does not support `ui_mode` `{ui_mode}`, although Stripe does: only `hosted_page`."
        raise validation_error(message, param="ui_mode")
    if "return_url" in params:
        message = "`return_url` is not allowed if `ui_mode` is `hosted_page`: use `success_url` instead."
        raise validation_error(message, param="return_url")
    if not params.get("success_url"):
        raise validation_error("Missing required param: success_url.", code="parameter_missing", param="success_url")


def _check_intent_data(params: dict[str, Any]) -> None:
    """Check what the later PaymentIntent gets, because only the payer would see its error."""
    data = params.get("payment_intent_data") or {}
    payment_intents.check_texts(data, "payment_intent_data")
    types = payment_intents.named_types(params)
    payments.check_statement_descriptor(data, types, "payment_intent_data[statement_descriptor]")
    merge_metadata({}, data.get("metadata", {}))


def _check_customer_details(params: dict[str, Any]) -> None:
    """Check what the page may store on the customer, and that an invoice can be made.

    https://docs.stripe.com/tax/checkout/tax-ids
    """
    update, collects_tax_id = (
        params.get("customer_update") or {},
        (params.get("tax_id_collection") or {}).get("enabled"),
    )
    if update and not params.get("customer"):
        raise validation_error("`customer_update` can only be used with `customer`.", param="customer_update")
    if collects_tax_id and params.get("customer") and update.get("name") != "auto":
        raise validation_error(
            "Tax ID collection requires updating business name on the customer. To enable tax ID collection for an "
            "existing customer, please set `customer_update[name]` to `auto`.",
            param="customer_update[name]",
        )
    capture = (params.get("payment_intent_data") or {}).get("capture_method")
    if (params.get("invoice_creation") or {}).get("enabled") and capture == "manual":
        raise validation_error(
            "`invoice_creation` is not supported with `payment_intent_data[capture_method]` set to `manual`.",
            param="invoice_creation",
        )


def _spread(items: list[Object], discount_total: int) -> None:
    """Apply the discount to the line items, one after the other, until it is used up."""
    for item in items:
        part = min(discount_total, item["amount_subtotal"])
        item["amount_discount"], item["amount_total"] = part, item["amount_subtotal"] - part
        discount_total -= part


def _new(account: Account, params: dict[str, Any], currency: str, subtotal: int, discount_total: int) -> Object:
    id = f"cs_test_a1{account.store.token(56)}"
    data = params.get("payment_intent_data") or {}
    session: Object = {
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": (params.get("adaptive_pricing") or {}).get("enabled", True)},
        "after_expiration": None,
        "allow_promotion_codes": params.get("allow_promotion_codes"),
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "amount_subtotal": subtotal,
        "amount_total": subtotal - discount_total,
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
        "custom_text": dict.fromkeys(CUSTOM_TEXTS),
        "customer": params.get("customer"),
        "customer_account": None,
        "customer_creation": None if params.get("customer") else params.get("customer_creation", "if_required"),
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "discounts": [],
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": invoices.creation_of(params.get("invoice_creation")),
        "livemode": False,
        "locale": params.get("locale"),
        "managed_payments": None,
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "mode": "payment",
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": _method_options(params.get("payment_method_options") or {}),
        "payment_method_types": [],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": _saved_method_options(params.get("saved_payment_method_options")),
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": params.get("submit_type"),
        "subscription": None,
        "success_url": params.get("success_url"),
        "total_details": {"amount_discount": discount_total, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": None,
        "wallet_options": None,
        "_intent_data": data,
        "_customer_update": params.get("customer_update") or {},
    }
    if "tax_id_collection" in params:  # absent, not null, without it
        session["tax_id_collection"] = {"required": "never", **params["tax_id_collection"]}
    return session


def _method_options(params: Object) -> Object:
    return params | {"card": {"request_three_d_secure": "automatic"} | params["card"]} if "card" in params else params


def _saved_method_options(params: Object | None) -> Object | None:
    names = ("allow_redisplay_filters", "payment_method_remove", "payment_method_save")
    return {name: params.get(name) for name in names} if params else None


@dataclass(frozen=True)
class Business:
    """A tax id with its type, and the name of the business: a business enters them beside its billing details."""

    tax_id_type: str
    tax_id: str
    name: str


def pay(
    account: Account,
    session: Object,
    method: Object | None,
    *,
    email: str | None = None,
    save: bool = False,
    business: Business | None = None,
) -> None:
    """Pay the session, like the Pay button of the hosted page. Raises StripeError 402 for a decline.

    The name and address of the customer are the billing details of the method.
    """
    if session["status"] != "open":
        raise invalid_request(f"This Checkout Session is {session['status']}.")
    customer = account.store.find("customer", session["customer"]) if session["customer"] else {}
    if customer is None or customer.get("deleted"):
        raise invalid_request("The customer of this Checkout Session has been deleted.", code="resource_missing")
    session["_email"] = email
    if business and collects_tax_id(session):
        tax_ids.check(business.tax_id_type, business.tax_id, "tax_id")
        session["_tax_id"] = [business.tax_id_type, business.tax_id]
        session["_business_name"] = business.name
    for discount in session["_discounts"]:
        if discount["promotion_code"]:
            code = account.store.get("promotion_code", discount["promotion_code"])
            amount, currency = session["amount_subtotal"], session["currency"]
            coupons.check_code(account, code, session["customer"], amount, currency, None)
    if session["amount_total"] == 0:
        _complete(account, session, "no_payment_required")
        return
    if method is None:
        raise validation_error("A payment method is required.", param="payment_method")
    intent = _intent(account, session)
    can_save = (session["saved_payment_method_options"] or {}).get("payment_method_save") == "enabled"
    if save and can_save and session["customer"]:
        intent["setup_future_usage"] = intent["setup_future_usage"] or "on_session"
        intent["_save_checked"] = True
    page = f"{account.url}/c/pay/{session['id']}"
    consent = mandates.Consent(mandates.accepted_online(account))
    payments.pay(account, intent, method, return_url=page, consent=consent)


def _intent(account: Account, session: Object) -> Object:
    if session["payment_intent"] is not None:
        return account.store.get("payment_intent", session["payment_intent"])
    data, usages = session["_intent_data"], _usages(session)
    is_saved = data.get("setup_future_usage") or any(usage != "none" for usage in usages.values())
    if session["customer"] is None and (session["customer_creation"] == "always" or is_saved or makes_invoice(session)):
        session["customer"] = _customer(account, session)
    params = {k: v for k, v in data.items() if k not in ("application_fee_amount", "transfer_data", "on_behalf_of")}
    params |= {
        "amount": session["amount_total"],
        "currency": session["currency"],
        "customer": session["customer"],
        "payment_method_options": {kind: {"setup_future_usage": usage} for kind, usage in usages.items()},
        "payment_method_types": list(session["payment_method_types"]),
    }
    intent = payment_intents.new(account, params)
    intent["allowed_payment_method_types"] = session["allowed_payment_method_types"]
    intent["_session"] = session["id"]
    session["payment_intent"] = intent["id"]
    return account.store.add(intent)


def makes_invoice(session: Object) -> bool:
    """Return whether the session makes an invoice once it is paid."""
    return bool(session["invoice_creation"] and session["invoice_creation"]["enabled"])


def collects_tax_id(session: Object) -> bool:
    """Return whether the page asks businesses for a tax id."""
    return bool(session.get("tax_id_collection", {}).get("enabled"))


def _usages(session: Object) -> dict[str, str]:
    """Return `setup_future_usage` of each type of payment method for which the session's options set it."""
    options = session["payment_method_options"].items()
    return {kind: option["setup_future_usage"] for kind, option in options if "setup_future_usage" in option}


def _customer(account: Account, session: Object) -> str:
    email = session.get("_email") or session["customer_email"]
    call = Call(account, "POST", "/v1/customers", {"email": email} if email else {}, [])
    return str(customers.create(call)["id"])


def _complete(account: Account, session: Object, status: str) -> None:
    session["status"], session["payment_status"], session["url"] = "complete", status, None
    customer = account.store.find("customer", session["customer"] or "") or {}
    email = session.get("_email") or session["customer_email"] or customer.get("email")
    billing = _billing_details(account, session)
    tax_id, business_name = session.get("_tax_id"), session.get("_business_name")
    session["customer_details"] = {
        "address": billing["address"],
        "business_name": business_name,
        "email": email,
        "individual_name": None,
        "name": business_name or billing["name"] or customer.get("name"),
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [{"type": tax_id[0], "value": tax_id[1]}] if tax_id else [] if collects_tax_id(session) else None,
    }
    if customer:
        _update_customer(account, session, customer)
    if status == "paid" and makes_invoice(session):
        _create_invoice(account, session)
    for discount in session["_discounts"]:
        for kind, id in (("coupon", discount["_coupon"]), ("promotion_code", discount["promotion_code"])):
            redeemed = account.store.find(kind, id or "")
            if redeemed is not None:  # a coupon may have been deleted since: the session keeps its discount
                redeemed["times_redeemed"] += 1
    account.emit("checkout.session.completed", session)


def _billing_details(account: Account, session: Object) -> Object:
    """Return the name and address that the payer entered, which are those of the payment method."""
    intent = account.store.find("payment_intent", session["payment_intent"] or "") or {}
    method = account.store.find("payment_method", intent.get("payment_method") or "") or {}
    details = method.get("billing_details") or {"address": None, "name": None}
    address = details["address"] or {}
    return {"address": address if any(address.values()) else None, "name": details["name"]}


def _update_customer(account: Account, session: Object, customer: Object) -> None:
    """Store the name, the address and the tax id on the customer, as the session says.

    A customer that the session itself has made gets all of them.
    """
    update, details, before = session.get("_customer_update", {}), session["customer_details"], public_fields(customer)
    for name in ("name", "address"):
        if details[name] and (update.get(name) == "auto" or session["customer_creation"]):
            customer[name] = details[name]
    account.emit_update(customer, before, "customer.updated")
    if session.get("_tax_id"):
        tax_ids.add(account, customer["id"], *session["_tax_id"])


def _create_invoice(account: Account, session: Object) -> None:
    discounts = _amounts_of_discounts(session, session["total_details"]["amount_discount"])
    session["invoice"] = invoices.create_paid(account, session, discounts)["id"]


def _find_session(account: Account, intent: Object) -> Object | None:
    return account.store.find("checkout.session", intent["_session"]) if intent.get("_session") else None


def on_success(account: Account, intent: Object, charge: Object) -> None:
    """Complete the session, or mark it paid if a delayed method or an authorization completed it before.

    A capture emits no event of the session (m).
    """
    session = _find_session(account, intent)
    if session is None:
        return
    if session["status"] == "open":
        _complete(account, session, "paid")
    elif session["payment_status"] == "unpaid":
        session["payment_status"] = "paid"
        if makes_invoice(session):
            _create_invoice(account, session)
        if intent["capture_method"] != "manual":
            account.emit("checkout.session.async_payment_succeeded", session)


def on_unpaid(account: Account, intent: Object, charge: Object) -> None:
    """Complete the session unpaid, while a delayed method is processing or the payment awaits its capture."""
    session = _find_session(account, intent)
    if session is not None and session["status"] == "open":
        _complete(account, session, "unpaid")


def on_failure(account: Account, intent: Object, charge: Object) -> None:
    """Report the failure of a delayed payment. The session stays complete and unpaid."""
    session = _find_session(account, intent)
    if session is not None:
        account.emit("checkout.session.async_payment_failed", session)


def _expire(account: Account, session: Object) -> None:
    session["status"], session["url"] = "expired", None
    intent = account.store.find("payment_intent", session["payment_intent"] or "")
    if intent is not None and intent["status"] in payment_intents.CANCELABLE_STATUSES:
        payment_intents.cancel_intent(account, intent, "automatic")
    account.emit("checkout.session.expired", session)


@task("session.expire")
def _expire_if_open(account: Account, id: str) -> None:
    session = account.store.find("checkout.session", id)
    if session is not None and session["status"] == "open":
        _expire(account, session)


def expire(call: Call) -> Object:
    """POST /v1/checkout/sessions/:id/expire. Only an open session can expire."""
    session = call.store.get("checkout.session", call.ids[0])
    if session["status"] != "open":
        raise invalid_request(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a '
            f"status of {session['status']}."
        )
    _expire(call.account, session)
    return public_fields(session)


def retrieve(call: Call) -> Object:
    """GET /v1/checkout/sessions/:id."""
    return public_fields(call.store.get("checkout.session", call.ids[0]))


def update(call: Call) -> Object:
    """POST /v1/checkout/sessions/:id. Only metadata can change."""
    session = call.store.get("checkout.session", call.ids[0])
    if "metadata" in call.params:
        session["metadata"] = merge_metadata(session["metadata"], call.params["metadata"])
    return public_fields(session)


def list_(call: Call) -> Object:
    """GET /v1/checkout/sessions?customer&payment_intent&status&created."""
    sessions = lists.select(call.store.all("checkout.session"), call.params, "customer", "payment_intent", "status")
    return lists.page(sessions, call.params, call.path, "checkout.session")


def line_items(call: Call) -> Object:
    """GET /v1/checkout/sessions/:id/line_items, in the order of the request that created the session."""
    session = call.store.get("checkout.session", call.ids[0])
    return lists.page(session["_items"], call.params, call.path, "line item")


def expand_line_items(account: Account, session: Object) -> Object:
    """Return a session's `line_items`, which responses include only if expanded."""
    stored = account.store.get("checkout.session", session["id"])
    return lists.page(stored["_items"], {}, f"/v1/checkout/sessions/{session['id']}/line_items")


def _amounts_of_discounts(session: Object, amount: int) -> list[Object]:
    """Return the session's discounts with their amount. A session has one at most.

    https://docs.stripe.com/api/discounts/object
    """
    digest = hashlib.sha256(f"discount {session['id']}".encode()).hexdigest()
    return [
        {
            "amount": amount,
            "discount": {
                "id": f"di_1{digest[:23]}",
                "object": "discount",
                "checkout_session": session["id"],
                "customer": session["customer"],
                "customer_account": None,
                "end": None,
                "invoice": None,
                "invoice_item": None,
                "promotion_code": discount["promotion_code"],
                "source": {"coupon": discount["_coupon"], "type": "coupon"},
                "start": session["created"],
                "subscription": None,
                "subscription_item": None,
            },
        }
        for discount in session["_discounts"]
    ]


def expand_breakdown(account: Account, session: Object) -> Object:
    """Return `total_details.breakdown` of a session, which responses include only if expanded."""
    stored = account.store.get("checkout.session", session["id"])
    return {"discounts": _amounts_of_discounts(stored, stored["total_details"]["amount_discount"]), "taxes": []}


def expand_item_discounts(account: Account, item: Object) -> list[Object]:
    """Return the discounts of a line item, which responses include only if expanded."""
    sessions = account.store.all("checkout.session")
    session = next(one for one in sessions if any(other["id"] == item["id"] for other in one["_items"]))
    return _amounts_of_discounts(session, item["amount_discount"])


def expand_item_taxes(account: Account, item: Object) -> list[Object]:
    """Return the taxes of a line item, which responses include only if expanded. There are none."""
    return []


def payment_page(call: Call) -> Object:
    """GET /v1/payment_pages/:session, a request of the CLI."""
    session = call.store.get("checkout.session", call.ids[0])
    return public_fields(session) | {"object": "checkout.session", "session_id": session["id"]}


def confirm_page(call: Call) -> Object:
    """POST /v1/payment_pages/:session/confirm, a request of the CLI."""
    session = call.store.get("checkout.session", call.ids[0])
    expected = call.form.get("expected_amount")
    if expected is not None and str(expected) != str(session["amount_total"]):
        raise invalid_request("The expected amount does not match the session's.", param="expected_amount")
    method_id = call.form.get("payment_method")
    method = payment_methods.resolve(call.account, method_id) if isinstance(method_id, str) else None
    pay(call.account, session, method)
    return public_fields(session)


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
