"""Staff write down what they know, see what they did, and find a payment by what they remember of it."""

import re

from playwright.sync_api import Locator, expect

from tests.stack.browser.console.staff import Staff


def panel(staff: Staff) -> Locator:
    return staff.main.get_by_role("region", name="Notes and tags")


def test_notes_are_written_without_the_mouse_and_the_day_s_activity_names_them(staff: Staff, sub: str) -> None:
    staff.expected_errors.append(r"status of 422 .*/admin/tags")
    payment_id = staff.create_and_pay(sub)
    staff.open_payment(payment_id)
    note = panel(staff).get_by_label("New note")
    note.fill("Called; a parent pays\n" + "x" * 200)
    note.press("Tab")
    staff.page.keyboard.press("Enter")
    expect(panel(staff).get_by_text("Called; a parent pays")).to_be_visible()
    expect(panel(staff).get_by_role("status")).to_have_text("Note saved.")
    expect(note).to_be_focused()
    expect(note).to_have_value("")
    tag = panel(staff).get_by_label("New tag")
    tag.fill("no <tag>")
    tag.press("Enter")
    expect(tag).to_have_attribute("aria-invalid", "true")
    expect(panel(staff).get_by_role("alert").filter(has_text="A tag has 1 to 30")).to_be_visible()
    tag.fill("VIP")
    tag.press("Enter")
    expect(panel(staff).get_by_role("list", name="Tags")).to_contain_text("vip")
    for width in (1440, 320):
        staff.page.set_viewport_size({"width": width, "height": 900})
        staff.expect_accessible()
        staff.take_screenshot(f"notes-{width}")
    staff.page.set_viewport_size({"width": 1440, "height": 900})
    panel(staff).get_by_role("button", name="Remove tag vip").click()
    expect(panel(staff).get_by_role("list", name="Tags")).to_have_count(0)
    expect(panel(staff).get_by_role("heading", name="Notes and tags")).to_be_focused()

    staff.open(f"#/users/{sub}")
    expect(panel(staff)).to_contain_text("Called; a parent pays")
    expect(panel(staff).get_by_role("link", name="a payment")).to_have_attribute("href", re.compile(payment_id))

    def wrote() -> bool:
        actions = staff.running.staff("/activity", staff=staff.sub)["actions"]
        return {"note.written", "tags.changed", "data.read"} <= {action["type"] for action in actions}

    staff.running.until(wrote, "the activity of the member of staff")
    staff.open("#/activity")
    table = staff.main.get_by_role("table")
    for text in ("Wrote a note", "Changed tags", "Read personal data of 1 person"):
        expect(table).to_contain_text(text)
    expect(staff.main.get_by_label("Member of staff")).to_have_value(staff.sub)
    for width in (1440, 320):
        staff.page.set_viewport_size({"width": width, "height": 900})
        staff.expect_accessible()
        staff.take_screenshot(f"activity-{width}")
    staff.main.get_by_label("Day (UTC)").fill("2026-01-01")
    staff.expect_text("No activity on this day")
