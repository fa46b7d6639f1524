"""Every email as a reader sees it: on a phone and a desktop, light and dark, without a violation that axe finds."""

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests import emails
from tests.seeds import first_seed
from tests.stack.browser.screens import AXE, VIOLATIONS_ONLY, WCAG

WIDTHS = {"phone": 320, "desktop": 1000}
COLORS = ("color-contrast", "link-in-text-block")
ALL = {**WCAG, "values": [*WCAG["values"], "best-practice"]}
RULES: dict[tuple[str, Literal["light", "dark"]], dict[str, Any]] = {
    ("phone", "light"): {"runOnly": ALL},
    ("phone", "dark"): {"runOnly": {"type": "rule", "values": COLORS}},
    ("desktop", "light"): {"runOnly": ALL, "rules": {name: {"enabled": False} for name in COLORS}},
    ("desktop", "dark"): {},
}
"""The rules that are checked. The dark scheme changes colors only, and a narrow window no colors."""
WIDE_AND_LIGHT = ("desktop", "light")
"""Few rules find here what the others do not: a third of the emails is checked for it, another third with each seed."""


@pytest.fixture(scope="module", autouse=True)
def _check_invariants() -> None:
    """Nothing is bought here, so the running stack is not needed."""


def test_every_email_fits_and_is_accessible_in_both_schemes(browser: Browser, screenshots: Path | None) -> None:
    problems = []
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.on("request", lambda request: problems.append(request.url))  # an email loads nothing, so it tracks no reader
    for number, name in enumerate(emails.CASES):
        page.set_content((emails.GOLDEN / f"{name}.html").read_text(encoding="utf-8"))
        page.evaluate(AXE)
        for (width, scheme), rules in RULES.items():
            page.set_viewport_size({"width": WIDTHS[width], "height": 700})
            page.emulate_media(color_scheme=scheme)
            if screenshots:
                page.screenshot(path=screenshots / f"email-{name}-{width}-{scheme}.png", full_page=True)
            place = f"{name}, {width}, {scheme}"
            if rules and ((width, scheme) != WIDE_AND_LIGHT or number % 3 == first_seed() % 3):
                result = page.evaluate("options => axe.run(document, options)", {**VIOLATIONS_ONLY, **rules})
                problems += [f"{place}: {violation['id']}" for violation in result["violations"]]
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            problems += [f"{place}: {wide} pixels too wide"] if wide > 0 else []
    context.close()
    assert not problems


@pytest.mark.parametrize("name", emails.CASES)
def test_the_dark_scheme_changes_only_colors_of_an_email_and_a_narrow_window_none(name: str) -> None:
    """So `RULES` need not have every rule in every case."""
    html = (emails.GOLDEN / f"{name}.html").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"@media \((.*?)\) \{\n(.*?)\n\}", html, re.DOTALL))
    changes = {condition: set(re.findall(r"([a-z-]+):", block)) for condition, block in blocks.items()}
    dark, narrow = changes["prefers-color-scheme: dark"], changes["max-width: 480px"]
    assert len(changes) == 2
    assert dark == {"background-color", "border-color", "color"}
    assert narrow <= {"display", "width", "text-align", "padding", "padding-top", "padding-bottom", "border-top"}
