"""The switches with which staff stop something at once: every new purchase, or the charges of payment plans."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import admin as admin_function
import create_checkout_session
import create_payment
import enrollments
from tests import permissions
from tests.harness import Harness, Response, Student
from tuition.core.audit import AuditEntry, Record
from tuition.core.switches import SUBJECTS
from tuition.payments import switches
from tuition.storage import dynamodb, keys, mapping
from tuition.storage import switches as storage
from tuition.storage.items import CursorItem
from tuition.stripe_gateway import closing

READ, DECIDE = "GET /api/admin/selling", "POST /api/admin/selling"
CREATES = pytest.mark.parametrize(
    "create", [create_payment.handler, create_checkout_session.handler], ids=["intent", "session"]
)


@pytest.fixture(autouse=True)
def _selling_again(tuition: Harness) -> Any:
    """Leave the switch of this file's tables on, with its records."""
    yield
    if not storage.load("selling").on:
        switches.decide("selling", on=True, note="end of the test", staff="staff")


def stop(tuition: Harness, admin: Student, **more: Any) -> Response:
    answer = tuition.admin(admin, DECIDE, {"selling": False, "note": "the price is wrong", **more})
    assert answer.status == 200, answer
    return answer


def start(tuition: Harness, admin: Student, **more: Any) -> Response:
    return tuition.admin(admin, DECIDE, {"selling": True, "note": "mended", **more})


def assert_not_selling(response: Response) -> None:
    assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "not-selling"), response


def shown(tuition: Harness, student: Student) -> Any:
    return tuition.call(enrollments.handler, student).body["not_selling"]


@CREATES
def test_a_stop_refuses_every_new_purchase_at_once_without_asking_stripe(
    tuition: Harness, student: Student, admin: Student, create: Callable[..., Any]
) -> None:
    stop(tuition, admin)
    tuition.stripe_calls.clear()
    assert_not_selling(tuition.call(create, student, {"track": "DP"}))
    assert tuition.stripe_calls == []
    assert tuition.payments(student).body["payments"] == []
    assert start(tuition, admin).status == 200
    assert tuition.call(create, student, {"track": "DP"}).status == 201


@CREATES
def test_a_stop_neither_offers_an_open_payment_again_nor_closes_it(
    tuition: Harness, student: Student, admin: Student, create: Callable[..., Any]
) -> None:
    opened = tuition.call(create, student, {"track": "DP"}).body
    stop(tuition, admin)
    for again in (create_payment.handler, create_checkout_session.handler):
        assert_not_selling(tuition.call(again, student, {"track": "DP"}))
    assert tuition.status(student, opened["payment_id"]).body["status"] == "CREATED"
    start(tuition, admin)
    assert tuition.call(create, student, {"track": "DP"}).body["payment_id"] == opened["payment_id"]


def test_a_payment_that_was_begun_before_the_stop_can_be_paid_enrolls_and_can_be_refunded(
    tuition: Harness, student: Student, admin: Student
) -> None:
    opened = tuition.create(student).body
    stop(tuition, admin)
    tuition.pay(opened["payment_intent_id"])
    tuition.deliver_all()
    assert (tuition.enrollment(student) or {})["status"] == "ENROLLED"
    assert tuition.create(student).body["type"].endswith("/already-enrolled")
    assert tuition.saved_methods(student).status == 200
    assert tuition.refund(student, opened["payment_id"]).status == 200
    tuition.deliver_all()
    assert tuition.status(student, opened["payment_id"]).body["status"] == "REFUNDED"
    assert_not_selling(tuition.create(student))


def test_staff_refund_while_nothing_is_sold(tuition: Harness, student: Student, admin: Student) -> None:
    opened = tuition.create(student).body
    tuition.pay(opened["payment_intent_id"])
    tuition.deliver_all()
    stop(tuition, admin)
    route, body = "POST /api/admin/payments/{payment_id}/refunds", {"amount": 100, "reason": "the price was wrong"}
    assert tuition.admin(admin, route, body, payment_id=opened["payment_id"]).status == 200


