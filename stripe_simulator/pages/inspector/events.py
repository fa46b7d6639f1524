"""The pages of events: the list with its filters, and one event with every try of its deliveries."""

import json
from collections.abc import Iterator
from itertools import dropwhile, islice
from typing import Any

from stripe_simulator.pages.html_page import redirect
from stripe_simulator.pages.inspector import json_view, parts
from stripe_simulator.pages.inspector.frame import missing, page
from stripe_simulator.pages.inspector.markup import Html, tag
from stripe_simulator.pages.inspector.view import View
from stripe_simulator.response import Response
from stripe_simulator.store import Object
from stripe_simulator.webhooks import Delivery

OUTCOMES = ("waiting", "delivered", "failed", "held", "dropped")
MAX_DELIVERIES = 50
"""The newest deliveries of one event that its page shows."""
REFERENCE = "https://docs.stripe.com/api/events/types#event_types-"


def list_page(view: View) -> Response:
    """GET /inspect/events?type&endpoint&outcome&before: the events, newest first."""
    webhooks = view.account.webhooks
    before = view.param("before")
    ids: Iterator[str] = reversed(webhooks.payloads)
    if before:
        ids = islice(dropwhile(lambda id: id != before, ids), 1, None)
    chosen = list(islice((id for id in ids if _matches(view, id)), parts.PAGE_SIZE + 1))
    older = chosen[parts.PAGE_SIZE - 1] if len(chosen) > parts.PAGE_SIZE else None
    params = {name: view.param(name) for name in ("type", "endpoint", "outcome")}
    count = tag("span", f"{len(webhooks.payloads):,}", class_="count")
    return page(
        view,
        "Events",
        tag("h1", "Events", count),
        held_note(view),
        _filters(view),
        table_of(view, chosen[: parts.PAGE_SIZE]) if chosen else _empty(any(params.values()) or before is not None),
        parts.pager(view, ["events"], newer=before is not None, older=older, **params),
        part="events",
        live=before is None,
    )


def _empty(is_filtered: bool) -> Html:
    text = "No event matches." if is_filtered else "No events yet. Changes of objects create them."
    return tag("p", text, class_="empty")


def _matches(view: View, id: str) -> bool:
    """Return whether an event matches the filters. One delivery must match the endpoint and the outcome."""
    webhooks = view.account.webhooks
    type_, endpoint, outcome = (view.param(name) for name in ("type", "endpoint", "outcome"))
    if type_ and webhooks.types[id] != type_:
        return False
    if not endpoint and not outcome:
        return True
    return any(
        (not endpoint or one.endpoint_id == endpoint) and (not outcome or one.outcome == outcome)
        for one in webhooks.deliveries.get(id, ())
    )


def _filters(view: View) -> Html:
    webhooks = view.account.webhooks
    types = [(type_, type_) for type_ in sorted(set(webhooks.types.values()))]
    endpoints = [(one["id"], one["url"]) for one in view.account.store.all("webhook_endpoint")]
    return parts.filters(
        view,
        "events",
        parts.choice("type", "Type", types, view.param("type")),
        parts.choice("endpoint", "Endpoint", endpoints, view.param("endpoint")),
        parts.choice("outcome", "Delivery", [(one, one) for one in OUTCOMES], view.param("outcome")),
    )


def held_note(view: View) -> Html | None:
    """Return a note with a button while deliveries are held."""
    held = len(view.account.webhooks.held)
    if not held:
        return None
    noun = "delivery is" if held == 1 else "deliveries are"
    button = parts.post_button(view, "Release them" if held > 1 else "Release it", "events", "release")
    return tag("div", tag("p", f"{held:,} {noun} held."), button, class_="note")


def table_of(view: View, ids: list[str]) -> Html:
    """Return a table of events."""
    rows = []
    for id in ids:
        event = json.loads(view.account.webhooks.payloads[id])
        rows.append(
            [
                tag("a", event["type"], href=view.url("events", id), class_="id"),
                _object_link(view, event),
                [_delivery_status(view, one) for one in view.account.webhooks.deliveries.get(id, [])[-MAX_DELIVERIES:]],
                parts.moment(event["created"]),
                parts.post_button(view, "Resend", "events", id, "resend", label=f"Resend {event['type']} {id}"),
            ]
        )
    return parts.table("Events", ("Type", "Object", "Deliveries", "Created (UTC)", "Resend"), rows, wide=(3, 4))


def _object_link(view: View, event: Object) -> Html:
    id = event["data"]["object"].get("id")
    return view.link(id) if id and view.is_known(id) else tag("span", id or event["data"]["object"]["object"])


def _next_try(view: View, delivery: Delivery) -> float | None:
    is_waiting = delivery.outcome in ("waiting", "failed")
    return delivery.due if is_waiting and any(one is delivery for one in view.account.webhooks.outbox) else None


def _delivery_status(view: View, delivery: Delivery) -> Html:
    last = delivery.log[-1] if delivery.log else None
    detail = (f" {last['status']}" if last["status"] else ", no response") if last else ""
    if len(delivery.log) > 1:
        detail += f", {len(delivery.log)} tries"
    return parts.status(f"{delivery.outcome}{detail}", parts.TONE_OF.get(delivery.outcome))


