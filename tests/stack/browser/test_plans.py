"""A student pays a track in installments or joins by membership, and sees and changes the plan on its page."""

import json
from typing import Any

from playwright.sync_api import Locator, Route, expect

from tests.stack.browser.student import Student
from tests.stack.browser.test_student_page import GOOD

DECLINED = "4000000000000002"
THREE_D_SECURE = "4000002500003155"
PLAN = "Payment plan: Data Professional"


def button(student: Student, name: str) -> Locator:
    return student.main.get_by_role("button", name=name, exact=True)


def link(student: Student, name: str) -> Locator:
    return student.main.get_by_role("link", name=name)


def expect_strip(student: Student, *states: str) -> None:
    """Expect the states of the installments, in words."""
    strip = student.main.get_by_role("list", name="Payments of the plan").get_by_role("listitem")
    expect(strip).to_have_count(len(states))
    for number, state in enumerate(states):
        expect(strip.nth(number)).to_contain_text(state)


def use_card(student: Student, card: str, action: str) -> None:
    """Choose a new card, enter it, and click the button with this name."""
    student.choose("Card")
    student.fill_card(card)
    button(student, action).click()


def expect_method(student: Student, name: str) -> None:
    """Expect the payment method of the plan that is shown. The event of its charge may come after the page."""
    path = f"/api/plans/{student.page.url.rpartition('/')[2]}"
    student.running.until(
        lambda: student.running.api("GET", path, student.token).json()["payment_method"], "the charge is processed"
    )
    student.page.reload()
    student.expect_text(name)


def consent_box(student: Student) -> Locator:
    return student.main.get_by_role("checkbox", name="I agree to these payments")


def problem(name: str, status: int, **more: Any) -> dict[str, Any]:
    """Return the arguments of `Route.fulfill` for a problem of the API."""
    body = {"type": f"https://tuition.school/problems/{name}", "title": name, "status": status, "detail": name, **more}
    return {"status": status, "content_type": "application/problem+json", "body": json.dumps(body)}


def confirm_with_bank(student: Student) -> None:
    student.bank.get_by_role("button", name="Complete authentication").click()


def test_a_plan_is_agreed_to_paid_early_moved_to_another_card_and_paid_in_full(student: Student) -> None:
    student.expected_errors.append(r"status of 422 .*/api/plans")
    student.open("#/tracks/DP")
    student.main.get_by_text("3 more payments of $124.75, one every month").click()
    expect_strip(student, "1 of 4", "2 of 4", "3 of 4", "4 of 4")
    link(student, "Pay in 4 installments").click()
    student.sign_in()
    student.expect_heading("Enroll in Data Professional")
    plan = student.page.get_by_role("radio", name="Pay in 4 installments")
    expect(plan).to_be_checked()
    student.page.get_by_role("radio", name="Pay in full").check()
    expect(button(student, "Pay $499.00")).to_be_visible()
    plan.check()
    expect(plan).to_be_focused()
    student.expect_text("promotion codes and invoices are for the full price only")
    student.fill_card(GOOD)
    student.agree_to_terms()
    pay = button(student, "Agree and pay $124.75")
    pay.click()
    expect(student.page.locator("#consent-error")).to_have_text("Please agree to the payments before you pay.")
    expect(consent_box(student)).to_be_focused()
    student.expect_accessible("plan-choice")
    outdated = problem("consent-outdated", 422, field="consent", current_consent="newer")
    student.page.route("**/api/plans", lambda route: route.fulfill(**outdated), times=1)
    consent_box(student).check()
    pay.click()
    student.expect_text("This text has changed. Please read it and agree again.")
    expect(consent_box(student)).not_to_be_checked()
    consent_box(student).check()
    pay.click()
    student.expect_heading(PLAN)
    expect_strip(student, "Paid", "Upcoming", "Upcoming", "Upcoming")
    student.expect_text("At least 7 days before a charge, we send you an email")
    student.take_screenshots("plan")
    student.open("#/buy/DP")
    student.expect_text("You already have a payment plan for this.")
    student.open("#/payments")
    student.expect_text("$124.75 of $499.00 paid")
    link(student, "See the payment plan").click()

    link(student, "Pay the next payment early: $124.75").click()
    expect(student.page.get_by_role("radio", name="Stripe Checkout")).to_have_count(0)
    use_card(student, THREE_D_SECURE, "Pay $124.75")
    confirm_with_bank(student)
    expect_strip(student, "Paid", "Paid", "Upcoming", "Upcoming")
    link(student, "Use another payment method").click()
    use_card(student, THREE_D_SECURE, "Use this payment method")
    confirm_with_bank(student)
    link(student, "Pay the rest: $249.50").click()
    use_card(student, GOOD, "Pay $249.50")
    expect_strip(student, "Paid", "Paid", "Paid", "Paid")
    student.expect_text("Paid in full")
    link(student, "Statement").click()
    student.expect_heading("Statement: Data Professional")
    expect(student.main.get_by_role("row")).to_have_count(1 + 6)
    student.page.emulate_media(media="print")
    for hidden in ("header", "footer", "button"):
        expect(student.page.locator(hidden).filter(visible=True)).to_have_count(0)


