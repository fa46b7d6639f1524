"""Nobody is asked twice for money: double clicks, reloads, the back button, and what was closed meanwhile."""

from playwright.sync_api import expect

from tests.stack.browser.student import Student

GOOD, SECURE = "4242424242424242", "4000002760003184"


def intents(student: Student) -> list[dict[str, object]]:
    """Every intent at Stripe of this student's payments, whatever became of it."""
    found = student.running.stripe("GET", "/v1/payment_intents?limit=100")["data"]
    return [one for one in found if one["metadata"].get("user_id") == student.sub]


def test_a_double_click_buys_once(student: Student) -> None:
    student.buying()
    student.card(GOOD)
    student.button.dblclick()
    student.is_enrolled()
    assert [one["status"] for one in intents(student)] == ["succeeded"]
    assert len(student.payments()) == 1


def test_two_tabs_buy_once(student: Student) -> None:
    student.buying()
    student.card(GOOD)
    other = Student(student.running, student.context, student.sub, student.size, None)
    other.buying()
    other.pay(GOOD)
    other.is_enrolled()
    student.expected.append(r"status of 409 .*/create-payment/")
    student.button.click()
    student.sees("You are enrolled in this track already")
    assert [one["status"] for one in intents(student)] == ["succeeded"]
    student.errors += other.errors


def test_a_tab_that_lags_behind_is_told_of_the_payment_that_a_bank_decides(student: Student) -> None:
    student.expected.append(r"status of 409 .*/create-checkout-session/")
    student.buying()
    other = Student(student.running, student.context, student.sub, student.size, None)
    other.buying()
    other.fields.get_by_text("US bank account").click()
    other.fields.get_by_label("Routing number").fill("110000000")
    other.fields.get_by_label("Account number").fill("000000000009")
    other.button.click()
    other.sees("Do not pay again: the payment is under way.")
    student.checkout()
    student.sees("Do not pay again: the payment is under way.")
    assert [one["status"] for one in intents(student)] == ["processing"]
    student.errors += other.errors


def test_a_checkout_that_was_begun_by_another_program_comes_back_here(student: Student) -> None:
    """By the addresses that the API takes where none are given, in a browser that is not signed in."""
    made = student.running.api("POST", "/api/payments/create-checkout-session/", student.token, json={"track": "DP"})
    student.page.goto(made.json()["url"])
    student.page.get_by_role("link", name="Back without paying").click()
    student.heading("Sign in")
    student.sign_in()
    student.heading("My payments")
    student.sees("Not paid yet")
    student.page.goto(made.json()["url"])
    student.pay_at_checkout(GOOD)
    student.is_enrolled()


def test_an_old_address_of_a_payment_that_was_given_back_says_nothing_false(student: Student) -> None:
    made = student.running.api("POST", "/api/payments/create-checkout-session/", student.token, json={"track": "DP"})
    student.page.goto(made.json()["url"])
    student.pay_at_checkout(GOOD)
    student.heading("Sign in")
    student.sign_in()
    student.is_enrolled()
    asked = {"payment_id": made.json()["payment_id"], "reason": "no time"}
    assert student.running.api("POST", "/api/payments/request-refund/", student.token, json=asked).is_success
    student.page.reload()
    student.heading("Enroll in Data Professional")
    expect(student.main.get_by_text("Nothing was taken")).to_have_count(0)
    student.pay(GOOD)
    student.is_enrolled()


def test_a_bank_s_page_that_leads_back_refused_says_why_and_offers_to_pay_again(student: Student) -> None:
    student.buying()
    student.pay("4000000000009995")
    student.sees("Your card has insufficient funds.")
    paid = intents(student)[0]["id"]
    student.page.goto(f"/?paid=DP&payment_intent={paid}&redirect_status=failed")
    student.sees("Your card has insufficient funds. Nothing was taken")
    assert student.page.url.endswith("/#/buy/DP")
    student.pay(GOOD)
    student.is_enrolled()


def test_a_reload_in_the_bank_s_step_goes_on_with_the_same_payment(student: Student) -> None:
    student.buying()
    student.pay(SECURE)
    expect(student.bank.get_by_role("button", name="Complete authentication")).to_be_visible()
    student.page.reload()
    student.sees("Your bank still waits for you to confirm this payment.")
    student.accessible("interrupted")
    student.page.get_by_role("button", name="Confirm with your bank").click()
    student.bank.get_by_role("button", name="Complete authentication").click()
    student.is_enrolled()
    assert len(intents(student)) == 1


