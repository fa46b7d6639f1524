"""Compare what a test run has left behind with the declaration of all data, and scan it.

An attribute that is not declared is found, and so is a means to pay or a key anywhere, and an address where none may
be: only in an attribute whose category allows it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.sensitive_data import find_personal, find_secrets
from tools import declared_data
from tools.declared_data import CONTACT, METHOD, PASSED_ON, WRITTEN, Category
from tuition.core import published_events, rollups
from tuition.core.archive import Each
from tuition.storage import mapping

MAX_PROBLEMS = 20
MAY_HAVE_ADDRESSES = (CONTACT, METHOD, WRITTEN)
"""An address is the content of the first, a receipt's of the second, and people may write one in a text."""
A_URL = "a URL"
"""Events of Stripe have some, but no address of a person: the quarantine removes it."""


def problems(name: str, entries: Iterable[Any]) -> list[str]:
    """Return what is wrong with entries of a store: each kind of problem once, at most the first `MAX_PROBLEMS`."""
    wrong: dict[str, None] = {}
    for entry in entries:
        wrong |= dict.fromkeys(_problems(name, entry))
        if len(wrong) >= MAX_PROBLEMS:
            break
    return list(wrong)


def problems_of_items(name: str, items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with items of a table, as DynamoDB writes them."""
    return problems(name, (plain_item(name, item) for item in items))


def problems_of_tables(stored: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """Return what is wrong with the items of all tables, and with what is published and queued of their records."""
    wrong = [one for name, items in stored.items() for one in problems_of_items(name, items)]
    records = [_record(item) for item in stored["audit"]]
    events = [event.detail for record in records if record for event in published_events.of_record(record)]
    queued = [entry.body for record in records if record and (entry := rollups.queue_entry(record))]
    return [*wrong, *problems("event", events), *problems("analytics_queue", queued)]


def _record(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an audit record as the publisher reads it; None for one that a test has made unreadable."""
    try:
        record = mapping.stored_record(dict(item))
        published_events.of_record(record)
    except (KeyError, TypeError, ValueError):
        return None
    return record


def plain_item(name: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item, as DynamoDB writes it, as plain values. A text whose attribute has parts is read as JSON.

    One that a test has made unreadable is passed over.
    """
    shape = declared_data.stores()[name].shape
    return {key: _plain(value, shape.get(key)) for key, value in item.items()}


def _plain(value: Mapping[str, Any], shape: declared_data.Shape) -> Any:
    ((type_, content),) = value.items()
    if type_ == "M":
        return {key: _plain(part, None) for key, part in content.items()}
    if type_ == "L":
        return [_plain(part, None) for part in content]
    has_parts = isinstance(shape, (Mapping, Each, declared_data.Listed))
    if type_ != "S" or not has_parts:
        return content
    try:
        return json.loads(content)
    except ValueError:
        return None


def _problems(name: str, entry: Any) -> Iterator[str]:
    parts = declared_data.values(name, entry)
    for path, category, _ in parts:
        if category is None:
            yield declared_data.problem(name, path)
    every = "\n".join(_text(part) for _, _, part in parts)
    closed = "\n".join(_text(part) for _, category, part in parts if category not in MAY_HAVE_ADDRESSES)
    if find_secrets(every) or find_personal(closed):
        for path, category, part in parts:  # only to say where
            yield from (f"{name}{path} has {one}" for one in _sensitive(category, _text(part)))


def _sensitive(category: Category | None, text: str) -> list[str]:
    if category in MAY_HAVE_ADDRESSES:
        return find_secrets(text)
    personal = find_personal(text)
    if category is PASSED_ON:
        personal = [one for one in personal if not one.startswith(A_URL)]
    return find_secrets(text) + personal


def _text(part: Any) -> str:
    return part if isinstance(part, str) else str(part)
