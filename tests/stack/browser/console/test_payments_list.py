"""The payments list: search, filters, dates, pages and the keyboard."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus

import pytest
from playwright.sync_api import expect

from tests.stack.browser.console.bulk_payments import BulkPayments
from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running

ROWS = 130
MS_UNTIL_THE_SESSION_ENDS = """() => {
  const claims = sessionStorage.getItem("tuition.token").split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  return JSON.parse(atob(claims)).exp * 1000 - Date.now();
}"""


@pytest.fixture(scope="module")
def bulk(running: Running) -> Iterator[BulkPayments]:
    """Payments of March and April 2021 that no other test uses."""
    with BulkPayments(running, ROWS, datetime(2021, 3, 1, 12, tzinfo=UTC), timedelta(hours=11)) as payments:
        yield payments


def test_search_finds_a_payment_by_each_of_its_ids_and_by_email(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    payment = staff.details(payment_id)["payment"]
    ids = [payment_id, payment["payment_intent_id"], payment["stripe_charge_id"], payment["stripe_customer_id"]]
    session = staff.running.api(
        "POST", "/api/payments/create-checkout-session", staff.running.token(sub), json={"track": "FSD"}
    ).json()
    staff.open()
    for text in [*ids, session["session_id"], f"{sub}@example.org", f"{sub}@"]:
        staff.search(text)
        expect(staff.page).to_have_url(re.compile(rf"[?&]q={quote_plus(text)}$"))
        staff.expect_text("shown")
        expect(staff.rows().first).to_contain_text(f"{sub}@example.org")
    staff.expect_rows(2)
    staff.search(sub)
    staff.expect_rows(2)
    staff.search(payment_id)
    staff.expect_rows(1)
    staff.search("nobody@example.org")
    staff.expect_text("No payments match these filters")
    staff.expect_accessible()
    staff.page.get_by_role("link", name="Clear the filters").click()
    expect(staff.page).to_have_url(re.compile(r"#/payments$"))


def test_each_row_shows_the_status_refund_failure_and_dispute(staff: Staff, sub: str) -> None:
    ada, carl = staff.create_and_pay(f"{sub}-ada"), staff.create_and_pay(f"{sub}-carl", "FSD", "pm_card_mastercard")
    staff.create_and_pay(f"{sub}-edsger", "DP", "pm_card_chargeDeclinedInsufficientFunds", status="FAILED")
    staff.create_and_pay(f"{sub}-grace", "FSD", "pm_card_chargeDeclinedExpiredCard", status="FAILED")
    disputed = staff.create_and_pay(f"{sub}-ida", "FSD", "pm_card_createDisputeInquiry")
    staff.running.create(staff.running.token(f"{sub}-john"))
    for payment_id, amount in ((ada, 12000), (carl, 59900)):
        body = {"amount": amount, "reason": "A part was missing"}
        path = f"/api/admin/payments/{payment_id}/refunds"
        assert staff.running.api("POST", path, staff.token, json=body).is_success
    staff.running.until(lambda: staff.details(disputed)["payment"]["attention"], "attention")
    staff.open(f"#/payments?q={sub}-")
    staff.expect_rows(6)
    for name, texts in (
        ("ada", ["Partially refunded", "499.00 USD", "−120.00 USD refunded", "Visa ··4242"]),
        ("carl", ["Refunded", "599.00 USD", "−599.00 USD refunded", "Mastercard ··4444"]),
        ("edsger", ["Failed", "insufficient funds"]),
        ("grace", ["Failed", "expired card"]),
        ("ida", ["Paid", "dispute"]),
        ("john", ["Incomplete"]),
    ):
        row = staff.rows().filter(has_text=f"{sub}-{name}@example.org")
        for text in texts:
            expect(row).to_contain_text(text)
    for tab, count in (("Refunded", 1), ("Partially refunded", 1), ("Failed", 2), ("Paid", 2), ("Disputed", 1)):
        staff.open_tab(tab)
        staff.expect_rows(count)
    staff.open_tab("All")
    for field, value, count in (("Refunded", "all or a part", 2), ("Method", "Mastercard", 1)):
        staff.page.get_by_label(field).select_option(label=value)
        staff.expect_rows(count)
        staff.page.get_by_label(field).select_option("")
    staff.page.get_by_label("Failure").select_option("expired_card")
    staff.expect_rows(1)
    staff.page.get_by_label("Failure").select_option("")
    staff.expect_rows(6)
    staff.page.get_by_role("button", name="Count and sum").click()
    staff.expect_text("6 payments: 3,294.00 USD, of which 1,697.00 USD received and 719.00 USD refunded.")
    staff.page.get_by_label("Disputed").select_option("true")
    staff.expect_rows(1)
    staff.page.get_by_label("Disputed").select_option("")
    staff.expect_rows(6)
    staff.expect_accessible("payments")


def test_filters_combine_are_kept_in_the_address_and_can_be_undone_with_back(staff: Staff, sub: str) -> None:
    staff.create_and_pay(sub, "FSD", "pm_card_chargeDeclinedInsufficientFunds", status="FAILED")
    staff.open(f"#/payments?q={sub}")
    staff.expect_rows(1)
    expect(staff.rows().first).to_contain_text("insufficient funds")
    staff.open_tab("Failed")
    staff.page.get_by_label("Track").select_option("FSD")
    expect(staff.page).to_have_url(re.compile(r"q=.*&status=FAILED&track=FSD"))
    staff.expect_rows(1)
    staff.page.get_by_label("Max amount").fill("598.99")
    staff.page.keyboard.press("Enter")
    staff.expect_text("No payments match these filters")
    staff.page.get_by_label("Max amount").fill("599")
    staff.page.keyboard.press("Enter")
    staff.expect_rows(1)
    staff.page.get_by_label("Min amount").fill("six hundred")
    staff.page.keyboard.press("Enter")
    expect(staff.page.get_by_label("Min amount")).to_have_accessible_description("Enter an amount, such as 49.50.")
    staff.page.get_by_label("Min amount").fill("")
    staff.page.reload()
    expect(staff.tab("Failed")).to_have_attribute("aria-current", "true")
    expect(staff.page.get_by_label("Max amount")).to_have_value("599.00")
    staff.expect_rows(1)
    for _ in range(3):
        staff.page.go_back()
    expect(staff.page).to_have_url(re.compile(r"q=[^&]*&status=FAILED$"))
    expect(staff.page.get_by_label("Track")).to_have_value("")
    staff.expect_rows(1)
    staff.page.get_by_label("Attention").select_option("true")
    staff.expect_text("No payments match these filters")
    staff.page.get_by_label("Attention").select_option("")
    staff.expect_rows(1)
    staff.page.get_by_label("Find").fill("nobody@example.org")
    staff.page.keyboard.press("Enter")
    staff.expect_text("No payments match these filters")
    staff.page.go_back()  # the search that Back has undone does not return when its field loses the focus
    expect(staff.page.get_by_label("Find")).to_have_value(sub)
    staff.page.get_by_label("Track").focus()
    staff.expect_rows(1)
    expect(staff.page).to_have_url(re.compile(rf"q={sub}&"))


def test_invalid_filters_in_the_address_are_marked_and_can_be_cleared(staff: Staff) -> None:
    staff.expected_errors += ["does not conform to the required format"]
    requests: list[str] = []
    staff.page.on("request", lambda request: requests.append(request.url) if "/api/admin/" in request.url else None)
    staff.open("#/payments?from=yesterday&amount_max=much")
    expect(staff.page.get_by_label("From")).to_have_accessible_description("Enter a day, such as 2026-11-23.")
    expect(staff.page.get_by_label("Max amount")).to_have_value("much")
    expect(staff.page.get_by_label("Max amount")).to_have_accessible_description("Enter an amount, such as 49.50.")
    staff.page.wait_for_load_state("networkidle")
    assert len(requests) == 6, requests  # the calendar, the lengths of the queues, and the two switches
    staff.open("#/payments?amount_min=5000&amount_max=1000")
    expect(staff.page.get_by_label("Min amount")).to_have_accessible_description(
        "The minimum amount can’t be higher than the maximum."
    )
    expect(staff.main).to_contain_text("Correct the filter that is marked")
    staff.expect_accessible()
    staff.page.get_by_role("link", name="Clear all filters").click()
    expect(staff.main.locator(".answer")).to_be_visible()


def test_an_amount_over_a_thousand_can_be_edited_in_its_field(staff: Staff) -> None:
    staff.open("#/payments?amount_max=123400")
    field = staff.page.get_by_label("Max amount")
    expect(field).to_have_value("1234.00")
    field.press("End")
    field.press("Backspace")
    field.press("5")
    field.press("Enter")
    expect(staff.page).to_have_url(re.compile("amount_max=123405&currency=usd$"))


def test_the_calendar_narrows_the_list_to_a_month_and_a_day(staff: Staff, bulk: BulkPayments) -> None:
    staff.open("#/payments?from=2021-03-01&to=2021-03-31")
    calendar = staff.page.get_by_role("complementary", name="By date")
    expect(calendar.get_by_role("heading", name="2021")).to_be_visible()
    month = calendar.get_by_role("link", name="March")
    expect(month).to_have_attribute("aria-current", "true")
    expect(month).to_contain_text(str(bulk.count_in("2021-03")))
    day = calendar.get_by_role("link", name="Thu 4")
    expect(day).to_contain_text(str(bulk.count_in("2021-03-04")))
    staff.expect_rows(50)
    staff.expect_accessible()
    day.click()
    staff.expect_rows(bulk.count_in("2021-03-04"))
    titles = staff.rows().locator("td:first-child time").evaluate_all("times => times.map((time) => time.title)")
    assert {title[:10] for title in titles} == {"2021-03-04"}
    assert all(title.endswith(" UTC") for title in titles)
    staff.page.go_back()
    staff.expect_rows(50)
    calendar.get_by_role("link", name="April").click()
    expect(calendar.get_by_role("link", name="April")).to_contain_text(str(bulk.count_in("2021-04")))
    calendar.get_by_role("link", name="All dates").click()
    expect(staff.page).to_have_url(re.compile(r"#/payments$"))
    staff.page.get_by_label("From").fill("2022-05-01")  # the calendar follows a typed date
    expect(calendar.get_by_role("heading", name="2022")).to_be_visible()


def test_a_long_list_has_pages_and_can_be_walked_back(staff: Staff, bulk: BulkPayments) -> None:
    staff.open("#/payments?from=2021-03-01&to=2021-04-30")
    staff.expect_rows(50)
    first = staff.rows().first.get_attribute("data-id")
    staff.page.get_by_role("link", name="Older").click()
    expect(staff.page).to_have_url(re.compile("cursor="))
    expect(staff.page.locator("h1")).to_be_focused()
    expect(staff.main.locator(f"tr[data-id={first}]")).to_have_count(0)
    staff.expect_rows(50)
    staff.page.get_by_role("link", name="Older").click()
    staff.expect_rows(ROWS - 100)
    expect(staff.page.get_by_role("link", name="Older")).to_have_count(0)
    staff.page.get_by_role("button", name="Back").click()
    staff.expect_rows(50)
    staff.page.get_by_role("link", name="Newest").click()
    expect(staff.main.locator(f"tr[data-id={first}]")).to_have_count(1)
    staff.page.get_by_role("columnheader", name="Created").get_by_role("link").click()
    expect(staff.rows().first).to_have_attribute("data-id", bulk.payments[0].payment_id)
    expect(staff.page.get_by_role("columnheader", name="Created")).to_have_attribute("aria-sort", "ascending")
    staff.page.get_by_role("link", name="Newer").click()
    expect(staff.rows().first).to_have_attribute("data-id", bulk.payments[50].payment_id)


def test_the_keyboard_alone_finds_opens_and_returns_to_a_payment(staff: Staff, sub: str) -> None:
    older, newer = staff.create_and_pay(sub, "DP"), staff.create_and_pay(sub, "FSD")
    keys = staff.page.keyboard
    staff.open("#/attention")
    staff.expect_heading("Needs attention")
    keys.press("/")
    expect(staff.page.get_by_label("Find")).to_be_focused()
    keys.type(sub)
    keys.press("Enter")
    staff.expect_rows(2)
    keys.press("Escape")
    expect(staff.page.locator("h1")).to_be_focused()
    for key, payment_id in (("ArrowDown", newer), ("j", older), ("k", newer), ("ArrowDown", older)):
        keys.press(key)
        expect(staff.main.locator(f"tr[data-id={payment_id}] a.open")).to_be_focused()
    keys.press("Enter")
    staff.expect_heading("499.00 USD for DP")
    expect(staff.page.locator("h1")).to_be_focused()
    expect(staff.page).to_have_title(f"{sub}@example.org, DP · Tuition console")
    keys.press("r")
    expect(staff.dialog.get_by_label("Amount in USD")).to_be_focused()
    keys.press("Escape")
    expect(staff.dialog).to_have_count(0)
    keys.press("Escape")
    staff.expect_rows(2)
    expect(staff.main.locator(f"tr[data-id={older}] a.open")).to_be_focused()
    expect(staff.page).to_have_url(re.compile(f"q={sub}"))
    staff.rows().first.locator("td.status").click()  # the whole row opens
    expect(staff.page).to_have_url(re.compile(f"{newer}$"))
    staff.main.locator(".summary").get_by_role("link", name=f"{sub}@example.org").click()
    staff.expect_heading(f"{sub}@example.org")
    keys.press("Escape")  # back to the payment, and not to a list
    staff.expect_heading("599.00 USD for FSD")


def test_an_open_list_counts_new_payments_and_warns_before_the_session_ends(
    staff_with_own_clock: Staff, sub: str
) -> None:
    staff = staff_with_own_clock
    staff.page.clock.install()
    today = datetime.now(UTC).date().isoformat()
    staff.open(f"#/payments?amount_max=0&from={today}")
    staff.expect_text("No payments match these filters")
    answer = {"payments": [staff.details(staff.create_and_pay(sub))["payment"]], "next_cursor": None}
    staff.page.route("**/api/admin/payments?*", lambda route: route.fulfill(json=answer))
    staff.page.clock.fast_forward("01:01")
    staff.page.get_by_role("button", name="Show 1 new").click()
    staff.expect_rows(1)
    expect(staff.page.get_by_role("button", name="Refresh")).to_be_focused()
    staff.page.clock.fast_forward(staff.page.evaluate(MS_UNTIL_THE_SESSION_ENDS) - 240_000)
    expect(staff.page.locator(".session")).to_contain_text("Your session expires at")
    expect(staff.page.get_by_role("button", name="Stay signed in")).to_be_visible()
    staff.expect_accessible()


PRESS_SLASH_WITH_THE_FIRST_HEADING = """new MutationObserver((changes, observer) => {
  if (!document.querySelector("h1")) return;
  observer.disconnect();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true, cancelable: true }));
  setTimeout(() => (document.body.dataset.focused = document.activeElement.id), 500);
}).observe(document, { childList: true, subtree: true });"""


def test_a_key_pressed_as_soon_as_a_view_is_shown_is_not_lost(staff: Staff) -> None:
    staff.page.add_init_script(PRESS_SLASH_WITH_THE_FIRST_HEADING)
    staff.open()
    expect(staff.page.locator("body")).to_have_attribute("data-focused", "q")


def test_the_shortcuts_are_explained_and_single_keys_can_be_turned_off(staff: Staff) -> None:
    staff.open("#/quarantine")
    staff.expect_heading("Quarantine")
    staff.page.keyboard.press("?")
    expect(staff.dialog).to_contain_text("find a payment")
    staff.expect_accessible()
    staff.dialog.get_by_label("Enable single-key shortcuts").uncheck()
    staff.page.keyboard.press("Escape")
    expect(staff.dialog).to_have_count(0)
    staff.page.keyboard.press("g")
    staff.page.keyboard.press("p")
    staff.page.keyboard.press("/")
    expect(staff.page).to_have_url(re.compile("#/quarantine$"))
    staff.main.press("Tab")
    staff.open_account()
    staff.page.get_by_role("button", name="Shortcuts").click()
    staff.dialog.get_by_label("Enable single-key shortcuts").check()
    staff.dialog.get_by_role("button", name="Close").click()
    staff.page.keyboard.press("g")
    staff.page.keyboard.press("d")
    staff.expect_heading("Disputes")
