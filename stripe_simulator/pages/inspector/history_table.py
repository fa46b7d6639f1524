"""Tables of changes: the history of an object, and the changes that one request made."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from stripe_simulator.history import Change
from stripe_simulator.pages.inspector import parts
from stripe_simulator.pages.inspector.markup import Html, tag
from stripe_simulator.pages.inspector.view import View
from stripe_simulator.store import Object

PAGE_SIZE = 20
MAX_FIELDS = 6
"""The changed fields that one row shows. The state as JSON has all."""
MAX_EVENTS = 10
MAX_ROWS = 100
"""The changes of one request that its page shows."""
MAX_LENGTH = 80
"""The characters of a value in a table."""
MISSING: Any = object()


def history(view: View, id: str, states: list[tuple[Change, Object, Object]]) -> Html:
    """Return the changes of an object, newest first, each with what caused it and what it changed."""
    if not states:
        return tag("p", "No change is recorded: the object is older than this run or than the newest 10,000 changes.",
                   class_="empty")  # fmt: skip
    before = view.param("before")
    chosen = [one for one in states if before is None or one[0].number < int_or_zero(before)]
    rows = [
        (
            parts.moment(change.at),
            _source(view, change),
            _fields(view, earlier, later),
            _events(view, change.events),
            _state_link(view, id, change),
        )
        for change, earlier, later in chosen[:PAGE_SIZE]
    ]
    older = str(chosen[PAGE_SIZE - 1][0].number) if len(chosen) > PAGE_SIZE else None
    return tag(
        "div",
        parts.table("History", ("At (UTC)", "Caused by", "Changed", "Events", "State"), rows),
        parts.pager(view, ["objects", id], newer=before is not None, older=older),
    )


def int_or_zero(text: str) -> int:
    """Return the number of a change that a query names, or 0."""
    return int(text) if text.isascii() and text.isdecimal() else 0


def _state_link(view: View, id: str, change: Change) -> Html:
    number = str(change.number)
    is_shown = view.param("change") == number
    address = view.url("objects", id, change=number, before=view.param("before")) + "#state"
    link = tag("a", "State", href=address, aria_label=f"State after change {number}")
    return tag("span", link, tag("span", " ◂", title="shown below") if is_shown else None)


def changes_table(view: View, changes: list[Change]) -> Html:
    """Return the changes of one request."""
    rows = [
        (
            view.link(change.id, change=str(change.number)),
            change.kind.replace("_", " "),
            "created" if change.previous is None else ", ".join(list(change.previous)[:MAX_FIELDS]) or "–",
            _events(view, change.events),
        )
        for change in changes[:MAX_ROWS]
    ]
    return parts.table("Changed objects", ("Object", "Kind", "Fields", "Events"), rows, wide=(1,))


def _source(view: View, change: Change) -> Html:
    """Return a link to the request that made a change, or the name of what else made it."""
    if not change.source.startswith("req_"):
        return tag("span", change.source, class_="id source")
    request = view.find_request(change.source)
    text = f"{request['method']} {request['path']}" if request else "a request that the log no longer has"
    return view.link(change.source, text) if request else tag("span", text)


def _events(view: View, ids: list[str]) -> Html:
    types = view.account.webhooks.types
    links = [
        tag("li", tag("a", types.get(id, id), href=view.url("events", id), class_="id")) for id in ids[:MAX_EVENTS]
    ]
    return tag("ul", links, class_="plain") if links else tag("span", "–")


def _fields(view: View, before: Object, after: Object) -> Html:
    if not before:
        status = after.get("status")
        return tag("span", "created", f" as {status}".replace("_", " ") if isinstance(status, str) else None)
    if not after:
        return tag("span", "deleted")
    pairs = list(islice(_pairs(before, after), MAX_FIELDS + 1))
    items = [
        tag("li", tag("code", name), " ", _short(view, old), " → ", _short(view, new))
        for name, old, new in pairs[:MAX_FIELDS]
    ]
    if len(pairs) > MAX_FIELDS:
        items.append(tag("li", "and more", class_="quiet"))
    return tag("ul", items, class_="plain") if items else tag("span", "nothing", class_="quiet")


def _pairs(before: Object, after: Object, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the path, the old and the new value of each field that differs, statuses first."""
    names: Iterable[str] = sorted(before | after, key=lambda name: name != "status")
    for name in names:
        old, new = before.get(name, MISSING), after.get(name, MISSING)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _pairs(old, new, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", old, new


def _short(view: View, value: Any) -> Html:
    if value is MISSING:
        return tag("span", "absent", class_="quiet")
    if isinstance(value, str) and "_" in value and view.is_known(value):
        return view.link(value)
    text = value if isinstance(value, str) else _outline(value)
    return tag("span", text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…", class_="value")


def _outline(value: Any) -> str:
    """Return JSON if it is short, and otherwise what tells it apart: its message, its type, or how long it is."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= MAX_LENGTH:
        return text
    if isinstance(value, list):
        return f"{len(value)} item{'' if len(value) == 1 else 's'}"
    name = next((name for name in ("message", "type", "id") if isinstance(value.get(name), str)), None)
    return text if name is None else str(value[name])
