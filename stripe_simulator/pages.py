"""Pages for people: the 3-D Secure step. Plain HTML, no script."""

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from stripe_simulator.account import Account
from stripe_simulator.errors import StripeError

if TYPE_CHECKING:
    from stripe_simulator.server import Response


def handle(account: Account, method: str, target: str, headers: Mapping[str, str], body: bytes) -> "Response | None":
    """The page of a path, None when it is no page."""
    path = target.partition("?")[0]
    if path.startswith("/_sim/3ds/"):
        with account.lock:
            return _three_d_secure(account, method, path.removeprefix("/_sim/3ds/"), body)
    if path == "/":
        with account.lock:
            return _overview(account, method, body)
    if path.startswith("/c/pay/"):
        with account.lock:
            return _checkout(account, method, path.removeprefix("/c/pay/"), body)
    return None


def page(title: str, content: str, status: int = 200) -> "Response":
    """An HTML answer."""
    from stripe_simulator.server import Response

    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{html.escape(title)}</h1>{content}</main></body></html>"
    )
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    return Response(status, headers, text.encode())


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f6f8fa;color:#1a1f36}"
    "main{max-width:34rem;margin:2rem auto;padding:1.5rem;background:#fff;border:1px solid #d0d5dd;border-radius:8px}"
    "main.wide{max-width:72rem}label{display:block;margin:.75rem 0 .25rem}"
    "input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #667085;border-radius:4px}"
    "button{font:inherit;margin:1rem .5rem 0 0;padding:.5rem 1rem;border:0;border-radius:4px;background:#4338ca;"
    "color:#fff}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .5rem;"
    "border-bottom:1px solid #d0d5dd;font-size:14px}.error{color:#b42318;font-weight:600}"
)


def redirect(url: str) -> "Response":
    """303 to a URL."""
    from stripe_simulator.server import Response

    return Response(303, {"Location": url, "Content-Type": "text/plain"}, b"")


def _overview(account: Account, method: str, body: bytes) -> "Response":
    """Objects, events and deliveries, with a button that sends an event again."""
    webhooks = account.webhooks
    if method == "POST":
        id = parse_qs(body.decode(errors="replace")).get("event", [""])[0]
        if id in webhooks.payloads:
            webhooks.resend(id)
        return redirect("/")
    counts = "".join(
        f"<tr><td>{html.escape(kind)}</td><td>{len(rows)}</td></tr>" for kind, rows in account.store.objects.items()
    )
    events = "".join(_event_row(account, id) for id in list(webhooks.payloads)[:-101:-1])
    content = (
        f"<h2>Objects</h2><table>{counts}</table><h2>Events and deliveries</h2><form method='post'>"
        f"<table><tr><th>Event</th><th>Type</th><th>Deliveries</th><th></th></tr>{events}</table></form>"
    )
    return page("Stripe simulator", content)


def _event_row(account: Account, id: str) -> str:
    webhooks = account.webhooks
    tries = ", ".join(f"{one.outcome} ({len(one.log)})" for one in webhooks.deliveries.get(id, []))
    kind = html.escape(webhooks.types[id])
    button = f"<button name='event' value='{id}'>Send again</button>"
    return f"<tr><td>{id}</td><td>{kind}</td><td>{html.escape(tries)}</td><td>{button}</td></tr>"


def _three_d_secure(account: Account, method: str, id: str, body: bytes) -> "Response":
    """The step that a bank would ask for: complete it, or fail it."""
    from stripe_simulator.resources.payment_intents import authenticated

    intent = account.store.find("payment_intent", id)
    if intent is None:
        return page("No such payment", "<p>There is nothing to authenticate here.</p>", 404)
    action = (intent["next_action"] or {}).get("redirect_to_url") or {}
    if method == "POST":
        outcome = parse_qs(body.decode(errors="replace")).get("outcome", ["failure"])[0]
        try:
            authenticated(account, id, passed=outcome == "success")
        except StripeError as error:
            return page("3-D Secure", f'<p class="error">{html.escape(error.message)}</p>', error.status)
        if action.get("return_url"):
            return redirect(returned(action["return_url"], intent))
        return page("3-D Secure", f"<p>Done: the payment is now {intent['status']}.</p>")
    if intent["status"] != "requires_action":
        return page("3-D Secure", f"<p>Nothing to do: the payment is {intent['status']}.</p>")
    form = (
        "<p>Your bank asks you to confirm this test payment.</p><form method='post'>"
        "<button name='outcome' value='success'>Complete authentication</button>"
        "<button name='outcome' value='failure'>Fail authentication</button></form>"
    )
    return page("3-D Secure", form)


