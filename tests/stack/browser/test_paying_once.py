"""A student pays once, whatever happens: double clicks, two tabs, reloads, Back, and objects closed in between."""

from playwright.sync_api import expect

from tests.stack.browser.student import Student

GOOD, SECURE = "4242424242424242", "4000002760003184"


def intents(student: Student) -> list[dict[str, object]]:
    """All PaymentIntents of this student at Stripe, in any status."""
    data = student.running.stripe("GET", "/v1/payment_intents?limit=100")["data"]
    return [intent for intent in data if intent["metadata"].get("user_id") == student.sub]


def test_a_double_click_pays_once(student: Student) -> None:
    student.open_payment_form()
    student.fill_card(GOOD)
    student.agree_to_terms()
    student.pay_button.dblclick()
    student.expect_enrolled()
    assert [intent["status"] for intent in intents(student)] == ["succeeded"]
    assert len(student.payments()) == 1


def test_two_tabs_pay_once(student: Student) -> None:
    student.open_payment_form()
    student.fill_card(GOOD)
    other = Student(student.running, student.context, student.sub, student.size, None)
    other.open_payment_form()
    other.pay(GOOD)
    other.expect_enrolled()
    student.expected_errors.append(r"status of 409 .*/create-payment")
    student.press_pay()
    student.expect_text("You’re already enrolled in this track")
    assert [intent["status"] for intent in intents(student)] == ["succeeded"]
    student.errors += other.errors


def test_a_stale_tab_shows_the_payment_that_a_bank_is_processing(student: Student) -> None:
    student.expected_errors.append(r"status of 409 .*/create-checkout-session")
    student.open_payment_form()
    other = Student(student.running, student.context, student.sub, student.size, None)
    other.open_payment_form()
    other.fill_bank_account("000000000009")
    other.press_pay()
    other.expect_text("Please don’t pay again: your payment is on its way.")
    student.continue_to_checkout()
    student.expect_text("Please don’t pay again: your payment is on its way.")
    assert [intent["status"] for intent in intents(student)] == ["processing"]
    student.errors += other.errors


def test_a_checkout_created_by_another_client_leads_back_to_the_page(student: Student) -> None:
    """The default addresses of the API work in a browser that is not signed in."""
    response = student.running.api("POST", "/api/payments/create-checkout-session", student.token, json={"track": "DP"})
    student.page.goto(response.json()["url"])
    student.page.get_by_role("link", name="Back without paying").click()
    student.expect_heading("Sign in")
    student.sign_in()
    student.expect_heading("Payments")
    student.expect_text("Not paid yet")
    student.page.goto(response.json()["url"])
    student.pay_on_checkout(GOOD)
    student.expect_enrolled()


def test_an_old_return_address_of_a_refunded_payment_shows_the_payment_form(student: Student) -> None:
    response = student.running.api("POST", "/api/payments/create-checkout-session", student.token, json={"track": "DP"})
    student.page.goto(response.json()["url"])
    student.pay_on_checkout(GOOD)
    student.expect_heading("Sign in")
    student.sign_in()
    student.expect_enrolled()
    request = {"payment_id": response.json()["payment_id"], "reason": "no time"}
    assert student.running.api("POST", "/api/payments/request-refund", student.token, json=request).is_success
    student.page.goto(f"/?payment=success&session_id={response.json()['session_id']}")
    student.expect_heading("Enroll in Data Professional")
    expect(student.main.get_by_text("You haven’t been charged")).to_have_count(0)
    student.pay(GOOD)
    student.expect_enrolled()


def test_a_return_from_the_bank_after_a_refusal_shows_the_reason_and_the_payment_form(student: Student) -> None:
    student.open_payment_form()
    student.pay("4000000000009995")
    student.expect_text("Your card has insufficient funds.")
    intent = intents(student)[0]["id"]
    student.page.goto(f"/?paid=DP&payment_intent={intent}&redirect_status=failed")
    student.expect_text("Your card has insufficient funds. You haven’t been charged.")
    assert student.page.url.endswith("/#/buy/DP")
    student.pay(GOOD)
    student.expect_enrolled()


def test_a_reload_during_three_d_secure_resumes_the_same_payment(student: Student) -> None:
    student.open_payment_form()
    student.pay(SECURE)
    expect(student.bank.get_by_role("button", name="Complete authentication")).to_be_visible()
    student.page.reload()
    student.expect_text("Your bank needs you to confirm this payment.")
    student.expect_accessible("interrupted")
    student.page.get_by_role("button", name="Confirm with your bank").click()
    student.bank.get_by_role("button", name="Complete authentication").click()
    student.expect_enrolled()
    assert len(intents(student)) == 1


def test_a_reload_right_after_paying_shows_the_enrollment(student: Student) -> None:
    """The page may ask for the open payment just before a sync enrolls the student: that 409 shows the enrollment."""
    student.expected_errors.append(r"status of 409 .*/create-payment")
    student.running.sim("webhooks", deliver="hold")
    student.open_payment_form()
    student.fill_card(GOOD)
    with student.page.expect_response("**/v1/payment_intents/*/confirm"):
        student.press_pay()
    student.page.reload()
    expect(student.main).to_contain_text("enrolled in", ignore_case=True)
    student.running.sim("webhooks/release", order="as_created")
    assert [intent["status"] for intent in intents(student)] == ["succeeded"]