def test_plans_are_begun_with_a_bank_account_and_a_saved_card_and_the_bank_confirms_by_redirect(
    student: Student,
) -> None:
    student.expected_errors.append(r"status of 409 .*/api/payments/payment-methods")
    student.open("#/buy/DP/4x")
    student.sign_in()
    student.fill_card(DECLINED)
    agree_and_pay(student, "$124.75")
    student.expect_text("Your card was declined.")
    student.fill_bank_account("000123456789")
    button(student, "Agree and pay $124.75").click()
    student.expect_heading(PLAN)
    expect_strip(student, "Paid", "Upcoming", "Upcoming", "Upcoming")
    expect_method(student, "Bank account ending in 6789")

    student.page.route("**/v1/*_intents/*/confirm", _redirect)
    link(student, "Pay the next payment early: $124.75").click()
    for answer, text in (
        ("Fail", "We are unable to authenticate your payment method"),
        ("Complete", "Payment of $124.75 for Data Professional received."),
    ):
        use_card(student, THREE_D_SECURE, "Pay $124.75")
        student.page.get_by_role("button", name=f"{answer} authentication").click()
        student.expect_heading(PLAN)
        student.expect_text(text)
        if answer == "Fail":
            student.expect_text("You haven’t been charged.")
            link(student, "Pay the next payment early: $124.75").click()
    expect_strip(student, "Paid", "Paid", "Upcoming", "Upcoming")
    request_refund_and_take_it_back(student)

    save_card(student)
    student.open("#/buy/FSD/4x")
    expect(student.page.get_by_role("radio", name="Mastercard ending in 4444")).to_be_checked()
    agree_and_pay(student, "$149.75")
    student.expect_heading("Payment plan: Full-Stack Developer")
    expect_method(student, "Mastercard ending in 4444")
    student.open("#/cards")
    student.main.get_by_role("button", name="Remove Mastercard").click()
    student.page.get_by_role("button", name="Remove", exact=True).click()
    student.page.get_by_role("link", name="Choose another for the plan").click()
    for answer, text in (
        ("Fail", "We are unable to authenticate your payment method"),
        ("Complete", "Your payment method is saved."),
    ):
        student.expect_heading("Payment method for Full-Stack Developer")
        use_card(student, THREE_D_SECURE, "Use this payment method")
        student.page.get_by_role("button", name=f"{answer} authentication").click()
        student.expect_text(text)
    student.expect_heading("Payment plan: Full-Stack Developer")
    student.expect_text("Visa ending in 3155")

    button(student, "Cancel and request a refund").click()
    student.page.get_by_label("Reason for your refund").fill("I have no time this year")
    student.expect_accessible("plan-refund")
    student.page.get_by_role("button", name="Request refund").click()
    student.expect_text("The plan has ended. Your money is on its way")


def request_refund_and_take_it_back(student: Student) -> None:
    """Request the money of the second payment back. The request is about the whole plan, and on its page."""
    second = student.payments()[0]
    assert second["covers"] == [2], second
    order = {"payment_id": second["payment_id"], "reason": "I have no time this year"}
    assert student.running.api("POST", "/api/payments/request-refund", student.token, json=order).status_code == 202
    student.page.reload()
    student.expect_text("You requested a refund of this payment plan on")
    student.expect_text("Nothing is charged until the school decides about your refund request.")
    button(student, "Withdraw refund request").click()
    dialog = student.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nothing is refunded. Later payments are charged on their dates.")
    dialog.get_by_role("button", name="Withdraw request").click()
    student.expect_text("You withdrew your refund request.")
    expect(button(student, "Cancel and request a refund")).to_be_visible()


def agree_and_pay(student: Student, amount: str) -> None:
    consent_box(student).check()
    student.agree_to_terms()
    button(student, f"Agree and pay {amount}").click()


def save_card(student: Student) -> None:
    """Save a card at Stripe, as its student would who buys with "Save for next time"."""
    running = student.running
    customer = running.staff(f"/users/{student.sub}")["user"]["customer"]["stripe_customer_id"]
    card = running.stripe("POST", "/v1/payment_methods/pm_card_mastercard/attach", customer=customer)
    running.stripe("POST", f"/v1/payment_methods/{card['id']}", allow_redisplay="always")


def _redirect(route: Route) -> None:
    """Confirm as in a browser in which Stripe.js leads to the bank's page in place of a dialog."""
    body = route.request.post_data or ""
    route.continue_(post_data=body.replace("use_stripe_sdk=true&", "").replace("&use_stripe_sdk=true", ""))


def test_a_member_joins_on_checkout_begins_a_track_cancels_and_stays(student: Student) -> None:
    student.open("#/account")
    student.sign_in()
    student.open("#/")
    link(student, "Join: All-access membership").click()
    student.expect_heading("Join All-access membership")
    student.page.get_by_role("radio", name="Stripe Checkout").check()
    consent_box(student).check()
    student.agree_to_terms()
    button(student, "Agree and continue to Stripe").click()
    student.expect_checkout()
    student.pay_on_checkout(GOOD)
    student.expect_heading("Payment plan: All-access membership")
    button(student, "Begin Data Professional").click()
    student.expect_text("You have begun Data Professional.")
    button(student, "Cancel membership").click()
    student.page.get_by_role("dialog").get_by_role("button", name="Cancel membership").click()
    student.expect_text("Your membership ends on")
    button(student, "Keep my membership").click()
    student.expect_text("Your membership continues.")
    student.open("#/learning")
    expect(student.main.get_by_role("heading", name="Data Professional")).to_be_visible()
    student.open("#/tracks/FSD")
    expect(link(student, "Begin Full-Stack Developer with your membership")).to_be_visible()
