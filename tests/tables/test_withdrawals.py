"""Withdrawals from the contract, where ConsumerRegion is EU: access ends at once, and the money is due in 14 days."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import request_refund
from tests.harness import Harness, Response, Student
from tests.tables.test_refunds import DECIDE, ORDER, block_refunds, buy, refunds_at_stripe, unblock_refunds
from tuition import settings
from tuition.core import timestamps
from tuition.core.errors import NotConfigured, StripeRefused
from tuition.storage import ledger
from tuition.stripe_gateway import client as stripe_client

ACKNOWLEDGE = "POST /api/admin/payments/{payment_id}/attention"
ACCESS = "POST /api/admin/payments/{payment_id}/access"
READ = "GET /api/admin/payments/{payment_id}"
DAY_S = 86400
NAME = "Ada Lovelace"


@pytest.fixture(autouse=True)
def in_the_eu(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    set_region(monkeypatch, "EU")
    yield
    settings.settings.cache_clear()


def set_region(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("CONSUMER_REGION", region)
    settings.settings.cache_clear()


def withdraw(tuition: Harness, student: Student, payment_id: str, **more: Any) -> Response:
    body = {"payment_id": payment_id, "withdrawal": True, "name": NAME, **more}
    return tuition.call(request_refund.handler, student, body)


def problem(response: Response) -> tuple[int, str]:
    return response.status, response.body["type"].rpartition("/")[2]


def reasons(tuition: Harness, admin: Student, payment_id: str) -> dict[str, str]:
    attention = tuition.admin(admin, READ, payment_id=payment_id).body["payment"]["attention"]
    return {reason["name"]: reason["detail"] for reason in attention}


def actions(tuition: Harness, admin: Student, payment_id: str) -> set[str]:
    return {action["action"] for action in tuition.admin(admin, READ, payment_id=payment_id).body["actions"]}


def buy_by_bank_debit(tuition: Harness, student: Student) -> str:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    tuition.advance_stripe(4 * DAY_S)
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    return str(purchase["payment_id"])


def order_by_bank_debit(tuition: Harness, student: Student, method: str = "pm_usBankAccount_success") -> str:
    """Return a payment that the student's bank is processing."""
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], method)
    tuition.deliver_all()
    assert tuition.payment(purchase["payment_id"]).status == "PROCESSING"
    return str(purchase["payment_id"])


# --- two steps ---


def test_a_request_in_the_period_changes_nothing_until_it_is_confirmed_as_a_withdrawal(
    tuition: Harness, student: Student
) -> None:
    payment_id = buy(tuition, student)
    assert problem(tuition.refund(student, payment_id)) == (409, "withdrawal-unconfirmed")
    after = tuition.payment(payment_id)
    assert (after.facts.withdrawn, after.requests) == (None, ())
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_withdrawal_ends_access_at_once_and_refunds_a_card(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    before = tuition.status(student, payment_id).body["withdrawal"]
    assert before["possible_until"] == tuition.status(student, payment_id).body["refundable_until"]
    assert before["submitted_at"] is None
    response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["status"]) == (200, "REFUNDED")
    shown = response.body["withdrawal"]
    assert (shown["name"], shown["email"], shown["possible_until"]) == (NAME, f"{student.sub}@example.org", None)
    due = timestamps.epoch(shown["refund_due_by"]) - timestamps.epoch(shown["submitted_at"])
    assert due == 14 * DAY_S
    assert response.body["refund_request"]["reason"] == "Withdrawal from the contract"
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    tuition.deliver_all()
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    assert reasons(tuition, admin, payment_id) == {}
    assert tuition.chain_problem(payment_id) is None


def test_access_ends_before_stripe_is_asked_for_the_refund(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.stripe_blocked = True
    response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["no_access_reason"]) == (202, "withdrawn")
    assert response.body["refund_request"]["state"] == "submitting"
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert not any(project["unlocked"] for project in tuition.enrollment(student)["projects"])
    tuition.stripe_blocked = False
    tuition.advance_time(301)
    tuition.reconcile()
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    assert tuition.payment(payment_id).status == "REFUNDED"
    assert reasons(tuition, admin, payment_id) == {}


