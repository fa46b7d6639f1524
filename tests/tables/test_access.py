"""Staff decisions about access and attention: each is stored as a fact with a record, and the rest is derived."""

from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tests.tables.test_promotion_codes import create_code
from tests.tables.test_sessions import open_session, pay_session, payable_ids

QUEUE = "GET /api/admin/attention"
DECIDE = "POST /api/admin/payments/{payment_id}/access"
REFUND = "POST /api/admin/payments/{payment_id}/refunds"
RESOLVE = "POST /api/admin/payments/{payment_id}/attention"


def buy(tuition: Harness, student: Student, amount: int | None = None) -> Any:
    """Buy a track and return the payment id. With `amount`, change the intent at Stripe first."""
    purchase = tuition.create(student).body
    if amount is not None:
        tuition.at_stripe("POST", f"/v1/payment_intents/{purchase['payment_intent_id']}", amount=amount)
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    return purchase["payment_id"]


def decide(tuition: Harness, user: Student, payment_id: str, decision: str, note: str = "as agreed") -> Response:
    return tuition.admin(user, DECIDE, {"decision": decision, "note": note}, payment_id=payment_id)


def acknowledge(tuition: Harness, user: Student, payment_id: str, reason: str, **more: str) -> Response:
    return tuition.admin(user, RESOLVE, {"name": reason, "note": "dealt with", **more}, payment_id=payment_id)


def enrollment_status(tuition: Harness, student: Student) -> str | None:
    enrollment = tuition.enrollment(student)
    return enrollment["status"] if enrollment else None


def test_a_different_amount_grants_nothing_until_staff_accept_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student, 100)
    assert (tuition.attention(payment_id), enrollment_status(tuition, student)) == (["amount"], None)
    assert decide(tuition, admin, payment_id, "accept_amount").status == 200
    assert (tuition.attention(payment_id), enrollment_status(tuition, student)) == ([], "ENROLLED")
    assert tuition.enrollment(student)["projects"][0]["unlocked"]  # type: ignore[index]
    record = tuition.audit_trail(payment_id)[-1]
    assert (record["type"], record["source"], record["actor"]) == ("decision.accept_amount", "staff", admin.sub)
    assert record["transition"]["enrollment"] == {"from": None, "to": "ENROLLED"}
    assert "as agreed" not in str(record)
    assert tuition.chain_problem(payment_id) is None


@pytest.mark.parametrize("decision", ["accepted", "refunded"])
def test_a_student_who_paid_another_amount_cannot_buy_again_until_staff_decide(
    tuition: Harness, student: Student, admin: Student, decision: str
) -> None:
    payment_id = buy(tuition, student, 100)
    for response in (tuition.create(student), open_session(tuition, student)):
        assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "conflict")
        assert "paid" in response.body["detail"]
    assert payable_ids(tuition, student) == []
    assert tuition.create(student, "FSD").status == 201  # other tracks are not affected
    if decision == "accepted":
        decide(tuition, admin, payment_id, "accept_amount")
        assert tuition.create(student).body["type"].rpartition("/")[2] == "already-enrolled"
    else:
        assert tuition.admin(admin, REFUND, {"reason": "not what was asked"}, payment_id=payment_id).status == 200
        assert tuition.create(student).status == 201


def test_a_student_whose_access_was_revoked_may_buy_again(tuition: Harness, student: Student, admin: Student) -> None:
    """Staff have decided about the first payment; the attention queue shows them the second one."""
    decide(tuition, admin, buy(tuition, student), "revoke")
    assert tuition.create(student).status == 201


def test_a_student_who_paid_another_amount_may_buy_again_once_staff_have_revoked_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    first = buy(tuition, student, 100)
    decide(tuition, admin, first, "revoke")
    second = tuition.create(student)
    assert second.status == 201
    tuition.pay(second.body["payment_intent_id"])
    tuition.deliver_all()
    assert enrollment_status(tuition, student) == "ENROLLED"
    assert "double" in tuition.attention(second.body["payment_id"])  # we hold money of both


def test_a_student_must_wait_again_once_staff_restore_a_payment_of_another_amount(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student, 100)
    decide(tuition, admin, payment_id, "revoke")
    decide(tuition, admin, payment_id, "restore")
    assert tuition.create(student).body["type"].rpartition("/")[2] == "conflict"


def test_a_revoked_free_purchase_and_an_honest_one_are_not_paid_twice(
    tuition: Harness, student: Student, admin: Student
) -> None:
    code = create_code(tuition, student, {"percent_off": 100})
    free = open_session(tuition, student, promotion_code=code).body
    pay_session(tuition, free["session_id"])
    tuition.deliver_all()
    decide(tuition, admin, free["payment_id"], "revoke")
    honest = buy(tuition, student)
    assert (enrollment_status(tuition, student), tuition.attention(honest)) == ("ENROLLED", [])
    assert (
        tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=honest).body["payment"]["attention"]
        == []
    )
    decide(tuition, admin, free["payment_id"], "restore")  # now the student has two purchases again
    details = tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=honest).body["payment"]
    assert [reason["name"] for reason in details["attention"]] == ["double"]


def test_revoked_access_is_withdrawn_until_staff_restore_it(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)
    assert decide(tuition, admin, payment_id, "revoke").body["payment"]["status"] == "SUCCEEDED"
    assert enrollment_status(tuition, student) == "WITHDRAWN"
    assert not tuition.enrollment(student)["projects"][0]["unlocked"]  # type: ignore[index]
    tuition.advance_stripe(5)
    tuition.deliver_all()  # a late charge.updated does not undo the decision
    assert enrollment_status(tuition, student) == "WITHDRAWN"
    assert decide(tuition, admin, payment_id, "accept_amount").status == 409  # the amount was right
    assert decide(tuition, admin, payment_id, "restore").status == 200
    assert enrollment_status(tuition, student) == "ENROLLED"
    assert tuition.audit_trail(payment_id)[-1]["type"] == "decision.restore"


