"""The page of a payment: a receipt to print, and what a student can take back there."""

from playwright.sync_api import expect

from tests.stack.browser.student import Student
from tests.stack.browser.test_student_states import open_view, paid, until_shown


def test_the_page_of_a_payment_is_a_receipt_that_can_be_printed(student: Student) -> None:
    payment = paid(student)
    open_view(student, f"#/payments/{payment['payment_id']}", "You are enrolled in Data Professional")
    receipt = student.main.get_by_role("region", name="Receipt")
    for text in (payment["payment_id"], f"{student.sub}@example.org", "Visa ending in 4242", "Total paid", "$499.00"):
        expect(receipt).to_contain_text(text)
    expect(receipt).to_contain_text("Refundable until")
    student.take_screenshots("payment")
    student.page.emulate_media(media="print")
    expect(receipt).to_be_visible()
    for hidden in ("header", "footer", "button:visible"):
        expect(student.page.locator(hidden).filter(visible=True)).to_have_count(0)
    student.page.emulate_media(media="screen")
    student.page.reload()
    student.expect_heading("You are enrolled in Data Professional")
    student.expected_errors.append("status of 404")
    student.open("#/payments/pay_of_another_student")
    student.expect_heading("Payment not found")


def test_an_unpaid_payment_is_canceled_and_folded_away(student: Student) -> None:
    created = student.running.create(student.token, "FSD").json()
    open_view(student, f"#/payments/{created['payment_id']}", "Payment for Full-Stack Developer")
    student.page.get_by_role("button", name="Cancel payment").click()
    dialog = student.page.get_by_role("dialog")
    student.expect_accessible_on_every_screen()
    dialog.get_by_role("button", name="Cancel payment").click()
    student.expect_text("The payment is canceled. You haven’t been charged.")
    expect(student.expect_heading("Payment for Full-Stack Developer")).to_be_focused()
    expect(student.page.get_by_role("button", name="Cancel payment")).to_have_count(0)
    assert student.payments()[0]["status"] == "CANCELED"
    paid(student)
    open_view(student, "#/payments", "Payments")
    canceled = student.page.get_by_role("link", name="Full-Stack Developer")
    expect(canceled).to_be_hidden()
    student.page.get_by_text("1 payment that was not made").click()
    expect(canceled).to_be_visible()
    student.expect_accessible_on_every_screen()


def test_a_refund_request_that_waits_is_withdrawn(student: Student) -> None:
    """The second purchase of a track waits for the school."""
    for _ in range(2):
        payment = paid(student)
        order = {"payment_id": payment["payment_id"], "reason": "I have no time"}
        student.running.api("POST", "/api/payments/request-refund", student.token, json=order).raise_for_status()
    open_view(student, f"#/payments/{payment['payment_id']}", "You are enrolled in Data Professional")
    student.expect_text("We’re reviewing your request.")
    student.page.get_by_role("button", name="Withdraw refund request").click()
    dialog = student.page.get_by_role("dialog")
    student.expect_accessible()
    dialog.get_by_role("button", name="Withdraw request").click()
    student.expect_text("You withdrew your refund request.")
    expect(student.page.get_by_role("button", name="Request a refund")).to_be_visible()
    student.expect_accessible()
    until_shown(student, refund_amount=0)
    assert student.payments()[0]["refund_request"]["state"] == "withdrawn"
