"""The pages of requests: the log with its filters, and one request with the rule that refused it."""

import json
import re
from itertools import dropwhile, islice

from stripe_simulator import rules
from stripe_simulator.account import MAX_REQUESTS, MAX_RESPONSES
from stripe_simulator.pages.inspector import json_view, parts
from stripe_simulator.pages.inspector.frame import missing, page
from stripe_simulator.pages.inspector.history_table import changes_table
from stripe_simulator.pages.inspector.markup import Html, tag
from stripe_simulator.pages.inspector.reference import error_pages, operation_page
from stripe_simulator.pages.inspector.view import MAX_QUERY_LENGTH, View
from stripe_simulator.response import Response
from stripe_simulator.store import Object

NOT_SIMULATED = re.compile("The simulator does not (support|simulate)")
MAX_TITLE = 100
"""The characters of an error message in a table."""
RESULTS = {"succeeded": "succeeded", "refused": "refused", "replayed": "replayed by idempotency key"}


def list_page(view: View) -> Response:
    """GET /inspect/requests?operation&result&key&before: the requests, newest first. `key` is an idempotency key."""
    log, before = view.account.log, view.param("before")
    entries = reversed(log)
    if before:
        entries = islice(dropwhile(lambda one: one["request_id"] != before, entries), 1, None)
    chosen = list(islice((one for one in entries if _matches(view, one)), parts.PAGE_SIZE + 1))
    older = chosen[parts.PAGE_SIZE - 1]["request_id"] if len(chosen) > parts.PAGE_SIZE else None
    params = {name: view.param(name) for name in ("operation", "result", "key")}
    is_narrowed = any(params.values()) or before is not None
    empty = "No request matches." if is_narrowed else "No requests yet."
    full = len(log) == MAX_REQUESTS
    return page(
        view,
        "Requests",
        tag("h1", "Requests", tag("span", f"{len(log):,}", class_="count")),
        tag("p", f"The log keeps the newest {MAX_REQUESTS:,} requests.", class_="aside") if full else None,
        _filters(view),
        _key_note(view),
        table_of(view, chosen[: parts.PAGE_SIZE]) if chosen else tag("p", empty, class_="empty"),
        parts.pager(view, ["requests"], newer=before is not None, older=older, **params),
        part="requests",
        live=before is None,
    )


def _matches(view: View, entry: Object) -> bool:
    operation, result = view.param("operation"), view.param("result")
    if operation and entry["operation"] != operation:
        return False
    key = view.param("key")
    if key and (entry["idempotency_key"] or "")[:MAX_QUERY_LENGTH] != key:
        return False
    return not result or result in _results(entry)


def _results(entry: Object) -> set[str]:
    return {"succeeded" if entry["status"] < 400 else "refused"} | ({"replayed"} if entry["replayed"] else set())


def _filters(view: View) -> Html:
    operations = sorted({one["operation"] for one in view.account.log if one["operation"]}, key=_by_path)
    return parts.filters(
        view,
        "requests",
        parts.choice("operation", "Operation", [(one, one) for one in operations], view.param("operation")),
        parts.choice("result", "Result", list(RESULTS.items()), view.param("result")),
    )


def _key_note(view: View) -> Html | None:
    """Return a note while the list has only the requests of one idempotency key."""
    key = view.param("key")
    if not key:
        return None
    every = tag("a", "Show all requests", href=view.url("requests"))
    return tag("p", "Requests with the idempotency key ", tag("code", key), ". ", every, class_="note")


def _by_path(operation: str) -> tuple[str, str]:
    method, _, path = operation.partition(" ")
    return path, method


def table_of(view: View, entries: list[Object]) -> Html:
    """Return a table of requests."""
    rows = [
        (
            status_of(entry),
            tag(
                "a",
                f"{entry['method']} {entry['path']}",
                href=view.url("requests", entry["request_id"]),
                class_="id request",
            ),
            tag("span", title_of(entry), class_="summary", title=(entry["error"] or {}).get("message")),
            tag("span", entry["idempotency_key"] or "–", class_="summary short", title=entry["idempotency_key"]),
            tag("span", entry["request_id"], class_="id"),
            parts.duration(entry["duration_ms"]),
            parts.moment(entry["at"]),
        )
        for entry in entries
    ]
    columns = ("Status", "Request", "Refused by", "Idempotency key", "Request id", "Duration", "At (UTC)")
    return parts.table("Requests", columns, rows, wide=(3, 4, 5, 6))


def status_of(entry: Object) -> Html:
    """Return the status of a request as a label."""
    tone = "good" if entry["status"] < 400 else "bad"
    return tag(
        "span", parts.status(str(entry["status"]), tone), parts.status("replayed") if entry["replayed"] else None
    )


