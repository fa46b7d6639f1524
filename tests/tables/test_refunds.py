"""Refunds by students, by staff and in the Dashboard: succeeded, pending, failed, rejected, or interrupted."""

from typing import Any

import pytest

from admin import handler as admin_handler
from tests.harness import Harness, Response, Student
from tests.limits import raise_limits
from tuition.core import timestamps
from tuition.payments import refunds
from tuition.stripe_gateway import client as stripe_client

ORDER = "POST /api/admin/payments/{payment_id}/refunds"
DECIDE = "POST /api/admin/payments/{payment_id}/refunds/{request_id}"
WINDOW_S = 15 * 86400


def buy(tuition: Harness, student: Student, method: str = "pm_card_visa") -> str:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], method)
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    return str(purchase["payment_id"])


def refunds_at_stripe(tuition: Harness, payment_id: str) -> list[dict[str, object]]:
    intent = tuition.payment(payment_id).intent
    return list(tuition.at_stripe("GET", f"/v1/refunds?payment_intent={intent}")["data"])


def pass_refund_window(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Advance our clock past the window in which a refund needs no approval."""
    from tuition import clock

    real_now = clock.now
    monkeypatch.setattr(clock, "now", lambda: real_now() + WINDOW_S)


def test_a_refund_within_the_window_withdraws_access_at_once(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    response = tuition.refund(student, payment_id)
    assert response.status == 200
    assert response.body["status"] == "REFUNDED"
    assert (response.body["refunded"], response.body["refund_amount"]) == (True, 49900)
    assert response.body["refund_reason"] == "changed my mind"
    assert response.body["refunded_at"]
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert not any(p["unlocked"] for p in tuition.enrollment(student)["projects"])
    tuition.deliver_all()
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    assert tuition.chain_problem(payment_id) is None


def test_a_repeated_request_makes_one_refund(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.refund(student, payment_id)
    assert tuition.refund(student, payment_id).status == 409
    assert len(refunds_at_stripe(tuition, payment_id)) == 1


def test_a_student_who_buys_again_after_a_refund_keeps_their_progress(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    mark_step_done(tuition, student, "dp-1", "load")
    tuition.refund(student, payment_id)
    old_events = tuition.new_events()
    second_id = buy(tuition, student)
    assert second_id != payment_id
    for event in old_events:
        assert tuition.deliver(event).status == 200
    enrollment = tuition.enrollment(student)
    assert enrollment["status"] == "ENROLLED"
    assert enrollment["projects"][0]["unlocked"]
    assert enrollment["projects"][0]["steps"][0]["done"]


def mark_step_done(tuition: Harness, student: Student, project: str, step: str) -> None:
    """Mark a step as done, as the curriculum system does."""
    tuition.tables.update_item(
        TableName="enrollments",
        Key={"user_id": {"S": student.sub}, "sort_key": {"S": f"DP#{project}"}},
        UpdateExpression="SET steps.#s.done = :true",
        ExpressionAttributeNames={"#s": step},
        ExpressionAttributeValues={":true": {"BOOL": True}},
    )


def test_a_request_after_the_window_awaits_approval(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    pass_refund_window(tuition, monkeypatch)
    first, again = tuition.refund(student, payment_id), tuition.refund(student, payment_id)
    assert (first.status, again.status) == (202, 202)
    assert first.body["refund_request"]["id"] == again.body["refund_request"]["id"]
    assert refunds_at_stripe(tuition, payment_id) == []
    request_id = first.body["refund_request"]["id"]
    approved = tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=payment_id, request_id=request_id)
    assert approved.status == 200
    assert approved.body["payment"]["status"] == "REFUNDED"
    twice = tuition.admin(admin, DECIDE, {"decision": "decline"}, payment_id=payment_id, request_id=request_id)
    assert twice.status == 409
    by_staff = [(r["type"], r["actor"]) for r in tuition.audit_trail(payment_id) if r["source"] == "staff"]
    assert sorted(by_staff) == [("refund.approved", admin.sub), ("refund.made", admin.sub)]


def test_a_declined_request_leaves_the_student_enrolled(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    pass_refund_window(tuition, monkeypatch)
    request_id = tuition.refund(student, payment_id).body["refund_request"]["id"]
    declined = tuition.admin(admin, DECIDE, {"decision": "decline"}, payment_id=payment_id, request_id=request_id)
    assert declined.body["refund_request"]["state"] == "declined"
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert refunds_at_stripe(tuition, payment_id) == []


def test_a_student_keeps_access_through_partial_refunds_until_nothing_is_left(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    partial = tuition.admin(admin, ORDER, {"amount": 20000, "reason": "half a course"}, payment_id=payment_id)
    assert (partial.status, partial.body["payment"]["status"]) == (200, "SUCCEEDED")
    assert partial.body["payment"]["refund_amount"] == 20000
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    too_much = tuition.admin(admin, ORDER, {"amount": 29901, "reason": "too much"}, payment_id=payment_id)
    assert too_much.status == 422
    rest = tuition.admin(admin, ORDER, {"reason": "the rest"}, payment_id=payment_id)
    assert rest.body["payment"]["status"] == "REFUNDED"
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    tuition.deliver_all()
    assert sum(int(str(r["amount"])) for r in refunds_at_stripe(tuition, payment_id)) == 49900


def test_support_may_not_refund(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    support = Student("support-1", groups=("support",))
    assert tuition.admin(support, ORDER, {"reason": "x"}, payment_id=payment_id).status == 403
    assert tuition.admin(student, ORDER, {"reason": "x"}, payment_id=payment_id).status == 403


def test_the_event_of_a_dashboard_refund_withdraws_access(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent)
    event = next(e for e in tuition.new_events() if e["type"] == "charge.refunded")
    assert tuition.deliver(event).status == 200
    assert tuition.payment(payment_id).status == "REFUNDED"
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"


def refund_in_the_dashboard(tuition: Harness, payment_id: str, **more: Any) -> None:
    """Refund a payment in Stripe's dashboard. No webhook is delivered."""
    assert "error" not in tuition.at_stripe(
        "POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent, **more
    )


def test_a_first_request_after_a_full_dashboard_refund_is_refused_in_our_words_and_the_refund_is_known(
    tuition: Harness, student: Student, admin: Student
) -> None:
    other = Student(f"{student.sub}-other")
    by_student, by_staff = buy(tuition, student), buy(tuition, other)
    for payment_id in (by_student, by_staff):
        refund_in_the_dashboard(tuition, payment_id)
    answers = [
        tuition.refund(student, by_student),
        tuition.admin(admin, ORDER, {"reason": "all of it"}, payment_id=by_staff),
    ]
    assert [(answer.status, answer.body["detail"]) for answer in answers] == [
        (409, "This payment has already been refunded.")
    ] * 2
    for payment_id, user in ((by_student, student), (by_staff, other)):
        payment = tuition.payment(payment_id)
        assert (payment.status, payment.requests) == ("REFUNDED", ())
        assert tuition.enrollment(user)["status"] == "WITHDRAWN"
        assert len(refunds_at_stripe(tuition, payment_id)) == 1
        assert tuition.chain_problem(payment_id) is None


def test_a_first_request_after_a_partial_dashboard_refund_refunds_the_rest(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    refund_in_the_dashboard(tuition, payment_id, amount=9900)
    too_much = tuition.admin(admin, ORDER, {"amount": 40001, "reason": "too much"}, payment_id=payment_id)
    assert (too_much.status, "40000" in too_much.body["detail"]) == (422, True)
    response = tuition.refund(student, payment_id)
    assert (response.status, response.body["refund_amount"]) == (200, 49900)
    assert response.body["refund_request"]["amount"] == 40000


def test_approving_a_request_after_a_dashboard_refund_refunds_what_is_left(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Student(f"{student.sub}-other")
    partly, fully = buy(tuition, student), buy(tuition, other)
    pass_refund_window(tuition, monkeypatch)
    requests = {
        payment_id: tuition.refund(user, payment_id).body["refund_request"]["id"]
        for user, payment_id in ((student, partly), (other, fully))
    }
    refund_in_the_dashboard(tuition, partly, amount=9900)
    refund_in_the_dashboard(tuition, fully)
    answers = [
        tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=payment_id, request_id=requests[payment_id])
        for payment_id in (partly, fully)
    ]
    assert (answers[0].status, answers[0].body["refund_request"]["amount"]) == (200, 40000)
    assert (answers[1].status, answers[1].body["type"].rpartition("/")[2]) == (409, "refund-refused")
    assert "already been decided" in answers[1].body["detail"]
    assert [len(refunds_at_stripe(tuition, payment_id)) for payment_id in (partly, fully)] == [2, 1]


def test_a_request_during_a_dispute_that_no_webhook_reported_is_refused(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    intent = tuition.payment(payment_id).intent
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent)
    response = tuition.refund(student, payment_id)
    assert (response.status, response.body["detail"]) == (
        409,
        "This payment is disputed. The bank decides who gets the money.",
    )
    assert refunds_at_stripe(tuition, payment_id) == []


def test_a_request_that_meets_a_dashboard_refund_at_stripe_is_refused_in_our_words(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    create = stripe_client.create_refund

    def overtaken(*args: Any) -> Any:
        refund_in_the_dashboard(tuition, payment_id)
        return create(*args)

    monkeypatch.setattr(stripe_client, "create_refund", overtaken)
    response = tuition.refund(student, payment_id)
    assert response.status == 409
    payment = tuition.payment(payment_id)
    assert (payment.status, [r.state for r in payment.requests]) == ("REFUNDED", ["rejected"])
    assert response.body["detail"] == "Stripe did not make the refund: This payment has already been refunded."
    assert len(refunds_at_stripe(tuition, payment_id)) == 1


@pytest.mark.parametrize("fault", ["before", "after", "rate_limit", "error", "hang"])
def test_a_refund_retried_after_a_stripe_failure_is_made_once(tuition: Harness, student: Student, fault: str) -> None:
    payment_id = buy(tuition, student)
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
    assert [r.state for r in tuition.payment(payment_id).requests] == ["succeeded"]


def test_a_pending_refund_answers_202_and_succeeds_when_stripe_confirms_it(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student, "pm_card_pendingRefund")
    assert tuition.refund(student, payment_id).status == 202
    payment = tuition.payment(payment_id)
    assert payment.requests[0].state == "pending"
    assert tuition.status(student, payment_id).body["refunded_at"] is None
    tuition.advance_stripe(10)
    tuition.deliver_all()
    assert tuition.payment(payment_id).requests[0].state == "succeeded"
    assert tuition.status(student, payment_id).body["refunded_at"]


def test_a_refund_that_fails_later_restores_access_and_needs_attention(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student, "pm_card_refundFail")
    tuition.refund(student, payment_id)
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    tuition.advance_stripe(10)
    tuition.deliver_all()
    assert tuition.payment(payment_id).status == "SUCCEEDED"
    assert tuition.payment(payment_id).requests[0].state == "failed"
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert [c.partition(":")[0] for c in tuition.attention(payment_id)] == ["refund"]


def test_an_open_payment_cannot_be_refunded(tuition: Harness, student: Student) -> None:
    payment_id = tuition.create(student).body["payment_id"]
    response = tuition.refund(student, payment_id)
    assert response.status == 409
    assert "paid" in response.body["detail"]


def test_a_settled_payment_can_be_refunded_before_its_webhook_arrives(
    tuition: Harness, student: Student, admin: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    response = tuition.refund(student, purchase["payment_id"])
    assert (response.status, response.body["status"]) == (200, "REFUNDED")
    assert (tuition.enrollment(student) or {})["status"] == "WITHDRAWN"
    other = Student(f"{student.sub}-other")
    purchase = tuition.create(other).body
    tuition.pay(purchase["payment_intent_id"])
    response = tuition.admin(admin, ORDER, {"amount": 10000, "reason": "a part"}, payment_id=purchase["payment_id"])
    assert (response.status, response.body["payment"]["refund_amount"]) == (200, 10000)
    assert (tuition.enrollment(other) or {})["status"] == "ENROLLED"
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_a_refund_request_needs_a_reason_and_a_payment_id(tuition: Harness, student: Student) -> None:
    from request_refund import handler

    payment_id = buy(tuition, student)
    for body in ({"payment_id": payment_id}, {"reason": "x"}, {"payment_id": 7, "reason": "x"}):
        assert tuition.call(handler, student, body).status == 422


@pytest.mark.parametrize("reason", ["two\nlines", "no\u00a0break", "👩\u200d💻", "עברית\u200f"])
def test_a_reason_may_contain_any_ordinary_writing(tuition: Harness, student: Student, reason: str) -> None:
    response = tuition.refund(student, buy(tuition, student), reason)
    assert (response.status, response.body["refund_request"]["reason"]) == (200, reason)


@pytest.mark.parametrize("reason", ["\x00", "bell\x07", "half \ud800", "turned \u202e around", " ", "x" * 501])
def test_a_reason_with_unprintable_text_is_refused(tuition: Harness, student: Student, reason: str) -> None:
    assert tuition.refund(student, buy(tuition, student), reason).status == 422


def test_refund_events_in_reverse_order_lead_to_the_same_state(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent, amount=10000)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(payment_id).intent, amount=39900)
    for event in reversed(tuition.new_events()):
        assert tuition.deliver(event).status == 200
    assert tuition.payment(payment_id).status == "REFUNDED"
    assert tuition.status(student, payment_id).body["refund_amount"] == 49900
    assert tuition.chain_problem(payment_id) is None


def test_a_refund_belongs_to_its_intents_payment_whatever_its_metadata_says(tuition: Harness, student: Student) -> None:
    own_id, other = buy(tuition, student), Student(student.sub + "-other")
    other_id = buy(tuition, other)
    other_metadata = {
        "app": "tuition",
        "environment": "test",
        "payment_id": other_id,
        "user_id": other.sub,
        "track": "DP",
    }
    metadata = {f"metadata[{name}]": value for name, value in other_metadata.items()}
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=tuition.payment(own_id).intent, **metadata)
    for event in tuition.new_events():
        if event["type"].startswith("refund."):
            tuition.deliver(event)
    assert tuition.payment(other_id).status == "SUCCEEDED"
    assert tuition.payment(own_id).status == "REFUNDED"


def test_the_window_starts_at_the_payment_not_when_we_see_it(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.advance_stripe(WINDOW_S)
    pass_refund_window(tuition, monkeypatch)
    tuition.status(student, purchase["payment_id"])
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert tuition.refund(student, purchase["payment_id"]).status == 202
    assert refunds_at_stripe(tuition, purchase["payment_id"]) == []


def test_a_students_request_does_not_return_a_partial_refund_by_staff(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student, "pm_card_pendingRefund")
    partial = tuition.admin(admin, ORDER, {"amount": 100, "reason": "for staff only"}, payment_id=payment_id)
    assert partial.status == 202
    response = tuition.refund(student, payment_id)
    assert response.status == 409
    assert "for staff only" not in str(response.body)


def block_refunds(tuition: Harness, times: int = 9) -> None:
    """Make Stripe unreachable for refunds."""
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=times, fail="before")


def unblock_refunds(tuition: Harness) -> None:
    tuition.at_stripe("DELETE", "/_sim/calls")


def test_approving_again_resumes_an_approval_that_did_not_reach_stripe(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    pass_refund_window(tuition, monkeypatch)
    request_id = tuition.refund(student, payment_id).body["refund_request"]["id"]
    path = {"payment_id": payment_id, "request_id": request_id}
    block_refunds(tuition)
    assert tuition.admin(admin, DECIDE, {"decision": "approve"}, **path).status == 502
    unblock_refunds(tuition)
    assert tuition.admin(admin, DECIDE, {"decision": "decline"}, **path).status == 409
    again = tuition.admin(admin, DECIDE, {"decision": "approve"}, **path)
    assert (again.status, again.body["payment"]["status"]) == (200, "REFUNDED")
    assert len(refunds_at_stripe(tuition, payment_id)) == 1
    assert tuition.chain_problem(payment_id) is None


def test_repeating_the_order_resumes_a_staff_refund_that_did_not_reach_stripe(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    order = {"amount": 10000, "reason": "half a course"}
    block_refunds(tuition)
    assert tuition.admin(admin, ORDER, order, payment_id=payment_id).status == 502
    unblock_refunds(tuition)
    again = tuition.admin(admin, ORDER, order, payment_id=payment_id)
    assert (again.status, again.body["payment"]["refund_amount"]) == (200, 10000)
    assert [r["amount"] for r in refunds_at_stripe(tuition, payment_id)] == [10000]
    third = tuition.admin(admin, ORDER, order, payment_id=payment_id)
    assert (third.status, third.body["type"].rpartition("/")[2]) == (409, "refund-repeated")
    assert [r["amount"] for r in refunds_at_stripe(tuition, payment_id)] == [10000]


# --- the same amount twice ---


def order_refund(
    tuition: Harness, admin: Student, payment_id: str, amount: int | None, key: str | None = None, **more: Any
) -> Response:
    """Refund an amount as staff, with an Idempotency-Key if there is one."""
    body = {"reason": "half a course", **({} if amount is None else {"amount": amount}), **more}
    headers = {} if key is None else {"idempotency-key": key}
    return tuition.call(admin_handler, admin, body, route=ORDER, path={"payment_id": payment_id}, headers=headers)


def amounts(tuition: Harness, payment_id: str) -> list[Any]:
    return sorted(refund["amount"] for refund in refunds_at_stripe(tuition, payment_id))


def test_a_refund_of_an_amount_that_was_refunded_before_is_refused_unless_it_is_deliberate(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    assert order_refund(tuition, admin, payment_id, 5000).status == 200
    repeated = order_refund(tuition, admin, payment_id, 5000)
    assert (repeated.status, repeated.body["type"].rpartition("/")[2]) == (409, "refund-repeated")
    by_another = order_refund(tuition, Student(f"{admin.sub}-b", groups=("admin",)), payment_id, 5000)
    assert by_another.status == 409
    assert order_refund(tuition, admin, payment_id, 4000).status == 200
    expected = order_refund(tuition, admin, payment_id, 5000, expected_refundable_amount=40900)
    assert (expected.status, expected.body["payment"]["refund_amount"]) == (200, 14000)
    assert order_refund(tuition, admin, payment_id, 5000, expected_refundable_amount=40900).status == 409
    assert order_refund(tuition, admin, payment_id, 5000, "a deliberate one").status == 200
    assert amounts(tuition, payment_id) == [4000, 5000, 5000, 5000]


def test_a_refund_of_an_amount_that_was_refunded_in_the_dashboard_is_refused(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    refund_in_the_dashboard(tuition, payment_id, amount=5000)
    assert order_refund(tuition, admin, payment_id, 5000).status == 409
    assert amounts(tuition, payment_id) == [5000]


def test_the_rest_may_be_refunded_although_it_equals_an_earlier_refund_only_if_it_is_deliberate(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    assert order_refund(tuition, admin, payment_id, 24950).status == 200
    assert order_refund(tuition, admin, payment_id, None).status == 409
    assert order_refund(tuition, admin, payment_id, None, expected_refundable_amount=24950).status == 200
    assert amounts(tuition, payment_id) == [24950, 24950]


def test_a_refund_with_the_same_idempotency_key_is_made_once(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    first, again = (order_refund(tuition, admin, payment_id, 5000, "key-1") for _ in range(2))
    assert (first.status, again.status) == (200, 200)
    assert again.body["refund_request"] == first.body["refund_request"]
    assert order_refund(tuition, admin, payment_id, 4000, "key-2").status == 200
    late = order_refund(tuition, admin, payment_id, 5000, "key-1")
    assert (late.status, late.body["refund_request"]) == (200, first.body["refund_request"])
    other = order_refund(tuition, admin, payment_id, 6000, "key-1")
    assert (other.status, other.body["field"]) == (422, "idempotency-key")
    other = order_refund(tuition, admin, payment_id, 5000, "key-1", stripe_reason="fraudulent")
    assert (other.status, other.body["field"]) == (422, "idempotency-key")
    unknown = order_refund(tuition, admin, payment_id, 5000, stripe_reason="expired_uncaptured_charge")
    assert (unknown.status, unknown.body["field"]) == (422, "stripe_reason")
    colleague = Student(f"{admin.sub}-b", groups=("admin",))
    assert order_refund(tuition, colleague, payment_id, 5000, "key-1").status == 200
    assert amounts(tuition, payment_id) == [4000, 5000, 5000]
    assert "key-1" not in str(tuition.payment(payment_id))


def test_a_refund_that_stripe_did_not_make_may_be_ordered_again(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student, "pm_card_refundFail")
    assert order_refund(tuition, admin, payment_id, 5000).status == 200
    tuition.advance_stripe(10)
    tuition.deliver_all()
    assert tuition.payment(payment_id).requests[0].state == "failed"
    assert order_refund(tuition, admin, payment_id, 5000).status == 200


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "ä"])
def test_an_invalid_idempotency_key_is_refused(tuition: Harness, student: Student, admin: Student, key: str) -> None:
    payment_id = buy(tuition, student)
    response = order_refund(tuition, admin, payment_id, 5000, key)
    assert (response.status, response.body["field"]) == (422, "idempotency-key")
    assert amounts(tuition, payment_id) == []


def test_a_different_order_resumes_the_stuck_refund_and_is_refused(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    block_refunds(tuition)
    assert tuition.admin(admin, ORDER, {"amount": 10000, "reason": "half"}, payment_id=payment_id).status == 502
    unblock_refunds(tuition)
    other = tuition.admin(admin, ORDER, {"amount": 20000, "reason": "more"}, payment_id=payment_id)
    assert other.status == 409
    assert [r["amount"] for r in refunds_at_stripe(tuition, payment_id)] == [10000]
    assert tuition.payment(payment_id).requests[-1].state == "succeeded"


def test_a_student_sees_the_state_of_their_own_request_but_not_who_decided(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)

    def request_shown() -> Any:
        (payment,) = tuition.payments(student).body["payments"]
        assert payment["refund_request"] == tuition.status(student, payment_id).body["refund_request"]
        return payment["refund_request"]

    assert request_shown() is None
    tuition.admin(admin, ORDER, {"amount": 100, "reason": "for staff only"}, payment_id=payment_id)
    assert request_shown() is None
    pass_refund_window(tuition, monkeypatch)
    request = tuition.refund(student, payment_id).body["refund_request"]
    assert request_shown() == request
    decision = {"decision": "decline", "note": "for staff only"}
    tuition.admin(admin, DECIDE, decision, payment_id=payment_id, request_id=request["id"])
    assert request_shown() == {**request, "state": "declined", "can_withdraw": False}


@pytest.mark.parametrize("decision", ["approve", "decline"])
def test_the_student_sees_the_message_of_a_decision_but_not_its_note(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    payment_id = buy(tuition, student)
    pass_refund_window(tuition, monkeypatch)
    request_id = tuition.refund(student, payment_id).body["refund_request"]["id"]
    body = {"decision": decision, "note": "for staff only", "message": "We answer\nyou here."}
    decided = tuition.admin(admin, DECIDE, body, payment_id=payment_id, request_id=request_id)
    assert decided.status == 200, decided.body
    assert decided.body["refund_request"]["message"] == "We answer\nyou here."
    assert decided.body["refund_request"]["note"] == "for staff only"
    tuition.deliver_all()
    shown = tuition.status(student, payment_id).body
    assert shown["refund_request"]["answer"] == "We answer\nyou here."
    assert shown["refund_request"]["made_by"] == "student"
    assert "for staff only" not in str(shown)


def test_the_student_sees_the_reason_and_the_message_of_a_refund_by_staff(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    body = {"amount": 100, "reason": "a part was missing", "note": "for staff only", "message": "Sorry about that."}
    ordered = tuition.admin(admin, ORDER, body, payment_id=payment_id)
    assert ordered.status == 200, ordered.body
    (shown,) = tuition.payments(student).body["payments"]
    assert shown["refund_reason"] == "a part was missing"
    request = shown["refund_request"]
    assert (request["answer"], request["reason"], request["made_by"]) == (
        "Sorry about that.",
        "a part was missing",
        "school",
    )
    assert "for staff only" not in str(shown)
    assert admin.sub not in str(shown)
    own = tuition.refund(student, payment_id).body["refund_request"]
    assert (own["made_by"], own["answer"]) == ("student", None)


@pytest.mark.parametrize("message", ["x" * 501, "", " ", 5, "\x00"])
def test_a_message_that_cannot_be_shown_is_refused(
    tuition: Harness, student: Student, admin: Student, message: object
) -> None:
    payment_id = buy(tuition, student)
    response = tuition.admin(admin, ORDER, {"reason": "x", "message": message}, payment_id=payment_id)
    assert (response.status, response.body["field"]) == (422, "message")
    assert refunds_at_stripe(tuition, payment_id) == []


# --- the actor on record ---


def actors_of(tuition: Harness, payment_id: str, record_type: str) -> list[tuple[str, str | None]]:
    return [(r["source"], r.get("actor")) for r in tuition.audit_trail(payment_id) if r["type"] == record_type]


def test_the_record_of_a_refund_names_the_actor_who_made_it(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, third = Student(f"{student.sub}-other"), Student(f"{student.sub}-third")
    by_student = buy(tuition, student)
    tuition.refund(student, by_student)
    by_staff = buy(tuition, other)
    tuition.admin(admin, ORDER, {"amount": 10000, "reason": "half a course"}, payment_id=by_staff)
    approved = buy(tuition, third)
    pass_refund_window(tuition, monkeypatch)
    request_id = tuition.refund(third, approved).body["refund_request"]["id"]
    tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=approved, request_id=request_id)
    actors = [actors_of(tuition, payment_id, "refund.made") for payment_id in (by_student, by_staff, approved)]
    assert actors == [[("request", student.sub)], [("staff", admin.sub)], [("staff", admin.sub)]]


def test_the_records_name_both_staff_who_ordered_and_the_student_who_resumed(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    block_refunds(tuition)
    tuition.admin(admin, ORDER, {"amount": 10000, "reason": "half a course"}, payment_id=payment_id)
    unblock_refunds(tuition)
    tuition.refund(student, payment_id)
    assert actors_of(tuition, payment_id, "refund.created_by_staff") == [("staff", admin.sub)]
    assert actors_of(tuition, payment_id, "refund.made") == [("request", student.sub)]


def test_the_record_of_a_rejected_refund_names_who_ordered_it(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = buy(tuition, student)
    create = stripe_client.create_refund

    def overtaken(*args: Any) -> Any:
        refund_in_the_dashboard(tuition, payment_id)
        return create(*args)

    monkeypatch.setattr(stripe_client, "create_refund", overtaken)
    assert tuition.admin(admin, ORDER, {"reason": "all of it"}, payment_id=payment_id).status == 409
    assert actors_of(tuition, payment_id, "refund.refused") == [("staff", admin.sub)]


def test_a_refund_with_a_used_up_idempotency_key_is_retried_by_the_same_actor(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=1, fail="error")
    order = {"amount": 10000, "reason": "half a course", "stripe_reason": "duplicate"}
    assert tuition.admin(admin, ORDER, order, payment_id=payment_id).status == 200
    assert [refund["reason"] for refund in refunds_at_stripe(tuition, payment_id)] == ["duplicate"]
    assert actors_of(tuition, payment_id, "refund.tried_again") == [("staff", admin.sub)]
    assert actors_of(tuition, payment_id, "refund.made") == [("staff", admin.sub)]


def test_two_actors_whose_refund_is_rejected_leave_one_record(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    assert tuition.refund(student, payment_id).status == 502
    tuition.at_stripe("DELETE", "/_sim/calls")
    payment = tuition.payment(payment_id)
    (request,) = payment.requests
    for staff in ("ann", "ben"):
        refunds._record_refusal(payment.ref, request, "no", refunds.Actor("staff", staff))
        # Another refund at Stripe, so that the second actor's sync finds a change.
        tuition.at_stripe("POST", "/v1/refunds", payment_intent=payment.intent, amount=100)
    actors = [record["actor"] for record in tuition.audit_trail(payment_id) if record["type"] == "refund.refused"]
    assert actors == ["ann"]


def test_a_payment_takes_fifty_refund_requests_and_still_detects_a_lost_dispute(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_limits(monkeypatch)
    payment_id = buy(tuition, student)
    pass_refund_window(tuition, monkeypatch)
    text = "\U0001f600" * refunds.MAX_TEXT_LENGTH
    statuses = []
    for _ in range(67):
        response = tuition.refund(student, payment_id, text)
        statuses.append(response.status)
        if response.status == 202:
            tuition.admin(
                admin, DECIDE, {"decision": "decline", "note": text},
                payment_id=payment_id, request_id=response.body["refund_request"]["id"],
            )  # fmt: skip
    assert statuses == [202] * 50 + [409] * 17
    assert tuition.admin(admin, ORDER, {"amount": 100, "reason": "kindness"}, payment_id=payment_id).status == 409
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=tuition.payment(payment_id).intent, status="lost")
    assert {response.status for response in tuition.deliver_all()} == {200}
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"


def test_a_refund_request_for_a_bank_debit_waits_for_staff(tuition: Harness, student: Student, admin: Student) -> None:
    """The bank can return the debit after the refund, and the school would pay twice."""
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    tuition.advance_stripe(5 * 86400)
    tuition.deliver_all()
    payment_id = purchase["payment_id"]
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    response = tuition.refund(student, payment_id)
    assert (response.status, response.body["refund_request"]["state"]) == (202, "awaiting_approval")
    assert (refunds_at_stripe(tuition, payment_id), tuition.enrollment(student)["status"]) == ([], "ENROLLED")
    details = tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=payment_id).body
    settled_at = timestamps.epoch(details["facts"]["settled"]["at"])
    assert timestamps.epoch(details["payment"]["returnable_until"]) == settled_at + 60 * 86400
    request_id = response.body["refund_request"]["id"]
    approved = tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=payment_id, request_id=request_id)
    assert approved.status in (200, 202)
    assert len(refunds_at_stripe(tuition, payment_id)) == 1


def test_no_bank_can_return_a_card_payment(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)
    details = tuition.admin(admin, "GET /api/admin/payments/{payment_id}", payment_id=payment_id).body
    assert details["payment"]["returnable_until"] is None


USER = "GET /api/admin/users/{user_id}"


def test_staff_decide_from_the_second_refund_of_a_track(tuition: Harness, student: Student, admin: Student) -> None:
    """Otherwise a student could take the whole track by buying and refunding it without end."""
    first = buy(tuition, student)
    assert tuition.refund(student, first).status == 200
    tuition.deliver_all()
    second = buy(tuition, student)
    response = tuition.refund(student, second)
    assert (response.status, response.body["refund_request"]["state"]) == (202, "awaiting_approval")
    assert refunds_at_stripe(tuition, second) == []
    assert tuition.admin(admin, USER, user_id=student.sub).body["user"]["refunded_payments"] == {"DP": 1}
    request_id = response.body["refund_request"]["id"]
    approved = tuition.admin(admin, DECIDE, {"decision": "approve"}, payment_id=second, request_id=request_id)
    assert approved.status == 200
    assert tuition.admin(admin, USER, user_id=student.sub).body["user"]["refunded_payments"] == {"DP": 2}
    other_track = tuition.create(student, "FSD").body
    tuition.pay(other_track["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.refund(student, other_track["payment_id"]).status == 200


def test_a_refund_that_failed_is_not_the_first_of_a_track(tuition: Harness, student: Student) -> None:
    first = buy(tuition, student, "pm_card_refundFail")
    tuition.refund(student, first)
    tuition.advance_stripe(5)
    tuition.deliver_all()
    assert tuition.payment(first).requests[-1].state == "failed"
    response = tuition.refund(student, first)
    assert response.body["refund_request"]["state"] != "awaiting_approval"


def test_of_two_requests_for_one_track_only_the_first_is_submitted_at_once(
    tuition: Harness, student: Student, admin: Student
) -> None:
    """The first counts although Stripe has not made its refund yet."""
    first = buy(tuition, student)
    revoke = {"decision": "revoke", "note": "shared the account"}
    tuition.admin(admin, "POST /api/admin/payments/{payment_id}/access", revoke, payment_id=first)
    second = buy(tuition, student)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/refunds", times=9, fail="before")
    assert tuition.refund(student, first).status == 502
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert tuition.payment(first).requests[-1].state == "submitting"
    assert tuition.refund(student, second).body["refund_request"]["state"] == "awaiting_approval"
