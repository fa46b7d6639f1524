"""What a student does at a browser, and what must be true of every page that they see."""

import re
from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
from playwright.sync_api import BrowserContext, ConsoleMessage, Frame, FrameLocator, Locator, expect

from tests.stack.conftest import Running

SIZES: dict[str, tuple[int, int, Literal["dark", "light"]]] = {
    "phone": (390, 844, "dark"),
    "desktop": (1280, 800, "light"),
}
PATIENCE_MS = 60_000
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
PICTURES = {"tracks", "buy", "three-d-secure", "checkout-code", "enrolled", "learning", "payments", "refund"}
"""The states that docs/testing.md shows."""
TITLES = {"DP": "Data Professional", "FSD": "Full-Stack Developer"}
expect.set_options(timeout=PATIENCE_MS)


class Student:
    """A person with a browser. `leave()` asserts that the console and the policy had nothing to say."""

    pictures = PICTURES

    def __init__(
        self, running: Running, context: BrowserContext, sub: str, size: str, screenshots: Path | None
    ) -> None:
        self.running = running
        self.context = context
        self.sub = sub
        self.size = size
        self.screenshots = screenshots
        self.errors: list[str] = []
        self.expected: list[str] = [r"status of 402 .*"]
        """What a console may say: a decline is an answer 402, which browsers write down."""
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def leave(self) -> None:
        self.context.close()
        unexpected = [error for error in self.errors if not any(re.search(known, error) for known in self.expected)]
        assert not unexpected, unexpected
        stopped = self.running.http.get(f"{self.running.ready['api']}/_local/csp").json()
        assert not stopped, stopped

    # --- going about ---

    @property
    def token(self) -> str:
        return self.running.token(self.sub)

    def open(self, place: str = "#/") -> None:
        self.page.goto(f"/{place}")

    def sign_in(self) -> None:
        self.page.get_by_label("E-mail address").fill(f"{self.sub}@example.org")
        self.main.get_by_role("button", name="Sign in").click()

    def buying(self, track: str = "DP") -> None:
        """At the form of a track, signed in."""
        self.open(f"#/buy/{track}")
        if self.page.evaluate("!sessionStorage.getItem('tuition.token')"):
            self.sign_in()
        self.heading(f"Enroll in {TITLES[track]}")

    @property
    def main(self) -> Locator:
        return self.page.locator("main")

    def heading(self, name: str) -> Locator:
        found = self.page.get_by_role("heading", name=name, exact=True, level=1)
        expect(found).to_be_visible()
        return found

    def sees(self, text: str) -> None:
        expect(self.main.get_by_text(text).first).to_be_visible()

    def is_enrolled(self, track: str = "DP") -> None:
        self.heading(f"You are enrolled in {TITLES[track]}")

    def buying_again_is_not_offered(self, track: str = "DP") -> None:
        self.open(f"#/buy/{track}")
        self.sees("there is nothing to pay")
        expect(self.button).to_have_count(0)

    # --- paying on the page ---

    @property
    def fields(self) -> FrameLocator:
        return self.page.frame_locator("#payment-element iframe")

    @property
    def bank(self) -> FrameLocator:
        return self.page.frame_locator("dialog iframe")

    @property
    def button(self) -> Locator:
        return self.main.get_by_role("button", name=re.compile(r"^(Pay \$|Continue to Stripe)"))

    def card(self, number: str) -> None:
        self.fields.get_by_label("Card number").fill(number)
        self.fields.get_by_label("Expiry").fill("12 / 34")
        self.fields.get_by_label("CVC").fill("123")

    def pay(self, number: str) -> None:
        self.card(number)
        self.button.click()

    # --- paying at Stripe ---

    def checkout(self, code: str = "") -> None:
        self.page.get_by_role("radio", name="Stripe’s own page").check()
        self.page.get_by_role("textbox", name="Promotion code").fill(code)
        self.button.click()

    def at_checkout(self) -> str:
        self.heading("Checkout")
        return self.page.url

    def pay_at_checkout(self, number: str) -> None:
        self.page.get_by_label("Card number").fill(number)
        self.page.get_by_label("Expiry").fill("12 / 34")
        self.page.get_by_label("CVC").fill("123")
        self.page.get_by_role("button", name="Pay").click()

    # --- what the system knows ---

    def payments(self) -> list[dict[str, Any]]:
        found = self.running.api("GET", "/api/payments/my-payments/", self.token).json()["payments"]
        return list(found)

    # --- what must be true of every page ---

    def accessible(self, name: str | None = None) -> None:
        """No violation of WCAG 2.1 AA in this state, in the page and in every frame of it, and no sideways scroll.

        The states that are shown in docs are also kept as a picture, where pictures are asked for.
        """
        for frame in self.page.frames:
            if frame.url.startswith("http"):
                found = violations(frame)
                assert found == [], f"{name}, {frame.url}: " + "\n".join(found)
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, f"{name} scrolls sideways by {wide} px"
        if name in self.pictures:
            self.picture(name)

    def picture(self, name: str) -> None:
        if self.screenshots:
            self.screenshots.mkdir(parents=True, exist_ok=True)
            picture = self.screenshots / f"{name}-{self.size}.png"
            self.page.screenshot(path=picture, animations="disabled", full_page=True)


def violations(frame: Frame, rules: dict[str, Any] = WCAG) -> list[str]:
    """What axe-core finds in a frame by the rules of WCAG 2.1 A and AA, or by others."""
    if not frame.evaluate("'axe' in window"):  # half a megabyte: once a page
        frame.evaluate(f"(() => {{ {AXE} }})()")
    found = frame.evaluate("rules => axe.run(document, {iframes: false, runOnly: rules})", rules)
    return [f"{one['id']}: {one['help']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]
