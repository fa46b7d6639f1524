"""The overview at `/`: objects, events and deliveries of an account, with a button to resend each event.

`/?account=acct_…` shows another account than the default one.
"""

import html
import json

from stripe_simulator.account import Account
from stripe_simulator.accounts import Accounts
from stripe_simulator.pages import objects
from stripe_simulator.pages.html_page import page, read_form, redirect
from stripe_simulator.response import Response

MAX_EVENTS = 100


def answer(accounts: Accounts, account: Account, method: str, body: bytes) -> Response:
    """GET /, and POST / with the `event` to resend."""
    webhooks = account.webhooks
    if method == "POST":
        id = read_form(body).get("event", "")
        if id in webhooks.payloads:
            webhooks.resend(id)
        return redirect(_path(accounts, account))
    ids = list(webhooks.payloads)
    rows = "".join(_event_row(account, id) for id in ids[: -MAX_EVENTS - 1 : -1])
    events = (
        "<form method='post'><table>"
        "<tr><th>Event</th><th>Created</th><th>Type</th><th>Deliveries</th><th>Resend</th></tr>"
        f"{rows}</table></form>"
        if rows
        else "<p>No events yet.</p>"
    )
    held = f", {len(webhooks.held)} held" if webhooks.held else ""
    limit = f", the newest {MAX_EVENTS} shown" if len(ids) > MAX_EVENTS else ""
    title = f"Events and deliveries: {len(ids)}{limit}{held}"
    return page(
        "Stripe simulator",
        f"<h1>Stripe simulator</h1>{_links(accounts, account)}<h2>Objects</h2>{objects.tables(account)}"
        f"<h2>{title}</h2>{events}",
    )


def _path(accounts: Accounts, account: Account) -> str:
    return "/" if account is accounts.default else f"/?account={account.id}"


def _links(accounts: Accounts, account: Account) -> str:
    """Return links to all accounts, if there are several."""
    count, current = len(accounts.all()), ' aria-current="page"'
    if count == 1:
        return ""
    links = "".join(
        f'<li><a href="{_path(accounts, one)}"{current if one is account else ""}>{one.id}</a></li>'
        for one in accounts.all()
    )
    return f"<details><summary>Account {account.id}, one of {count}</summary><ul>{links}</ul></details>"


def _event_row(account: Account, id: str) -> str:
    webhooks = account.webhooks
    event_type, event = html.escape(webhooks.types[id]), json.loads(webhooks.payloads[id])
    text = html.escape(json.dumps(event, indent=2))
    button = f"<button class='quiet' name='event' value='{id}' aria-label='Resend {id}'>Resend</button>"
    return (
        f"<tr><td><details><summary>{id}</summary><pre>{text}</pre></details></td><td>{objects.created_at(event)}</td>"
        f"<td>{event_type}</td><td>{objects.deliveries(account, id)}</td><td>{button}</td></tr>"
    )
