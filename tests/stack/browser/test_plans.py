"""A student pays a track in installments or joins by membership, and sees and changes the plan on its page."""

import json
import re
from typing import Any

from playwright.sync_api import Locator, Route, expect

from tests.stack.browser.student import Student
from tests.stack.browser.test_student_page import GOOD
from tests.stack.test_plans import started

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
    student.choose("Card")
    student.fill_card(THREE_D_SECURE)
    button(student, "Pay $124.75").click()
    confirm_with_bank(student)
    expect_strip(student, "Paid", "Paid", "Upcoming", "Upcoming")
    link(student, "Use another payment method").click()
    student.choose("Card")
    student.fill_card(THREE_D_SECURE)
    button(student, "Use this payment method").click()
    confirm_with_bank(student)
    link(student, "Pay the rest: $249.50").click()
    student.choose("Card")
    student.fill_card(GOOD)
    button(student, "Pay $249.50").click()
    expect_strip(student, "Paid", "Paid", "Paid", "Paid")
    student.expect_text("Paid in full")
    link(student, "Statement").click()
    student.expect_heading("Statement: Data Professional")
    expect(student.main.get_by_role("row")).to_have_count(1 + 6)


def test_a_late_and_a_suspended_plan_say_how_to_continue_and_a_plan_is_withdrawn(student: Student) -> None:
    """Only time leads to the first two states: the plan's answer is changed as the collector would have changed it."""
    plan_id = started(student.running, student.token)["plan_id"]
    changes: dict[str, Any] = {}

    def change(route: Route) -> None:
        response = route.fetch()
        plan = response.json()
        plan["schedule"][1]["state"] = "failed"
        route.fulfill(response=response, json={**plan, **changes})

    due = {"seqs": [2], "amount": 12475}
    following = {**due, "due": "2026-12-29", "attempt_at": None, "needs_you": "tries_used"}
    changes |= {"status": "LATE", "due": due, "next": following, "access_until": "2027-01-11"}
    address = re.compile("/api/plans/pln_[^/]*$")
    student.page.route(address, change)
    student.open(f"#/plans/{plan_id}")
    student.sign_in()
    student.expect_heading(PLAN)
    expect_strip(student, "Paid", "Charge failed", "Upcoming", "Upcoming")
    student.expect_text("$124.75 is due. We don’t try the charge again.")
    student.expect_text("You keep your access until Jan 11, 2027.")
    student.expect_accessible("plan-late")
    changes |= {"status": "SUSPENDED", "grants_access": False, "access_until": None, "closes_on": "2027-02-27"}
    student.page.reload()
    student.expect_text("Your access is suspended. Your progress is kept. Pay $124.75 to continue where you left off.")
    student.expect_text("Without a payment, the plan ends on Feb 27, 2027.")
    link(student, "Pay $124.75 now").click()
    expect(button(student, "Pay $124.75")).to_be_visible()
    student.page.unroute(address)
    link(student, "Back to the payment plan").click()
    button(student, "Cancel and request a refund").click()
    student.page.get_by_label("Reason for your refund").fill("I have no time this year")
    student.expect_accessible("plan-refund")
    student.page.get_by_role("button", name="Request refund").click()
    student.expect_text("The plan has ended. Your money is on its way")


def test_a_member_joins_on_checkout_begins_a_track_cancels_and_stays(student: Student) -> None:
    student.expected_errors.append(r"status of 409 .*/api/payments/payment-methods")
    student.open("#/account")
    student.sign_in()
    student.open("#/")
    link(student, "Join: All-access membership").click()
    student.expect_heading("Enroll in All-access membership")
    student.page.get_by_role("radio", name="Stripe Checkout").check()
    consent_box(student).check()
    student.agree_to_terms()
    button(student, "Agree and continue to Stripe").click()
    student.expect_checkout()
    student.pay_on_checkout(GOOD)
    student.expect_heading("Payment plan: All-access membership")
    plan_id = student.page.url.rpartition("/")[2]
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
    in_use = problem("payment-method-in-use", 409, plan_id=plan_id)
    card = {"id": "pm_1", "type": "card", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034}
    listed = {"payment_methods": [card]}
    student.page.route("**/api/payments/payment-methods", lambda route: route.fulfill(json=listed))
    student.page.route("**/api/payments/payment-methods/**", lambda route: route.fulfill(**in_use))
    student.open("#/cards")
    student.main.get_by_role("button", name="Remove Visa").click()
    student.page.get_by_role("button", name="Remove", exact=True).click()
    student.page.get_by_role("link", name="Choose another for the plan").click()
    student.expect_heading("Payment method for All-access membership")
