"""Members of staff with a browser: an admin, a support member who may only view, and a student without access."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running


@pytest.fixture
def staff(running: Running, browser: Browser, sub: str, screenshots: Path | None) -> Iterator[Staff]:
    """An admin."""
    yield from _with_browser(running, browser, f"staff-of-{sub}", ("admin",), screenshots)


@pytest.fixture
def support(running: Running, browser: Browser, sub: str) -> Iterator[Staff]:
    """A support member, who may view everything and decide nothing."""
    yield from _with_browser(running, browser, f"support-of-{sub}", ("support",), None)


@pytest.fixture
def outsider(running: Running, browser: Browser, sub: str) -> Iterator[Staff]:
    """A student who opens the console's address."""
    yield from _with_browser(running, browser, sub, (), None)


def _with_browser(
    running: Running, browser: Browser, sub: str, groups: tuple[str, ...], screenshots: Path | None
) -> Iterator[Staff]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 900},
        base_url=running.ready["api"],
        color_scheme="light",
        locale="en-US",
        timezone_id="America/New_York",  # far enough from UTC to tell local times from UTC
    )
    staff = Staff(running, context, sub, "console", screenshots)
    staff.groups = groups
    yield staff
    staff.close_browser()
