"""A promotion code is applied in the order summary before paying, and then Stripe Checkout is the only way to pay."""

from playwright.sync_api import Locator, expect

from tests.stack.browser.student import Student
from tests.stack.browser.test_student_page import GOOD, create_promotion_code


def total(student: Student) -> Locator:
    return student.page.get_by_role("complementary", name="Order summary").locator(".total .price")


def way(student: Student, name: str) -> Locator:
    return student.page.get_by_role("radio", name=name)


def leave_checkout(student: Student) -> str:
    """Open Checkout with a code for 20 percent, go back without paying, and return Checkout's address."""
    code = create_promotion_code(student, 20)
    student.open_payment_form()
    student.continue_to_checkout(code)
    address = student.expect_checkout()
    student.page.get_by_role("link", name="Back without paying").click()
    student.expect_text("You left Stripe’s page before paying.")
    student.expect_text(f"Your promotion code {code} is applied: you pay $399.20.")
    expect(total(student)).to_have_text("$399.20")
    expect(student.pay_button).to_have_text("Continue to Stripe: $399.20")
    return address


def test_a_code_shows_the_new_total_and_leaves_checkout_alone_until_it_is_removed(student: Student) -> None:
    code = create_promotion_code(student, 20)
    student.expected_errors.append(r"status of 422 .*/preview")
    student.open_payment_form()
    expect(total(student)).to_have_text("$499.00")
    student.apply_code("NOSUCHCODE")
    error = student.page.locator("#code-error")
    expect(error).to_have_text("This promotion code is not valid. Check the spelling, or continue without it.")
    field = student.page.get_by_role("textbox", name="Promotion code")
    expect(field).to_be_focused()
    student.expect_accessible_on_every_screen("code-refused")
    student.page.keyboard.type("X")
    expect(error).to_be_empty()
    field.fill(code.lower())
    student.page.keyboard.press("Enter")
    remove = student.page.get_by_role("button", name=f"Remove promotion code {code}")
    expect(remove).to_be_focused()
    expect(total(student)).to_have_text("$399.20")
    expect(way(student, "Card")).to_be_hidden()
    expect(way(student, "Stripe Checkout")).to_be_checked()
    student.expect_text("you pay on Stripe Checkout, because Stripe counts its uses there.")
    student.expect_accessible_on_every_screen("code-applied")
    remove.click()
    expect(total(student)).to_have_text("$499.00")
    expect(way(student, "Card")).to_be_checked()
    expect(field).to_be_focused()
    assert student.payments() == []
    student.continue_to_checkout(code)
    student.expect_checkout()
    expect(student.page.get_by_text(f"Promotion code applied: {code}")).to_be_visible()
    expect(student.page.get_by_text("−$99.80")).to_be_visible()
    student.expect_accessible_on_every_screen("checkout-code")
    student.pay_on_checkout(GOOD)
    student.expect_enrolled()
    student.expect_text("You paid $399.20.")


def test_every_view_and_every_browser_resumes_the_session_with_its_discount(student: Student) -> None:
    """The page keeps nothing about payments in the browser: the API says how an open payment is resumed."""
    address = leave_checkout(student)
    assert student.page.evaluate("Object.keys(localStorage)") == []
    student.open("#/payments")
    student.expect_heading("Payments")
    student.expect_text("$399.20")
    student.page.get_by_role("link", name="Complete payment").click()
    student.expect_heading("Enroll in Data Professional")
    expect(total(student)).to_have_text("$399.20")
    student.press_pay()
    assert student.expect_checkout() == address


def test_a_student_may_give_the_discount_up(student: Student) -> None:
    session = leave_checkout(student).rpartition("/")[2]
    student.page.get_by_role("button", name="Remove promotion code").click()
    student.choose("Card")
    student.pay(GOOD)
    student.expect_enrolled()
    student.expect_text("You paid $499.00.")
    assert student.running.stripe("GET", f"/v1/checkout/sessions/{session}")["status"] == "expired"


def test_a_code_that_is_typed_and_not_applied_is_applied_before_anything_is_paid(student: Student) -> None:
    code = create_promotion_code(student, 20)
    student.open_payment_form()
    student.fill_card(GOOD)
    student.type_code(code)
    student.press_pay()
    expect(student.pay_button).to_have_text("Continue to Stripe: $399.20")
    expect(student.pay_button).to_be_focused()
    assert student.payments() == []
