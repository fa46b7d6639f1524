"""Finding a payment in each way, by filters, by date and by the keyboard."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus

import pytest
from playwright.sync_api import expect

from tests.stack.browser.console.many import Loaded
from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running

ROWS = 130


@pytest.fixture(scope="module")
def loaded(running: Running) -> Iterator[Loaded]:
    """Payments of March and April 2021, of no consequence to anybody."""
    with Loaded(running, ROWS, datetime(2021, 3, 1, 12, tzinfo=UTC), timedelta(hours=11)) as found:
        yield found


def test_a_payment_is_found_by_everything_that_names_it(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    payment = staff.known(payment_id)["payment"]
    names = [payment_id, payment["payment_intent_id"], payment["stripe_charge_id"], payment["stripe_customer_id"]]
    session = staff.running.api(
        "POST", "/api/payments/create-checkout-session/", staff.running.token(sub), json={"track": "FSD"}
    ).json()
    staff.open()
    for words in [*names, session["session_id"], f"{sub}@example.org", f"{sub}@"]:
        staff.find(words)
        expect(staff.page).to_have_url(re.compile(rf"[?&]q={quote_plus(words)}$"))
        staff.sees("shown")
        expect(staff.rows().first).to_contain_text(f"{sub}@example.org")
    staff.lists(2)
    staff.find(sub)
    staff.lists(2)
    staff.find(payment_id)
    staff.lists(1)
    staff.find("nobody@example.org")
    staff.sees("No payment fits these filters")
    staff.accessible()
    staff.page.get_by_role("link", name="Clear the filters").click()
    expect(staff.page).to_have_url(re.compile(r"#/payments$"))


def test_the_list_says_of_each_what_became_of_it(staff: Staff, sub: str) -> None:
    ada, carl = staff.bought(f"{sub}-ada"), staff.bought(f"{sub}-carl", "FSD", "pm_card_mastercard")
    staff.bought(f"{sub}-edsger", "DP", "pm_card_chargeDeclinedInsufficientFunds", status="FAILED")
    staff.bought(f"{sub}-grace", "FSD", "pm_card_chargeDeclinedExpiredCard", status="FAILED")
    asked = staff.bought(f"{sub}-ida", "FSD", "pm_card_createDisputeInquiry")
    staff.running.create(staff.running.token(f"{sub}-john"))
    for payment_id, amount in ((ada, 12000), (carl, 59900)):
        body = {"amount": amount, "reason": "A part was missing"}
        path = f"/api/admin/payments/{payment_id}/refunds/"
        assert staff.running.api("POST", path, staff.token, json=body).is_success
    staff.running.until(lambda: staff.known(asked)["payment"]["attention"], "a mark")
    staff.open(f"#/payments?q={sub}-")
    staff.lists(6)
    for name, words in (
        ("ada", ["SUCCEEDED", "499.00 USD", "−120.00 USD refunded", "Visa ··4242"]),
        ("carl", ["REFUNDED", "599.00 USD", "−599.00 USD refunded", "Mastercard ··4444"]),
        ("edsger", ["FAILED", "insufficient funds"]),
        ("grace", ["FAILED", "expired card"]),
        ("ida", ["SUCCEEDED", "dispute"]),
        ("john", ["CREATED"]),
    ):
        row = staff.rows().filter(has_text=f"{sub}-{name}@example.org")
        for word in words:
            expect(row).to_contain_text(word)
    staff.page.get_by_label("Refunded").select_option("true")
    staff.lists(1)
    staff.page.get_by_label("Refunded").select_option("")
    staff.page.get_by_label("Disputed").select_option("true")
    staff.lists(1)
    staff.page.get_by_label("Disputed").select_option("")
    staff.lists(6)
    staff.accessible("payments")


def test_filters_are_in_the_address_combine_and_are_gone_back_from(staff: Staff, sub: str) -> None:
    staff.bought(sub, "FSD", "pm_card_chargeDeclinedInsufficientFunds", status="FAILED")
    staff.open(f"#/payments?q={sub}")
    staff.lists(1)
    expect(staff.rows().first).to_contain_text("insufficient funds")
    staff.page.get_by_label("Status").select_option("FAILED")
    staff.page.get_by_label("Track").select_option("FSD")
    expect(staff.page).to_have_url(re.compile(r"q=.*&status=FAILED&track=FSD"))
    staff.lists(1)
    staff.page.get_by_label("Most").fill("598.99")
    staff.page.keyboard.press("Enter")
    staff.sees("No payment fits these filters")
    staff.page.get_by_label("Most").fill("599")
    staff.page.keyboard.press("Enter")
    staff.lists(1)
    staff.page.get_by_label("Least amount").fill("six hundred")
    staff.page.keyboard.press("Enter")
    expect(staff.page.get_by_label("Least amount")).to_have_attribute("aria-invalid", "true")
    staff.page.get_by_label("Least amount").fill("")
    staff.page.reload()
    expect(staff.page.get_by_label("Status")).to_have_value("FAILED")
    expect(staff.page.get_by_label("Most")).to_have_value("599.00")
    staff.lists(1)
    for _ in range(3):
        staff.page.go_back()
    expect(staff.page).to_have_url(re.compile(r"q=[^&]*&status=FAILED$"))
    expect(staff.page.get_by_label("Track")).to_have_value("")
    staff.lists(1)
    staff.page.get_by_label("Attention").select_option("true")
    staff.sees("No payment fits these filters")
    staff.page.get_by_label("Attention").select_option("")
    staff.lists(1)


def test_an_address_that_was_mangled_is_refused_once_and_cleared(staff: Staff) -> None:
    staff.expected += ["status of 422 ", "does not conform to the required format"]
    asked: list[str] = []
    staff.page.on("request", lambda request: asked.append(request.url) if "/api/admin/" in request.url else None)
    staff.open("#/payments?from=yesterday&amount_max=much")
    expect(staff.main.get_by_role("alert")).to_contain_text("from", ignore_case=True)
    expect(staff.page.get_by_label("Most")).to_have_value("much")
    staff.page.wait_for_load_state("networkidle")
    assert len(asked) == 3, asked  # the list, the months, and what needs a person
    staff.page.get_by_role("link", name="Clear all filters").click()
    expect(staff.main.locator(".answer")).to_be_visible()


def test_an_amount_of_thousands_is_changed_in_its_field(staff: Staff) -> None:
    staff.open("#/payments?amount_max=123400")
    most = staff.page.get_by_label("Most")
    expect(most).to_have_value("1234.00")
    most.press("End")
    most.press("Backspace")
    most.press("5")
    most.press("Enter")
    expect(staff.page).to_have_url(re.compile("amount_max=123405$"))


def test_the_dates_are_gone_down_by_month_and_day(staff: Staff, loaded: Loaded) -> None:
    staff.open("#/payments?from=2021-03-01&to=2021-03-31")
    months = staff.page.get_by_role("complementary", name="By date")
    expect(months.get_by_role("heading", name="2021")).to_be_visible()
    month = months.get_by_role("link", name="March")
    expect(month).to_have_attribute("aria-current", "true")
    expect(month).to_contain_text(str(loaded.within("2021-03")))
    day = months.get_by_role("link", name="Thu 4")
    expect(day).to_contain_text(str(loaded.within("2021-03-04")))
    staff.lists(50)
    staff.accessible()
    day.click()
    staff.lists(loaded.within("2021-03-04"))
    titles = staff.rows().locator("td:first-child time").evaluate_all("found => found.map((one) => one.title)")
    assert {title[:10] for title in titles} == {"2021-03-04"}
    assert all(title.endswith(" UTC") for title in titles)
    staff.page.go_back()
    staff.lists(50)
    months.get_by_role("link", name="April").click()
    expect(months.get_by_role("link", name="April")).to_contain_text(str(loaded.within("2021-04")))
    months.get_by_role("link", name="All dates").click()
    expect(staff.page).to_have_url(re.compile(r"#/payments$"))
    staff.page.get_by_label("From").fill("2022-05-01")  # a date that is typed leads the months, too
    expect(months.get_by_role("heading", name="2022")).to_be_visible()


def test_a_long_list_is_paged_and_gone_back_in(staff: Staff, loaded: Loaded) -> None:
    staff.open("#/payments?from=2021-03-01&to=2021-04-30")
    staff.lists(50)
    first = staff.rows().first.get_attribute("data-id")
    staff.page.get_by_role("link", name="Older").click()
    expect(staff.page).to_have_url(re.compile("cursor="))
    expect(staff.main.locator(f"tr[data-id={first}]")).to_have_count(0)
    staff.lists(50)
    staff.page.get_by_role("link", name="Older").click()
    staff.lists(ROWS - 100)
    expect(staff.page.get_by_role("link", name="Older")).to_have_count(0)
    staff.page.get_by_role("button", name="Back").click()
    staff.lists(50)
    staff.page.get_by_role("link", name="Newest").click()
    expect(staff.main.locator(f"tr[data-id={first}]")).to_have_count(1)


def test_the_keyboard_alone_finds_opens_and_comes_back(staff: Staff, sub: str) -> None:
    older, newer = staff.bought(sub, "DP"), staff.bought(sub, "FSD")
    keys = staff.page.keyboard
    staff.open("#/attention")
    staff.heading("Needs a person")
    keys.press("/")
    expect(staff.page.get_by_label("Find")).to_be_focused()
    keys.type(sub)
    keys.press("Enter")
    staff.lists(2)
    keys.press("Escape")
    for key, payment_id in (("ArrowDown", newer), ("j", older), ("k", newer), ("ArrowDown", older)):
        keys.press(key)
        expect(staff.main.locator(f"tr[data-id={payment_id}] a.open")).to_be_focused()
    keys.press("Enter")
    staff.heading("499.00 USD for DP")
    keys.press("r")
    expect(staff.dialog.get_by_label("Amount in USD")).to_be_focused()
    keys.press("Escape")
    expect(staff.dialog).to_have_count(0)
    keys.press("Escape")
    staff.lists(2)
    expect(staff.main.locator(f"tr[data-id={older}] a.open")).to_be_focused()
    expect(staff.page).to_have_url(re.compile(f"q={sub}"))


def test_the_keys_are_explained_and_single_ones_can_be_switched_off(staff: Staff) -> None:
    staff.open("#/quarantine")
    staff.heading("Quarantine")
    staff.page.keyboard.press("?")
    expect(staff.dialog).to_contain_text("find a payment")
    staff.accessible()
    staff.dialog.get_by_label("Keys of a single character act").uncheck()
    staff.page.keyboard.press("Escape")
    expect(staff.dialog).to_have_count(0)
    staff.page.keyboard.press("g")
    staff.page.keyboard.press("p")
    staff.page.keyboard.press("/")
    expect(staff.page).to_have_url(re.compile("#/quarantine$"))
    staff.main.press("Tab")
    staff.page.get_by_role("button", name="Keys").click()
    staff.dialog.get_by_label("Keys of a single character act").check()
    staff.dialog.get_by_role("button", name="Close").click()
    staff.page.keyboard.press("g")
    staff.page.keyboard.press("d")
    staff.heading("Disputes")