def test_a_create_between_two_rounds_sees_the_stop(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The create has closed another open payment, and looks again before it begins a new one."""
    from tuition.payments import opening

    opened = tuition.create(student).body
    real = opening.close_first

    def close_then_stop(*args: Any) -> Any:
        closed = real(*args)
        with permissions.acting_as(admin_function.handler):
            switches.decide("selling", on=False, note="now", staff="staff")
        return closed

    monkeypatch.setattr(opening, "close_first", close_then_stop)
    assert_not_selling(tuition.call(create_checkout_session.handler, student, {"track": "DP"}))
    assert tuition.status(student, opened["payment_id"]).body["status"] == "CANCELED"


def test_the_answer_has_the_message_of_staff_or_a_default_and_whom_to_write_to(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(tuition, student) is None
    stop(tuition, admin)
    text = tuition.create(student).body["detail"]
    assert text.startswith("The school has stopped selling for the moment.") and "Write to the school" in text
    assert shown(tuition, student) == text
    with_contact = replace(switches.settings(), support_contact="help@school.example")
    monkeypatch.setattr(switches, "settings", lambda: with_contact)
    stop(tuition, admin, message="We sell again on Monday.")
    text = tuition.create(student).body["detail"]
    assert text.startswith("We sell again on Monday. Nothing changes for what you have already paid.")
    assert "help@school.example" in text and "the price is wrong" not in text


@pytest.mark.parametrize(
    ("message", "begins"),
    [
        ("Back on Monday", "Back on Monday. Nothing changes"),
        ("Back on Monday!", "Back on Monday! Nothing changes"),
        ("月曜日に再開します。", "月曜日に再開します。 Nothing changes"),
    ],
)
def test_a_message_without_a_full_stop_does_not_run_into_the_next_sentence(
    tuition: Harness, student: Student, admin: Student, message: str, begins: str
) -> None:
    stop(tuition, admin, message=message)
    assert tuition.create(student).body["detail"].startswith(begins)
    assert tuition.admin(admin, READ).body["message"] == message


@CREATES
def test_a_student_with_too_many_declines_is_not_asked_to_wait_while_nothing_is_sold(
    tuition: Harness, student: Student, admin: Student, create: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting would not help them, and Stripe is not asked."""
    opened = tuition.create(student).body
    monkeypatch.setattr(closing, "settings", lambda: replace(switches.settings(), declines_per_hour=1))
    monkeypatch.setattr(closing, "MAX_DECLINES", 100)
    for _ in range(2):
        tuition.pay(opened["payment_intent_id"], "pm_card_chargeDeclined")
    tuition.deliver_all()
    assert tuition.call(create, student, {"track": "DP"}).status == 429
    stop(tuition, admin)
    tuition.stripe_calls.clear()
    assert_not_selling(tuition.call(create, student, {"track": "DP"}))
    assert tuition.stripe_calls == []


def test_staff_see_the_switch_its_decision_and_its_verified_records(
    tuition: Harness, admin: Student, student: Student
) -> None:
    version = tuition.admin(admin, READ).body["version"]
    stopped = stop(tuition, admin, message="Back on Monday.").body
    assert tuition.admin(Student("support-s", groups=("support",)), READ).body == stopped
    decision = {name: stopped["decision"][name] for name in ("note", "actor")}
    assert (stopped["selling"], stopped["message"], stopped["version"]) == (False, "Back on Monday.", version + 1)
    assert decision == {"note": "the price is wrong", "actor": admin.sub}
    started = start(tuition, admin).body
    assert (started["selling"], started["message"], started["version"]) == (True, None, version + 2)
    assert [(r["type"], r["actor"], r["source"], r["transition"]) for r in started["audit"][-2:]] == [
        ("selling.stopped", admin.sub, "staff", {"selling": {"from": True, "to": False}}),
        ("selling.started", admin.sub, "staff", {"selling": {"from": False, "to": True}}),
    ]
    assert started["chain"] == {"verified": True, "problem": None}
    assert "Monday" not in str(started["audit"]) and "price" not in str(started["audit"])


def test_repeating_a_decision_changes_nothing_and_another_message_is_recorded(
    tuition: Harness, admin: Student, student: Student
) -> None:
    first = stop(tuition, admin, message="Back on Monday.").body
    assert stop(tuition, admin, message="Back on Monday.", note="again").body == first
    assert stop(tuition, admin, expected_version=0, message="Back on Monday.").body == first
    other = stop(tuition, admin, message="Back on Tuesday.").body
    assert (other["version"], other["message"]) == (first["version"] + 1, "Back on Tuesday.")
    assert other["audit"][-1]["transition"] == {"selling": {"from": False, "to": False}}
    assert other["chain"]["verified"]


def test_staff_cannot_sell_again_after_a_stop_that_they_have_not_seen(
    tuition: Harness, admin: Student, student: Student
) -> None:
    version = stop(tuition, admin).body["version"]
    start(tuition, admin)
    stop(tuition, admin, message="Another reason.")
    refused = start(tuition, admin, expected_version=version)
    assert (refused.status, refused.body["type"].rpartition("/")[2]) == (409, "conflict")
    assert_not_selling(tuition.create(student))
    assert start(tuition, admin, expected_version=version + 2).status == 200


@pytest.mark.parametrize("second", [False, True], ids=["the other stops too", "the other sells again"])
def test_of_two_staff_at_once_both_are_recorded_in_one_order(
    tuition: Harness, admin: Student, monkeypatch: pytest.MonkeyPatch, second: bool
) -> None:
    """The second decision commits between the load and the commit of the first."""
    if second:
        stop(tuition, admin)
    before = storage.load("selling").version
    real = storage.load

    def load_then_lose(name: Any) -> Any:
        state = real(name)
        monkeypatch.setattr(storage, "load", real)
        switches.decide("selling", on=second, note="b", staff="second")
        return state

    monkeypatch.setattr(storage, "load", load_then_lose)
    answer = stop(tuition, admin, message="By the first.").body
    assert (answer["selling"], answer["version"], answer["chain"]["verified"]) == (False, before + 2, True)
    assert [record["actor"] for record in answer["audit"][-2:]] == ["second", admin.sub]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"selling": False},
        {"note": "x"},
        {"selling": "no", "note": "x"},
        {"selling": None, "note": "x"},
        {"selling": False, "note": " "},
        {"selling": False, "note": "x" * 501},
        {"selling": True, "note": "x", "message": "y"},
        {"selling": False, "note": "x", "expected_version": "1"},
        {"selling": False, "note": "x", "expected_version": True},
        {"selling": False, "note": "x", "price": 1},
    ],
)
def test_a_decision_that_cannot_be_read_is_refused(tuition: Harness, admin: Student, body: dict[str, Any]) -> None:
    before = storage.load("selling")
    assert tuition.admin(admin, DECIDE, body).status == 422
    assert storage.load("selling") == before


