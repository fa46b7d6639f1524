"""The page tells a student when something is slow, refused or unavailable, and how to continue."""

import json
import re
from typing import Any

from playwright.sync_api import Route, expect

from tests.stack.browser.student import Student

GOOD = "4242424242424242"


def pay_by_bank_account(student: Student, number: str) -> None:
    student.fill_bank_account(number)
    student.press_pay()


def test_a_bank_payment_is_shown_as_processing_everywhere(student: Student) -> None:
    student.open_payment_form()
    pay_by_bank_account(student, "000000000009")
    student.expect_text("Your bank is processing the payment.")
    student.expect_accessible("processing")
    student.open("#/learning")
    student.expect_text("Payment processing")
    student.page.get_by_role("link", name="View payment status").click()
    student.expect_text("Please don’t pay again: your payment is on its way.")
    assert [payment["status"] for payment in student.payments()] == ["PROCESSING"]


def test_a_bank_payment_that_clears_enrolls_the_waiting_student(student: Student) -> None:
    student.open_payment_form()
    pay_by_bank_account(student, "000123456789")
    student.expect_enrolled()


def test_a_bank_payment_that_fails_later_can_be_paid_again(student: Student) -> None:
    student.open_payment_form()
    pay_by_bank_account(student, "000222222227")
    student.expect_text("The bank refused the payment: insufficient funds.")
    student.expect_text("You haven’t been charged. Try again, or choose another way to pay.")
    student.expect_accessible()
    student.pay(GOOD)
    student.expect_enrolled()


def test_incomplete_fields_are_named_and_no_payment_is_created(student: Student) -> None:
    student.open_payment_form()
    expect(student.fields.get_by_label("Card number")).to_be_visible()
    student.press_pay()
    expect(student.fields.get_by_text("Your card number is incomplete.")).to_be_visible()
    expect(student.fields.get_by_label("Card number")).to_be_focused()
    expect(student.main.get_by_role("alert")).to_be_empty()  # Stripe's fields have said it
    student.expect_accessible()
    assert student.payments() == []


def test_the_terms_are_agreed_to_before_paying_and_again_after_they_change(student: Student) -> None:
    student.open_payment_form()
    student.fill_card(GOOD)
    student.pay_button.click()
    student.expect_text("Please agree to the terms before you pay.")
    expect(student.terms_box).to_be_focused()
    student.expect_accessible_on_every_screen("terms")
    assert student.payments() == []
    student.expected_errors.append(r"status of 409 .*/create-payment")
    agreed: list[str] = []

    def change_terms(route: Route) -> None:
        body = route.fetch().json()
        route.fulfill(json={**body, "terms": {**body["terms"], "version": "2099-01"}})

    def create(route: Route) -> None:
        """The API's terms have not changed: it sees the page's second agreement as one to them."""
        body = route.request.post_data_json
        agreed.append(body["terms"])
        if len(agreed) == 1:
            problem = {"type": "https://tuition.school/problems/terms-changed", "status": 409, "detail": "new terms"}
            route.fulfill(status=409, json={**problem, "current_terms": "2099-01"})
        else:
            route.continue_(post_data=json.dumps({**body, "terms": agreed[0]}))

    student.page.route("**/api/payments/tracks", change_terms)
    student.page.route("**/create-payment", create)
    student.press_pay()
    student.expect_text("Our terms have changed.")
    student.expect_text("(version 2099-01)")
    expect(student.terms_box).not_to_be_checked()
    expect(student.terms_box).to_be_focused()
    student.press_pay()
    student.expect_enrolled()
    assert agreed[1:] == ["2099-01"] and agreed[0] != "2099-01"
    assert student.payments()[0]["agreed_terms"]["version"] == agreed[0]


def test_an_unverified_address_is_explained_before_the_payment_form(student: Student) -> None:
    body = {"sub": student.sub, "email": f"{student.sub}@example.org", "email_verified": False}
    token = student.running.http.post(f"{student.running.ready['api']}/_local/token", json=body).json()["token"]
    student.page.add_init_script(f"sessionStorage.setItem('tuition.token', '{token}')")
    student.open("#/buy/DP")
    student.expect_heading("Please verify your email address")
    student.expect_text(f"we need to know that {student.sub}@example.org is yours.")
    expect(student.page.get_by_role("button", name="Sign in again")).to_be_visible()
    expect(student.pay_button).to_have_count(0)
    student.expect_accessible_on_every_screen("unverified")


