"""Every email as a reader sees it: on a phone and a desktop, light and dark, without a violation that axe finds."""

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests import emails
from tests.stack.browser.student import AXE, VIOLATIONS_ONLY, WCAG

WIDTHS = {"phone": 320, "desktop": 1000}
SCHEMES: dict[Literal["light", "dark"], dict[str, Any]] = {
    "light": {**WCAG, "values": [*WCAG["values"], "best-practice"]},
    "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
"""The rules to check in each color scheme: in the second one those of colors."""


@pytest.fixture(scope="module", autouse=True)
def _check_invariants() -> None:
    """Nothing is bought here, so the running stack is not needed."""


@pytest.mark.parametrize("width", WIDTHS)
def test_every_email_fits_and_is_accessible_in_both_schemes(
    browser: Browser, width: str, screenshots: Path | None
) -> None:
    problems = []
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 700}, color_scheme="light", offline=True)
    page = context.new_page()
    page.on("request", lambda request: problems.append(request.url))  # an email loads nothing, so it tracks no reader
    for name in emails.CASES:
        page.set_content((emails.GOLDEN / f"{name}.html").read_text(encoding="utf-8"))
        page.evaluate(AXE)
        for scheme, rules in SCHEMES.items():
            page.emulate_media(color_scheme=scheme)
            if screenshots:
                page.screenshot(path=screenshots / f"email-{name}-{width}-{scheme}.png", full_page=True)
            result = page.evaluate("options => axe.run(document, options)", {**VIOLATIONS_ONLY, "runOnly": rules})
            problems += [f"{name}, {scheme}: {violation['id']}" for violation in result["violations"]]
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            problems += [f"{name}, {scheme}: {wide} pixels too wide"] if wide > 0 else []
    context.close()
    assert not problems


@pytest.mark.parametrize("name", emails.CASES)
def test_the_dark_scheme_of_an_email_changes_colors_only(name: str) -> None:
    """So the rules about anything else need one scheme."""
    html = (emails.GOLDEN / f"{name}.html").read_text(encoding="utf-8")
    (declarations,) = re.findall(r"@media \(prefers-color-scheme: dark\) \{\n(.*?)\n\}", html, re.DOTALL)
    assert set(re.findall(r"([a-z-]+):", declarations)) == {"background-color", "border-color", "color"}
