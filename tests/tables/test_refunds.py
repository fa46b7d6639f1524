"""Money given back: by students, by staff, in the dashboard; done, pending, failed, refused, lost on the way."""

from typing import Any

import pytest

from tests.world import Student, World
from tuition.payments import refunds

ORDER = "POST /api/admin/payments/{payment_id}/refunds"
DECIDE = "POST /api/admin/payments/{payment_id}/refunds/{request_id}"
WINDOW_S = 15 * 86400


def bought(tuition: World, student: Student, method: str = "pm_card_visa") -> str:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], method)
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    return str(made["payment_id"])


def refunds_at_stripe(tuition: World, payment_id: str) -> list[dict[str, object]]:
    intent = tuition.payment(payment_id).intent
    return list(tuition.at_stripe("GET", f"/v1/refunds?payment_intent={intent}")["data"])


def late(tuition: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window for a refund without staff has passed."""
    from tuition import clock

    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + WINDOW_S)


def test_a_refund_within_the_window_withdraws_at_once(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    answer = tuition.refund(student, payment_id)
    assert answer.status == 200
    assert answer.body["status"] == "REFUNDED"
    assert (answer.body["refunded"], answer.body["refund_amount"]) == (True, 49900)
    assert answer.body["refund_reason"] == "changed my mind"
    assert answer.body["refunded_at"]
    assert tuition.enrolled(student)["status"] == "WITHDRAWN"
    assert not any(p["unlocked"] for p in tuition.enrolled(student)["projects"])
    tuition.deliver_all()
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    assert tuition.chain_problem(payment_id) is None


def test_asking_twice_makes_one_refund(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    tuition.refund(student, payment_id)
    assert tuition.refund(student, payment_id).status == 409
    assert len(refunds_at_stripe(tuition, payment_id)) == 1


def test_buying_again_after_a_refund_enrolls_again_and_finds_the_work_done(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    mark_done(tuition, student, "dp-1", "load")
    tuition.refund(student, payment_id)
    old = tuition.new_events()
    second = bought(tuition, student)
    assert second != payment_id
    for event in old:
        assert tuition.deliver(event).status == 200
    enrolled = tuition.enrolled(student)
    assert enrolled["status"] == "ENROLLED"
    assert enrolled["projects"][0]["unlocked"]
    assert enrolled["projects"][0]["steps"][0]["done"]


def mark_done(tuition: World, student: Student, project: str, step: str) -> None:
    """What the curriculum system does."""
    tuition.tables.update_item(
        TableName="enrollments",
        Key={"user_id": {"S": student.sub}, "sort_key": {"S": f"DP#{project}"}},
        UpdateExpression="SET steps.#s.done = :true",
        ExpressionAttributeNames={"#s": step},
        ExpressionAttributeValues={":true": {"BOOL": True}},
    )


def test_after_the_window_a_request_waits_for_staff(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = bought(tuition, student)
    late(tuition, monkeypatch)
    first, again = tuition.refund(student, payment_id), tuition.refund(student, payment_id)
    assert (first.status, again.status) == (202, 202)
    assert first.body["refund_request"]["id"] == again.body["refund_request"]["id"]
    assert refunds_at_stripe(tuition, payment_id) == []
    asked = first.body["refund_request"]["id"]
    approved = tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=payment_id, request_id=asked)
    assert approved.status == 200
    assert approved.body["payment"]["status"] == "REFUNDED"
    twice = tuition.admin(admin, DECIDE, {"decision": "decline"}, payment_id=payment_id, request_id=asked)
    assert twice.status == 409
    by_staff = [(r["type"], r["actor"]) for r in tuition.trail(payment_id) if r["source"] == "staff"]
    assert sorted(by_staff) == [("refund.approved", admin.sub), ("refund.made", admin.sub)]


def test_a_declined_request_leaves_the_student_enrolled(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = bought(tuition, student)
    late(tuition, monkeypatch)
    asked = tuition.refund(student, payment_id).body["refund_request"]["id"]
    declined = tuition.admin(admin, DECIDE, {"decision": "decline"}, payment_id=payment_id, request_id=asked)
    assert declined.body["refund_request"]["state"] == "declined"
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert refunds_at_stripe(tuition, payment_id) == []


def test_partial_refunds_keep_the_student_until_nothing_is_left(
    tuition: World, student: Student, admin: Student
) -> None:
    payment_id = bought(tuition, student)
    part = tuition.admin(admin, ORDER, {"amount": 20000, "reason": "half a course"}, payment_id=payment_id)
    assert (part.status, part.body["payment"]["status"]) == (200, "SUCCEEDED")
    assert part.body["payment"]["refund_amount"] == 20000
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    much = tuition.admin(admin, ORDER, {"amount": 29901, "reason": "too much"}, payment_id=payment_id)
    assert much.status == 422
    rest = tuition.admin(admin, ORDER, {"reason": "the rest"}, payment_id=payment_id)
    assert rest.body["payment"]["status"] == "REFUNDED"
    assert tuition.enrolled(student)["status"] == "WITHDRAWN"
    tuition.deliver_all()
    assert sum(int(str(r["amount"])) for r in refunds_at_stripe(tuition, payment_id)) == 49900


def test_support_may_not_refund(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    support = Student("support-1", groups=("support",))
    assert tuition.admin(support, ORDER, {"reason": "x"}, payment_id=payment_id).status == 403
    assert tuition.admin(student, ORDER, {"reason": "x"}, payment_id=payment_id).status == 403


def test_a_refund_in_the_dashboard_withdraws_by_its_event(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent)
    refunded = next(e for e in tuition.new_events() if e["type"] == "charge.refunded")
    assert tuition.deliver(refunded).status == 200
    assert tuition.payment(payment_id).status == "REFUNDED"
    assert tuition.enrolled(student)["status"] == "WITHDRAWN"


def test_a_request_after_a_full_refund_in_the_dashboard_ends_refused_with_stripes_reason(
    tuition: World, student: Student
) -> None:
    payment_id = bought(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent)
    answer = tuition.refund(student, payment_id)
    assert answer.status == 409
    payment = tuition.payment(payment_id)
    assert payment.status == "REFUNDED"
    assert [(r.state, bool(r.answer)) for r in payment.requests] == [("refused", True)]
    assert len(refunds_at_stripe(tuition, payment_id)) == 1


@pytest.mark.parametrize("fault", ["before", "after", "rate_limit", "error", "hang"])
def test_stripe_failing_at_the_refund_ends_with_one_refund_at_the_next_try(
    tuition: World, student: Student, fault: str
) -> None:
    payment_id = bought(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=3, fail=fault)
    first = tuition.refund(student, payment_id)
    assert first.status in (200, 502, 503, 504)
    if first.status != 200:
        assert first.headers["retry-after"]
        tuition.at_stripe("DELETE", "/_sim/calls")
        assert tuition.refund(student, payment_id).status in (200, 409)
    tuition.deliver_all()
    assert tuition.payment(payment_id).status == "REFUNDED"
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    assert [r.state for r in tuition.payment(payment_id).requests] == ["done"]


def test_a_refund_that_pends_is_202_and_done_when_stripe_says_so(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student, "pm_card_pendingRefund")
    assert tuition.refund(student, payment_id).status == 202
    payment = tuition.payment(payment_id)
    assert payment.requests[0].state == "pending"
    assert tuition.status(student, payment_id).body["refunded_at"] is None
    tuition.later(10)
    tuition.deliver_all()
    assert tuition.payment(payment_id).requests[0].state == "done"
    assert tuition.status(student, payment_id).body["refunded_at"]


def test_a_refund_that_fails_later_lets_the_student_back_in_and_calls_a_person(
    tuition: World, student: Student
) -> None:
    payment_id = bought(tuition, student, "pm_card_refundFail")
    tuition.refund(student, payment_id)
    assert tuition.enrolled(student)["status"] == "WITHDRAWN"
    tuition.later(10)
    tuition.deliver_all()
    assert tuition.payment(payment_id).status == "SUCCEEDED"
    assert tuition.payment(payment_id).requests[0].state == "failed"
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert [c.partition(":")[0] for c in tuition.attention(payment_id)] == ["refund"]


def test_an_open_payment_cannot_be_refunded(tuition: World, student: Student) -> None:
    payment_id = tuition.create(student).body["payment_id"]
    answer = tuition.refund(student, payment_id)
    assert answer.status == 409
    assert "paid" in answer.body["detail"]


def test_who_has_paid_is_refunded_before_any_webhook_tells(tuition: World, student: Student, admin: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    answer = tuition.refund(student, made["payment_id"])
    assert (answer.status, answer.body["status"]) == (200, "REFUNDED")
    assert (tuition.enrolled(student) or {})["status"] == "WITHDRAWN"
    other = Student(f"{student.sub}-other")
    made = tuition.create(other).body
    tuition.pay(made["payment_intent_id"])
    answer = tuition.admin(admin, ORDER, {"amount": 10000, "reason": "a part"}, payment_id=made["payment_id"])
    assert (answer.status, answer.body["payment"]["refund_amount"]) == (200, 10000)
    assert (tuition.enrolled(other) or {})["status"] == "ENROLLED"
    assert tuition.chain_problem(made["payment_id"]) is None


def test_a_refund_needs_a_reason_and_one_payment(tuition: World, student: Student) -> None:
    from request_refund import handler

    payment_id = bought(tuition, student)
    for body in ({"payment_id": payment_id}, {"reason": "x"}, {"payment_id": 7, "reason": "x"}):
        assert tuition.call(handler, student, body).status == 422


@pytest.mark.parametrize("reason", ["two\nlines", "no\u00a0break", "👩\u200d💻", "עברית\u200f"])
def test_a_reason_may_be_written_as_people_write(tuition: World, student: Student, reason: str) -> None:
    answer = tuition.refund(student, bought(tuition, student), reason)
    assert (answer.status, answer.body["refund_request"]["reason"]) == (200, reason)


@pytest.mark.parametrize("reason", ["\x00", "bell\x07", "half \ud800", "turned \u202e around", " ", "x" * 501])
def test_a_reason_that_is_no_writing_is_refused(tuition: World, student: Student, reason: str) -> None:
    assert tuition.refund(student, bought(tuition, student), reason).status == 422


def test_refund_events_in_every_order_end_the_same(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent, amount=10000)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent, amount=39900)
    for event in reversed(tuition.new_events()):
        assert tuition.deliver(event).status == 200
    assert tuition.payment(payment_id).status == "REFUNDED"
    assert tuition.status(student, payment_id).body["refund_amount"] == 49900
    assert tuition.chain_problem(payment_id) is None


def test_a_refund_belongs_to_its_intents_payment_whatever_its_metadata_say(tuition: World, student: Student) -> None:
    mine, other = bought(tuition, student), Student(student.sub + "-other")
    theirs = bought(tuition, other)
    lie = {"app": "tuition", "environment": "test", "payment_id": theirs, "user_id": other.sub, "track": "DP"}
    metadata = {f"metadata[{name}]": value for name, value in lie.items()}
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(mine).intent, **metadata)
    for event in tuition.new_events():
        if event["type"].startswith("refund."):
            tuition.deliver(event)
    assert tuition.payment(theirs).status == "SUCCEEDED"
    assert tuition.payment(mine).status == "REFUNDED"


def test_the_window_runs_from_the_payment_not_from_when_it_was_learned(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    tuition.later(WINDOW_S)
    late(tuition, monkeypatch)
    tuition.status(student, made["payment_id"])
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert tuition.refund(student, made["payment_id"]).status == 202
    assert refunds_at_stripe(tuition, made["payment_id"]) == []


def test_a_students_request_is_not_answered_with_staffs_partial_refund(
    tuition: World, student: Student, admin: Student
) -> None:
    payment_id = bought(tuition, student, "pm_card_pendingRefund")
    part = tuition.admin(admin, ORDER, {"amount": 100, "reason": "for staff only"}, payment_id=payment_id)
    assert part.status == 202
    answer = tuition.refund(student, payment_id)
    assert answer.status == 409
    assert "for staff only" not in str(answer.body)


def stopped(tuition: World, times: int = 9) -> None:
    """Stripe cannot be reached for refunds."""
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=times, fail="before")


def reached(tuition: World) -> None:
    tuition.at_stripe("DELETE", "/_sim/calls")


def test_an_approval_that_did_not_reach_stripe_is_driven_on_by_staff_who_approve_again(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = bought(tuition, student)
    late(tuition, monkeypatch)
    asked = tuition.refund(student, payment_id).body["refund_request"]["id"]
    where = {"payment_id": payment_id, "request_id": asked}
    stopped(tuition)
    assert tuition.admin(admin, DECIDE, {"decision": "approve"}, **where).status == 502
    reached(tuition)
    assert tuition.admin(admin, DECIDE, {"decision": "decline"}, **where).status == 409
    again = tuition.admin(admin, DECIDE, {"decision": "approve"}, **where)
    assert (again.status, again.body["payment"]["status"]) == (200, "REFUNDED")
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    assert tuition.chain_problem(payment_id) is None


def test_a_refund_by_staff_that_did_not_reach_stripe_is_driven_on_by_the_same_order(
    tuition: World, student: Student, admin: Student
) -> None:
    payment_id = bought(tuition, student)
    order = {"amount": 10000, "reason": "half a course"}
    stopped(tuition)
    assert tuition.admin(admin, ORDER, order, payment_id=payment_id).status == 502
    reached(tuition)
    again = tuition.admin(admin, ORDER, order, payment_id=payment_id)
    assert (again.status, again.body["payment"]["refund_amount"]) == (200, 10000)
    assert [r["amount"] for r in refunds_at_stripe(tuition, payment_id)] == [10000]
    more = tuition.admin(admin, ORDER, order, payment_id=payment_id)
    assert (more.status, more.body["payment"]["refund_amount"]) == (200, 20000)


def test_another_order_drives_the_one_that_is_stuck_and_is_refused(
    tuition: World, student: Student, admin: Student
) -> None:
    payment_id = bought(tuition, student)
    stopped(tuition)
    assert tuition.admin(admin, ORDER, {"amount": 10000, "reason": "half"}, payment_id=payment_id).status == 502
    reached(tuition)
    other = tuition.admin(admin, ORDER, {"amount": 20000, "reason": "more"}, payment_id=payment_id)
    assert other.status == 409
    assert [r["amount"] for r in refunds_at_stripe(tuition, payment_id)] == [10000]
    assert tuition.payment(payment_id).requests[-1].state == "done"


def test_a_student_sees_what_became_of_their_own_wish_and_nothing_of_who_decides(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = bought(tuition, student)

    def seen() -> Any:
        (listed,) = tuition.payments(student).body["payments"]
        assert listed["refund_request"] == tuition.status(student, payment_id).body["refund_request"]
        return listed["refund_request"]

    assert seen() is None
    tuition.admin(admin, ORDER, {"amount": 100, "reason": "for staff only"}, payment_id=payment_id)
    assert seen() is None
    late(tuition, monkeypatch)
    asked = tuition.refund(student, payment_id).body["refund_request"]
    assert seen() == asked
    decision = {"decision": "decline", "note": "for staff only"}
    tuition.admin(admin, DECIDE, decision, payment_id=payment_id, request_id=asked["id"])
    assert seen() == {**asked, "state": "declined"}


# --- who drove it ---


def drivers(tuition: World, payment_id: str, type_: str) -> list[tuple[str, str | None]]:
    return [(r["source"], r.get("actor")) for r in tuition.trail(payment_id) if r["type"] == type_]


def test_the_record_that_moves_the_money_names_whoever_drove_it(
    tuition: World, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, third = Student(f"{student.sub}-other"), Student(f"{student.sub}-third")
    theirs = bought(tuition, student)
    tuition.refund(student, theirs)
    ordered = bought(tuition, other)
    tuition.admin(admin, ORDER, {"amount": 10000, "reason": "half a course"}, payment_id=ordered)
    asked = bought(tuition, third)
    late(tuition, monkeypatch)
    request_id = tuition.refund(third, asked).body["refund_request"]["id"]
    tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=asked, request_id=request_id)
    made = [drivers(tuition, payment_id, "refund.made") for payment_id in (theirs, ordered, asked)]
    assert made == [[("request", student.sub)], [("staff", admin.sub)], [("staff", admin.sub)]]


def test_what_staff_ordered_and_somebody_else_drove_on_names_both(
    tuition: World, student: Student, admin: Student
) -> None:
    payment_id = bought(tuition, student)
    stopped(tuition)
    tuition.admin(admin, ORDER, {"amount": 10000, "reason": "half a course"}, payment_id=payment_id)
    reached(tuition)
    tuition.refund(student, payment_id)
    assert drivers(tuition, payment_id, "refund.created_by_staff") == [("staff", admin.sub)]
    assert drivers(tuition, payment_id, "refund.made") == [("request", student.sub)]


def test_a_refund_that_stripe_refused_names_who_ordered_it(tuition: World, student: Student, admin: Student) -> None:
    payment_id = bought(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent)
    assert tuition.admin(admin, ORDER, {"reason": "all of it"}, payment_id=payment_id).status == 409
    assert drivers(tuition, payment_id, "refund.refused") == [("staff", admin.sub)]


def test_a_key_that_is_spent_is_tried_again_by_whoever_came(tuition: World, student: Student, admin: Student) -> None:
    payment_id = bought(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=1, fail="error")
    order = {"amount": 10000, "reason": "half a course"}
    assert tuition.admin(admin, ORDER, order, payment_id=payment_id).status == 200
    assert drivers(tuition, payment_id, "refund.tried_again") == [("staff", admin.sub)]
    assert drivers(tuition, payment_id, "refund.made") == [("staff", admin.sub)]


def test_of_two_drives_that_stripe_refuses_one_leaves_the_record(tuition: World, student: Student) -> None:
    payment_id = bought(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    assert tuition.refund(student, payment_id).status == 502
    tuition.at_stripe("DELETE", "/_sim/calls")
    payment = tuition.payment(payment_id)
    (asked,) = payment.requests
    for staff in ("ann", "ben"):
        refunds._record_refusal(payment.ref, asked, "no", refunds.Actor("staff", staff))
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=payment.intent, amount=100)  # something new
    told = [record["actor"] for record in tuition.trail(payment_id) if record["type"] == "refund.refused"]
    assert told == ["ann"]
