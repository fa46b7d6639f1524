"""The step that a bank would ask for: complete it, or fail it.

On a page of its own it leads back to the `return_url`; in the frame of Stripe.js (`?frame=1`) it tells the page around
it.
https://docs.stripe.com/payments/3d-secure/authentication-flow
"""

import html
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from stripe_simulator.account import Account
from stripe_simulator.currencies import written
from stripe_simulator.errors import StripeError
from stripe_simulator.pages import form_of, message, page, redirect
from stripe_simulator.resources import payment_intents, setup_intents

if TYPE_CHECKING:
    from stripe_simulator.server import Response


def answer(account: Account, method: str, id: str, query: str, body: bytes) -> "Response":
    """GET and POST /_sim/3ds/:intent"""
    intent = account.store.find("payment_intent", id) or account.store.find("setup_intent", id)
    framed = query == "frame=1"
    if intent is None:
        return message("No such payment", "There is nothing to authenticate here.", 404)
    back = (intent["next_action"] or {}).get("redirect_to_url", {}).get("return_url")
    if method == "POST":
        try:
            _end(account, intent, passed=form_of(body).get("outcome") == "success")
        except StripeError as error:
            return _done(intent, error.message, error.status, framed=framed)
        if back:
            return redirect(returned(back, intent))
        return _done(intent, f"Done: the {_what(intent)} is now {intent['status']}.", framed=framed)
    if intent["status"] != "requires_action":
        return _done(intent, f"Nothing to do: the {_what(intent)} is {intent['status']}.", framed=framed)
    return page("3-D Secure", _form(intent))


def _what(intent: dict[str, Any]) -> str:
    return "payment" if intent["object"] == "payment_intent" else "setup"


def _end(account: Account, intent: dict[str, Any], *, passed: bool) -> None:
    module = payment_intents if intent["object"] == "payment_intent" else setup_intents
    module.authenticated(account, intent["id"], passed=passed)


def _form(intent: dict[str, Any]) -> str:
    asked = "saves this card"
    if intent["object"] == "payment_intent":
        asked = f"pays <strong>{html.escape(written(intent['amount'], intent['currency']))}</strong>"
    return (
        f'<p class="bank">Test Bank</p><h1>Confirm this {_what(intent)}</h1>'
        f"<p>Your bank asks whether it is you who {asked}. This is a test: nothing is taken.</p>"
        '<form method="post" class="row"><button name="outcome" value="success">Complete authentication</button>'
        '<button class="quiet" name="outcome" value="failure">Fail authentication</button></form>'
    )


def _done(intent: dict[str, Any], text: str, status: int = 200, *, framed: bool) -> "Response":
    content = f'<h1>3-D Secure</h1><p id="done" data-intent="{intent["id"]}">{html.escape(text)}</p>'
    return page("3-D Secure", content, status, script="three_d_secure.js" if framed else "")


def returned(url: str, intent: dict[str, Any]) -> str:
    """The return URL with what Stripe adds to it."""
    ok = intent["status"] in ("succeeded", "processing", "requires_capture")
    extra = urlencode(
        {
            intent["object"]: intent["id"],
            f"{intent['object']}_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if ok else "failed",
        }
    )
    return f"{url}{'&' if '?' in url else '?'}{extra}"
