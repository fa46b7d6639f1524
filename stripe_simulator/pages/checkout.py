"""The hosted page of a Checkout Session: a form, what went wrong, or the way back.

https://docs.stripe.com/payments/checkout
"""

import html
from typing import TYPE_CHECKING, Any

from stripe_simulator.account import Account
from stripe_simulator.currencies import written
from stripe_simulator.errors import StripeError
from stripe_simulator.pages import form_of, message, page, redirect
from stripe_simulator.resources import checkout_sessions, payment_methods

if TYPE_CHECKING:
    from stripe_simulator.server import Response

Session = dict[str, Any]
INCOMPLETE = {
    "number": "Your card number is incomplete.",
    "expiry": "Your card's expiration date is incomplete.",
    "cvc": "Your card's security code is incomplete.",
}


def answer(account: Account, method: str, id: str, body: bytes) -> "Response":
    """GET and POST /c/pay/:session"""
    session = account.store.find("checkout.session", id)
    if session is None:
        return message("No such session", "There is nothing to pay here.", 404)
    account.run_due()
    problem = ""
    form = form_of(body) if method == "POST" else {}
    if method == "POST" and session["status"] == "open":
        problem = _pay(account, session, form)
    if session["status"] == "complete":
        return redirect((session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", session["id"]))
    if session["status"] == "expired":
        return message("This session has expired", "Nothing was taken. Go back and begin again.", 410)
    intent = account.store.find("payment_intent", session["payment_intent"] or "") or {}
    action = (intent.get("next_action") or {}).get("redirect_to_url")
    if action and not problem:
        return redirect(action["url"])
    failed = (intent.get("last_payment_error") or {}).get("message", "")
    customer = account.store.find("customer", session["customer"] or "") or {}
    email = form.get("email") or session["customer_email"] or customer.get("email") or ""
    content = _summary(account, session) + _form(session, email, problem or failed)
    return page("Checkout", content + _way_back(session))


def _pay(account: Account, session: Session, form: dict[str, str]) -> str:
    """Try to pay; what went wrong, if anything."""
    account.request = {"id": None, "idempotency_key": None}
    try:
        method = None
        if session["amount_total"]:
            left = [problem for name, problem in INCOMPLETE.items() if name not in form]
            if left and "account_number" not in form:
                return left[0]
            method = payment_methods.from_params(account, _method_params(form))
        save = form.get("save") == "on"
        checkout_sessions.pay(account, session, method, email=form.get("email"), save=save)
    except StripeError as error:
        return error.message
    return ""


def _method_params(form: dict[str, str]) -> dict[str, Any]:
    if "account_number" in form:
        bank = {"account_number": form["account_number"], "routing_number": "110000000"}
        return {"type": "us_bank_account", "us_bank_account": bank}
    digits = "".join(one for one in form.get("expiry", "") if one.isdecimal())
    month, year = (digits[:2], digits[2:]) if len(digits) in (4, 6) else ("0", "0")
    card = {"number": form.get("number", ""), "exp_month": month, "exp_year": year, "cvc": form.get("cvc", "")}
    return {"type": "card", "card": card}


def _summary(account: Account, session: Session) -> str:
    """What is bought, what a code takes off, and what is left to pay."""
    currency = session["currency"]
    rows = [(str(item["description"]), written(item["amount_subtotal"], currency)) for item in session["_items"]]
    taken = session["total_details"]["amount_discount"]
    for one in session["_discounts"] if taken else []:
        code = account.store.find("promotion_code", one["promotion_code"] or "")
        name = f"Promotion code applied: {code['code']}" if code else "Discount applied"
        rows.append((name, f"−{written(taken, currency)}"))
    rows.append(("Total", written(session["amount_total"], currency)))
    items = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd></div>" for name, text in rows)
    return f'<p class="bank">Stripe simulator · test mode</p><h1>Checkout</h1><dl class="summary">{items}</dl>'


def _field(name: str, label: str, extra: str = "") -> str:
    return f'<label for="{name}">{label}</label><input id="{name}" name="{name}" {extra}>'


def _form(session: Session, email: str, problem: str) -> str:
    total, types = session["amount_total"], session["payment_method_types"]
    parts = [f'<p class="error" role="alert">{html.escape(problem)}</p>'] if problem else []
    parts.append('<form method="post" autocomplete="on">')
    parts.append(_field("email", "Email", f'type="email" autocomplete="email" value="{html.escape(email)}"'))
    if total and "card" in types:
        parts.append(_field("number", "Card number", 'inputmode="numeric" autocomplete="cc-number"'))
        parts.append('<div class="pair"><div>')
        parts.append(_field("expiry", "Expiry", 'inputmode="numeric" placeholder="MM / YY" autocomplete="cc-exp"'))
        parts.append("</div><div>")
        parts.append(_field("cvc", "CVC", 'inputmode="numeric" autocomplete="cc-csc"') + "</div></div>")
    if total and "us_bank_account" in types:
        parts.append("<details><summary>Pay from a US bank account instead</summary>")
        parts.append(_field("account_number", "Account number", 'inputmode="numeric"') + "</details>")
    saved = session["saved_payment_method_options"] or {}
    if total and saved.get("payment_method_save") == "enabled":
        parts.append('<label class="check"><input type="checkbox" name="save"> Save for next time</label>')
    if not total:
        parts.append("<p>Nothing is left to pay: no card is needed.</p>")
    parts.append('<button class="wide">Pay</button></form>')
    return "".join(parts)


def _way_back(session: Session) -> str:
    url = session["cancel_url"]
    return f'<p><a href="{html.escape(str(url))}">Back without paying</a></p>' if url else ""
