"""The simulator's stand-in for Stripe.js by itself: the calls that our page does not make of it, too."""

from typing import Any

import pytest
from playwright.sync_api import Error, expect

from tests.stack.browser.student import Student

WITH_STRIPE = "async (call) => { const stripe = Stripe(call.key); %s }"


@pytest.fixture
def student(student: Student) -> Student:
    """At a page of ours on which the script has been loaded."""
    student.open()
    student.page.wait_for_function("() => Boolean(window.Stripe)")
    return student


def intent(student: Student, **more: str) -> dict[str, Any]:
    """An intent of nobody's, for a card alone."""
    wanted = {"amount": "1000", "currency": "usd", "allowed_payment_method_types[]": "card", **more}
    return dict(student.running.stripe("POST", "/v1/payment_intents", **wanted))


def call(student: Student, script: str, **more: Any) -> Any:
    key = student.running.ready["stripe_publishable_key"]
    return student.page.evaluate(WITH_STRIPE % script, {"key": key, **more})


def test_elements_of_an_intent_offer_what_it_takes_and_lead_to_the_return_url(student: Student) -> None:
    made = intent(student)
    call(
        student,
        """
        const elements = (window.group = stripe.elements({clientSecret: call.secret}));
        const element = elements.create('payment');
        await new Promise(ready => { element.on('ready', ready); element.mount('main'); });
        """,
        secret=made["client_secret"],
    )
    fields = student.page.frame_locator("main iframe")
    expect(fields.get_by_label("Card number")).to_be_visible()
    expect(fields.get_by_text("US bank account")).to_be_hidden()
    fields.get_by_label("Card number").fill("4242424242424242")
    fields.get_by_label("Expiry").fill("1234")
    fields.get_by_label("CVC").fill("123")
    back = student.running.ready["api"] + "/?from=stripe"
    pay = "stripe.confirmPayment({elements: window.group, confirmParams: {return_url: call.back}});"
    with student.page.expect_navigation(url="**/?from=stripe&**"):
        call(student, pay, back=back)
    found = student.running.stripe("GET", f"/v1/payment_intents/{made['id']}")
    assert found["status"] == "succeeded"


def test_a_card_payment_is_confirmed_refused_and_authenticated(student: Student) -> None:
    pay = "return stripe.confirmCardPayment(call.secret, {payment_method: call.method});"
    paid = call(student, pay, secret=intent(student)["client_secret"], method="pm_card_visa")
    assert paid["paymentIntent"]["status"] == "succeeded"
    assert "metadata" not in paid["paymentIntent"]
    refused = call(student, pay, secret=intent(student)["client_secret"], method="pm_card_chargeDeclined")
    assert (refused["error"]["code"], refused["error"]["payment_intent"]["status"]) == (
        "card_declined",
        "requires_payment_method",
    )
    asked = intent(student)
    begin = pay.replace("return", "window.outcome =")
    call(student, begin, secret=asked["client_secret"], method="pm_card_authenticationRequired")
    student.bank.get_by_role("button", name="Complete authentication").click()
    assert student.page.evaluate("window.outcome")["paymentIntent"]["status"] == "succeeded"
    expect(student.page.locator("dialog")).to_have_count(0)


def test_a_step_that_the_server_began_leads_through_the_bank_s_own_page(student: Student) -> None:
    back = student.running.ready["api"] + "/?paid=DP"
    made = intent(student, confirm="true", payment_method="pm_card_authenticationRequired", return_url=back)
    assert made["next_action"]["type"] == "redirect_to_url"
    call(student, "stripe.handleNextAction({clientSecret: call.secret});", secret=made["client_secret"])
    student.page.get_by_role("button", name="Fail authentication").click()
    student.heading("Sign in")
    found = student.running.stripe("GET", f"/v1/payment_intents/{made['id']}")
    assert (found["status"], found["last_payment_error"]["code"]) == (
        "requires_payment_method",
        "payment_intent_authentication_failure",
    )


def test_what_cannot_be_is_said_as_stripe_says_it(student: Student) -> None:
    student.expected += ["status of 400 ", "ERR_FAILED"]
    one, other = intent(student), intent(student)
    wrong = f"{one['id']}_secret_{other['client_secret'].split('_secret_')[1]}"
    look = "return stripe.retrievePaymentIntent(call.secret);"
    assert call(student, look, secret=one["client_secret"])["paymentIntent"]["id"] == one["id"]
    assert call(student, look, secret=wrong)["error"]["type"] == "invalid_request_error"
    student.page.route("**/v1/payment_intents/*", lambda route: route.abort())
    assert call(student, look, secret=one["client_secret"])["error"]["type"] == "api_connection_error"
    student.page.unroute("**/v1/payment_intents/*")
    for script, why in (
        ("Stripe('sk_test_secret')", "publishable key"),
        ("stripe.elements({})", "needs a clientSecret"),
        ("stripe.elements({mode: 'payment'}).create('card')", "no Element of type card"),
        ("return stripe.handleNextAction({clientSecret: call.secret})", "not requires_action"),
        ("return stripe.confirmPayment({clientSecret: call.secret})", "return_url"),
    ):
        with pytest.raises(Error, match=why):
            call(student, script, secret=one["client_secret"])
