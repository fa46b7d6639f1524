"""Who may do what, who is not let in, a sign-in that ends in the middle of work, and what goes wrong."""

import re

from playwright.sync_api import expect

from tests.stack.browser.console.staff import Staff
from tests.stack.browser.test_sign_in import DOMAIN, hosted_page


def test_support_sees_everything_and_decides_nothing(support: Staff, sub: str) -> None:
    payment_id = support.bought(sub)
    support.open(f"#/payments?q={sub}")
    support.lists(1)
    expect(support.page.get_by_text("support, reads only")).to_be_visible()
    expect(support.page.get_by_role("link", name="Export all as CSV")).to_have_count(0)
    support.at_payment(payment_id, "?do=refund")
    expect(support.dialog).to_have_count(0)
    for name in ("Refund…", "Revoke access…", "Approve…", "Decline…", "Dealt with…"):
        expect(support.page.get_by_role("button", name=name)).to_have_count(0)
    support.page.keyboard.press("r")
    expect(support.dialog).to_have_count(0)
    support.open("#/exports?new=1")
    support.sees("An export is for the group admin")
    support.accessible()
    for path, body in (
        (f"payments/{payment_id}/refunds/", {"reason": "forced"}),
        (f"payments/{payment_id}/decisions/", {"decision": "revoke", "note": "forced"}),
        (f"payments/{payment_id}/attention/", {"cause": "double", "note": "forced"}),
        ("quarantine/evt_1/replay/", {}),
        ("exports/", {"filters": {}}),
    ):
        answer = support.running.api("POST", f"/api/admin/{path}", support.token, json=body)
        assert answer.status_code == 403, path
    assert support.refunds(payment_id) == []


def test_a_student_sees_that_the_console_is_not_for_them(outsider: Staff) -> None:
    asked: list[str] = []
    outsider.page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    outsider.open("#/payments")
    outsider.heading("This console is for staff")
    outsider.accessible()
    expect(outsider.page.get_by_role("navigation", name="Main")).to_have_count(0)
    assert asked == []
    assert outsider.running.api("GET", "/api/admin/payments/", outsider.token).status_code == 403


def test_who_is_no_staff_any_more_is_told_so_by_the_api(staff: Staff, sub: str) -> None:
    """The token still names the group, the API decides."""
    staff.expected.append(r"status of 403 ")
    staff.open("#/attention")
    staff.heading("Needs a person")
    problem = {"type": "https://tuition.school/problems/forbidden", "detail": "this is for staff"}
    staff.page.route("**/api/admin/**", lambda route: route.fulfill(status=403, json=problem))
    staff.open("#/disputes")
    expect(staff.main.get_by_role("alert")).to_contain_text("This is for staff.")
    staff.accessible()


