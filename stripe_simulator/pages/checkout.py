"""The hosted page of a Checkout Session.

https://docs.stripe.com/payments/checkout
"""

import html
from typing import Any

from stripe_simulator.account import Account
from stripe_simulator.currencies import format_amount
from stripe_simulator.errors import StripeError, invalid_request
from stripe_simulator.pages.html_page import message, page, read_form, redirect
from stripe_simulator.resources import checkout_sessions, payment_methods, tax_ids
from stripe_simulator.response import Response

Session = dict[str, Any]
INCOMPLETE = {
    "number": "Your card number is incomplete.",
    "expiry": "Your card's expiration date is incomplete.",
    "cvc": "Your card's security code is incomplete.",
}

ADDRESS = {
    "name": ("Full name", "name"),
    "line1": ("Address", "address-line1"),
    "postal_code": ("Postal code", "postal-code"),
    "city": ("City", "address-level2"),
    "country": ("Country (two letters)", "country"),
}
"""The fields of the billing address: the label and the kind of autocompletion of each."""


def answer(account: Account, method: str, id: str, body: bytes) -> Response:
    """GET and POST /c/pay/:session."""
    session = account.store.find("checkout.session", id)
    if session is None:
        return message("No such session", "Check the link, or go back and start a new payment.", 404)
    account.run_due()
    problem = ""
    form = read_form(body) if method == "POST" else {}
    if method == "POST" and session["status"] == "open":
        problem = _pay(account, session, form)
    if session["status"] == "complete":
        return redirect((session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", session["id"]))
    if session["status"] == "expired":
        return message("This session has expired", "You have not been charged. Go back and start a new payment.", 410)
    intent = account.store.find("payment_intent", session["payment_intent"] or "") or {}
    action = (intent.get("next_action") or {}).get("redirect_to_url")
    if action and not problem:
        return redirect(action["url"])
    last_error = (intent.get("last_payment_error") or {}).get("message", "")
    customer = account.store.find("customer", session["customer"] or "") or {}
    email = form.get("email") or session["customer_email"] or customer.get("email") or ""
    saved = _saved_methods(account, session)
    content = _summary(account, session) + _form(session, {**form, "email": email}, problem or last_error, saved)
    return page("Checkout", content + _cancel_link(session))


def _pay(account: Account, session: Session, form: dict[str, str]) -> str:
    """Try to pay, and return the problem, if any."""
    try:
        problems = [problem for name, problem in INCOMPLETE.items() if name not in form]
        if session["amount_total"] and problems and not _pays_otherwise(form):
            return problems[0]
        if session["billing_address_collection"] == "required" and session["amount_total"]:
            missing = [label for name, (label, _) in ADDRESS.items() if not form.get(name)]
            if missing:
                return f"Enter your {missing[0].lower()}."
        if _lacks_tax_id(session, form):
            return "Enter your tax ID."
        save = form.get("save") == "on"
        with account.atomic():
            session = account.store.get("checkout.session", session["id"])  # the same object, restored on an error
            is_free = session["amount_total"] == 0
            method = None if is_free else _method(account, session, form)
            business = _business(form)
            checkout_sessions.pay(account, session, method, email=form.get("email"), save=save, business=business)
    except StripeError as error:
        return error.message
    return ""


def _pays_otherwise(form: dict[str, str]) -> bool:
    """Return whether the payer uses a bank account, or a saved method without entering a card."""
    return "account_number" in form or ("saved_method" in form and "number" not in form)


def _saved_methods(account: Account, session: Session) -> list[dict[str, Any]]:
    """Return the customer's saved methods that the page shows: by default those with `allow_redisplay` `always`.

    https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-saved_payment_method_options
    """
    shown = (session["saved_payment_method_options"] or {}).get("allow_redisplay_filters") or ["always"]
    customer = session["customer"]
    return [
        method
        for method in account.store.all("payment_method")
        if customer and method["customer"] == customer
        if method["type"] in session["payment_method_types"] and method["allow_redisplay"] in shown
    ]


def _method(account: Account, session: Session, form: dict[str, str]) -> dict[str, Any]:
    """Return the saved method that the payer chose, or a new one with what the payer entered."""
    if "account_number" in form or "number" in form:
        return payment_methods.from_params(account, _method_params(form))
    saved = {method["id"] for method in _saved_methods(account, session)}
    if form["saved_method"] not in saved:
        raise invalid_request("This payment method is no longer saved.")
    return account.store.get("payment_method", form["saved_method"])


def _method_params(form: dict[str, str]) -> dict[str, Any]:
    billing = _billing_details(form)
    if "account_number" in form:
        bank = {"account_number": form["account_number"], "routing_number": "110000000"}
        return {"type": "us_bank_account", "us_bank_account": bank, **billing}
    digits = "".join(char for char in form.get("expiry", "") if char.isdecimal())
    month, year = (digits[:2], digits[2:]) if len(digits) in (4, 6) else ("0", "0")
    card = {"number": form.get("number", ""), "exp_month": month, "exp_year": year, "cvc": form.get("cvc", "")}
    return {"type": "card", "card": card, **billing}


def _billing_details(form: dict[str, str]) -> dict[str, Any]:
    """Return the name and address that the payer entered, as the payment method has them; empty without any."""
    address = {name: form[name] for name in ADDRESS if name != "name" and form.get(name)}
    details = {"name": form.get("name")} | ({"address": address} if address else {})
    return {"billing_details": details} if address or form.get("name") else {}


def _business(form: dict[str, str]) -> checkout_sessions.Business | None:
    """Return what a business entered; None without a tax id."""
    type_ = tax_ids.TYPES_OF_COUNTRIES.get(form.get("country", ""))
    if not form.get("tax_id") or type_ is None:
        return None
    return checkout_sessions.Business(type_, form["tax_id"], form.get("business_name") or form.get("name", ""))


def _lacks_tax_id(session: Session, form: dict[str, str]) -> bool:
    """Return whether the session requires a tax id, the country has one, and the payer entered none."""
    is_required = (session.get("tax_id_collection") or {}).get("required") == "if_supported"
    return is_required and form.get("country") in tax_ids.TYPES_OF_COUNTRIES and not form.get("tax_id")


def _summary(account: Account, session: Session) -> str:
    """Return the line items, the discount and the total."""
    currency = session["currency"]
    rows = [(str(item["description"]), format_amount(item["amount_subtotal"], currency)) for item in session["_items"]]
    discount_total = session["total_details"]["amount_discount"]
    for discount in session["_discounts"] if discount_total else []:
        code = account.store.find("promotion_code", discount["promotion_code"] or "")
        name = f"Promotion code applied: {code['code']}" if code else "Discount applied"
        rows.append((name, f"−{format_amount(discount_total, currency)}"))
    rows.append(("Total", format_amount(session["amount_total"], currency)))
    items = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd></div>" for name, text in rows)
    return f'<p class="bank">Stripe simulator · test mode</p><h1>Checkout</h1><dl class="summary">{items}</dl>'


def _field(name: str, label: str, attributes: str = "") -> str:
    return f'<label for="{name}">{label}</label><input id="{name}" name="{name}" {attributes}>'


def _filled(form: dict[str, str], name: str, autocomplete: str) -> str:
    """Return the attributes of a field that keeps what was entered."""
    return f'autocomplete="{autocomplete}" value="{html.escape(form.get(name, ""))}"'


def _saved_choices(saved: list[dict[str, Any]]) -> str:
    """Return a choice of saved methods. A card or an account that the payer enters takes precedence."""
    choices = "".join(
        f'<label class="check"><input type="radio" name="saved_method" value="{method["id"]}"'
        f"{' checked' if method is saved[0] else ''}> {_saved_name(method)}</label>"
        for method in saved
    )
    return f"<fieldset><legend>Saved payment methods</legend>{choices}</fieldset><p>Or enter another:</p>"


def _saved_name(method: dict[str, Any]) -> str:
    details = method[method["type"]]
    name = details.get("brand") or details.get("bank_name") or "Bank account"
    return html.escape(f"{name} •••• {details['last4']}")


def _form(session: Session, form: dict[str, str], problem: str, saved: list[dict[str, Any]]) -> str:
    total, types = session["amount_total"], session["payment_method_types"]
    parts = [f'<p class="error" role="alert">{html.escape(problem)}</p>'] if problem else []
    parts.append('<form method="post" autocomplete="on">')
    parts.append(_field("email", "Email", f'type="email" autocomplete="email" value="{html.escape(form["email"])}"'))
    if total and saved:
        parts.append(_saved_choices(saved))
    if total and "card" in types:
        parts.append(_field("number", "Card number", 'inputmode="numeric" autocomplete="cc-number"'))
        parts.append('<div class="pair"><div>')
        parts.append(_field("expiry", "Expiry", 'inputmode="numeric" placeholder="MM / YY" autocomplete="cc-exp"'))
        parts.append("</div><div>")
        parts.append(_field("cvc", "CVC", 'inputmode="numeric" autocomplete="cc-csc"') + "</div></div>")
    if total and "us_bank_account" in types:
        parts.append("<details><summary>Pay from a US bank account instead</summary>")
        parts.append(_field("account_number", "Account number", 'inputmode="numeric"') + "</details>")
    if total and (session["billing_address_collection"] == "required" or checkout_sessions.collects_tax_id(session)):
        parts += [
            _field(name, label, _filled(form, name, autocomplete)) for name, (label, autocomplete) in ADDRESS.items()
        ]
    if total and checkout_sessions.collects_tax_id(session):
        is_open = " open" if form.get("tax_id") else ""
        parts.append(f"<details{is_open}><summary>I’m purchasing as a business</summary>")
        parts.append(_field("business_name", "Business name", _filled(form, "business_name", "organization")))
        parts.append(_field("tax_id", "Tax ID", _filled(form, "tax_id", "off")) + "</details>")
    options = session["saved_payment_method_options"] or {}
    if total and options.get("payment_method_save") == "enabled":
        parts.append('<label class="check"><input type="checkbox" name="save"> Save for next time</label>')
    if not total:
        parts.append("<p>The total is zero. You do not need a card.</p>")
    parts.append('<button class="wide">Pay</button></form>')
    return "".join(parts)


def _cancel_link(session: Session) -> str:
    url = session["cancel_url"]
    return f'<p><a href="{html.escape(str(url))}">Back without paying</a></p>' if url else ""
