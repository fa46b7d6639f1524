"""An admin erases a user's data, and holds them. The page shows the state, and what is left to do at Stripe."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.stack.browser.console.staff import Staff

WIDTHS = (1440, 320)
SENTENCE = re.compile(
    r"A bank has not decided about a disputed payment of this user yet. The earliest date is \d+ \w+ 20"
)
NAMES = ("Erase data…", "Set legal hold…", "Lift legal hold…")


def panel(staff: Staff) -> Locator:
    return staff.main.get_by_role("region", name="Erasure and legal hold")


def open_user(staff: Staff, sub: str) -> Locator:
    staff.open(f"#/users/{sub}")
    expect(panel(staff)).to_be_visible()
    return panel(staff)


def decide(staff: Staff, button: str, note: str) -> None:
    """Open a dialog with the keyboard, write a note and submit it."""
    panel(staff).get_by_role("button", name=f"{button}…").press("Enter")
    expect(staff.dialog).to_be_visible()
    for width in WIDTHS:
        staff.page.set_viewport_size({"width": width, "height": 900})
        staff.expect_accessible()
        staff.take_screenshot(f"{button}-{width}")
    staff.page.set_viewport_size({"width": 1440, "height": 900})
    staff.dialog.get_by_label("Reason").fill(note)
    staff.page.keyboard.press("Tab")
    staff.page.keyboard.press("Tab")
    staff.page.keyboard.press("Enter")
    expect(staff.dialog).to_have_count(0)


def test_an_admin_sets_and_lifts_a_legal_hold(staff: Staff, sub: str) -> None:
    staff.create_and_pay(sub)
    shown = open_user(staff, sub)
    expect(shown).to_contain_text("Not requested")
    decide(staff, "Set legal hold", "Claim 4711")
    staff.expect_text("The data are on hold.")
    expect(shown).to_contain_text("On hold")
    expect(shown).to_contain_text("Claim 4711")
    expect(shown.get_by_role("button", name="Erase data…")).to_have_count(0)
    staff.expect_accessible()
    decide(staff, "Lift legal hold", "settled")
    staff.expect_text("The hold is lifted.")
    expect(shown.get_by_role("button", name="Erase data…")).to_be_visible()
    assert staff.running.staff(f"/users/{sub}")["user"]["legal_hold"]["held"] is False


def test_an_admin_erases_the_data_of_a_user_and_a_hold_stops_it(staff: Staff, sub: str) -> None:
    staff.create_and_pay(sub)
    shown = open_user(staff, sub)
    shown.get_by_role("button", name="Erase data…").click()
    for text in ("the access to DP ends with it", "No money moves", "refund first"):
        expect(staff.dialog).to_contain_text(text)
    staff.page.keyboard.press("Escape")
    expect(staff.dialog).to_have_count(0)
    assert staff.running.staff(f"/users/{sub}")["user"]["erasure"] is None
    decide(staff, "Erase data", "Letter of 23 November")
    staff.expect_text("The erasure is scheduled.")
    for text in ("Scheduled", "Letter of 23 November", staff.sub, "Will be done"):
        expect(shown).to_contain_text(text)
    expect(shown.get_by_role("button", name="Erase data…")).to_have_count(0)
    staff.expect_accessible()
    decide(staff, "Set legal hold", "Claim 4711")
    expect(shown).to_contain_text("The end of the legal hold")
    staff.expect_accessible()


def test_open_money_is_named_to_staff_with_its_date(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    intent = staff.details(payment_id)["payment"]["payment_intent_id"]
    staff.running.sim("disputes", payment_intent=intent, status="needs_response")
    staff.running.until(lambda: staff.details(payment_id)["payment"]["dispute"] == "open", "the dispute is open")
    staff.expected_errors.append(r"status of 409 ")
    open_user(staff, sub)
    panel(staff).get_by_role("button", name="Erase data…").click()
    staff.dialog.get_by_label("Reason").fill("a letter")
    staff.dialog.get_by_role("button", name="Erase data").click()
    alert = staff.dialog.get_by_role("alert")
    expect(alert).to_contain_text(SENTENCE)
    staff.expect_accessible()


@pytest.mark.parametrize(
    ("erased_at", "paid_at", "texts"),
    [
        (
            "2026-11-20T10:00:00Z",
            "2026-11-01T10:00:00Z",
            ("Disputes can still come until 24 Apr 2028", "After 24 Apr 2028, ask"),
        ),
        ("2026-11-20T10:00:00Z", "2024-01-01T10:00:00Z", ("Disputes could come until 24 Jun 2025", "Ask now")),
        ("2026-11-20T10:00:00Z", None, ("No payment was ever paid, so no dispute can come.",)),
    ],
)
def test_an_erased_user_shows_when_disputes_end_and_how_to_ask_for_redaction(
    staff: Staff, sub: str, erased_at: str, paid_at: str | None, texts: tuple[str, ...]
) -> None:
    """The answer of the API is changed to one after the erasure, for which the stack would need hours."""
    staff.create_and_pay(sub)

    def erased(route: Any) -> None:
        body = json.loads(route.fetch().text())
        times = {"requested_at": "2026-11-20T08:00:00Z", "due_at": "2026-11-20T09:10:00Z", "erased_at": erased_at}
        more = {"state": "erased", "by": sub, "note": None, "sign_in_ended_at": "2026-11-20T08:05:00Z"}
        body["user"] |= {"erasure": {**times, **more}, "email": None, "customer": None}
        body["payments"][0] |= {"paid_at": paid_at, "email": None}
        route.fulfill(json=body)

    staff.page.route("**/api/admin/users?*", erased)
    shown = open_user(staff, sub)
    for text in ("Erased", "by the user", *texts):
        expect(shown).to_contain_text(text)
    staff.expect_text("No, because the data are erased, or will be")
    expect(shown.get_by_role("link", name="How Stripe handles deletion requests")).to_have_count(int(bool(paid_at)))
    for name in (*NAMES[:2], "Correct email address…", "Block purchases…"):
        expect(staff.main.get_by_role("button", name=name)).to_have_count(0)
    for width in WIDTHS:
        staff.page.set_viewport_size({"width": width, "height": 900})
        staff.expect_accessible()
        staff.take_screenshot(f"erased-{bool(paid_at)}-{width}")


def test_support_sees_the_state_and_has_no_buttons(support: Staff, sub: str) -> None:
    support.create_and_pay(sub)
    shown = open_user(support, sub)
    expect(shown).to_contain_text("Not requested")
    for name in NAMES:
        expect(shown.get_by_role("button", name=name)).to_have_count(0)
