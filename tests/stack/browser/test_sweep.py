"""Every view fits every screen, is accessible there, does not shift while it loads, and reports no error.

`make test` opens each view on one of six screens (`screens.one_for`), `make soak` on all.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from tests.stack.browser import screens
from tests.stack.browser.screens import Screen
from tests.stack.browser.views import VIEWS, People, View
from tests.stack.conftest import Running

ROOT = Path(__file__).parents[3]
SHORT_LIVED = {"paid", "data"}
"""Addresses that lead to another view at once: after Checkout, and an earlier name of the account."""
POLL_MS = 20
LOADED = "() => document.querySelector('h1') && !document.querySelector('main p.waiting, main .state .spinner')"


@pytest.fixture(scope="module")
def people(running: Running) -> People:
    return People(running)


@pytest.fixture(scope="module", autouse=True)
def _no_violation_of_the_policy(running: Running) -> Iterator[None]:
    yield
    assert running.http.get(f"{running.ready['api']}/_local/csp").json() == []


class Windows:
    """The windows of the people who open views. One person's windows share a cache, as in a browser.

    So only the first of their views loads the scripts.
    """

    def __init__(self, browser: Browser, people: People) -> None:
        self._browser, self._people = browser, people
        self._contexts: dict[tuple[str, bool], BrowserContext] = {}

    def new_page(self, who: str, screen: Screen) -> Page:
        """Open a window of a person, who is signed in, on a screen."""
        has_touch = screen.name == "phone"
        context = self._contexts.get((who, has_touch))
        if context is None:
            context = self._contexts[who, has_touch] = self._browser.new_context(
                base_url=self._people.running.ready["api"],
                has_touch=has_touch,
                locale="en-US",
                timezone_id="America/New_York",
            )
            context.add_init_script(screens.OBSERVE_SHIFTS)
            if who:
                context.add_init_script(f"sessionStorage.setItem('tuition.token', '{self._people.token(who)}')")
        page = context.new_page()
        page.set_viewport_size({"width": screen.width, "height": screen.height})
        page.emulate_media(color_scheme=screen.scheme)
        return page

    def close(self) -> None:
        for context in self._contexts.values():
            context.close()


@pytest.fixture(scope="module")
def windows(browser: Browser, people: People) -> Iterator[Windows]:
    windows = Windows(browser, people)
    yield windows
    windows.close()


def open_view(page: Page, view: View, people: People) -> list[str]:
    """Open a view, and do what its person does there once it has loaded. Return the shifts while it loaded."""
    under_way: set[Request] = set()
    page.on("request", lambda request: under_way.add(request))
    page.on("requestfinished", lambda request: under_way.discard(request))
    page.on("requestfailed", lambda request: under_way.discard(request))
    page.goto(people.address(view))
    page.wait_for_function(LOADED)
    while under_way:
        page.wait_for_timeout(POLL_MS)
    shifts = screens.shifts(page)
    if view.act:
        view.act(page)
    expect(page.locator(view.sees).locator("visible=true").first).to_be_visible()
    for frame in page.frames:
        frame.wait_for_load_state()
    return shifts


def sweep(windows: Windows, people: People, view: View, screen: Screen) -> list[str]:
    """Return what is wrong with a view on a screen."""
    messages: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "status of 404" not in message.text:
            messages.append(f"console: {message.text}")

    page = windows.new_page(view.who, screen)
    page.on("console", on_console)
    page.on("pageerror", lambda error: messages.append(f"error: {error}"))
    try:
        shifts = open_view(page, view, people)
        return [f"{screen}: {problem}" for problem in [*shifts, *screens.problems(page), *messages]]
    finally:
        page.close()


def test_the_list_of_views_has_every_address_of_both_apps() -> None:
    student = (ROOT / "web/student/app.js").read_text(encoding="utf-8")
    names = set(re.findall(r'^  \["([\w-]+)", ', student, re.MULTILINE)) - SHORT_LIVED
    console = (ROOT / "web/console/views.js").read_text(encoding="utf-8")
    lists, details = (
        set(re.findall(r'^  "?([\w-]+)"?: ', block, re.MULTILINE))
        for block in re.findall(r"^const \w+_VIEWS = \{\n(.*?)^\};", console, re.MULTILINE | re.DOTALL)
    )
    addresses = " ".join(f"{view.address} " for view in VIEWS)
    expected = {f"/#/{name}" for name in names} | {f"/console/#/{name}" for name in lists | details}
    assert len(expected) > 15
    assert {one for one in expected if not re.search(rf" {one}[ /?]", f" {addresses}")} == set()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_fits_a_screen(windows: Windows, people: People, view: View) -> None:
    assert sweep(windows, people, view, screens.one_for(view.name)) == []


@pytest.mark.soak
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_fits_every_screen_when_it_is_loaded_there(windows: Windows, people: People, view: View) -> None:
    assert [problem for screen in screens.ALL for problem in sweep(windows, people, view, screen)] == []
