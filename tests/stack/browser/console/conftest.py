"""Staff at a desk: an admin, and somebody of support who may only read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running


@pytest.fixture
def staff(running: Running, browser: Browser, sub: str, screenshots: Path | None) -> Iterator[Staff]:
    """An admin of the school, far enough from UTC to see the difference."""
    yield from _at_a_desk(running, browser, f"staff-of-{sub}", ("admin",), screenshots)


@pytest.fixture
def support(running: Running, browser: Browser, sub: str) -> Iterator[Staff]:
    yield from _at_a_desk(running, browser, f"support-of-{sub}", ("support",), None)


@pytest.fixture
def outsider(running: Running, browser: Browser, sub: str) -> Iterator[Staff]:
    """A student who has found the console's address."""
    yield from _at_a_desk(running, browser, sub, (), None)


def _at_a_desk(
    running: Running, browser: Browser, sub: str, groups: tuple[str, ...], screenshots: Path | None
) -> Iterator[Staff]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 900},
        base_url=running.ready["api"],
        color_scheme="light",
        locale="en-US",
        timezone_id="America/New_York",
    )
    found = Staff(running, context, sub, "console", screenshots)
    found.groups = groups
    yield found
    found.leave()
