"""A legal hold: staff keep a user's data from erasure and deletion until they lift it."""

from tests.harness import Harness, Response, Student
from tests.tables.test_purchase_blocks import buy
from tuition.core import archive, audit
from tuition.payments import legal_hold
from tuition.storage import mapping, queries
from tuition.storage.keys import USER_SORT_KEY

HOLD = "POST /api/admin/users/{user_id}/legal-hold"


def decide(tuition: Harness, admin: Student, user: Student, decision: str, note: str = "claim 4711") -> Response:
    return tuition.admin(admin, HOLD, {"decision": decision, "note": note}, user_id=user.sub)


def test_staff_hold_a_user_s_data_and_lift_the_hold(tuition: Harness, student: Student, admin: Student) -> None:
    assert not legal_hold.is_held(student.sub)
    held = decide(tuition, admin, student, "set").body["legal_hold"]
    assert (held["held"], held["decision"]["note"], held["decision"]["actor"]) == (True, "claim 4711", admin.sub)
    assert legal_hold.is_held(student.sub)
    lifted = decide(tuition, admin, student, "lift", "settled").body["legal_hold"]
    assert (lifted["held"], lifted["decision"]["note"]) == (False, "settled")
    assert not legal_hold.is_held(student.sub)
    shown = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=student.sub).body["user"]
    assert shown["legal_hold"] == lifted


def test_each_decision_is_recorded_once_on_the_user_s_chain_without_the_note(
    tuition: Harness, student: Student, admin: Student
) -> None:
    for decision in ("lift", "set", "set", "lift"):
        assert decide(tuition, admin, student, decision).status == 200
    trail = queries.audit_trail(student.sub)
    assert [(record["type"], record["actor"]) for record in trail] == [
        ("legal_hold.set", admin.sub),
        ("legal_hold.lift", admin.sub),
    ]
    assert trail[0]["transition"] == {"legal_hold": {"from": False, "to": True}}
    assert "claim" not in str(trail)
    assert [archive.undeclared(archive.RECORD, record) for record in trail] == [[], []]
    head = mapping.chain_head(queries.user_items(student.sub)[USER_SORT_KEY])
    assert audit.verify(student.sub, trail, *head) is None


def test_a_hold_changes_nothing_else_of_a_customer(tuition: Harness, student: Student, admin: Student) -> None:
    buy(tuition, student)
    before = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=student.sub).body["user"]
    decide(tuition, admin, student, "set")
    after = tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=student.sub).body["user"]
    same = {"customer", "legal_hold"}
    assert {name: value for name, value in after.items() if name not in same} == {
        name: value for name, value in before.items() if name not in same
    }
    assert after["customer"]["stripe_customer_id"] == before["customer"]["stripe_customer_id"]
    assert tuition.create(student, "FSD").status == 201


def test_only_an_admin_decides_about_a_hold(tuition: Harness, student: Student) -> None:
    support = Student("helper", groups=("support",))
    assert decide(tuition, support, student, "set").status == 403
    assert decide(tuition, student, student, "set").status == 403
    assert not legal_hold.is_held(student.sub)


def test_a_hold_needs_a_known_decision_a_note_and_a_user_id(tuition: Harness, student: Student, admin: Student) -> None:
    assert decide(tuition, admin, student, "pause").status == 422
    assert tuition.admin(admin, HOLD, {"decision": "set"}, user_id=student.sub).status == 422
    assert decide(tuition, admin, Student("ada@example.org"), "set").status == 404
    by_query = "POST /api/admin/users/legal-hold"
    body = {"decision": "set", "note": "claim"}
    assert tuition.admin(admin, by_query, body, query={"user_id": f"{student.sub}/x"}).status == 200
    assert legal_hold.is_held(f"{student.sub}/x")
