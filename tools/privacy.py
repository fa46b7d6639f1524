"""The tables of docs/privacy.md, the record of processing activities, from the declaration of all data.

`python -m tools.privacy` writes them, and a test compares the two.

Source: https://eur-lex.europa.eu/eli/reg/2016/679/oj, Article 30
"""

from __future__ import annotations

import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from local.build import ROOT
from tools import declared_data
from tools.capacity import updated
from tools.declared_data import NONE, Category, Store

PAGE = ROOT / "docs" / "privacy.md"
WIDTH = 120
KINDS = {
    "table": "tables",
    "event": "events on the bus",
    "email": "emails",
    "log": "logs",
    "object": "files in buckets",
    "message": "messages in queues",
}


def record() -> str:
    """Return the tables in Markdown."""
    stores = list(declared_data.stores().values())
    parts = ["### Categories of personal data", _table(_categories(stores)), "### Stores", _table(_stores(stores))]
    parts.append("### Attributes")
    for store in stores:
        parts += [f"#### {store.name}", "\n".join(_attributes(store))]
    return "\n" + "\n\n".join(parts) + "\n"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *body])


def _categories(stores: Iterable[Store]) -> Iterator[tuple[str, ...]]:
    """Yield the categories of Article 30(1)(b), (c) and (f), with the stores that have them."""
    yield "category", "of whom", "purpose", "legal basis", "ends with", "stored in"
    names = defaultdict[Category, dict[str, None]](dict)
    for store in stores:
        for _, category in declared_data.attributes(store.shape):
            names[category][store.name] = None
    for category, of in names.items():
        if category is not NONE:
            values = category.name, category.people, category.purpose, category.basis, category.ends
            yield (*values, ", ".join(f"`{name}`" for name in of))


def _stores(stores: Iterable[Store]) -> Iterator[tuple[str, ...]]:
    yield "store", "kind", "holds", "legal basis", "ends with", "resource"
    for store in stores:
        resource = f"`{store.resource}`" if store.resource else ""
        yield f"`{store.name}`", KINDS[store.kind], store.holds, store.basis, store.ends, resource


def _attributes(store: Store) -> Iterator[str]:
    """Yield the attributes of a store by category. `*` stands for an id."""
    paths = defaultdict[Category, list[str]](list)
    for path, category in declared_data.attributes(store.shape):
        paths[category].append(f"`{path}`")
    for category in sorted(paths, key=lambda one: (one is NONE, one.name)):
        text = f"- {category.name}: {', '.join(paths[category])}"
        yield textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def main(page: Path = PAGE) -> int:
    """Write the tables into docs/privacy.md."""
    page.write_text(updated(page.read_text(encoding="utf-8"), record(), "record"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