def test_only_admins_decide_and_only_staff_read(tuition: Harness, student: Student) -> None:
    body = {"selling": False, "note": "x"}
    assert tuition.admin(Student("support-s", groups=("support",)), DECIDE, body).status == 403
    assert tuition.admin(student, DECIDE, body).status == 403
    assert tuition.admin(student, READ).status == 403
    assert storage.load("selling").on


def test_a_switch_that_was_turned_without_a_record_is_found(
    tuition: Harness, admin: Student, empty_tables: None
) -> None:
    tuition.freeze_time(time.time())
    stop(tuition, admin)
    stored = dynamodb.get(CursorItem, keys.cursor_key("selling")) or {}
    forged = {**stored, "selling": {"S": stored["selling"]["S"].replace("false", "true")}}
    tuition.tables.put_item(TableName="cursors", Item=forged)
    chain = tuition.admin(admin, READ).body["chain"]
    assert not chain["verified"] and "selling False, but the switch has True" in chain["problem"]
    differences = tuition.run_audit()["differences"]
    assert [one["ids"] for one in differences if one["kind"] == "chain"] == [[SUBJECTS["selling"]]]
    tuition.tables.put_item(TableName="cursors", Item=stored)
    assert tuition.admin(admin, READ).body["chain"]["verified"]
    tuition.tables.delete_item(TableName="cursors", Key={"name": {"S": "selling"}})
    assert not tuition.admin(admin, READ).body["chain"]["verified"]
    tuition.tables.put_item(TableName="cursors", Item=stored)


def test_the_next_decision_after_a_restore_continues_the_records(
    tuition: Harness, admin: Student, student: Student
) -> None:
    start(tuition, admin)
    stop(tuition, admin)
    start(tuition, admin)
    before = dynamodb.get(CursorItem, keys.cursor_key("selling"))
    stop(tuition, admin)
    tuition.tables.put_item(TableName="cursors", Item=before)
    assert not tuition.admin(admin, READ).body["chain"]["verified"]
    assert tuition.create(student).status == 201
    assert stop(tuition, admin).body["chain"] == {"verified": True, "problem": None}
    assert_not_selling(tuition.create(student))


