"""What students do on the page, in a real browser, on a phone and at a desk."""

import pytest
from playwright.sync_api import Route, expect

from tests.stack.browser.student import SIZES, Student

GOOD, DECLINED, SECURE = "4242424242424242", "4000000000000002", "4000002760003184"
INSUFFICIENT = "4000000000009995"


@pytest.fixture(params=list(SIZES))
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def promotion(student: Student, percent: int, **more: object) -> str:
    """A new promotion code of so many per cent."""
    coupon = student.running.stripe("POST", "/v1/coupons", percent_off=percent)
    text = f"{student.sub}-{percent}".upper().replace("-", "")
    wanted = {"promotion[type]": "coupon", "promotion[coupon]": coupon["id"], "code": text, **more}
    return str(student.running.stripe("POST", "/v1/promotion_codes", **wanted)["code"])


def test_a_card_enrolls_and_the_first_project_is_there(student: Student) -> None:
    student.open()
    student.heading("Choose your track")
    student.accessible("tracks")
    student.page.get_by_role("link", name="Enroll in Data Professional").click()
    student.heading("Sign in")
    student.accessible()
    student.sign_in()
    student.heading("Enroll in Data Professional")
    expect(student.fields.get_by_label("Card number")).to_be_visible()
    student.card(GOOD)
    student.accessible("buy")
    student.button.click()
    student.is_enrolled()
    student.sees("You paid $499.00.")
    student.accessible("enrolled")
    student.page.get_by_role("link", name="Start learning").click()
    student.heading("My learning")
    student.sees("Load and inspect the data")
    expect(student.main.get_by_text("Unlocked")).to_have_count(1)
    expect(student.main.get_by_text("Locked", exact=True)).to_have_count(3)
    student.accessible("learning")
    assert [p["status"] for p in student.payments()] == ["SUCCEEDED"]
    student.buying_again_is_not_offered()


def test_a_declined_card_says_why_and_the_next_one_enrolls(student: Student) -> None:
    student.buying()
    student.pay(INSUFFICIENT)
    student.sees("Your card has insufficient funds.")
    student.accessible("declined")
    student.pay(GOOD)
    student.is_enrolled()
    assert len(student.payments()) == 1


def test_three_d_secure_is_done_in_a_dialog(student: Student) -> None:
    student.buying()
    student.pay(SECURE)
    complete = student.bank.get_by_role("button", name="Complete authentication")
    expect(complete).to_be_visible()
    student.accessible("three-d-secure")
    complete.click()
    student.is_enrolled()


def test_three_d_secure_refused_takes_nothing_and_another_card_enrolls(student: Student) -> None:
    student.buying()
    student.pay(SECURE)
    student.bank.get_by_role("button", name="Fail authentication").click()
    student.sees("We are unable to authenticate your payment method.")
    student.accessible()
    student.pay(GOOD)
    student.is_enrolled()


def test_checkout_enrolls_after_a_decline_there(student: Student) -> None:
    student.buying("FSD")
    student.checkout()
    student.at_checkout()
    student.accessible("checkout")
    student.pay_at_checkout(DECLINED)
    expect(student.page.get_by_role("alert")).to_have_text("Your card was declined.")
    student.accessible()
    student.pay_at_checkout(GOOD)
    student.is_enrolled("FSD")
    student.sees("You paid $599.00.")


def test_three_d_secure_at_checkout_comes_back_enrolled(student: Student) -> None:
    student.buying()
    student.checkout()
    student.at_checkout()
    student.pay_at_checkout(SECURE)
    student.page.get_by_role("button", name="Fail authentication").click()
    expect(student.page.get_by_role("alert")).to_contain_text("unable to authenticate")
    student.pay_at_checkout(SECURE)
    student.accessible()
    student.page.get_by_role("button", name="Complete authentication").click()
    student.is_enrolled()


def test_checkout_that_was_left_is_come_back_to(student: Student) -> None:
    student.buying()
    student.checkout()
    first = student.at_checkout()
    student.page.get_by_role("link", name="Back without paying").click()
    student.sees("You came back from Stripe’s page without paying. Nothing was taken.")
    expect(student.page.get_by_role("radio", name="Stripe’s own page")).to_be_checked()
    student.accessible("left")
    student.button.click()
    assert student.at_checkout() == first
    student.pay_at_checkout(GOOD)
    student.is_enrolled()
    assert len(student.payments()) == 1


