"""Why a student is enrolled or not: for staff with the terms, their facts and records, for the student in words."""

from collections.abc import Callable
from typing import Any

import pytest

import enrollments
from tests.harness import Harness, Response, Student
from tests.tables.test_access import buy
from tests.tables.test_student_views import another_amount, bought, lost, refunded, revoked
from tests.tables.test_withdrawals import buy_by_bank_debit, set_region, withdraw
from tuition.core import payment as payments
from tuition.core.audit import WITHDRAWN_RECORD

pytestmark = pytest.mark.usefixtures("empty_tables")
ROUTE = "GET /api/admin/payments/{payment_id}/explain"
STUDENT_ROUTE = "GET /api/enrollments/{track}/explain"
STAFF = Student("staff-1", groups=("support",))
Story = Callable[[Harness, Student, Student], None]


def payment_of(tuition: Harness, student: Student) -> str:
    (item,) = [
        item for item in tuition.tables.scan(TableName="payments")["Items"] if item["user_id"]["S"] == student.sub
    ]
    return str(item["payment_id"]["S"])


def explain(tuition: Harness, payment_id: str) -> dict[str, Any]:
    return dict(tuition.admin(STAFF, ROUTE, payment_id=payment_id).body)


def explain_to(tuition: Harness, student: Student, track: str = "DP") -> Response:
    return tuition.call(enrollments.handler, student, route=STUDENT_ROUTE, path={"track": track})


def opened(tuition: Harness, student: Student, admin: Student) -> None:
    tuition.create(student)


@pytest.mark.parametrize(
    ("story", "failed", "enrollment"),
    [
        (bought, [], "ENROLLED"),
        (opened, ["settled", "amount_agrees"], "PENDING"),
        (revoked, ["not_revoked"], "WITHDRAWN"),
        (lost, ["no_dispute_lost"], "WITHDRAWN"),
        (refunded, ["not_refunded"], "WITHDRAWN"),
        (another_amount, ["amount_agrees"], None),
    ],
)
def test_staff_see_each_term_with_its_facts_and_the_records_that_brought_them(
    tuition: Harness, student: Student, admin: Student, story: Story, failed: list[str], enrollment: str | None
) -> None:
    story(tuition, student, admin)
    tuition.deliver_all()
    payment_id = payment_of(tuition, student)
    body, payment = explain(tuition, payment_id), tuition.payment(payment_id)
    assert [term["term"] for term in body["terms"] if not term["holds"]] == failed
    assert (body["enrollment"], body["grants_access"]) == (enrollment, not failed)
    assert body["grants_access"] == payments.grants_access(payment)
    records = {record["seq"]: record for record in tuition.audit_trail(payment_id)}
    for term in body["terms"]:
        names = {name for seq in term["records"] for name in records[seq]["facts"]}
        assert set(term["facts"]) - {"price"} <= names
        if term["term"] in failed and term["term"] not in ("settled", "amount_agrees"):
            assert term["records"]
    assert body["sentence"].startswith("The student is enrolled" if not failed else "This payment gives no access")


def test_a_withdrawal_is_the_reason_until_the_refund_is(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_region(monkeypatch, "EU")
    payment_id = buy_by_bank_debit(tuition, student)
    withdraw(tuition, student, payment_id)
    (term,) = [term for term in explain(tuition, payment_id)["terms"] if not term["holds"]]
    assert term["term"] == "not_withdrawn"
    assert set(term["facts"]["withdrawn"]) == {"at"}
    (seq,) = term["records"]
    assert tuition.audit_trail(payment_id)[seq - 1]["type"] == WITHDRAWN_RECORD
    assert explain_to(tuition, student).body["sentence"].endswith("because you withdrew from the contract.")


def test_the_record_of_a_decision_is_named(tuition: Harness, student: Student, admin: Student) -> None:
    revoked(tuition, student, admin)
    payment_id = payment_of(tuition, student)
    (term,) = [term for term in explain(tuition, payment_id)["terms"] if term["term"] == "not_revoked"]
    version = tuition.payment(payment_id).version
    assert term == {
        "term": "not_revoked",
        "holds": False,
        "facts": {"decision": {"version": version, "decision": "revoke"}},
        "records": [version],
    }


def test_a_refunded_payment_of_a_student_who_bought_again_is_explained(tuition: Harness, student: Student) -> None:
    first = buy(tuition, student)
    tuition.refund(student, first)
    tuition.deliver_all()
    buy(tuition, student)
    body = explain(tuition, first)
    assert (body["grants_access"], body["enrollment"]) == (False, "ENROLLED")
    assert body["sentence"].endswith("The student is enrolled in DP by another payment.")
    assert explain_to(tuition, student).body["sentence"].startswith("You are enrolled")


def test_an_unknown_payment_is_not_explained(tuition: Harness) -> None:
    assert tuition.admin(STAFF, ROUTE, payment_id="pay_unknown").status == 404


@pytest.mark.parametrize(
    ("story", "why"),
    [
        (bought, "You are enrolled in Data Professional, because your payment was received."),
        (opened, "because you have not paid yet. You can complete the payment."),
        (revoked, "because the school ended your access."),
        (lost, "because your bank took the payment back."),
        (refunded, "because your payment was refunded in full."),
        (another_amount, "because the amount that we received is not the price. The school is reviewing your payment."),
    ],
)
def test_a_student_reads_why_they_are_enrolled_or_not(
    tuition: Harness, student: Student, admin: Student, story: Story, why: str
) -> None:
    story(tuition, student, admin)
    tuition.deliver_all()
    body = explain_to(tuition, student).body
    assert why in body["sentence"]
    assert body["payment_id"] == payment_of(tuition, student)
    assert body["enrollment"] == (tuition.enrollment(student) or {}).get("status")


def test_a_student_who_bought_nothing_reads_so(tuition: Harness, student: Student) -> None:
    buy(tuition, student)
    other = Student("other")
    assert explain_to(tuition, other).body == {
        "track": "DP",
        "enrollment": None,
        "payment_id": None,
        "plan_id": None,
        "sentence": "You are not enrolled in Data Professional, because you have not bought it.",
    }
    assert explain_to(tuition, student, "FSD").body["enrollment"] is None


@pytest.mark.parametrize("track", ["XX", "", "dp", "DP#p1", "#user"])
def test_an_unknown_track_is_refused_with_the_tracks_that_there_are(
    tuition: Harness, student: Student, track: str
) -> None:
    answer = explain_to(tuition, student, track)
    assert (answer.status, answer.body["detail"]) == (404, "There is no track with this code. The tracks are DP, FSD.")
