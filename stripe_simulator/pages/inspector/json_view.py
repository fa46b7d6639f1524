"""JSON for reading: indented, with every id that the account knows as a link, and without whole secrets."""

import json
from typing import Any

from stripe_simulator.pages.inspector.markup import Html, escape, tag
from stripe_simulator.pages.inspector.view import View

SECRET_NAMES = {"secret", "client_secret"}
"""The fields whose value is a secret, whatever its form."""
MAX_LINKED = 500
"""The ids of one document that become links."""
MAX_TEXT = 20_000
"""The characters of one string that are shown."""


def show(view: View, content: Any, label: str = "JSON") -> Html:
    """Return a box with a JSON document."""
    writer = _Writer(view)
    return tag(
        "pre", tag("code", writer.value(content, 0)), class_="json", tabindex="0", role="region", aria_label=label
    )


class _Writer:
    def __init__(self, view: View) -> None:
        self._view = view
        self._links: dict[str, bool] = {}

    def value(self, value: Any, depth: int, name: str = "") -> Html:
        if isinstance(value, dict):
            return self._block("{}", [(self._key(key), self.value(one, depth + 1, key)) for key, one in value.items()],
                               depth)  # fmt: skip
        if isinstance(value, list):
            return self._block("[]", [(Html(""), self.value(one, depth + 1)) for one in value], depth)
        if isinstance(value, str):
            return self._string(value, name)
        return tag("span", json.dumps(value), class_="number")

    def _key(self, key: str) -> Html:
        return Html(tag("span", json.dumps(key, ensure_ascii=False), class_="key") + ": ")

    def _block(self, brackets: str, items: list[tuple[Html, Html]], depth: int) -> Html:
        if not items:
            return Html(brackets)
        indent = "  " * (depth + 1)
        lines = ",\n".join(f"{indent}{key}{value}" for key, value in items)
        return Html(f"{brackets[0]}\n{lines}\n{'  ' * depth}{brackets[1]}")

    def _string(self, value: str, name: str) -> Html:
        if name in SECRET_NAMES:
            return tag("span", f'"{value.partition("_")[0]}_…"', class_="string")
        if self._is_link(value):
            return tag("span", '"', self._view.link(value), '"', class_="string")
        if value.startswith(self._view.account.url + "/"):  # a receipt, a Checkout page, a bank's page
            return tag("span", '"', tag("a", value, href=value), '"', class_="string")
        rest = f"… and {len(value) - MAX_TEXT:,} more characters" if len(value) > MAX_TEXT else ""
        return tag("span", escape(json.dumps(value[:MAX_TEXT] + rest, ensure_ascii=False)), class_="string")

    def _is_link(self, value: str) -> bool:
        if "_" not in value or len(value) > 100:
            return False
        if value not in self._links and len(self._links) < MAX_LINKED:
            self._links[value] = self._view.is_known(value)
        return self._links.get(value, False)
