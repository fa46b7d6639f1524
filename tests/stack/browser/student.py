"""A student with a browser: their actions, and the checks that every page must pass."""

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import BrowserContext, ConsoleMessage, FrameLocator, Locator, WebError, expect

from tests.seeds import first_seed
from tests.stack.browser.screens import Screen, one_for, problems
from tests.stack.conftest import Running

SIZES: dict[str, tuple[int, int, Literal["dark", "light"]]] = {
    "phone": (390, 844, "dark"),
    "desktop": (1280, 800, "light"),
}
TIMEOUT_MS = 60_000
SCREENSHOTS = {"tracks", "buy", "three-d-secure", "checkout-code", "enrolled", "plan", "learning", "payments", "refund"}
"""The states that docs/testing.md shows."""
POLL_MS = 50
USES_SCHEME = "scheme => ['', scheme].includes(document.documentElement.style.colorScheme)"
DOCUMENTED = tuple(Screen(name, *size) for name, size in SIZES.items())
TITLES = {"DP": "Data Professional", "FSD": "Full-Stack Developer"}
expect.set_options(timeout=TIMEOUT_MS)


def size_by_seed(test: str) -> str:
    """Return the screen on which a test runs: another one with the next `TUITION_SEED`."""
    return list(SIZES)[(first_seed() + zlib.crc32(test.encode())) % len(SIZES)]


