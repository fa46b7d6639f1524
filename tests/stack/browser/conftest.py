"""A real browser on the running stack: one Chromium for all tests, a new context for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from local import chromium
from tests.stack import checkers
from tests.stack.browser.student import SIZES, Student
from tests.stack.conftest import Running

FOLDER = Path(__file__).parent
MODULES_PER_CHECK = 8


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as instance:
        yield instance


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = chromium.find()
    assert path, chromium.HOW
    instance = playwright.chromium.launch(executable_path=path, args=chromium.OPTIONS)
    yield instance
    instance.close()


@pytest.fixture(scope="module", autouse=True)
def _check_invariants(request: pytest.FixtureRequest, running: Running) -> Iterator[None]:
    """Check the system's invariants after every eighth module that buys, and after the last one.

    A check reads everything that all modules before it have written, so one after each costs more with each module.
    """
    yield
    items = [item for item in request.session.items if FOLDER in item.path.parents]
    buying = dict.fromkeys(item.path for item in items if not hasattr(item.module, "_check_invariants"))
    number = list(buying).index(request.path) + 1
    if number % MODULES_PER_CHECK == 0 or number == len(buying):
        checkers.check(running)


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path | None:
    folder = request.config.getoption("--screenshots")
    return Path(folder) if folder else None


@pytest.fixture
def size() -> str:
    """The screen: a phone, unless a test module overrides it."""
    return "phone"


@pytest.fixture
def student(running: Running, browser: Browser, sub: str, size: str, screenshots: Path | None) -> Iterator[Student]:
    """A student with a browser. The test fails if the browser's console or the content policy reports an error.

    A phone uses the dark color scheme and a desktop the light one, so that both are checked for contrast.
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
    student = Student(running, context, sub, size, screenshots)
    yield student
    student.close_browser()
