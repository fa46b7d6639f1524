"""Attacks on payment plans: access without paying, charges without agreement, forged and endless input."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance import ACCEPTANCE
from tests.harness import PAGE, Harness, Student
from tests.limits import set_limits
from tests.plan_calls import (
    FIRST,
    begin,
    call,
    consent,
    lose,
    offer_plans,
    paid_twice_and_refunded_once,
    pay,
    read,
    set_up,
    started,
)
from tests.tables.test_collection import DAY, announced, charges, pass_days, steps
from tests.tables.test_plans import MEMBER, cancel, choose, consent_of_member, problem
from tests.tables.test_reconcile import change_price
from tests.tables.test_sessions import payable_ids
from tests.tables.test_withdrawals import DECIDE, ORDER, set_region
from tuition import settings
from tuition.core import timestamps
from tuition.core.payment_state import PaymentState
from tuition.payments import plan_endings
from tuition.storage import queries


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch, tuition: Harness) -> Iterator[None]:
    offer_plans(monkeypatch.setattr)
    tuition.freeze_time(timestamps.epoch("2026-03-10T12:00:00Z"))
    yield
    settings.settings.cache_clear()


CARD, DEBIT = "pm_card_visa", "pm_usBankAccount_success"


@pytest.mark.parametrize(("first", "second", "days"), [(DEBIT, CARD, 0), (CARD, DEBIT, 6), (CARD, DEBIT, 0)])
def test_a_withdrawal_in_the_eu_from_a_plan_paid_by_debit_is_refunded_when_staff_approve(
    tuition: Harness,
    student: Student,
    admin: Student,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    second: str,
    days: int,
) -> None:
    of_plan = started(tuition, student, first)
    tuition.advance_time(6 * DAY)
    tuition.deliver_all()
    tuition.pay(pay(tuition, student, of_plan["plan_id"]).body["payment_intent_id"], second)
    if days:
        tuition.deliver_all()
        tuition.advance_time(days * DAY)
        tuition.deliver_all()
    set_region(monkeypatch, "EU")
    for body in ({"withdrawal": True, "name": "Ada"}, {}):
        assert cancel(tuition, student, of_plan["plan_id"], **body).body["grants_access"] is False
    tuition.collect()
    assert read(tuition, student, of_plan["plan_id"])["refunded"] == 0
    (request,) = tuition.payment(of_plan["payment_id"]).requests
    assert request.state == "awaiting_approval"
    ids = {"payment_id": of_plan["payment_id"], "request_id": request.id}
    assert tuition.admin(admin, DECIDE, {"decision": "approve"}, **ids).status == 200
    tuition.advance_time(6 * DAY)
    tuition.deliver_all()
    pass_days(tuition, 1)
    assert read(tuition, student, of_plan["plan_id"])["refunded"] == 2 * FIRST


def test_in_the_eu_a_student_withdraws_from_a_plan_while_a_bank_is_processing_its_first_payment(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_plan = begin(tuition, student).body
    tuition.pay(of_plan["payment_intent_id"], DEBIT)
    tuition.deliver_all()
    set_region(monkeypatch, "EU")
    assert read(tuition, student, of_plan["plan_id"])["can_cancel"]
    for unconfirmed in (cancel(tuition, student, of_plan["plan_id"]), tuition.refund(student, of_plan["payment_id"])):
        assert problem(unconfirmed) == (409, "withdrawal-unconfirmed")
    for _ in range(2):
        withdrawn = cancel(tuition, student, of_plan["plan_id"], withdrawal=True, name="Ada")
        assert (withdrawn.status, withdrawn.body["status"]) == (200, "REFUNDED"), withdrawn
    tuition.advance_time(6 * DAY)
    tuition.deliver_all()
    pass_days(tuition, 1)
    plan = read(tuition, student, of_plan["plan_id"])
    assert (plan["received"], plan["refunded"], plan["grants_access"]) == (FIRST, 0, False)
    assert tuition.attention(of_plan["payment_id"]) == ["withdrawal"]
    assert tuition.admin(admin, ORDER, {"reason": "withdrawal"}, payment_id=of_plan["payment_id"]).status == 200
    tuition.deliver_all()
    assert read(tuition, student, of_plan["plan_id"])["refunded"] == FIRST
    assert tuition.attention(of_plan["payment_id"]) == []


def test_a_debit_that_begins_while_its_student_withdraws_leaves_the_decision_to_staff(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    second = pay(tuition, student, plan_id).body["payment_intent_id"]
    is_for_staff = plan_endings._is_for_staff

    def debited_afterwards(state: PaymentState) -> bool:
        result = is_for_staff(state)
        monkeypatch.setattr(plan_endings, "_is_for_staff", is_for_staff)
        tuition.pay(second, DEBIT)
        tuition.deliver_all()
        return result

    monkeypatch.setattr(plan_endings, "_is_for_staff", debited_afterwards)
    assert problem(cancel(tuition, student, plan_id)) == (503, "contended")
    assert read(tuition, student, plan_id)["status"] == "ACTIVE"
    assert cancel(tuition, student, plan_id, reason="moved away").status == 202


def test_of_two_requests_at_once_for_the_money_of_a_plan_one_is_stored(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_plan = started(tuition, student)
    second = pay(tuition, student, of_plan["plan_id"]).body
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    tuition.advance_time(20 * DAY)
    is_for_staff = plan_endings._is_for_staff

    def requested_meanwhile(state: PaymentState) -> bool:
        monkeypatch.setattr(plan_endings, "_is_for_staff", is_for_staff)
        assert tuition.refund(student, second["payment_id"]).status == 202
        return is_for_staff(state)

    monkeypatch.setattr(plan_endings, "_is_for_staff", requested_meanwhile)
    assert problem(cancel(tuition, student, of_plan["plan_id"], reason="moved away")) == (503, "contended")
    again = cancel(tuition, student, of_plan["plan_id"], reason="moved away")
    assert (again.status, again.body["refund_request_payment_id"]) == (202, second["payment_id"])
    requests = [tuition.payment(one["payment_id"]).requests for one in (of_plan, second)]
    assert [len(one) for one in requests] == [0, 1]


@pytest.mark.parametrize("by", ["withdrawal", "request"])
def test_in_the_eu_a_plan_whose_first_payment_was_refunded_is_ended_within_the_period_too(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    of_plan, second = paid_twice_and_refunded_once(tuition, student)
    set_region(monkeypatch, "EU")
    plan_id = of_plan["plan_id"]
    if by == "request":
        requested = cancel(tuition, student, plan_id, reason="moved away")
        assert (requested.status, requested.body["refund_request_payment_id"]) == (202, second["payment_id"])
        return
    for _ in range(2):
        withdrawn = cancel(tuition, student, plan_id, withdrawal=True, name="Ada")
        assert (withdrawn.status, withdrawn.body["refunded"], withdrawn.body["grants_access"]) == (
            200,
            2 * FIRST,
            False,
        )
    assert [len(tuition.payment(one["payment_id"]).requests) for one in (of_plan, second)] == [0, 1]


def test_in_the_eu_the_period_of_a_plan_counts_from_its_first_payment(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_plan = started(tuition, student)
    set_region(monkeypatch, "EU")
    assert tuition.status(student, of_plan["payment_id"]).body["withdrawal"]["possible_until"]
    tuition.advance_time(20 * DAY)
    second = pay(tuition, student, of_plan["plan_id"]).body
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.status(student, second["payment_id"]).body["withdrawal"]["possible_until"] is None
    refused = cancel(tuition, student, of_plan["plan_id"], withdrawal=True, name="Ada")
    assert problem(refused) == (409, "refund-refused")


def test_in_the_eu_a_student_withdraws_while_the_event_of_the_first_debit_is_late(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_plan = begin(tuition, student).body
    tuition.pay(of_plan["payment_intent_id"], DEBIT)
    set_region(monkeypatch, "EU")
    withdrawn = cancel(tuition, student, of_plan["plan_id"], withdrawal=True, name="Ada")
    assert (withdrawn.status, withdrawn.body["status"]) == (200, "REFUNDED"), withdrawn


@pytest.mark.parametrize("region", ["US", "EU"])
def test_a_plan_whose_payments_a_restore_has_lost_is_refunded_on_its_students_request(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    of_plan = started(tuition, student)
    second = pay(tuition, student, of_plan["plan_id"]).body
    tuition.pay(second["payment_intent_id"])
    tuition.deliver_all()
    set_region(monkeypatch, region)
    for one in (of_plan, second):
        lose(tuition, one)
    body = {"withdrawal": True, "name": "Ada"} if region == "EU" else {}
    ended = cancel(tuition, student, of_plan["plan_id"], **body)
    assert (ended.status, ended.body["status"], ended.body["grants_access"]) == (200, "REFUNDED", False), ended
    tuition.collect()
    assert read(tuition, student, of_plan["plan_id"])["refunded"] == 2 * FIRST


def test_a_refund_request_for_a_payment_that_a_restore_has_lost_is_stored_on_the_rebuilt_one(
    tuition: Harness, student: Student
) -> None:
    of_plan, second = paid_twice_and_refunded_once(tuition, student)
    lose(tuition, second)
    requested = cancel(tuition, student, of_plan["plan_id"], reason="moved away")
    assert (requested.status, requested.body["refund_request_payment_id"]) == (202, second["payment_id"]), requested


def test_in_the_eu_a_withdrawal_waits_for_a_first_debit_that_a_restore_has_lost(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_plan = begin(tuition, student).body
    tuition.pay(of_plan["payment_intent_id"], DEBIT)
    tuition.deliver_all()
    lose(tuition, of_plan)
    set_region(monkeypatch, "EU")
    declaration = {"withdrawal": True, "name": "Ada"}
    assert problem(cancel(tuition, student, of_plan["plan_id"], **declaration)) == (409, "payment-in-progress")
    tuition.advance_time(6 * DAY)
    tuition.deliver_all()
    assert cancel(tuition, student, of_plan["plan_id"], **declaration).body["status"] == "REFUNDED"


FORGED: dict[str, dict[str, Any]] = {
    "a plan of another user": {},
    "no installment of the plan": {"covers": "9"},
    "installment 0": {"covers": "0"},
    "an amount that is none": {"plan": "pln_forged", "amounts": ["1"]},
    "an unknown time zone": {"plan": "pln_forged", "zone": "Mars"},
    "rules under which nothing is ever charged": {"plan": "pln_forged", "retry_days": [5]},
    "a payment as plan": {"plan": "pay_forged"},
}


@pytest.mark.parametrize("name", FORGED)
def test_an_object_with_forged_metadata_belongs_to_no_plan_and_is_quarantined(
    tuition: Harness, student: Student, name: str
) -> None:
    other, change = Student(f"other-{student.sub}"), dict(FORGED[name])
    of_plan = started(tuition, other)
    metadata = tuition.at_stripe("GET", f"/v1/payment_intents/{of_plan['payment_intent_id']}")["metadata"]
    user_id = other.sub if "covers" in change else student.sub
    forged = {**metadata, "payment_id": f"pay_of{student.sub.replace('-', '')}", "user_id": user_id}
    forged |= {key: change.pop(key) for key in ("covers", "plan") if key in change}
    forged["plan_terms"] = json.dumps({**json.loads(metadata["plan_terms"]), **change})
    params = {f"metadata[{key}]": value for key, value in forged.items()} | {"allowed_payment_method_types[]": "card"}
    intent = tuition.at_stripe("POST", "/v1/payment_intents", amount=str(FIRST), currency="usd", **params)
    tuition.pay(intent["id"])
    assert {one.status for one in tuition.deliver_all()} == {200}
    assert read(tuition, other, of_plan["plan_id"])["received"] == FIRST
    assert tuition.enrollment(student) is None
    assert list(queries.payments_of_user(student.sub)) == []


@pytest.mark.parametrize("by", ["page", "webhook"])
def test_a_method_that_began_to_be_set_up_before_the_charge_failed_is_new(
    tuition: Harness, student: Student, by: str
) -> None:
    of_plan = announced(tuition, student)
    steps(tuition, student, of_plan, "insufficient_funds")
    tuition.advance_time(DAY - 60)
    assert call(tuition, student, "POST", of_plan["plan_id"], "payment-method", {}).status == 201
    for _ in range(2):
        tuition.advance_time(60)
        tuition.collect()
    method = set_up(tuition, student, of_plan["plan_id"])
    if by == "webhook":
        tuition.deliver_all()
    else:
        assert choose(tuition, student, of_plan["plan_id"], method).status == 200
    tuition.advance_time(60)
    tuition.collect()
    assert [status for _, status in charges(tuition, of_plan)] == ["failed", "succeeded"]


def test_cards_cannot_be_tested_by_setting_them_up(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    set_limits(monkeypatch, declines_per_hour=2)
    setup = call(tuition, student, "POST", plan_id, "payment-method", {}).body["setup_intent_id"]
    params = {"payment_method": "pm_card_chargeDeclined", "return_url": PAGE, **ACCEPTANCE}
    codes = []
    for _ in range(4):
        confirmed = tuition.at_stripe("POST", f"/v1/setup_intents/{setup}/confirm", may_be_refused=True, **params)
        codes.append(confirmed["error"]["code"])
        events = tuition.new_events()
        for event in [*events, *events]:
            assert tuition.deliver(event).status == 200
    assert codes == ["card_declined"] * 3 + ["setup_intent_unexpected_state"]
    assert capsys.readouterr().out.count('"ChargeDeclined":[1.0]') == 3
    for response in (call(tuition, student, "POST", plan_id, "payment-method", {}), pay(tuition, student, plan_id)):
        assert problem(response) == (429, "too-many-requests")
    tuition.advance_time(3700)
    assert set_up(tuition, student, plan_id)


def test_too_many_declines_close_the_first_payment_of_a_plan_too(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert begin(tuition, student).status == 201
    set_limits(monkeypatch, declines_per_hour=2)
    other = tuition.create(student, "FSD").body["payment_intent_id"]
    for _ in range(3):
        tuition.pay(other, "pm_card_chargeDeclined")
    tuition.deliver_all()
    assert problem(begin(tuition, student)) == (429, "too-many-requests")
    assert payable_ids(tuition, student) == []


def test_a_first_installment_of_another_amount_is_reviewed_and_not_asked_for_again(
    tuition: Harness, student: Student
) -> None:
    opened = begin(tuition, student).body
    tuition.at_stripe("POST", f"/v1/payment_intents/{opened['payment_intent_id']}", amount="9000")
    tuition.pay(opened["payment_intent_id"])
    tuition.deliver_all()
    for response in (tuition.create(student), begin(tuition, student)):
        assert problem(response) == (409, "conflict")
        assert "reviewing" in response.body["detail"]


@pytest.mark.parametrize("of_member", [False, True])
def test_a_student_can_have_back_a_first_installment_of_another_amount(
    tuition: Harness, student: Student, of_member: bool
) -> None:
    more = {"consent": consent_of_member(tuition), **MEMBER} if of_member else {}
    opened = begin(tuition, student, **more).body
    tuition.at_stripe("POST", f"/v1/payment_intents/{opened['payment_intent_id']}", amount="900")
    tuition.pay(opened["payment_intent_id"])
    tuition.advance_stripe(3)
    tuition.deliver_all()
    plan = read(tuition, student, opened["plan_id"])
    assert (plan["status"], plan["received"], plan["can_cancel"]) == ("OPEN", 900, True)
    canceled = cancel(tuition, student, opened["plan_id"])
    assert (canceled.status, canceled.body["status"], canceled.body["refunded"]) == (200, "REFUNDED", 900), canceled
    assert begin(tuition, student, **more).status == 201


def test_a_student_is_never_charged_another_amount_than_was_announced(tuition: Harness, student: Student) -> None:
    of_plan = announced(tuition, student)
    second = pay(tuition, student, of_plan["plan_id"]).body["payment_intent_id"]
    tuition.at_stripe("POST", f"/v1/payment_intents/{second}", amount="99900")
    pass_days(tuition, 1)
    assert charges(tuition, of_plan) == []
    assert second not in payable_ids(tuition, student)
    pass_days(tuition, 3)
    assert [status for _, status in charges(tuition, of_plan)] == ["succeeded"]
    assert read(tuition, student, of_plan["plan_id"])["received"] == 2 * FIRST


def test_a_lost_dispute_blocks_new_plans_and_not_the_installments_of_one_that_runs(
    tuition: Harness, student: Student
) -> None:
    of_plan = started(tuition, student)
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=of_plan["payment_intent_id"])
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="lost")
    tuition.deliver_all()
    assert problem(begin(tuition, student, track="FSD", consent=consent(tuition, "FSD"))) == (409, "purchases-blocked")
    tuition.pay(pay(tuition, student, of_plan["plan_id"]).body["payment_intent_id"])
    tuition.deliver_all()
    assert read(tuition, student, of_plan["plan_id"])["status"] == "ACTIVE"


def test_the_open_payment_of_a_later_installment_is_closed_neither_by_its_age_nor_by_a_new_price(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = started(tuition, student)["plan_id"]
    second = pay(tuition, student, plan_id).body["payment_intent_id"]
    change_price(monkeypatch, 99_900)
    for days in (1, 4):
        tuition.advance_time(days * DAY)
        tuition.reconcile()
    tuition.advance_time(30 * DAY)
    tuition.pay(second, "pm_card_chargeDeclined")
    tuition.deliver_all()
    assert payable_ids(tuition, student) == [second]
    again = pay(tuition, student, plan_id).body
    assert (again["payment_intent_id"], again["amount"]) == (second, FIRST)


def test_a_bank_account_whose_mandate_was_revoked_cannot_be_chosen_again(tuition: Harness, student: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    account = set_up(tuition, student, plan_id, DEBIT)
    tuition.deliver_all()
    setups = tuition.at_stripe("GET", "/v1/setup_intents", payment_method=account)["data"]
    tuition.at_stripe("POST", f"/_sim/mandates/{setups[0]['mandate']}", status="inactive")
    tuition.deliver_all()
    assert read(tuition, student, plan_id)["payment_method"]["id"] != account
    assert problem(choose(tuition, student, plan_id, account)) == (422, "payment-method-not-reusable")


def test_a_statement_has_no_payments_that_were_closed_unpaid(tuition: Harness, student: Student) -> None:
    plan_id = started(tuition, student)["plan_id"]
    second = pay(tuition, student, plan_id).body["payment_intent_id"]
    tuition.pay(second, "pm_card_visa_chargeDeclinedLostCard")
    tuition.deliver_all()
    assert pay(tuition, student, plan_id, "rest").status == 201
    statement = call(tuition, student, "GET", plan_id, "statement").body
    assert [(line["kind"], line["seqs"]) for line in statement["lines"]] == [
        ("requested", [1]), ("received", [1]), ("requested", [2, 3, 4]),
    ]  # fmt: skip
