"""The first page: objects, events and deliveries, with a button that sends an event again."""

import html
import json
from typing import TYPE_CHECKING

from stripe_simulator.account import Account
from stripe_simulator.pages import form_of, objects, page, redirect

if TYPE_CHECKING:
    from stripe_simulator.server import Response

SHOWN = 100


def answer(account: Account, method: str, body: bytes) -> "Response":
    """GET / and POST / with the `event` to send again."""
    webhooks = account.webhooks
    if method == "POST":
        id = form_of(body).get("event", "")
        if id in webhooks.payloads:
            webhooks.resend(id)
        return redirect("/")
    ids = list(webhooks.payloads)
    rows = "".join(_event_row(account, id) for id in ids[: -SHOWN - 1 : -1])
    events = (
        "<form method='post'><table><tr><th>Event</th><th>Made</th><th>Type</th><th>Deliveries</th><th>Again</th></tr>"
        f"{rows}</table></form>"
        if rows
        else "<p>There are none yet.</p>"
    )
    held = f", {len(webhooks.held)} held" if webhooks.held else ""
    title = f"Events and deliveries: {len(ids)}" + (f", the newest {SHOWN}" if len(ids) > SHOWN else "") + held
    return page(
        "Stripe simulator",
        f"<h1>Stripe simulator</h1><h2>Objects</h2>{objects.tables(account)}<h2>{title}</h2>{events}",
    )


def _event_row(account: Account, id: str) -> str:
    webhooks = account.webhooks
    kind, event = html.escape(webhooks.types[id]), json.loads(webhooks.payloads[id])
    text = html.escape(json.dumps(event, indent=2))
    button = f"<button class='quiet' name='event' value='{id}' aria-label='Send {id} again'>Send again</button>"
    return (
        f"<tr><td><details><summary>{id}</summary><pre>{text}</pre></details></td><td>{objects.moment(event)}</td>"
        f"<td>{kind}</td><td>{objects.deliveries(account, id)}</td><td>{button}</td></tr>"
    )
