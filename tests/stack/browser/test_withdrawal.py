"""A student in the EU withdraws from the contract in two steps, and staff see by when the money is due."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.stack.browser.console.staff import Staff
from tests.stack.browser.student import Student, size_by_seed
from tests.stack.browser.test_student_states import open_view, paid
from tests.stack.conftest import Running
from tests.stack.function_settings import REGION_FUNCTIONS, changed
from tests.stack.test_plans import begin, started

WITHDRAW = re.compile("^Withdraw from contract here")
LOST = "Your progress is saved in case you come back."


@pytest.fixture(scope="module", autouse=True)
def _in_the_eu(running: Running) -> Iterator[None]:
    with changed(running, REGION_FUNCTIONS, CONSUMER_REGION="EU", PLAN_REGIONS="EU"):
        yield


@pytest.fixture
def size(request: pytest.FixtureRequest) -> str:
    return size_by_seed(request.node.nodeid)


def open_declaration(student: Student, address: str = "#/payments", heading: str = "Payments") -> Locator:
    open_view(student, address, heading)
    button = student.main.get_by_role("button", name=WITHDRAW)
    button.focus()
    student.page.keyboard.press("Enter")
    dialog = student.page.get_by_role("dialog", name="Withdraw from contract")
    expect(dialog).to_be_visible()
    return dialog


def test_a_student_withdraws_in_two_steps_with_the_keyboard_alone(student: Student) -> None:
    payment = paid(student)
    dialog = open_declaration(student)
    student.expect_text("You can withdraw from this contract until")
    expect(student.main.get_by_role("button", name="Request a refund")).to_have_count(0)
    for text in ("Data Professional", payment["payment_id"], "$499.00", f"{student.sub}@example.org", LOST):
        expect(dialog).to_contain_text(text)
    student.expect_accessible_on_every_screen()
    student.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert student.payments()[0]["withdrawal"]["submitted_at"] is None, "nothing was declared yet"

    dialog = open_declaration(student)
    dialog.get_by_role("button", name="Confirm withdrawal").click()
    expect(dialog).to_be_visible()  # the browser asks for the name
    dialog.get_by_label("Your name").fill("Ada Lovelace")
    student.page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    student.expect_text("We received your withdrawal on")
    student.expect_text("You withdrew from this contract on")
    student.expect_text(f"We send the acknowledgement to {student.sub}@example.org.")
    withdrawal = student.payments()[0]["withdrawal"]
    assert withdrawal["name"] == "Ada Lovelace"
    expect(student.main.locator(f"time[datetime='{withdrawal['submitted_at']}']")).to_be_visible()
    expect(student.main.get_by_text("Refunded", exact=True)).to_be_visible()
    expect(student.main.get_by_role("button", name=WITHDRAW)).to_have_count(0)
    student.expect_accessible_on_every_screen()
    open_view(student, "#/learning", "My learning")
    expect(student.main.get_by_text(LOST)).to_be_visible()
    student.expect_accessible()

    def acknowledged() -> bool:
        answer = student.running.http.get(
            f"{student.running.ready['api']}/_local/outbox", headers={"Accept": "application/json"}
        )
        emails = [email for email in answer.json()["emails"] if email["payment_id"] == payment["payment_id"]]
        return [email["kind"] for email in emails].count("withdrawal_received") == 1

    student.running.until(acknowledged, "the acknowledgement was sent")


def test_the_declarations_fit_a_narrow_screen_and_one_about_a_plan_ends_it(student: Student) -> None:
    """The one about a payment is refused, because staff have refunded it in the meantime."""
    payment = paid(student)
    student.page.set_viewport_size({"width": 320, "height": 640})
    dialog = open_declaration(student)
    student.expect_accessible()
    student.expected_errors.append(r"status of 409 ")
    order = {"reason": "a mistake of ours"}
    path = f"/api/admin/payments/{payment['payment_id']}/refunds"
    student.running.api("POST", path, student.running.ready["admin_token"], json=order).raise_for_status()
    dialog.get_by_label("Your name").fill("Ada Lovelace")
    dialog.get_by_role("button", name="Confirm withdrawal").click()
    expect(dialog.get_by_role("alert")).to_contain_text("already been refunded")
    student.expect_accessible()

    plan = started(student.running, student.token, "FSD")["plan_id"]
    dialog = open_declaration(student, f"#/plans/{plan}", "Payment plan: Full-Stack Developer")
    for text in ("Full-Stack Developer", plan, "$149.75", f"{student.sub}@example.org", LOST):
        expect(dialog).to_contain_text(text)
    student.expect_accessible()
    dialog.get_by_label("Your name").fill("Ada Lovelace")
    dialog.get_by_role("button", name="Confirm withdrawal").click()
    student.expect_text("We received your withdrawal. The plan has ended.")
    student.expect_text("You withdrew from this contract on")
    student.expect_accessible()


@pytest.fixture
def staff(running: Running, browser: Browser, sub: str, screenshots: Path | None) -> Iterator[Staff]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, base_url=running.ready["api"], color_scheme="light", locale="en-US"
    )
    staff = Staff(running, context, f"staff-of-{sub}", "console", screenshots)
    yield staff
    staff.close_browser()


def test_staff_see_by_when_a_withdrawal_is_due_and_can_only_approve_it(staff: Staff, sub: str) -> None:
    """The second purchase of a track waits for staff, as in the US."""
    token = staff.running.token(sub)
    for _ in range(2):
        payment_id = staff.create_and_pay(sub)
        order = {"payment_id": payment_id, "withdrawal": True, "name": "Ada Lovelace"}
        response = staff.running.api("POST", "/api/payments/request-refund", token, json=order)
    assert response.status_code == 202
    due = response.json()["withdrawal"]["refund_due_by"]
    staff.open_payment(payment_id)
    attention = staff.main.locator(".attention")
    expect(attention).to_contain_text(f"must be refunded by {due[:10]}")
    expect(attention.get_by_role("button")).to_have_count(0)
    expect(staff.main.get_by_role("button", name="Decline…")).to_have_count(0)
    expect(staff.main.locator(".timeline")).to_contain_text("Ada Lovelace")
    staff.expect_accessible()
    staff.open("#/refund-requests")
    row = staff.rows().filter(has_text=sub)
    expect(row).to_contain_text("due by")
    expect(row.get_by_role("button", name="Decline…")).to_have_count(0)
    staff.expect_accessible()
    row.get_by_role("button", name="Approve…").click()
    expect(staff.dialog).to_contain_text("access doesn’t change")
    staff.dialog.get_by_role("button", name="Refund 499.00 USD").click()
    staff.expect_text("Refunded 499.00 USD")
    assert staff.refunded_amounts(payment_id) == [49900]


def test_a_student_withdraws_while_the_bank_processes_the_debit(student: Student) -> None:
    created = student.running.create(student.token).json()
    student.running.pay(created["payment_intent_id"], "pm_usBankAccount_processing")
    student.running.until(lambda: student.payments()[0]["status"] == "PROCESSING", "the bank processes the debit")
    dialog = open_declaration(student)
    expect(dialog).to_contain_text("If your bank makes the payment, you get it back. If it fails, you owe nothing.")
    expect(dialog).not_to_contain_text("You’ll lose access")
    student.expect_accessible()
    dialog.get_by_label("Your name").fill("Ada Lovelace")
    student.page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    student.expect_text("You withdrew from this contract on")
    student.expect_text("If your bank makes the payment of $499.00, you get it back by")
    expect(student.main.get_by_role("button", name=WITHDRAW)).to_have_count(0)
    student.expect_accessible()

    plan = begin(student.running, student.token, "FSD")
    student.running.pay(plan["payment_intent_id"], "pm_usBankAccount_processing")
    student.running.until(lambda: student.payments()[0]["status"] == "PROCESSING", "the bank processes the debit")
    dialog = open_declaration(student, f"#/plans/{plan['plan_id']}", "Payment plan: Full-Stack Developer")
    student.expect_text("Your bank is processing a payment.")
    for text in ("First payment", "$149.75", "If your bank makes the payment, you get it back."):
        expect(dialog).to_contain_text(text)
    expect(dialog).not_to_contain_text("You’ll lose access")
    student.expect_accessible()
    dialog.get_by_label("Your name").fill("Ada Lovelace")
    student.page.keyboard.press("Enter")
    student.expect_text("We received your withdrawal. The plan has ended.")
    student.expect_text("The first payment was not made")  # Stripe has canceled the debit, as it rarely does
