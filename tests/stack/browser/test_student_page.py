"""The student page in use. `test_sweep.py` checks the views that an address opens, on each screen."""

import re

from playwright.sync_api import Route, expect

from tests.stack.browser.student import Student

GOOD, DECLINED, SECURE = "4242424242424242", "4000000000000002", "4000002760003184"
INSUFFICIENT = "4000000000009995"
ADDRESS = {
    "Full name": "Ada Lovelace",
    "Address": "1 Street",
    "Postal code": "8010",
    "City": "Graz",
    "Country (two letters)": "AT",
}
"""The fields of Checkout that an invoice needs."""


def create_promotion_code(student: Student, percent: int, **extra: object) -> str:
    """Create a promotion code for a discount in percent."""
    coupon = student.running.stripe("POST", "/v1/coupons", percent_off=percent)
    text = f"{student.sub}-{percent}".upper().replace("-", "")
    params = {"promotion[type]": "coupon", "promotion[coupon]": coupon["id"], "code": text, **extra}
    return str(student.running.stripe("POST", "/v1/promotion_codes", **params)["code"])


def add_addresses(route: Route) -> None:
    """Answer the enrollments as with a catalog that says where the course is."""
    body = route.fetch().json()
    for project in body["enrollments"][0]["projects"]:
        for step in project["steps"]:
            step["url"] = f"https://learn.example.org/{project['project']}/{step['step']}"
    route.fulfill(json=body)


def test_paying_by_card_enrolls_and_unlocks_the_first_project(student: Student) -> None:
    student.open()
    student.expect_heading("Choose your track")
    student.take_screenshots("tracks")
    student.page.get_by_role("link", name="See what’s in Data Professional").click()
    student.expect_heading("Data Professional")
    for text in ("Clean and describe a data set in Python", "Load and inspect the data", "14‑day money-back guarantee"):
        student.expect_text(text)
    student.take_screenshots("track")
    student.page.get_by_role("link", name="Enroll in Data Professional").click()
    student.expect_heading("Sign in")
    order = student.page.get_by_role("complementary", name="Order summary")
    expect(order).to_contain_text("$499.00")
    student.sign_in()
    student.expect_heading("Enroll in Data Professional")
    expect(order).to_contain_text(f"Signed in as {student.sub}@example.org")
    footer = student.page.get_by_role("contentinfo")
    for name in ("help@school.example", "Terms", "Privacy policy"):
        expect(footer.get_by_role("link", name=name)).to_be_visible()
    expect(student.page.get_by_role("radio", name="Pay in full")).to_be_checked()
    expect(student.fields.get_by_label("Card number")).to_be_visible()
    student.fill_card(GOOD)
    student.expect_accessible_on_every_screen("buy")
    student.press_pay()
    student.expect_enrolled()
    student.expect_text("You paid $499.00.")
    student.take_screenshots("enrolled")
    student.page.get_by_role("link", name="Go to My learning").click()
    student.expect_heading("My learning")
    student.expect_text("Load and inspect the data")
    expect(student.main.get_by_text("Unlocked")).to_have_count(1)
    expect(student.main.get_by_text("Locked", exact=True)).to_have_count(3)
    student.expect_text("You work on the steps in your school’s course")
    student.take_screenshots("learning")
    student.page.route("**/api/enrollments", add_addresses)
    student.page.get_by_role("link", name="My learning").click()
    first = "https://learn.example.org/dp-1/load"
    expect(student.page.get_by_role("link", name="Open it in your course")).to_have_attribute("href", first)
    expect(student.page.get_by_role("link", name="Load and inspect the data")).to_have_attribute("href", first)
    expect(student.main.locator("li.locked a")).to_have_count(0)
    student.page.get_by_text("Why am I enrolled?").click()
    student.expect_text("You are enrolled in Data Professional, because your payment was received.")
    student.expect_accessible_on_every_screen()
    assert [p["status"] for p in student.payments()] == ["SUCCEEDED"]
    student.expect_nothing_to_pay()


