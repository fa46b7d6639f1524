"""Students and staff get a copy of everything that is stored about a person: as a file, and as a page to print."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Download, expect

from tests.stack.browser.student import Student, size_by_seed
from tests.stack.browser.test_student_states import open_view, paid


@pytest.fixture
def size(request: pytest.FixtureRequest) -> str:
    return size_by_seed(request.node.nodeid)


def content(download: Download) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(download.path()).read_text(encoding="utf-8"))
    return data


def ids(data: dict[str, Any]) -> list[str]:
    return [payment["attributes"]["payment_id"] for payment in data["payments"]]


def test_a_student_downloads_and_reads_their_data_with_the_keyboard(student: Student) -> None:
    payment = paid(student)
    open_view(student, "#/account", "Account")
    student.expect_accessible()
    with student.page.expect_download() as download:
        student.main.get_by_role("button", name="Download my data").press("Enter")
    data = content(download.value)
    assert download.value.suggested_filename.startswith("my-data-2")
    assert ids(data) == [payment["payment_id"]]
    assert (data["user_id"], data["next_cursor"]) == (student.sub, None)
    student.main.get_by_role("button", name="Show my data").press("Enter")
    expect(student.main.get_by_role("heading", level=2, name="Your data on")).to_be_focused()
    for text in (payment["payment_id"], f"{student.sub}@example.org", "ENROLLED"):
        student.expect_text(text)
    student.expect_accessible()


def test_a_refused_part_says_when_to_continue_and_keeps_the_rest(student: Student) -> None:
    """The copy has two parts, and the API refuses the second one once."""
    payment = paid(student)
    first = student.running.api("GET", "/api/me/export", student.token).json()
    cursors: list[str] = []

    def answer(route: Any) -> None:
        if "cursor" not in route.request.url:
            route.fulfill(json={**first, "next_cursor": "second"})
            return
        cursors.append(route.request.url.rpartition("=")[2])
        if len(cursors) == 1:
            detail = "You sent too many requests. Wait a moment, then try again."
            body = {"type": "https://tuition.school/problems/too-many-requests", "detail": detail}
            route.fulfill(status=429, json=body, headers={"retry-after": "10"})
        else:
            route.fulfill(json={**first, "person": None, "payments": [], "next_cursor": None})

    student.expected_errors.append("status of 429")
    student.page.route("**/api/me/export*", answer)
    open_view(student, "#/account", "Account")
    button = student.main.get_by_role("button", name="Download my data")
    button.click()
    expect(student.main.get_by_role("alert")).to_contain_text("Try again in 10 s")
    with student.page.expect_download() as download:
        button.click()
    assert ids(content(download.value)) == [payment["payment_id"]]
    assert cursors == ["second", "second"]


def test_a_student_updates_their_address_and_signs_out_everywhere(student: Student) -> None:
    payment = paid(student)
    open_view(student, "#/account", "Account")
    student.main.get_by_role("button", name="Update my address").press("Enter")
    student.expect_text(f"Your payments now show {student.sub}@example.org.")
    student.expect_accessible()
    assert student.payments()[0]["payment_id"] == payment["payment_id"]
    student.main.get_by_role("button", name="Sign out everywhere…").click()
    dialog = student.page.get_by_role("dialog", name="Sign out everywhere?")
    student.expect_accessible()
    with student.page.expect_response("**/api/me/sign-out-everywhere") as response:
        dialog.get_by_role("button", name="Sign out everywhere").click()
    assert response.value.status == 200
    expect(student.page.locator("#who").get_by_role("link", name="Sign in")).to_be_visible()
    assert student.page.evaluate("sessionStorage.length") == 0


def test_a_part_that_is_too_large_has_a_link(student: Student) -> None:
    file = {"url": "https://files.example.org/part", "url_expires_at": "2026-11-23T18:30:00.000Z", "bytes": 5_000_000}
    student.page.route("**/api/me/export*", lambda route: route.fulfill(status=202, json={**file, "next_cursor": None}))
    open_view(student, "#/account", "Account")
    student.main.get_by_role("button", name="Show my data").click()
    expect(student.main.get_by_role("link", name="Part 1")).to_have_attribute("href", file["url"])
    student.expect_accessible()
