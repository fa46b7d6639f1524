"""A corrected email address is everywhere at once, with records that do not have it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import my_email
from tests.erasures import Erasures, running_erasures
from tests.harness import Harness, Response, Student
from tests.tables.test_access import buy
from tests.tables.test_admin import search
from tests.tables.test_customer_email import customer_item, email_at_stripe
from tests.tables.test_legal_hold import decide
from tests.tables.test_limits import problem
from tuition.core import archive
from tuition.core.facts import Facts
from tuition.core.published_events import EMAIL_CORRECTED_RECORD
from tuition.payments import email_address
from tuition.storage import effects, ledger, mapping, queries
from tuition.storage.ledger import Change
from tuition.stripe_gateway import client as stripe_client

CORRECT = "POST /api/admin/users/{user_id}/email"
BY_QUERY = "POST /api/admin/users/email"
NEW = "moved@example.org"


def correct(tuition: Harness, student: Student, email: str = NEW, *, verified: bool = True) -> Response:
    moved = Student(student.sub, email=email, verified=verified)
    return tuition.call(my_email.handler, moved, route="POST /api/me/email")


@pytest.fixture
def erasures(tuition: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erasures]:
    with running_erasures(tuition, monkeypatch) as running:
        yield running


def schedule_erasure(tuition: Harness, student: Student, erasures: Erasures) -> None:
    """Let the next run erase the student's data."""
    tuition.freeze_time()
    assert erasures.request(student).status == 202
    erasures.run()
    tuition.advance_time(7200)


def trail_types(subject: str) -> list[str]:
    return [record["type"] for record in queries.audit_trail(subject)]


def assert_corrected(tuition: Harness, student: Student, admin: Student, payment_id: str) -> None:
    item = queries.payments_by_id([payment_id])[0]
    assert item.email == NEW
    assert item.email_key.startswith(f"{NEW}#")
    assert customer_item(tuition, student)["email"]["S"] == NEW
    assert email_at_stripe(tuition, student) == NEW
    assert payment_id in search(tuition, admin, q=NEW)
    assert search(tuition, admin, q=f"{student.sub}@example.org") == []
    assert tuition.chain_problem(payment_id) is None


