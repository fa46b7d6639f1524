"""What a student reads when something is slow, refused or away, and that every sentence says what to do."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.stack.browser.student import Student

GOOD = "4242424242424242"


def bank_account(student: Student, number: str) -> None:
    student.fields.get_by_text("US bank account").click()
    student.fields.get_by_label("Routing number").fill("110000000")
    student.fields.get_by_label("Account number").fill(number)
    student.button.click()


def test_a_bank_account_is_processing_and_enrolls_when_it_settles(student: Student) -> None:
    student.buying()
    bank_account(student, "000000000009")
    student.sees("Your bank is working on it.")
    student.accessible("processing")
    student.open("#/learning")
    student.sees("Waiting for payment")
    student.page.get_by_role("link", name="See the payment").click()
    student.sees("Do not pay again: the payment is under way.")
    assert [p["status"] for p in student.payments()] == ["PROCESSING"]


def test_a_bank_account_that_settles_enrolls_who_waits(student: Student) -> None:
    student.buying()
    bank_account(student, "000123456789")
    student.is_enrolled()


def test_a_bank_that_says_no_later_leaves_the_payment_to_be_paid_again(student: Student) -> None:
    student.buying()
    bank_account(student, "000222222227")
    student.sees("The bank refused the payment: insufficient funds.")
    student.sees("Nothing was taken; try again, or pay another way.")
    student.accessible()
    student.pay(GOOD)
    student.is_enrolled()


def test_fields_that_are_not_filled_are_named_and_nothing_is_begun(student: Student) -> None:
    student.buying()
    expect(student.fields.get_by_label("Card number")).to_be_visible()
    student.button.click()
    expect(student.main.get_by_role("alert")).to_contain_text("Your card number is incomplete.")
    expect(student.fields.get_by_label("Card number")).to_be_focused()
    student.accessible()
    assert student.payments() == []


def test_a_sign_in_that_is_over_is_asked_for_and_leads_back(student: Student) -> None:
    student.expected.append(r"status of 401 ")
    student.buying("FSD")
    student.card(GOOD)
    student.page.evaluate("sessionStorage.setItem('tuition.token', sessionStorage.getItem('tuition.token') + 'x')")
    student.button.click()
    student.sees("Your sign-in is over")
    student.sign_in()
    student.heading("Enroll in Full-Stack Developer")
    student.pay(GOOD)
    student.is_enrolled("FSD")


def test_too_many_tries_say_when_to_try_again(student: Student) -> None:
    student.expected.append(r"status of 429 ")
    student.buying()
    student.card(GOOD)
    problem = {"type": "https://tuition.school/problems/too-many-requests", "detail": "too many payments: wait"}

    def refuse(route: Route) -> None:
        route.fulfill(status=429, json=problem, headers={"retry-after": "17"})

    student.page.route("**/create-payment/", refuse)
    student.button.click()
    expect(student.main.get_by_role("alert")).to_contain_text(
        re.compile(r"Too many payments: wait\. Try again in 17 s \(at \d\d:\d\d:\d\d\)\.")
    )
    student.page.unroute("**/create-payment/")
    student.button.click()
    student.is_enrolled()


def test_stripe_that_is_away_for_a_moment_is_asked_again(student: Student) -> None:
    student.expected.append(r"status of 50[234] ")
    student.buying()
    student.card(GOOD)
    student.running.sim("calls", match="POST /v1/payment_intents", times=4, fail="before")
    student.button.click()
    student.is_enrolled()
    assert len(student.payments()) == 1


def test_offline_says_so_and_the_same_button_goes_on(student: Student) -> None:
    student.expected.append("ERR_INTERNET_DISCONNECTED")
    student.buying()
    student.card(GOOD)
    student.context.set_offline(True)
    expect(student.page.get_by_text("You are offline.")).to_be_visible()
    student.button.click()
    expect(student.main.get_by_role("alert")).to_contain_text("The school cannot be reached.")
    student.accessible()
    student.context.set_offline(False)
    student.button.click()
    student.is_enrolled()


def test_a_view_that_comes_late_is_not_shown_over_the_next_one(student: Student) -> None:
    held: list[Route] = []
    student.buying()
    student.page.route("**/api/enrollments/", lambda route: held.append(route))
    student.page.get_by_role("link", name="My learning").click()
    student.sees("Loading")
    student.page.get_by_role("link", name="Payments", exact=True).click()
    student.heading("My payments")
    with student.page.expect_response("**/api/enrollments/"):
        held[0].continue_()
    student.page.wait_for_load_state("networkidle")
    student.heading("My payments")
    expect(student.page.locator("h1")).to_have_count(1)


def test_who_leaves_while_the_payment_is_begun_pays_nothing_and_can_go_on(student: Student) -> None:
    """By a saved card, for which no field of Stripe's need still be there."""
    held: list[Route] = []
    student.buying("DP")
    student.page.get_by_label("Save for next time").first.check()
    student.pay(GOOD)
    student.is_enrolled("DP")
    student.buying("FSD")
    student.page.route("**/create-payment/", lambda route: held.append(route))
    with student.page.expect_request("**/create-payment/"):
        student.button.click()
    student.page.get_by_role("link", name="My learning").click()
    student.heading("My learning")
    with student.page.expect_response("**/create-payment/"):
        held[0].continue_()
    student.page.wait_for_load_state("networkidle")
    student.heading("My learning")
    assert [p["status"] for p in student.payments()] == ["CREATED", "SUCCEEDED"]
    student.page.unroute("**/create-payment/")
    student.page.go_back()
    student.sees("it is still open, and nothing was taken")
    student.button.click()
    student.is_enrolled("FSD")
    assert len(student.payments()) == 2