def test_signing_in_on_this_machine_leads_to_where_one_was_going(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.page.goto(f"/console/#/payments/{payment_id}")
    staff.heading("Sign in")
    staff.accessible()
    staff.page.get_by_label("E-mail address").fill(f"{staff.sub}@example.org")
    staff.page.get_by_label("Role").select_option("admin")
    staff.main.get_by_role("button", name="Sign in").click()
    staff.heading("499.00 USD for DP")
    staff.page.get_by_role("button", name="Sign out").click()
    staff.heading("Sign in")
    assert staff.page.evaluate("sessionStorage.length") == 0


def test_a_sign_in_that_ends_in_the_middle_of_work_loses_nothing(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.expected.append(r"status of 401 ")
    staff.at_payment(payment_id)
    staff.ask("Refund…")
    staff.dialog.get_by_label("Note").fill("Agreed by phone with Ada")
    staff.page.evaluate("sessionStorage.setItem('tuition.token', sessionStorage.getItem('tuition.token') + 'x')")
    staff.refund("120.00", "The third project was missing")
    staff.sees("Your sign-in is over")
    staff.accessible()
    staff.page.get_by_label("E-mail address").fill(f"{staff.sub}@example.org")
    staff.main.get_by_role("button", name="Sign in").click()
    expect(staff.dialog.get_by_label("Amount in USD")).to_have_value("120.00")
    expect(staff.dialog.get_by_label("Reason")).to_have_value("The third project was missing")
    expect(staff.dialog.get_by_label("Note")).to_have_value("Agreed by phone with Ada")
    assert staff.refunds(payment_id) == []
    staff.dialog.get_by_role("button", name="Refund 120.00 USD").click()
    staff.sees("Refunded 120.00 USD; 379.00 USD are left.")
    assert staff.refunds(payment_id) == [12000]
    assert "draft" not in staff.page.evaluate("JSON.stringify(Object.keys(sessionStorage))")


def test_the_hosted_sign_in_leads_back_to_the_console_with_what_was_typed(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.expected.append(r"status of 401 ")
    with hosted_page(staff) as hosted:
        staff.at_payment(payment_id)
        staff.ask("Refund…")
        staff.page.evaluate("sessionStorage.setItem('tuition.token', sessionStorage.getItem('tuition.token') + 'x')")
        staff.refund("120.00", "The third project was missing")
        staff.sees("Your sign-in is over")
        staff.accessible()
        with staff.page.expect_response(f"{DOMAIN}/oauth2/token"):
            staff.main.get_by_role("button", name="Sign in").click()
        staff.page.wait_for_url(f"**/console/#/payments/{payment_id}?do=refund")
        staff.sees("Your sign-in is over")  # the API takes no token of this test's making
        assert hosted.tokens == 1
        staff.page.evaluate("token => sessionStorage.setItem('tuition.token', token)", staff.token)
        staff.page.reload()
        expect(staff.dialog.get_by_label("Reason")).to_have_value("The third project was missing")
        staff.dialog.get_by_role("button", name="Refund 120.00 USD").click()
        staff.sees("Refunded 120.00 USD; 379.00 USD are left.")
    assert staff.refunds(payment_id) == [12000]


def test_a_view_says_what_went_wrong_and_tries_again(staff: Staff, sub: str) -> None:
    staff.expected.append(r"status of 500 |ERR_INTERNET_DISCONNECTED")
    payment_id = staff.bought(sub)
    staff.open("#/quarantine")
    staff.heading("Quarantine")
    problem = {"type": "https://tuition.school/problems/internal-error", "detail": "a fault of ours, recorded"}
    staff.page.route("**/api/admin/disputes/**", lambda route: route.fulfill(status=500, json=problem))
    staff.page.get_by_role("link", name="Disputes").click()
    expect(staff.main.get_by_role("alert")).to_contain_text("A fault of ours, recorded.")
    staff.accessible()
    staff.page.unroute("**/api/admin/disputes/**")
    staff.main.get_by_role("button", name="Try again").click()
    expect(staff.main.locator(".answer")).to_be_visible()
    staff.context.set_offline(True)
    staff.page.get_by_role("link", name="Payments").click()
    expect(staff.main.get_by_role("alert").first).to_contain_text("cannot be reached")
    staff.context.set_offline(False)
    staff.main.locator(".list").get_by_role("button", name="Try again").click()
    expect(staff.main.locator(f"tr[data-id={payment_id}]")).to_have_count(1)


def test_what_is_not_there_says_so_and_leads_on(staff: Staff) -> None:
    staff.expected.append(r"status of 404 ")
    for place, heading in (
        ("#/payments/pay_none", "No such payment"),
        ("#/users/nobody-at-all", "No such user"),
        ("#/nowhere", "There is no such page"),
        ("#/constructor", "There is no such page"),
        ("#/payments/%E0%A4%A", "No such payment"),
        ("#/%", "There is no such page"),
    ):
        staff.open("#/payments")
        staff.open(place)
        staff.heading(heading)
        expect(staff.main.get_by_role("link").first).to_have_attribute("href", re.compile("#/payments"))
    staff.accessible()


def test_a_user_has_a_page_with_everything_of_theirs(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.at_payment(payment_id)
    staff.page.get_by_role("link", name=f"{sub}@example.org").click()
    staff.heading(f"{sub}@example.org")
    staff.sees("0 of ")
    expect(staff.main.get_by_text("ENROLLED")).to_be_visible()
    staff.lists(1)
    expect(staff.main.get_by_role("link", name="Stripe")).to_have_attribute(
        "href", re.compile(r"^https://dashboard\.stripe\.com/test/customers/cus_")
    )
    staff.accessible("user")
    staff.rows().first.get_by_role("link").click()
    staff.heading("499.00 USD for DP")


def test_a_window_as_narrow_as_a_phone_shows_all_of_it(staff: Staff, sub: str) -> None:
    """WCAG 1.4.10: at 320 px, as a window of 1280 px is at 400 %, only tables may scroll sideways."""
    email = f"{sub}.with.a.name.that.goes.on.and.on.without.an.end@students.of-a-school-with-a-long-name.example.org"
    made = staff.running.api(
        "POST", "/api/payments/create-payment/", staff.running.token(sub, email=email), json={"track": "DP"}
    ).json()
    staff.running.pay(made["payment_intent_id"], "pm_card_createDispute")
    staff.running.until(lambda: staff.known(made["payment_id"])["payment"]["attention"], "a mark")
    staff.open("#/quarantine")
    staff.page.set_viewport_size({"width": 320, "height": 700})
    views = ("payments", "attention", "disputes", "quarantine", "exports?new=1", f"users/{sub}")
    for view in (*views, f"payments/{made['payment_id']}", f"payments/{made['payment_id']}?do=refund"):
        staff.open(f"#/{view}")
        expect(staff.main.get_by_role("status")).to_have_count(0)
        staff.accessible()
    narrowest = staff.page.locator(".timeline .title").evaluate_all("all => all.map((one) => one.offsetWidth)")
    assert min(narrowest) > 200
