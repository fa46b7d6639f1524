"""Tracks, My learning, Payments and the buy page say the same about a payment that is not simply paid.

`test_sweep.py` checks how these pages look on each screen.
"""

from typing import Any

from playwright.sync_api import expect

from tests.stack.browser.student import Student

ENROLL, CONTINUE = "Enroll in Data Professional", "Continue Data Professional"


def paid(student: Student, method: str = "pm_card_visa", amount: int | None = None) -> dict[str, Any]:
    """Buy a track through the API and return the payment; with `amount`, change the intent at Stripe first."""
    running = student.running
    created = running.create(student.token).json()
    if amount is not None:
        running.stripe("POST", f"/v1/payment_intents/{created['payment_intent_id']}", amount=amount)
    running.pay(created["payment_intent_id"], method)

    def recorded() -> Any:
        payment = running.payment(student.token, created["payment_id"])
        return payment if payment["payment_method"] and payment["status"] == "SUCCEEDED" else None

    payment: dict[str, Any] = running.until(recorded, "paid")
    return payment


def until_shown(student: Student, **values: object) -> None:
    """Wait until the student's payment has these values."""
    student.running.until(lambda: values.items() <= student.payments()[0].items(), str(values))


def disputed(student: Student, status: str) -> dict[str, Any]:
    payment = paid(student)
    student.running.sim("disputes", payment_intent=payment["payment_intent_id"], status=status)
    until_shown(student, dispute="lost" if status == "lost" else "open")
    return payment


def decide(student: Student, payment_id: str, **body: str) -> None:
    path = f"/api/admin/payments/{payment_id}/access"
    student.running.api("POST", path, student.running.ready["admin_token"], json=body).raise_for_status()


def open_view(student: Student, address: str, heading: str) -> None:
    student.open(address)
    if student.page.evaluate("!sessionStorage.getItem('tuition.token')"):
        student.sign_in()
    student.expect_heading(heading)


def expect_in_every_view(student: Student, sentence: str, *, chip: str, refund: bool, enroll: bool) -> None:
    """Expect the sentence in Payments, My learning, Tracks and the buy page, and the invitations that are allowed."""
    open_view(student, "#/payments", "Payments")
    expect(student.main.get_by_text(chip, exact=True)).to_be_visible()
    expect(student.main.get_by_text(sentence)).to_be_visible()
    expect(student.main.get_by_role("button", name="Request a refund")).to_have_count(int(refund))
    open_view(student, "#/learning", "My learning")
    expect(student.main.get_by_text(sentence)).to_be_visible()
    expect(student.main.get_by_role("link", name="Enroll again")).to_have_count(int(enroll))
    open_view(student, "#/", "Choose your track")
    expect(student.main.get_by_text(sentence).first).to_be_visible()
    expect(student.main.get_by_role("link", name=ENROLL)).to_have_count(int(enroll))


def test_a_revoked_student_is_not_invited_to_enroll_again(student: Student) -> None:
    payment = paid(student)
    decide(student, payment["payment_id"], decision="revoke", note="shared the account")
    sentence = "The school has ended the access from this payment."
    expect_in_every_view(student, sentence, chip="Access ended", refund=True, enroll=False)
    open_view(student, "#/buy/DP", "Data Professional")
    expect(student.main.get_by_text(sentence)).to_be_visible()
    expect(student.pay_button).to_have_count(0)
    open_view(student, "#/payments", "Payments")
    student.page.get_by_role("button", name="Request a refund").click()
    expect(student.page.get_by_role("dialog")).not_to_contain_text("lose access")


def test_a_lost_dispute_is_said_and_buying_is_blocked_everywhere(student: Student) -> None:
    disputed(student, "lost")
    expect_in_every_view(student, "Your bank took this payment back", chip="Charged back", refund=False, enroll=False)
    expect(student.main.get_by_role("link", name="Enroll in")).to_have_count(0)
    open_view(student, "#/buy/FSD", "Full-Stack Developer")
    student.expect_text("Buying is blocked because a bank took back an earlier payment of yours.")
    expect(student.pay_button).to_have_count(0)


def test_an_open_dispute_is_said_and_no_refund_is_offered(student: Student) -> None:
    disputed(student, "needs_response")
    expect_in_every_view(
        student, "Your bank has opened a dispute about this payment", chip="Disputed", refund=False, enroll=False
    )
    expect(student.main.get_by_role("link", name=CONTINUE)).to_be_visible()


def test_another_amount_is_said_and_no_card_form_is_offered(student: Student) -> None:
    paid(student, amount=45000)
    sentence = "the amount differs from the price"
    expect_in_every_view(student, sentence, chip="Under review", refund=True, enroll=False)
    open_view(student, "#/buy/DP", "Data Professional")
    expect(student.main.get_by_text(sentence)).to_be_visible()
    expect(student.pay_button).to_have_count(0)


def test_a_bank_transfer_under_way_never_asks_for_payment(student: Student) -> None:
    student.open_payment_form()
    student.fill_bank_account("000000000009")
    student.press_pay()
    student.expect_text("Please don’t pay again: your payment is on its way.")
    for address, heading in (("#/", "Choose your track"), ("#/learning", "My learning"), ("#/payments", "Payments")):
        open_view(student, address, heading)
        expect(student.main.get_by_text("Please don’t pay again.")).to_be_visible()
        expect(student.main.get_by_role("link", name="Complete")).to_have_count(0)
        expect(student.main.get_by_role("link", name=ENROLL)).to_have_count(0)
    open_view(student, "#/", "Choose your track")
    student.page.get_by_role("link", name="View payment status of Data Professional").click()
    student.expect_text("Please don’t pay again: your payment is on its way.")


def test_a_pending_refund_is_not_shown_as_refunded(student: Student) -> None:
    paid(student, "pm_card_pendingRefund")
    open_view(student, "#/payments", "Payments")
    student.expect_text("You can get a refund without approval until")
    student.page.get_by_role("button", name="Request a refund").click()
    dialog = student.page.get_by_role("dialog")
    expect(dialog).to_contain_text("We refund you immediately")
    dialog.get_by_label("Reason for your refund").fill("I have moved away")
    dialog.get_by_role("button", name="Request refund").click()
    expect(dialog).to_have_count(0)
    student.expect_text("Your refund of $499.00 is being processed.")
    expect(student.main.get_by_text("Refund in progress", exact=True)).to_be_visible()
    for untrue in ("on its way", "$499.00 refunded", "Refunded"):
        expect(student.main.get_by_text(untrue)).to_have_count(0)
    intent_id = student.payments()[0]["payment_intent_id"]
    refunds = student.running.stripe("GET", f"/v1/refunds?payment_intent={intent_id}")
    student.running.sim("refunds", refund=refunds["data"][0]["id"], status="succeeded")
    until_shown(student, refund_pending_amount=0)
    student.page.reload()
    student.expect_text("$499.00 refunded")
    expect(student.main.get_by_text("Refunded", exact=True)).to_be_visible()


def test_another_amount_than_the_price_is_shown_beside_it(student: Student) -> None:
    created = student.running.create(student.token).json()
    intent = created["payment_intent_id"]
    student.running.stripe("POST", f"/v1/payment_intents/{intent}", amount=10000, currency="eur")
    student.running.pay(intent)
    student.running.until(lambda: student.running.payment(student.token, intent)["status"] == "SUCCEEDED", "paid")
    student.open("#/payments")
    student.sign_in()
    row = student.main.get_by_role("listitem").first
    expect(row).to_contain_text("€100.00")
    expect(row).to_contain_text("Price: $499.00")
    student.expect_accessible_on_every_screen()
