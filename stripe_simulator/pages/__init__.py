"""Pages for people and their browsers: the overview, the hosted Checkout, the 3-D Secure step, Stripe.js's stand-in.

The hosted pages are plain HTML and need no script.
"""

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from stripe_simulator.account import Account

if TYPE_CHECKING:
    from stripe_simulator.server import Response


def handle(account: Account, method: str, target: str, headers: Mapping[str, str], body: bytes) -> "Response | None":
    """The page of a path, None when it is no page."""
    from stripe_simulator.pages import browser, checkout, overview, three_d_secure

    path, _, query = target.partition("?")
    if path.startswith("/_sim/3ds/"):
        with account.lock:
            return three_d_secure.answer(account, method, path.removeprefix("/_sim/3ds/"), query, body)
    if path.startswith("/c/pay/"):
        with account.lock:
            return checkout.answer(account, method, path.removeprefix("/c/pay/"), body)
    if path == "/":
        with account.lock:
            return overview.answer(account, method, body)
    return browser.answer(path)


def page(title: str, content: str, status: int = 200, *, script: str = "") -> "Response":
    """An HTML answer. Its only script, if any, is a file of `browser/`."""
    from stripe_simulator.server import Response

    loaded = f'<script src="/_js/{script}" defer></script>' if script else ""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="/_js/page.css">{loaded}</head>'
        f"<body><main>{content}</main></body></html>"
    )
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    return Response(status, headers, text.encode())


def message(title: str, text: str, status: int = 200) -> "Response":
    """A page with a heading and one paragraph."""
    return page(title, f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>", status)


def redirect(url: str) -> "Response":
    """303 to a URL."""
    from stripe_simulator.server import Response

    return Response(303, {"Location": url, "Content-Type": "text/plain"}, b"")


def form_of(body: bytes) -> dict[str, str]:
    """What a form of ours was filled with."""
    return {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
