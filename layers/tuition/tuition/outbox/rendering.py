"""Render an email as text and HTML, both from the same section of the catalogue of messages.

`en.toml` has the texts and the formats of a language, `email_layout.html` the HTML with its styles inlined
(`tools/email_layout.py`). At run time only placeholders are filled, by `str.format` and `string.Template`: a template
engine would add more to a cold start than all of this costs.
"""

import html
import re
import string
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tuition.core.emails import TO_STUDENT, Day, Days, Email, Instant, ScheduledPayment, Value
from tuition.core.money import Money
from tuition.settings import settings

TEXT_WIDTH = 72
GROUP_SIZE = 3


@dataclass(frozen=True)
class Rendered:
    """An email as it is sent."""

    subject: str
    text: str
    html: str


def render(email: Email) -> Rendered:
    """Return an email in the school's language, with times in the school's time zone."""
    current = settings()
    catalogue, zone = messages(current.email_language), _zone(current.school_time_zone)
    written = {name: write(value, catalogue, zone) for name, value in email.values.items()}
    message = email.values.get("message")
    for name in {"method", "other_method", "expiring_method"} & written.keys():
        written[name] = catalogue["methods"].get(written[name], written[name].replace("_", " ").title())
    written |= {"school": current.school_name, "support": current.support_contact}
    texts, common = catalogue[email.texts], catalogue["common"]
    rows = [(_filled(label, written), _filled(value, written)) for label, value in texts["rows"]]
    rows += [_scheduled(line, catalogue, zone) for line in email.schedule]
    for name, label in (("payment_id", "reference"), ("plan_id", "plan_reference")):
        if name in written:
            rows.append((common[label], written[name]))
    content = _Content(
        subject=_filled(texts["subject"], written) or "",
        lead=_filled(texts["lead"], written) or "",
        paragraphs=[text for source in texts["paragraphs"] if (text := _filled(source, written))],
        message=(common["message"], str(message)) if message else None,
        rows=[(label, value) for label, value in rows if label and value],
        button=(texts.get("button", common["button"]), f"{_origin()}{email.path}"),
        foot=_filled(common["foot" if email.kind in TO_STUDENT else "foot_staff"], written) or "",
        support=_filled(common["support"], written) if current.support_contact else None,
    )
    return Rendered(content.subject, _text(content, current.school_name), _html(content, catalogue))


def _scheduled(line: ScheduledPayment, catalogue: Mapping[str, Any], zone: tzinfo) -> tuple[str | None, str | None]:
    """Return a line of a plan's schedule as a label and its value."""
    values = {"number": str(line.seq), "day": write(line.day, catalogue, zone)}
    values["amount"] = write(line.amount, catalogue, zone)
    label, value = catalogue["common"]["scheduled"]
    return _filled(label, values), _filled(value, values)


@dataclass(frozen=True)
class _Content:
    """The texts of an email in their order, none of them escaped."""

    subject: str
    lead: str
    paragraphs: list[str]
    message: tuple[str, str] | None
    rows: list[tuple[str, str]]
    button: tuple[str, str]
    foot: str
    support: str | None


def _origin() -> str:
    """Return the origin of the pages: the first that is allowed."""
    origins = settings().allowed_origins
    return origins[0] if origins else ""


@cache
def messages(language: str) -> Mapping[str, Any]:
    """Return the catalogue of messages of a language."""
    return tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text(encoding="utf-8"))


@cache
def _zone(name: str) -> tzinfo:
    return ZoneInfo(name)


@cache
def _layout() -> tuple[string.Template, Mapping[str, string.Template]]:
    """Return the layout, and its blocks by name."""
    source = (Path(__file__).parent / "email_layout.html").read_text(encoding="utf-8")
    page, *blocks = re.split(r"<!--block (\w+)-->\n", source)
    names, bodies = blocks[::2], blocks[1::2]
    return string.Template(page), {name: string.Template(body) for name, body in zip(names, bodies, strict=True)}


