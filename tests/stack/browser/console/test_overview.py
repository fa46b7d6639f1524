"""The overview: the figures of a range equal the payments, each chart has a finding, a table and a CSV file."""

import csv
import io
import json
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Locator, expect

from tests.stack.browser.console.bulk_figures import BulkFigures
from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running
from tests.stack.test_analytics import until_counted
from tests.stack.test_roles import invoke
from tuition.core.rollups import PLAN_FIGURES
from tuition.storage import keys
from tuition.storage.cursors import RECOUNT

PRICE = 49900


def total(running: Running, name: str) -> int:
    totals = [one for one in running.staff("/analytics")["totals"] if one["currency"] == "usd"]
    return int(totals[0][name]) if totals else 0


def in_dollars(amount: int) -> str:
    """Return an amount as the console writes it."""
    return f"{'-' if amount < 0 else ''}${abs(amount) / 100:,.2f}"


def tile(staff: Staff, name: str) -> Locator:
    """Return the value of a tile of US dollars: other tests pay in other currencies."""
    dollars = staff.main.get_by_role("region", name="USD", exact=True)
    return dollars.locator(".tiles > div", has=staff.page.get_by_text(name, exact=True)).locator("dd")


def store_recount(running: Running, differences: list[dict[str, Any]], missing: tuple[str, ...] = ()) -> None:
    """Store the report of a recount that was not equal."""
    report = {"at": "2026-11-24T05:00:00.000Z", "equal": False, "missing": missing, "differences": differences}
    item = {**keys.cursor_key(RECOUNT), "report": {"S": json.dumps(report)}}
    running.client("dynamodb").put_item(TableName=running.resource("CursorsTable"), Item=item)


@pytest.fixture(scope="module")
def purchases(running: Running) -> Running:
    """Make a payment that is paid, an open one, and one whose card is declined."""
    paid, waiting, declined = (running.token(f"overview-{number}") for number in range(3))
    running.pay(running.create(paid, "DP").json()["payment_intent_id"])
    running.create(waiting, "FSD")
    payment = running.create(declined, "DP").json()
    running.pay(payment["payment_intent_id"], "pm_card_chargeDeclined")
    running.until_enrolled(paid)
    running.until(lambda: running.payment(declined, payment["payment_id"])["status"] == "FAILED", "the declined card")
    return running


@pytest.fixture
def figures(purchases: Running) -> Running:
    """Count the payments. Nothing that earlier tests did changes the figures afterwards."""
    until_counted(purchases)
    assert invoke(purchases, "RecountFunction", {"full": True})["done"]
    return purchases


def test_the_figures_are_those_of_the_payments(staff: Staff, figures: Running) -> None:
    staff.open("#/overview")
    staff.expect_heading("Overview")
    for name, figure in (("Gross", "settled"), ("Net", "net"), ("Refunds", "refunded"), ("Stripe’s fees", "fees")):
        expect(tile(staff, name)).to_have_text(in_dollars(total(figures, figure)))
    details = figures.staff("/analytics/details")["outcomes"]
    paid, created = (sum(one[name] for one in details) for name in ("paid", "payments"))
    expect(tile(staff, "Success rate")).to_contain_text(f"{round(100 * paid / created)} %")
    expect(tile(staff, "Success rate")).to_contain_text(f"{paid:,} of {created:,} payments settled")
    expect(staff.main.get_by_role("img", name="Gross by track")).to_be_visible()
    staff.expect_text("Recounted on")
    staff.expect_text(": equal.")
    staff.expect_accessible("overview")


def test_a_chart_has_its_numbers_as_a_table_and_as_a_file(staff: Staff, figures: Running) -> None:
    staff.open("#/overview")
    chart = staff.main.get_by_role("figure", name="Failed charges by reason")
    expect(chart.locator("figcaption")).to_contain_text("The most frequent reason is “Generic decline”")
    show = chart.get_by_role("button", name="Show table")
    show.focus()
    staff.page.keyboard.press("Enter")
    (failures,) = [one["failures"] for one in figures.staff("/analytics")["totals"] if one["currency"] == "usd"]
    row = chart.locator("tbody tr", has_text="Generic decline")
    expect(row.locator("td")).to_have_text(str(failures["generic_decline"]))
    staff.expect_accessible()
    with staff.page.expect_download() as download:
        chart.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "failures-usd.csv"
    text = unquote(chart.get_by_role("link", name="CSV").get_attribute("href") or "").partition(",")[2]
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["Reason", "Charges"]
    assert ["Generic decline", str(failures["generic_decline"])] in rows


