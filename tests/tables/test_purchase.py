"""A purchase from the create to the enrollment, and what must not happen on the way."""

import pytest

import enrollments
from tests import permissions
from tests.harness import Harness, Student


def test_a_successful_card_payment_enrolls_and_unlocks_the_first_project(tuition: Harness, student: Student) -> None:
    response = tuition.create(student)
    assert response.status == 201
    assert (response.body["amount"], response.body["currency"], response.body["status"]) == (49900, "usd", "CREATED")
    tuition.pay(response.body["payment_intent_id"])
    assert {a.body["outcome"] for a in tuition.deliver_all()} <= {"applied", "ignored"}

    payment = tuition.status(student, response.body["payment_intent_id"]).body
    assert payment["status"] == "SUCCEEDED"
    assert payment["payment_method"] == {"type": "card", "brand": "visa", "last4": "4242"}
    assert payment["receipt_url"]
    enrollment = tuition.enrollment(student)
    assert enrollment is not None
    assert enrollment["status"] == "ENROLLED"
    assert [p["unlocked"] for p in enrollment["projects"]] == [True, False, False, False]
    assert all(p["steps"] for p in enrollment["projects"])
    assert tuition.create(student).status == 409
    assert tuition.chain_problem(response.body["payment_id"]) is None


def test_a_second_create_returns_the_open_payment(tuition: Harness, student: Student) -> None:
    first, second = tuition.create(student), tuition.create(student)
    assert (first.status, second.status) == (201, 200)
    assert first.body["payment_intent_id"] == second.body["payment_intent_id"]
    assert first.body["client_secret"] == second.body["client_secret"]


def test_a_decline_is_recorded_and_the_same_intent_can_still_be_paid(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "FAILED"
    assert tuition.enrollment(student)["status"] == "PENDING"
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_payment_with_3d_secure_enrolls_after_authentication(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    intent = tuition.pay(purchase["payment_intent_id"], "pm_card_authenticationRequiredOnSetup")
    assert intent["status"] == "requires_action"
    tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "CREATED"
    tuition.at_stripe("POST", f"/_sim/payment_intents/{purchase['payment_intent_id']}/authenticate", outcome="success")
    tuition.deliver_all()
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_the_webhook_alone_enrolls_while_every_call_to_stripe_is_blocked(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    events = tuition.new_events()
    tuition.stripe_blocked = True
    succeeded = next(e for e in events if e["type"] == "payment_intent.succeeded")
    before = len(tuition.stripe_calls)
    assert tuition.deliver(succeeded).status == 200
    assert len(tuition.stripe_calls) == before
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_status_request_makes_up_for_a_lost_webhook(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    assert tuition.status(student, purchase["payment_intent_id"]).body["status"] == "SUCCEEDED"
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_a_redelivered_event_changes_nothing_and_answers_200(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    events = tuition.new_events()
    for event in [*events, *events, *reversed(events)]:
        assert tuition.deliver(event).status == 200
    trail = tuition.audit_trail(purchase["payment_id"])
    assert len({r["event_id"] for r in trail}) == len(trail)
    successes = [r for r in trail if r["transition"].get("status", {}).get("to") == "SUCCEEDED"]
    assert len(successes) == 1
    assert tuition.chain_problem(purchase["payment_id"]) is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"track": "XX"}', 422),
        ("{}", 422),
        ('{"track": 7}', 422),
        ('{"track": null}', 422),
        ('{"track": "DP", "amount": 1}', 422),
        ('{"track": "DP", "user_id": "other"}', 422),
        ('{"track": "DP", "save_payment_method": "yes"}', 422),
        ("not json", 400),
        ("", 400),
        ("[]", 400),
        ("[" * 60000, 400),
        ('"' + "x" * 1_000_000 + '"', 413),
        ('{"track": "\\ud800"}', 422),
    ],
)
def test_an_invalid_body_is_refused_and_writes_nothing(
    tuition: Harness, student: Student, body: str, status: int
) -> None:
    from create_payment import handler

    response = tuition.call(handler, student, body)
    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.body["detail"]
    assert tuition.enrollment(student) is None
    assert tuition.stripe_calls == []


def test_another_students_payment_answers_404(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    other = Student(student.sub + "-other")
    for reference in (purchase["payment_id"], purchase["payment_intent_id"], "pi_unknown", "pay_unknown", "nonsense"):
        calls = len(tuition.stripe_calls)
        assert tuition.status(other, reference).status == 404
        assert len(tuition.stripe_calls) == calls
    assert tuition.refund(other, purchase["payment_id"]).status == 404


def test_the_history_lists_payments_newest_first_with_a_cursor(tuition: Harness, student: Student) -> None:
    ids = [tuition.create(student, track).body["payment_id"] for track in ("DP", "FSD")]
    first = tuition.payments(student, limit="1").body
    second = tuition.payments(student, limit="1", cursor=first["next_cursor"]).body
    assert [p["payment_id"] for p in first["payments"] + second["payments"]] == ids[::-1]
    assert tuition.payments(student, limit="0").status == 422
    assert tuition.payments(student, cursor="!!").status == 422
    assert tuition.payments(student, page="2").status == 422


def test_a_student_with_an_unverified_email_cannot_buy(tuition: Harness) -> None:
    assert tuition.create(Student("unverified-1", verified=False)).status == 403


@pytest.mark.parametrize(
    "claims",
    [{"sub": ""}, {"sub": None}, {"token_use": "access"}, {"exp": ""}],
    ids=["empty sub", "null sub", "access token", "no expiry"],
)
def test_invalid_claims_are_refused(tuition: Harness, claims: dict[str, str | None]) -> None:
    class InvalidStudent(Student):
        @property
        def claims(self) -> dict[str, str]:
            return {**super().claims, **claims}  # type: ignore[dict-item]

    assert tuition.create(InvalidStudent("odd")).status == 401


@pytest.mark.parametrize(("query", "status"), [({"limit": "5"}, 200), ({"limit": "0"}, 422), ({"page": "2"}, 422)])
def test_the_query_of_an_enrollments_request_is_validated(
    tuition: Harness, student: Student, query: dict[str, str], status: int
) -> None:
    assert tuition.call(enrollments.handler, student, query=query).status == status


def test_a_call_that_a_functions_role_does_not_allow_fails_any_test(tuition: Harness) -> None:
    with (
        permissions.acting_as(enrollments.handler),
        pytest.raises(AssertionError, match="EnrollmentsFunction calls GetItem"),
    ):
        tuition.tables.get_item(TableName="audit", Key={"subject": {"S": "pay_1"}, "sort_key": {"S": "1"}})