def test_an_expired_session_asks_to_sign_in_and_returns_to_the_form(student: Student) -> None:
    student.expected_errors.append(r"status of 401 ")
    student.open_payment_form("FSD")
    student.fill_card(GOOD)
    student.page.evaluate("sessionStorage.setItem('tuition.token', sessionStorage.getItem('tuition.token') + 'x')")
    student.press_pay()
    student.expect_text("Your session has expired. Sign in to continue where you left off.")
    expect(student.page.locator("#live")).to_be_empty()  # no longer "Paying…"
    student.sign_in()
    student.expect_heading("Enroll in Full-Stack Developer")
    student.pay(GOOD)
    student.expect_enrolled("FSD")


def test_a_rate_limit_shows_when_to_try_again(student: Student) -> None:
    student.expected_errors.append(r"status of 429 ")
    student.open_payment_form()
    student.fill_card(GOOD)
    problem = {"type": "https://tuition.school/problems/too-many-requests", "detail": "too many payments: wait"}

    def refuse(route: Route) -> None:
        route.fulfill(status=429, json=problem, headers={"retry-after": "17"})

    student.page.route("**/create-payment", refuse)
    student.press_pay()
    expect(student.main.get_by_role("alert")).to_contain_text(
        re.compile(r"Too many payments: wait\. Try again in 17 s \(at \d+:\d\d:\d\d [AP]M\)\.")
    )
    student.page.unroute("**/create-payment")
    student.press_pay()
    student.expect_enrolled()


def test_a_transient_failure_of_stripe_is_retried(student: Student) -> None:
    student.expected_errors.append(r"status of 50[234] ")
    student.open_payment_form()
    student.fill_card(GOOD)
    student.running.sim("calls", match="POST /v1/payment_intents", times=4, fail="before")
    student.press_pay()
    student.expect_enrolled()
    assert len(student.payments()) == 1


def test_the_page_shows_that_it_is_offline_and_the_same_button_works_later(student: Student) -> None:
    student.expected_errors.append("ERR_INTERNET_DISCONNECTED")
    student.open_payment_form()
    student.fill_card(GOOD)
    student.context.set_offline(True)
    expect(student.page.get_by_text("You’re offline.")).to_be_visible()
    student.press_pay()
    expect(student.main.get_by_role("alert")).to_contain_text(
        "We can’t connect. Check your internet connection and try again."
    )
    student.expect_accessible()
    student.context.set_offline(False)
    student.press_pay()
    student.expect_enrolled()


def test_a_view_that_loads_late_does_not_replace_the_next_one(student: Student) -> None:
    held: list[Route] = []
    student.open_payment_form()
    student.page.route("**/api/enrollments", lambda route: held.append(route))
    student.page.get_by_role("link", name="My learning").click()
    student.expect_text("Loading")
    student.page.get_by_role("link", name="Payments", exact=True).click()
    student.expect_heading("Payments")
    with student.page.expect_response("**/api/enrollments"):
        held[0].continue_()
    student.page.wait_for_load_state("networkidle")
    student.expect_heading("Payments")
    expect(student.page.locator("h1")).to_have_count(1)


def test_a_view_without_a_connection_loads_once_there_is_one(student: Student) -> None:
    student.expected_errors += ["ERR_INTERNET_DISCONNECTED", "ERR_FAILED", "dynamically imported module"]
    student.page.route("**/learning.js", lambda route: route.abort())
    student.open("#/payments")
    student.sign_in()
    student.expect_heading("Payments")
    student.context.set_offline(True)
    student.page.get_by_role("link", name="My learning").click()  # its module has not been loaded yet
    student.expect_text("We can’t connect.")
    student.page.unroute("**/learning.js")
    student.context.set_offline(False)
    student.expect_heading("My learning")
    student.context.set_offline(True)
    student.page.get_by_role("link", name="Payments", exact=True).click()  # a link to the current view loads it again
    student.expect_text("We can’t connect.")
    student.context.set_offline(False)
    student.expect_heading("Payments")


