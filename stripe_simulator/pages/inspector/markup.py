"""HTML built from functions: `tag("td", text)` escapes the text, so that no page can forget it.

A text also never shows a secret as a whole, whatever field it comes from.
"""

import html
import re

SECRET = re.compile(r"\b((?:sk|rk)_(?:test|live)_|whsec_)(\w+)|(_secret_)\w+")
"""Secret keys, signing secrets and client secrets."""
MIN_MASKED_LENGTH = 12
"""A secret of this many characters or more shows its last four."""
VOID = {"input", "link", "meta"}


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def mask(text: str) -> str:
    """Return the text with its secrets shortened: `sk_test_…4fQ2`."""
    return SECRET.sub(_shorten, text) if "_" in text else text


def _shorten(match: re.Match[str]) -> str:
    if match[3]:
        return f"{match[3]}…"
    last = match[2][-4:] if len(match[2]) >= MIN_MASKED_LENGTH else ""
    return f"{match[1]}…{last}"


def escape(value: object) -> Html:
    """Return a child as HTML: Html, a text, a number, None for nothing, or a list of them."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("")
    if isinstance(value, list | tuple):
        return Html("".join(escape(item) for item in value))
    return Html(html.escape(mask(str(value))))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Return an element. `class_` is the attribute class, `data_x` is data-x; None and False omit an attribute."""
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        parts.append(f" {attribute}" if value is True else f' {attribute}="{escape(str(value))}"')
    parts.append(">")
    if name not in VOID:
        parts.append(f"{escape(children)}</{name}>")
    return Html("".join(parts))
