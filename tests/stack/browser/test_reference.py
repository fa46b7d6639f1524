"""The page with the API reference: it shows the whole OpenAPI document, on the smallest screen and in both schemes."""

import json

import pytest
from playwright.sync_api import expect

from tests.stack.browser.screens import axe_violations
from tests.stack.browser.student import SIZES, Student, size_by_seed
from tests.stack.conftest import Running
from tools import openapi

KEEP_ONE_OF_EACH_KIND = """() => {
    const colors = (one) => {
        const style = getComputedStyle(one);
        return [style.color, style.backgroundColor, style.opacity, style.fontSize, style.fontWeight].join();
    };
    const path = (one) => (one.matches('main') ? '' : `${path(one.parentElement)} ${one.tagName} ${colors(one)}`);
    const kinds = new Set();
    for (const section of document.querySelectorAll('main > section')) {
        const before = kinds.size;
        [section, ...section.querySelectorAll('*')].forEach((one) => kinds.add(path(one)));
        if (kinds.size === before) section.remove();
    }
    return document.querySelectorAll('main > section').length;
}"""
"""Removes each section whose elements, and the elements around them, all have the colors and fonts of earlier ones.

The contrasts of such a section are those of the earlier ones. axe takes three quarters of its time for contrasts.
"""
OTHER_RULES = {"color-contrast": {"enabled": False}}


def test_the_document_is_served_beside_the_api(running: Running) -> None:
    for method in ("GET", "HEAD"):
        answer = running.api(method, "/api/openapi.json")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert running.api("GET", "/api/openapi.json").content == openapi.DOCUMENT.read_bytes()
    assert running.api("POST", "/api/openapi.json").status_code == 404


SIZE = size_by_seed("reference")


@pytest.mark.parametrize("size", [SIZE, *(pytest.param(one, marks=pytest.mark.soak) for one in SIZES if one != SIZE)])
def test_the_reference_shows_every_operation_and_type(student: Student) -> None:
    """The phone is in the dark color scheme, the desktop in the light one. The seed chooses, `make soak` takes both."""
    if student.size == "phone":
        student.page.set_viewport_size({"width": 320, "height": 640})
    student.open("reference/")
    expect(student.page.get_by_role("heading", name="Tuition API", level=1)).to_be_visible()
    document = json.loads(openapi.DOCUMENT.read_text(encoding="utf-8"))
    sections = student.page.evaluate("Array.from(document.querySelectorAll('main section[id]'), one => one.id)")
    types = [f"type-{name}" for name in document["components"]["schemas"]]
    assert sections == [*(operation.operation_id for operation in openapi.OPERATIONS), *types]
    student.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    links = student.page.evaluate("Array.from(document.querySelectorAll('a[href^=\"#\"]'), one => one.hash.slice(1))")
    assert set(links) - {"main"} <= {*sections}
    create = student.page.locator("#createPayment")
    expect(create.get_by_text("POST", exact=True)).to_be_visible()
    expect(create.get_by_text("/api/payments/create-payment", exact=True)).to_be_visible()
    expect(create.get_by_role("link", name="AlreadyEnrolledProblem")).to_be_visible()
    assert axe_violations(student.page.main_frame, rules=OTHER_RULES) == []
    assert 1 < student.page.evaluate(KEEP_ONE_OF_EACH_KIND) < len(sections)
    student.expect_accessible()


def test_an_address_that_names_nothing_shows_the_reference_from_its_start(student: Student) -> None:
    """A `%` that begins no escape cannot be decoded."""
    student.open("reference/#100%")
    expect(student.page.get_by_role("heading", name="Tuition API", level=1)).to_be_in_viewport()
    expect(student.page.locator("#createPayment")).to_have_count(1)


def test_the_reference_opens_at_the_operation_that_its_address_names(student: Student) -> None:
    student.open("reference/#requestRefund")
    expect(student.page.locator("#requestRefund h3")).to_be_in_viewport()
