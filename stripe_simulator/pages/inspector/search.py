"""The search of the inspector: any id leads to its page, and a part of an id or an email to a list."""

from collections.abc import Iterator
from itertools import islice

from stripe_simulator.pages.html_page import redirect
from stripe_simulator.pages.inspector import parts
from stripe_simulator.pages.inspector.frame import page
from stripe_simulator.pages.inspector.markup import tag
from stripe_simulator.pages.inspector.objects import name_of, summary
from stripe_simulator.pages.inspector.view import View, page_of
from stripe_simulator.response import Response

MAX_RESULTS = 50
MIN_LENGTH = 3
"""A shorter text finds only whole ids."""
FIELDS = ("email", "name", "code", "description", "client_reference_id")


def search_page(view: View) -> Response:
    """GET /inspect/search?q."""
    text = (view.param("q") or "").strip()
    id = text.partition("_secret_")[0]  # of a client secret
    if id and view.is_known(id):
        return redirect(view.url(page_of(id), id))
    results = list(islice(_matches(view, text), MAX_RESULTS + 1)) if len(text) >= MIN_LENGTH else []
    more = f"More than {MAX_RESULTS} results. " if len(results) > MAX_RESULTS else ""
    rows = [(kind, view.link(id), tag("span", note, class_="summary")) for kind, id, note in results[:MAX_RESULTS]]
    if not text:
        note = "Enter an id, a part of it, an email address, a value of the metadata or an idempotency key."
    elif rows:
        note = f"{more}Nothing has exactly this id."
    else:
        note = "Nothing in this account matches."
    return page(
        view,
        "Search",
        tag("h1", "Search"),
        tag("p", note, class_="empty"),
        parts.table("Results", ("Kind", "Id", "Summary"), rows) if rows else None,
    )


def _matches(view: View, text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the id and a note of everything that matches, newest first within a kind."""
    account, lower = view.account, text.lower()
    for kind in list(account.store.objects):
        for stored in account.store.all(kind):
            metadata = stored.get("metadata") or {}
            texts = (stored["id"], *(stored.get(name) for name in FIELDS), *metadata.values())
            if any(isinstance(one, str) and lower in one.lower() for one in texts):
                yield name_of(kind).capitalize(), stored["id"], summary(stored)
    for id in reversed(account.webhooks.payloads):
        if lower in id.lower():
            yield "Event", id, account.webhooks.types[id]
    for request in reversed(account.log):
        if lower in request["request_id"].lower() or text == request["idempotency_key"]:
            yield "Request", request["request_id"], f"{request['method']} {request['path']}"
