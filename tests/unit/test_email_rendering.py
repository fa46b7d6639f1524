"""Emails as they are sent: each example's text and HTML are those of its golden files."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.emails import CASES, GOLDEN, SCHOOL, about, rendered, settings_of_school
from tools import email_layout
from tuition.core.emails import TO_STUDENT, Days, Email, Instant
from tuition.core.money import Money
from tuition.outbox import rendering

EVERY = pytest.mark.parametrize("name", CASES)
TEXTS = {name for name, section in rendering.messages("en").items() if "subject" in section}


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@EVERY
def test_an_email_is_rendered_as_its_golden_files_show(name: str) -> None:
    email = rendered(name)
    text = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert text == f"Subject: {email.subject}\n\n{email.text}", "run python -m tests.emails, and read the difference"
    assert (GOLDEN / f"{name}.html").read_text(encoding="utf-8") == email.html


def test_every_text_of_the_catalogue_has_an_example_and_no_golden_file_is_left_over() -> None:
    assert {email.texts for email in CASES.values()} == TEXTS
    assert {email.kind for email in CASES.values()} == {*TO_STUDENT, "dispute_opened", "plan_defaulted", "staff_digest"}
    assert {file.stem for file in GOLDEN.iterdir()} == set(CASES)


def test_the_layout_is_the_one_that_its_sources_make() -> None:
    written = email_layout.LAYOUT.read_text(encoding="utf-8")
    assert written == email_layout.inlined(), "run python -m tools.email_layout"


@EVERY
def test_an_email_has_one_link_and_loads_nothing(name: str) -> None:
    """Neither an image nor a script, so no reader is tracked. The link is the button."""
    elements = Elements(rendered(name).html).elements
    (link,) = [attributes for tag, attributes in elements if tag == "a"]
    assert link["href"] == SCHOOL.allowed_origins[0] + CASES[name].path
    assert not {tag for tag, _ in elements} & {"img", "script", "link", "iframe", "form"}
    assert not [attributes for _, attributes in elements if "src" in attributes]
    assert "url(" not in rendered(name).html


@EVERY
def test_an_email_can_be_read_by_a_screen_reader(name: str) -> None:
    elements = Elements(rendered(name).html).elements
    assert dict(elements)["html"] == {"lang": "en", "dir": "ltr"}
    assert {attributes.get("role") for tag, attributes in elements if tag == "table"} == {"presentation"}
    assert [tag for tag, _ in elements if tag in ("h1", "title", "main")] == ["title", "main", "h1"]


@EVERY
def test_the_html_says_what_the_text_says(name: str) -> None:
    email = rendered(name)
    words = re.findall(r"\S+", Elements(email.html.partition("<body")[2]).text)
    text = email.text.partition("\n-- \n")[0].replace(SCHOOL.allowed_origins[0] + CASES[name].path, "")
    for word in re.findall(r"[^\s:>]+", text):
        assert any(word in shown for shown in words) or word in " ".join(words), word


def test_a_value_cannot_become_markup_or_end_a_header() -> None:
    hostile = "<b>x</b>\r\nBcc: eve@example.org {amount} $amount"
    email = about(
        "refund_declined", track=hostile, amount=Money(1, "usd"), requested_at=Instant("2026-01-01T00:00:00Z")
    )
    with settings_of_school():
        result = rendering.render(email)
    assert "<b>" not in result.html
    assert result.subject == "Your refund request for $0.01 was declined"
    with settings_of_school():
        subject = rendering.render(about("bank_transfer_under_way", track=hostile, amount=Money(1, "usd"))).subject
    assert subject.isprintable()
    assert "{amount} $amount" in subject


@pytest.mark.parametrize(
    ("money", "written"),
    [
        (Money(0, "usd"), "$0.00"),
        (Money(5, "usd"), "$0.05"),
        (Money(100_000, "usd"), "$1,000.00"),
        (Money(123_456_789, "eur"), "€1,234,567.89"),
        (Money(-4_900, "gbp"), "-£49.00"),
        (Money(999, "jpy"), "¥999"),
        (Money(1_000_000, "jpy"), "¥1,000,000"),
        (Money(1_234_567, "kwd"), "KWD\u00a01,234.567"),
        (Money(49_900, "chf"), "CHF\u00a0499.00"),
    ],
)
def test_an_amount_is_written_as_english_writes_it(money: Money, written: str) -> None:
    """As Unicode CLDR's formats for `en` have it, which browsers use too."""
    assert rendering.write(money, rendering.messages("en"), rendering._zone("UTC")) == written


def test_one_day_is_not_written_as_days() -> None:
    catalogue, zone = rendering.messages("en"), rendering._zone("UTC")
    assert [rendering.write(Days(number), catalogue, zone) for number in (1, 7)] == ["1 day", "7 days"]


@pytest.mark.parametrize(
    ("at", "zone", "written"),
    [
        ("2026-11-29T19:05:00.000Z", "UTC", "November 29, 2026 at 7:05 PM UTC"),
        ("2026-11-30T00:30:00.000Z", "America/New_York", "November 29, 2026 at 7:30 PM EST"),
        ("2026-07-01T23:59:59.000Z", "Europe/Berlin", "July 2, 2026 at 1:59 AM CEST"),
        ("2026-01-01T12:00:00.000Z", "Europe/Berlin", "January 1, 2026 at 1:00 PM CET"),
        ("2026-01-01T00:00:00.000Z", "UTC", "January 1, 2026 at 12:00 AM UTC"),
        ("2026-01-01T12:00:00.000Z", "UTC", "January 1, 2026 at 12:00 PM UTC"),
    ],
)
def test_a_time_is_written_in_the_time_zone_of_the_school(at: str, zone: str, written: str) -> None:
    assert rendering.write(Instant(at), rendering.messages("en"), rendering._zone(zone)) == written


def test_a_school_without_a_support_address_names_none() -> None:
    with settings_of_school(replace(SCHOOL, support_contact="")):
        assert "Questions?" not in rendering.render(CASES["refund_failed"]).text


def test_a_digest_has_only_what_waits() -> None:
    text = rendered("staff_digest_of_one").text
    assert "disputes" not in text
    assert isinstance(CASES["staff_digest_of_one"], Email)
