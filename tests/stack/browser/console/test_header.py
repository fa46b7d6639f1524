"""The header: one line at every width, its menus with keyboard and screen reader."""

import pytest
from playwright.sync_api import expect

from tests.stack.browser.console.staff import Staff

LINE_PX = 50
LEAST_WIDTH_OF_LINKS = 1000
"""In a narrower window every link is in a menu."""
VIEWS = ("Overview", "Payments", "Attention", "Refund requests", "Disputes")
MORE = (*("Plans", "Forecast", "Books", "Statement", "Quarantine", "Exports", "Activity", "Selling", "Collecting"),)
OVERLAP = """(bar) => {
    const boxes = [...bar.children].filter((one) => one.offsetWidth).map((one) => one.getBoundingClientRect());
    return boxes.some((box, index) => index && boxes[index - 1].right > box.left);
}"""
"""Whether a part of the header covers the next one."""
LONGEST_COUNTS = """(counts) => counts.every((count) => {
    const width = count.offsetWidth;
    count.innerHTML = "<b>20+</b>";
    return count.offsetWidth === width;
})"""
"""Whether the counts have room for their longest number, which is shown from now on."""


@pytest.mark.parametrize("widths", [(1440, 1024, 1000), (990, 320)], ids=["More", "Menu"])
@pytest.mark.parametrize("role", ["staff", "support"])
def test_the_header_is_one_line_and_leads_to_every_view(
    request: pytest.FixtureRequest, role: str, widths: tuple[int, ...]
) -> None:
    """Each view is opened at the first width. Its header and the links to all views are checked at each width."""
    staff: Staff = request.getfixturevalue(role)
    menu = "More" if min(widths) >= LEAST_WIDTH_OF_LINKS else "Menu"
    staff.page.set_viewport_size({"width": widths[0], "height": 700})
    staff.open("#/refund-requests")
    staff.expect_heading("Refund requests")
    navigation = staff.page.get_by_role("navigation", name="Main")
    assert navigation.locator(".count").evaluate_all(LONGEST_COUNTS)
    button = navigation.get_by_role("button")
    for name in (*VIEWS, *MORE):
        in_menu = menu == "Menu" or name in MORE
        if in_menu:
            button.click()
        navigation.get_by_role("link", name=name).click()
        staff.page.wait_for_url(f"**/#/{name.lower().replace(' ', '-')}")
        expect(staff.page.locator("h1")).to_be_focused()
        expect(button).to_have_attribute("aria-expanded", "false")
        for width in widths:
            staff.page.set_viewport_size({"width": width, "height": 700})
            expect(button).to_have_text(f"{menu}: {name}" if in_menu else menu)
            expect_one_line(staff, f"{name} at {width}")
        staff.page.set_viewport_size({"width": widths[0], "height": 700})
    for width in widths:
        staff.page.set_viewport_size({"width": width, "height": 700})
        button.click()
        for name in (*VIEWS, *MORE):
            expect(navigation.get_by_role("link", name=name)).to_be_in_viewport(ratio=1)
        staff.page.keyboard.press("Escape")
        staff.open_account()
        expect(staff.page.get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)
        staff.expect_accessible()
        staff.page.keyboard.press("Escape")


def expect_one_line(staff: Staff, where: str) -> None:
    """Expect a header of one line whose parts cover each other nowhere, on a page that does not scroll sideways."""
    header = staff.page.get_by_role("banner")
    size, width = header.bounding_box(), staff.page.viewport_size
    assert size and width
    assert size["height"] < LINE_PX, where
    assert staff.page.evaluate("document.documentElement.scrollWidth") <= width["width"], where
    assert not header.evaluate(OVERLAP), where


def test_a_menu_opens_and_closes_with_the_keyboard(staff: Staff) -> None:
    staff.open("#/books")
    staff.expect_heading("Books")
    navigation = staff.page.get_by_role("navigation", name="Main")
    button, link = navigation.get_by_role("button"), navigation.get_by_role("link", name="Quarantine")
    expect(button).to_have_attribute("aria-expanded", "false")
    expect(link).to_be_hidden()
    button.focus()
    staff.page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    assert navigation.locator(f"#{button.get_attribute('aria-controls')}").is_visible()
    expect(navigation.locator("[aria-current=page]")).to_have_text("Books")
    staff.expect_accessible()
    staff.page.keyboard.press("Tab")
    expect(navigation.get_by_role("link", name=MORE[0])).to_be_focused()
    staff.page.keyboard.press("Escape")
    expect(link).to_be_hidden()
    expect(button).to_be_focused()
    staff.expect_heading("Books")
    staff.page.keyboard.press("Enter")
    for _ in MORE:
        staff.page.keyboard.press("Tab")
    staff.page.keyboard.press("Tab")
    expect(staff.page.get_by_role("button", name="Account of ")).to_be_focused()
    expect(link).to_be_hidden()
    staff.page.keyboard.press("Space")
    expect(staff.page.get_by_role("button", name="Sign out")).to_be_visible()
    staff.main.click(position={"x": 5, "y": 400})
    expect(staff.page.get_by_role("button", name="Sign out")).to_be_hidden()


def test_the_shortcuts_give_the_focus_back_to_the_account(staff: Staff) -> None:
    staff.open("#/books")
    staff.open_account()
    staff.page.get_by_role("button", name="Shortcuts").click()
    expect(staff.dialog).to_be_visible()
    staff.page.keyboard.press("Escape")
    expect(staff.dialog).to_have_count(0)
    expect(staff.page.get_by_role("button", name="Account of ")).to_be_focused()
