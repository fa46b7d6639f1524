"""Edge cases in the life of a plan, with Stripe's simulator, the collector and the webhook. Others are unit tests."""

from dataclasses import replace
from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.plan_calls import FIRST, REST, begin, offer_plans, pay, read, started
from tests.tables.test_collection import charges, steps
from tests.tables.test_plans import cancel, problem
from tests.tables.test_staff_plans import PLAN, decide
from tuition.core import catalog, timestamps

DAY = 86_400


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch, tuition: Harness) -> None:
    offer_plans(monkeypatch.setattr)
    tuition.empty_table("plans", "plan_id")  # each test has a simulator of its own
    tuition.freeze_time(timestamps.epoch("2026-01-31T12:00:00Z"))


def go(w: Harness, *days: int) -> None:
    """Let so many days pass, each time followed by a run of the collector and all events."""
    for count in days:
        w.advance_time(count * DAY)
        w.collect()
        w.advance_stripe(3)
        w.deliver_all()


def settle(w: Harness) -> None:
    w.advance_stripe(3)
    w.deliver_all()


def decided(w: Harness, admin: Student, plan_id: str, decision: str, **more: Any) -> None:
    plan = w.admin(admin, PLAN, plan_id=plan_id).body["plan"]
    response = decide(w, admin, plan, decision, **more)
    assert response.status == 200, response


def test_a_plan_begun_on_the_31st_is_charged_on_the_last_day_of_february_and_on_31_march(
    tuition: Harness, student: Student
) -> None:
    of_plan = started(tuition, student)
    go(tuition, 21, 7, 24, 7)
    assert charges(tuition, of_plan) == [("2026-02-28", "succeeded"), ("2026-03-31", "succeeded")]


def test_two_plans_that_are_due_in_the_same_minute_are_both_charged_in_one_run(
    tuition: Harness, student: Student
) -> None:
    other = Student(f"b-{student.sub}")
    plans = [started(tuition, one) for one in (student, other)]
    go(tuition, 21, 7)
    assert [charges(tuition, one) for one in plans] == [[("2026-02-28", "succeeded")]] * 2


def test_our_clock_a_year_ahead_of_stripes_announces_and_charges_nothing_early(
    tuition: Harness, student: Student
) -> None:
    of_plan = started(tuition, student)
    tuition.offset_s += 365 * DAY
    go(tuition, 1)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["status"], plan["schedule"][1]["collect"], charges(tuition, of_plan)) == ("ACTIVE", None, [])
    go(tuition, 20, 7)
    assert charges(tuition, of_plan) == [("2026-02-28", "succeeded")]


def test_stripes_clock_ahead_of_ours_makes_due_what_the_collector_has_seen_due(
    tuition: Harness, student: Student
) -> None:
    of_plan = started(tuition, student)
    steps(tuition, student, of_plan, "insufficient_funds")
    for days in (21, 7):
        tuition.advance_stripe(days * DAY)
        tuition.collect()
    late = read(tuition, student, of_plan["plan_id"])
    assert (late["status"], late["due"]) == ("LATE", {"seqs": [2], "amount": FIRST})
    assert pay(tuition, student, of_plan["plan_id"], "due").body["covers"] == [2]


