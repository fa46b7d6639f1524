"""The parts that pages of the inspector share: tables, statuses, times, amounts, pagers and forms."""

import time
from collections.abc import Iterable, Sequence

from stripe_simulator.currencies import CURRENCIES, format_amount
from stripe_simulator.pages.inspector.markup import Html, tag
from stripe_simulator.pages.inspector.view import View
from stripe_simulator.store import Object

PAGE_SIZE = 50
TONES = {
    "good": "succeeded paid available enabled complete delivered won active won reversed",
    "bad": "failed canceled lost dropped expired disabled deleted needs_response uncollectible",
    "open": (
        "requires_payment_method requires_confirmation requires_action requires_capture processing pending open "
        "held waiting in_transit warning_needs_response under_review warning_under_review"
    ),
}
TONE_OF = {status: tone for tone, statuses in TONES.items() for status in statuses.split()}


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, wide: Sequence[int] = ()) -> Html:
    """Return a table in a box that scrolls.

    A narrow window shows each row as a block, without the columns `wide`. The roles keep it a table for screen readers.
    """

    def row_of(name: str, role: str, cells: Sequence[object], labels: Sequence[str] | None = None) -> Html:
        return tag(
            "tr",
            [
                tag(
                    name,
                    cell,
                    class_="wide" if n in wide else None,
                    role=role,
                    scope="col" if name == "th" else None,
                    data_label=labels[n] if labels else None,
                )
                for n, cell in enumerate(cells)
            ],
            role="row",
        )

    body = [row_of("td", "cell", row, columns) for row in rows]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="visually-hidden"),
            tag("thead", row_of("th", "columnheader", columns), role="rowgroup"),
            tag("tbody", body, role="rowgroup"),
            role="table",
        ),
        class_="table",
        role="region",
        aria_label=caption,
        tabindex="0",
    )


def facts(pairs: Iterable[tuple[str, object]], *, in_rows: bool = False) -> Html:
    """Return a list of names and values, without the values that are None: in columns, or each in a row."""
    items = [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value is not None]
    return tag("dl", items, class_="facts rows" if in_rows else "facts")


def status(text: str, tone: str | None = None) -> Html:
    """Return a status as a small label. Its color follows its meaning, and its text says it."""
    return tag("span", text.replace("_", " "), class_=f"status {tone or TONE_OF.get(text, 'calm')}")


def moment(unix: float | None) -> Html:
    """Return a time in UTC. The script of the page adds how long ago it was."""
    if unix is None:
        return tag("span", "–")
    at = time.gmtime(unix)
    machine = time.strftime("%Y-%m-%dT%H:%M:%SZ", at)
    return tag("time", time.strftime("%Y-%m-%d %H:%M:%S", at), datetime=machine, title="UTC")


def duration(milliseconds: float | None) -> str:
    """Return a duration: `12 ms`, `1.5 s`."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms" if milliseconds >= 1 else "< 1 ms"
    return f"{milliseconds / 1000:.1f} s"


def amount(stored: Object) -> Html | None:
    """Return the amount of an object with its currency, or None."""
    value = next((stored[name] for name in ("amount", "amount_total", "unit_amount") if name in stored), None)
    currency = stored.get("currency")
    if not isinstance(value, int) or not currency:
        return None
    text = format_amount(value, currency) if currency in CURRENCIES else f"{value} {currency.upper()}"
    return tag("span", f"−{text}" if value < 0 else text, class_="amount")


def pager(view: View, part: Sequence[str], *, newer: bool, older: str | None, **params: str | None) -> Html:
    """Return the links to the newest and the next older page. `older` is the last id of this page."""
    if not newer and not older:
        return Html("")
    first = tag("a", "Newest", href=view.url(*part, **params)) if newer else tag("span", "Newest")
    next_page = tag("a", "Older", href=view.url(*part, **params, before=older)) if older else tag("span", "Older")
    return tag("nav", first, next_page, class_="pager", aria_label="Pages")


def filters(view: View, part: str, *fields: Html) -> Html:
    """Return a form of filters, which works without a script."""
    hidden = tag("input", type="hidden", name="account", value=view.selected) if view.selected else None
    action = view.url(part).partition("?")[0]
    return tag("form", fields, hidden, tag("button", "Filter"), class_="filters", action=action)


def choice(name: str, label: str, options: Iterable[tuple[str, str]], selected: str | None) -> Html:
    """Return a labeled list of options, of which the first chooses all."""
    items = [tag("option", "All", value="")]
    items += [tag("option", text, value=value, selected=value == selected) for value, text in options]
    return tag("label", tag("span", label), tag("select", items, name=name))


def post_button(view: View, text: str, *segments: str, label: str | None = None, **fields: str) -> Html:
    """Return a form of one button that posts its fields."""
    values = {**fields, "account": view.selected}
    hidden = [tag("input", type="hidden", name=name, value=value) for name, value in values.items() if value]
    button = tag("button", text, aria_label=label)
    action = view.url(*segments).partition("?")[0]
    return tag("form", hidden, button, method="post", action=action, class_="inline")
