"""Verification compares the audit records with the payment, and what lets a user in with their payments."""

import json
from typing import Any

import pytest

from tests.harness import Harness, Student
from tuition.storage import keys

pytestmark = pytest.mark.usefixtures("empty_tables")
STAFF = Student("staff-1", groups=("support",))


def bought(tuition: Harness, student: Student) -> dict[str, Any]:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_time(5)
    tuition.deliver_all()
    return dict(purchase)


def chain(tuition: Harness, payment_id: str) -> dict[str, Any]:
    answer = tuition.admin(STAFF, "GET /api/admin/payments/{payment_id}", payment_id=payment_id)
    return dict(answer.body["chain"])


def standings(tuition: Harness, student: Student) -> dict[str, Any]:
    answer = tuition.admin(STAFF, "GET /api/admin/users", query={"user_id": student.sub})
    return dict(answer.body["standings"])


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (
            {"settled": {"amount": 99900, "currency": "usd", "at": 1}},
            "settled 49900, but the payment has settled 99900",
        ),
        ({"settled": None}, "status SUCCEEDED, settled 49900, but the payment has status CREATED, settled 0"),
        (
            {"refunds": {"re_1": {"status": "succeeded", "amount": 100, "created": 1}}},
            "refunded 0, but the payment has refunded 100",
        ),
        (
            {"disputes": {"du_1": {"stamp": 1, "status": "lost", "amount": 7, "created": 1, "reason": "fraudulent"}}},
            "lost 0, but the payment has lost 7",
        ),
    ],
)
def test_facts_that_were_rewritten_break_the_verification(
    tuition: Harness, student: Student, facts: dict[str, Any], problem: str
) -> None:
    payment_id = bought(tuition, student)["payment_id"]
    assert chain(tuition, payment_id) == {"verified": True, "problem": None}
    rewrite(tuition, payment_id, facts)
    answer = chain(tuition, payment_id)
    assert not answer["verified"]
    assert answer["problem"].endswith(f"the records lead to {problem}")


def rewrite(tuition: Harness, payment_id: str, facts: dict[str, Any]) -> None:
    """Put other facts into a payment's item, behind the ledger's back. None removes one."""
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(payment_id))["Item"]
    stored = json.loads(item["facts"]["S"])
    kept = {name: value for name, value in {**stored, **facts}.items() if value is not None}
    item["facts"] = {"S": json.dumps(kept)}
    tuition.tables.put_item(TableName="payments", Item=item)


@pytest.mark.parametrize(
    ("facts", "fact"),
    [
        ({"accepted": True}, "accepted"),
        ({"decision": {"version": 1, "decision": "restore", "actor": "mallory", "note": ""}}, "decision"),
        ({"settled": {"amount": 49900, "currency": "usd", "at": 1}}, "settled"),
        ({"intent": "pi_another"}, "intent"),
        ({"phase": None}, "phase"),
    ],
)
def test_rewritten_facts_that_move_no_money_are_found_by_staff_and_by_the_audit(
    tuition: Harness, student: Student, facts: dict[str, Any], fact: str
) -> None:
    payment_id = bought(tuition, student)["payment_id"]
    rewrite(tuition, payment_id, facts)
    problem = f"the payment has another {fact} than its records"
    assert chain(tuition, payment_id)["problem"].endswith(problem)
    tuition.advance_time(86_400)
    tuition.run_audit()
    assert tuition.payment(payment_id).facts.compared["chain"].problem.endswith(problem)


def test_a_rebuilt_payment_that_continues_its_records_verifies(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(purchase["payment_id"]))
    tuition.reconcile()
    assert tuition.payment(purchase["payment_id"]).facts.rebuilt
    assert chain(tuition, purchase["payment_id"])["verified"]


def test_an_honest_user_has_verified_standings(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    assert standings(tuition, student) == {"verified": True, "problems": []}


def put_enrollment(tuition: Harness, student: Student, payment_id: str, *, status: str = "ENROLLED") -> None:
    standing = {payment_id: {"attempt": 1, "grants": True, "granted": True, "holds_funds": True}}
    item = {
        **keys.enrollment_key(student.sub, "DP"),
        "status": {"S": status},
        "standings": {"S": json.dumps(standing)},
        "version": {"N": "1"},
    }
    tuition.tables.put_item(TableName="enrollments", Item=item)


def test_a_standing_without_a_payment_is_found_when_staff_open_the_user(tuition: Harness, student: Student) -> None:
    put_enrollment(tuition, student, "pay_invented")
    problem = "it grants access, but there is no such payment"
    assert standings(tuition, student) == {
        "verified": False,
        "problems": [{"track": "DP", "payment_id": "pay_invented", "problem": problem}],
    }


def test_a_standing_of_another_users_payment_is_found(tuition: Harness, student: Student) -> None:
    payment_id = bought(tuition, Student("honest"))["payment_id"]
    put_enrollment(tuition, student, payment_id)
    (problem,) = standings(tuition, student)["problems"]
    assert problem["problem"] == "it grants access, but its payment is of another user or track"


def test_a_standing_of_a_payment_that_grants_nothing_is_found(tuition: Harness, student: Student) -> None:
    payment_id = tuition.create(student).body["payment_id"]
    put_enrollment(tuition, student, payment_id)
    (problem,) = standings(tuition, student)["problems"]
    assert problem["problem"] == "it grants access, but its payment is CREATED and does not"


def test_a_status_and_an_unlocked_project_without_a_payment_are_found(tuition: Harness, student: Student) -> None:
    item = {**keys.enrollment_key(student.sub, "DP"), "status": {"S": "ENROLLED"}, "version": {"N": "1"}}
    tuition.tables.put_item(TableName="enrollments", Item=item)
    project = {**keys.enrollment_key(student.sub, "DP#p1"), "unlocked": {"BOOL": True}}
    tuition.tables.put_item(TableName="enrollments", Item=project)
    assert [one["problem"] for one in standings(tuition, student)["problems"]] == [
        "its status is ENROLLED, but its payments lead to None",
        "p1 is unlocked without an enrollment",
    ]