def test_a_plan_whose_offer_left_the_catalog_is_charged_and_paid_on_its_own_terms(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_plan = started(tuition, student)
    without = {code: replace(track, offers=(), sold=False) for code, track in catalog.tracks().items()}
    monkeypatch.setattr(catalog, "tracks", lambda: without)
    assert problem(begin(tuition, student, consent="2026-11")) == (422, "unknown-track")
    go(tuition, 21, 7)
    assert charges(tuition, of_plan) == [("2026-02-28", "succeeded")]
    opened = pay(tuition, student, of_plan["plan_id"], "rest").body
    assert opened["amount"] == REST - FIRST
    tuition.pay(opened["payment_intent_id"])
    settle(tuition)
    assert read(tuition, student, of_plan["plan_id"])["status"] == "COMPLETE"


def test_the_track_is_not_bought_outright_while_a_plan_is_suspended_or_given_up_but_after_it_was_closed(
    tuition: Harness, student: Student, admin: Student
) -> None:
    of_plan = started(tuition, student)
    steps(tuition, student, of_plan, *["insufficient_funds"] * 9)
    go(tuition, 21, 7, 14)
    for status, days in (("SUSPENDED", 46), ("CLOSED", 0)):
        assert read(tuition, student, of_plan["plan_id"])["status"] == status
        refused = tuition.create(student)
        assert (problem(refused), refused.body["plan_id"]) == ((409, "plan-open"), of_plan["plan_id"])
        assert pay(tuition, student, of_plan["plan_id"]).status in (200, 201)
        go(tuition, days)
    decided(tuition, admin, of_plan["plan_id"], "close", refund="none")
    assert tuition.create(student).status == 201


def test_a_card_that_the_network_replaced_is_charged_again_although_its_bank_had_forbidden_it(
    tuition: Harness, student: Student
) -> None:
    of_plan = started(tuition, student)
    method = steps(tuition, student, of_plan, "lost_card")
    go(tuition, 21, 7, 3)
    assert read(tuition, student, of_plan["plan_id"])["next"]["needs_you"] == "do_not_try_again"
    tuition.at_stripe("POST", f"/_sim/payment_methods/{method}", card={"exp_month": 12, "exp_year": 2031})
    settle(tuition)
    go(tuition, 1)
    assert charges(tuition, of_plan) == [("2026-02-28", "failed"), ("2026-03-04", "succeeded")]


def test_a_bank_that_asks_for_confirmation_at_every_charge_leaves_each_installment_to_the_student(
    tuition: Harness, student: Student
) -> None:
    of_plan = started(tuition, student)
    method = steps(tuition, student, of_plan, *["authentication_required"] * 3)
    for days in ((21, 7), (24, 7), (23, 7)):
        go(tuition, *days)
        assert read(tuition, student, of_plan["plan_id"])["next"]["needs_you"] == "authentication_required"
        opened = pay(tuition, student, of_plan["plan_id"]).body
        tuition.at_stripe("POST", f"/_sim/payment_methods/{method}", next=[])
        tuition.pay(opened["payment_intent_id"], method)
        settle(tuition)
        tuition.at_stripe("POST", f"/_sim/payment_methods/{method}", next=["authentication_required"])
    assert read(tuition, student, of_plan["plan_id"])["status"] == "COMPLETE"
    assert [status for _, status in charges(tuition, of_plan)] == ["failed", "succeeded"] * 3


def test_a_dispute_that_is_lost_after_the_last_payment_suspends_until_the_student_pays(
    tuition: Harness, student: Student
) -> None:
    of_plan = started(tuition, student)
    tuition.pay(pay(tuition, student, of_plan["plan_id"], "rest").body["payment_intent_id"])
    settle(tuition)
    assert read(tuition, student, of_plan["plan_id"])["status"] == "COMPLETE"
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=of_plan["payment_intent_id"])
    settle(tuition)
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="lost")
    settle(tuition)
    go(tuition, 100)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["status"], plan["payable"], charges(tuition, of_plan)[1:]) == ("SUSPENDED", True, [])
    tuition.pay(pay(tuition, student, of_plan["plan_id"]).body["payment_intent_id"])
    settle(tuition)
    assert read(tuition, student, of_plan["plan_id"])["status"] == "COMPLETE"