def _one_line(text: str) -> str:
    """Return a text without control characters and line breaks, so that it cannot end a header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _filled(text: str, values: Mapping[str, str]) -> str | None:
    """Return a text with its placeholders filled; None if one has no value."""
    names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return text.format_map(values) if names <= values.keys() else None


# --- amounts and times ---


def write(value: Value, catalogue: Mapping[str, Any], zone: tzinfo) -> str:
    """Return a value as a reader of the catalogue's language expects it."""
    if isinstance(value, Money):
        return _amount(value, catalogue)
    if isinstance(value, Instant):
        return _time(value, catalogue["format"], zone)
    if isinstance(value, Day):
        return _day(value, catalogue["format"])
    if isinstance(value, Days):
        one, many = catalogue["format"]["days"]
        return str(one if value.number == 1 else many).format(number=value.number)
    return _one_line(value)


def _amount(money: Money, catalogue: Mapping[str, Any]) -> str:
    form = catalogue["format"]
    whole, _, decimals = money.decimal.lstrip("-").partition(".")
    groups = [whole[max(0, end - GROUP_SIZE) : end] for end in range(len(whole), 0, -GROUP_SIZE)]
    number = form["group"].join(reversed(groups)) + (form["decimal"] + decimals if decimals else "")
    symbol = catalogue["symbols"].get(money.currency)
    pattern = form["amount" if symbol else "amount_with_code"]
    text: str = pattern.format(symbol=symbol, number=number, code=money.currency.upper())
    return f"-{text}" if money.amount < 0 else text


def _time(instant: Instant, form: Mapping[str, Any], zone: tzinfo) -> str:
    local = datetime.fromisoformat(instant.at).astimezone(zone)
    text: str = form["date_time"].format(
        year=local.year,
        month=form["months"][local.month - 1],
        month_number=f"{local.month:02}",
        day=local.day,
        hour=f"{local.hour:02}",
        hour12=local.hour % 12 or 12,
        minute=f"{local.minute:02}",
        half=form["halves"][local.hour // 12],
        zone=local.tzname(),
    )
    return text


def _day(value: Day, form: Mapping[str, Any]) -> str:
    day = date.fromisoformat(value.day)
    text: str = form["date"].format(
        year=day.year, month=form["months"][day.month - 1], month_number=f"{day.month:02}", day=day.day
    )
    return text


# --- text and HTML ---


def _text(content: _Content, school: str) -> str:
    parts = [content.lead, *content.paragraphs]
    blocks = [textwrap.fill(part, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False) for part in parts]
    if content.message:
        label, message = content.message
        lines = [
            line
            for paragraph in message.splitlines()
            for line in textwrap.wrap(paragraph, TEXT_WIDTH - 2, break_long_words=False) or [""]
        ]
        blocks.append("\n".join([label, *(f"> {line}".rstrip() for line in lines)]))
    if content.rows:
        blocks.append("\n".join(f"{label}: {value}" for label, value in content.rows))
    label, url = content.button
    blocks.append(f"{label}:\n{url}")
    foot = " ".join(text for text in (content.foot, content.support) if text)
    blocks.append("-- \n" + textwrap.fill(foot, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False))
    return f"{school}\n\n" + "\n\n".join(blocks) + "\n"


def _html(content: _Content, catalogue: Mapping[str, Any]) -> str:
    page, block = _layout()

    def of(name: str, **values: str) -> str:
        return block[name].substitute({key: _escaped(value) for key, value in values.items()})

    parts = [of("paragraph", text=text) for text in content.paragraphs]
    if content.message:
        parts.append(of("message", label=content.message[0], text=content.message[1]))
    if content.rows:
        rows = "".join(of("row", label=label, value=value) for label, value in content.rows)
        parts.append(block["rows"].substitute(rows=rows))
    parts.append(of("button", label=content.button[0], url=content.button[1]))
    foot = " ".join(text for text in (content.foot, content.support) if text)
    return page.substitute(
        language=catalogue["language"],
        direction=catalogue["direction"],
        subject=_escaped(content.subject),
        school=_escaped(settings().school_name),
        lead=_escaped(content.lead),
        blocks="".join(parts),
        foot=_escaped(foot),
    )


def _escaped(text: str) -> str:
    """Return a text for HTML, with its line breaks."""
    return html.escape(text).replace("\n", "<br>\n")
