"""What staff decide about access and attention: a fact, with its record, and everything else derived from it."""

from typing import Any

import pytest

from tests.tables.test_sessions import begin, payable
from tests.world import Answer, Student, World

QUEUE = "GET /api/admin/attention"
DECIDE = "POST /api/admin/payments/{payment_id}/decisions"
REFUND = "POST /api/admin/payments/{payment_id}/refunds"
RESOLVE = "POST /api/admin/payments/{payment_id}/attention"


def paid(tuition: World, student: Student, amount: int | None = None) -> Any:
    """A paid payment; with `amount`, one whose intent was changed at Stripe before it was paid."""
    made = tuition.create(student).body
    if amount is not None:
        tuition.at_stripe("POST", f"/v1/payment_intents/{made['payment_intent_id']}", amount=amount)
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    return made["payment_id"]


def decide(tuition: World, who: Student, payment_id: str, decision: str, note: str = "as agreed") -> Answer:
    return tuition.admin(who, DECIDE, {"decision": decision, "note": note}, payment_id=payment_id)


def resolve(tuition: World, who: Student, payment_id: str, cause: str, **more: str) -> Answer:
    return tuition.admin(who, RESOLVE, {"cause": cause, "note": "dealt with", **more}, payment_id=payment_id)


def status(tuition: World, student: Student) -> str | None:
    found = tuition.enrolled(student)
    return found["status"] if found else None


def test_an_amount_that_differs_grants_nothing_until_staff_accept_it(
    tuition: World, student: Student, admin: Student
) -> None:
    payment_id = paid(tuition, student, 100)
    assert (tuition.attention(payment_id), status(tuition, student)) == (["amount"], None)
    assert decide(tuition, admin, payment_id, "accept").status == 200
    assert (tuition.attention(payment_id), status(tuition, student)) == ([], "ENROLLED")
    assert tuition.enrolled(student)["projects"][0]["unlocked"]  # type: ignore[index]
    record = tuition.trail(payment_id)[-1]
    assert (record["type"], record["source"], record["actor"]) == ("decision.accept", "staff", admin.sub)
    assert record["transition"]["enrollment"] == {"from": None, "to": "ENROLLED"}
    assert "as agreed" not in str(record)
    assert tuition.chain_problem(payment_id) is None


@pytest.mark.parametrize("end", ["accepted", "given back"])
def test_who_has_paid_another_amount_is_not_asked_for_more_until_staff_have_decided(
    tuition: World, student: Student, admin: Student, end: str
) -> None:
    payment_id = paid(tuition, student, 100)
    for refused in (tuition.create(student), begin(tuition, student)):
        assert (refused.status, refused.body["type"].rpartition("/")[2]) == (409, "conflict")
        assert "paid" in refused.body["detail"]
    assert payable(tuition, student) == []
    assert tuition.create(student, "FSD").status == 201  # another track is another matter
    if end == "accepted":
        decide(tuition, admin, payment_id, "accept")
        assert tuition.create(student).body["type"].rpartition("/")[2] == "already-enrolled"
    else:
        assert tuition.admin(admin, REFUND, {"reason": "not what was asked"}, payment_id=payment_id).status == 200
        assert tuition.create(student).status == 201


def test_who_was_shut_out_may_buy_again(tuition: World, student: Student, admin: Student) -> None:
    """Staff have decided about that payment; that it is one too many is theirs to see."""
    decide(tuition, admin, paid(tuition, student), "revoke")
    assert tuition.create(student).status == 201


def test_revoked_access_is_withdrawn_and_given_back_by_accepting(
    tuition: World, student: Student, admin: Student
) -> None:
    payment_id = paid(tuition, student)
    assert decide(tuition, admin, payment_id, "revoke").body["payment"]["status"] == "SUCCEEDED"
    assert status(tuition, student) == "WITHDRAWN"
    assert not tuition.enrolled(student)["projects"][0]["unlocked"]  # type: ignore[index]
    tuition.later(5)
    tuition.deliver_all()  # charge.updated comes late and decides nothing
    assert status(tuition, student) == "WITHDRAWN"
    assert decide(tuition, admin, payment_id, "accept").status == 200
    assert status(tuition, student) == "ENROLLED"


def test_the_same_decision_again_changes_nothing(tuition: World, student: Student, admin: Student) -> None:
    payment_id = paid(tuition, student)
    decide(tuition, admin, payment_id, "revoke")
    before = len(tuition.trail(payment_id))
    assert decide(tuition, admin, payment_id, "revoke").status == 200
    assert len(tuition.trail(payment_id)) == before


def test_what_cannot_be_decided_is_refused_and_says_why(tuition: World, student: Student, admin: Student) -> None:
    open_one = tuition.create(student).body["payment_id"]
    refused = decide(tuition, admin, open_one, "revoke")
    assert (refused.status, "CREATED" in refused.body["detail"]) == (409, True)
    bought = paid(tuition, Student(student.sub + "-b"))
    assert decide(tuition, admin, bought, "accept").status == 409
    assert decide(tuition, admin, bought, "forgive").status == 422
    assert decide(tuition, admin, bought, "revoke", note=" ").status == 422
    assert decide(tuition, admin, "pay_unknown", "revoke").status == 404
    for who in (Student("grace", groups=("support",)), student):
        assert decide(tuition, who, bought, "revoke").status == 403
        assert resolve(tuition, who, bought, "amount").status == 403
    assert status(tuition, Student(student.sub + "-b")) == "ENROLLED"


def test_a_cause_dealt_with_leaves_the_queue_and_comes_back_when_it_changes(
    tuition: World, student: Student, admin: Student
) -> None:
    payment_id = paid(tuition, student)
    intent = tuition.payment(payment_id).intent
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="needs_response")
    tuition.deliver_all()
    cause = f"dispute:{dispute['id']}"
    assert tuition.attention(payment_id) == [cause]
    assert resolve(tuition, admin, payment_id, cause, mark="lost").status == 409
    assert resolve(tuition, admin, payment_id, cause, mark="needs_response").status == 200
    before = len(tuition.trail(payment_id))
    assert resolve(tuition, admin, payment_id, cause).status == 200
    assert (tuition.attention(payment_id), len(tuition.trail(payment_id))) == ([], before)
    assert payment_id not in queue(tuition, admin)
    assert tuition.trail(payment_id)[-1]["actor"] == admin.sub
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="lost")
    tuition.deliver_all()
    assert tuition.attention(payment_id) == [cause]
    assert payment_id in queue(tuition, admin)
    assert resolve(tuition, admin, payment_id, "rebuilt").status == 404


def queue(tuition: World, admin: Student) -> list[str]:
    found: list[str] = []
    query = {"limit": "100"}
    while True:
        page = tuition.admin(admin, QUEUE, query=query).body
        found += [payment["payment_id"] for payment in page["payments"]]
        if not page["next_cursor"]:
            return found
        query["cursor"] = page["next_cursor"]
