"""The first page of the inspector: what the account has, how its webhooks are, and what happened last."""

from collections import Counter
from itertools import islice

from stripe_simulator.pages.inspector import events, parts, requests
from stripe_simulator.pages.inspector.frame import page
from stripe_simulator.pages.inspector.markup import Html, tag
from stripe_simulator.pages.inspector.objects import kinds, name_of, table_of
from stripe_simulator.pages.inspector.view import View
from stripe_simulator.response import Response

RECENT = 10
"""The rows of each list."""
MAX_COUNTED = 1000
"""The newest events whose deliveries are counted for each endpoint."""
MAX_TYPES = 4
"""The event types of an endpoint that are listed."""


def home_page(view: View) -> Response:
    """GET /."""
    tiles = [
        tag(
            "a",
            tag("strong", f"{number:,}"),
            name_of(kind, plural=number != 1).capitalize(),
            href=view.url("objects", kind=kind),
        )
        for kind, number in kinds(view)
    ]
    return page(
        view,
        "Overview",
        tag("h1", "Overview"),
        events.held_note(view),
        tag("nav", tiles, class_="tiles", aria_label="Objects by kind")
        if view.account.webhooks.payloads
        else _start(view),
        _payments(view),
        _events(view),
        _requests(view),
        _endpoints(view),
        part="",
        live=True,
    )


def _start(view: View) -> Html:
    return tag(
        "div",
        tag("p", "Nothing has happened yet. Point a client of Stripe’s API to this address:"),
        tag("pre", tag("code", f"stripe.StripeClient(secret_key, base_addresses={{'api': '{view.account.url}'}})")),
        class_="start",
    )


def _section(view: View, title: str, part: str, content: Html, **params: str) -> Html:
    heading = tag("h2", title, " ", tag("a", "All", href=view.url(part, **params), aria_label=f"All: {title}"))
    return tag("section", heading, content)


def _payments(view: View) -> Html | None:
    newest = list(islice(view.account.store.all("payment_intent"), RECENT))
    content = table_of(view, "Latest payments", newest)
    return _section(view, "Latest payments", "objects", content, kind="payment_intent") if newest else None


def _events(view: View) -> Html | None:
    newest = list(islice(reversed(view.account.webhooks.payloads), RECENT))
    return _section(view, "Latest events", "events", events.table_of(view, newest)) if newest else None


def _requests(view: View) -> Html | None:
    newest = list(islice(reversed(view.account.log), RECENT))
    return _section(view, "Latest requests", "requests", requests.table_of(view, newest)) if newest else None


def _outcomes(view: View) -> Counter[tuple[str, str]]:
    """Return how many deliveries of the newest events each endpoint has, by outcome."""
    deliveries = view.account.webhooks.deliveries
    newest = islice(reversed(view.account.webhooks.payloads), MAX_COUNTED)
    return Counter((one.endpoint_id, one.outcome) for id in newest for one in deliveries.get(id, ()))


def _deliveries(view: View, endpoint: str, outcomes: Counter[tuple[str, str]]) -> list[Html]:
    """Return the number of deliveries to an endpoint by outcome, each as a link to their events, failed ones first."""
    counts = [(outcome, outcomes[endpoint, outcome]) for outcome in ("failed", *events.OUTCOMES)]
    return [
        tag(
            "a",
            parts.status(f"{count:,} {outcome}", parts.TONE_OF.get(outcome)),
            href=view.url("events", endpoint=endpoint, outcome=outcome),
        )
        for outcome, count in dict(counts).items()
        if count
    ]


def _endpoints(view: View) -> Html | None:
    webhooks = view.account.webhooks
    endpoints = list(islice(view.account.store.all("webhook_endpoint"), RECENT))
    outcomes = _outcomes(view)
    rows = [
        (
            view.link(one["id"], one["url"]),
            parts.status(one["status"]),
            _deliveries(view, one["id"], outcomes) or "–",
            ", ".join(one["enabled_events"][:MAX_TYPES]) + (" …" if len(one["enabled_events"]) > MAX_TYPES else ""),
            tag("a", "Events", href=view.url("events", endpoint=one["id"]), aria_label=f"Events sent to {one['url']}"),
        )
        for one in endpoints
    ]
    mode = "" if webhooks.mode == "normal" else f" Deliveries are set to “{webhooks.mode}”."
    listeners = f" {len(webhooks.listeners)} connected by stripe listen." if webhooks.listeners else ""
    waiting = f" {len(webhooks.outbox):,} waiting for their turn or the next try." if webhooks.outbox else ""
    table = parts.table("Webhook endpoints", ("URL", "Status", "Deliveries", "Event types", "Events"), rows, wide=(3,))
    return tag(
        "section",
        tag("h2", "Webhook endpoints"),
        tag("p", f"{mode}{waiting}{listeners}".strip(), class_="aside") if mode or waiting or listeners else None,
        table
        if rows
        else tag("p", "No endpoint. Start with --webhook-url, or create one through the API.", class_="empty"),
    )
