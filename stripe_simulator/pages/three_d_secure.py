"""The 3-D Secure page of a bank, where a customer can complete or fail the authentication.

As a page of its own it redirects to the `return_url`. In the frame of Stripe.js (`?frame=1`) it sends a message to the
page around it.
https://docs.stripe.com/payments/3d-secure/authentication-flow
"""

import html
from typing import Any
from urllib.parse import urlencode

from stripe_simulator.account import Account
from stripe_simulator.currencies import format_amount
from stripe_simulator.errors import StripeError
from stripe_simulator.pages.html_page import message, page, read_form, redirect
from stripe_simulator.resources import payment_intents, setup_intents
from stripe_simulator.response import Response


def answer(account: Account, method: str, id: str, query: str, body: bytes) -> Response:
    """GET and POST /_sim/3ds/:intent."""
    intent = account.store.find("payment_intent", id) or account.store.find("setup_intent", id)
    is_framed = query == "frame=1"
    if intent is None:
        return message("No such payment", "Check the link, or go back and start a new payment.", 404)
    return_url = (intent["next_action"] or {}).get("redirect_to_url", {}).get("return_url")
    if method == "POST":
        try:
            _complete(account, intent, passed=read_form(body).get("outcome") == "success")
        except StripeError as error:
            return _result(intent, error.message, error.status, is_framed=is_framed)
        if return_url:
            return redirect(add_result(return_url, intent))
        return _result(intent, f"Done: the {_noun(intent)} is now {intent['status']}.", is_framed=is_framed)
    if intent["status"] != "requires_action":
        return _result(intent, f"Nothing to do: the {_noun(intent)} is {intent['status']}.", is_framed=is_framed)
    return page("3-D Secure", _form(intent))


def _noun(intent: dict[str, Any]) -> str:
    return "payment" if intent["object"] == "payment_intent" else "setup"


def _complete(account: Account, intent: dict[str, Any], *, passed: bool) -> None:
    module = payment_intents if intent["object"] == "payment_intent" else setup_intents
    module.complete_authentication(account, intent["id"], passed=passed)


def _form(intent: dict[str, Any]) -> str:
    action = "saving this card"
    if intent["object"] == "payment_intent":
        action = f"paying <strong>{html.escape(format_amount(intent['amount'], intent['currency']))}</strong>"
    return (
        f'<p class="bank">Test Bank</p><h1>Confirm this {_noun(intent)}</h1>'
        f"<p>Your bank wants to confirm that it is you {action}. This is a test: you are not charged.</p>"
        '<form method="post" class="row"><button name="outcome" value="success">Complete authentication</button>'
        '<button class="quiet" name="outcome" value="failure">Fail authentication</button></form>'
    )


def _result(intent: dict[str, Any], text: str, status: int = 200, *, is_framed: bool) -> Response:
    content = f'<h1>3-D Secure</h1><p id="done" data-intent="{intent["id"]}">{html.escape(text)}</p>'
    return page("3-D Secure", content, status, script="three_d_secure.js" if is_framed else "")


def add_result(url: str, intent: dict[str, Any]) -> str:
    """Return the return URL with the parameters that Stripe adds to it."""
    is_success = intent["status"] in ("succeeded", "processing", "requires_capture", "requires_confirmation")
    params = urlencode(
        {
            intent["object"]: intent["id"],
            f"{intent['object']}_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if is_success else "failed",
        }
    )
    return f"{url}{'&' if '?' in url else '?'}{params}"
