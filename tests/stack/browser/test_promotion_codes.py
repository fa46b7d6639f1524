"""A promotion code lowers the price on Stripe Checkout only, and is never lost without a question."""

import pytest
from playwright.sync_api import Locator, expect

from tests.stack.browser.student import SIZES, Student
from tests.stack.browser.test_student_page import GOOD, create_promotion_code


@pytest.fixture(params=list(SIZES))
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def total(student: Student) -> Locator:
    return student.page.get_by_role("complementary", name="Order summary").locator(".total .price")


def leave_checkout(student: Student) -> str:
    """Open Checkout with a code for 20 percent, go back without paying, and return Checkout's address."""
    code = create_promotion_code(student, 20)
    student.open_payment_form()
    expect(total(student)).to_have_text("$499.00")
    student.continue_to_checkout(code)
    address = student.expect_checkout()
    student.page.get_by_role("link", name="Back without paying").click()
    student.expect_text("You left Stripe’s page before paying.")
    student.expect_text(f"Your promotion code {code} is applied on Stripe Checkout only: there you pay $399.20.")
    expect(total(student)).to_have_text("$399.20")
    expect(student.pay_button).to_have_text("Continue to Stripe: $399.20")
    return address


def test_the_open_session_with_its_discount_is_offered_before_a_card_is_charged(student: Student) -> None:
    address = leave_checkout(student)
    student.expect_accessible()
    student.page.get_by_role("radio", name="New card or US bank account").check()
    expect(total(student)).to_have_text("$499.00")
    student.expect_text("works on Stripe Checkout only, where you pay $399.20. Here you pay the full $499.00.")
    student.fill_card(GOOD)
    student.pay_button.click()
    dialog = student.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Here you pay the full $499.00. On Stripe Checkout you pay $399.20.")
    student.expect_accessible()
    dialog.get_by_role("button", name="Use Stripe Checkout").click()
    expect(student.page.get_by_role("radio", name="Stripe Checkout")).to_be_checked()
    expect(student.pay_button).to_be_focused()
    student.pay_button.click()
    assert student.expect_checkout() == address
    student.pay_on_checkout(GOOD)
    student.expect_enrolled()
    student.expect_text("You paid $399.20.")


def test_a_student_may_give_the_discount_up(student: Student) -> None:
    session = leave_checkout(student).rpartition("/")[2]
    student.page.get_by_role("radio", name="New card or US bank account").check()
    student.fill_card(GOOD)
    student.pay_button.click()
    student.page.get_by_role("dialog").get_by_role("button", name="Pay the full $499.00").click()
    student.expect_enrolled()
    student.expect_text("You paid $499.00.")
    assert student.running.stripe("GET", f"/v1/checkout/sessions/{session}")["status"] == "expired"


def test_every_view_and_every_browser_shows_the_same_amount(student: Student) -> None:
    """The page keeps nothing about payments in the browser: the API says how an open payment is resumed."""
    address = leave_checkout(student)
    assert student.page.evaluate("Object.keys(localStorage)") == []
    student.page.evaluate("localStorage.clear()")
    student.open("#/payments")
    student.expect_heading("My payments")
    student.expect_text("$399.20")
    student.page.get_by_role("link", name="Complete payment").click()
    student.expect_heading("Enroll in Data Professional")
    expect(total(student)).to_have_text("$399.20")
    student.pay_button.click()
    assert student.expect_checkout() == address


def test_a_code_that_is_typed_but_not_used_is_asked_about_too(student: Student) -> None:
    student.open_payment_form()
    student.page.get_by_role("radio", name="Stripe Checkout").check()
    student.page.get_by_role("textbox", name="Promotion code").fill("SPRING")
    student.page.get_by_role("radio", name="New card or US bank account").check()
    student.expect_text("Your promotion code works on Stripe Checkout only. Here you pay the full $499.00.")
    student.fill_card(GOOD)
    student.pay_button.click()
    student.page.get_by_role("dialog").get_by_role("button", name="Use Stripe Checkout").click()
    expect(student.page.get_by_role("textbox", name="Promotion code")).to_have_value("SPRING")
    assert student.payments() == []
