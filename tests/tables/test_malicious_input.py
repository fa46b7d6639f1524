"""Reads with malicious input: references, cursors and false metadata."""

import base64
import json

import pytest

from tests.harness import Harness, Student
from tests.tables.test_refunds import buy

LIST = "GET /api/admin/payments"


def encode_cursor(value: object) -> str:
    """Encode a value of any kind the way our cursors are encoded."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


FORGED = {
    "not a time": encode_cursor([3, "my-payments", "listed", "0001-01-01#pay_x", "pay_x"]),
    "before the first date": encode_cursor([3, "my-payments", "listed", "0001-01-01T00:00:00+14:00#pay_x", "pay_x"]),
    "the last date": encode_cursor([3, "my-payments", "listed", "9999-12-31T00:00:00.000Z#pay_x", "pay_x"]),
    "deeply nested": encode_cursor(b"[" * 7000),
    "lone surrogate": encode_cursor([3, "my-payments", "listed", "2026-01-01T00:00:00.000Z#pay_\ud800", "pay_\ud800"]),
    "not ASCII": "é",
}


@pytest.mark.parametrize("cursor", FORGED.values(), ids=FORGED.keys())
def test_a_forged_cursor_never_causes_a_500(tuition: Harness, student: Student, admin: Student, cursor: str) -> None:
    assert tuition.payments(student, cursor=cursor).status in (200, 422)
    assert tuition.admin(admin, LIST, query={"cursor": cursor}).status in (200, 422)


def test_another_students_cursor_shows_none_of_their_payments(tuition: Harness, student: Student) -> None:
    other = Student(f"{student.sub}-other")
    payment = tuition.payment(buy(tuition, other))
    cursor = encode_cursor(
        [3, "my-payments", "listed", f"{payment.created_at}#{payment.payment_id}~", f"{payment.payment_id}~"]
    )
    assert tuition.payments(student, cursor=cursor).body["payments"] == []


@pytest.mark.parametrize("reference", ["", "pay_", "pi_", "pay_\x00", "pay_nobody", "cs_nobody"])
def test_an_unknown_reference_answers_404_without_calling_stripe(
    tuition: Harness, student: Student, reference: str
) -> None:
    calls = len(tuition.stripe_calls)
    assert tuition.status(student, reference).status == 404
    assert len(tuition.stripe_calls) == calls


def test_an_intent_with_another_payments_metadata_changes_nothing_but_needs_attention(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    metadata = dict(tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")["metadata"])
    other = tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=1000, currency="usd", **{f"metadata[{k}]": v for k, v in metadata.items()}
    )
    tuition.pay(other["id"])
    assert {response.status for response in tuition.deliver_all()} == {200}
    payment = tuition.payment(purchase["payment_id"])
    assert (payment.status, payment.intent) == ("CREATED", purchase["payment_intent_id"])
    assert tuition.enrollment(student)["status"] == "PENDING"
    assert f"claim:{other['id']}" in tuition.attention(purchase["payment_id"])
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_answers_tell_browsers_not_to_guess_their_type(tuition: Harness, student: Student) -> None:
    answers = [
        tuition.create(student),
        tuition.create(student, "no such track"),
        tuition.tracks(),
        tuition.deliver_raw("{"),
    ]
    assert [answer.status for answer in answers] == [201, 422, 200, 400]
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
