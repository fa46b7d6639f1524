"""The pages of objects: the list of a kind, and one object with the objects that belong to it."""

from itertools import dropwhile, islice

from stripe_simulator.history import Change
from stripe_simulator.pages.inspector import history_table, json_view, parts
from stripe_simulator.pages.inspector.frame import missing, page
from stripe_simulator.pages.inspector.markup import Html, tag
from stripe_simulator.pages.inspector.related import rank, related
from stripe_simulator.pages.inspector.view import View
from stripe_simulator.response import Response
from stripe_simulator.store import Object, public_fields

CUSTOMER_PAGES = {
    "checkout.session": ("url", "Checkout"),
    "charge": ("receipt_url", "Receipt"),
    "credit_note": ("pdf", "PDF"),
    "invoice": ("hosted_invoice_url", "Invoice"),
}
"""The field of a kind with the address of a page for the customer, and the name of that page."""
SUMMARY_FIELDS = ("description", "email", "name", "code", "reason", "fraud_type", "url", "type", "failure_code")
NAMES = {"radar.early_fraud_warning": "early fraud warning", "checkout.session": "Checkout Session"}
MAX_METADATA = 3
"""The keys of the metadata in the head of an object's page. Its JSON has all."""
REFERENCE = "https://docs.stripe.com/api/"
REFERENCE_PAGES = {
    "checkout.session": "checkout/sessions",
    "radar.early_fraud_warning": "radar/early_fraud_warnings",
}


def name_of(kind: str, *, plural: bool = False) -> str:
    """Return the name of a kind for people: `payment intents`."""
    name = NAMES.get(kind, kind.replace("_", " ").replace(".", " "))
    return f"{name}s" if plural else name


def kinds(view: View) -> list[tuple[str, int]]:
    """Return the kinds that the account has, each with the number of its objects."""
    counts = [(kind, len(objects)) for kind, objects in view.account.store.objects.items() if objects]
    return sorted(counts, key=lambda item: (rank(item[0]), item[0]))


def list_page(view: View) -> Response:
    """GET /inspect/objects?kind&before: the objects of a kind, newest first."""
    counts = kinds(view)
    kind = view.param("kind") or next((one for one, _ in counts), "")
    count = dict(counts).get(kind, 0)
    rows = view.account.store.all(kind)
    before = view.param("before")
    if before:
        rows = islice(dropwhile(lambda one: one["id"] != before, rows), 1, None)
    chosen = list(islice(rows, parts.PAGE_SIZE + 1))
    older = chosen[parts.PAGE_SIZE - 1]["id"] if len(chosen) > parts.PAGE_SIZE else None
    tabs = tag(
        "nav",
        [
            tag(
                "a",
                name_of(one, plural=True).capitalize(),
                tag("span", f"{number:,}", class_="count"),
                href=view.url("objects", kind=one),
                aria_current="page" if one == kind else None,
            )
            for one, number in counts
        ],
        class_="tabs",
        aria_label="Kinds",
    )
    title = name_of(kind, plural=True) if kind else "objects"
    return page(
        view,
        title.capitalize(),
        tag("h1", title.capitalize(), tag("span", f"{count:,}", class_="count")),
        tabs if counts else None,
        table_of(view, title.capitalize(), chosen[: parts.PAGE_SIZE]) if chosen else _empty(view, count),
        parts.pager(view, ["objects"], newer=before is not None, older=older, kind=kind or None),
        part="objects",
    )


def _empty(view: View, count: int) -> Html:
    if count:
        return tag("p", "There are no older objects of this kind.", class_="empty")
    return tag("p", "No objects yet. They appear here as soon as a request creates them.", class_="empty")


def table_of(view: View, caption: str, objects: list[Object], *, with_kind: bool = False) -> Html:
    """Return a table of objects."""
    rows = [
        [
            *([name_of(one["object"]).capitalize()] if with_kind else []),
            view.link(one["id"]),
            state(one),
            parts.amount(one),
            tag("span", summary(one), class_="summary"),
            parts.moment(one.get("created")),
        ]
        for one in objects
    ]
    columns = [*(["Kind"] if with_kind else []), "Id", "Status", "Amount", "Summary", "Created (UTC)"]
    last = len(columns) - 1
    return parts.table(caption, columns, rows, wide=(last,))


def state(stored: Object) -> list[Html]:
    """Return the labels of an object's status."""
    if stored.get("deleted"):
        return [parts.status("deleted")]
    labels = []
    if isinstance(stored.get("status"), str):
        labels.append(parts.status(stored["status"]))
    if isinstance(stored.get("active"), bool):
        labels.append(parts.status("active" if stored["active"] else "archived"))
    if isinstance(stored.get("payment_status"), str):
        labels.append(parts.status(stored["payment_status"]))
    if stored.get("object") == "charge" and not stored.get("captured") and stored.get("status") == "succeeded":
        labels.append(parts.status("uncaptured", "open"))
    if stored.get("refunded") or stored.get("amount_refunded"):
        labels.append(parts.status("refunded" if stored.get("refunded") else "partially refunded", "calm"))
    if stored.get("disputed"):
        labels.append(parts.status("disputed", "bad"))
    return labels


