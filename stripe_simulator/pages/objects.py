"""HTML tables of the account's newest objects, each with its JSON, and lists of deliveries, for the overview."""

import html
import json
import time

from stripe_simulator.account import Account
from stripe_simulator.store import Object, public_fields

MAX_ROWS = 20
SUMMARY_FIELDS = (
    "status",
    "amount",
    "amount_total",
    "currency",
    "customer",
    "payment_intent",
    "email",
    "name",
    "code",
    "url",
)


def tables(account: Account) -> str:
    """Return one table per kind, in the order of their first objects."""
    parts = []
    for kind, rows in account.store.objects.items():
        if not rows:
            continue
        newest = list(rows.values())[: -MAX_ROWS - 1 : -1]
        more = f", the newest {MAX_ROWS} shown" if len(rows) > MAX_ROWS else ""
        body = "".join(_row(one) for one in newest)
        parts.append(
            f"<details><summary>{html.escape(kind)}: {len(rows)}{more}</summary>"
            f"<table><tr><th>Object</th><th>Created</th><th>Summary</th></tr>{body}</table></details>"
        )
    return "".join(parts) or "<p>No objects yet.</p>"


def created_at(stored: Object) -> str:
    """Return when an object was created, in UTC."""
    if "created" not in stored:
        return "deleted"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(stored["created"]))


def _row(stored: Object) -> str:
    summary = ", ".join(f"{name} {stored[name]}" for name in SUMMARY_FIELDS if stored.get(name) is not None)
    text = html.escape(json.dumps(public_fields(stored), indent=2))
    return (
        f"<tr><td><details><summary>{html.escape(stored['id'])}</summary><pre>{text}</pre></details></td>"
        f"<td>{created_at(stored)}</td><td>{html.escape(summary)}</td></tr>"
    )


def deliveries(account: Account, event_id: str) -> str:
    """Return one line per delivery of an event: its URL, its outcome, and the status or problem of each try."""
    lines = []
    for one in account.webhooks.deliveries.get(event_id, []):
        tries = ", ".join(str(entry["status"] or entry["problem"]) for entry in one.log)
        lines.append(html.escape(f"{one.url}: {one.outcome}" + (f" ({tries})" if tries else "")))
    return "<br>".join(lines)
