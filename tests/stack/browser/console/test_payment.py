"""One payment: what happened to it, and what staff decide about its money and its access."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from stripe_simulator.webhooks import signature
from tests.stack.browser.console.staff import Staff
from tests.stack.conftest import Running

REFUNDS = re.compile(r"/api/admin/payments/[^/]+/refunds/")


def entry(staff: Staff, title: str) -> Any:
    return staff.page.get_by_role("list").locator("li", has=staff.page.get_by_text(title, exact=True))


def test_one_timeline_tells_everything_with_its_source(staff: Staff, sub: str) -> None:
    made = staff.running.create(staff.running.token(sub)).json()
    staff.running.pay(made["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    staff.running.pay(made["payment_intent_id"])
    payment_id = made["payment_id"]
    told = {"payment_intent.payment_failed", "payment_intent.succeeded", "charge.failed", "charge.succeeded"}
    staff.running.until(lambda: told <= {r["type"] for r in staff.known(payment_id)["audit"]}, "all is told")
    part = {"amount": 12000, "reason": "The third project was missing", "note": "Agreed by phone"}
    staff.running.sim("webhooks", deliver="drop")  # or one of them may be first to tell of the refund
    assert staff.running.api("POST", f"/api/admin/payments/{payment_id}/refunds/", staff.token, json=part).is_success
    staff.running.sim("webhooks", deliver="normal")
    staff.at_payment(payment_id)
    declined = entry(staff, "Attempt declined")
    expect(declined).to_contain_text("Insufficient funds")
    expect(declined).to_contain_text("499.00 USD, Visa ··9995")
    expect(declined).to_contain_text("Stripe")
    expect(entry(staff, "Attempt succeeded")).to_contain_text("Visa ··4242")
    expect(entry(staff, "Payment begun")).to_contain_text("the student")
    paid = staff.page.get_by_role("list").locator("li", has_text="Received 499.00 USD")  # whichever event came first
    expect(paid).to_contain_text("→ ENROLLED")
    expect(paid).to_contain_text("webhook")
    expect(entry(staff, "payment_intent.succeeded")).to_contain_text("webhook")
    expect(staff.page.get_by_text(re.compile(r"Chain verified, \d+ records"))).to_be_visible()
    paid.get_by_role("button", name=re.compile("Record")).click()
    expect(paid).to_contain_text(re.compile("evt_.*[0-9a-f]{64}"))
    order = staff.page.locator(".timeline .title").all_inner_texts()
    happened = ["Refund succeeded", "Refund ordered", "Attempt succeeded", "Attempt declined", "Payment begun"]
    assert [title for title in order if title in happened] == happened
    staff.page.get_by_role("button", name="Newest first").click()
    turned = staff.page.locator(".timeline .title").all_inner_texts()
    assert turned == order[::-1]
    staff.page.get_by_role("button", name="Oldest first").click()
    paid.get_by_role("button", name=re.compile("Record")).click()
    ordered = entry(staff, "Refund ordered")
    expect(ordered).to_contain_text("120.00 USD: “The third project was missing”")
    expect(ordered).to_contain_text("Note: Agreed by phone")
    for entered in (ordered, entry(staff, "Refund made at Stripe")):
        expect(entered).to_contain_text(staff.sub)
        expect(entered.locator(".chip")).to_have_text("staff")
    for group in ("Payment", "Student", "Money", "Refund", "Method", "At Stripe", "Times", "Record"):
        expect(staff.page.get_by_role("heading", name=group, exact=True)).to_be_visible()
    assert staff.main.locator(".groups :is(input, select, textarea)").count() == 0
    staff.accessible("payment")


def test_a_chain_that_was_tampered_with_is_shown_as_broken(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)

    def tampered(route: Route) -> None:
        answer = route.fetch()
        body = answer.json() | {"chain": {"verified": False, "problem": "record 2: its content was changed"}}
        route.fulfill(response=answer, json=body)

    staff.page.route(f"**/api/admin/payments/{payment_id}/", tampered)
    staff.at_payment(payment_id)
    expect(staff.main.get_by_role("alert")).to_have_text("Chain broken: record 2: its content was changed")
    staff.accessible()


def test_a_part_is_refunded_then_the_rest_and_never_more(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.at_payment(payment_id)
    dialog = staff.ask("Refund…")
    amount, says = dialog.get_by_label("Amount in USD"), dialog.locator(".says")
    expect(amount).to_have_value("499.00")
    expect(says).to_have_text(
        "Refund 499.00 of 499.00 USD; the student is withdrawn from DP and its projects are locked."
    )
    for wrong in ("499.01", "0", "12.345", "-1", "a lot", ""):
        amount.fill(wrong)
        expect(says).to_contain_text("Type an amount from 0.01 to 499.00 USD")
        expect(dialog.get_by_role("button", name="Refund")).to_be_disabled()
    amount.fill("120")
    expect(says).to_have_text("Refund 120.00 of 499.00 USD; the student stays enrolled.")
    staff.accessible()
    staff.page.keyboard.press("Escape")
    expect(staff.main.get_by_role("button", name="Refund…")).to_be_focused()
    staff.ask("Refund…")
    expect(amount).to_have_value("120")  # what was typed is still there
    staff.refund("120.00")
    staff.sees("Refunded 120.00 USD; 379.00 USD are left.")
    expect(staff.main.get_by_text("student ENROLLED")).to_be_visible()
    staff.ask("Refund…")
    expect(amount).to_have_value("379.00")
    expect(says).to_have_text(
        "Refund 379.00 of 379.00 USD that are left; the student is withdrawn from DP and its projects are locked."
    )
    staff.accessible("refund")
    staff.refund("379.00", "The rest too")
    staff.sees("Refunded 379.00 USD; 0.00 USD are left.")
    expect(staff.main.get_by_text("student WITHDRAWN")).to_be_visible()
    expect(staff.main.get_by_role("button", name="Refund…")).to_have_count(0)
    expect(entry(staff, "Refund ordered").first).to_contain_text(staff.sub)
    staff.accessible()
    assert sorted(staff.refunds(payment_id)) == [12000, 37900]
    assert staff.known(payment_id)["payment"]["status"] == "REFUNDED"
    more = staff.running.api(
        "POST", f"/api/admin/payments/{payment_id}/refunds/", staff.token, json={"reason": "once more", "amount": 1}
    )
    assert more.status_code == 409


def test_a_double_click_refunds_once(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    sent: list[str] = []
    staff.page.on("request", lambda request: sent.append(request.method) if REFUNDS.search(request.url) else None)
    staff.at_payment(payment_id, "?do=refund")
    staff.dialog.get_by_label("Amount in USD").fill("100")
    staff.dialog.get_by_label("Reason").fill("A part was missing")
    staff.dialog.get_by_role("button", name="Refund 100.00 USD").dblclick()
    staff.sees("Refunded 100.00 USD; 399.00 USD are left.")
    assert sent == ["POST"]
    assert staff.refunds(payment_id) == [10000]


def test_a_lost_answer_is_looked_for_and_nothing_is_refunded_twice(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.expected.append("ERR_FAILED")

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch()
            route.abort()

    staff.page.route(REFUNDS, lose)
    staff.at_payment(payment_id, "?do=refund")
    staff.refund("120.00")
    expect(staff.dialog).to_contain_text("Looked again: Refunded 120.00 USD; 379.00 USD are left.")
    staff.accessible()
    staff.dialog.get_by_role("button", name="Close").click()
    expect(staff.main.get_by_text("379.00 USD left")).to_be_visible()
    staff.page.unroute(REFUNDS)
    staff.page.route(REFUNDS, lambda route: route.abort())
    staff.ask("Refund…")
    staff.refund("20.00")
    expect(staff.dialog).to_contain_text("Looked again: no refund was begun. You may send it once more.")
    staff.page.unroute(REFUNDS)
    staff.dialog.get_by_role("button", name="Refund 20.00 USD").click()
    staff.sees("Refunded 20.00 USD; 359.00 USD are left.")
    assert sorted(staff.refunds(payment_id)) == [2000, 12000]


def test_what_cannot_be_found_out_is_said_and_the_dialog_stays(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.expected.append("ERR_FAILED")
    staff.at_payment(payment_id, "?do=refund")
    staff.page.route("**/api/admin/**", lambda route: route.abort())
    staff.refund("120.00")
    expect(staff.dialog.get_by_role("alert")).to_contain_text("Whether it was done is not known yet")
    staff.accessible()
    staff.page.unroute("**/api/admin/**")
    staff.dialog.get_by_role("button", name="Refund 120.00 USD").click()
    staff.sees("Refunded 120.00 USD; 379.00 USD are left.")
    assert staff.refunds(payment_id) == [12000]


def test_what_is_sent_cannot_be_called_back(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    held: list[Route] = []
    staff.at_payment(payment_id)
    staff.ask("Refund…")
    staff.page.route(REFUNDS, lambda route: held.append(route))
    with staff.page.expect_request(REFUNDS):
        staff.refund("120.00")
    expect(staff.dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    staff.page.keyboard.press("Escape")
    expect(staff.dialog).to_be_visible()
    held[0].continue_()
    staff.sees("Refunded 120.00 USD; 379.00 USD are left.")
    expect(staff.dialog).to_have_count(0)


def test_a_dialog_that_makes_no_sense_is_not_opened_by_an_address(staff: Staff, sub: str) -> None:
    unpaid = staff.running.create(staff.running.token(sub)).json()["payment_id"]
    for ask in ("refund", "accept", "revoke", "approve&on=rr_1", "resolve&on=double", "constructor"):
        staff.open("#/quarantine")
        staff.at_payment(unpaid, f"?do={ask}")
        expect(staff.dialog).to_have_count(0)


def test_stripe_that_does_not_answer_leaves_one_refund_that_is_driven_on(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.expected.append(r"status of 50[234] ")
    staff.at_payment(payment_id, "?do=refund")
    staff.running.sim("calls", match="POST /v1/refunds", times=1, fail="rate_limit")
    staff.refund("120.00")
    expect(staff.dialog).to_contain_text("Stripe has not answered yet. It is driven to its end by itself")
    staff.dialog.get_by_role("button", name="Close").click()
    expect(staff.main.get_by_text("calling")).to_be_visible()
    assert staff.refunds(payment_id) == []
    assert [r["state"] for r in staff.known(payment_id)["payment"]["refund_requests"]] == ["calling"]
    driven = {"payment_id": payment_id, "reason": "I would like my money back"}  # by whoever comes next
    staff.running.api("POST", "/api/payments/request-refund/", staff.running.token(sub), json=driven)
    staff.page.reload()
    expect(staff.main.locator("table").get_by_text("done")).to_be_visible()
    assert staff.refunds(payment_id) == [12000]


def test_who_comes_second_is_told_and_refunds_nothing(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.expected.append(r"status of 409 ")
    staff.at_payment(payment_id, "?do=refund")
    other = staff.running.token("another-of-staff", groups=["admin"])
    refund = {"amount": 12000, "reason": "was there first", "left": 49900}
    assert staff.running.api("POST", f"/api/admin/payments/{payment_id}/refunds/", other, json=refund).is_success
    staff.refund("120.00")
    expect(staff.dialog.get_by_role("alert")).to_contain_text("look again")
    expect(staff.dialog).to_contain_text("379.00 USD left of 499.00 USD received")
    assert staff.refunds(payment_id) == [12000]


# --- a student's request ---


@pytest.fixture
def no_window(running: Running) -> Iterator[None]:
    """Every request of a student's waits for staff."""
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    client, name = aws.client("lambda"), deployed.resources["RequestRefundFunction"]
    kept = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**kept, "REFUND_WINDOW_DAYS": "0"}}
    )
    yield
    client.update_function_configuration(FunctionName=name, Environment={"Variables": kept})