def test_a_reload_after_paying_shows_the_enrollment(student: Student) -> None:
    student.running.sim("webhooks", deliver="hold")
    student.buying()
    student.card(GOOD)
    with student.page.expect_response("**/v1/payment_intents/*/confirm"):
        student.button.click()
    student.page.reload()
    expect(student.main).to_contain_text("enrolled in", ignore_case=True)
    student.running.sim("webhooks/release", order="as_created")
    student.running.sim("webhooks", deliver="normal")
    assert [one["status"] for one in intents(student)] == ["succeeded"]


def test_the_back_button_from_checkout_shows_the_payment_that_is_open(student: Student) -> None:
    student.buying()
    student.checkout()
    first = student.at_checkout()
    student.page.go_back()
    student.sees("it is still open, and nothing was taken")
    expect(student.page.get_by_role("radio", name="Stripe’s own page")).to_be_checked()
    student.button.click()
    assert student.at_checkout() == first


def test_a_page_that_the_browser_kept_as_it_was_left_looks_again(student: Student) -> None:
    """Where going back shows the old page (bfcache), its button still turned when Checkout was opened."""
    student.buying()
    student.page.route("**/c/pay/*", lambda route: route.fulfill(status=204))  # nothing to show: the page stays
    with student.page.expect_response("**/c/pay/*"):
        student.checkout()
    expect(student.button).to_have_attribute("aria-busy", "true")
    student.page.unroute("**/c/pay/*")
    student.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    student.sees("it is still open, and nothing was taken")
    expect(student.button).not_to_have_attribute("aria-busy", "true")
    student.button.click()
    student.at_checkout()


def test_a_payment_that_was_begun_elsewhere_is_not_closed_by_looking(student: Student) -> None:
    """This browser remembers a payment by card; meanwhile Checkout was opened on another one."""
    student.buying()
    student.pay(SECURE)
    expect(student.bank.get_by_role("button", name="Complete authentication")).to_be_visible()
    wish = {"track": "DP"}
    made = student.running.api("POST", "/api/payments/create-checkout-session/", student.token, json=wish).json()
    student.page.reload()
    student.sees("it is still open, and nothing was taken")
    expect(student.page.get_by_role("radio", name="Stripe’s own page")).to_be_checked()
    session = student.running.stripe("GET", f"/v1/checkout/sessions/{made['session_id']}")
    assert session["status"] == "open"


def test_paying_here_closes_the_checkout_that_was_open(student: Student) -> None:
    student.buying()
    student.checkout()
    session = student.at_checkout().rpartition("/")[2]
    student.page.go_back()
    student.page.get_by_role("radio", name="Card or US bank account").check()
    student.pay(GOOD)
    student.is_enrolled()
    assert student.running.stripe("GET", f"/v1/checkout/sessions/{session}")["status"] == "expired"
    assert sorted(p["status"] for p in student.payments()) == ["CANCELED", "SUCCEEDED"]


def test_an_intent_that_was_closed_meanwhile_is_replaced(student: Student) -> None:
    student.buying()
    student.pay("4000000000000002")
    student.sees("Your card was declined.")
    closed = intents(student)[0]["id"]
    student.running.stripe("POST", f"/v1/payment_intents/{closed}/cancel")
    student.pay(GOOD)
    student.is_enrolled()
    assert [one["status"] for one in intents(student)] == ["succeeded", "canceled"]


def test_an_intent_that_is_closed_between_the_answer_and_the_payment_is_replaced(student: Student) -> None:
    """The other tab's race: the secret that has just come is dead by the time that it is used."""
    student.expected.append(r"status of 400 .*/confirm")
    student.buying()
    student.card(GOOD)
    closed: list[str] = []

    def cancel_first(route) -> None:
        if not closed:
            closed.append(route.request.url.split("/")[-2])
            student.running.stripe("POST", f"/v1/payment_intents/{closed[0]}/cancel")
        route.continue_()

    student.page.route("**/v1/payment_intents/*/confirm", cancel_first)
    student.button.click()
    student.is_enrolled()
    assert closed
    assert [one["status"] for one in intents(student)] == ["succeeded", "canceled"]


def test_a_checkout_that_expired_meanwhile_is_begun_anew(student: Student) -> None:
    student.buying()
    student.checkout()
    first = student.at_checkout()
    student.running.stripe("POST", f"/v1/checkout/sessions/{first.rpartition('/')[2]}/expire")
    student.page.go_back()
    student.checkout()
    assert student.at_checkout() != first
    student.pay_at_checkout(GOOD)
    student.is_enrolled()