def test_a_purchase_that_we_know_only_from_stripe_needs_stripe_for_its_withdrawal(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])  # the webhook is late
    tuition.stripe_blocked = True
    assert withdraw(tuition, student, purchase["payment_id"]).status >= 502
    tuition.stripe_blocked = False
    assert withdraw(tuition, student, purchase["payment_id"]).status == 200


def test_a_withdrawal_waits_for_staff_if_we_do_not_know_yet_how_it_was_paid(
    tuition: Harness, student: Student, admin: Student
) -> None:
    """The webhook of the charge is late, and Stripe is out of reach: it may have been a bank debit."""
    purchase = tuition.create(student).body
    payment_id = purchase["payment_id"]
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    tuition.advance_stripe(4 * DAY_S)
    events = [json.loads(payload) for payload in tuition.stripe.webhooks.payloads.values()]
    tuition.deliver(
        next(
            event
            for event in events
            if event["type"] == "payment_intent.succeeded"
            and event["data"]["object"]["id"] == purchase["payment_intent_id"]
        )
    )
    assert tuition.payment(payment_id).payment_method is None
    tuition.stripe_blocked = True
    response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["no_access_reason"]) == (202, "withdrawn")
    tuition.stripe_blocked = False
    tuition.advance_time(301)
    tuition.reconcile()
    tuition.deliver_all()
    assert refunds_at_stripe(tuition, payment_id) == []
    assert tuition.payment(payment_id).requests[0].state == "awaiting_approval"
    assert list(reasons(tuition, admin, payment_id)) == ["withdrawal"]


@pytest.mark.parametrize(
    "error",
    [
        NotConfigured("Stripe refuses our key."),
        StripeRefused("no such permission", 403, "invalid_request_error", "more_permissions_required"),
    ],
)
def test_a_withdrawal_needs_no_valid_key_for_stripe(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    payment_id = buy(tuition, student)

    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(stripe_client, "retrieve_intent", refuse)
        broken.setattr(stripe_client, "create_refund", refuse)
        response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["no_access_reason"]) == (202, "withdrawn")
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    tuition.advance_time(301)
    tuition.reconcile()
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    assert reasons(tuition, admin, payment_id) == {}