def test_a_declined_card_shows_the_reason_and_the_next_one_enrolls(student: Student) -> None:
    student.open_payment_form()
    student.pay(INSUFFICIENT)
    student.expect_text("Your card has insufficient funds.")
    student.expect_accessible_on_every_screen("declined")
    student.pay(GOOD)
    student.expect_enrolled()
    assert len(student.payments()) == 1


def test_three_d_secure_opens_in_a_dialog(student: Student) -> None:
    student.open_payment_form()
    student.pay(SECURE)
    complete = student.bank.get_by_role("button", name="Complete authentication")
    expect(complete).to_be_visible()
    student.expect_accessible_on_every_screen("three-d-secure")
    complete.click()
    student.expect_enrolled()


def test_a_failed_three_d_secure_charges_nothing_and_another_card_enrolls(student: Student) -> None:
    student.open_payment_form()
    student.pay(SECURE)
    student.bank.get_by_role("button", name="Fail authentication").click()
    student.expect_text("We are unable to authenticate your payment method.")
    student.expect_accessible_on_every_screen()
    student.pay(GOOD)
    student.expect_enrolled()


def test_an_invoice_is_paid_on_checkout_and_listed_with_the_payment(student: Student) -> None:
    student.open_payment_form("FSD")
    student.page.get_by_label("I need an invoice").check()
    student.expect_text("To get an invoice, you pay on Stripe Checkout")
    expect(student.page.locator("input[name=way]:visible")).to_have_count(1)
    student.press_pay()
    student.expect_checkout()
    student.expect_accessible_on_every_screen("checkout")
    for label, text in ADDRESS.items():
        student.page.get_by_label(label, exact=True).fill(text)
    student.pay_on_checkout(DECLINED)
    expect(student.page.get_by_role("alert")).to_have_text("Your card was declined.")
    student.expect_accessible_on_every_screen()
    student.pay_on_checkout(GOOD)
    student.expect_enrolled("FSD")
    student.expect_text("You paid $599.00.")
    student.open(f"#/payments/{student.payments()[0]['payment_id']}")
    expect(student.main.get_by_role("link", name=re.compile(r"View Invoice \w+-0001"))).to_be_visible()
    student.expect_accessible_on_every_screen("invoice")
    student.page.get_by_role("link", name="Payments", exact=True).click()
    expect(student.page.get_by_role("link", name="Invoice for Full-Stack Developer")).to_be_visible()


def test_three_d_secure_on_checkout_leads_back_enrolled(student: Student) -> None:
    student.open_payment_form()
    student.continue_to_checkout()
    student.expect_checkout()
    student.pay_on_checkout(SECURE)
    student.page.get_by_role("button", name="Fail authentication").click()
    expect(student.page.get_by_role("alert")).to_contain_text("unable to authenticate")
    student.pay_on_checkout(SECURE)
    student.expect_accessible_on_every_screen()
    student.page.get_by_role("button", name="Complete authentication").click()
    student.expect_enrolled()


def test_a_checkout_left_without_paying_can_be_resumed(student: Student) -> None:
    student.open_payment_form()
    student.continue_to_checkout()
    first = student.expect_checkout()
    student.page.get_by_role("link", name="Back without paying").click()
    student.expect_text("You left Stripe’s page before paying. You haven’t been charged.")
    expect(student.page.get_by_role("radio", name="Stripe Checkout")).to_be_checked()
    student.expect_accessible_on_every_screen("canceled")
    student.press_pay()
    assert student.expect_checkout() == first
    student.pay_on_checkout(GOOD)
    student.expect_enrolled()
    assert len(student.payments()) == 1


