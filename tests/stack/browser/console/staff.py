"""What staff do at a browser, and the payments that they find there."""

from typing import Any

from playwright.sync_api import Locator, expect

from tests.stack.browser.student import Student, violations

SIGNED_IN = "if (!window.name) { window.name = 'staff'; sessionStorage.setItem('tuition.token', '%s'); }"
"""Once a tab: what a name of it remembers."""
IN_THE_DARK = frozenset({"payments", "payment"})
PICTURES = IN_THE_DARK | {"refund", "attention", "disputes", "quarantine", "user", "export-done"}
"""The states that docs/operations.md shows."""


class Staff(Student):
    """A member of staff with a browser at the console. Every view must be accessible in both colour schemes."""

    pictures = PICTURES
    groups: tuple[str, ...] = ("admin",)

    @property
    def token(self) -> str:
        return self.running.token(self.sub, groups=list(self.groups))

    def open(self, place: str = "#/payments") -> None:
        """At a place of the console, signed in when the tab is opened."""
        if not self.page.url.startswith("http"):
            self.context.add_init_script(SIGNED_IN % self.token)
        self.page.goto(f"/console/{place}")
        expect(self.page.locator("h1")).to_be_visible()

    def accessible(self, name: str | None = None) -> None:
        """As a student's page; and in the dark scheme too, whose contrasts are all that differs."""
        super().accessible(name)
        self.page.emulate_media(color_scheme="dark")
        found = violations(self.page.main_frame, {"type": "rule", "values": ["color-contrast"]})
        assert found == [], f"{name}, dark: " + "\n".join(found)
        if name in IN_THE_DARK:
            self.picture(f"{name}-dark")
        self.page.emulate_media(color_scheme="light")

    # --- going about ---

    def at_payment(self, payment_id: str, ask: str = "") -> None:
        self.open(f"#/payments/{payment_id}{ask}")
        expect(self.page.get_by_role("heading", name="Timeline")).to_be_visible()

    def rows(self) -> Locator:
        return self.main.locator("table.rows tbody tr")

    def lists(self, count: int) -> None:
        """So many rows, and no answer awaited."""
        expect(self.main.locator(".answer[aria-busy=false]")).to_have_count(1)
        expect(self.rows()).to_have_count(count)

    def find(self, words: str) -> None:
        """By the keyboard alone, from wherever the focus is in a list."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("/")
        self.page.keyboard.type(words)
        self.page.keyboard.press("Enter")

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def ask(self, button: str) -> Locator:
        """Open a dialog by its button."""
        self.main.get_by_role("button", name=button).click()
        expect(self.dialog).to_be_visible()
        return self.dialog

    def refund(self, amount: str, reason: str = "A part was missing") -> None:
        """Fill in the dialog of a refund, and send it."""
        self.dialog.get_by_label("Amount in USD").fill(amount)
        self.dialog.get_by_label("Reason").fill(reason)
        self.dialog.get_by_role("button", name=f"Refund {amount} USD").click()

    # --- what the system knows ---

    def known(self, payment_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.running.staff(f"/payments/{payment_id}/")
        return found

    def refunds(self, payment_id: str) -> list[int]:
        """The amounts that Stripe has given back."""
        intent = self.known(payment_id)["payment"]["payment_intent_id"]
        return [r["amount"] for r in self.running.stripe("GET", f"/v1/refunds?payment_intent={intent}")["data"]]

    def bought(self, sub: str, track: str = "DP", method: str = "pm_card_visa", *, status: str = "SUCCEEDED") -> str:
        """The id of a payment of this student's, when our tables say what Stripe does: its charge is told apart."""
        made = self.running.create(self.running.token(sub), track).json()
        self.running.pay(made["payment_intent_id"], method)
        payment_id = str(made["payment_id"])

        def told() -> bool:
            payment = self.known(payment_id)["payment"]
            return payment["status"] == status and bool(payment["stripe_charge_id"] or status != "SUCCEEDED")

        self.running.until(told, f"{payment_id} {status}")
        return payment_id
