"""An export: ordered with the list's filters, watched, fetched, and whole."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.stack.browser.console.many import Loaded
from tests.stack.browser.console.staff import Staff

MANY = 10_000
MADE_MS = 400_000
"""Half a minute where the machine has nothing else to do."""


def fetched(staff: Staff, loaded: Loaded, last: str) -> list[dict[str, str]]:
    """The rows of the CSV of all that was begun from 2022-01-01 to that day, by the buttons of the console."""
    staff.open(f"#/payments?from=2022-01-01&to={last}")
    staff.lists(50)
    staff.page.get_by_role("link", name="Export all as CSV").click()
    staff.sees(f"From: 2022-01-01, To: {last}")
    staff.accessible()
    staff.page.get_by_role("button", name="Begin the export").click()
    staff.heading("Export")
    done = staff.main.get_by_text(re.compile(rf"^Done: {len(loaded.payments):,} payments"))
    expect(done).to_be_visible(timeout=MADE_MS)
    staff.accessible("export-done")
    with staff.page.expect_download() as download:
        staff.page.get_by_role("link", name="Download the CSV").click()
    assert re.fullmatch(r"payments-.*\.csv", download.value.suggested_filename)
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.timeout(500)
def test_an_export_has_every_one_of_ten_thousand_payments(staff: Staff) -> None:
    """Over three years: the emulated table looks at a whole month to answer a page of it."""
    with Loaded(staff.running, MANY, datetime(2022, 1, 1, 6, tzinfo=UTC), timedelta(hours=3)) as loaded:
        rows = fetched(staff, loaded, "2025-06-30")
    assert {row["payment_id"] for row in rows} == {one.payment_id for one in loaded.payments}
    assert len(rows) == MANY
    assert {row["amount"] for row in rows} == {"49900"}
    staff.open("#/exports")
    expect(staff.rows()).to_have_count(1)
