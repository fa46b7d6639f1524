"""Plans whose items, records or payments were changed, lost or erased: what finds it, and what brings them back."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import verify
from tests import archive_bucket
from tests import plans as on_tables
from tests.archive_copies import UNTIL, Copy, new_key, pack
from tests.harness import NAMES, Harness, Student
from tests.plans import MEMBERSHIP, MONTHLY
from tests.tables.test_personal_data import all_parts
from tests.tables.test_plan_ledger import chain_problem, enrollment, holds, paid, settle, stored
from tests.tables.test_verify import rehashed
from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.facts import Facts
from tuition.core.payment_state import PaymentState
from tuition.core.plan_facts import Method, PlanFacts
from tuition.intake import collect, walk
from tuition.outbox import archive, archive_check
from tuition.storage import keys, ledger, mapping, queries
from tuition.storage.items import AuditItem
from tuition.storage.ledger import Change
from tuition.views import standings
from verifier import tuition_verify
from verifier.tuition_verify import DOES_NOT_HOLD, HOLDS

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


def test_every_plan_is_compared_with_its_payments_on_request(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plans are restored to a moment before their first payments, which are complete and so not due for a check."""
    monkeypatch.setattr(collect, "PLANS_PER_TASK", 1)
    students = [Student(f"{student.sub}-{number}") for number in range(3)]
    states = [on_tables.begin(one.sub) for one in students]
    plan_ids = [state.existing_plan.plan_id for state in states]
    old = tuition.tables.scan(TableName="plans")["Items"]
    for state in states:
        ledger.update(state.existing.ref, settle)
    for item in old:
        tuition.tables.put_item(TableName="plans", Item=item)
    assert {stored(plan_id).status for plan_id in plan_ids} == {"OPEN"}
    without_time = tuition.collect(recompute=True, seconds=walk.RESERVE_S - 1)
    assert without_time == {"checked": 0, "changed": [], "failed": [], "done": False, "after": None}
    report = tuition.collect(recompute=True)
    assert (report["done"], report["failed"], sorted(report["changed"])) == (True, [], sorted(plan_ids))
    assert tuition.collect(recompute=True, after=report["after"])["checked"] == 0
    assert {stored(plan_id).status for plan_id in plan_ids} == {"ACTIVE"}
    assert tuition.collect(recompute=True)["changed"] == []
    assert all(tuition.enrollment(one)["status"] == "ENROLLED" for one in students)
    assert verified(tuition) == verify.HOLDS


def test_a_record_of_a_plan_that_was_altered_is_found_by_the_archive_its_digests_and_the_auditor(
    tuition: Harness,
    student: Student,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole chain is hashed again, and the plan has the new head: its tables alone agree."""
    tuition.freeze_time(timestamps.epoch("2026-11-23T12:00:00Z"))
    bucket = archive_bucket.connect(monkeypatch)
    plan_id = paid(student.sub).existing_plan.plan_id
    on_tables.decide(plan_id, "pause", "dec_1")
    items = tuition.tables.scan(TableName="audit")["Items"]
    assert archive.write({f"{item['subject']['S']} {item['sort_key']['S']}": item for item in items}) == []
    copy = Copy(tmp_path / "copy", new_key())
    honest = pack(sorted(bucket.records, key=lambda one: (one["subject"], one["seq"])))
    path = copy.put("2026-11-27T21", "all", honest)
    copy.sign()
    assert (archive_check.compare("2026-11-23", lambda: 900.0)["complete"], audited_copy(copy)) == (True, HOLDS)

    chain = sorted((item for item in items if item["subject"]["S"] == plan_id), key=lambda one: int(one["seq"]["N"]))
    plan = tuition.tables.get_item(TableName="plans", Key=keys.plan_key(plan_id))["Item"]
    plan["audit_head"] = {"S": rehashed(chain, type="plan.agreed")}
    for item in (*chain, plan):
        tuition.tables.put_item(TableName="plans" if item is plan else "audit", Item=item)
    assert verified(tuition) == verify.HOLDS
    capsys.readouterr()
    tables = verify.Tables(tuition.tables, {name: NAMES[name] for name in verify.TABLES})
    assert verify.verify(tables, copy.root) == verify.DOES_NOT_HOLD
    assert f"FINDING {plan_id}: " in capsys.readouterr().out
    missing = archive_check.compare("2026-11-23", lambda: 900.0)["missing"]
    assert {name.partition(" ")[0] for name in missing} == {plan_id} and len(missing) == len(chain)
    forged = [mapping.record_to_json(AuditItem.from_raw_data(item)) for item in chain]
    path.write_bytes(pack([*(one for one in bucket.records if one["subject"] != plan_id), *forged]))
    assert audited_copy(copy) == DOES_NOT_HOLD


def audited_copy(copy: Copy) -> int:
    """Return the exit code of the auditor's program."""
    where = ("--archive", str(copy.archive), "--digests", str(copy.digests), "--key", str(copy.root / "key.pem"))
    return tuition_verify.main([*where, "--until", UNTIL])


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
