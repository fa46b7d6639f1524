"""The first page: objects, events and deliveries, with a button that sends an event again."""

import html
from typing import TYPE_CHECKING

from stripe_simulator.account import Account
from stripe_simulator.pages import form_of, page, redirect

if TYPE_CHECKING:
    from stripe_simulator.server import Response


def answer(account: Account, method: str, body: bytes) -> "Response":
    """GET / and POST / with the `event` to send again."""
    webhooks = account.webhooks
    if method == "POST":
        id = form_of(body).get("event", "")
        if id in webhooks.payloads:
            webhooks.resend(id)
        return redirect("/")
    counts = "".join(
        f"<tr><td>{html.escape(kind)}</td><td>{len(rows)}</td></tr>" for kind, rows in account.store.objects.items()
    )
    events = "".join(_event_row(account, id) for id in list(webhooks.payloads)[:-101:-1])
    return page(
        "Stripe simulator",
        f"<h1>Stripe simulator</h1><h2>Objects</h2><table><tr><th>Kind</th><th>How many</th></tr>{counts}</table>"
        "<h2>Events and deliveries</h2><form method='post'>"
        f"<table><tr><th>Event</th><th>Type</th><th>Deliveries</th><th>Again</th></tr>{events}</table></form>",
    )


def _event_row(account: Account, id: str) -> str:
    webhooks = account.webhooks
    tries = ", ".join(f"{one.outcome} ({len(one.log)})" for one in webhooks.deliveries.get(id, []))
    kind = html.escape(webhooks.types[id])
    button = f"<button name='event' value='{id}'>Send again</button>"
    return f"<tr><td>{id}</td><td>{kind}</td><td>{html.escape(tries)}</td><td>{button}</td></tr>"