def test_restored_access_follows_from_the_money(tuition: Harness, student: Student, admin: Student) -> None:
    """A restore undoes the revocation alone: an amount that staff have not accepted still gives no access."""
    payment_id = buy(tuition, student, 100)
    decide(tuition, admin, payment_id, "revoke")
    assert decide(tuition, admin, payment_id, "restore").status == 200
    assert (tuition.attention(payment_id), enrollment_status(tuition, student)) == (["amount"], None)
    decide(tuition, admin, payment_id, "accept_amount")
    decide(tuition, admin, payment_id, "revoke")
    assert enrollment_status(tuition, student) == "WITHDRAWN"
    decide(tuition, admin, payment_id, "restore")
    assert enrollment_status(tuition, student) == "ENROLLED"


def test_repeating_a_decision_changes_nothing(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)
    decide(tuition, admin, payment_id, "revoke")
    before = len(tuition.audit_trail(payment_id))
    assert decide(tuition, admin, payment_id, "revoke").status == 200
    assert len(tuition.audit_trail(payment_id)) == before


def test_a_decision_that_is_not_possible_is_refused_with_a_reason(
    tuition: Harness, student: Student, admin: Student
) -> None:
    open_payment = tuition.create(student).body["payment_id"]
    response = decide(tuition, admin, open_payment, "revoke")
    assert (response.status, "CREATED" in response.body["detail"]) == (409, True)
    payment_id = buy(tuition, Student(student.sub + "-b"))
    assert decide(tuition, admin, payment_id, "accept_amount").status == 409
    assert decide(tuition, admin, payment_id, "restore").status == 409
    assert decide(tuition, admin, payment_id, "forgive").status == 422
    assert decide(tuition, admin, payment_id, "revoke", note=" ").status == 422
    assert decide(tuition, admin, "pay_unknown", "revoke").status == 404
    for user in (Student("grace", groups=("support",)), student):
        assert decide(tuition, user, payment_id, "revoke").status == 403
        assert acknowledge(tuition, user, payment_id, "amount").status == 403
    assert enrollment_status(tuition, Student(student.sub + "-b")) == "ENROLLED"


def test_an_acknowledged_reason_leaves_the_queue_and_returns_when_it_changes(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    intent = tuition.payment(payment_id).intent
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="needs_response")
    tuition.deliver_all()
    reason = f"dispute:{dispute['id']}"
    assert tuition.attention(payment_id) == [reason]
    assert acknowledge(tuition, admin, payment_id, reason, fingerprint="lost").status == 409
    assert acknowledge(tuition, admin, payment_id, reason, fingerprint="needs_response").status == 200
    before = len(tuition.audit_trail(payment_id))
    assert acknowledge(tuition, admin, payment_id, reason).status == 200
    assert (tuition.attention(payment_id), len(tuition.audit_trail(payment_id))) == ([], before)
    assert payment_id not in queue(tuition, admin)
    assert tuition.audit_trail(payment_id)[-1]["actor"] == admin.sub
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="lost")
    tuition.deliver_all()
    assert tuition.attention(payment_id) == [reason]
    assert payment_id in queue(tuition, admin)
    assert acknowledge(tuition, admin, payment_id, "rebuilt").status == 404


def queue(tuition: Harness, admin: Student) -> list[str]:
    """Return the ids of all payments in the attention queue, over all pages."""
    payment_ids: list[str] = []
    query = {"limit": "100"}
    while True:
        page = tuition.admin(admin, QUEUE, query=query).body
        payment_ids += [payment["payment_id"] for payment in page["payments"]]
        if not page["next_cursor"]:
            return payment_ids
        query["cursor"] = page["next_cursor"]


@pytest.mark.usefixtures("empty_tables")
@pytest.mark.parametrize(
    ("amount", "decisions", "expected"),
    [
        (None, ["revoke"], "WITHDRAWN"),
        (None, ["revoke", "restore"], "ENROLLED"),
        (100, ["accept_amount"], "ENROLLED"),
        (100, ["accept_amount", "revoke"], "WITHDRAWN"),
    ],
)
def test_a_rebuilt_payment_takes_decisions_about_access_from_its_audit_trail(
    tuition: Harness, student: Student, admin: Student, amount: int | None, decisions: list[str], expected: str
) -> None:
    payment_id = buy(tuition, student, amount)
    for decision in decisions:
        assert decide(tuition, admin, payment_id, decision).status == 200
    before = tuition.payment(payment_id).facts
    tuition.tables.delete_item(TableName="payments", Key={"payment_id": {"S": payment_id}})
    assert tuition.reconcile()["drifted"] == 1
    assert enrollment_status(tuition, student) == expected
    facts = tuition.payment(payment_id).facts
    assert facts.rebuilt
    assert (facts.accepted, facts.decision.decision, facts.decision.actor) == (
        before.accepted,
        before.decision.decision,
        admin.sub,
    )
    assert tuition.chain_problem(payment_id) is None
    opposite = "restore" if expected == "WITHDRAWN" else "revoke"
    assert decide(tuition, admin, payment_id, opposite).status == 200  # a later decision counts
    assert enrollment_status(tuition, student) != expected
