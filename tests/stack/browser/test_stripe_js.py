"""The simulator's imitation of Stripe.js, including calls that our page does not make."""

from typing import Any

import pytest
from playwright.sync_api import Error, expect

from tests.stack.browser.student import Student

WITH_STRIPE = "async (call) => { const stripe = Stripe(call.key); %s }"


@pytest.fixture
def student(student: Student) -> Student:
    """A student on one of our pages, with the script loaded."""
    student.open()
    student.page.wait_for_function("() => Boolean(window.Stripe)")
    return student


def create_intent(student: Student, **extra: str) -> dict[str, Any]:
    """A PaymentIntent that accepts only cards and belongs to no payment of ours."""
    params = {"amount": "1000", "currency": "usd", "allowed_payment_method_types[]": "card", **extra}
    return dict(student.running.stripe("POST", "/v1/payment_intents", **params))


def run_script(student: Student, script: str, **params: Any) -> Any:
    key = student.running.ready["stripe_publishable_key"]
    return student.page.evaluate(WITH_STRIPE % script, {"key": key, **params})


def test_elements_of_an_intent_offer_its_payment_methods_and_lead_to_the_return_url(student: Student) -> None:
    intent = create_intent(student)
    run_script(
        student,
        """
        const elements = (window.group = stripe.elements({clientSecret: call.secret}));
        const element = elements.create('payment');
        await new Promise(ready => { element.on('ready', ready); element.mount('main'); });
        """,
        secret=intent["client_secret"],
    )
    fields = student.page.frame_locator("main iframe")
    expect(fields.get_by_label("Card number")).to_be_visible()
    expect(fields.get_by_text("US bank account")).to_be_hidden()
    fields.get_by_label("Card number").fill("4242424242424242")
    fields.get_by_label("Expiry").fill("1234")
    fields.get_by_label("CVC").fill("123")
    return_url = student.running.ready["api"] + "/?from=stripe"
    pay = "stripe.confirmPayment({elements: window.group, confirmParams: {return_url: call.return_url}});"
    with student.page.expect_navigation(url="**/?from=stripe&**"):
        run_script(student, pay, return_url=return_url)
    updated = student.running.stripe("GET", f"/v1/payment_intents/{intent['id']}")
    assert updated["status"] == "succeeded"


def test_confirm_card_payment_succeeds_is_declined_and_authenticates(student: Student) -> None:
    pay = "return stripe.confirmCardPayment(call.secret, {payment_method: call.method});"
    paid = run_script(student, pay, secret=create_intent(student)["client_secret"], method="pm_card_visa")
    assert paid["paymentIntent"]["status"] == "succeeded"
    assert "metadata" not in paid["paymentIntent"]
    save = pay.replace("call.method}", "call.method, setup_future_usage: 'off_session'}")
    saved = run_script(student, save, secret=create_intent(student)["client_secret"], method="pm_card_visa")
    assert saved["paymentIntent"]["setup_future_usage"] == "off_session"
    declined = run_script(student, pay, secret=create_intent(student)["client_secret"], method="pm_card_chargeDeclined")
    assert (declined["error"]["code"], declined["error"]["payment_intent"]["status"]) == (
        "card_declined",
        "requires_payment_method",
    )
    intent = create_intent(student)
    start = pay.replace("return", "window.outcome =")
    run_script(student, start, secret=intent["client_secret"], method="pm_card_authenticationRequired")
    student.bank.get_by_role("button", name="Complete authentication").click()
    assert student.page.evaluate("window.outcome")["paymentIntent"]["status"] == "succeeded"
    expect(student.page.locator("dialog")).to_have_count(0)


def create_setup(student: Student) -> dict[str, Any]:
    """A SetupIntent that belongs to no customer."""
    return dict(student.running.stripe("POST", "/v1/setup_intents", usage="off_session"))


