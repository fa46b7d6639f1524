"""Attacks on erasure: nothing that comes late, races with it, or is restored brings a person's data back."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import create_checkout_session
import my_email
from tests.erasures import Erasures, running_erasures
from tests.harness import Harness, Student
from tests.permissions import TABLES
from tests.tables.test_erasure import (
    assert_erased,
    bought_everything,
    customer_of,
    everything_of,
    problem,
    restore,
)
from tests.tables.test_legal_hold import decide
from tests.tables.test_purchase_blocks import buy
from tuition.outbox import emails
from tuition.payments import erasure_list, legal_hold
from tuition.storage import effects, ledger, queries

DECIDE = "POST /api/admin/payments/{payment_id}/refunds/{request_id}"
ERASURE = "POST /api/admin/users/{user_id}/erasure"
PURCHASES = "POST /api/admin/users/{user_id}/purchases"
EMAIL = "POST /api/admin/users/{user_id}/email"


@pytest.fixture
def erasures(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erasures]:
    with running_erasures(tuition, monkeypatch) as running:
        yield running


def backup_of(tuition: Harness) -> dict[str, list[Any]]:
    return {table: tuition.tables.scan(TableName=table)["Items"] for table in TABLES}


def test_an_entry_that_cannot_be_read_holds_up_no_other(
    tuition: Harness, student: Student, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Student(f"{student.sub}-other")
    for user in (student, other):
        erasures.request(user)
    erasures.run()
    tuition.advance_time(7200)
    listed = erasure_list.due_from_position  # another run has just finished and removed the first one
    monkeypatch.setattr(erasure_list, "due_from_position", lambda: [f"{student.sub}-finished", *listed()])
    report = erasures.run()
    assert (report["failed"], report["erased"]) == (1, 2)


def test_a_hold_that_is_set_while_an_erasure_is_requested_refuses_it_and_the_entry_waits(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(tuition, student)
    put = erasure_list.put

    def put_then_hold(*args: Any) -> None:
        put(*args)
        decide(tuition, admin, student, "set")

    monkeypatch.setattr(erasure_list, "put", put_then_hold)
    assert problem(erasures.request(student)) == (409, "legal-hold", None)
    monkeypatch.setattr(erasure_list, "put", put)
    tuition.advance_time(7200)
    assert erasures.run() == {"erased": 0, "waiting": 0, "held": 1, "failed": 0, "done": True}
    assert erasures.pool == []


def test_a_repetition_takes_the_hold_that_the_restore_brought_back_with_its_note(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    customer = bought_everything(tuition, student, admin)
    decide(tuition, admin, student, "set")
    backup = backup_of(tuition)
    decide(tuition, admin, student, "lift")
    erasures.finish(student)
    restore(tuition, backup)
    assert legal_hold.is_held(student.sub)
    assert erasures.run(again=True)["erased"] == 1
    assert_erased(tuition, student, customer)
    assert not legal_hold.is_held(student.sub)


@pytest.mark.parametrize("table", ["payments", "enrollments", "customers"])
def test_a_restore_of_one_table_brings_nothing_back_for_long(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student, table: str
) -> None:
    customer = bought_everything(tuition, student, admin)
    backup = backup_of(tuition)
    erasures.finish(student)
    restore(tuition, backup_of(tuition) | {table: backup[table]})
    assert erasures.run(again=True)["erased"] == 1
    text = everything_of(tuition, student)
    assert [one for one in (customer, f"{student.sub}@", "changed my mind", "a secret note") if one in text] == []
    for payment in queries.payments_of_user(student.sub):
        state = ledger.load(payment.ref)
        assert (state.existing.facts.erased, state.enrollment.erased) == (True, True)


def test_a_payment_that_is_rebuilt_after_a_restore_is_erased_by_the_next_repetition(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    backup = backup_of(tuition)
    purchase = buy(tuition, student)
    customer = customer_of(tuition, student)
    erasures.finish(student)
    restore(tuition, backup)
    assert erasures.run(again=True)["erased"] == 1
    charge = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")["latest_charge"]
    tuition.at_stripe("POST", "/v1/refunds", charge=charge, amount=100)
    tuition.deliver_all()
    assert tuition.payment(purchase["payment_id"]).facts.rebuilt
    assert erasures.run(again=True)["erased"] == 1
    assert_erased(tuition, student, customer)


def test_staff_store_no_note_about_the_purchases_of_an_erased_user(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    buy(tuition, student)
    customer = customer_of(tuition, student)
    erasures.finish(student)
    body = {"decision": "block", "note": "a secret note"}
    assert problem(tuition.admin(admin, PURCHASES, body, user_id=student.sub)) == (409, "user-erased", None)
    assert_erased(tuition, student, customer)


def test_no_address_of_an_erased_user_is_stored_and_no_record_says_so(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    buy(tuition, student)
    customer = customer_of(tuition, student)
    erasures.finish(student)
    records = len(queries.audit_trail(student.sub))
    corrected = tuition.call(my_email.handler, student, route="POST /api/me/email")
    assert corrected.status == 409
    body = {"email": f"{student.sub}@example.org"}
    assert tuition.admin(admin, EMAIL, body, user_id=student.sub).status == 409
    assert len(queries.audit_trail(student.sub)) == records
    assert_erased(tuition, student, customer)


def test_a_complaint_that_arrives_after_the_erasure_stores_no_hash_of_the_address(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    purchase = buy(tuition, student)
    erasures.finish(student)
    address = f"{student.sub}@example.org"
    for payment_id, expected in ((purchase["payment_id"], None), ("none", "complained")):
        mail = {"messageId": "m1", "tags": {"payment_id": [payment_id]}}
        detail = {"complaint": {"complainedRecipients": [{"emailAddress": address}]}, "mail": mail}
        emails.handle(json.dumps({"detail-type": emails.COMPLAINED, "detail": detail}))
        assert (effects.delivery_problem(address) or {}).get("problem") == expected


def test_the_token_of_an_erased_user_brings_nothing_back_on_any_route(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    customer = bought_everything(tuition, student, admin)
    erasures.finish(student)
    ids = [payment.payment_id for payment in queries.payments_of_user(student.sub)]
    assert tuition.create(student).status == 409
    assert tuition.call(create_checkout_session.handler, student, {"track": "DP"}).status == 409
    assert tuition.saved_methods(student).status == 200
    assert tuition.saved_methods(student).body["payment_methods"] == []
    for payment_id in ids:
        assert tuition.status(student, payment_id).status == 200
        tuition.refund(student, payment_id)
    assert tuition.payments(student).status == 200
    assert tuition.enrollment(student)
    assert erasures.request(student).body["erasure"]["state"] == "erased"
    tuition.deliver_all()
    tuition.reconcile()
    erasures.run()
    assert_erased(tuition, student, customer)
    assert erasures.entries("due") == []


@pytest.mark.parametrize("odd", ["o'hara\\", "auth0|a/b%2Fc+d", "..", "a/../b", "due/x?y=#&z~", "%", "x" * 128])
def test_user_ids_with_odd_characters_are_erased(tuition: Harness, erasures: Erasures, odd: str) -> None:
    student = Student(odd, email="odd@example.org")
    assert erasures.request(student).status == 202
    erasures.run()
    tuition.advance_time(7200)
    assert erasures.run()["erased"] == 1
    assert list(erasure_list.users("done")) == [odd]
    assert erasure_list.read("done", odd)["user_id"] == odd
    assert erasures.run(again=True)["erased"] == 1


def test_a_refund_request_that_is_made_after_the_request_of_the_erasure_delays_it(
    tuition: Harness, student: Student, erasures: Erasures, admin: Student
) -> None:
    purchase = buy(tuition, student)
    customer = customer_of(tuition, student)
    tuition.advance_time(40 * 86_400)
    assert erasures.request(student).status == 202
    assert tuition.refund(student, purchase["payment_id"]).status == 202
    erasures.run()
    tuition.advance_time(7200)
    assert erasures.run()["waiting"] == 1
    (request,) = tuition.payment(purchase["payment_id"]).requests
    path = {"payment_id": purchase["payment_id"], "request_id": request.id}
    assert tuition.admin(admin, DECIDE, {"decision": "decline"}, **path).status == 200
    assert erasures.run()["erased"] == 1
    assert_erased(tuition, student, customer)


def test_a_member_of_staff_who_bought_a_course_erases_themselves(
    tuition: Harness, erasures: Erasures, admin: Student
) -> None:
    staff = Student(f"{admin.sub}-buyer", groups=admin.groups)
    buy(tuition, staff)
    customer = customer_of(tuition, staff)
    ordered = tuition.admin(staff, ERASURE, {"note": "a secret note"}, user_id=staff.sub)
    assert (ordered.status, ordered.body["erasure"]["by"]) == (202, staff.sub)
    assert ("admin_disable_user", staff.sub) not in erasures.pool
    erasures.run()
    tuition.advance_time(7200)
    assert erasures.run()["erased"] == 1
    assert_erased(tuition, staff, customer)


def test_late_events_of_a_charge_bring_no_card_digits_back(
    tuition: Harness, student: Student, erasures: Erasures
) -> None:
    purchase = buy(tuition, student)
    customer = customer_of(tuition, student)
    erasures.finish(student)
    late = [json.loads(payload) for payload in tuition.stripe.webhooks.payloads.values()]
    late = [event for event in late if "4242" in json.dumps(event) and student.sub in json.dumps(event)]
    assert late
    charge = next(event["data"]["object"] for event in late if event["data"]["object"]["object"] == "charge")
    late.append({**late[-1], "id": "evt_updated", "type": "charge.updated", "data": {"object": charge}})
    for number, event in enumerate(late):
        assert tuition.deliver({**event, "id": f"evt_late_{student.sub}_{number}"}).status == 200
    assert_erased(tuition, student, customer)
    assert tuition.payment(purchase["payment_id"]).email is None
