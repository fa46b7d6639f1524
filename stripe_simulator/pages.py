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