def returned(url: str, intent: dict[str, object]) -> str:
    """The return URL with what Stripe adds to it."""
    ok = intent["status"] in ("succeeded", "processing", "requires_capture")
    extra = urlencode(
        {
            "payment_intent": intent["id"],
            "payment_intent_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if ok else "failed",
        }
    )
    return f"{url}{'&' if '?' in url else '?'}{extra}"


def _checkout(account: Account, method: str, id: str, body: bytes) -> "Response":
    """The hosted page of a Checkout Session: a form, what went wrong, or the way back."""
    session = account.store.find("checkout.session", id)
    if session is None:
        return page("No such session", "<p>There is nothing to pay here.</p>", 404)
    account.run_due()
    problem = ""
    if method == "POST" and session["status"] == "open":
        form = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
        problem = _pay(account, session, form)
    if session["status"] == "complete":
        return redirect((session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", session["id"]))
    if session["status"] == "expired":
        return page("This session has expired", "<p>Go back and begin again.</p>", 410)
    intent = account.store.find("payment_intent", session["payment_intent"] or "") or {}
    action = (intent.get("next_action") or {}).get("redirect_to_url")
    if action and not problem:
        return redirect(action["url"])
    failed = intent.get("last_payment_error")
    return page("Pay", _form(session, problem or (failed or {}).get("message", "")))


def _pay(account: Account, session: dict[str, object], form: dict[str, str]) -> str:
    from stripe_simulator.resources import checkout_sessions, payment_methods

    account.request = {"id": None, "idempotency_key": None}
    try:
        method = None
        if session["amount_total"]:
            method = payment_methods.from_params(account, _method_params(form))
        save = form.get("save") == "on"
        checkout_sessions.pay(account, session, method, email=form.get("email"), save=save)
    except StripeError as error:
        return error.message
    return ""


def _method_params(form: dict[str, str]) -> dict[str, object]:
    if form.get("account_number"):
        bank = {"account_number": form["account_number"], "routing_number": "110000000"}
        return {"type": "us_bank_account", "us_bank_account": bank}
    digits = "".join(one for one in form.get("expiry", "") if one.isdecimal())
    month, year = (digits[:2], digits[2:]) if len(digits) in (4, 6) else ("0", "0")
    card = {"number": form.get("number", ""), "exp_month": month, "exp_year": year, "cvc": form.get("cvc", "")}
    return {"type": "card", "card": card}


def _field(name: str, label: str, extra: str = "") -> str:
    return f'<label for="{name}">{label}</label><input id="{name}" name="{name}" {extra}>'


def _form(session: dict[str, object], problem: str) -> str:
    total, taken = session["amount_total"], session["total_details"]["amount_discount"]  # type: ignore[index]
    parts = [f"<p>{_money(total)} {html.escape(str(session['currency'])).upper()}</p>"]
    if taken:
        parts.append(f"<p>Promotion code applied: {_money(taken)} off</p>")
    if problem:
        parts.append(f'<p class="error" role="alert">{html.escape(problem)}</p>')
    parts.append('<form method="post">')
    parts.append(_field("email", "Email", f'type="email" value="{html.escape(str(session["customer_email"] or ""))}"'))
    types = session["payment_method_types"]
    if total and "card" in types:  # type: ignore[operator]
        parts.append(_field("number", "Card number", 'inputmode="numeric" autocomplete="cc-number"'))
        parts.append(_field("expiry", "Expiry", 'placeholder="MM / YY" autocomplete="cc-exp"'))
        parts.append(_field("cvc", "CVC", 'inputmode="numeric" autocomplete="cc-csc"'))
    if total and "us_bank_account" in types:  # type: ignore[operator]
        parts.append("<details><summary>US bank account</summary>")
        parts.append(_field("account_number", "Account number", 'inputmode="numeric"') + "</details>")
    saved = session["saved_payment_method_options"] or {}
    if saved.get("payment_method_save") == "enabled":  # type: ignore[attr-defined]
        parts.append('<label><input type="checkbox" name="save" style="width:auto"> Save for next time</label>')
    parts.append("<button>Pay</button></form>")
    if session["cancel_url"]:
        parts.append(f'<p><a href="{html.escape(str(session["cancel_url"]))}">Back</a></p>')
    return "".join(parts)


def _money(amount: object) -> str:
    whole, cents = divmod(int(str(amount)), 100)
    return f"{whole:,}.{cents:02}"
