"""A real browser on the running stack: one Chromium for all the tests, a fresh context for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from local import chromium
from tests.stack import checkers
from tests.stack.browser.student import SIZES, Student
from tests.stack.conftest import Running


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = chromium.find()
    assert path, chromium.HOW
    found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    yield found
    found.close()


@pytest.fixture(scope="module", autouse=True)
def _checked(running: Running) -> Iterator[None]:
    """When a module's browsers are closed, what must always be true of the system is."""
    yield
    checkers.check(running)


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path | None:
    folder = request.config.getoption("--screenshots")
    return Path(folder) if folder else None


@pytest.fixture
def size() -> str:
    """A phone, unless a test says otherwise."""
    return "phone"


@pytest.fixture
def student(running: Running, browser: Browser, sub: str, size: str, screenshots: Path | None) -> Iterator[Student]:
    """A student at their browser, who must have met no error of the console or of the policy when they leave.

    A phone is dark and a desktop light, so that both schemes are held to the rules of contrast.
    """
    width, height, scheme = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        base_url=running.ready["api"],
        color_scheme=scheme,
        has_touch=size == "phone",
        locale="en-US",
        timezone_id="UTC",
    )
    found = Student(running, context, sub, size, screenshots)
    yield found
    found.leave()
