"""Members of staff with a browser: an admin, a support member who may only view, and a student without access."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running


def new_context(running: Running, browser: Browser) -> BrowserContext:
    return browser.new_context(
        base_url=running.ready["api"],
        color_scheme="light",
        locale="en-US",
        timezone_id="America/New_York",  # far enough from UTC to tell local times from UTC
    )


@pytest.fixture(scope="package")
def context(running: Running, browser: Browser) -> Iterator[BrowserContext]:
    """The context of the tests of this folder. Only the first one loads the scripts of the console."""
    context = new_context(running, browser)
    yield context
    context.close()


@pytest.fixture
def staff(running: Running, context: BrowserContext, sub: str, screenshots: Path | None) -> Iterator[Staff]:
    """An admin."""
    yield from _with_browser(running, context, f"staff-of-{sub}", ("admin",), screenshots)


@pytest.fixture
def staff_with_own_clock(running: Running, browser: Browser, sub: str) -> Iterator[Staff]:
    """An admin whose clock a test may move. No context can be given its clock back."""
    context = new_context(running, browser)
    yield from _with_browser(running, context, f"staff-of-{sub}", ("admin",), None)
    context.close()


@pytest.fixture
def support(running: Running, context: BrowserContext, sub: str) -> Iterator[Staff]:
    """A support member, who may view everything and decide nothing."""
    yield from _with_browser(running, context, f"support-of-{sub}", ("support",), None)


@pytest.fixture
def outsider(running: Running, context: BrowserContext, sub: str) -> Iterator[Staff]:
    """A student who opens the console's address."""
    yield from _with_browser(running, context, sub, (), None)


def _with_browser(
    running: Running, context: BrowserContext, sub: str, groups: tuple[str, ...], screenshots: Path | None
) -> Iterator[Staff]:
    staff = Staff(running, context, sub, "console", screenshots)
    staff.page.set_viewport_size({"width": 1440, "height": 900})
    staff.groups = groups
    yield staff
    staff.leave_browser()