def event_page(view: View, id: str) -> Response:
    """GET /inspect/events/:id."""
    webhooks = view.account.webhooks
    if id not in webhooks.payloads:
        return missing(view, "event", id)
    event = webhooks.event(id)
    deliveries = webhooks.deliveries.get(id, [])[: -MAX_DELIVERIES - 1 : -1]
    previous = event["data"].get("previous_attributes")
    changed = [tag("h2", "Changed"), changes(view, previous, event["data"]["object"])] if previous else None
    return page(
        view,
        f"{event['type']} {id}",
        _head(view, event),
        changed,
        tag("h2", "Deliveries", tag("span", str(len(webhooks.deliveries.get(id, []))), class_="count")),
        _resend_buttons(view, event),
        [_delivery(view, one) for one in deliveries] or tag("p", "No endpoint received this event.", class_="empty"),
        tag("h2", "Event"),
        json_view.show(view, event, "Event as JSON"),
        part="events",
        live=True,
    )


def _head(view: View, event: Object) -> Html:
    request = event["request"] or {}
    request_id = request.get("id")
    return tag(
        "div",
        tag("p", tag("a", "Events", href=view.url("events")), class_="crumb"),
        tag("h1", event["type"]),
        tag("p", tag("a", "Stripe’s reference", href=REFERENCE + event["type"], rel="noreferrer"), class_="aside"),
        parts.facts(
            [
                ("Event", tag("span", event["id"], class_="id")),
                ("Object", _object_link(view, event)),
                ("Request", _request_link(view, request_id)),
                ("Idempotency key", request.get("idempotency_key")),
                ("Created (UTC)", parts.moment(event["created"])),
                ("Not yet delivered to", _endpoints(event["pending_webhooks"])),
            ]
        ),
        class_="head",
    )


def _request_link(view: View, id: str | None) -> object:
    """Return a link to the request that caused an event, by its method and path."""
    if id is None:
        return "none: a scheduled task caused it"
    request = view.find_request(id)
    return view.link(id, f"{request['method']} {request['path']}") if request else id


def _endpoints(count: int) -> str:
    return f"{count} endpoint{'' if count == 1 else 's'}"


def changes(view: View, previous: Object, current: Object) -> Html:
    """Return a table of changed fields with the old and the new value of each."""
    rows = [(tag("code", name), _value(view, old), _value(view, new)) for name, old, new in _pairs(previous, current)]
    return parts.table("Changed fields", ("Field", "Before", "After"), rows)


def _pairs(previous: Any, current: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the path, the old and the new value of each change."""
    for name, old in previous.items():
        new = current.get(name) if isinstance(current, dict) else None
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _pairs(old, new, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", old, new


def _value(view: View, value: Any) -> Html:
    if isinstance(value, dict | list):
        return json_view.show(view, value, "Value as JSON")
    if isinstance(value, str) and view.is_known(value):
        return view.link(value)
    return tag("code", json.dumps(value, ensure_ascii=False))


def _resend_buttons(view: View, event: Object) -> Html | None:
    endpoints = view.account.webhooks.endpoints_for(event["type"])
    if not endpoints:
        return tag("p", "No enabled endpoint receives events of this type.", class_="empty")
    one_by_one = [
        parts.post_button(view, f"Resend to {one['url']}", "events", event["id"], "resend", endpoint=one["id"])
        for one in endpoints
    ]
    all_of_them = parts.post_button(view, "Resend to all endpoints", "events", event["id"], "resend")
    return tag("div", all_of_them if len(endpoints) > 1 else None, one_by_one, class_="actions")


def _delivery(view: View, delivery: Delivery) -> Html:
    """Return one delivery with its tries, newest first."""
    rows = [
        (
            parts.moment(entry["at"]),
            parts.status(str(entry["status"]), "good" if 200 <= entry["status"] < 300 else "bad")
            if entry["status"]
            else parts.status("no response", "bad"),
            parts.duration(entry.get("duration_ms")),
            tag("span", entry["problem"] or entry.get("response") or "–", class_="response"),
        )
        for entry in reversed(delivery.log)
    ]
    next_try = _next_try(view, delivery)
    endpoint = view.link(delivery.endpoint_id) if view.is_known(delivery.endpoint_id) else delivery.endpoint_id
    return tag(
        "section",
        tag("p", parts.status(delivery.outcome), tag("span", delivery.url, class_="id"), " ", endpoint, class_="title"),
        parts.table("Tries", ("At (UTC)", "Response", "Duration", "Body or error"), rows) if rows else None,
        tag("p", "Next try: ", parts.moment(next_try), class_="empty") if next_try is not None else None,
        class_="delivery",
    )


def resend(view: View, id: str, form: dict[str, str]) -> Response:
    """POST /inspect/events/:id/resend: deliver the event again, to one endpoint or to all that receive its type."""
    webhooks = view.account.webhooks
    if id not in webhooks.payloads:
        return missing(view, "event", id)
    webhooks.resend(id, form.get("endpoint") or None)
    return redirect(view.url("events", id))


def release(view: View) -> Response:
    """POST /inspect/events/release: send the held deliveries in the order of their creation."""
    view.account.webhooks.release("as_created", seed=1, times=1)
    return redirect(view.url("events"))
