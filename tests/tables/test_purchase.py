"""A purchase from the click to the enrollment, and what must not happen on the way."""

import pytest

import enrollments
from tests import rights
from tests.world import Student, World


def test_a_card_that_succeeds_enrolls_and_unlocks_the_first_project(tuition: World, student: Student) -> None:
    made = tuition.create(student)
    assert made.status == 201
    assert (made.body["amount"], made.body["currency"], made.body["status"]) == (49900, "usd", "CREATED")
    tuition.pay(made.body["payment_intent_id"])
    assert {a.body["outcome"] for a in tuition.deliver_all()} <= {"applied", "ignored"}

    shown = tuition.status(student, made.body["payment_intent_id"]).body
    assert shown["status"] == "SUCCEEDED"
    assert shown["payment_method"] == {"type": "card", "brand": "visa", "last4": "4242"}
    assert shown["receipt_url"]
    enrolled = tuition.enrolled(student)
    assert enrolled is not None
    assert enrolled["status"] == "ENROLLED"
    assert [p["unlocked"] for p in enrolled["projects"]] == [True, False, False, False]
    assert all(p["steps"] for p in enrolled["projects"])
    assert tuition.create(student).status == 409
    assert tuition.chain_problem(made.body["payment_id"]) is None


def test_asking_again_answers_the_open_payment(tuition: World, student: Student) -> None:
    first, second = tuition.create(student), tuition.create(student)
    assert (first.status, second.status) == (201, 200)
    assert first.body["payment_intent_id"] == second.body["payment_intent_id"]
    assert first.body["client_secret"] == second.body["client_secret"]


def test_a_decline_is_recorded_and_the_same_intent_can_still_be_paid(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], "pm_card_chargeDeclinedInsufficientFunds")
    tuition.deliver_all()
    assert tuition.status(student, made["payment_id"]).body["status"] == "FAILED"
    assert tuition.enrolled(student)["status"] == "PENDING"
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_three_d_secure_enrolls_after_it_was_passed(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    asked = tuition.pay(made["payment_intent_id"], "pm_card_authenticationRequiredOnSetup")
    assert asked["status"] == "requires_action"
    tuition.deliver_all()
    assert tuition.status(student, made["payment_id"]).body["status"] == "CREATED"
    tuition.at_stripe("POST", f"/_sim/payment_intents/{made['payment_intent_id']}/authenticate", outcome="success")
    tuition.deliver_all()
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_the_webhook_alone_enrolls_with_every_call_to_stripe_blocked(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    events = tuition.new_events()
    tuition.stripe_blocked = True
    succeeded = next(e for e in events if e["type"] == "payment_intent.succeeded")
    before = len(tuition.stripe_calls)
    assert tuition.deliver(succeeded).status == 200
    assert len(tuition.stripe_calls) == before
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_a_lost_webhook_heals_for_the_student_who_looks(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    assert tuition.status(student, made["payment_intent_id"]).body["status"] == "SUCCEEDED"
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_an_event_delivered_again_changes_nothing_and_is_answered_200(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    events = tuition.new_events()
    for event in [*events, *events, *reversed(events)]:
        assert tuition.deliver(event).status == 200
    trail = tuition.trail(made["payment_id"])
    assert len({r["event_id"] for r in trail}) == len(trail)
    paid = [r for r in trail if r["transition"].get("status", {}).get("to") == "SUCCEEDED"]
    assert len(paid) == 1
    assert tuition.chain_problem(made["payment_id"]) is None


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
def test_a_body_that_is_not_acceptable_writes_nothing(tuition: World, student: Student, body: str, status: int) -> None:
    from create_payment import handler

    answer = tuition.call(handler, student, body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["detail"]
    assert tuition.enrolled(student) is None
    assert tuition.stripe_calls == []


def test_somebody_elses_payment_is_not_found(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    other = Student(student.sub + "-other")
    for reference in (made["payment_id"], made["payment_intent_id"], "pi_unknown", "pay_unknown", "nonsense"):
        calls = len(tuition.stripe_calls)
        assert tuition.status(other, reference).status == 404
        assert len(tuition.stripe_calls) == calls
    assert tuition.refund(other, made["payment_id"]).status == 404


def test_a_payment_shows_in_the_history_newest_first_with_a_cursor(tuition: World, student: Student) -> None:
    ids = [tuition.create(student, track).body["payment_id"] for track in ("DP", "FSD")]
    first = tuition.payments(student, limit="1").body
    second = tuition.payments(student, limit="1", cursor=first["next_cursor"]).body
    assert [p["payment_id"] for p in first["payments"] + second["payments"]] == ids[::-1]
    assert tuition.payments(student, limit="0").status == 422
    assert tuition.payments(student, cursor="!!").status == 422
    assert tuition.payments(student, page="2").status == 422


def test_an_unverified_email_cannot_buy(tuition: World) -> None:
    assert tuition.create(Student("unverified-1", verified=False)).status == 403


@pytest.mark.parametrize(
    "claims", [{"sub": ""}, {"sub": None}, {"token_use": "access"}, {"exp": ""}], ids=["empty", "none", "access", "exp"]
)
def test_claims_that_cannot_be_relied_on_are_refused(tuition: World, claims: dict[str, str | None]) -> None:
    class Odd(Student):
        @property
        def claims(self) -> dict[str, str]:
            return {**super().claims, **claims}  # type: ignore[dict-item]

    assert tuition.create(Odd("odd")).status == 401


@pytest.mark.parametrize(("query", "status"), [({"limit": "5"}, 200), ({"limit": "0"}, 422), ({"page": "2"}, 422)])
def test_a_query_of_ones_enrollments_is_looked_at(
    tuition: World, student: Student, query: dict[str, str], status: int
) -> None:
    assert tuition.call(enrollments.handler, student, query=query).status == status


def test_a_call_that_a_functions_role_does_not_allow_is_found_in_every_test(tuition: World) -> None:
    with rights.of(enrollments.handler), pytest.raises(AssertionError, match="EnrollmentsFunction asks for GetItem"):
        tuition.tables.get_item(TableName="audit", Key={"subject": {"S": "pay_1"}, "sort_key": {"S": "1"}})
