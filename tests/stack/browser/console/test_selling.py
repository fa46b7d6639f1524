"""Staff stop selling in the console, and students see it on their page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.stack.browser.console.staff import Staff
from tests.stack.browser.student import Student
from tests.stack.conftest import Running

GOOD = "4242424242424242"
NOTE = "the price of a track is wrong"
MESSAGE = "We are mending a price and sell again tomorrow."


@pytest.fixture(autouse=True)
def _selling_again(running: Running) -> Iterator[None]:
    """Sell again, whatever the test has done: every other stack test buys."""
    yield
    body = {"selling": True, "note": "end of the test"}
    assert running.api("POST", "/api/admin/selling", running.ready["admin_token"], json=body).status_code == 200


def stop(running: Running, **more: str) -> None:
    body = {"selling": False, "note": NOTE, **more}
    assert running.api("POST", "/api/admin/selling", running.ready["admin_token"], json=body).status_code == 200


def test_staff_stop_selling_see_it_in_every_view_and_sell_again(staff: Staff, running: Running, sub: str) -> None:
    buyer = running.token(f"{sub}-buyer")
    staff.open("#/selling")
    staff.expect_heading("Selling")
    expect(staff.page.locator("#selling-stopped")).to_have_count(0)
    dialog = staff.open_dialog("Stop selling…")
    confirm = dialog.get_by_role("button", name="Stop selling")
    expect(confirm).to_be_disabled()
    dialog.get_by_label("Reason").fill(NOTE)
    dialog.get_by_label("Message to students").fill(MESSAGE)
    expect(dialog).to_contain_text("A student who has the payment form open can still pay.")
    staff.expect_accessible()
    confirm.click()
    staff.expect_text("Stopped. No student can start a purchase.")
    staff.expect_text(MESSAGE)
    staff.expect_text("Audit trail verified")
    for view in ("payments", "books", "selling"):
        staff.open(f"#/{view}")
        expect(staff.page.locator("#selling-stopped")).to_contain_text("Selling is stopped")
    staff.expect_accessible()
    for kind in ("create-payment", "create-checkout-session"):
        refused = running.api("POST", f"/api/payments/{kind}", buyer, json={"track": "DP"})
        assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "not-selling")
        assert refused.json()["detail"].startswith(MESSAGE)
    dialog = staff.open_dialog("Sell again…")
    dialog.get_by_label("Reason").fill("mended")
    dialog.get_by_role("button", name="Sell again").click()
    staff.expect_text("Students can buy again.")
    expect(staff.page.locator("#selling-stopped")).to_have_count(0)
    assert running.create(buyer).status_code == 201


def test_staff_do_not_undo_a_stop_that_they_have_not_seen(staff: Staff, running: Running) -> None:
    stop(running)
    staff.open("#/selling")
    dialog = staff.open_dialog("Sell again…")
    stop(running, message="Another reason.")
    dialog.get_by_label("Reason").fill("mended")
    staff.expected_errors.append(r"status of 409 ")
    dialog.get_by_role("button", name="Sell again").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Other staff changed this in the meantime.")
    expect(staff.page.locator("#selling-stopped")).to_be_visible()


def test_support_sees_that_selling_is_stopped_and_cannot_turn_it(support: Staff, running: Running) -> None:
    stop(running)
    support.open("#/selling")
    expect(support.page.locator("#selling-stopped")).to_be_visible()
    support.expect_text("No, selling is stopped")
    expect(support.main.get_by_role("button", name="Sell again…")).to_have_count(0)
    support.open("#/selling?do=start")
    expect(support.dialog).to_have_count(0)


def test_a_student_reads_before_buying_that_nothing_is_sold(student: Student, running: Running) -> None:
    stop(running, message=MESSAGE)
    student.open("#/buy/DP")
    student.sign_in()
    student.expect_text(MESSAGE)
    student.expect_text("Nothing changes for what you have already paid. Write to")
    expect(student.pay_button).to_have_count(0)
    student.expect_accessible()
    student.open("#/")
    student.expect_text(MESSAGE)
    expect(student.main.get_by_role("link", name="Enroll in")).to_have_count(0)
    student.expect_accessible()


def test_a_student_with_the_form_open_reads_that_nothing_is_sold(student: Student, running: Running) -> None:
    student.open_payment_form()
    student.fill_card(GOOD)
    stop(running)
    student.expected_errors.append(r"status of 409 .*/create-payment")
    student.press_pay()
    student.expect_text("The school has stopped selling for the moment.")
    student.expect_accessible()
