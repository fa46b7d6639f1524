"""The console shows a payment as it was, and why it gives access or not."""

import re

from playwright.sync_api import expect

from tests.stack.browser.console.staff import Staff


def test_a_payment_is_shown_as_it_was_after_a_record_and_at_a_time(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.open_payment(payment_id)
    created = staff.main.locator(".timeline li", has_text="Payment created")
    created.get_by_role("button", name="Record 1").click()
    expect(created).to_contain_text('"name":"created"')
    created.get_by_role("link", name="The payment after record 1").click()
    notice = staff.main.get_by_role("status").filter(has_text="The payment as it was")
    expect(notice).to_contain_text(re.compile(r"after record 1 of \d+"))
    expect(staff.main.get_by_text("No access", exact=True)).to_be_visible()
    expect(staff.main.locator(".timeline li")).to_have_count(1)
    expect(staff.main.locator("dd", has_text="not recorded").first).to_be_visible()
    expect(staff.main.get_by_role("button", name="Refund…")).to_have_count(0)
    staff.expect_accessible("moment")
    notice.get_by_role("link", name="Next record").click()
    expect(notice).to_contain_text("after record 2")
    notice.get_by_role("link", name="Show the present").click()
    expect(notice).to_have_count(0)
    expect(staff.main.get_by_text("Access granted")).to_be_visible()
    form = staff.main.get_by_label("As it was at")
    form.fill("2099-01-01T12:00:00")
    staff.main.get_by_role("button", name="Look").click()
    expect(notice).to_contain_text("The payment as it was")
    expect(staff.main.get_by_text("Access granted")).to_be_visible()
    expect(staff.main.locator("dd", has_text="not recorded").first).to_be_visible()


def test_a_moment_before_the_payment_says_when_it_was_created(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors.append("status of 404")
    staff.open(f"#/payments/{payment_id}?at=2020-01-01T00:00:00Z")
    expect(staff.main.get_by_role("alert")).to_contain_text("This payment did not exist at 2020-01-01T00:00:00.000Z")
    staff.expect_accessible()
    staff.main.get_by_role("link", name="Show the payment as it is now").click()
    expect(staff.main.get_by_role("heading", name="Timeline")).to_be_visible()


def test_staff_see_why_a_payment_gives_access_and_which_records_say_so(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.open_payment(payment_id)
    staff.main.get_by_role("button", name="Why access?").click()
    why = staff.main.get_by_role("region", name="Why access", exact=True)
    expect(why).to_contain_text(
        "The student is enrolled in DP: this payment was paid, and nothing has ended its access."
    )
    paid = why.get_by_role("row", name="It was paid")
    expect(paid).to_contain_text("yes")
    expect(paid).to_contain_text('"settled":{"amount":49900,"currency":"usd"')
    staff.expect_accessible("explanation")
    body = {"decision": "revoke", "note": "shared the account"}
    path = f"/api/admin/payments/{payment_id}/access"
    assert staff.running.api("POST", path, staff.token, json=body).is_success
    staff.page.reload()
    staff.main.get_by_role("button", name="Why no access?").click()
    expect(why).to_contain_text("This payment gives no access, because staff revoked it.")
    revoked = why.get_by_role("row", name="Staff have not revoked access")
    expect(revoked).to_contain_text("no")
    revoked.get_by_role("link").click()
    expect(staff.main.get_by_role("status").filter(has_text="The payment as it was")).to_be_visible()
