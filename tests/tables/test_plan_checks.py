"""Plans whose items, records or payments were changed, lost or erased: what finds it, and what brings them back."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local import verify
from tests import plans as on_tables
from tests.harness import NAMES, Harness, Student
from tests.plans import MEMBERSHIP, MONTHLY
from tests.tables.test_personal_data import all_parts
from tests.tables.test_plan_ledger import chain_problem, enrollment, holds, paid, settle, stored
from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.facts import Facts
from tuition.core.payment_state import PaymentState
from tuition.core.plan_facts import Method, PlanFacts
from tuition.storage import keys, ledger, queries
from tuition.storage.ledger import Change
from tuition.views import standings

TABLES = {
    "payments": ("payment_id",), "plans": ("plan_id",), "enrollments": ("user_id", "sort_key"),
    "customers": ("user_id",), "audit": ("subject", "sort_key"), "cursors": ("name",),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAUSE_S", 0)
    for table, key in TABLES.items():
        tuition.empty_table(table, *key)


def begun_at_stripe(tuition: Harness, student: Student, terms: Any = on_tables.FOUR) -> PaymentState:
    """Begin a plan, and pay its first installment at Stripe."""
    state = on_tables.begin(student.sub, terms)
    tuition.pay(state.existing.stripe_object_id)
    return state


def verified(tuition: Harness) -> int:
    return verify.verify(verify.Tables(tuition.tables, {name: NAMES[name] for name in verify.TABLES}))


def audited(tuition: Harness) -> list[str]:
    """Run the audit of today, and return the kinds of the differences that it finds in records and access."""
    today = timestamps.iso(clock.now())[:10]
    report = tuition.run_audit(days={"from": today, "to": today})
    return [one["kind"] for one in report["differences"] if one["kind"] in ("chain", "standing")]


def change_item(tuition: Harness, plan_id: str, name: str, change: Callable[[Any], Any]) -> None:
    item = tuition.tables.get_item(TableName="plans", Key=keys.plan_key(plan_id))["Item"]
    item[name] = {"S": json.dumps(change(json.loads(item[name]["S"])))}
    tuition.tables.put_item(TableName="plans", Item=item)


def test_the_events_of_stripe_settle_a_plan_and_an_honest_one_verifies(tuition: Harness, student: Student) -> None:
    state = begun_at_stripe(tuition, student)
    assert {response.status for response in tuition.deliver_all()} == {200}
    assert stored(state.existing_plan.plan_id).status == "ACTIVE"
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    holds(state.existing_plan.plan_id)
    assert verified(tuition) == verify.HOLDS
    assert audited(tuition) == []
    assert standings.problems(student.sub, queries.user_items(student.sub)) == []


def covers_everything(parts: Any) -> Any:
    return {key: {**part, "covers": [1, 2, 3, 4]} for key, part in parts.items()}


def waives_the_rest(facts: Any) -> Any:
    waive = {"version": 9, "decision": "waive", "at": 9, "actor": "staff", "seqs": [2, 3, 4]}
    return {**facts, "decisions": {"dec_forged": waive}}


@pytest.mark.parametrize(("name", "change"), [("parts", covers_everything), ("facts", waives_the_rest)])
def test_a_plan_that_was_rewritten_is_found(
    tuition: Harness, student: Student, name: str, change: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    change_item(tuition, plan_id, name, change)
    assert verified(tuition) == verify.DOES_NOT_HOLD
    assert f"FINDING {plan_id}" in capsys.readouterr().out
    # The audit also stores the fee of the payment, which mends its part: before or after it looks at the plan.
    assert audited(tuition) in ([["chain"], []] if name == "parts" else [["chain"]])
    assert stored(plan_id).covered == {1}


def test_access_by_a_plan_that_does_not_grant_it_is_found(tuition: Harness, student: Student) -> None:
    state = on_tables.begin(student.sub)
    plan_id = state.existing_plan.plan_id
    item = tuition.tables.get_item(TableName="enrollments", Key=keys.enrollment_key(student.sub, "DP"))["Item"]
    standing = {"attempt": 1, "grants": True, "granted": True}
    forged = {**item, "standings": {"S": json.dumps({plan_id: standing, "pln_invented": standing})}}
    tuition.tables.put_item(TableName="enrollments", Item={**forged, "status": {"S": "ENROLLED"}})
    problems = standings.problems(student.sub, queries.user_items(student.sub))
    assert [(one.grantor, one.problem) for one in problems] == [
        (plan_id, "it grants access, but by its payments its plan is OPEN and does not"),
        ("pln_invented", "it grants access, but there is no such plan"),
    ]
    assert verified(tuition) == verify.DOES_NOT_HOLD
    assert audited(tuition) == ["standing"]  # its own commit has mended the other one


def test_a_plan_without_its_item_is_found(
    tuition: Harness, student: Student, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    tuition.tables.delete_item(TableName="plans", Key=keys.plan_key(plan_id))
    assert verified(tuition) == verify.DOES_NOT_HOLD
    assert f"FINDING {plan_id}: it has records, but the plan does not exist" in capsys.readouterr().out
    assert audited(tuition) == ["standing"]


@pytest.mark.parametrize("terms", [on_tables.FOUR, MONTHLY], ids=["installments", "membership"])
def test_a_paid_plan_that_a_restore_lost_everywhere_is_rebuilt_with_its_terms_from_stripe(
    tuition: Harness, student: Student, terms: Any
) -> None:
    state = begun_at_stripe(tuition, student, terms)
    for table, key in TABLES.items():
        tuition.empty_table(table, *key)
    assert {response.status for response in tuition.deliver_all()} == {200}
    plan, payment = stored(state.existing_plan.plan_id), tuition.payment(state.existing.payment_id)
    agreed = replace(terms, agreed_at=int(timestamps.epoch(payment.created_at)))
    assert (plan.terms, plan.status, plan.attempt) == (agreed, "ACTIVE", 1)
    assert plan.facts.rebuilt
    assert (payment.price, payment.covers) == (terms.amount_of((1,)), (1,))
    assert enrollment(student.sub, MEMBERSHIP if terms.endless else "DP").status == "ENROLLED"
    holds(plan.plan_id)
    assert verified(tuition) == verify.HOLDS


def test_a_payment_that_a_restore_lost_alone_continues_its_plan(tuition: Harness, student: Student) -> None:
    state = begun_at_stripe(tuition, student)
    plan_id = state.existing_plan.plan_id
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(state.existing.payment_id))
    assert {response.status for response in tuition.deliver_all()} == {200}
    assert stored(plan_id).covered == {1}
    assert not stored(plan_id).facts.rebuilt
    holds(plan_id)


def test_a_copy_of_a_persons_data_has_their_plans_with_records_and_names_no_staff(
    tuition: Harness, student: Student
) -> None:
    plan_id = paid(student.sub).existing_plan.plan_id
    on_tables.decide(plan_id, "pause", "dec_1", note="too ill to study")
    (part,) = all_parts(tuition, student)
    (plan,) = part["person"]["plans"]
    assert plan["attributes"]["terms"]["amounts"] == [12475] * 4
    assert plan["attributes"]["facts"]["decisions"]["dec_1"]["note"] == "too ill to study"
    assert plan["attributes"]["facts"]["decisions"]["dec_1"]["actor"] == "staff"
    assert [record["type"] for record in plan["records"]] == ["plan.created", "plan.pause"]
    assert all_parts(tuition, Student("somebody-else"))[0]["person"]["plans"] == []


def test_an_erased_payment_erases_the_methods_of_its_plan(tuition: Harness, student: Student) -> None:
    state = paid(student.sub)
    plan_id = state.existing_plan.plan_id
    on_tables.merge(plan_id, PlanFacts(methods={"pm_secret": Method(set_up=1)}), "method:1")
    on_tables.decide(plan_id, "pause", "dec_1", note="a secret")
    entry = AuditEntry(timestamps.iso(clock.now()), "erase:1", "payment.erased", "staff")
    ledger.update(state.existing.ref, lambda one: Change(one.existing.merged(Facts(erased=True)), entry))
    item = tuition.tables.get_item(TableName="plans", Key=keys.plan_key(plan_id))["Item"]
    assert "secret" not in json.dumps(item)
    assert "pm_1" not in json.dumps(item)
    holds(plan_id)
    late = ledger.update(state.existing.ref, lambda one: settle(one, "evt_late"))
    assert late.existing_plan.facts.erased
    assert late.enrollment.erased
    assert chain_problem(plan_id) is None
