"""Every email as a reader sees it: on a phone and a desktop, light and dark, without a violation that axe finds."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests import emails
from tests.stack.browser.student import AXE, VIOLATIONS_ONLY, WCAG

WIDTHS = {"phone": 320, "desktop": 1000}
RULES = {**WCAG, "values": [*WCAG["values"], "best-practice"]}


@pytest.fixture(scope="module", autouse=True)
def _check_invariants() -> None:
    """Nothing is bought here, so the running stack is not needed."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_email_fits_and_is_accessible(
    browser: Browser, width: str, scheme: str, screenshots: Path | None
) -> None:
    problems = []
    context = browser.new_context(
        viewport={"width": WIDTHS[width], "height": 700},
        color_scheme=scheme,  # type: ignore[arg-type]
        offline=True,
    )
    page = context.new_page()
    page.on("request", lambda request: problems.append(request.url))  # an email loads nothing, so it tracks no reader
    for name in emails.CASES:
        page.set_content((emails.GOLDEN / f"{name}.html").read_text(encoding="utf-8"))
        if screenshots:
            page.screenshot(path=screenshots / f"email-{name}-{width}-{scheme}.png", full_page=True)
        page.evaluate(AXE)
        result = page.evaluate("options => axe.run(document, options)", {**VIOLATIONS_ONLY, "runOnly": RULES})
        problems += [f"{name}: {violation['id']}" for violation in result["violations"]]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        problems += [f"{name}: {wide} pixels too wide"] if wide > 0 else []
    context.close()
    assert not problems