def test_a_student_who_leaves_while_the_payment_is_created_pays_nothing_and_can_resume(student: Student) -> None:
    """With a saved card, because it can be charged without Stripe's fields on the page."""
    held: list[Route] = []
    student.open_payment_form("DP")
    student.page.get_by_label("Save for next time").first.check()
    student.pay(GOOD)
    student.expect_enrolled("DP")
    student.open_payment_form("FSD")
    student.page.route("**/create-payment", lambda route: held.append(route))
    with student.page.expect_request("**/create-payment"):
        student.press_pay()
    expect(student.page.locator("#live")).to_have_text("Paying…")
    expect(student.pay_button).to_have_text("Paying…")
    student.page.get_by_role("link", name="My learning").click()
    student.expect_heading("My learning")
    with student.page.expect_response("**/create-payment"):
        held[0].continue_()
    student.page.wait_for_load_state("networkidle")
    student.expect_heading("My learning")
    assert [payment["status"] for payment in student.payments()] == ["CREATED", "SUCCEEDED"]
    student.page.unroute("**/create-payment")
    student.page.go_back()
    student.expect_text("It hasn’t been completed, and you haven’t been charged.")
    student.press_pay()
    student.expect_enrolled("FSD")
    assert len(student.payments()) == 2


def test_a_truncated_response_counts_as_no_response(student: Student) -> None:
    student.open_payment_form()
    student.fill_card(GOOD)
    student.page.route("**/create-payment", lambda route: route.fulfill(status=200, body='{"payment_id": "pa'))
    student.press_pay()
    expect(student.main.get_by_role("alert")).to_contain_text(
        "We can’t connect. Check your internet connection and try again."
    )
    student.page.unroute("**/create-payment")
    student.press_pay()
    student.expect_enrolled()


def test_a_payment_of_another_amount_is_shown_as_being_checked(student: Student) -> None:
    created = student.running.create(student.token).json()
    student.running.stripe("POST", f"/v1/payment_intents/{created['payment_intent_id']}", amount=45000)
    student.open_payment_form()
    student.pay(GOOD)
    student.expect_heading("We’re checking your payment")
    student.expect_text("The school is reviewing it and will contact you. Please don’t pay again.")
    student.expect_accessible()


def test_without_stripe_js_the_student_can_pay_with_checkout(student: Student) -> None:
    student.expected_errors.append("ERR_FAILED")
    student.page.route("**/endive/stripe.js", lambda route: route.abort())
    student.open_payment_form()
    student.expect_text("The card form didn’t load.")
    student.continue_to_checkout()
    student.expect_checkout()
    student.pay_on_checkout(GOOD)
    student.expect_enrolled()


def test_a_page_that_fails_to_load_can_be_reloaded(student: Student) -> None:
    student.expected_errors += ["ERR_FAILED", "Failed to fetch"]
    student.page.route("**/config.json", lambda route: route.abort())
    student.open()
    student.expect_text("We can’t connect. Check your internet connection and try again.")
    student.page.unroute("**/config.json")
    student.page.route("**/student/app.js", lambda route: route.abort())
    student.page.get_by_role("button", name="Reload").click()
    advice = student.page.get_by_text("Check your connection, then reload the page.")
    expect(advice).to_be_hidden()
    advice.evaluate("element => element.getAnimations()[0].finish()")  # ten seconds later
    expect(advice).to_be_visible()
    student.page.unroute("**/student/app.js")
    student.page.reload()
    student.expect_heading("Choose your track")


def test_an_unknown_address_shows_that_the_page_was_not_found(student: Student) -> None:
    for address in ("#/nowhere", "#/constructor", "#/__proto__"):
        student.open("#/")
        student.open(address)
        student.expect_heading("Page not found")
    student.open("#/buy/NONE")
    student.sign_in()
    student.expect_heading("Track not found")