def test_a_promotion_code_lowers_the_price_and_a_wrong_one_says_so(student: Student) -> None:
    code = promotion(student, 20)
    student.expected.append(r"status of 422 .*/create-checkout-session/")
    student.buying()
    student.checkout("NOSUCHCODE")
    error = student.page.locator("#code-error")
    expect(error).to_have_text("There is no such promotion code.")
    expect(student.page.get_by_role("textbox", name="Promotion code")).to_be_focused()
    student.accessible("code-refused")
    student.checkout(code)
    student.at_checkout()
    expect(student.page.get_by_text(f"Promotion code applied: {code}")).to_be_visible()
    expect(student.page.get_by_text("−$99.80")).to_be_visible()
    student.accessible("checkout-code")
    student.pay_at_checkout(GOOD)
    student.is_enrolled()
    student.sees("You paid $399.20.")


def test_a_whole_discount_enrolls_without_a_card(student: Student) -> None:
    code = promotion(student, 100)
    student.buying()
    student.checkout(code)
    student.at_checkout()
    expect(student.page.get_by_label("Card number")).to_have_count(0)
    student.accessible()
    student.page.get_by_role("button", name="Pay").click()
    student.is_enrolled()
    student.sees("Nothing was charged")
    student.page.get_by_role("link", name="My payments").click()
    student.sees("$0.00")
    expect(student.main.get_by_role("button", name="Ask for a refund")).to_have_count(0)


def test_a_saved_card_pays_the_next_track_and_is_removed(student: Student) -> None:
    student.buying("DP")
    student.page.get_by_label("Save for next time").first.check()
    student.pay(GOOD)
    student.is_enrolled("DP")
    student.buying("FSD")
    saved = student.page.get_by_role("radio", name="Visa ending in 4242")
    expect(saved).to_be_checked()
    student.accessible("saved")
    student.button.click()
    student.is_enrolled("FSD")
    student.open("#/cards")
    student.heading("Saved cards")
    student.accessible("cards")
    student.page.get_by_role("button", name="Remove Visa ending in 4242").click()
    student.accessible()
    student.page.get_by_role("button", name="Remove it").click()
    student.sees("No card is saved.")
    assert student.running.api("GET", "/api/payments/payment-methods/", student.token).json()["payment_methods"] == []


def test_a_refund_is_asked_for_in_words_and_withdraws(student: Student) -> None:
    student.buying()
    student.pay(GOOD)
    student.is_enrolled()
    student.open("#/payments")
    student.heading("My payments")
    student.accessible("payments")
    student.page.get_by_role("button", name="Ask for a refund").click()
    dialog = student.page.get_by_role("dialog")
    expect(dialog).to_contain_text("you lose access to Data Professional")
    student.accessible("refund")
    dialog.get_by_role("button", name="Keep my place").click()
    expect(dialog).to_have_count(0)
    expect(student.page.get_by_role("button", name="Ask for a refund")).to_be_focused()
    student.page.get_by_role("button", name="Ask for a refund").click()
    dialog.get_by_label("Why do you want it back?").fill("I have no time\nthis year")
    dialog.get_by_role("button", name="Ask for $499.00").click()
    student.sees("Done: $499.00 is on its way back to you.")
    student.sees("Refunded")
    student.accessible("refunded")
    paid = student.payments()[0]
    assert (paid["status"], paid["refund_reason"]) == ("REFUNDED", "I have no time this year")
    student.open("#/learning")
    student.sees("Withdrawn")
    student.accessible()


def test_a_refund_whose_answer_is_lost_is_looked_for(student: Student) -> None:
    student.expected.append("ERR_FAILED")
    student.buying()
    student.pay(GOOD)
    student.is_enrolled()
    student.open("#/learning")
    student.heading("My learning")
    student.page.get_by_role("link", name="Payments", exact=True).click()
    student.page.get_by_role("button", name="Ask for a refund").click()
    dialog = student.page.get_by_role("dialog")
    student.page.go_back()
    student.heading("My learning")
    expect(dialog).to_have_count(0)
    student.page.get_by_role("link", name="Payments", exact=True).click()

    def lose(route: Route) -> None:
        student.page.keyboard.press("Escape")  # it is under way: there is nothing to keep any more
        expect(dialog).to_be_visible()
        route.fetch()
        route.abort()

    student.page.route("**/request-refund/", lose)
    student.page.get_by_role("button", name="Ask for a refund").click()
    dialog.get_by_label("Why do you want it back?").fill("I have no time")
    dialog.get_by_role("button", name="Ask for $499.00").click()
    student.sees("Done: $499.00 is on its way back to you.")
    expect(dialog).to_have_count(0)
    assert (
        len(
            student.running.stripe("GET", f"/v1/refunds?payment_intent={student.payments()[0]['payment_intent_id']}")[
                "data"
            ]
        )
        == 1
    )