class Student:
    """A student with a browser. `close_browser()` fails the test if the browser reported an unexpected error."""

    screenshot_names = SCREENSHOTS

    def __init__(
        self, running: Running, context: BrowserContext, sub: str, size: str, screenshots: Path | None
    ) -> None:
        self.running = running
        self.context = context
        self.sub = sub
        self.size = self.screen = size
        self.screenshots = screenshots
        self.errors: list[str] = []
        self.expected_errors: list[str] = [r"status of 402 .*"]
        """Patterns of console messages to ignore. Stripe answers a decline with 402, which browsers report."""
        self.page = context.new_page()
        self.page.set_default_timeout(TIMEOUT_MS)
        context.on("console", self._on_console_message)
        context.on("weberror", self._on_error)

    def _on_console_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def _on_error(self, error: WebError) -> None:
        self.errors.append(str(error.error))

    def close_browser(self) -> None:
        """Close the browser. Fail on an unexpected console message or a violation of the content policy."""
        self.context.close()
        self.check_errors()

    def check_errors(self) -> None:
        """Fail on an unexpected console message or a violation of the content policy."""
        unexpected = [
            error for error in self.errors if not any(re.search(pattern, error) for pattern in self.expected_errors)
        ]
        assert not unexpected, unexpected
        violations = self.running.http.get(f"{self.running.ready['api']}/_local/csp").json()
        assert not violations, violations

    # --- navigation ---

    @property
    def token(self) -> str:
        return self.running.token(self.sub)

    def open(self, address: str = "#/") -> None:
        self.page.goto(f"/{address}")

    def sign_in(self) -> None:
        self.page.get_by_label("Email address").fill(f"{self.sub}@example.org")
        self.main.get_by_role("button", name="Sign in").click()

    def open_payment_form(self, track: str = "DP") -> None:
        """Open the payment form of a track, signing in if necessary."""
        self.open(f"#/buy/{track}")
        if self.page.evaluate("!sessionStorage.getItem('tuition.token')"):
            self.sign_in()
        self.expect_heading(f"Enroll in {TITLES[track]}")

    def agree_to_terms(self) -> None:
        """Tick the box of the school's terms."""
        self.terms_box.check()

    @property
    def terms_box(self) -> Locator:
        return self.main.get_by_role("checkbox", name="I agree to the terms")

    @property
    def main(self) -> Locator:
        return self.page.locator("main")

    def expect_heading(self, name: str) -> Locator:
        heading = self.page.get_by_role("heading", name=name, exact=True, level=1)
        expect(heading).to_be_visible()
        return heading

    def expect_text(self, text: str) -> None:
        expect(self.main.get_by_text(text).first).to_be_visible()

    def expect_enrolled(self, track: str = "DP") -> None:
        self.expect_heading(f"You are enrolled in {TITLES[track]}")

    def expect_nothing_to_pay(self, track: str = "DP") -> None:
        self.open(f"#/buy/{track}")
        self.expect_text("there’s nothing to pay")
        expect(self.pay_button).to_have_count(0)

    # --- paying on the page ---

    @property
    def fields(self) -> FrameLocator:
        """Stripe's fields of the chosen way to pay."""
        return self.page.frame_locator(".stripe-fields:visible iframe")

    @property
    def bank(self) -> FrameLocator:
        """The bank's dialog of 3-D Secure."""
        return self.page.frame_locator("dialog iframe")

    @property
    def pay_button(self) -> Locator:
        return self.main.get_by_role("button", name=re.compile(r"^(Pay \$|Paying|Continue to Stripe|Opening)"))

    def fill_card(self, number: str) -> None:
        self.fields.get_by_label("Card number").fill(number)
        self.fields.get_by_label("Expiry").fill("12 / 34")
        self.fields.get_by_label("CVC").fill("123")

    def press_pay(self) -> None:
        """Agree to the terms and press the button."""
        self.agree_to_terms()
        self.pay_button.click()

    def pay(self, number: str) -> None:
        self.fill_card(number)
        self.press_pay()

    def choose(self, way: str) -> None:
        self.page.get_by_role("radio", name=way, exact=True).check()

    def fill_bank_account(self, number: str) -> None:
        self.choose("US bank account")
        self.fields.get_by_label("Routing number").fill("110000000")
        self.fields.get_by_label("Account number").fill(number)

    # --- paying with Stripe Checkout ---

    def type_code(self, code: str) -> None:
        field = self.page.get_by_role("textbox", name="Promotion code")
        if not field.is_visible():
            self.page.get_by_text("Add promotion code").click()
        field.fill(code)

    def apply_code(self, code: str) -> None:
        self.type_code(code)
        self.page.get_by_role("button", name="Apply").click()

    def continue_to_checkout(self, code: str = "") -> None:
        if code:
            self.apply_code(code)
            expect(self.page.get_by_role("button", name=f"Remove promotion code {code}")).to_be_visible()
        self.page.get_by_role("radio", name="Stripe Checkout").check()
        self.press_pay()

    def expect_checkout(self) -> str:
        """Wait for Checkout and return its address."""
        self.expect_heading("Checkout")
        return self.page.url

    def pay_on_checkout(self, number: str) -> None:
        self.page.get_by_label("Card number").fill(number)
        self.page.get_by_label("Expiry").fill("12 / 34")
        self.page.get_by_label("CVC").fill("123")
        self.page.get_by_role("button", name="Pay").click()

    # --- the API's view ---

    def payments(self) -> list[dict[str, Any]]:
        payments = self.running.api("GET", "/api/payments/my-payments", self.token).json()["payments"]
        return list(payments)

    # --- checks of every page ---

    def screens(self) -> Iterator[None]:
        """Yield once per screen of this run while the open page is shown there, then return to the student's own.

        The seed and the test choose one of the six screens. With `--screenshots` they are the two of the documents.
        """
        own = Screen(self.size, *SIZES[self.size])
        for screen in DOCUMENTED if self.screenshots else [one_for(os.environ["PYTEST_CURRENT_TEST"])]:
            self._show_on(screen)
            yield
        self._show_on(own)

    def _show_on(self, screen: Screen) -> None:
        self.screen = screen.name
        for frame in self.page.frames:  # one that is still loading would miss the page's message
            frame.wait_for_load_state()
        self.page.set_viewport_size({"width": screen.width, "height": screen.height})
        self.page.emulate_media(color_scheme=screen.scheme)
        for frame in self.page.frames:  # the page tells Stripe's fields which scheme to use
            frame.wait_for_function(USES_SCHEME, arg=screen.scheme, polling=POLL_MS)  # a hidden frame paints nothing

    def expect_accessible_on_every_screen(self, name: str | None = None) -> None:
        """Check the open page as `expect_accessible` does, on each of `screens`."""
        for _ in self.screens():
            self.expect_accessible(name)

    def expect_accessible(self, name: str | None = None) -> None:
        """Expect no violation of WCAG 2.2 AA in the page or its frames, and no horizontal scrolling.

        For states that only a flow reaches. A view that an address opens belongs to `views.VIEWS`. Takes a screenshot
        of the states that the documentation shows, if `--screenshots` is given.
        """
        violations = problems(self.page)
        assert not violations, f"{name}, {self.page.url}: {violations}"
        self.take_documented_screenshot(name)

    def take_documented_screenshot(self, name: str | None) -> None:
        """Take a screenshot of a state that the documentation shows, if `--screenshots` is given."""
        if name is not None and name in self.screenshot_names:
            self.take_screenshot(name)

    def take_screenshots(self, name: str) -> None:
        """Take the screenshots of the documentation on each of its screens, if `--screenshots` is given."""
        if self.screenshots:
            for _ in self.screens():
                self.take_documented_screenshot(name)

    def take_screenshot(self, name: str) -> None:
        if self.screenshots:
            self.screenshots.mkdir(parents=True, exist_ok=True)
            path = self.screenshots / f"{name}-{self.screen}.png"
            self.page.screenshot(path=path, animations="disabled", full_page=True)