def test_a_student_can_enroll_with_the_keyboard_alone(student: Student) -> None:
    """Tab and Enter only, from the first page to the enrollment."""
    keyboard = student.page.keyboard
    focused = """() => {
        const { textContent, id, tagName } = document.activeElement;
        return tagName === 'BODY' ? '' : textContent.trim() || id || tagName;
    }"""

    def tab_to(name: str) -> None:
        for _ in range(30):
            keyboard.press("Tab")
            if name in student.page.evaluate(focused):
                return
        raise AssertionError(f"Tab does not reach {name}")

    student.open()
    student.expect_heading("Choose your track")
    keyboard.press("Tab")
    assert student.page.evaluate(focused) == "Skip to content"
    keyboard.press("Enter")
    assert student.page.evaluate("document.activeElement.id") == "main"
    student.expect_heading("Choose your track")
    tab_to("Enroll in Data Professional")
    keyboard.press("Enter")
    student.expect_heading("Sign in")
    tab_to("email")
    keyboard.press("Control+A")
    keyboard.type(f"{student.sub}@example.org")
    keyboard.press("Enter")
    student.expect_heading("Enroll in Data Professional")
    expect(student.fields.get_by_label("Card number")).to_be_visible()
    tab_to("IFRAME")
    expect(student.fields.get_by_label("Card number")).to_be_focused()
    keyboard.type("4242424242424242")
    keyboard.press("Tab")
    keyboard.type("1234")
    keyboard.press("Tab")
    keyboard.type("123")
    tab_to("terms")
    keyboard.press("Space")
    tab_to("Pay $499.00")
    keyboard.press("Enter")
    student.expect_enrolled()
    assert student.page.evaluate("document.activeElement.tagName") == "H1"


REFUND_REQUESTS = (
    ("awaiting_approval", None, "We’re reviewing your request. You keep access until then."),
    ("submitting", None, "Your refund is being processed."),
    ("declined", None, "We declined your request."),
    ("declined", "Your course is done.", "We declined your request: Your course is done."),
    ("pending", "Sorry about that.", "Your refund is being processed. The school’s message: Sorry about that."),
    ("rejected", "charge_disputed", "Stripe couldn’t make the refund: charge_disputed."),
    ("failed", None, "Your bank returned the refund."),
)
"""A state, the school's message or Stripe's reason, and what the page says."""


def test_every_state_of_a_refund_request_is_shown(student: Student) -> None:
    created = student.running.create(student.token).json()
    student.running.pay(created["payment_intent_id"])
    student.running.until_enrolled(student.token)
    shown: dict[str, Any] = {}

    def add_request(route: Route) -> None:
        body = route.fetch().json()
        body["payments"][0] |= shown
        route.fulfill(json=body)

    student.page.route("**/my-payments*", add_request)
    for state, answer, text in REFUND_REQUESTS:
        unfinished = state in ("awaiting_approval", "submitting", "pending")
        request = {"id": "rr_1", "amount": 49900, "reason": "no time", "at": "2026-11-24T08:00:00.000Z"}
        request |= {"state": state, "answer": answer}
        shown |= {"refund_request": request, "can_request_refund": not unfinished}
        student.open("#/")
        student.expect_heading("Choose your track")
        student.open("#/payments")
        if state == REFUND_REQUESTS[0][0]:
            student.sign_in()
        student.expect_text(f"You requested a refund of $499.00 on Nov 24, 2026. {text}")
        expect(student.page.get_by_role("button", name="Request a refund")).to_have_count(0 if unfinished else 1)


def test_a_refund_whose_response_is_lost_is_still_shown(student: Student) -> None:
    student.expected_errors.append("ERR_FAILED")
    student.open_payment_form()
    student.pay(GOOD)
    student.expect_enrolled()
    student.open("#/learning")
    student.expect_heading("My learning")
    student.page.get_by_role("link", name="Payments", exact=True).click()
    student.page.get_by_role("button", name="Request a refund").click()
    dialog = student.page.get_by_role("dialog")
    student.page.go_back()
    student.expect_heading("My learning")
    expect(dialog).to_have_count(0)
    student.page.get_by_role("link", name="Payments", exact=True).click()

    def lose_response(route: Route) -> None:
        student.page.keyboard.press("Escape")  # the request is under way and cannot be canceled
        expect(dialog).to_be_visible()
        route.fetch()
        route.abort()

    student.page.route("**/request-refund", lose_response)
    student.page.get_by_role("button", name="Request a refund").click()
    dialog.get_by_label("Reason for your refund").fill("I have no time")
    dialog.get_by_role("button", name="Request refund").click()
    student.expect_text("Refunded. $499.00 is on its way to your Visa ending in 4242.")
    expect(dialog).to_have_count(0)
    intent = student.payments()[0]["payment_intent_id"]
    assert len(student.running.stripe("GET", f"/v1/refunds?payment_intent={intent}")["data"]) == 1
