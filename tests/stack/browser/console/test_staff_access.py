"""The console's roles, its sign-in, expired sessions, errors and missing objects."""

import re

from playwright.sync_api import expect

from tests.stack.browser.console.staff import Staff
from tests.stack.browser.test_sign_in import DOMAIN, hosted_page


def test_support_can_view_everything_and_decide_nothing(support: Staff, sub: str) -> None:
    payment_id = support.create_and_pay(sub)
    support.open(f"#/payments?q={sub}")
    support.expect_rows(1)
    expect(support.page.get_by_text("support, view only").first).to_be_visible()
    expect(support.page.get_by_role("link", name="Export all as CSV")).to_have_count(0)
    support.open_payment(payment_id, "?do=refund")
    expect(support.dialog).to_have_count(0)
    for name in ("Refund…", "Revoke access…", "Approve…", "Decline…", "Mark as resolved…", "Send email…"):
        expect(support.page.get_by_role("button", name=name)).to_have_count(0)
    support.page.keyboard.press("r")
    expect(support.dialog).to_have_count(0)
    support.open("#/exports?new=1")
    support.expect_text("Only admins can export")
    support.expect_accessible()
    for path, body in (
        (f"payments/{payment_id}/refunds", {"reason": "forced"}),
        (f"payments/{payment_id}/access", {"decision": "revoke", "note": "forced"}),
        (f"payments/{payment_id}/attention", {"name": "double", "note": "forced"}),
        (f"payments/{payment_id}/emails", {"kind": "purchase_confirmed"}),
        ("quarantine/evt_1/replay", {}),
        (f"users/{sub}/purchases", {"decision": "block", "note": "forced"}),
        ("exports", {"filters": {}}),
    ):
        response = support.running.api("POST", f"/api/admin/{path}", support.token, json=body)
        assert response.status_code == 403, path
    assert support.refunded_amounts(payment_id) == []


def test_a_student_sees_that_the_console_is_for_staff_and_no_data_is_loaded(outsider: Staff) -> None:
    requests: list[str] = []
    outsider.page.on("request", lambda request: requests.append(request.url) if "/api/" in request.url else None)
    outsider.open("#/payments")
    outsider.expect_heading("This console is for staff")
    expect(outsider.page.get_by_role("navigation", name="Main")).to_have_count(0)
    assert requests == []
    assert outsider.running.api("GET", "/api/admin/payments", outsider.token).status_code == 403


def test_a_former_member_of_staff_sees_the_api_s_refusal(staff: Staff, sub: str) -> None:
    """The token still names the group, but the API decides."""
    staff.expected_errors.append(r"status of 403 ")
    staff.open("#/attention")
    staff.expect_heading("Needs attention")
    problem = {"type": "https://tuition.school/problems/forbidden", "detail": "this is for staff"}
    staff.page.route("**/api/admin/**", lambda route: route.fulfill(status=403, json=problem))
    staff.open("#/disputes")
    expect(staff.main.get_by_role("alert")).to_contain_text("This is for staff.")
    staff.expect_accessible()