def test_a_wallet_pays_once_where_stripe_offers_one(student: Student) -> None:
    student.page.add_init_script("window.stripeSimulatorWallets = { googlePay: 'pm_card_visa' };")
    student.open_payment_form()
    student.expect_text("Or pay faster with")
    student.expect_accessible_on_every_screen("wallet")
    student.agree_to_terms()
    student.page.get_by_role("button", name="Google Pay").click()
    student.expect_enrolled()
    assert [payment["status"] for payment in student.payments()] == ["SUCCEEDED"]


def test_stripes_fields_follow_a_color_scheme_that_changes_while_they_load(student: Student) -> None:
    held: list[Route] = []
    student.page.route("**/_js/element.html", lambda route: held.append(route))
    student.page.emulate_media(color_scheme="dark")
    with student.page.expect_request("**/_js/element.html"):
        student.open_payment_form()
    student.page.emulate_media(color_scheme="light")
    held.pop().continue_()
    expect(student.fields.locator("html")).to_have_css("color-scheme", "light")


def test_a_full_discount_enrolls_without_a_card(student: Student) -> None:
    code = create_promotion_code(student, 100)
    student.open_payment_form()
    student.continue_to_checkout(code)
    student.expect_checkout()
    expect(student.page.get_by_label("Card number")).to_have_count(0)
    student.expect_accessible_on_every_screen()
    student.page.get_by_role("button", name="Pay").click()
    student.expect_enrolled()
    student.expect_text("Your promotion code covered the full price. Nothing was charged.")
    student.page.get_by_role("link", name="Payments", exact=True).click()
    student.expect_text("$0.00")
    expect(student.main.get_by_role("button", name="Request a refund")).to_have_count(0)


def test_a_saved_card_pays_the_next_track_and_can_be_removed(student: Student) -> None:
    student.open_payment_form("DP")
    student.page.get_by_label("Save for next time").first.check()
    student.pay(GOOD)
    student.expect_enrolled("DP")
    student.open_payment_form("FSD")
    saved = student.page.get_by_role("radio", name="Visa ending in 4242")
    expect(saved).to_be_checked()
    student.expect_accessible_on_every_screen("saved")
    student.press_pay()
    student.expect_enrolled("FSD")
    student.open("#/cards")
    student.expect_heading("Saved cards")
    student.page.get_by_role("button", name="Remove Visa ending in 4242").click()
    student.expect_accessible_on_every_screen()
    student.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    student.expect_text("No saved cards.")
    expect(student.expect_heading("Saved cards")).to_be_focused()
    assert student.running.api("GET", "/api/payments/payment-methods", student.token).json()["payment_methods"] == []


def test_requesting_a_refund_states_the_consequences_and_ends_the_enrollment(student: Student) -> None:
    student.open_payment_form()
    student.pay(GOOD)
    student.expect_enrolled()
    student.open("#/payments")
    student.expect_heading("Payments")
    student.take_screenshots("payments")
    student.page.get_by_role("button", name="Request a refund").click()
    dialog = student.page.get_by_role("dialog")
    expect(dialog).to_contain_text("You’ll lose access to Data Professional.")
    student.take_screenshots("refund")
    dialog.get_by_label("Reason for your refund").fill("I have no time\nthis year")
    dialog.get_by_role("button", name="Keep my enrollment").click()
    expect(dialog).to_have_count(0)
    expect(student.page.get_by_role("button", name="Request a refund")).to_be_focused()
    student.page.get_by_role("button", name="Request a refund").click()
    expect(dialog.get_by_label("Reason for your refund")).to_have_value("I have no time\nthis year")
    dialog.get_by_role("button", name="Request refund").click()
    student.expect_text("Refunded. $499.00 is on its way to your Visa ending in 4242.")
    student.expect_text("Refunded")
    expect(student.main.get_by_role("listitem").filter(has_text="Data Professional")).to_be_focused()
    student.expect_accessible_on_every_screen("refunded")
    payment = student.payments()[0]
    assert (payment["status"], payment["refund_reason"]) == ("REFUNDED", "I have no time this year")
    student.open("#/learning")
    student.expect_text("No longer enrolled")
