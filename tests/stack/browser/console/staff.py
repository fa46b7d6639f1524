"""A member of staff with a browser at the console, and the payments that they work on."""

import os
import re
from typing import Any

from playwright.sync_api import Locator, expect

from tests.stack.browser.screens import problems, third_of
from tests.stack.browser.student import Student

SIGN_IN_SCRIPT = """if (!window.name) {
    window.name = 'staff';
    localStorage.clear();
    sessionStorage.setItem('tuition.token', '%s');
}"""
"""Forgets what earlier tests have set, and signs in, once per tab: the tab's name records that it has run."""
DARK_SCREENSHOTS = frozenset({"payments", "payment"})
SCREENSHOTS = DARK_SCREENSHOTS | {
    "overview",
    "refund",
    "attention",
    "disputes",
    "evidence",
    "quarantine",
    "user",
    "export-done",
    "statement",
}
"""The states that docs/operations.md shows."""


class Staff(Student):
    """A member of staff with a browser at the console."""

    screenshot_names = SCREENSHOTS
    groups: tuple[str, ...] = ("admin",)

    @property
    def token(self) -> str:
        return self.running.token(self.sub, groups=list(self.groups))

    def leave_browser(self) -> None:
        """Close the windows, but keep the context: its cache has the console's scripts.

        Fail as `close_browser` does.
        """
        for page in self.context.pages:
            page.close()
        self.context.unroute_all()
        self.context.set_offline(False)
        self.context.remove_listener("console", self._on_console_message)
        self.context.remove_listener("weberror", self._on_error)
        self.check_errors()

    def open(self, address: str = "#/payments") -> None:
        """Open an address of the console, signed in."""
        if not self.page.url.startswith("http"):
            self.page.add_init_script(SIGN_IN_SCRIPT % self.token)
        self.page.goto(f"/console/{address}")
        expect(self.page.locator("h1")).to_be_visible()

    def expect_accessible(self, name: str | None = None) -> None:
        """Check as for a student's page, in the color scheme that the seed and the test choose."""
        self.page.emulate_media(color_scheme=third_of(os.environ["PYTEST_CURRENT_TEST"])[0].scheme)
        violations = problems(self.page)
        assert not violations, f"{name}, {self.page.url}: {violations}"
        if name in DARK_SCREENSHOTS and self.screenshots:
            self.page.emulate_media(color_scheme="dark")
            self.take_screenshot(f"{name}-dark")
        self.page.emulate_media(color_scheme="light")
        self.take_documented_screenshot(name)

    # --- navigation ---

    def open_account(self) -> None:
        """Open the menu with the shortcuts and the way to sign out."""
        self.page.get_by_role("button", name="Account of ").click()

    def open_payment(self, payment_id: str, query: str = "") -> None:
        self.open(f"#/payments/{payment_id}{query}")
        expect(self.page.get_by_role("heading", name="Timeline")).to_be_visible()

    def tab(self, name: str) -> Locator:
        """A tab above the payments list. Its number may follow its name."""
        statuses = self.main.get_by_role("navigation", name="Status")
        return statuses.get_by_role("link", name=re.compile(rf"^{name}( [\d,]+)?$"))

    def open_tab(self, name: str) -> None:
        self.tab(name).click()
        expect(self.tab(name)).to_have_attribute("aria-current", "true")

    def rows(self) -> Locator:
        return self.main.locator("table.rows tbody tr")

    def expect_rows(self, count: int) -> None:
        """Expect a list with so many rows that has finished loading."""
        expect(self.main.locator(".answer[aria-busy=false]")).to_have_count(1)
        expect(self.rows()).to_have_count(count)

    def search(self, text: str) -> None:
        """Search with the keyboard alone, wherever the focus is."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("/")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def open_dialog(self, button: str) -> Locator:
        self.main.get_by_role("button", name=button).click()
        expect(self.dialog).to_be_visible()
        return self.dialog

    def submit_refund(self, amount: str, reason: str = "A part was missing") -> None:
        """Fill in the refund dialog and submit it."""
        self.dialog.get_by_label("Amount in USD").fill(amount)
        self.dialog.get_by_label("Reason").fill(reason)
        self.dialog.get_by_role("button", name=f"Refund {amount} USD").click()

    # --- the view of the API and of Stripe ---

    def details(self, payment_id: str) -> dict[str, Any]:
        """A payment as the staff API returns it."""
        details: dict[str, Any] = self.running.staff(f"/payments/{payment_id}")
        return details

    def refunded_amounts(self, payment_id: str) -> list[int]:
        """The amounts of a payment's refunds at Stripe."""
        intent = self.details(payment_id)["payment"]["payment_intent_id"]
        refunds = self.running.stripe("GET", f"/v1/refunds?payment_intent={intent}")["data"]
        return [refund["amount"] for refund in refunds]

    def create_and_pay(
        self, sub: str, track: str = "DP", method: str = "pm_card_visa", *, status: str = "SUCCEEDED"
    ) -> str:
        """Create a payment for a student, pay it and return its id once it has the status, and its charge if paid."""
        created = self.running.create(self.running.token(sub), track).json()
        self.running.pay(created["payment_intent_id"], method)
        payment_id = str(created["payment_id"])

        def is_recorded() -> bool:
            payment = self.details(payment_id)["payment"]
            return payment["status"] == status and bool(payment["stripe_charge_id"] or status != "SUCCEEDED")

        self.running.until(is_recorded, f"{payment_id} {status}")
        return payment_id
