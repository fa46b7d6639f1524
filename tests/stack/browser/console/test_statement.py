"""The monthly statement in the console: made, shown, downloaded, printed, and tied out with a payout."""

import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect

from tests.stack.browser.console.staff import Staff

MAKE_TIMEOUT_MS = 120_000


def make(staff: Staff) -> None:
    """Press the button, and wait for both files."""
    staff.main.get_by_role("button", name="Make statement").click()
    links = staff.main.get_by_role("link", name="Download CSV")
    expect(links).to_have_count(2, timeout=MAKE_TIMEOUT_MS)


def section(staff: Staff, name: str) -> Locator:
    return staff.main.get_by_role("region", name=name, exact=True)


def download(staff: Staff, name: str) -> list[dict[str, str]]:
    """Download the CSV of a section, and return its rows."""
    with staff.page.expect_download() as event:
        section(staff, name).get_by_role("link", name="Download CSV").click()
    kind = "statement" if name == "Balance transactions" else "payouts"
    assert re.fullmatch(rf"{kind}-20\d\d-\d\d-.*\.csv", event.value.suggested_filename)
    text = Path(event.value.path()).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def decimal(cents: int) -> str:
    """Return an amount of dollars as the page writes it."""
    return f"{'−' if cents < 0 else ''}{abs(cents) // 100:,}.{abs(cents) % 100:02}"