def test_confirm_card_setup_succeeds_is_declined_and_authenticates(student: Student) -> None:
    setup = "return stripe.confirmCardSetup(call.secret, {payment_method: call.method});"
    saved = run_script(student, setup, secret=create_setup(student)["client_secret"], method="pm_card_visa")
    assert saved["setupIntent"]["status"] == "succeeded"
    declined = run_script(
        student, setup, secret=create_setup(student)["client_secret"], method="pm_card_chargeDeclinedLostCard"
    )
    assert (declined["error"]["decline_code"], declined["error"]["setup_intent"]["status"]) == (
        "lost_card",
        "requires_payment_method",
    )
    for button, status in (("Complete authentication", "succeeded"), ("Fail authentication", None)):
        start = setup.replace("return", "window.outcome =")
        secret = create_setup(student)["client_secret"]
        run_script(student, start, secret=secret, method="pm_card_authenticationRequired")
        student.bank.get_by_role("button", name=button).click()
        outcome = student.page.evaluate("window.outcome")
        if status:
            assert outcome["setupIntent"]["status"] == status
        else:
            assert outcome["error"]["code"] == "setup_intent_authentication_failure"
            assert outcome["error"]["setup_intent"]["status"] == "requires_payment_method"
        retrieve = "return stripe.retrieveSetupIntent(call.secret);"
        assert run_script(student, retrieve, secret=secret)["setupIntent"]["status"] == (
            status or "requires_payment_method"
        )


def test_elements_of_a_setup_save_a_card_and_lead_to_the_return_url(student: Student) -> None:
    setup = create_setup(student)
    run_script(
        student,
        """
        const elements = (window.group = stripe.elements({mode: 'setup', allowedPaymentMethodTypes: ['card']}));
        const element = elements.create('payment');
        await new Promise(ready => { element.on('ready', ready); element.mount('main'); });
        """,
    )
    fields = student.page.frame_locator("main iframe")
    fields.get_by_label("Card number").fill("4242424242424242")
    fields.get_by_label("Expiry").fill("1234")
    fields.get_by_label("CVC").fill("123")
    confirm = (
        "stripe.confirmSetup({elements: window.group, clientSecret: call.secret, "
        "confirmParams: {return_url: call.return_url}});"
    )
    return_url = student.running.ready["api"] + "/?from=stripe"
    with student.page.expect_navigation(url=f"**/?from=stripe&setup_intent={setup['id']}&**"):
        run_script(student, confirm, secret=setup["client_secret"], return_url=return_url)
    saved = student.running.stripe("GET", f"/v1/setup_intents/{setup['id']}?expand[]=payment_method")
    assert (saved["status"], saved["payment_method"]["card"]["last4"]) == ("succeeded", "4242")


def test_an_action_started_by_the_server_redirects_to_the_bank_s_page(student: Student) -> None:
    return_url = student.running.ready["api"] + "/?paid=DP"
    intent = create_intent(
        student, confirm="true", payment_method="pm_card_authenticationRequired", return_url=return_url
    )
    assert intent["next_action"]["type"] == "redirect_to_url"
    run_script(student, "stripe.handleNextAction({clientSecret: call.secret});", secret=intent["client_secret"])
    student.page.get_by_role("button", name="Fail authentication").click()
    student.expect_heading("Sign in")
    updated = student.running.stripe("GET", f"/v1/payment_intents/{intent['id']}")
    assert (updated["status"], updated["last_payment_error"]["code"]) == (
        "requires_payment_method",
        "payment_intent_authentication_failure",
    )


def test_invalid_calls_fail_with_the_errors_of_stripe(student: Student) -> None:
    student.expected_errors += ["status of 400 ", "ERR_FAILED"]
    intent, other = create_intent(student), create_intent(student)
    wrong_secret = f"{intent['id']}_secret_{other['client_secret'].split('_secret_')[1]}"
    retrieve = "return stripe.retrievePaymentIntent(call.secret);"
    assert run_script(student, retrieve, secret=intent["client_secret"])["paymentIntent"]["id"] == intent["id"]
    assert run_script(student, retrieve, secret=wrong_secret)["error"]["type"] == "invalid_request_error"
    student.page.route("**/v1/payment_intents/*", lambda route: route.abort())
    assert run_script(student, retrieve, secret=intent["client_secret"])["error"]["type"] == "api_connection_error"
    student.page.unroute("**/v1/payment_intents/*")
    for script, message in (
        ("Stripe('sk_test_secret')", "publishable key"),
        ("stripe.elements({})", "needs a clientSecret"),
        ("stripe.elements({mode: 'payment'}).create('card')", "does not support Elements of type card"),
        ("return stripe.handleNextAction({clientSecret: call.secret})", "not requires_action"),
        ("return stripe.confirmPayment({clientSecret: call.secret})", "return_url"),
        ("return stripe.confirmSetup({clientSecret: call.secret})", "not the client secret of a SetupIntent"),
    ):
        with pytest.raises(Error, match=message):
            run_script(student, script, secret=intent["client_secret"])