def summary(stored: Object) -> str:
    """Return a short text that tells objects of a kind apart."""
    card = stored.get("card") if stored.get("object") == "payment_method" else None
    if isinstance(card, dict):
        return f"{card['brand']} •••• {card['last4']}"
    texts = [str(stored[name]) for name in SUMMARY_FIELDS if stored.get(name)]
    return " · ".join(texts[:2])


def object_page(view: View, id: str) -> Response:
    """GET /inspect/objects/:id?change&before: an object now, or before a change, with its history."""
    stored = view.account.lookup(id)
    changes = view.account.history.of(id)
    if stored is None and not changes:
        return missing(view, "object", id)
    present = public_fields(stored or {})
    states = list(view.account.history.states(id, present))
    state_then, note = _state_at(view, id, present, changes, states)
    shown = state_then or _last_state(states) or present
    kind = shown["object"]
    others = related(view.account, shown)
    error = _last_error(shown)
    return page(
        view,
        f"{name_of(kind).capitalize()} {id}",
        _head(view, id, kind, state(shown) if stored else [parts.status("deleted")]),
        tag("p", f"Last error: {error}", class_="message") if error else None,
        parts.facts(
            [
                ("Amount", parts.amount(shown)),
                ("Summary", summary(shown) or None),
                ("Page for the customer", _customer_page(shown) if stored and not state_then else None),
                ("Created (UTC)", parts.moment(shown["created"]) if "created" in shown else None),
                ("Metadata", _metadata(shown)),
            ]
        ),
        tag("h2", "Related"),
        table_of(view, "Related objects", others, with_kind=True)
        if others
        else tag("p", "No other object belongs to it.", class_="empty"),
        tag("h2", "History", tag("span", f"{len(changes):,}", class_="count")),
        history_table.history(view, id, states),
        tag("h2", "State", id="state"),
        note,
        json_view.show(view, shown, "State as JSON"),
        part="objects",
    )


def _last_error(shown: Object) -> str | None:
    """Return why the last attempt of an intent, a charge, a refund or a payout failed, or None."""
    error = shown.get("last_payment_error") or shown.get("last_setup_error")
    if error:
        return f"{error['message']} ({error.get('decline_code') or error.get('code') or error['type']})"
    reasons = [shown.get(name) for name in ("failure_message", "failure_code", "failure_reason")]
    return next((one for one in reasons if one), None)


def _customer_page(shown: Object) -> Html | None:
    """Return a link to the page on which the customer pays, authenticates or reads the receipt, or None."""
    action = shown.get("next_action") or {}
    address = action.get("redirect_to_url", {}).get("url") or action.get("use_stripe_sdk", {}).get("stripe_js")
    name = "3-D Secure"
    if shown["object"] in CUSTOMER_PAGES:
        field, name = CUSTOMER_PAGES[shown["object"]]
        address = shown.get(field)
    return tag("a", name, href=address) if address else None


def _state_at(
    view: View, id: str, present: Object, changes: list[Change], states: list[tuple[Change, Object, Object]]
) -> tuple[Object | None, Html | None]:
    """Return the state after the change that the query names, and a note about it; or None for the present state."""
    number = view.param("change")
    after = next((after for change, _, after in states if str(change.number) == number), None)
    if not after or not changes or str(changes[0].number) == number:
        text = None if present else "The object has been deleted. This is its last state."
        return None, tag("p", text, class_="note") if text else None
    now = tag("a", "Show the present state", href=view.url("objects", id) + "#state")
    return after, tag("p", "The object as it was after the marked change. ", now, class_="note")


def _last_state(states: list[tuple[Change, Object, Object]]) -> Object | None:
    """Return the last state of a deleted object."""
    if states and not states[0][2]:
        return states[0][1]
    return None


def _metadata(stored: Object) -> Html | None:
    pairs = list((stored.get("metadata") or {}).items())
    rest = f", {len(pairs) - MAX_METADATA} more" if len(pairs) > MAX_METADATA else ""
    return tag("span", ", ".join(f"{key}: {value}" for key, value in pairs[:MAX_METADATA]) + rest) if pairs else None


def _head(view: View, id: str, kind: str, labels: list[Html]) -> Html:
    path = REFERENCE_PAGES.get(kind, f"{kind}s")
    return tag(
        "div",
        tag(
            "p", tag("a", name_of(kind, plural=True).capitalize(), href=view.url("objects", kind=kind)), class_="crumb"
        ),
        tag("h1", tag("span", id, class_="id"), " ", labels),
        tag("p", tag("a", "Stripe’s reference", href=f"{REFERENCE}{path}/object", rel="noreferrer"), class_="aside"),
        class_="head",
    )