def test_a_statement_adds_up_and_ties_out_with_its_payout(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    payment = staff.details(payment_id)["payment"]
    charge = payment["stripe_charge_id"]
    staff.running.stripe("POST", "/v1/refunds", charge=charge, amount=5_000)
    staff.running.until(
        lambda: staff.running.stripe("GET", f"/v1/charges/{charge}")["balance_transaction"], "the balance transaction"
    )
    staff.running.until(lambda: staff.details(payment_id)["payment"]["refund_amount"] == 5_000, "the refund")
    staff.running.sim("balance_transactions", type="stripe_fee", amount=-250, currency="usd", description="Radar")
    payout = staff.running.sim("payouts", currency="usd", include_pending=True)
    staff.running.sim("payouts", payout=payout["id"], status="paid")
    staff.running.sim("balance_transactions", type="adjustment", amount=900, currency="eur", description="Correction")
    month = datetime.fromtimestamp(payout["created"], UTC).strftime("%Y-%m")

    staff.open(f"#/statement?month={month}")
    staff.expect_heading("Statement")
    staff.expect_accessible()
    make(staff)
    staff.expect_text("The month was not over when this was made.")
    rows = download(staff, "Balance transactions")
    own = {row["kind"]: row for row in rows if row["payment_id"] == payment_id}
    assert (own["charge"]["amount_decimal"], own["refund"]["amount_decimal"]) == ("499.00", "-50.00")
    assert {row["explained"] for row in own.values()} == {"yes"}
    dollars = [row for row in rows if row["currency"] == "usd"]
    table = section(staff, "Balance transactions").get_by_role("table", name="USD")
    for name, cents in (
        ("Settled", sum(int(row["amount"]) for row in dollars if row["kind"] == "charge")),
        ("Refunded", sum(int(row["amount"]) for row in dollars if row["kind"] == "refund")),
        ("Change of the balance", sum(int(row["net"]) for row in dollars)),
    ):
        expect(table.get_by_role("row", name=name)).to_contain_text(decimal(cents))
    staff.expect_text("Radar")

    paid_out = download(staff, "Payouts")
    assert payment_id in {row["payment_id"] for row in paid_out if row["payout"] == payout["id"]}
    assert sum(int(row["net"]) for row in paid_out if row["payout"] == payout["id"]) == 0
    group = section(staff, "Payouts").locator("tbody", has_text=payout["id"]).first
    expect(group).to_contain_text(re.compile("ties out"))
    expect(group).to_contain_text(f"{decimal(payout['amount'])} USD")
    expect(group).to_contain_text("Stripe’s fees")
    staff.page.evaluate("window.scrollTo(0, 0)")
    staff.expect_accessible("statement")

    address = staff.page.url
    staff.main.get_by_label("Currency").select_option("eur")
    expect(section(staff, "Balance transactions").get_by_role("table", name="USD")).to_have_count(0)
    staff.page.go_back()
    expect(table).to_be_visible()
    assert staff.page.url == address
    staff.page.reload()
    expect(staff.main.get_by_role("link", name="Download CSV")).to_have_count(2)

    staff.page.emulate_media(media="print")
    expect(staff.page.get_by_role("navigation", name="Main")).to_be_hidden()
    expect(staff.main.get_by_role("button", name="Print")).to_be_hidden()
    expect(staff.main.get_by_role("heading", name="Statement")).to_contain_text("of ")
    expect(table).to_be_visible()
    if staff.screenshots:
        staff.page.pdf(path=staff.screenshots / "statement.pdf")
        staff.page.screenshot(path=staff.screenshots / "statement-print.png", full_page=True)
    staff.page.emulate_media(media="screen")

    staff.page.set_viewport_size({"width": 320, "height": 700})
    staff.page.reload()
    expect(staff.main.get_by_role("link", name="Download CSV")).to_have_count(2)
    staff.expect_accessible("statement-narrow")
    if staff.screenshots:
        staff.page.screenshot(path=staff.screenshots / "statement-320.png", full_page=True)


PERIOD = {"month": "2026-10", "through": "2026-10-31T23:59:59.000Z", "complete": True}
DONE = {
    "state": "done",
    "filters": {"month": "2026-10"},
    "rows": 2,
    "bytes": 900,
    "problem": None,
    "ordered_at": "2026-11-02T08:00:00.000Z",
    "done_at": "2026-11-02T08:00:05.000Z",
    "url": "/statement.csv",
    "url_expires_at": "2026-11-02T08:05:05.000Z",
}


def answer(staff: Staff, export_id: str, **fields: Any) -> None:
    """Answer the progress of an export in the API's place."""
    body = {"export_id": export_id, **DONE, "statement": None, "tie_out": None, **fields}
    staff.page.route(f"**/api/admin/exports/{export_id}", lambda route: route.fulfill(json=body))


def test_a_statement_says_what_does_not_tie_out_and_why_a_file_failed(staff: Staff) -> None:
    sum_ = {"kind": "charge", "currency": "usd", "explained": True, "lines": 1, "amount": 49_900, "fee": 1_477}
    payout = {
        "payout_id": "po_short",
        "created_at": "2026-10-05T00:00:00.000Z",
        "status": "paid",
        "currency": "usd",
        "arrives_at": "2026-10-07T00:00:00.000Z",
        "automatic": True,
        "reconciliation_status": "completed",
        "amount": 48_000,
        "listed": True,
        "sums": [{**sum_, "net": 48_423}],
        "difference": -423,
        "balance_transaction": "txn_po",
        "failure_balance_transaction": None,
    }
    manual = {**payout, "payout_id": "po_manual", "automatic": False, "listed": False, "sums": []}
    unlisted = {**payout, "payout_id": "po_unlisted", "listed": False, "sums": [], "difference": 48_000}
    tie_out = {**PERIOD, "payouts": [payout, manual, unlisted], "unexplained": [], "unexplained_lines": 0}
    answer(staff, "exp_payouts", kind="payouts", tie_out=tie_out)
    answer(staff, "exp_statement", kind="statement", state="failed", problem="The month has too many payouts.")
    staff.open("#/statement?month=2026-10&statement=exp_statement&payouts=exp_payouts")
    expect(staff.main.get_by_role("alert")).to_contain_text("The month has too many payouts.")
    staff.expect_text("differs by −4.23 USD")
    staff.expect_text("manual: Stripe cannot say what it includes")
    staff.expect_text("Stripe does not list what it includes")
    staff.expect_accessible()


LINE: dict[str, Any] = {
    "created_at": "2026-10-05T00:00:00.000Z",
    "kind": "stripe_fee",
    "type": "stripe_fee",
    "explained": False,
    "our_amount": None,
    "source_amount": None,
    "source_currency": None,
    "description": "Radar",
    "payment_id": None,
}
KINDS = (None, "installments", "membership")
TOTAL = {"settled": 0, "refunded": 0, "lost": 0, "fees": 0, "net": 0, "paid_out": 0}


def test_unexplained_lines_are_counted_in_the_chosen_currency_and_printed_whole(staff: Staff) -> None:
    """ISK: Stripe counts it in hundredths, although it has no coins and the browser writes none."""
    lines = [{**LINE, "transaction_id": f"txn_{number}", "currency": "usd", "net": -25} for number in range(60)]
    lines += [{**LINE, "transaction_id": "txn_isk", "currency": "isk", "net": -123_400}]
    sum_ = {"kind": "stripe_fee", "explained": False, "fee": 0}
    sums = [
        {**sum_, "currency": "isk", "lines": 1, "amount": -123_400, "net": -123_400},
        {**sum_, "currency": "usd", "lines": 70, "amount": -1_750, "net": -1_750},
    ]
    totals = [{**TOTAL, "currency": one["currency"], "other": one["net"], "balance_change": one["net"]} for one in sums]
    by_plan = [{**TOTAL, "plan_kind": kind, "currency": "usd", "lines": 2, "settled": 24_950} for kind in KINDS]
    period = {**PERIOD, "totals": totals, "by_plan": by_plan, "sums": sums}
    statement = {**period, "unexplained": lines, "unexplained_lines": 71}
    answer(staff, "exp_statement", kind="statement", statement=statement)
    staff.open("#/statement?month=2026-10&statement=exp_statement")
    staff.expect_text("71 lines without")
    staff.expect_text("The newest 61 are shown; the CSV has all.")
    of_plans = section(staff, "Balance transactions").get_by_role("region", name="Sums by kind of plan")
    expect(of_plans.locator("tbody tr")).to_contain_text(["without a plan2249.50 USD", "Installments", "Memberships"])
    rows = (
        section(staff, "Balance transactions")
        .get_by_role("region", name="Lines that are not explained")
        .locator("tbody tr:visible")
    )
    expect(rows).to_have_count(50)
    staff.page.emulate_media(media="print")
    expect(rows).to_have_count(61)
    staff.page.emulate_media(media="screen")
    staff.main.get_by_label("Currency").select_option("isk")
    staff.expect_text("1 line without")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("−1,234.00 ISK")
    expect(staff.main.get_by_text("are shown; the CSV has all.")).to_have_count(0)
    staff.expect_accessible()


def test_another_month_starts_over_and_an_expired_statement_says_so(staff: Staff) -> None:
    staff.expected_errors.append(r"status of 404 ")
    none = f"exp_{'0' * 32}"
    staff.open(f"#/statement?month=2026-10&statement={none}&payouts={none}")
    expect(staff.main.get_by_text("It has expired, or it isn’t yours.").first).to_be_visible()
    staff.expect_accessible()
    staff.main.get_by_label("Month (UTC)").fill("2026-09")
    staff.page.wait_for_url("**/console/#/statement?month=2026-09")
    expect(staff.main.get_by_role("button", name="Make statement")).to_be_visible()
    staff.page.keyboard.press("Escape")
    staff.page.locator("h1").focus()
    staff.page.keyboard.press("g")
    staff.page.keyboard.press("b")
    staff.expect_heading("Books")
    staff.page.keyboard.press("g")
    staff.page.keyboard.press("t")
    staff.expect_heading("Statement")


def test_a_statement_that_cannot_be_ordered_says_so_and_can_be_tried_again(staff: Staff) -> None:
    staff.expected_errors.append(r"status of 503 ")
    problem = {"type": "https://tuition.school/problems/unavailable", "detail": "A part is not responding."}
    staff.page.route("**/api/admin/exports", lambda route: route.fulfill(status=503, json=problem))
    staff.open("#/statement")
    button = staff.main.get_by_role("button", name="Make statement")
    button.click()
    expect(staff.main.get_by_role("alert")).to_contain_text("It’s safe to try again")
    staff.expect_accessible()
    expect(button).to_be_focused()


def test_support_cannot_make_a_statement(support: Staff) -> None:
    support.open("#/statement")
    support.expect_text("Only admins can make a statement")
    expect(support.main.get_by_role("button", name="Make statement")).to_have_count(0)
    support.expect_accessible()