def test_an_answer_that_breaks_off_is_no_answer(student: Student) -> None:
    student.buying()
    student.card(GOOD)
    student.page.route("**/create-payment/", lambda route: route.fulfill(status=200, body='{"payment_id": "pa'))
    student.button.click()
    expect(student.main.get_by_role("alert")).to_contain_text("The school cannot be reached.")
    student.page.unroute("**/create-payment/")
    student.button.click()
    student.is_enrolled()


def test_a_payment_that_does_not_enroll_is_not_called_an_enrollment(student: Student) -> None:
    made = student.running.create(student.token).json()
    student.running.stripe("POST", f"/v1/payment_intents/{made['payment_intent_id']}", amount=45000)
    student.buying()
    student.pay(GOOD)
    student.heading("Your payment needs a person")
    student.sees("you are not enrolled by it")
    student.accessible()


def test_without_stripe_s_script_one_can_still_pay_at_stripe(student: Student) -> None:
    student.expected.append("ERR_FAILED")
    student.page.route("**/endive/stripe.js", lambda route: route.abort())
    student.buying()
    student.sees("Stripe's card form cannot be loaded.")
    student.checkout()
    student.at_checkout()
    student.pay_at_checkout(GOOD)
    student.is_enrolled()


def test_a_page_that_cannot_be_loaded_offers_to_load_it_again(student: Student) -> None:
    student.expected += ["ERR_FAILED", "Failed to fetch"]
    student.page.route("**/config.json", lambda route: route.abort())
    student.open()
    student.sees("The school cannot be reached.")
    student.page.unroute("**/config.json")
    student.page.get_by_role("button", name="Load it again").click()
    student.heading("Choose your track")


def test_an_address_that_leads_nowhere_says_so(student: Student) -> None:
    for nowhere in ("#/nowhere", "#/constructor", "#/__proto__"):
        student.open("#/")
        student.open(nowhere)
        student.heading("There is no such page")
    student.open("#/buy/NONE")
    student.sign_in()
    student.heading("There is no such track")
    student.accessible()


def test_the_keyboard_alone_buys(student: Student) -> None:
    """Tab and Enter only, as somebody without a mouse, from the first page to the enrollment."""
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
        raise AssertionError(f"no way to {name} by the keyboard")

    student.open()
    student.heading("Choose your track")
    student.page.evaluate("document.activeElement.blur()")
    tab_to("Skip to the content")
    keyboard.press("Enter")
    assert student.page.evaluate("document.activeElement.id") == "main"
    student.heading("Choose your track")
    tab_to("Enroll in Data Professional")
    keyboard.press("Enter")
    student.heading("Sign in")
    tab_to("email")
    keyboard.press("Control+A")
    keyboard.type(f"{student.sub}@example.org")
    keyboard.press("Enter")
    student.heading("Enroll in Data Professional")
    expect(student.fields.get_by_label("Card number")).to_be_visible()
    tab_to("IFRAME")
    keyboard.press("Tab")
    keyboard.type("4242424242424242")
    keyboard.press("Tab")
    keyboard.type("1234")
    keyboard.press("Tab")
    keyboard.type("123")
    tab_to("Pay $499.00")
    keyboard.press("Enter")
    student.is_enrolled()
    assert student.page.evaluate("document.activeElement.tagName") == "H1"


@pytest.mark.parametrize(
    ("state", "answer", "words"),
    [
        ("waiting", None, "The school decides; until then you keep your place."),
        ("calling", None, "Stripe is making the refund."),
        ("declined", None, "The request was declined."),
        ("refused", "charge_disputed", "Stripe did not make the refund: charge_disputed."),
        ("failed", None, "The refund did not arrive"),
    ],
)
def test_what_became_of_a_wish_to_have_money_back_is_shown(
    student: Student, state: str, answer: str | None, words: str
) -> None:
    student.buying()
    student.pay(GOOD)
    student.is_enrolled()
    wish = {"id": "rr_1", "amount": 49900, "reason": "no time", "at": "2026-11-24T08:00:00.000Z", "state": state}

    def with_it(route: Route) -> None:
        found = route.fetch().json()
        found["payments"][0]["refund_request"] = {**wish, "answer": answer}
        route.fulfill(json=found)

    student.page.route("**/my-payments/*", with_it)
    student.open("#/payments")
    student.sees(f"You asked for $499.00 back on 24 Nov 2026. {words}")
    undecided = state in ("waiting", "calling")
    expect(student.page.get_by_role("button", name="Ask for a refund")).to_have_count(0 if undecided else 1)
    student.accessible()