@pytest.mark.usefixtures("no_window")
def test_a_students_request_is_declined_and_the_next_one_approved(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    asked = {"payment_id": payment_id, "reason": "I have no time"}
    for _ in range(2):
        answer = staff.running.api("POST", "/api/payments/request-refund/", staff.running.token(sub), json=asked)
        assert answer.status_code == 202
    staff.at_payment(payment_id)
    dialog = staff.ask("Decline…")
    expect(dialog).to_contain_text("No money moves, and the student keeps what they have.")
    expect(dialog).to_contain_text("I have no time")
    dialog.get_by_label("Note").fill("The course has ended")
    staff.accessible()
    dialog.get_by_role("button", name="Decline").click()
    staff.sees("The request is declined; no money moved.")
    expect(entry(staff, "Refund request declined")).to_contain_text("Note: The course has ended")
    assert staff.refunds(payment_id) == []
    answer = staff.running.api("POST", "/api/payments/request-refund/", staff.running.token(sub), json=asked)
    assert answer.status_code == 202
    staff.page.reload()
    dialog = staff.ask("Approve…")
    expect(dialog.locator(".says")).to_have_text(
        "Refund 499.00 of 499.00 USD; the student is withdrawn from DP and its projects are locked."
    )
    staff.accessible()
    dialog.get_by_role("button", name="Refund 499.00 USD").click()
    staff.sees("Refunded 499.00 USD; 0.00 USD are left.")
    expect(entry(staff, "Refund request approved")).to_contain_text(staff.sub)
    assert staff.refunds(payment_id) == [49900]


@pytest.mark.usefixtures("no_window")
def test_who_answers_a_request_second_is_told(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.expected.append(r"status of 409 ")
    asked = {"payment_id": payment_id, "reason": "I have no time"}
    made = staff.running.api("POST", "/api/payments/request-refund/", staff.running.token(sub), json=asked).json()
    staff.at_payment(payment_id)
    dialog = staff.ask("Approve…")
    other = staff.running.token("another-of-staff", groups=["admin"])
    path = f"/api/admin/payments/{payment_id}/refunds/{made['refund_request']['id']}/"
    assert staff.running.api("POST", path, other, json={"decision": "decline"}).is_success
    dialog.get_by_role("button", name="Refund 499.00 USD").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This request is declined")
    expect(dialog).to_contain_text("there is nothing to decide")
    expect(dialog.get_by_role("button", name="Refund")).to_be_disabled()
    staff.accessible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(staff.main.get_by_role("button", name="Approve…")).to_have_count(0)
    assert staff.refunds(payment_id) == []


# --- access and attention ---


def test_access_is_revoked_and_given_again(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub)
    staff.at_payment(payment_id)
    dialog = staff.ask("Revoke access…")
    expect(dialog).to_contain_text("No money moves: 499.00 USD stay with the school.")
    expect(dialog.get_by_role("button", name="Revoke access")).to_be_disabled()
    dialog.get_by_label("Why").fill("Shared the account")
    staff.accessible()
    dialog.get_by_role("button", name="Revoke access").click()
    staff.sees("Revoked: this payment gives no access to DP. No money moved.")
    expect(staff.main.get_by_text("student WITHDRAWN")).to_be_visible()
    expect(entry(staff, "Access revoked")).to_contain_text("Note: Shared the account")
    dialog = staff.ask("Give access again…")
    dialog.get_by_label("Why").fill("It was a brother")
    dialog.get_by_role("button", name="Accept").click()
    staff.sees("Accepted: this payment gives access to DP.")
    expect(staff.main.get_by_text("student ENROLLED")).to_be_visible()
    assert staff.refunds(payment_id) == []


def test_an_amount_that_differs_is_accepted(staff: Staff, sub: str) -> None:
    made = staff.running.create(staff.running.token(sub)).json()
    staff.running.stripe("POST", f"/v1/payment_intents/{made['payment_intent_id']}", amount=45000)
    staff.running.pay(made["payment_intent_id"])
    payment_id = made["payment_id"]
    staff.running.until(lambda: staff.known(payment_id)["payment"]["attention"], "a mark")
    staff.open("#/attention")
    row = staff.rows().filter(has_text=f"{sub}@example.org")
    expect(row).to_contain_text("450.00 USD was received where 499.00 USD was asked")
    expect(row).to_contain_text("accept what was received")
    row.get_by_role("link").first.click()
    dialog = staff.ask("Accept the amount…")
    expect(dialog).to_contain_text("The 450.00 USD that were received count as the price of DP")
    dialog.get_by_label("Why").fill("A discount was promised by phone")
    dialog.get_by_role("button", name="Accept").click()
    staff.sees("Accepted: this payment gives access to DP.")
    expect(staff.main.get_by_text("student ENROLLED")).to_be_visible()
    expect(staff.main.locator(".cause")).to_have_count(0)
    assert staff.running.enrollment(staff.running.token(sub))["status"] == "ENROLLED"


def test_a_dispute_is_listed_with_its_date_and_its_mark_is_dealt_with(staff: Staff, sub: str) -> None:
    payment_id = staff.bought(sub, "DP", "pm_card_createDisputeInquiry")
    staff.running.until(lambda: staff.known(payment_id)["payment"]["attention"], "a mark")
    staff.open("#/disputes")
    row = staff.rows().filter(has_text=f"{sub}@example.org")
    expect(row).to_contain_text(re.compile("in [89] days"))  # Stripe's clock may be some seconds ahead
    expect(row).to_contain_text("Fraudulent")
    expect(row).to_contain_text("ENROLLED")
    link = row.get_by_role("link", name="Answer it")
    expect(link).to_have_attribute("href", re.compile(r"^https://dashboard\.stripe\.com/test/disputes/du_"))
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    staff.accessible("disputes")
    staff.page.get_by_role("link", name="Decided").click()
    expect(staff.page).to_have_url(re.compile("state=over"))
    staff.accessible()
    staff.open("#/attention")
    row = staff.rows().filter(has_text=f"{sub}@example.org")
    staff.accessible("attention")
    row.get_by_role("link", name="Dealt with…").click()
    expect(staff.dialog).to_contain_text(
        "No money moves, and access does not change. When this changes, it comes back."
    )
    staff.dialog.get_by_label("What was done").fill("Called the student: it was a mistake")
    staff.accessible()
    staff.dialog.get_by_role("button", name="Mark as dealt with").click()
    staff.sees("Marked as dealt with.")
    expect(entry(staff, "Attention dealt with")).to_contain_text("Called the student: it was a mistake")
    staff.open("#/attention")
    staff.heading("Needs a person")
    expect(staff.main.locator(".answer, .empty").first).to_be_visible()
    expect(row).to_have_count(0)


# --- quarantine ---


def test_an_event_that_cannot_be_applied_stays_and_one_that_can_leaves(staff: Staff, sub: str) -> None:
    made = staff.running.create(staff.running.token(sub)).json()
    staff.running.sim("webhooks", deliver="drop")
    staff.running.pay(made["payment_intent_id"])
    staff.running.sim("webhooks", deliver="normal")
    listed = staff.running.stripe("GET", "/v1/events?type=payment_intent.succeeded&limit=100")["data"]
    paid = next(e for e in listed if e["data"]["object"]["id"] == made["payment_intent_id"])
    broken = json.loads(json.dumps(paid)) | {"id": f"evt_{sub.replace('-', '')}broken"}
    broken["data"]["object"]["amount_received"] = "a lot"
    deliver(staff.running, broken)
    keep(staff.running, paid, "what a release before this one did not know")
    staff.open("#/quarantine")
    stuck = staff.rows().filter(has_text=broken["id"])
    expect(stuck).to_contain_text("amount_received should be an integer")
    stuck.get_by_text("What Stripe sent").click()
    expect(stuck.get_by_label(f"Event {broken['id']}")).to_contain_text('"amount_received": "a lot"')
    staff.accessible("quarantine")
    stuck.get_by_role("button", name="Try again").click()
    staff.sees(f"{broken['id']}: It still cannot be applied, and stays.")
    staff.rows().filter(has_text=paid["id"]).get_by_role("button", name="Try again").click()
    staff.sees(f"{paid['id']}: Applied: it has left the quarantine.")
    expect(staff.rows().filter(has_text=paid["id"])).to_have_count(0)
    expect(stuck.locator("td").nth(3)).to_have_text("2")
    assert staff.known(made["payment_id"])["payment"]["status"] == "SUCCEEDED"
    forget(staff.running, broken["id"])


def deliver(running: Running, event: dict[str, Any]) -> None:
    body = json.dumps(event)
    header = signature(running.ready["webhook_secret"], body.encode(), int(time.time()))
    headers = {"stripe-signature": header}
    answer = running.api("POST", "/api/payments/webhook/", headers=headers, content=body)
    assert answer.json()["outcome"] == "quarantined"


def keep(running: Running, event: dict[str, Any], reason: str) -> None:
    """An event as it lies in quarantine."""
    now = {"S": "2026-11-24T08:00:00.000Z"}
    item = {"event_id": {"S": event["id"]}, "event": {"S": json.dumps(event)}, "reason": {"S": reason}}
    item |= {"first_at": now, "last_at": now, "tries": {"N": "1"}, "kept": {"S": "kept"}}
    client, table = quarantine_table(running)
    client.put_item(TableName=table, Item=item)


def forget(running: Running, event_id: str) -> None:
    client, table = quarantine_table(running)
    client.delete_item(TableName=table, Key={"event_id": {"S": event_id}})


def quarantine_table(running: Running) -> tuple[Any, str]:
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    return aws.client("dynamodb"), deployed.resources["QuarantineTable"]