@pytest.mark.parametrize("transition", [{}, {"selling": True}, {"selling": {}}])
def test_a_forged_record_of_something_else_is_found_and_does_not_prevent_a_stop(
    tuition: Harness, admin: Student, student: Student, empty_tables: None, transition: dict[str, Any]
) -> None:
    """Its hashes fit, because an intruder who may write to both tables can compute them."""
    stop(tuition, admin)
    switch = storage.load("selling")
    entry = AuditEntry("2026-11-23T12:00:00.000Z", f"forged-{switch.version}", "selling.started", "staff", "nobody")
    forged = Record(SUBJECTS["selling"], switch.version + 1, entry, "", None, transition, switch.audit_head)
    item = dynamodb.to_raw(mapping.record_to_item(forged, time.time()))
    tuition.tables.put_item(TableName="audit", Item=item)
    after = mapping.switch_to_item(replace(switch, on=True, message=None, version=forged.seq, audit_head=forged.hash))
    tuition.tables.put_item(TableName="cursors", Item=dynamodb.to_raw(after))
    answer = tuition.admin(admin, READ)
    assert (answer.status, answer.body["chain"]["verified"]) == (200, False)
    assert stop(tuition, admin).body["chain"]["verified"]
    assert_not_selling(tuition.create(student))


@pytest.mark.parametrize("sells", [True, False])
def test_one_decision_after_a_restore_makes_the_records_agree_whichever_it_is(
    tuition: Harness, admin: Student, student: Student, sells: bool
) -> None:
    """The switch is back at the state that staff want, so that the decision changes nothing but the records."""
    decide = {True: start, False: stop}
    decide[not sells](tuition, admin)
    decide[sells](tuition, admin)
    before = dynamodb.get(CursorItem, keys.cursor_key("selling"))
    decide[not sells](tuition, admin)
    tuition.tables.put_item(TableName="cursors", Item=before)
    assert not tuition.admin(admin, READ).body["chain"]["verified"]
    answer = decide[sells](tuition, admin).body
    assert answer["chain"] == {"verified": True, "problem": None}
    assert answer["selling"] == sells
    assert decide[sells](tuition, admin).body == answer, "a repeated decision writes nothing"


def test_a_switch_that_a_later_version_wrote_is_read_without_its_new_field(
    tuition: Harness, admin: Student, student: Student
) -> None:
    """Two versions run at once during a release. The older one must neither fail nor sell."""
    stop(tuition, admin, message="Back on Monday.")
    stored = dynamodb.get(CursorItem, keys.cursor_key("selling")) or {}
    later = {**json.loads(stored["selling"]["S"]), "tracks": ["DP"]}
    tuition.tables.put_item(TableName="cursors", Item={**stored, "selling": {"S": json.dumps(later)}})
    assert_not_selling(tuition.create(student))
    assert shown(tuition, student).startswith("Back on Monday.")
    assert tuition.admin(admin, READ).body["chain"]["verified"]
    assert start(tuition, admin).status == 200


def test_no_user_can_have_the_chain_of_the_switch(tuition: Harness, admin: Student) -> None:
    user = Student(SUBJECTS["selling"])
    assert tuition.create(user).status == 401
    assert tuition.admin(admin, "GET /api/admin/users/{user_id}", user_id=user.sub).status == 404


def test_the_switch_of_the_charges_has_a_state_and_records_of_its_own(
    tuition: Harness, student: Student, admin: Student
) -> None:
    route, body = "/api/admin/collecting", {"collecting": False, "note": "a bank declines everything"}
    before = tuition.admin(admin, f"GET {route}").body
    assert (before["collecting"], before["chain"]["verified"]) == (True, True)
    stopped = tuition.admin(admin, f"POST {route}", body).body
    assert tuition.admin(admin, f"POST {route}", body).body == stopped
    assert (stopped["collecting"], stopped["decision"]["actor"]) == (False, admin.sub)
    assert stopped["audit"][-1]["transition"] == {"collecting": {"from": True, "to": False}}
    assert tuition.admin(admin, READ).body["selling"]
    assert tuition.create(student).status == 201
    support = Student("support-s", groups=("support",))
    assert tuition.admin(support, f"GET {route}").body == stopped
    assert tuition.admin(support, f"POST {route}", {**body, "collecting": True}).status == 403
    assert tuition.admin(admin, f"POST {route}", {**body, "message": "x"}).status == 422
    start = {"collecting": True, "note": "the bank is back"}
    assert tuition.admin(admin, f"POST {route}", {**start, "expected_version": before["version"]}).status == 409
    started = tuition.admin(admin, f"POST {route}", {**start, "expected_version": stopped["version"]}).body
    assert (started["collecting"], started["version"], started["chain"]["verified"]) == (
        True,
        before["version"] + 2,
        True,
    )