def test_a_refund_that_fails_after_a_withdrawal_restarts_nothing_and_needs_attention(
    tuition: Harness, student: Student, admin: Student
) -> None:
    of_plan = started(tuition, student, "pm_card_refundFail")
    assert cancel(tuition, student, of_plan["plan_id"]).body["status"] == "REFUNDED"
    go(tuition, 1, 20, 10, 30)
    shown = tuition.admin(admin, PLAN, plan_id=of_plan["plan_id"]).body["plan"]
    assert (shown["status"], charges(tuition, of_plan)) == ("REFUNDED", [])
    assert [one["name"] for one in shown["attention"]] == [f"money_due:{of_plan['payment_id']}"]
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"


def test_a_partial_refund_and_then_closing_with_all_money_back_returns_the_rest_once(
    tuition: Harness, student: Student, admin: Student
) -> None:
    of_plan = started(tuition, student)
    tuition.at_stripe("POST", "/_sim/refunds", payment_intent=of_plan["payment_intent_id"], amount=1000)
    settle(tuition)
    decided(tuition, admin, of_plan["plan_id"], "close", refund="all")
    go(tuition, 1, 1)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["status"], plan["refunded"]) == ("REFUNDED", FIRST)
    refunds = tuition.at_stripe("GET", "/v1/refunds", payment_intent=of_plan["payment_intent_id"])["data"]
    assert sorted(one["amount"] for one in refunds) == [1000, FIRST - 1000]


def test_an_amount_that_was_altered_in_the_dashboard_covers_its_installment_when_staff_accept_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    of_plan = started(tuition, student)
    opened = pay(tuition, student, of_plan["plan_id"]).body
    tuition.at_stripe("POST", f"/v1/payment_intents/{opened['payment_intent_id']}", amount="10000")
    tuition.pay(opened["payment_intent_id"])
    settle(tuition)
    go(tuition, 21, 7, 20)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["outstanding"], plan["grants_access"]) == (REST, True)
    assert len(charges(tuition, of_plan)) == 1, "nothing is charged while staff decide"
    body = {"decision": "accept_amount", "note": "agreed by phone"}
    accepted = tuition.admin(
        admin, "POST /api/admin/payments/{payment_id}/access", body, payment_id=opened["payment_id"]
    )
    assert accepted.status == 200, accepted
    go(tuition, 1, 3, 7)
    plan = read(tuition, student, of_plan["plan_id"])
    assert [one["state"] for one in plan["schedule"]] == ["paid", "paid", "paid", "upcoming"]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_plan_whose_customer_a_restore_has_lost_is_charged_to_the_same_customer_or_paid_with_a_new_one(
    tuition: Harness, student: Student, is_deleted: bool
) -> None:
    opened = started(tuition, student)
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{opened['payment_intent_id']}")
    for table, key in (
        ("customers", {"user_id": {"S": student.sub}}),
        ("stripe_objects", {"stripe_id": {"S": intent["customer"]}}),
    ):
        tuition.tables.delete_item(TableName=table, Key=key)
    if is_deleted:
        tuition.at_stripe("DELETE", f"/v1/customers/{intent['customer']}")
    go(tuition, 21, 7)
    assert tuition.collect()["failed"] == []
    assert charges(tuition, opened) == ([] if is_deleted else [("2026-02-28", "succeeded")])
    go(tuition, 14)
    assert read(tuition, student, opened["plan_id"])["status"] == ("SUSPENDED" if is_deleted else "ACTIVE")
    opened = pay(tuition, student, opened["plan_id"]).body
    later = tuition.at_stripe("GET", f"/v1/payment_intents/{opened['payment_intent_id']}")
    assert (later["customer"] == intent["customer"]) is not is_deleted


def test_a_refund_request_for_a_plan_that_staff_have_closed_awaits_staff_within_the_refund_window_too(
    tuition: Harness, student: Student, admin: Student
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    decided(tuition, admin, plan_id, "close", refund="none")
    assert read(tuition, student, plan_id)["can_cancel"]
    requested = cancel(tuition, student, plan_id, reason="the school has closed it")
    assert (requested.status, requested.body["status"]) == (202, "CLOSED"), requested
    assert requested.body["refund_request"]["state"] == "awaiting_approval"
