"""A student erases their account in two steps, reads why it is refused or when it is done, and is signed out."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.stack.browser.student import Student, size_by_seed
from tests.stack.browser.test_student_states import disputed, open_view, paid

ERASE = "Erase my account"
CONSENT = "I understand that I lose my access and can’t get a refund afterwards."


@pytest.fixture
def size(request: pytest.FixtureRequest) -> str:
    return size_by_seed(request.node.nodeid)


def open_dialog(student: Student) -> Locator:
    open_view(student, "#/account", "Account")
    button = student.main.get_by_role("button", name=f"{ERASE}…")
    button.focus()
    student.page.keyboard.press("Enter")
    dialog = student.page.get_by_role("dialog", name=ERASE)
    expect(dialog).to_be_visible()
    return dialog


def confirm(student: Student, dialog: Locator) -> None:
    """Consent and confirm with the keyboard alone."""
    dialog.get_by_label(CONSENT).focus()
    student.page.keyboard.press("Space")
    student.page.keyboard.press("Enter")


def test_a_student_erases_their_account_with_the_keyboard_and_is_signed_out(student: Student) -> None:
    paid(student)
    student.page.set_viewport_size(
        {"width": 320, "height": 640} if student.size == "phone" else {"width": 1280, "height": 800}
    )
    dialog = open_dialog(student)
    for text in ("your access to all tracks end", "You can’t get a refund afterwards", "This can’t be undone"):
        expect(dialog).to_contain_text(text)
    student.expect_accessible()
    student.take_screenshot("erasure-dialog")
    student.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(student.main.get_by_role("button", name=f"{ERASE}…")).to_be_focused()

    dialog = open_dialog(student)
    with student.page.expect_response("**/api/me") as response:
        dialog.get_by_role("button", name=ERASE).click()
        expect(dialog).to_be_visible()  # the browser asks for the consent, and nothing was sent
        confirm(student, dialog)
    assert response.value.status == 202
    student.expect_heading("Your account will be erased")
    erasure = student.running.staff(f"/users/{student.sub}")["user"]["erasure"]
    assert (erasure["state"], erasure["by"]) == ("scheduled", student.sub)
    expect(student.main.locator(f"time[datetime='{erasure['due_at']}']")).to_be_visible()
    student.expect_text("You are signed out.")
    assert student.page.evaluate("sessionStorage.length") == 0
    expect(student.page.get_by_role("link", name="Sign in")).to_be_visible()
    student.expect_accessible()
    student.take_screenshot("erasure-requested")
    student.page.reload()
    student.expect_heading("Choose your track")


def test_open_money_shows_its_reason_and_the_earliest_date(student: Student) -> None:
    disputed(student, "needs_response")
    student.expected_errors.append(r"status of 409 ")
    dialog = open_dialog(student)
    confirm(student, dialog)
    alert = dialog.get_by_role("alert")
    expect(alert).to_contain_text("A bank has not decided about a disputed payment of yours yet.")
    expect(alert).to_contain_text(re.compile(r"The earliest date is \w+ \d+, 20\d\d\."))
    student.expect_accessible()
    student.take_screenshot("erasure-money-open")
    dialog.get_by_role("button", name="Keep my account").click()
    expect(dialog).to_have_count(0)
    assert student.running.staff(f"/users/{student.sub}")["user"]["erasure"] is None
    expect(student.page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("until", "text"), [("2099-03-05T12:00:00Z", "is Mar 5, 2099"), ("2026-01-05T12:00:00Z", "is not known yet")]
)
def test_only_a_date_in_the_future_is_shown(student: Student, until: str, text: str) -> None:
    problem = {"type": "https://tuition.school/problems/money-open", "detail": "A dispute is open.", "until": until}
    student.page.route("**/api/me", lambda route: route.fulfill(status=409, json={**problem, "reason": "dispute_open"}))
    student.expected_errors.append(r"status of 409 ")
    dialog = open_dialog(student)
    confirm(student, dialog)
    expect(dialog.get_by_role("alert")).to_contain_text(f"The earliest date {text}.")


def test_a_legal_hold_says_whom_to_ask_and_has_no_date(student: Student) -> None:
    order = {"decision": "set", "note": "Claim 4711"}
    path = f"/api/admin/users/{student.sub}/legal-hold"
    student.running.api("POST", path, student.running.ready["admin_token"], json=order).raise_for_status()
    student.expected_errors.append(r"status of 409 ")
    dialog = open_dialog(student)
    confirm(student, dialog)
    alert = dialog.get_by_role("alert")
    expect(alert).to_contain_text("The school must keep these data for now. Ask it why")
    expect(alert).not_to_contain_text("earliest date")
    student.expect_accessible()