def test_a_local_sign_in_leads_to_the_requested_payment(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    with staff.page.expect_response("**/console/payment.js"):  # the views load while the sign-in is shown
        staff.page.goto(f"/console/#/payments/{payment_id}")
        staff.expect_heading("Sign in")
    staff.expect_accessible()
    staff.page.get_by_label("Email address").fill(f"{staff.sub}@example.org")
    staff.page.get_by_label("Role").select_option("admin")
    staff.main.get_by_role("button", name="Sign in").click()
    staff.expect_heading("499.00 USD for DP")
    staff.open_account()
    staff.page.get_by_role("button", name="Sign out").click()
    staff.expect_heading("Sign in")
    assert staff.page.evaluate("sessionStorage.length") == 0


def test_an_expired_session_loses_no_typed_text(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors.append(r"status of 401 ")
    staff.open_payment(payment_id)
    staff.open_dialog("Refund…")
    staff.dialog.get_by_label("Note").fill("Agreed by phone with Ada")
    staff.page.evaluate("sessionStorage.setItem('tuition.token', sessionStorage.getItem('tuition.token') + 'x')")
    staff.submit_refund("120.00", "The third project was missing")
    staff.expect_text("Your session has expired. Sign in to continue where you left off.")
    staff.expect_accessible()
    staff.page.get_by_label("Email address").fill(f"{staff.sub}@example.org")
    staff.main.get_by_role("button", name="Sign in").click()
    expect(staff.dialog.get_by_label("Amount in USD")).to_have_value("120.00")
    expect(staff.dialog.get_by_label("Reason")).to_have_value("The third project was missing")
    expect(staff.dialog.get_by_label("Note")).to_have_value("Agreed by phone with Ada")
    assert staff.refunded_amounts(payment_id) == []
    staff.dialog.get_by_role("button", name="Refund 120.00 USD").click()
    staff.expect_text("Refunded 120.00 USD; 379.00 USD can still be refunded.")
    assert staff.refunded_amounts(payment_id) == [12000]
    assert "draft" not in staff.page.evaluate("JSON.stringify(Object.keys(sessionStorage))")


def test_the_hosted_sign_in_leads_back_to_the_open_dialog_and_its_typed_text(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors.append(r"status of 401 ")
    with hosted_page(staff) as hosted:
        staff.open_payment(payment_id)
        staff.open_dialog("Refund…")
        staff.page.evaluate("sessionStorage.setItem('tuition.token', sessionStorage.getItem('tuition.token') + 'x')")
        staff.submit_refund("120.00", "The third project was missing")
        staff.expect_text("Your session has expired. Sign in to continue where you left off.")
        staff.expect_accessible()
        with staff.page.expect_response(f"{DOMAIN}/oauth2/token"):
            staff.main.get_by_role("button", name="Sign in").click()
        staff.page.wait_for_url(f"**/console/#/payments/{payment_id}?do=refund")
        # The API rejects this test's unsigned token.
        staff.expect_text("Your session has expired. Sign in to continue where you left off.")
        assert hosted.tokens_issued == 1
        staff.page.evaluate("token => sessionStorage.setItem('tuition.token', token)", staff.token)
        staff.page.reload()
        expect(staff.dialog.get_by_label("Reason")).to_have_value("The third project was missing")
        staff.dialog.get_by_role("button", name="Refund 120.00 USD").click()
        staff.expect_text("Refunded 120.00 USD; 379.00 USD can still be refunded.")
    assert staff.refunded_amounts(payment_id) == [12000]


def test_the_books_show_each_difference_with_its_ids(staff: Staff) -> None:
    day = {"day": "2026-11-23", "currency": "usd", "ours": 49900, "stripe": 0}
    differences = [
        {**day, "kind": "charge", "ids": ["pay_forged", "pi_forged"]},
        {**day, "kind": "standing", "currency": None, "ours": 1, "ids": ["ada", "DP", "pay_invented"]},
    ]
    books = {"compared_at": "2026-11-24T04:00:00.000Z", "through": "2026-11-23", "equal": False, "unfinished": []}
    staff.page.route("**/api/admin/books*", lambda route: route.fulfill(json={**books, "differences": differences}))
    staff.open("#/books")
    staff.expect_heading("Books")
    staff.expect_rows(2)
    staff.expect_text("Access without a payment")
    staff.expect_text("pi_forged")
    staff.expect_accessible()
    staff.page.unroute("**/api/admin/books*")
    equal = {**books, "equal": True, "differences": []}
    staff.page.route("**/api/admin/books*", lambda route: route.fulfill(json=equal))
    staff.page.reload()
    staff.expect_text("Our books and Stripe’s are equal.")


def test_a_view_shows_an_error_and_can_be_retried(staff: Staff, sub: str) -> None:
    staff.expected_errors.append(
        r"status of 500 |ERR_INTERNET_DISCONNECTED|Failed to fetch dynamically imported module"
    )
    payment_id = staff.create_and_pay(sub)
    staff.open("#/quarantine")
    staff.expect_heading("Quarantine")
    problem = {"type": "https://tuition.school/problems/internal-error", "detail": "Something went wrong on our side."}
    staff.page.route("**/api/admin/disputes*", lambda route: route.fulfill(status=500, json=problem))
    staff.page.get_by_role("link", name="Disputes").click()
    expect(staff.main.get_by_role("alert")).to_contain_text("Something went wrong on our side.")
    staff.expect_accessible()
    staff.page.unroute("**/api/admin/disputes*")
    staff.main.get_by_role("button", name="Try again").click()
    expect(staff.main.locator(".answer")).to_be_visible()
    staff.context.set_offline(True)
    staff.page.get_by_role("link", name="Payments").click()
    expect(staff.main.get_by_role("alert").first).to_contain_text(
        "We can’t connect. Check your internet connection and try again."
    )
    expect(staff.page.get_by_role("status").filter(has_text="You’re offline.")).to_be_visible()
    staff.context.set_offline(False)  # the failed view loads again
    expect(staff.page.get_by_text("You’re offline.")).to_have_count(0)
    expect(staff.main.locator(f"tr[data-id={payment_id}]")).to_have_count(1)


def test_a_missing_payment_user_or_page_shows_a_way_back(staff: Staff) -> None:
    staff.expected_errors.append(r"status of 404 ")
    for address, heading in (
        ("#/payments/pay_none", "Payment not found"),
        ("#/users/nobody-at-all", "User not found"),
        ("#/nowhere", "Page not found"),
        ("#/constructor", "Page not found"),
        ("#/payments/%E0%A4%A", "Payment not found"),
        ("#/%", "Page not found"),
    ):
        staff.open("#/payments")
        staff.open(address)
        staff.expect_heading(heading)
        expect(staff.main.get_by_role("link").first).to_have_attribute("href", re.compile("#/(payments|overview)"))
    staff.expect_accessible()


def test_a_user_s_page_shows_their_enrollments_customer_payments_and_one_timeline(staff: Staff, sub: str) -> None:
    staff.create_and_pay(sub, "FSD")
    payment_id = staff.create_and_pay(sub)
    body = {"decision": "block", "note": "talked to them"}
    assert staff.running.api("POST", f"/api/admin/users/{sub}/purchases", staff.token, json=body).is_success
    staff.running.until(lambda: len(staff.details(payment_id)["emails"]) > 0, "an email")
    staff.open_payment(payment_id)
    staff.page.get_by_role("link", name=f"{sub}@example.org").click()
    staff.expect_heading(f"{sub}@example.org")
    staff.expect_text("0 of ")
    expect(staff.main.get_by_text("Enrolled", exact=True).first).to_be_visible()
    staff.expect_rows(2)
    expect(staff.main.get_by_role("link", name="Stripe")).to_have_attribute(
        "href", re.compile(r"^https://dashboard\.stripe\.com/test/customers/cus_")
    )
    titles = staff.main.locator(".timeline .title")
    expect(titles.filter(has_text="Paid 499.00 USD · DP")).to_have_count(1)
    expect(titles.filter(has_text="Email sent: Purchase confirmed · DP")).to_have_count(1)
    expect(titles.filter(has_text="Paid 599.00 USD · FSD")).to_have_count(1)
    staff.expect_accessible("user")
    staff.rows().first.get_by_role("link").click()
    staff.expect_heading("499.00 USD for DP")


def test_every_view_fits_a_window_320_pixels_wide(staff: Staff, sub: str) -> None:
    """WCAG 1.4.10: at 320 px (1280 px at a zoom of 400 %), only tables may scroll horizontally."""
    email = f"{sub}.with.a.name.that.goes.on.and.on.without.an.end@students.of-a-school-with-a-long-name.example.org"
    created = staff.running.api(
        "POST", "/api/payments/create-payment", staff.running.token(sub, email=email), json={"track": "DP"}
    ).json()
    staff.running.pay(created["payment_intent_id"], "pm_card_createDispute")
    staff.running.until(lambda: staff.details(created["payment_id"])["payment"]["attention"], "attention")
    staff.open("#/quarantine")
    staff.page.set_viewport_size({"width": 320, "height": 700})
    lists = ("overview", "payments", "attention", "disputes", "books", "quarantine", "selling", "statement")
    views = (*lists, "exports?new=1", f"users/{sub}")
    for view in (*views, f"payments/{created['payment_id']}", f"payments/{created['payment_id']}?do=refund"):
        staff.open(f"#/{view}")
        expect(staff.main.locator("[role=status] .spinner")).to_have_count(0)
        staff.expect_accessible()
    widths = staff.page.locator(".timeline .title").evaluate_all("titles => titles.map((title) => title.offsetWidth)")
    assert min(widths) > 200


def test_staff_block_a_users_purchases_and_allow_them_again(staff: Staff, sub: str) -> None:
    staff.create_and_pay(sub)
    staff.open(f"#/users/{sub}")
    panel = staff.main.locator("section", has=staff.page.get_by_role("heading", name="Purchases"))
    expect(panel).to_contain_text("0, 0 lost")
    for button, text, status in (
        ("Block purchases", "Blocked. The user may buy no track", "No, until staff allow it"),
        ("Allow purchases", "Allowed. The user may buy again.", "Yes"),
    ):
        dialog = staff.open_dialog(f"{button}…")
        expect(dialog.get_by_role("button", name=button)).to_be_disabled()
        dialog.get_by_label("Reason").fill("talked to the student")
        staff.expect_accessible()
        dialog.get_by_role("button", name=button).click()
        staff.expect_text(text)
        expect(panel).to_contain_text(status)
        expect(panel).to_contain_text("talked to the student")
    staff.expect_accessible()
