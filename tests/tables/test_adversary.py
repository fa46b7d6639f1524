"""What somebody with bad intent, or a careless tool, sends to the reads: references, cursors and lies of metadata."""

import base64
import json

import pytest

from tests.tables.test_refunds import bought
from tests.world import Student, World

LIST = "GET /api/admin/payments"


def cursor_of(value: object) -> str:
    """A cursor as ours are written, of any content."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


FORGED = {
    "no time": cursor_of([1, "0001-01-01#pay_x"]),
    "before all time": cursor_of([1, "0001-01-01T00:00:00+14:00#pay_x"]),
    "the end of time": cursor_of([1, "9999-12-31T00:00:00.000Z#pay_x"]),
    "deep": cursor_of(b"[" * 7000),
    "half a surrogate pair": cursor_of([1, "2026-01-01T00:00:00.000Z#pay_\ud800"]),
    "not ASCII": "é",
}


@pytest.mark.parametrize("cursor", FORGED.values(), ids=FORGED.keys())
def test_a_forged_cursor_of_a_student_or_of_staff_is_no_fault_of_ours(
    tuition: World, student: Student, admin: Student, cursor: str
) -> None:
    assert tuition.payments(student, cursor=cursor).status in (200, 422)
    assert tuition.admin(admin, LIST, query={"cursor": cursor}).status in (200, 422)


def test_a_cursor_of_another_student_shows_nothing_of_theirs(tuition: World, student: Student) -> None:
    other = Student(f"{student.sub}-other")
    payment = tuition.payment(bought(tuition, other))
    cursor = cursor_of([1, f"{payment.created_at}#{payment.payment_id}~"])
    assert tuition.payments(student, cursor=cursor).body["payments"] == []


@pytest.mark.parametrize("reference", ["", "pay_", "pi_", "pay_\x00", "pay_nobody", "cs_nobody"])
def test_a_reference_to_nothing_is_404_without_asking_stripe(tuition: World, student: Student, reference: str) -> None:
    asked = len(tuition.stripe_calls)
    assert tuition.status(student, reference).status == 404
    assert len(tuition.stripe_calls) == asked


def test_an_intent_that_lies_about_its_payment_changes_nothing_but_needs_a_person(
    tuition: World, student: Student
) -> None:
    made = tuition.create(student).body
    lies = dict(tuition.at_stripe("GET", f"/v1/payment_intents/{made['payment_intent_id']}")["metadata"])
    twin = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=1000, currency="usd", **{f"metadata[{k}]": v for k, v in lies.items()}
    )
    tuition.pay(twin["id"])
    assert {answer.status for answer in tuition.deliver_all()} == {200}
    payment = tuition.payment(made["payment_id"])
    assert (payment.status, payment.intent) == ("CREATED", made["payment_intent_id"])
    assert tuition.enrolled(student)["status"] == "PENDING"
    assert f"claim:{twin['id']}" in tuition.attention(made["payment_id"])
    assert tuition.chain_problem(made["payment_id"]) is None