def test_back_from_checkout_shows_the_open_payment(student: Student) -> None:
    student.open_payment_form()
    student.continue_to_checkout()
    first = student.expect_checkout()
    student.page.go_back()
    student.expect_text("It hasn’t been completed, and you haven’t been charged.")
    expect(student.page.get_by_role("radio", name="Stripe Checkout")).to_be_checked()
    student.press_pay()
    assert student.expect_checkout() == first


def test_a_page_restored_from_the_back_forward_cache_reloads_its_state(student: Student) -> None:
    """Back may show the page as it was (bfcache), with a button that is still busy."""
    student.open_payment_form()
    # A response without content keeps the browser on the page.
    student.page.route("**/c/pay/*", lambda route: route.fulfill(status=204))
    with student.page.expect_response("**/c/pay/*"):
        student.continue_to_checkout()
    expect(student.pay_button).to_have_attribute("aria-busy", "true")
    student.page.unroute("**/c/pay/*")
    student.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    student.expect_text("It hasn’t been completed, and you haven’t been charged.")
    expect(student.pay_button).not_to_have_attribute("aria-busy", "true")
    student.press_pay()
    student.expect_checkout()


def test_opening_the_form_does_not_close_a_checkout_opened_elsewhere(student: Student) -> None:
    """This browser remembers a card payment, but Checkout was opened in another one since."""
    student.open_payment_form()
    student.pay(SECURE)
    expect(student.bank.get_by_role("button", name="Complete authentication")).to_be_visible()
    params = {"track": "DP"}
    created = student.running.api("POST", "/api/payments/create-checkout-session", student.token, json=params).json()
    student.page.reload()
    student.expect_text("It hasn’t been completed, and you haven’t been charged.")
    expect(student.page.get_by_role("radio", name="Stripe Checkout")).to_be_checked()
    session = student.running.stripe("GET", f"/v1/checkout/sessions/{created['session_id']}")
    assert session["status"] == "open"


def test_paying_on_the_page_closes_the_open_checkout(student: Student) -> None:
    student.open_payment_form()
    student.continue_to_checkout()
    session = student.expect_checkout().rpartition("/")[2]
    student.page.go_back()
    student.choose("Card")
    student.pay(GOOD)
    student.expect_enrolled()
    assert student.running.stripe("GET", f"/v1/checkout/sessions/{session}")["status"] == "expired"
    assert sorted(payment["status"] for payment in student.payments()) == ["CANCELED", "SUCCEEDED"]


def test_an_intent_canceled_after_a_decline_is_replaced(student: Student) -> None:
    student.open_payment_form()
    student.pay("4000000000000002")
    student.expect_text("Your card was declined.")
    canceled = intents(student)[0]["id"]
    student.running.stripe("POST", f"/v1/payment_intents/{canceled}/cancel")
    student.pay(GOOD)
    student.expect_enrolled()
    assert [intent["status"] for intent in intents(student)] == ["succeeded", "canceled"]


def test_an_intent_canceled_just_before_its_confirmation_is_replaced(student: Student) -> None:
    """A race with another tab: the client secret is no longer valid when it is used."""
    student.expected_errors.append(r"status of 400 .*/confirm")
    student.open_payment_form()
    student.fill_card(GOOD)
    canceled: list[str] = []

    def cancel_first(route) -> None:
        if not canceled:
            canceled.append(route.request.url.split("/")[-2])
            student.running.stripe("POST", f"/v1/payment_intents/{canceled[0]}/cancel")
        route.continue_()

    student.page.route("**/v1/payment_intents/*/confirm", cancel_first)
    student.press_pay()
    student.expect_enrolled()
    assert canceled
    assert [intent["status"] for intent in intents(student)] == ["succeeded", "canceled"]


def test_an_expired_checkout_is_replaced(student: Student) -> None:
    student.open_payment_form()
    student.continue_to_checkout()
    first = student.expect_checkout()
    student.running.stripe("POST", f"/v1/checkout/sessions/{first.rpartition('/')[2]}/expire")
    student.page.go_back()
    student.continue_to_checkout()
    assert student.expect_checkout() != first
    student.pay_on_checkout(GOOD)
    student.expect_enrolled()


def test_a_student_who_lost_a_dispute_reads_why_buying_is_blocked(student: Student) -> None:
    student.open_payment_form()
    student.fill_card(GOOD)
    problem = {
        "type": "https://tuition.school/problems/purchases-blocked",
        "status": 409,
        "detail": "Buying is blocked because a bank took back an earlier payment of yours. Write to the school.",
    }
    student.page.route("**/create-payment", lambda route: route.fulfill(status=409, json=problem))
    student.expected_errors.append(r"status of 409 .*/create-payment")
    student.press_pay()
    student.expect_text("because a bank took back an earlier payment of yours. Write to the school.")
    student.expect_accessible()
