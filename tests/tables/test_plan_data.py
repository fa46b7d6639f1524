"""The data of a student with a payment plan: exported with records and emails, and erased once the plan has ended."""

from collections.abc import Iterator

import pytest

from tests.erasures import Erasures, running_erasures
from tests.harness import Harness, Student
from tests.plan_calls import begin, offer_plans, pay, started
from tests.tables.test_erasure import assert_erased, customer_of, problem
from tests.tables.test_personal_data import all_parts
from tuition.storage import effects, ledger
from tuition.storage.effects import Effect
from tuition.storage.items import EMAILS

NOTICE = Effect(EMAILS, "", "2026-11-23T18:30:00.000Z#announced:2", "plan_charge_announced")


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offer_plans(monkeypatch.setattr)


@pytest.fixture
def erasures(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erasures]:
    with running_erasures(tuition, monkeypatch) as running:
        yield running


def test_an_export_has_a_plan_with_its_records_and_emails(tuition: Harness, student: Student) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    notice = NOTICE._replace(subject=plan_id)
    effects.claim(notice)
    effects.sent(notice, "m-1")
    first, *_ = all_parts(tuition, student)
    (plan,) = first["person"]["plans"]
    attributes = plan["attributes"]
    assert (attributes["plan_id"], attributes["status"], attributes["terms"]["offer"]) == (plan_id, "ACTIVE", "4x")
    assert [record["type"] for record in plan["records"]] == [r["type"] for r in tuition.audit_trail(plan_id)]
    assert [(email["kind"], email["state"]) for email in plan["emails"]] == [("plan_charge_announced", "sent")]


def test_data_are_not_erased_while_a_plan_is_open_and_then_nothing_leads_to_the_student(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    plan_id = str(started(tuition, student)["plan_id"])
    assert problem(erasures.request(student)) == (409, "money-open", "plan_open")
    tuition.pay(pay(tuition, student, plan_id, "rest").body["payment_intent_id"])
    tuition.deliver_all()
    customer = customer_of(tuition, student)
    assert erasures.request(student).status == 202
    erasures.finish(student)
    assert_erased(tuition, student, customer)
    plan = ledger.load_plan(plan_id).existing_plan
    assert (plan.facts.erased, plan.facts.methods, plan.facts.tries, plan.status) == (True, {}, {}, "COMPLETE")
    assert not [part for part in plan.parts.values() if part.method]


def test_a_plan_that_has_not_begun_is_closed_by_a_request_to_erase(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    plan_id = str(begin(tuition, student).body["plan_id"])
    assert erasures.request(student).status == 202
    assert ledger.load_plan(plan_id).existing_plan.status == "ABANDONED"
