"""The page of the inspector for a path."""

from collections.abc import Callable
from urllib.parse import unquote

from stripe_simulator.account import Account
from stripe_simulator.accounts import Accounts
from stripe_simulator.pages.html_page import read_form
from stripe_simulator.pages.inspector import accounts_list, events, home, objects, requests, search
from stripe_simulator.pages.inspector.frame import missing, page
from stripe_simulator.pages.inspector.markup import tag
from stripe_simulator.pages.inspector.view import PREFIX, View, read_query
from stripe_simulator.response import Response

LISTS: dict[str, Callable[[View], Response]] = {
    "accounts": accounts_list.list_page,
    "events": events.list_page,
    "objects": objects.list_page,
    "requests": requests.list_page,
    "search": search.search_page,
}
DETAILS: dict[str, Callable[[View, str], Response]] = {
    "events": events.event_page,
    "objects": objects.object_page,
    "requests": requests.request_page,
}


def is_page(path: str) -> bool:
    """Return whether the path belongs to the inspector."""
    return path in ("/", PREFIX) or path.startswith(f"{PREFIX}/")


def answer(accounts: Accounts, method: str, path: str, query: str, body: bytes) -> Response:
    """Return the page for a path of the inspector. `?account=acct_…` selects another account than the default one."""
    params = read_query(query)
    form = read_form(body) if method == "POST" else {}
    id = form.get("account") or params.get("account")
    account = accounts.find(id) if id else _account_of(accounts, path)
    is_known = account is not None
    account = account or accounts.default
    segments = [unquote(segment) for segment in path.removeprefix(PREFIX).strip("/").split("/")]
    with account.lock:
        view = View(accounts, account, params)
        account.run_due()
        if not is_known:
            return missing(view, "account", id or "")
        if method == "POST":
            account.unsaved = True
            return _post(view, segments, form)
        return _get(view, segments) if method in ("GET", "HEAD") else _not_allowed(view)


def _account_of(accounts: Accounts, path: str) -> Account:
    """Return the account of a page without one: that of a request whose response is kept, or else the default account.

    So the `request_log_url` of an error needs no account.
    """
    id = path.removeprefix(f"{PREFIX}/requests/")
    return next((one for one in accounts.all() if id in one.responses), accounts.default)


def _get(view: View, segments: list[str]) -> Response:
    match segments:
        case [""]:
            return home.home_page(view)
        case [part] if part in LISTS:
            return LISTS[part](view)
        case [part, id] if part in DETAILS:
            return DETAILS[part](view, id)
    return page(view, "No such page", tag("h1", "No such page"), tag("p", "Check the address."), status=404)


def _post(view: View, segments: list[str], form: dict[str, str]) -> Response:
    match segments:
        case ["events", "release"]:
            return events.release(view)
        case ["events", id, "resend"]:
            return events.resend(view, id, form)
    return _not_allowed(view)


def _not_allowed(view: View) -> Response:
    text = "This page can only be read."
    response = page(view, "Not allowed", tag("h1", "Not allowed"), tag("p", text), status=405)
    response.headers["Allow"] = "GET, HEAD"
    return response
