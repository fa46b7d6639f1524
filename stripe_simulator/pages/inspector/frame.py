"""The frame around every page of the inspector: head, navigation, search and footer."""

from stripe_simulator.account import MAX_REQUESTS
from stripe_simulator.pages.inspector.markup import Html, escape, tag
from stripe_simulator.pages.inspector.view import View
from stripe_simulator.response import Response
from stripe_simulator.version import API_VERSION

PARTS = {"": "Overview", "objects": "Objects", "events": "Events", "requests": "Requests"}
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def page(
    view: View, title: str, *content: object, part: str | None = None, status: int = 200, live: bool = False
) -> Response:
    """Return a page. `part` is the part of the inspector that the navigation marks as the current one.

    The script keeps a `live` page current.
    """
    name = f"{title} · Stripe simulator"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", name),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="/_js/inspector.css"),
        tag("script", src="/_js/inspector.js", defer=True),
    )
    body = tag(
        "body",
        tag("a", "Skip to content", class_="skip", href="#content"),
        _header(view, part),
        tag("main", *content, id="content", tabindex="-1", data_live=live),
        _footer(view),
    )
    return Response(status, dict(HEADERS), f"<!doctype html>{tag('html', head, body, lang='en')}".encode())


def missing(view: View, noun: str, id: str) -> Response:
    """Return the page for an id that the account does not have."""
    text = (
        ". Another account may have it, or a reset has deleted it. "
        f"The log keeps the newest {MAX_REQUESTS:,} requests of an account."
    )
    return page(
        view,
        f"No such {noun}",
        tag("h1", f"No such {noun}"),
        tag("p", f"There is no {noun} ", tag("code", id), text),
        status=404,
    )


def _header(view: View, part: str | None) -> Html:
    links = [
        tag(
            "a",
            name,
            href=view.url(*([one] if one else [])),
            aria_current="page" if one == part else None,
        )
        for one, name in PARTS.items()
    ]
    search = tag(
        "form",
        tag("label", "Search", for_="q", class_="visually-hidden"),
        tag(
            "input",
            id="q",
            name="q",
            type="search",
            value=view.param("q"),
            placeholder="Id, email or metadata",
            autocomplete="off",
            spellcheck="false",
            maxlength="200",
        ),
        _account_field(view),
        tag("button", "Search"),
        role="search",
        action=view.url("search").partition("?")[0],
    )
    accounts = view.accounts.all()
    switcher = tag("a", view.account.id, class_="id account", href=view.url("accounts")) if len(accounts) > 1 else None
    brand = tag("a", "Stripe simulator", class_="brand", href=view.url())
    navigation = tag("nav", links, aria_label="Inspector")
    return tag("header", tag("div", brand, navigation, switcher, search, class_="bar"))


def _account_field(view: View) -> Html:
    """Return a hidden field that keeps a form on the account of the page."""
    return tag("input", type="hidden", name="account", value=view.selected) if view.selected else escape(None)


def _footer(view: View) -> Html:
    account = view.account
    facts = ["Test mode", f"Account {account.id}", f"API version {API_VERSION}"]
    offset = round(account.clock.offset)
    if offset:
        facts.append(f"clock {offset:+,} s ahead".replace("+", ""))
    return tag("footer", tag("p", " · ".join(facts)))
