"""The overview: the figures of a range equal the payments, each chart has a finding, a table and a CSV file."""

import csv
import io
import json
from urllib.parse import unquote

import pytest
from playwright.sync_api import Locator, expect

from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running
from tests.stack.test_fan_out import client, resource
from tests.stack.test_roles import invoke
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
    return staff.main.locator(".tiles > div", has=staff.page.get_by_text(name, exact=True)).locator("dd")


@pytest.fixture
def figures(staff: Staff, running: Running, sub: str) -> Running:
    """Make a payment, a refused one and a refund, and count them."""
    staff.create_and_pay(f"{sub}-1", "DP")
    running.create(running.token(f"{sub}-2"), "FSD")
    declined = running.create(running.token(f"{sub}-3"), "DP").json()
    running.pay(declined["payment_intent_id"], "pm_card_chargeDeclined")
    running.until(
        lambda: staff.details(declined["payment_id"])["payment"]["status"] == "FAILED", "the declined payment"
    )
    assert invoke(running, "RecountFunction", {"full": True})["done"]
    return running


def test_the_figures_are_those_of_the_payments(staff: Staff, figures: Running) -> None:
    staff.open("#/overview")
    expect(staff.page.get_by_role("heading", name="Overview", level=1)).to_be_focused()
    for name, figure in (("Gross", "settled"), ("Net", "net"), ("Refunds", "refunded"), ("Stripe’s fees", "fees")):
        expect(tile(staff, name).first).to_have_text(in_dollars(total(figures, figure)))
    details = figures.staff("/analytics/details")["outcomes"]
    paid, created = (sum(one[name] for one in details) for name in ("paid", "payments"))
    expect(tile(staff, "Payments that settled").first).to_have_text(f"{round(100 * paid / created)} %")
    expect(staff.main.get_by_role("img", name="Gross by track")).to_be_visible()
    staff.expect_text("Recounted")
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
    report = {"at": "2026-11-24T05:00:00.000Z", "equal": False, "missing": [], "differences": [one]}
    item = {**keys.cursor_key(RECOUNT), "report": {"S": json.dumps(report)}}
    client(figures, "dynamodb").put_item(TableName=resource(figures, "CursorsTable"), Item=item)
    staff.open("#/overview")
    staff.expect_text("settled: 1 instead of 2")
    staff.expect_accessible()
    assert invoke(figures, "RecountFunction", {"full": True})["equal"]


def test_the_overview_fits_a_window_320_pixels_wide(staff: Staff, figures: Running) -> None:
    staff.open("#/overview")
    staff.page.set_viewport_size({"width": 320, "height": 700})
    for button in staff.main.get_by_role("button", name="Show table").all():
        button.click()
    assert staff.page.evaluate("document.documentElement.scrollWidth") <= 320
    staff.expect_accessible("overview-narrow")