def test_a_student_corrects_their_address_to_that_of_their_token(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    response = correct(tuition, student)
    assert (response.status, response.body) == (200, {"email": NEW, "payments": 1, "complete": True})
    assert_corrected(tuition, student, admin, payment_id)
    (record,) = [one for one in queries.audit_trail(payment_id) if one["type"] == EMAIL_CORRECTED_RECORD]
    assert (record["source"], record["actor"]) == ("request", student.sub)
    assert trail_types(student.sub) == [EMAIL_CORRECTED_RECORD]


def test_a_corrected_address_leaves_no_mark_that_an_erasure_could_not_find(tuition: Harness, student: Student) -> None:
    buy(tuition, student)
    effects.note_undeliverable(f"{student.sub}@example.org", "bounced")
    assert correct(tuition, student).status == 200
    assert effects.delivery_problem(f"{student.sub}@example.org") is None


@pytest.mark.parametrize("route", [CORRECT, BY_QUERY])
def test_staff_correct_the_address_of_a_student(tuition: Harness, student: Student, admin: Student, route: str) -> None:
    payment_id = buy(tuition, student)
    if route == CORRECT:
        response = tuition.admin(admin, route, {"email": f" {NEW} "}, user_id=student.sub)
    else:
        response = tuition.admin(admin, route, {"email": NEW}, query={"user_id": student.sub})
    assert (response.status, response.body) == (200, {"email": NEW, "payments": 1, "complete": True})
    item = queries.payments_by_id([payment_id])[0]
    assert item.email == NEW
    (record,) = queries.audit_trail(student.sub)
    assert (record["type"], record["source"], record["actor"]) == (EMAIL_CORRECTED_RECORD, "staff", admin.sub)


def test_nothing_is_corrected_while_staff_hold_the_data(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)
    old = f"{student.sub}@example.org"
    decide(tuition, admin, student, "set")
    before = trail_types(student.sub)
    for response in (
        correct(tuition, student),
        tuition.admin(admin, CORRECT, {"email": NEW}, user_id=student.sub),
        tuition.admin(admin, BY_QUERY, {"email": NEW}, query={"user_id": student.sub}),
    ):
        assert problem(response) == (409, "legal-hold")
    assert queries.payments_by_id([payment_id])[0].email == old
    assert (customer_item(tuition, student)["email"]["S"], email_at_stripe(tuition, student)) == (old, old)
    assert trail_types(student.sub) == before
    decide(tuition, admin, student, "lift")
    assert correct(tuition, student).status == 200
    assert_corrected(tuition, student, admin, payment_id)


def test_a_hold_that_is_set_during_a_correction_keeps_the_other_payments(
    tuition: Harness, student: Student, admin: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        tuition.create(student, save_payment_method=number % 2 == 0)
    correct_payment = email_address._correct_payment

    def hold_afterwards(*args: Any) -> None:
        correct_payment(*args)
        decide(tuition, admin, student, "set")

    monkeypatch.setattr(email_address, "_correct_payment", hold_afterwards)
    assert correct(tuition, student).body == {"email": NEW, "payments": 1, "complete": False}
    assert sorted(str(one.email) for one in queries.payments_of_user(student.sub)) == [NEW] + 2 * [
        f"{student.sub}@example.org"
    ]
    assert problem(correct(tuition, student)) == (409, "legal-hold")


def test_no_record_has_an_address(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    correct(tuition, student)
    records = [*queries.audit_trail(student.sub), *queries.audit_trail(payment_id)]
    assert "@" not in json.dumps(records)
    for record in records:
        assert archive.undeclared(archive.RECORD, record) == []


def test_a_repeated_correction_changes_nothing(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    correct(tuition, student)
    before = (trail_types(student.sub), trail_types(payment_id))
    tuition.stripe_calls.clear()
    assert correct(tuition, student).body == {"email": NEW, "payments": 0, "complete": True}
    assert (trail_types(student.sub), trail_types(payment_id)) == before
    assert tuition.stripe_calls == []


def test_a_large_history_takes_several_requests(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        tuition.create(student, save_payment_method=number % 2 == 0)
    monkeypatch.setattr(email_address, "MAX_PAYMENTS", 2)
    assert correct(tuition, student).body == {"email": NEW, "payments": 2, "complete": False}
    assert correct(tuition, student).body == {"email": NEW, "payments": 1, "complete": True}


def test_a_request_reads_a_bounded_number_of_payments(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        tuition.create(student, save_payment_method=number % 2 == 0)
    monkeypatch.setattr(queries, "PAGE_OF_PAYMENTS", 1)
    monkeypatch.setattr(email_address, "MAX_PAGES", 2)
    assert correct(tuition, student).body == {"email": NEW, "payments": 2, "complete": False}
    assert problem(correct(tuition, student)) == (503, "contended")
    monkeypatch.setattr(email_address, "MAX_PAGES", 4)
    assert correct(tuition, student).body == {"email": NEW, "payments": 1, "complete": True}
    assert correct(tuition, student).body == {"email": NEW, "payments": 0, "complete": True}


def test_a_request_without_time_reads_no_further_page(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(tuition, student)
    correct(tuition, student)
    monkeypatch.setattr(email_address, "LAST_S", 60.0)
    assert problem(correct(tuition, student)) == (503, "contended")


def test_a_correction_that_failed_at_stripe_continues_when_it_is_repeated(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    tuition.stripe_blocked = True
    assert correct(tuition, student).status in (502, 503)
    tuition.stripe_blocked = False
    assert correct(tuition, student).status == 200
    assert_corrected(tuition, student, admin, payment_id)


def test_an_address_that_is_not_verified_is_refused(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    assert problem(correct(tuition, student, verified=False)) == (403, "forbidden")
    assert tuition.payment(payment_id).email != NEW


def test_a_verified_address_that_stripe_rejects_is_stored_by_us(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    assert correct(tuition, student, "ada@internal").status == 200
    assert tuition.payment(payment_id).email == "ada@internal"
    assert email_at_stripe(tuition, student) == f"{student.sub}@example.org"


@pytest.mark.parametrize(
    "email", ["ada", "ada@", "@example.org", "a b@example.org", "ada@@example.org", f"{'a' * 250}@b.org"]
)
def test_staff_cannot_store_a_text_that_is_no_address(
    tuition: Harness, student: Student, admin: Student, email: str
) -> None:
    payment_id = buy(tuition, student)
    response = tuition.admin(admin, CORRECT, {"email": email}, user_id=student.sub)
    assert problem(response) == (422, "unprocessable")
    assert tuition.payment(payment_id).email == f"{student.sub}@example.org"
    assert queries.audit_trail(student.sub) == []


def test_an_address_that_stripe_rejects_is_reported_to_staff(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student)
    response = tuition.admin(admin, CORRECT, {"email": "jörg@example.org"}, user_id=student.sub)
    assert problem(response) == (422, "unprocessable")
    assert tuition.payment(payment_id).email == f"{student.sub}@example.org"


def test_support_and_students_cannot_correct_the_address_of_others(tuition: Harness, student: Student) -> None:
    payment_id = buy(tuition, student)
    for user in (Student(f"{student.sub}-support", groups=("support",)), Student(f"{student.sub}-other")):
        assert tuition.admin(user, CORRECT, {"email": NEW}, user_id=student.sub).status == 403
    correct(tuition, Student(f"{student.sub}-other"))
    assert tuition.payment(payment_id).email == f"{student.sub}@example.org"


@pytest.mark.parametrize("user_id", ["nobody-at-all", "pay_1", ""])
def test_an_unknown_user_has_no_address_to_correct(tuition: Harness, admin: Student, user_id: str) -> None:
    assert tuition.admin(admin, CORRECT, {"email": NEW}, user_id=user_id).status == 404


@pytest.mark.parametrize("by", ["student", "staff"])
def test_an_address_is_corrected_once_although_the_customer_is_missing_at_stripe(
    tuition: Harness, student: Student, admin: Student, by: str
) -> None:
    payment_id = buy(tuition, student)
    customer_id = customer_item(tuition, student)["stripe_customer_id"]["S"]
    tuition.at_stripe("DELETE", f"/v1/customers/{customer_id}")
    for payments in (1, 0):
        if by == "staff":
            response = tuition.admin(admin, CORRECT, {"email": NEW}, user_id=student.sub)
        else:
            response = correct(tuition, student)
        assert response.body == {"email": NEW, "payments": payments, "complete": True}
    assert customer_item(tuition, student)["email"]["S"] == NEW
    assert tuition.payment(payment_id).email == NEW
    assert trail_types(student.sub) == [EMAIL_CORRECTED_RECORD]


@pytest.mark.parametrize("by", ["student", "staff"])
@pytest.mark.parametrize("moment", ["before the erasure", "before the call", "after the call"])
def test_a_correction_that_races_with_an_erasure_stores_no_address(
    tuition: Harness,
    student: Student,
    admin: Student,
    by: str,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
    erasures: Erasures,
) -> None:
    payment_id = buy(tuition, student)
    customer_id = customer_item(tuition, student)["stripe_customer_id"]["S"]
    schedule_erasure(tuition, student, erasures)
    address = f"moved.{student.sub}@example.org"
    send = stripe_client.update_customer

    def erase() -> None:
        assert erasures.run()["erased"] == 1
        assert tuition.payment(payment_id).facts.erased

    def race(*params: Any) -> Any:
        if moment == "before the call":
            erase()
        answer = send(*params)
        if moment == "after the call":
            erase()
        return answer

    monkeypatch.setattr(stripe_client, "update_customer", race)
    if moment == "before the erasure":
        erase()
    if by == "staff":
        response = tuition.admin(admin, CORRECT, {"email": address}, user_id=student.sub)
    else:
        response = correct(tuition, student, address)
    assert problem(response) == (409, "conflict")
    assert tuition.at_stripe("GET", f"/v1/customers/{customer_id}").get("deleted")
    for table in ("payments", "customers", "enrollments", "audit", "stripe_objects", "effects", "limits"):
        assert address not in json.dumps(tuition.tables.scan(TableName=table)["Items"], default=str)


def test_a_correction_of_erased_data_leaves_no_record(
    tuition: Harness, student: Student, admin: Student, erasures: Erasures
) -> None:
    buy(tuition, student)
    schedule_erasure(tuition, student, erasures)
    assert erasures.run()["erased"] == 1
    before = trail_types(student.sub)
    assert problem(tuition.admin(admin, CORRECT, {"email": NEW}, user_id=student.sub)) == (409, "conflict")
    assert trail_types(student.sub) == before


def test_an_erased_payment_gets_no_address_again(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy(tuition, student)

    def erase(state: Any) -> Change:
        payment = state.payment
        entry = email_address.AuditEntry(payment.created_at, "erased:1", "data.erased", "reconcile")
        return Change(payment.merged(Facts(erased=True)).with_email(""), entry)

    ledger.update(tuition.payment(payment_id).ref, erase)
    response = tuition.admin(admin, CORRECT, {"email": NEW}, user_id=student.sub)
    assert problem(response) == (409, "conflict")
    raw = queries.payments_by_id([payment_id])[0]
    assert mapping.payment_from_item(raw).email != NEW