def test_a_withdrawal_needs_a_name_and_a_name_needs_a_withdrawal(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    for name in (None, "", "   ", 7, "x" * 201, "a\x00b"):
        response = withdraw(tuition, student, payment_id, name=name)
        assert (response.status, response.body["field"]) == (422, "name"), name
    body = {"payment_id": payment_id, "reason": "why", "name": NAME}
    assert tuition.call(request_refund.handler, student, body).body["field"] == "name"
    body = {"payment_id": payment_id, "withdrawal": "yes", "name": NAME}
    assert tuition.call(request_refund.handler, student, body).body["field"] == "withdrawal"
    assert tuition.payment(payment_id).facts.withdrawn is None


def test_another_user_cannot_withdraw_from_a_contract(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    assert withdraw(tuition, Student("mallory"), payment_id).status == 404
    assert tuition.payment(payment_id).facts.withdrawn is None


def test_the_acknowledgement_goes_to_the_verified_address_of_the_caller(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    unverified = Student(student.sub, "else@example.org", verified=False)
    withdrawn = withdraw(tuition, unverified, payment_id).body["withdrawal"]
    assert withdrawn["email"] == f"{student.sub}@example.org"


# --- when it is possible ---


def test_in_the_us_a_request_is_as_it_always_was(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_region(monkeypatch, "US")
    payment_id = buy(tuition, student)
    refused = withdraw(tuition, student, payment_id)
    assert (refused.status, refused.body["field"]) == (422, "withdrawal")
    assert refused.body["detail"] == ("'withdrawal' is not accepted here. Send payment_intent_id, payment_id, reason.")
    response = tuition.refund(student, payment_id)
    assert (response.status, response.body["status"]) == (200, "REFUNDED")
    assert "withdrawal" not in response.body
    assert tuition.tracks().body["consumer_region"] == "US"


@pytest.mark.parametrize(("after_s", "in_time"), [(15 * DAY_S - 60, True), (15 * DAY_S + 60, False)])
def test_the_period_lasts_to_the_end_of_its_last_day_in_every_time_zone(
    tuition: Harness, student: Student, after_s: int, *, in_time: bool
) -> None:
    """Fourteen days end with the last hour of the fourteenth day after the purchase, at most 15 x 24 hours later."""
    tuition.freeze_time()
    payment_id = buy(tuition, student)
    tuition.advance_time(after_s)
    response = withdraw(tuition, student, payment_id)
    if in_time:
        assert response.status == 200
    else:
        assert problem(response) == (409, "refund-refused")
        assert tuition.payment(payment_id).facts.withdrawn is None


def test_after_the_period_staff_decide_as_in_the_us(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.freeze_time()
    payment_id = buy(tuition, student)
    tuition.advance_time(15 * DAY_S + 60)
    response = tuition.refund(student, payment_id)
    assert (response.status, response.body["refund_request"]["state"]) == (202, "awaiting_approval")
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert {"approve", "decline"} <= actions(tuition, admin, payment_id)
    request_id = response.body["refund_request"]["id"]
    declined = tuition.admin(admin, DECIDE, {"decision": "decline"}, payment_id=payment_id, request_id=request_id)
    assert declined.body["refund_request"]["state"] == "declined"


def test_an_unpaid_or_refunded_payment_has_nothing_to_withdraw_from(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    assert problem(withdraw(tuition, student, purchase["payment_id"])) == (409, "refund-refused")
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"])
    assert problem(withdraw(tuition, student, purchase["payment_id"])) == (409, "refund-refused")


def test_the_settings_refuse_an_unknown_region_and_a_period_that_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    set_region(monkeypatch, "CH")
    with pytest.raises(NotConfigured, match="CONSUMER_REGION"):
        settings.settings()
    set_region(monkeypatch, "EU")
    monkeypatch.setenv("REFUND_WINDOW_DAYS", "13")
    settings.settings.cache_clear()
    with pytest.raises(NotConfigured, match="at least 14"):
        settings.settings()


# --- refunds that wait for staff ---


def test_the_refund_of_a_bank_debit_waits_for_staff_who_cannot_decline_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy_by_bank_debit(tuition, student)
    response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["no_access_reason"]) == (202, "withdrawn")
    assert response.body["refund_request"]["state"] == "awaiting_approval"
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    due = response.body["withdrawal"]["refund_due_by"]
    shown = reasons(tuition, admin, payment_id)
    assert list(shown) == ["withdrawal"]
    assert due[:10] in shown["withdrawal"]
    assert "decline" not in actions(tuition, admin, payment_id)
    rows = tuition.admin(admin, "GET /api/admin/refund-requests", query={"limit": "100"}).body["refund_requests"]
    (row,) = [row for row in rows if row["payment_id"] == payment_id]
    assert (row["can_approve"], row["can_decline"], row["refund_due_by"]) == (True, False, due)
    request_id = response.body["refund_request"]["id"]
    path = {"payment_id": payment_id, "request_id": request_id}
    declined = tuition.admin(admin, DECIDE, {"decision": "decline"}, **path)
    assert problem(declined) == (409, "refund-refused")
    assert due in declined.body["detail"]
    acknowledged = tuition.admin(admin, ACKNOWLEDGE, {"name": "withdrawal", "note": "later"}, payment_id=payment_id)
    assert problem(acknowledged) == (409, "conflict")
    assert tuition.attention(payment_id) == ["withdrawal"]
    approved = tuition.admin(admin, DECIDE, {"decision": "approve"}, **path)
    assert approved.status in (200, 202)
    tuition.deliver_all()
    assert reasons(tuition, admin, payment_id) == {}


def test_the_refund_of_a_repeated_purchase_waits_for_staff(tuition: Harness, student: Student, admin: Student) -> None:
    withdraw(tuition, student, buy(tuition, student))
    tuition.deliver_all()
    second = buy(tuition, student)
    response = withdraw(tuition, student, second)
    assert (response.status, response.body["refund_request"]["state"]) == (202, "awaiting_approval")
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert list(reasons(tuition, admin, second)) == ["withdrawal"]


def test_a_withdrawal_that_waits_never_blocks_the_next_purchase_nor_counts_as_paid_twice(
    tuition: Harness, student: Student, admin: Student
) -> None:
    first = buy_by_bank_debit(tuition, student)
    withdraw(tuition, student, first)
    second = buy(tuition, student)
    assert reasons(tuition, admin, second) == {}
    assert list(reasons(tuition, admin, first)) == ["withdrawal"]


def test_no_refund_is_made_automatically_before_or_after_the_day_and_the_attention_stays(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy_by_bank_debit(tuition, student)
    withdraw(tuition, student, payment_id)
    for _ in range(4):
        tuition.advance_time(5 * DAY_S)
        tuition.reconcile()
        assert refunds_at_stripe(tuition, payment_id) == []
        assert list(reasons(tuition, admin, payment_id)) == ["withdrawal"]
    assert "approve" in actions(tuition, admin, payment_id)


def test_money_that_went_back_in_the_dashboard_supersedes_the_request_and_a_failure_revives_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy_by_bank_debit(tuition, student)
    withdraw(tuition, student, payment_id)
    refund = tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent)
    tuition.deliver_all()
    assert tuition.payment(payment_id).requests[0].state == "superseded"
    assert reasons(tuition, admin, payment_id) == {}
    tuition.at_stripe("POST", f"/_sim/refunds/{refund['id']}", status="failed")
    tuition.deliver_all()
    payment = tuition.payment(payment_id)
    if payment.facts.refunds[refund["id"]].status == "failed":
        assert payment.requests[0].state == "awaiting_approval"
        assert "withdrawal" in reasons(tuition, admin, payment_id)
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"


def test_a_refund_that_stripe_rejects_leaves_the_withdrawal_and_its_attention(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    create = stripe_client.create_refund

    def refuse(*_: Any) -> Any:
        raise StripeRefused("insufficient funds", 400, "invalid_request_error", "balance_insufficient")

    monkeypatch.setattr(stripe_client, "create_refund", refuse)
    response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["refund_request"]["state"]) == (202, "rejected")
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert list(reasons(tuition, admin, payment_id)) == ["withdrawal"]
    monkeypatch.setattr(stripe_client, "create_refund", create)
    tuition.advance_time(20 * DAY_S)  # the period has ended, but the withdrawal was in time
    again = tuition.refund(student, payment_id)
    assert (again.status, again.body["status"]) == (200, "REFUNDED")
    assert reasons(tuition, admin, payment_id) == {}


def test_a_lost_payment_is_rebuilt_as_withdrawn(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy_by_bank_debit(tuition, student)
    withdrawn_at = withdraw(tuition, student, payment_id).body["withdrawal"]["submitted_at"]
    intent = tuition.payment(payment_id).intent
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": payment_id}})
    events = [json.loads(payload) for payload in tuition.stripe.webhooks.payloads.values()]
    succeeded = next(
        e for e in events if e["type"] == "payment_intent.succeeded" and e["data"]["object"]["id"] == intent
    )
    tuition.deliver({**succeeded, "id": "evt_again"})
    payment = tuition.payment(payment_id)
    assert payment.withdrawn_at == withdrawn_at
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert set(reasons(tuition, admin, payment_id)) == {"withdrawal", "rebuilt"}


# --- races ---


def test_a_withdrawal_twice_is_one_withdrawal_and_one_refund(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    first = withdraw(tuition, student, payment_id).body["withdrawal"]
    again = withdraw(tuition, student, payment_id, name="Someone Else")
    assert again.status == 200
    assert again.body["withdrawal"] == first
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    types = [record["type"] for record in tuition.audit_trail(payment_id)]
    assert types.count("contract.withdrawn") == 1


def test_a_withdrawal_while_a_refund_by_staff_is_submitted_makes_no_second_refund(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    block_refunds(tuition)
    order = {"amount": 10000, "reason": "half a course"}
    assert tuition.admin(admin, ORDER, order, payment_id=payment_id).status == 502
    response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["no_access_reason"]) == (202, "withdrawn")
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert "half a course" not in str(response.body)
    assert list(reasons(tuition, admin, payment_id)) == ["withdrawal"]
    unblock_refunds(tuition)
    tuition.advance_time(301)
    tuition.reconcile()
    assert [refund["amount"] for refund in refunds_at_stripe(tuition, payment_id)] == [10000]
    assert "399.00" in reasons(tuition, admin, payment_id)["withdrawal"]
    rest = tuition.refund(student, payment_id)
    assert (rest.status, rest.body["status"]) == (200, "REFUNDED")
    assert sum(refund["amount"] for refund in refunds_at_stripe(tuition, payment_id)) == 49900
    assert reasons(tuition, admin, payment_id) == {}


def test_a_refund_of_a_part_that_is_pending_does_not_block_the_rest_of_a_withdrawal(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student, "pm_card_pendingRefund")
    part = {"amount": 10000, "reason": "half a course"}
    assert tuition.admin(admin, ORDER, part, payment_id=payment_id).status == 202
    assert withdraw(tuition, student, payment_id).status == 202
    assert sorted(refund["amount"] for refund in refunds_at_stripe(tuition, payment_id)) == [10000, 39900]
    assert [request.state for request in tuition.payment(payment_id).requests] == ["pending", "pending"]
    assert reasons(tuition, admin, payment_id) == {}
    tuition.advance_stripe(10)
    tuition.deliver_all()
    assert tuition.payment(payment_id).status == "REFUNDED"
    assert len(refunds_at_stripe(tuition, payment_id)) == 2


def test_staff_refund_the_rest_of_a_withdrawal_while_their_refund_of_a_part_is_pending(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = order_by_bank_debit(tuition, student)
    assert withdraw(tuition, student, payment_id).status == 202
    tuition.advance_stripe(5 * DAY_S)
    tuition.deliver_all()
    part = {"amount": 10000, "reason": "withdrawal"}
    assert tuition.admin(admin, ORDER, part, payment_id=payment_id).status in (200, 202)
    (refund,) = refunds_at_stripe(tuition, payment_id)
    if tuition.payment(payment_id).requests[0].state == "pending":
        assert "refund" in actions(tuition, admin, payment_id)
    assert tuition.admin(admin, ORDER, {"reason": "withdrawal"}, payment_id=payment_id).status in (200, 202)
    amounts = [refund["amount"] for refund in refunds_at_stripe(tuition, payment_id)]
    assert sorted(amounts) == [10000, 39900]
    assert refund["amount"] == 10000


def test_a_refund_by_staff_while_a_withdrawal_waits_must_approve_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy_by_bank_debit(tuition, student)
    withdraw(tuition, student, payment_id)
    response = tuition.admin(admin, ORDER, {"reason": "at once"}, payment_id=payment_id)
    assert problem(response) == (409, "refund-refused")
    assert refunds_at_stripe(tuition, payment_id) == []


@pytest.mark.parametrize("withdrawal_first", [True, False])
def test_a_withdrawal_and_a_refund_by_staff_at_once_refund_everything_once(
    tuition: Harness,
    student: Student,
    admin: Student,
    monkeypatch: pytest.MonkeyPatch,
    *,
    withdrawal_first: bool,
) -> None:
    """The second starts before the first has committed, so its transaction meets a conflict and decides again."""
    payment_id = buy(tuition, student)

    def staff() -> Response:
        return tuition.admin(admin, ORDER, {"reason": "goodwill"}, payment_id=payment_id)

    def student_withdraws() -> Response:
        return withdraw(tuition, student, payment_id)

    outer, inner = (student_withdraws, staff) if withdrawal_first else (staff, student_withdraws)
    real_update, interrupted = ledger.update, []

    def update(ref: Any, decide: Any, *before: Any) -> Any:
        def interrupting(state: Any) -> Any:
            change = decide(state)
            if change and change.entry.type in ("contract.withdrawn", "refund.created_by_staff") and not interrupted:
                interrupted.append(True)
                inner()
            return change

        return real_update(ref, interrupting, *before)

    monkeypatch.setattr(ledger, "update", update)
    outer()
    monkeypatch.setattr(ledger, "update", real_update)
    tuition.deliver_all()
    assert interrupted
    payment = tuition.payment(payment_id)
    assert sum(refund["amount"] for refund in refunds_at_stripe(tuition, payment_id)) == 49900
    assert payment.status == "REFUNDED"
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert tuition.chain_problem(payment_id) is None


@pytest.mark.parametrize(
    ("status", "state", "due"), [("won", "awaiting_approval", True), ("lost", "superseded", False)]
)
def test_a_withdrawal_in_a_dispute_ends_access_and_its_refund_waits_for_the_bank(
    tuition: Harness, student: Student, admin: Student, status: str, state: str, *, due: bool
) -> None:
    payment_id = buy(tuition, student)
    charge = tuition.payment(payment_id).stripe_charge_id
    dispute = tuition.at_stripe("POST", "/_sim/disputes", charge=charge, status="needs_response")
    tuition.deliver_all()
    response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["refund_request"]["state"]) == (202, "awaiting_approval")
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert "withdrawal" in reasons(tuition, admin, payment_id)
    assert not {"approve", "decline"} & actions(tuition, admin, payment_id)
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status=status)
    tuition.deliver_all()
    assert tuition.payment(payment_id).requests[0].state == state
    assert ("withdrawal" in reasons(tuition, admin, payment_id)) == due
    assert ("approve" in actions(tuition, admin, payment_id)) == due
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert refunds_at_stripe(tuition, payment_id) == []


# --- while a bank processes the debit ---


def test_a_withdrawal_while_the_bank_processes_the_debit_is_stored_and_its_money_is_due_once_it_settles(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = order_by_bank_debit(tuition, student)
    assert problem(tuition.refund(student, payment_id)) == (409, "withdrawal-unconfirmed")
    assert tuition.status(student, payment_id).body["withdrawal"]["possible_until"]
    response = withdraw(tuition, student, payment_id)
    assert (response.status, response.body["status"]) == (202, "PROCESSING")
    assert response.body["withdrawal"]["submitted_at"]
    assert reasons(tuition, admin, payment_id) == {}
    tuition.advance_stripe(5 * DAY_S)
    tuition.deliver_all()
    settled = tuition.status(student, payment_id).body
    assert (settled["status"], settled["no_access_reason"]) == ("SUCCEEDED", "withdrawn")
    assert tuition.enrollment(student)["status"] != "ENROLLED"
    due = response.body["withdrawal"]["refund_due_by"][:10]
    assert due in reasons(tuition, admin, payment_id)["withdrawal"]
    assert "refund" in actions(tuition, admin, payment_id)
    refunded = tuition.admin(admin, ORDER, {"reason": "withdrawal"}, payment_id=payment_id)
    assert refunded.status == 200, refunded.body
    tuition.deliver_all()
    assert tuition.payment(payment_id).status == "REFUNDED"
    assert reasons(tuition, admin, payment_id) == {}
    assert tuition.chain_problem(payment_id) is None


def test_a_debit_that_fails_after_the_withdrawal_owes_nothing_and_can_never_be_paid(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = order_by_bank_debit(tuition, student, "pm_usBankAccount_insufficientFunds")
    assert withdraw(tuition, student, payment_id).status == 202
    tuition.advance_stripe(5 * DAY_S)
    tuition.deliver_all()
    assert tuition.payment(payment_id).status == "CANCELED"
    assert reasons(tuition, admin, payment_id) == {}
    shown = tuition.status(student, payment_id).body
    assert (shown["refundable_amount"], shown["withdrawal"]["possible_until"]) == (0, None)
    again = tuition.create(student)
    assert again.status == 201
    assert again.body["payment_id"] != payment_id
    tuition.pay(again.body["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_withdrawal_while_the_bank_processes_the_debit_needs_no_stripe_and_is_made_once(
    tuition: Harness, student: Student
) -> None:
    payment_id = order_by_bank_debit(tuition, student)
    tuition.stripe_blocked = True
    first = withdraw(tuition, student, payment_id)
    assert first.status == 202
    tuition.stripe_blocked = False
    tuition.advance_time(60)
    again = withdraw(tuition, student, payment_id)
    assert (again.status, again.body["withdrawal"]) == (202, first.body["withdrawal"])


def test_the_period_of_a_bank_debit_counts_from_the_order_before_and_after_it_settles(
    tuition: Harness, student: Student
) -> None:
    payment_id = order_by_bank_debit(tuition, student)
    before = tuition.status(student, payment_id).body["withdrawal"]["possible_until"]
    ordered_at = tuition.payment(payment_id).ordered_at
    assert ordered_at is not None
    assert timestamps.epoch(before) == timestamps.epoch(ordered_at) + 15 * DAY_S
    tuition.advance_stripe(5 * DAY_S)
    tuition.deliver_all()
    assert tuition.status(student, payment_id).body["withdrawal"]["possible_until"] == before


def test_in_the_us_a_debit_that_is_processed_has_nothing_to_refund(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_region(monkeypatch, "US")
    payment_id = order_by_bank_debit(tuition, student)
    assert problem(tuition.refund(student, payment_id)) == (409, "refund-refused")
