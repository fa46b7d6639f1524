"""The account's objects as HTML tables, for the first page: the newest of each kind, each opened as its JSON."""

import html
import json
import time

from stripe_simulator.account import Account
from stripe_simulator.store import Object, shown

NEWEST = 20
TOLD = ("status", "amount", "amount_total", "currency", "customer", "payment_intent", "email", "name", "code", "url")


def tables(account: Account) -> str:
    """One table a kind, the kinds in the order in which they first appeared."""
    parts = []
    for kind, rows in account.store.objects.items():
        if not rows:
            continue
        newest = list(rows.values())[: -NEWEST - 1 : -1]
        more = f", the newest {NEWEST} of them" if len(rows) > NEWEST else ""
        body = "".join(_row(one) for one in newest)
        parts.append(
            f"<details><summary>{html.escape(kind)}: {len(rows)}{more}</summary>"
            f"<table><tr><th>Object</th><th>Made</th><th>In short</th></tr>{body}</table></details>"
        )
    return "".join(parts) or "<p>There are none yet.</p>"


def moment(stored: Object) -> str:
    """When something was made, in UTC."""
    if "created" not in stored:
        return "deleted"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(stored["created"]))


def _row(stored: Object) -> str:
    short = ", ".join(f"{name} {stored[name]}" for name in TOLD if stored.get(name) is not None)
    text = html.escape(json.dumps(shown(stored), indent=2))
    return (
        f"<tr><td><details><summary>{html.escape(stored['id'])}</summary><pre>{text}</pre></details></td>"
        f"<td>{moment(stored)}</td><td>{html.escape(short)}</td></tr>"
    )


def deliveries(account: Account, event_id: str) -> str:
    """Where an event went and what came of it: one line a delivery, each try with the status or the problem."""
    lines = []
    for one in account.webhooks.deliveries.get(event_id, []):
        tries = ", ".join(str(entry["status"] or entry["problem"]) for entry in one.log)
        lines.append(html.escape(f"{one.url}: {one.outcome}" + (f" ({tries})" if tries else "")))
    return "<br>".join(lines)