def title_of(entry: Object) -> str | None:
    """Return the rule that refused a request in a few words, or None."""
    error = entry["error"]
    if error is None:
        return None
    if entry["fault"] in ("rate_limit", "lock_timeout", "error"):
        return f"a fault: {entry['fault']}"
    subject = f" · {error['param']}" if error["param"] else ""
    if NOT_SIMULATED.search(error["message"]):
        return f"not simulated{subject}"
    reason = error["decline_code"] or error["code"]
    if reason is None and error["type"] == "invalid_request_error":  # most refusals: only the message tells them apart
        reason = error["message"] if len(error["message"]) <= MAX_TITLE else f"{error['message'][:MAX_TITLE]}…"
    return f"{reason or error['type']}{subject}"


def request_page(view: View, id: str) -> Response:
    """GET /inspect/requests/:id."""
    entry = view.find_request(id)
    if entry is None:
        return missing(view, "request", id)
    name = f"{entry['method']} {entry['path']}"
    return page(
        view,
        f"{name} {id}",
        tag("p", tag("a", "Requests", href=view.url("requests")), class_="crumb"),
        tag("h1", tag("span", name, class_="id"), " ", status_of(entry)),
        _reference(entry),
        _facts(view, entry),
        _refusal(view, entry) if entry["error"] else None,
        _effects(view, id),
        tag("h2", "Parameters"),
        json_view.show(view, entry["params"], "Parameters as JSON")
        if entry["params"]
        else tag("p", "None.", class_="empty"),
        tag("h2", "Response"),
        _response(view, id),
        part="requests",
    )


def _reference(entry: Object) -> Html | None:
    address = operation_page(entry["operation"])
    return tag("p", tag("a", "Stripe’s reference", href=address, rel="noreferrer"), class_="aside") if address else None


def _facts(view: View, entry: Object) -> Html:
    authorized_by = "publishable key" if entry["publishable"] else "secret key"
    key = entry["idempotency_key"]
    others = view.url("requests", key=key and key[:MAX_QUERY_LENGTH])
    return parts.facts(
        [
            ("Request", tag("span", entry["request_id"], class_="id")),
            ("At (UTC)", parts.moment(entry["at"])),
            ("Duration", parts.duration(entry["duration_ms"])),
            ("Idempotency key", tag("a", key, href=others, title="All requests with this key") if key else None),
            ("Authorized by", authorized_by if entry["status"] != 401 else None),
            ("Stripe-Version", tag("span", entry["version"], class_="id") if entry["version"] else "not sent"),
            ("Fault", f"{entry['fault']}, by /_sim/calls or /_sim/limits" if entry["fault"] else None),
            ("Client", tag("span", entry["user_agent"], class_="id") if entry["user_agent"] else None),
        ]
    )


def _refusal(view: View, entry: Object) -> Html:
    """Return the error, the rule with its page, and the functions of the simulator that applied it."""
    error = entry["error"]
    functions = rules.explain(entry["rule"] or [])
    rule = next((one for one in functions if one.text), None)
    rule_text = tag("span", rule.text, " ", tag("code", rule.name)) if rule else None
    pages = [*error_pages(error)]
    if rule is not None and rule.page and rule.page not in {address for _, address in pages}:
        pages.append((rule.page.removeprefix("https://"), rule.page))
    links = [tag("li", tag("a", name, href=address, rel="noreferrer")) for name, address in pages]
    places = [tag("li", tag("code", one.name), tag("span", one.text, class_="quiet")) for one in functions]
    return tag(
        "section",
        tag("h2", "Refused"),
        tag("p", error["message"], class_="message"),
        parts.facts(
            [
                ("Type", error["type"]),
                ("Code", error["code"]),
                ("Decline code", error["decline_code"]),
                ("Parameter", tag("code", error["param"]) if error["param"] else None),
            ]
        ),
        parts.facts([("Rule", rule_text), ("Documentation", tag("ul", links, class_="pages"))], in_rows=True),
        tag("details", tag("summary", "Where the simulator refused it"), tag("ol", places, class_="places"))
        if places
        else None,
        class_="refusal",
    )


def _effects(view: View, id: str) -> Html | None:
    """Return the objects that the request changed, with the events about each."""
    changes = view.account.history.of_request(id)
    return tag("section", tag("h2", "Changed objects"), changes_table(view, changes)) if changes else None


def _response(view: View, id: str) -> Html:
    body = view.account.responses.get(id)
    if body is None:
        return tag("p", f"Only the newest {MAX_RESPONSES} responses are kept, and no large one.", class_="empty")
    return json_view.show(view, json.loads(body), "Response as JSON")
