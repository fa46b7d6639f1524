"""An export with the filters of the list: start it, wait for it, download it, compare it."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.stack.browser.console.bulk_payments import BulkPayments
from tests.stack.browser.console.staff import Staff

EXPORT_TIMEOUT_MS = 400_000
"""An export takes half a minute on an idle machine."""


def export_csv(staff: Staff, count: int, last_day: str) -> list[dict[str, str]]:
    """Export the payments created from 2022-01-01 to that day with the console, and return the rows of the CSV."""
    staff.open(f"#/payments?from=2022-01-01&to={last_day}")
    staff.expect_rows(50)
    staff.page.get_by_role("link", name="Export all as CSV").click()
    staff.expect_text(f"From: 2022-01-01, To: {last_day}")
    staff.expect_accessible()
    staff.page.get_by_role("button", name="Export CSV").click()
    staff.expect_heading("Export")
    ready = staff.main.get_by_text(re.compile(rf"^Export ready: {count:,} payments"))
    expect(ready).to_be_visible(timeout=EXPORT_TIMEOUT_MS)
    staff.expect_accessible("export-done")
    with staff.page.expect_download() as download:
        staff.page.get_by_role("link", name="Download CSV").click()
    assert re.fullmatch(r"payments-.*\.csv", download.value.suggested_filename)
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.timeout(500)
@pytest.mark.parametrize(("count", "hours"), [(300, 100), pytest.param(10_000, 3, marks=pytest.mark.soak)])
def test_an_export_contains_every_payment_of_three_years(staff: Staff, count: int, hours: int) -> None:
    """The payments span three years, because the emulated table reads a whole month for each page."""
    with BulkPayments(staff.running, count, datetime(2022, 1, 1, 6, tzinfo=UTC), timedelta(hours=hours)) as bulk:
        rows = export_csv(staff, count, "2025-06-30")
    assert {row["payment_id"] for row in rows} == {payment.payment_id for payment in bulk.payments}
    assert len(rows) == count
    assert {row["amount"] for row in rows} == {"49900"}
    staff.open("#/exports")
    expect(staff.rows()).to_have_count(1)
