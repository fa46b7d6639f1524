"""An admin downloads everything that is stored about a person, and the download and the reads are on record."""

from playwright.sync_api import expect

from tests.stack.browser.console.staff import Staff
from tests.stack.browser.test_my_data import content, ids

BUTTON = "Download all data…"


def test_an_admin_downloads_everything_about_a_person_on_record(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.open(f"#/users/{sub}")
    staff.page.get_by_role("button", name=BUTTON).press("Enter")
    expect(staff.dialog).to_contain_text("recorded in your audit trail")
    staff.expect_accessible()
    with staff.page.expect_download() as download:
        staff.page.keyboard.press("Tab")
        staff.dialog.get_by_role("button", name="Download", exact=True).press("Enter")
    assert ids(content(download.value)) == [payment_id]
    expect(staff.dialog).to_have_count(0)
    staff.expect_text("Downloaded.")
    trail = staff.running.staff(f"/users/{staff.sub}")["audit"]
    recorded = [record["transition"] for record in trail if sub in str(record["transition"])]
    assert {"read": {"users": [sub]}} in recorded
    assert {"export": {"kind": "personal_data", "user": sub}} in recorded


def test_an_admin_corrects_the_address_of_a_student(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.open(f"#/users/{sub}")
    staff.page.get_by_role("button", name="Correct email address…").press("Enter")
    expect(staff.dialog).to_contain_text(f"Stored now: {sub}@example.org")
    staff.expect_accessible()
    staff.dialog.get_by_label("New email address").fill(f"{sub}.new@example.org")
    staff.page.keyboard.press("Enter")
    staff.expect_text("Corrected, in 1 payment.")
    payment = staff.running.staff(f"/payments/{payment_id}")["payment"]
    assert payment["email"] == f"{sub}.new@example.org"
    matches = staff.running.staff("/payments", q=f"{sub}.new@")["payments"]
    assert [match["payment_id"] for match in matches] == [payment_id]


def test_support_has_no_button_for_a_download(support: Staff, sub: str) -> None:
    support.create_and_pay(sub)
    support.open(f"#/users/{sub}")
    for name in (BUTTON, "Correct email address…"):
        expect(support.page.get_by_role("button", name=name)).to_have_count(0)