def test_the_range_is_in_the_address_and_a_wrong_one_is_the_last_thirty_days(staff: Staff, figures: Running) -> None:
    staff.open("#/overview")
    ranges = staff.page.get_by_role("navigation", name="Range")
    expect(ranges.locator("[aria-current]")).to_have_text("30 days")
    ranges.get_by_role("link", name="This year").click()
    assert staff.page.url.endswith("#/overview?range=year")
    expect(ranges.locator("[aria-current]")).to_have_text("This year")
    staff.page.go_back()
    expect(ranges.locator("[aria-current]")).to_have_text("30 days")
    staff.open("#/overview?range=toString")
    expect(ranges.locator("[aria-current]")).to_have_text("30 days")
    staff.page.keyboard.press("g")
    staff.page.keyboard.press("b")
    expect(staff.page.get_by_role("heading", name="Books", level=1)).to_be_visible()
    staff.page.keyboard.press("g")
    staff.page.keyboard.press("o")
    expect(staff.page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


def test_a_difference_of_the_recount_is_shown(staff: Staff, figures: Running) -> None:
    one = {"roll_up": "2026-11#UTC|day#2026-11-23#usd#DP#card", "figure": "settled", "rolled_up": 1, "recounted": 2}
    store_recount(figures, [one])
    staff.open("#/overview")
    staff.expect_text("1 figure differs from the payments.")
    staff.expect_text("2026-11-23 (UTC), USD, DP, card: settled $0.01 instead of $0.02")
    staff.expect_accessible()
    assert invoke(figures, "RecountFunction", {"full": True})["equal"]


def test_the_overview_fits_a_window_320_pixels_wide(staff: Staff, figures: Running) -> None:
    staff.open("#/overview")
    staff.page.set_viewport_size({"width": 320, "height": 700})
    closed = staff.main.get_by_role("button", name="Show table")
    expect(closed.first).to_be_visible()
    staff.page.wait_for_load_state("networkidle")  # the figures of plans and codes come after the others
    for _ in range(closed.count()):
        closed.first.click()  # it is then named "Hide table"
    expect(closed).to_have_count(0)
    assert staff.page.evaluate("document.documentElement.scrollWidth") <= 320
    staff.expect_accessible("overview-narrow")


def test_the_console_opens_with_the_overview(staff: Staff) -> None:
    staff.open("#/")
    staff.expect_heading("Overview")
    assert staff.page.title() == "Overview · Tuition console"
    navigation = staff.page.get_by_role("navigation", name="Main")
    expect(navigation.locator("[aria-current=page]")).to_have_text("Overview")
    staff.page.get_by_role("navigation", name="Range").get_by_role("link", name="7 days").click()
    assert staff.page.url.endswith("#/overview?range=7")
    expect(staff.page.get_by_role("link", name="7 days")).to_be_focused()
    navigation.get_by_role("link", name="Payments").click()
    staff.expect_heading("Payments")
    staff.page.get_by_role("banner").get_by_role("link", name="Tuition console").click()
    staff.expect_heading("Overview")


def test_the_track_and_the_time_zone_are_in_the_address(staff: Staff, figures: Running) -> None:
    staff.open("#/overview?range=7")
    staff.main.get_by_label("Track", exact=True).focus()
    staff.main.get_by_label("Track", exact=True).select_option("FSD")
    expect(staff.main.get_by_label("Track", exact=True)).to_be_focused()
    staff.page.wait_for_url("**/#/overview?range=7&track=FSD")
    query = {"from": (datetime.now(UTC) - timedelta(days=6)).strftime("%Y-%m-%d"), "track": "FSD"}
    own = [one for one in figures.staff("/analytics", **query)["totals"] if one["currency"] == "usd"]
    expect(tile(staff, "Gross")).to_have_text(in_dollars(own[0]["settled"]))
    with staff.page.expect_request(lambda request: "by=day" in request.url and "zone=school" in request.url) as event:
        staff.main.get_by_label("Days of").select_option("school")
    assert "track=FSD" in event.value.url
    staff.page.wait_for_url("**/#/overview?range=7&track=FSD&zone=school")
    expect(staff.main.get_by_label("Days of")).to_have_value("school")
    staff.page.get_by_role("link", name="30 days").click()
    staff.page.wait_for_url("**/#/overview?range=30&track=FSD&zone=school")
    staff.page.go_back()
    staff.page.go_back()
    expect(staff.main.get_by_label("Days of")).to_have_value("utc")
    expect(staff.main.get_by_label("Track", exact=True)).to_have_value("FSD")


# --- 10,000 payments ---


MAX_TABS = 40


def in_francs(amount: int) -> str:
    """Return an amount as the console writes it."""
    return f"{'-' if amount < 0 else ''}CHF {abs(amount) / 100:,.2f}"


def tab_to(staff: Staff, name: str) -> None:
    """Press Tab until the control with this text has the focus."""
    for _ in range(MAX_TABS):
        staff.page.keyboard.press("Tab")
        if staff.page.evaluate("document.activeElement.textContent") == name:
            return
    raise AssertionError(f"{name!r} is not among the next {MAX_TABS} controls")


def test_the_figures_of_ten_thousand_payments_equal_the_books_for_keyboard_and_screen_reader(
    staff: Staff, running: Running
) -> None:
    """The roll-ups are those that the recount computes, and the books are the payments added up without roll-ups."""
    with BulkFigures(running, 10_000) as bulk:
        books = bulk.books()
        started = time.monotonic()
        staff.open("#/overview?range=year")
        francs = staff.main.get_by_role("region", name="CHF", exact=True)
        net = francs.get_by_role("figure", name="Net by month")
        expect(net).to_be_visible()
        print(f"the overview of 10,000 payments after {time.monotonic() - started:.1f} s")
        tiles = {"Gross": "settled", "Net": "net", "Refunds": "refunded", "Disputes opened": "disputed"}
        for name, figure in {**tiles, "Lost to disputes": "lost", "Stripe’s fees": "fees"}.items():
            value = francs.locator("dl > div", has=staff.page.get_by_text(name, exact=True)).locator("dd")
            expect(value).to_have_text(in_francs(books[figure]))
        expect(francs.locator("dl")).to_contain_text(f"{books['paid']:,} of 10,000 payments settled")
        (total,) = running.staff("/analytics", **{"from": f"{bulk.year}-01-01"}, currency="chf")["totals"]
        assert {name: total[name] for name in ("payments", *tiles.values()) if name in total} == {
            name: books[name] for name in ("payments", *tiles.values()) if name in total
        }
        assert total["failures"] == {"card_declined": books["declined"]}
        check_with_the_keyboard(staff, francs, books)
        check_with_a_screen_reader(francs, books)
        staff.expect_accessible()
        staff.page.set_viewport_size({"width": 320, "height": 700})
        staff.expect_accessible()


def check_with_the_keyboard(staff: Staff, francs: Locator, books: Counter[str]) -> None:
    """Open the table of the months with Tab and Enter alone, and compare each of its rows."""
    staff.page.locator("h1").focus()
    for name in ("This year", "Show table of Net by month"):
        tab_to(staff, name)
    staff.page.keyboard.press("Enter")
    table = francs.get_by_role("region", name="Net by month")
    rows = {row.split("\t")[0]: row.split("\t")[2] for row in table.locator("tbody tr").all_inner_texts()}
    months = {name.removeprefix("settled in "): amount for name, amount in books.items() if "settled in " in name}
    assert {month: text.replace("\xa0", " ") for month, text in rows.items()} == {
        month: in_francs(amount) for month, amount in months.items()
    }
    staff.page.keyboard.press("Tab")
    expect(francs.get_by_role("link", name="CSV of Net by month")).to_be_focused()
    staff.page.keyboard.press("Tab")
    expect(table).to_be_focused()


def check_with_a_screen_reader(francs: Locator, books: Counter[str]) -> None:
    """Each chart is an image whose name is its title and its finding, and each column of a table has its heading."""
    best = max(books[f"settled for {track}"] for track in ("DP", "FSD"))
    findings = {
        "Net by month": f"Net is {in_francs(books['net'])} in total. The most was ",
        "Gross by track": f"received the most: {in_francs(best)} of {in_francs(books['settled'])}.",
        "Failed charges by reason": f"“Card declined”: {books['declined']} of {books['declined']}.",
    }
    for title, finding in findings.items():
        expect(francs.get_by_role("heading", name=title, level=3)).to_be_visible()
        text = re.escape(finding).replace("\\ ", r"\s")
        expect(francs.get_by_role("img", name=re.compile(f"^{title} .*{text}"))).to_be_visible()
    for column in ("Month", "Net (CHF)", "Gross (CHF)", "Refunds (CHF)", "Lost (CHF)", "Fees (CHF)"):
        expect(francs.get_by_role("columnheader", name=column, exact=True)).to_be_visible()
    expect(francs.get_by_role("rowheader")).to_have_count(sum("settled in " in name for name in books))


# --- answers in the API's place ---


NO_PLANS = dict.fromkeys(("settlements", "settled", *PLAN_FIGURES), 0)
AMOUNTS = dict.fromkeys(("created", "settled", "refunded", "lost", "fees", "net"), 0)
ZERO = {**AMOUNTS, "payments": 0, "failures": {}, "plans": NO_PLANS}
RECOUNTED = {"at": "2026-11-24T05:00:00.000Z", "equal": True, "differences": []}
DETAILS: dict[str, Any] = {"outcomes": [], "codes": [], "complete": True, "cohorts": [], "plans": []}
PLANS: dict[str, Any] = {
    "currency": "usd", "track": "DP", "kind": "installments", "settlements": 3, "settled": 37_425, "started": 2,
    "suspended": 1, "restored": 0, "completed": 0, "closed": 0, "refunded": 0, "abandoned": 4,
}  # fmt: skip


def answer(staff: Staff, figures: dict[str, Any], details: dict[str, Any] = DETAILS) -> None:
    """Answer in the API's place."""
    body = {"recount": RECOUNTED, "range": {"from": "2026-11-01", "to": "2026-11-03", "zone": "UTC"}, **figures}
    staff.page.route("**/api/admin/analytics?*", lambda route: route.fulfill(json=body))
    staff.page.route("**/api/admin/analytics/details?*", lambda route: route.fulfill(json=details))


def chart_rows(chart: Locator) -> list[list[str]]:
    """Return the rows of a chart's CSV file."""
    address = chart.get_by_role("link", name="CSV").get_attribute("href") or ""
    return list(csv.reader(io.StringIO(unquote(address.partition(",")[2]))))


def test_each_currency_has_its_minor_units_and_each_day_its_place(staff: Staff) -> None:
    of_plans = {**NO_PLANS, "settled": 37_425, "settlements": 3, "started": 2, "suspended": 1, "abandoned": 4}
    usd = {**ZERO, "period": "2026-11-02", "currency": "usd", "settled": 9_007_199_254_740_99, "net": -12_345}
    usd["plans"] = of_plans
    jpy = {**ZERO, "period": "2026-11-03", "currency": "jpy", "settled": 60_000, "net": 58_000}
    answer(staff, {"periods": [usd, jpy], "totals": [jpy, usd]}, {**DETAILS, "plans": [PLANS]})
    staff.open("#/overview")
    yen, dollars = (staff.main.get_by_role("region", name=name, exact=True) for name in ("JPY", "USD"))
    expect(yen.locator("dd").first).to_have_text("¥60,000")
    expect(dollars.locator("dd").first).to_have_text("$9,007,199,254,740.99")
    net = dollars.get_by_role("figure", name="Net by day")
    expect(net.locator("figcaption")).to_have_text("Net is -$123.45 in total.")
    expect(net.locator("rect")).to_have_count(3)
    assert chart_rows(net) == [
        ["Day", "Net (USD)", "Gross (USD)", "Refunds (USD)", "Lost (USD)", "Fees (USD)"],
        ["2026-11-01", "0.00", "0.00", "0.00", "0.00", "0.00"],
        ["2026-11-02", "-123.45", "9007199254740.99", "0.00", "0.00", "0.00"],
        ["2026-11-03", "0.00", "0.00", "0.00", "0.00", "0.00"],
    ]
    plans = dollars.get_by_role("figure", name="Payment plans")
    finding = "Plans received $374.25 in 3 payments; 2 started. Access was suspended once and restored never."
    expect(plans.locator("figcaption")).to_have_text(finding)
    assert chart_rows(plans)[1] == ["DP, installments", "374.25", "3", "2", "1", "0", "0", "0", "0", "4"]
    by_day = dollars.get_by_role("figure", name="Plans by day")
    finding = "2 plans started and access was suspended once. The most started on 2 Nov: 2."
    expect(by_day.locator("figcaption")).to_have_text(finding)
    expect(by_day.get_by_role("img", name=f"Plans by day {finding}")).to_be_visible()
    expect(by_day.locator("rect title")).to_have_text([
        *("2026-11-01: 0 started", "2026-11-02: 2 started", "2026-11-03: 0 started"),
        *("2026-11-01: 0 suspended", "2026-11-02: 1 suspended", "2026-11-03: 0 suspended"),
        *("2026-11-01: 0 completed", "2026-11-02: 0 completed", "2026-11-03: 0 completed"),
    ])  # fmt: skip
    assert chart_rows(by_day) == [
        ["Day", "Started", "Suspended", "Completed", "Restored", "Closed", "Refunded", "Abandoned", "Payments",
         "Gross (USD)"],
        ["2026-11-01", *["0"] * 8, "0.00"],
        ["2026-11-02", "2", "1", "0", "0", "0", "0", "4", "3", "374.25"],
        ["2026-11-03", *["0"] * 8, "0.00"],
    ]  # fmt: skip
    expect(yen.get_by_role("figure", name="plans")).to_have_count(0)
    net = yen.get_by_role("figure", name="Net by day")
    expect(net.locator("figcaption")).to_have_text("Net is ¥58,000 in total. The most was ¥58,000, on 3 Nov.")
    assert chart_rows(net)[3] == ["2026-11-03", "58000", "60000", "0", "0", "0"]
    staff.expect_accessible()


def test_a_recount_that_is_not_complete_or_differs_a_lot_says_so(staff: Staff) -> None:
    one = {"roll_up": "cohorts#UTC|cohort#2026-11#DP", "figure": "enrolled", "rolled_up": 1, "recounted": 1_200}
    code = {"roll_up": "2026-11#UTC|code#2026-11-23#jpy#DP#A#B", "figure": "discount", "rolled_up": 1, "recounted": 2}
    missing = {"roll_up": "pay_1", "figure": "missing", "rolled_up": 0, "recounted": 1}
    for differences, texts in (
        ([], ["The recount is not complete. It has found no difference so far."]),
        (
            [missing, one, code] * 40,
            [
                "120 or more figures differ",
                "is not counted as it is now",
                "2026-11 (UTC), DP: enrolled 1 instead of 1,200",
                "2026-11-23 (UTC), JPY, DP, A#B: discount ¥1 instead of ¥2",
                "And 110 more.",
            ],
        ),
    ):
        recount = {**RECOUNTED, "equal": False, "differences": differences}
        answer(staff, {"periods": [], "totals": [], "recount": recount})
        staff.open("#/payments")
        staff.open("#/overview")
        for text in texts:
            staff.expect_text(text)
        staff.expect_text("No payments in this range")
        staff.expect_accessible()
        staff.page.unroute_all()


def test_waiting_requests_and_the_figures_fail_and_load_again_on_their_own(staff: Staff) -> None:
    staff.expected_errors.append(r"status of 500 ")
    problem = {"type": "about:blank", "detail": "Something went wrong on our side."}
    staff.page.route("**/api/admin/analytics?*", lambda route: route.fulfill(status=500, json=problem))
    staff.page.route("**/api/admin/refund-requests?limit=1", lambda route: route.fulfill(status=500, json=problem))
    staff.open("#/overview")
    expect(staff.main.get_by_text("Requests and disputes could not be loaded.")).to_be_visible()
    expect(staff.main.get_by_text("Not known")).to_have_count(3)
    expect(staff.main.get_by_role("button", name="Try again")).to_be_visible()
    staff.expect_accessible()
    staff.page.unroute_all()
    staff.main.get_by_role("button", name="Load it again").click()
    staff.main.get_by_role("button", name="Try again").click()
    expect(staff.main.get_by_text("Not known")).to_have_count(0)
    expect(staff.main.locator(".answer")).to_be_visible()


SHIFTS = """new PerformanceObserver((list) => {
    for (const { value } of list.getEntries()) window.shift = (window.shift ?? 0) + value;
}).observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("width", [1440, 1024, 320])
def test_nothing_moves_when_the_answers_come(staff: Staff, figures: Running, width: int) -> None:
    """https://web.dev/articles/cls: 0.1 is good. The number in the navigation and the tiles have their places."""
    staff.page.set_viewport_size({"width": width, "height": 900})
    staff.page.add_init_script(SHIFTS)
    staff.open("#/")
    expect(staff.main.locator(".answer figure").first).to_be_visible()
    expect(staff.main.locator(".waiting[aria-busy=false]")).to_be_visible()
    staff.page.wait_for_load_state("networkidle")
    assert staff.page.evaluate("window.shift ?? 0") < 0.02
