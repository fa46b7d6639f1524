"""One payment in the console: its timeline, refunds, refund requests, access, attention and quarantined events."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from local.change_set import ALIAS
from stripe_simulator.webhooks import signature
from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running
from tests.stack.test_emails import outbox
from tuition.storage import keys
from tuition.storage.items import KEPT

REFUND_ROUTES = re.compile(r"/api/admin/payments/[^/]+/refunds")
EMAIL_ROUTES = re.compile(r"/api/admin/payments/[^/]+/emails")


def timeline_entry(staff: Staff, title: str) -> Any:
    return staff.page.get_by_role("list").locator("li", has=staff.page.get_by_text(title, exact=True))


def test_the_timeline_shows_attempts_records_and_refunds_with_their_source(staff: Staff, sub: str) -> None:
    created = staff.running.create(staff.running.token(sub)).json()
    staff.running.pay(created["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    staff.running.pay(created["payment_intent_id"])
    payment_id = created["payment_id"]
    expected = {"payment_intent.payment_failed", "payment_intent.succeeded", "charge.failed", "charge.succeeded"}
    staff.running.until(
        lambda: expected <= {record["type"] for record in staff.details(payment_id)["audit"]}, "all records"
    )
    refund = {"amount": 12000, "reason": "The third project was missing", "note": "Agreed by phone"}
    staff.running.sim("webhooks", deliver="drop")  # so that no webhook reports the refund first
    assert staff.running.api("POST", f"/api/admin/payments/{payment_id}/refunds", staff.token, json=refund).is_success
    staff.running.sim("webhooks", deliver="normal")
    staff.open_payment(payment_id)
    declined, paid = timeline_entry(staff, "Attempt declined"), timeline_entry(staff, "Paid 499.00 USD")
    expect(declined).to_contain_text("Insufficient funds")
    expect(paid).to_contain_text("Visa ··4242")
    expect(paid).to_contain_text("The student is enrolled")
    expect(timeline_entry(staff, "Attempt succeeded")).to_have_count(0)
    in_words = staff.page.locator(".timeline .title").all_inner_texts()
    assert [title for title in in_words if re.search("[a-z][._][a-z]", title)] == []
    staff.expect_accessible("payment")
    staff.page.get_by_label("Show technical events").check()
    expect(declined).to_contain_text("499.00 USD, Visa ··9995")
    expect(declined).to_contain_text("Stripe")
    expect(timeline_entry(staff, "Attempt succeeded")).to_contain_text("Visa ··4242")
    expect(timeline_entry(staff, "Payment created")).to_contain_text("the student")
    expect(paid).to_contain_text("→ Enrolled")
    expect(paid).to_contain_text("webhook")
    expect(timeline_entry(staff, "payment_intent.succeeded")).to_contain_text("webhook")
    expect(staff.page.get_by_text(re.compile(r"Audit trail verified \(\d+ records\)"))).to_be_visible()
    paid.get_by_role("button", name=re.compile("Record")).click()
    expect(paid).to_contain_text(re.compile("evt_.*[0-9a-f]{64}"))
    newest_first = staff.page.locator(".timeline .title").all_inner_texts()
    refund = {"Refund succeeded", "Refund created by staff"}  # Stripe's times are whole seconds, so either may be first
    earlier = ["Attempt succeeded", "Attempt declined", "Payment created"]
    titles = [title for title in newest_first if title in {*refund, *earlier}]
    assert (set(titles[:2]), titles[2:]) == (refund, earlier)
    staff.page.get_by_role("button", name="Oldest first", pressed=False).click()
    oldest_first = staff.page.locator(".timeline .title").all_inner_texts()
    assert oldest_first == newest_first[::-1]
    staff.page.get_by_role("button", name="Oldest first", pressed=True).click()
    paid.get_by_role("button", name=re.compile("Record")).click()
    created_by_staff = timeline_entry(staff, "Refund created by staff")
    expect(created_by_staff).to_contain_text("120.00 USD: “The third project was missing”")
    expect(created_by_staff).to_contain_text("Note: Agreed by phone")
    for entry in (created_by_staff, timeline_entry(staff, "Refunded 120.00 USD")):
        expect(entry).to_contain_text(staff.sub)
        expect(entry.locator(".chip")).to_have_text("staff")
    expect(staff.main.locator(".groups h2")).to_have_text(["Details"])
    staff.page.get_by_role("button", name="All fields").click()
    for group in ("Payment", "Student", "Money", "Refund", "Method", "Stripe", "Times", "Record"):
        expect(staff.page.get_by_role("heading", name=group, exact=True)).to_be_visible()
    assert staff.main.locator(".groups :is(input, select, textarea)").count() == 0
    staff.expect_accessible()


def test_a_tampered_audit_trail_is_shown_as_broken(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)

    def tamper(route: Route) -> None:
        response = route.fetch()
        body = response.json() | {"chain": {"verified": False, "problem": "record 2: its content was changed"}}
        route.fulfill(response=response, json=body)

    staff.page.route(f"**/api/admin/payments/{payment_id}", tamper)
    staff.open_payment(payment_id)
    alert = staff.main.get_by_role("alert").filter(has_text="Audit trail")
    expect(alert).to_have_text("Audit trail broken: record 2: its content was changed")
    staff.expect_accessible()


def test_part_of_a_payment_can_be_refunded_then_the_rest_but_never_more(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.open_payment(payment_id)
    dialog = staff.open_dialog("Refund…")
    amount, consequence = dialog.get_by_label("Amount in USD"), dialog.locator(".says")
    expect(amount).to_have_value("499.00")
    expect(consequence).to_have_text(
        "Refund 499.00 of 499.00 USD; the student loses access to DP and its projects are locked."
    )
    for invalid in ("499.01", "0", "12.345", "-1", "a lot", ""):
        amount.fill(invalid)
        expect(consequence).to_contain_text("Enter an amount between 0.01 and 499.00 USD.")
        expect(dialog.get_by_role("button", name="Refund")).to_be_disabled()
    amount.fill("120")
    expect(consequence).to_have_text("Refund 120.00 of 499.00 USD; the student stays enrolled.")
    staff.expect_accessible()
    staff.page.keyboard.press("Escape")
    expect(staff.main.get_by_role("button", name="Refund…")).to_be_focused()
    staff.open_dialog("Refund…")
    expect(amount).to_have_value("120")  # the typed amount is kept
    staff.submit_refund("120.00")
    expect(staff.main.get_by_role("status").first).to_be_focused()
    staff.expect_text("Refunded 120.00 USD; 379.00 USD can still be refunded.")
    expect(staff.main.get_by_text("Student: Enrolled")).to_be_visible()
    staff.open_dialog("Refund…")
    expect(dialog).to_contain_text(f"{sub}@example.org · DP · Visa ··4242")
    expect(amount).to_have_value("379.00")  # the payment is loaded again
    dialog.get_by_role("button", name="Half").click()
    expect(amount).to_have_value("189.50")
    dialog.get_by_role("button", name="All").click()
    expect(amount).to_have_value("379.00")
    dialog.get_by_label("Kind of refund").select_option("Duplicate payment")
    expect(dialog.get_by_label("Reason")).to_have_value("You had paid twice")
    dialog.get_by_label("Message").fill("Sorry for the confusion")
    preview = dialog.get_by_role("figure")
    expect(preview).to_contain_text("We refunded $379.00 for Data Professional")
    expect(preview).to_contain_text("Reason: You had paid twice")
    expect(preview).to_contain_text("Sorry for the confusion")
    expect(consequence).to_have_text(
        "Refund 379.00 of the remaining 379.00 USD; the student loses access to DP and its projects are locked."
    )
    staff.expect_accessible("refund")
    staff.submit_refund("379.00", "The rest too")
    staff.expect_text("Refunded 379.00 USD; 0.00 USD can still be refunded.")
    expect(staff.main.get_by_text("Student: Withdrawn")).to_be_visible()
    expect(staff.main.get_by_role("button", name="Refund…")).to_have_count(0)
    expect(timeline_entry(staff, "Refund created by staff").first).to_contain_text(staff.sub)
    staff.expect_accessible()
    assert sorted(staff.refunded_amounts(payment_id)) == [12000, 37900]
    newest = staff.details(payment_id)["payment"]["refund_requests"][-1]
    assert (newest["stripe_reason"], newest["message"]) == ("duplicate", "Sorry for the confusion")
    assert staff.details(payment_id)["payment"]["status"] == "REFUNDED"
    response = staff.running.api(
        "POST", f"/api/admin/payments/{payment_id}/refunds", staff.token, json={"reason": "once more", "amount": 1}
    )
    assert response.status_code == 409


def test_a_double_click_refunds_once(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    sent: list[str] = []
    staff.page.on("request", lambda request: sent.append(request.method) if REFUND_ROUTES.search(request.url) else None)
    staff.open_payment(payment_id, "?do=refund")
    staff.dialog.get_by_label("Amount in USD").fill("100")
    staff.dialog.get_by_label("Reason").fill("A part was missing")
    staff.dialog.get_by_role("button", name="Refund 100.00 USD").dblclick()
    staff.expect_text("Refunded 100.00 USD; 399.00 USD can still be refunded.")
    assert sent == ["POST"]
    assert staff.refunded_amounts(payment_id) == [10000]


def test_after_a_lost_response_the_dialog_checks_the_payment_and_refunds_nothing_twice(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors.append("ERR_FAILED")

    def lose_response(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch()
            route.abort()

    staff.page.route(REFUND_ROUTES, lose_response)
    staff.open_payment(payment_id, "?do=refund")
    staff.submit_refund("120.00")
    expect(staff.dialog).to_contain_text("We checked: Refunded 120.00 USD; 379.00 USD can still be refunded.")
    staff.expect_accessible()
    staff.dialog.get_by_role("button", name="Close").click()
    expect(staff.main.get_by_text("379.00 USD refundable")).to_be_visible()
    staff.page.unroute(REFUND_ROUTES)
    staff.page.route(REFUND_ROUTES, lambda route: route.abort())
    staff.open_dialog("Refund…")
    staff.submit_refund("20.00")
    expect(staff.dialog).to_contain_text("We checked: no refund was created. It’s safe to try again.")
    staff.page.unroute(REFUND_ROUTES)
    staff.dialog.get_by_role("button", name="Refund 20.00 USD").click()
    staff.expect_text("Refunded 20.00 USD; 359.00 USD can still be refunded.")
    assert sorted(staff.refunded_amounts(payment_id)) == [2000, 12000]


def test_an_unknown_outcome_is_shown_and_the_dialog_stays_open(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors.append("ERR_FAILED")
    staff.open_payment(payment_id, "?do=refund")
    staff.page.route("**/api/admin/**", lambda route: route.abort())
    staff.submit_refund("120.00")
    expect(staff.dialog.get_by_role("alert")).to_contain_text(
        "We don’t know yet whether it was done. Check the payment before you try again."
    )
    staff.expect_accessible()
    staff.page.unroute("**/api/admin/**")
    staff.dialog.get_by_role("button", name="Refund 120.00 USD").click()
    staff.expect_text("Refunded 120.00 USD; 379.00 USD can still be refunded.")
    assert staff.refunded_amounts(payment_id) == [12000]


def test_a_submitted_refund_cannot_be_canceled(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    held: list[Route] = []
    staff.open_payment(payment_id)
    staff.open_dialog("Refund…")
    staff.page.route(REFUND_ROUTES, lambda route: held.append(route))
    with staff.page.expect_request(REFUND_ROUTES):
        staff.submit_refund("120.00")
    expect(staff.dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    staff.page.keyboard.press("Escape")
    expect(staff.dialog).to_be_visible()
    held[0].continue_()
    staff.expect_text("Refunded 120.00 USD; 379.00 USD can still be refunded.")
    expect(staff.dialog).to_have_count(0)


def test_an_address_does_not_open_a_dialog_that_the_payment_s_state_forbids(staff: Staff, sub: str) -> None:
    unpaid = staff.running.create(staff.running.token(sub)).json()["payment_id"]
    for dialog in (
        "refund",
        "accept_amount",
        "revoke",
        "restore",
        "send_email",
        "approve&on=rr_1",
        "resolve&on=double",
        "constructor",
    ):
        staff.open("#/quarantine")
        staff.open_payment(unpaid, f"?do={dialog}")
        expect(staff.dialog).to_have_count(0)


def test_a_refund_that_stripe_does_not_answer_is_recorded_once_and_resumed(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors.append(r"status of 50[234] ")
    staff.open_payment(payment_id, "?do=refund")
    staff.running.sim("calls", match="POST /v1/refunds", times=1, fail="rate_limit")
    staff.submit_refund("120.00")
    expect(staff.dialog).to_contain_text(
        "Refund of 120.00 USD recorded; waiting for Stripe. It will be retried automatically."
    )
    staff.dialog.get_by_role("button", name="Close").click()
    expect(staff.main.get_by_text("Submitting")).to_be_visible()
    assert staff.refunded_amounts(payment_id) == []
    assert [request["state"] for request in staff.details(payment_id)["payment"]["refund_requests"]] == ["submitting"]
    # Any later refund request resumes the unfinished refund.
    request = {"payment_id": payment_id, "reason": "I would like my money back"}
    staff.running.api("POST", "/api/payments/request-refund", staff.running.token(sub), json=request)
    staff.page.reload()
    expect(staff.main.locator("table").get_by_text("Succeeded", exact=True)).to_be_visible()
    assert staff.refunded_amounts(payment_id) == [12000]


def test_the_second_of_two_concurrent_refunds_is_refused_and_refunds_nothing(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors.append(r"status of 409 ")
    staff.open_payment(payment_id, "?do=refund")
    other = staff.running.token("another-of-staff", groups=["admin"])
    refund = {"amount": 12000, "reason": "was there first", "expected_refundable_amount": 49900}
    assert staff.running.api("POST", f"/api/admin/payments/{payment_id}/refunds", other, json=refund).is_success
    staff.submit_refund("120.00")
    expect(staff.dialog.get_by_role("alert")).to_contain_text("Reload the payment")
    expect(staff.dialog).to_contain_text("379.00 USD of the 499.00 USD received can be refunded.")
    assert staff.refunded_amounts(payment_id) == [12000]


def test_a_long_audit_trail_is_shown_in_pages(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)

    def lengthen(route: Route) -> None:
        response = route.fetch()
        details = response.json()
        last = details["audit"][-1]
        more = [{**last, "seq": last["seq"] + number, "event_id": f"evt_{number}"} for number in range(1, 121)]
        route.fulfill(response=response, json={**details, "audit": [*details["audit"], *more]})

    staff.page.route(f"**/api/admin/payments/{payment_id}", lengthen)
    staff.open_payment(payment_id)
    staff.page.get_by_label("Show technical events").check()
    entries = staff.page.locator(".timeline ol > li")
    expect(entries).to_have_count(50)
    expect(staff.page.locator(".timeline")).to_contain_text("50 of 1")
    staff.expect_accessible()
    staff.page.get_by_role("button", name="Show 50 more").click()
    expect(entries).to_have_count(100)
    staff.page.get_by_role("button", name=re.compile(r"Show \d+ more")).click()
    expect(staff.page.get_by_role("button", name=re.compile("more$"))).to_have_count(0)
    expect(timeline_entry(staff, "Payment created")).to_be_visible()


# --- emails ---


def test_staff_send_an_email_again_with_the_keyboard_alone(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    values = {"kind": "purchase_confirmed", "payment_id": payment_id}
    staff.running.until(lambda: len(outbox(staff.running, **values)) == 1, "the first email")
    staff.open_payment(payment_id)
    expect(timeline_entry(staff, "Email sent: Purchase confirmed")).to_have_count(1)
    staff.main.get_by_role("button", name="Send email…").focus()
    staff.page.keyboard.press("Enter")
    email = staff.dialog.get_by_role("combobox", name="Email")
    expect(email).to_be_focused()
    expect(email.locator("option")).to_have_text(["Purchase confirmed"])
    expect(staff.dialog.locator(".says")).to_contain_text("Send “Purchase confirmed” to the student’s newest")
    staff.page.set_viewport_size({"width": 320, "height": 700})
    staff.expect_accessible()
    held: list[Route] = []
    staff.page.route(EMAIL_ROUTES, lambda route: held.append(route))
    staff.page.keyboard.press("Tab")
    staff.page.keyboard.press("Tab")
    expect(staff.dialog.get_by_role("button", name="Send")).to_be_focused()
    with staff.page.expect_request(EMAIL_ROUTES):
        staff.page.keyboard.press("Enter")
    expect(staff.dialog.get_by_role("button", name="Send")).to_have_attribute("aria-busy", "true")
    for key in ("Enter", "Escape"):
        staff.page.keyboard.press(key)
    expect(staff.dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    held[0].continue_()
    staff.expect_text("Recorded. The email “Purchase confirmed” follows within seconds.")
    assert len(held) == 1, "the request was sent again"
    expect(timeline_entry(staff, "Email requested by staff: Purchase confirmed")).to_contain_text(staff.sub)
    staff.expect_accessible()
    staff.running.until(lambda: len(outbox(staff.running, **values)) == 2, "the second email")
    assert {one["to"] for one in outbox(staff.running, **values)} == {f"{sub}@example.org"}


def test_an_email_that_is_refused_or_whose_answer_is_lost_is_explained(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors += [r"status of 429 ", "ERR_FAILED"]
    staff.open_payment(payment_id, "?do=send_email")
    send = staff.dialog.get_by_role("button", name="Send")
    problem = {"type": "https://tuition.school/problems/too-many-requests", "detail": "Staff sent 10 emails."}
    headers = {"Retry-After": "40000"}
    staff.page.route(EMAIL_ROUTES, lambda route: route.fulfill(status=429, json=problem, headers=headers))
    send.click()
    alert = staff.dialog.get_by_role("alert")
    expect(alert).to_have_text(re.compile(r"Staff sent 10 emails\. Try again after \d+ \w+ \d{4}, \d\d?:\d\d\."))
    staff.expect_accessible()
    staff.page.unroute(EMAIL_ROUTES)
    staff.page.route(EMAIL_ROUTES, lambda route: route.abort())
    send.click()
    expect(alert).to_contain_text("We checked: no email was requested. It’s safe to try again.")
    staff.page.unroute(EMAIL_ROUTES)

    def lose_response(route: Route) -> None:
        route.fetch()
        route.abort()

    staff.page.route(EMAIL_ROUTES, lose_response)
    send.click()
    expect(staff.dialog).to_contain_text("We checked: Recorded. The email “Purchase confirmed” follows")
    staff.dialog.get_by_role("button", name="Close").click()
    expect(timeline_entry(staff, "Email requested by staff: Purchase confirmed")).to_have_count(1)


# --- refund requests ---


@pytest.fixture
def no_window(running: Running) -> Iterator[None]:
    """Every refund request of a student awaits the approval of staff."""
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    client, name = aws.client("lambda"), deployed.resources["RequestRefundFunction"]
    released = client.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**variables, "REFUND_WINDOW_DAYS": "0"}}
    )
    version = client.publish_version(FunctionName=name)["Version"]
    client.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)
    yield
    client.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=released)
    client.delete_function(FunctionName=name, Qualifier=version)  # a rollback takes the newest version that exists
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


@pytest.mark.usefixtures("no_window")
def test_a_student_s_request_can_be_declined_and_the_next_one_approved(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    request = {"payment_id": payment_id, "reason": "I have no time"}
    for _ in range(2):
        response = staff.running.api("POST", "/api/payments/request-refund", staff.running.token(sub), json=request)
        assert response.status_code == 202
    staff.open_payment(payment_id)
    dialog = staff.open_dialog("Decline…")
    expect(dialog).to_contain_text("No money moves and access doesn’t change.")
    expect(dialog).to_contain_text("I have no time")
    dialog.get_by_label("Note").fill("The course has ended")
    staff.expect_accessible()
    dialog.get_by_role("button", name="Decline").click()
    staff.expect_text("Request declined. No money moved.")
    expect(timeline_entry(staff, "Refund request declined")).to_contain_text("Note: The course has ended")
    assert staff.refunded_amounts(payment_id) == []
    response = staff.running.api("POST", "/api/payments/request-refund", staff.running.token(sub), json=request)
    assert response.status_code == 202
    staff.page.reload()
    dialog = staff.open_dialog("Approve…")
    expect(dialog.locator(".says")).to_have_text(
        "Refund 499.00 of 499.00 USD; the student loses access to DP and its projects are locked."
    )
    staff.expect_accessible()
    dialog.get_by_role("button", name="Refund 499.00 USD").click()
    staff.expect_text("Refunded 499.00 USD; 0.00 USD can still be refunded.")
    expect(timeline_entry(staff, "Refund request approved")).to_contain_text(staff.sub)
    assert staff.refunded_amounts(payment_id) == [49900]


@pytest.mark.usefixtures("no_window")
def test_the_second_of_two_concurrent_decisions_is_refused(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.expected_errors.append(r"status of 409 ")
    request = {"payment_id": payment_id, "reason": "I have no time"}
    created = staff.running.api("POST", "/api/payments/request-refund", staff.running.token(sub), json=request).json()
    staff.open_payment(payment_id)
    dialog = staff.open_dialog("Approve…")
    other = staff.running.token("another-of-staff", groups=["admin"])
    path = f"/api/admin/payments/{payment_id}/refunds/{created['refund_request']['id']}"
    assert staff.running.api("POST", path, other, json={"decision": "decline"}).is_success
    dialog.get_by_role("button", name="Refund 499.00 USD").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This request has already been decided")
    expect(dialog).to_contain_text("This request has already been decided (declined). There is nothing left to do.")
    expect(dialog.get_by_role("button", name="Refund")).to_be_disabled()
    staff.expect_accessible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(staff.main.get_by_role("button", name="Approve…")).to_have_count(0)
    assert staff.refunded_amounts(payment_id) == []


@pytest.mark.usefixtures("no_window")
def test_refund_requests_are_counted_queued_and_decided_in_the_row_or_several_at_once(staff: Staff, sub: str) -> None:
    """The second of two approvals gets no answer: the batch stops there, finds out, and continues."""
    payments = {name: staff.create_and_pay(f"{sub}-{name}") for name in ("first", "second", "third", "fourth")}
    for name, payment_id in payments.items():
        request = {"payment_id": payment_id, "reason": f"I have no time ({name})"}
        token = staff.running.token(f"{sub}-{name}")
        response = staff.running.api("POST", "/api/payments/request-refund", token, json=request)
        assert response.status_code == 202
    staff.expected_errors += [r"status of 429 ", "ERR_FAILED"]
    rows = staff.rows().filter(has_text=f"{sub}-")
    staff.open("#/payments?refund_request=awaiting_approval")
    expect(rows).to_have_count(4)
    staff.page.get_by_role("link", name=re.compile(r"Refund requests \d+ await approval")).click()
    staff.expect_heading("Refund requests")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("I have no time (first)")
    expect(rows.nth(1)).to_contain_text("I have no time (second)")
    staff.expect_accessible()
    rows.nth(0).get_by_role("button", name="Decline…").click()
    expect(staff.dialog).to_contain_text("No money moves and access doesn’t change.")
    staff.dialog.get_by_label("Message to the student").fill("The course has ended")
    staff.dialog.get_by_role("button", name="Decline").click()
    staff.expect_text("Request declined. No money moved.")
    expect(rows).to_have_count(3)
    expect(rows.nth(0).get_by_role("button", name="Approve…")).to_be_focused()
    staff.main.get_by_role("button", name="Approve selected…").click()
    staff.expect_text("Select at least one row first.")
    for number in range(3):
        rows.nth(number).get_by_role("checkbox").check()
    staff.main.get_by_role("button", name="Approve selected…").click()
    dialog, answers = staff.dialog, iter(["continue", "lose", "refuse"])
    expect(dialog.get_by_text("the student loses access to DP")).to_have_count(3)
    staff.expect_accessible()

    def answer(route: Route) -> None:
        how = next(answers, "continue")
        if how == "refuse":
            problem = {"type": "https://tuition.school/problems/too-many-requests", "detail": "Too many requests."}
            route.fulfill(status=429, json=problem, headers={"Retry-After": "1"})
        elif how == "lose":
            route.fetch()
            route.abort()
        else:
            route.continue_()

    staff.page.route(REFUND_ROUTES, answer)
    dialog.get_by_role("button", name="Refund 1,497.00 USD").click()
    expect(dialog.get_by_text("2 of 3 done, 1 not done.")).to_be_visible()
    expect(dialog.get_by_text("We checked: Refunded 499.00 USD")).to_have_count(1)
    dialog.get_by_role("button", name="Continue with 1").click()
    expect(dialog.get_by_text("Too many requests.")).to_be_visible()
    staff.expect_accessible()
    dialog.get_by_role("button", name="Continue with 1").click()
    expect(dialog.get_by_text("3 of 3 done.")).to_be_visible()
    staff.page.keyboard.press("Escape")
    staff.expect_text("3 of 3 done.")
    expect(rows).to_have_count(0)
    assert [staff.refunded_amounts(one) for one in payments.values()] == [[], [49900], [49900], [49900]]


def send_evidence(staff: Staff, payment_id: str, dispute_id: str) -> None:
    """Complete the evidence for a dispute, save it, read it and send it."""
    staff.open_payment(payment_id)
    timeline = staff.page.get_by_role("heading", name="Timeline")
    while_loading: list[float] = []

    def measure(route: Route) -> None:
        while_loading.append((timeline.bounding_box() or {"y": 0})["y"])
        route.continue_()

    staff.page.route("**/evidence", measure, times=1)
    staff.page.get_by_role("button", name="Prepare evidence").click()
    expect(staff.page.get_by_label("Product description")).to_have_value(re.compile("online course"))
    assert while_loading[0] > 900, "nothing in the window moves when the texts arrive"
    staff.page.get_by_label("Uncategorized text").fill("She has handed in two projects.")
    staff.page.reload()
    staff.page.get_by_role("button", name="Prepare evidence").click()
    expect(staff.page.get_by_label("Uncategorized text")).to_have_value("She has handed in two projects.")
    staff.page.get_by_role("button", name="Save draft").click()
    expect(staff.page.get_by_text("Draft saved.", exact=False).first).to_be_visible()
    staff.expect_accessible("evidence")
    staff.page.get_by_role("button", name="Send to the bank…").click()
    dialog = staff.page.get_by_role("dialog")
    expect(dialog).to_contain_text("She has handed in two projects.")
    dialog.get_by_label("I have read the texts, and they are true.").check()
    dialog.get_by_role("button", name="Send to the bank").click()
    expect(staff.main.get_by_text("The evidence was sent to the bank.")).to_be_visible()
    assert staff.running.stripe("GET", f"/v1/disputes/{dispute_id}")["evidence_details"]["submission_count"] == 1


@pytest.mark.usefixtures("no_window")
def test_no_refund_is_offered_while_a_dispute_is_open_and_a_decided_one_asks_for_nothing(
    staff: Staff, sub: str
) -> None:
    payment_id = staff.create_and_pay(sub)
    request = {"payment_id": payment_id, "reason": "I have no time"}
    staff.running.api("POST", "/api/payments/request-refund", staff.running.token(sub), json=request)
    intent = staff.details(payment_id)["payment"]["payment_intent_id"]
    dispute = staff.running.sim("disputes", payment_intent=intent, status="needs_response")
    staff.running.until(lambda: staff.details(payment_id)["payment"]["dispute"] == "open", "disputed")
    staff.open_payment(payment_id)
    expect(staff.main.get_by_text("Disputed: no refund until the bank decides")).to_be_visible()
    expect(staff.main.get_by_role("button", name="Decline…")).to_be_visible()
    for name in ("Refund…", "Approve…"):
        expect(staff.main.get_by_role("button", name=name)).to_have_count(0)
    staff.open("#/refund-requests")
    row = staff.rows().filter(has_text=f"{sub}@example.org")
    expect(row).to_contain_text("disputed")
    expect(row.get_by_role("button", name="Decline…")).to_be_visible()
    expect(row.get_by_role("button", name="Approve…")).to_have_count(0)
    staff.expect_accessible()
    send_evidence(staff, payment_id, dispute["id"])
    staff.open("#/disputes")  # the payment is opened again below, and the same address loads nothing
    staff.running.sim("disputes", dispute=dispute["id"], status="lost")
    staff.running.until(lambda: staff.details(payment_id)["payment"]["dispute"] == "lost", "lost")
    staff.open_payment(payment_id)
    expect(timeline_entry(staff, "Dispute lost")).to_contain_text("The student is no longer enrolled")
    expect(staff.main.locator(".attention")).to_contain_text("Nothing: the dispute is decided.")
    expect(staff.main.locator(".attention")).not_to_contain_text("evidence")
    staff.open_dialog("Revoke access…").get_by_role("button", name="Cancel").click()
    staff.open("#/disputes?state=over")
    row = staff.rows().filter(has_text=f"{sub}@example.org")
    expect(row).to_contain_text("Decided")
    expect(row.get_by_role("link", name="View in Stripe")).to_be_visible()


# --- access and attention ---


def test_access_can_be_revoked_and_restored(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    staff.open_payment(payment_id)
    dialog = staff.open_dialog("Revoke access…")
    expect(dialog).to_contain_text("No money moves: we keep 499.00 USD.")
    expect(dialog.get_by_role("button", name="Revoke access")).to_be_disabled()
    dialog.get_by_label("Reason").fill("Shared the account")
    staff.expect_accessible()
    dialog.get_by_role("button", name="Revoke access").click()
    staff.expect_text("Revoked. This payment no longer grants access to DP. No money moved.")
    expect(staff.main.get_by_text("Student: Withdrawn")).to_be_visible()
    expect(timeline_entry(staff, "Access revoked")).to_contain_text("Note: Shared the account")
    dialog = staff.open_dialog("Restore access…")
    dialog.get_by_label("Reason").fill("It was a brother")
    dialog.get_by_role("button", name="Restore access").click()
    staff.expect_text("Restored. This payment grants access to DP again. No money moved.")
    expect(staff.main.get_by_text("Student: Enrolled")).to_be_visible()
    assert staff.refunded_amounts(payment_id) == []


def test_restoring_access_says_if_the_payment_still_gives_none(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub)
    path = f"/api/admin/payments/{payment_id}"
    revoke = {"decision": "revoke", "note": "Shared the account"}
    assert staff.running.api("POST", f"{path}/access", staff.token, json=revoke).is_success
    assert staff.running.api("POST", f"{path}/refunds", staff.token, json={"reason": "Agreed"}).is_success
    staff.open_payment(payment_id)
    dialog = staff.open_dialog("Restore access…")
    expect(dialog.get_by_role("heading")).to_have_text("Restore access")
    sentence = "The payment still grants no access, because this payment was refunded."
    expect(dialog.locator(".says")).to_contain_text(sentence)
    dialog.get_by_label("Reason").fill("It was a brother")
    dialog.get_by_role("button", name="Restore access").click()
    staff.expect_text(f"Restored. {sentence}")


def test_an_amount_that_differs_from_the_price_can_be_accepted(staff: Staff, sub: str) -> None:
    created = staff.running.create(staff.running.token(sub)).json()
    staff.running.stripe("POST", f"/v1/payment_intents/{created['payment_intent_id']}", amount=45000)
    staff.running.pay(created["payment_intent_id"])
    payment_id = created["payment_id"]
    staff.running.until(lambda: staff.details(payment_id)["payment"]["attention"], "attention")
    staff.open("#/attention")
    row = staff.rows().filter(has_text=f"{sub}@example.org")
    expect(row).to_contain_text("450.00 USD was received, but the price was 499.00 USD")
    expect(row).to_contain_text("or accept the amount: the student is then enrolled")
    row.get_by_role("link").first.click()
    dialog = staff.open_dialog("Accept amount…")
    expect(dialog).to_contain_text("Accept 450.00 USD as full payment for DP and enroll the student. No money moves.")
    dialog.get_by_label("Reason").fill("A discount was promised by phone")
    dialog.get_by_role("button", name="Accept").click()
    staff.expect_text("Accepted. This payment now grants access to DP.")
    expect(staff.main.get_by_text("Student: Enrolled")).to_be_visible()
    expect(staff.main.locator(".attention")).to_have_count(0)
    assert staff.running.enrollment(staff.running.token(sub))["status"] == "ENROLLED"


def test_a_dispute_is_listed_with_its_due_date_and_can_be_marked_as_resolved(staff: Staff, sub: str) -> None:
    payment_id = staff.create_and_pay(sub, "DP", "pm_card_createDisputeInquiry")
    staff.running.until(lambda: staff.details(payment_id)["payment"]["attention"], "attention")
    staff.open("#/disputes")
    row = staff.rows().filter(has_text=f"{sub}@example.org")
    expect(row).to_contain_text(re.compile("in [89] days"))  # Stripe's clock may be some seconds ahead
    expect(row).to_contain_text("Fraudulent")
    expect(row).to_contain_text("Enrolled")
    link = row.get_by_role("link", name="Respond in Stripe")
    expect(link).to_have_attribute("href", re.compile(r"^https://dashboard\.stripe\.com/test/disputes/du_"))
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    staff.expect_accessible("disputes")
    staff.page.get_by_role("link", name="Decided").click()
    expect(staff.page).to_have_url(re.compile("state=over"))
    staff.expect_accessible()
    staff.open("#/attention")
    row = staff.rows().filter(has_text=f"{sub}@example.org")
    staff.expect_accessible("attention")
    row.get_by_role("button", name="Mark as resolved…").click()
    expect(staff.dialog).to_contain_text(
        "No money moves and access doesn’t change. It comes back if the situation changes."
    )
    staff.dialog.get_by_label("What did you do?").fill("Called the student: it was a mistake")
    staff.expect_accessible()
    staff.dialog.get_by_role("button", name="Mark as resolved").click()
    staff.expect_text("Marked as resolved.")
    staff.expect_heading("Needs attention")
    expect(row).to_have_count(0)
    staff.open_payment(payment_id)
    expect(timeline_entry(staff, "Marked as resolved")).to_contain_text("Called the student: it was a mistake")


# --- quarantine ---


def test_a_retried_event_stays_in_quarantine_only_if_it_still_fails(staff: Staff, sub: str) -> None:
    created = staff.running.create(staff.running.token(sub)).json()
    staff.running.sim("webhooks", deliver="drop")
    staff.running.pay(created["payment_intent_id"])
    staff.running.sim("webhooks", deliver="normal")
    events = staff.running.stripe("GET", "/v1/events?type=payment_intent.succeeded&limit=100")["data"]
    paid = next(event for event in events if event["data"]["object"]["id"] == created["payment_intent_id"])
    broken = json.loads(json.dumps(paid)) | {"id": f"evt_{sub.replace('-', '')}broken"}
    broken["data"]["object"]["amount_received"] = "a lot"
    send_webhook(staff.running, broken)
    put_in_quarantine(staff.running, paid, "an earlier release did not support it")
    staff.open("#/quarantine")
    broken_row = staff.rows().filter(has_text=broken["id"])
    expect(broken_row).to_contain_text("amount_received should be an integer")
    broken_row.get_by_text("What Stripe sent").click()
    expect(broken_row.get_by_label(f"Event {broken['id']}")).to_contain_text('"amount_received": "a lot"')
    staff.expect_accessible("quarantine")
    broken_row.get_by_role("button", name="Retry").click()
    staff.expect_text(f"{broken['id']}: Still failing. It stays in quarantine.")
    staff.rows().filter(has_text=paid["id"]).get_by_role("button", name="Retry").click()
    staff.expect_text(f"{paid['id']}: Applied. It has left quarantine.")
    expect(staff.rows().filter(has_text=paid["id"])).to_have_count(0)
    expect(broken_row.locator("td").nth(4)).to_have_text("2")
    assert staff.details(created["payment_id"])["payment"]["status"] == "SUCCEEDED"
    broken_row.get_by_role("button", name="Discard…").click()
    staff.page.get_by_label("Reason").fill("sent by a test")
    staff.page.get_by_role("button", name="Discard", exact=True).click()
    staff.expect_text(f"{broken['id']}: Discarded. It has left quarantine.")
    expect(broken_row).to_have_count(0)
    delete_from_quarantine(staff.running, broken["id"])


def send_webhook(running: Running, event: dict[str, Any]) -> None:
    body = json.dumps(event)
    header = signature(running.ready["webhook_secret"], body.encode(), int(time.time()))
    headers = {"stripe-signature": header}
    response = running.api("POST", "/api/payments/webhook", headers=headers, content=body)
    assert response.json()["outcome"] == "quarantined"


def put_in_quarantine(running: Running, event: dict[str, Any], reason: str) -> None:
    now = {"S": "2026-11-24T08:00:00.000Z"}
    item = {"event_id": {"S": event["id"]}, "event": {"S": json.dumps(event)}, "reason": {"S": reason}}
    item |= {"first_at": now, "last_at": now, "tries": {"N": "1"}, "listed_at": {"S": f"{now['S']}#{event['id']}"}}
    item |= {"kept": {"S": keys.sharded("kept", KEPT, event["id"])}}
    client, table = quarantine_table(running)
    client.put_item(TableName=table, Item=item)


def delete_from_quarantine(running: Running, event_id: str) -> None:
    client, table = quarantine_table(running)
    client.delete_item(TableName=table, Key={"event_id": {"S": event_id}})


def quarantine_table(running: Running) -> tuple[Any, str]:
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    return aws.client("dynamodb"), deployed.resources["QuarantineTable"]


def test_the_views_show_the_price_beside_another_amount_received(staff: Staff, sub: str) -> None:
    created = staff.running.create(staff.running.token(sub)).json()
    intent = created["payment_intent_id"]
    staff.running.stripe("POST", f"/v1/payment_intents/{intent}", amount=10000, currency="eur")
    staff.running.pay(intent)
    payment_id = created["payment_id"]
    staff.running.until(lambda: staff.details(payment_id)["payment"]["status"] == "SUCCEEDED", "paid")
    staff.open(f"#/payments?q={sub}")
    row = staff.main.locator(f"tr[data-id={payment_id}]")
    expect(row).to_contain_text("100.00 EUR")
    expect(row).to_contain_text("price 499.00 USD")
    staff.open_payment(payment_id)
    expect(staff.page.get_by_role("heading", name="100.00 EUR for DP")).to_be_visible()
    expect(staff.page.locator("p.summary")).to_contain_text("price 499.00 USD")
    expect(timeline_entry(staff, "Paid 100.00 EUR")).to_have_count(1)
    dialog = staff.open_dialog("Refund…")
    expect(dialog.get_by_label("Amount in EUR")).to_have_value("100.00")
    expect(dialog).not_to_contain_text("can still return the debit")


def test_the_dialog_warns_before_a_bank_debit_is_refunded_that_can_still_be_returned(staff: Staff, sub: str) -> None:
    """The stack's clock cannot pass the days of a debit for one test, so the answer of the API is altered."""
    payment_id = staff.create_and_pay(sub)

    def as_bank_debit(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["payment"]["returnable_until"] = "2199-01-01T00:00:00.000Z"
        route.fulfill(response=response, json=body)

    staff.page.route(f"**/api/admin/payments/{payment_id}", as_bank_debit)
    staff.open_payment(payment_id)
    dialog = staff.open_dialog("Refund…")
    expect(dialog.get_by_role("note")).to_contain_text("the student’s bank can still return the debit")
    staff.expect_accessible()
