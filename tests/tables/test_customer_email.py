"""A changed email address reaches the student's Stripe customer at the next create, once."""

from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tests.limits import set_limits
from tests.tables.test_sessions import open_session
from tuition.storage import ledger
from tuition.stripe_gateway import client as stripe_client


def customer_item(tuition: Harness, student: Student) -> dict[str, Any]:
    return dict(tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"])


def email_at_stripe(tuition: Harness, student: Student) -> str | None:
    customer_id = customer_item(tuition, student)["stripe_customer_id"]["S"]
    email: str | None = tuition.at_stripe("GET", f"/v1/customers/{customer_id}")["email"]
    return email


def updates(tuition: Harness, student: Student) -> int:
    """Return how many updates of the student's customer Tuition has sent since the calls were last cleared."""
    path = f"POST /v1/customers/{customer_item(tuition, student)['stripe_customer_id']['S']}"
    return tuition.stripe_calls.count(path)


def create(tuition: Harness, student: Student, kind: str) -> Response:
    return tuition.create(student) if kind == "intent" else open_session(tuition, student)


@pytest.mark.parametrize("kind", ["intent", "checkout"])
@pytest.mark.parametrize("first_track", ["DP", "FSD"], ids=["the payment is open", "a new payment"])
def test_a_changed_email_is_sent_to_stripe_once(
    tuition: Harness, student: Student, kind: str, first_track: str
) -> None:
    tuition.create(student, first_track) if kind == "intent" else open_session(tuition, student, first_track)
    moved = Student(student.sub, email="moved@example.org")
    tuition.stripe_calls.clear()
    assert create(tuition, moved, kind).status in (200, 201)
    assert email_at_stripe(tuition, student) == "moved@example.org"
    assert updates(tuition, student) == 1
    assert create(tuition, moved, kind).status == 200
    assert updates(tuition, student) == 1


def test_an_unchanged_email_is_not_sent_again(tuition: Harness, student: Student) -> None:
    tuition.create(student)
    tuition.stripe_calls.clear()
    tuition.create(student, "FSD")
    assert tuition.stripe_calls == ["POST /v1/payment_intents"]


def test_a_customer_made_without_an_email_gets_the_next_valid_one(tuition: Harness, student: Student) -> None:
    tuition.create(Student(student.sub, email="ada@internal"))
    assert email_at_stripe(tuition, student) is None
    tuition.stripe_calls.clear()
    tuition.create(Student(student.sub, email="ada@internal"), "FSD")
    assert updates(tuition, student) == 0
    tuition.create(student)
    assert email_at_stripe(tuition, student) == f"{student.sub}@example.org"


def test_a_customer_stored_before_emails_were_remembered_is_sent_the_email_once(
    tuition: Harness, student: Student
) -> None:
    tuition.create(student)
    key = {"user_id": {"S": student.sub}}
    tuition.tables.update_item(TableName="customers", Key=key, UpdateExpression="REMOVE email")
    tuition.stripe_calls.clear()
    for _ in range(2):
        assert tuition.create(student).status == 200
    assert updates(tuition, student) == 1


def test_a_changed_email_that_stripe_rejects_is_sent_once_and_does_not_stop_the_purchase(
    tuition: Harness, student: Student
) -> None:
    tuition.create(student)
    moved = Student(student.sub, email="ada@internal")
    assert tuition.create(moved, "FSD").status == 201
    assert email_at_stripe(tuition, student) == f"{student.sub}@example.org"
    tuition.stripe_calls.clear()
    assert tuition.create(moved, "FSD").status == 200
    assert updates(tuition, student) == 0


def test_a_changed_email_of_a_customer_missing_at_stripe_goes_to_its_replacement(
    tuition: Harness, student: Student
) -> None:
    tuition.create(student)
    customer_id = customer_item(tuition, student)["stripe_customer_id"]["S"]
    tuition.at_stripe("DELETE", f"/v1/customers/{customer_id}")
    moved = Student(student.sub, email="moved@example.org")
    assert tuition.create(moved, "FSD").status == 201
    assert customer_item(tuition, student)["stripe_customer_id"]["S"] != customer_id
    assert email_at_stripe(tuition, student) == "moved@example.org"


@pytest.mark.parametrize(("fault", "statuses"), [("before", {502}), ("hang", {502, 504}), ("rate_limit", {503})])
def test_an_email_that_cannot_be_sent_stops_the_create_and_the_next_one_sends_it(
    tuition: Harness, student: Student, fault: str, statuses: set[int]
) -> None:
    session = open_session(tuition, student).body
    moved = Student(student.sub, email="moved@example.org")
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/customers/*", times=9, fail=fault)
    tuition.stripe_calls.clear()
    response = tuition.create(moved)
    assert response.status in statuses
    assert response.headers["retry-after"]
    assert updates(tuition, student) <= 3
    tuition.at_stripe("DELETE", "/_sim/calls")
    assert open_session(tuition, student).body["session_id"] == session["session_id"]  # the open payment was kept
    assert tuition.create(moved).status == 201
    assert email_at_stripe(tuition, student) == "moved@example.org"


def test_two_emails_sent_at_once_are_both_forgotten_so_the_next_create_sends_its_own(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuition.create(student)
    early, late = Student(student.sub, email="early@example.org"), Student(student.sub, email="late@example.org")
    update = stripe_client.update_customer
    nested: list[int] = []

    def overtaken(*args: Any) -> Any:
        if not nested:
            nested.append(1)
            assert tuition.create(late).status == 200
        return update(*args)

    with monkeypatch.context() as patched:
        patched.setattr(stripe_client, "update_customer", overtaken)
        assert tuition.create(early).status == 200
    assert "email" not in customer_item(tuition, student)
    assert tuition.create(late).status == 200
    assert email_at_stripe(tuition, student) == "late@example.org"
    assert (ledger.load_customer(student.sub)[0] or student).email == "late@example.org"


def test_two_addresses_in_turn_do_not_pass_the_limit_of_requests_to_stripe(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_limits(monkeypatch, stripe_requests_burst=5, stripe_requests_per_minute=1)
    tuition.freeze_time()
    tuition.create(student)
    tuition.stripe_calls.clear()
    statuses = [tuition.create(Student(student.sub, email=f"a{n % 2}@example.org")).status for n in range(20)]
    assert statuses[-10:] == [429] * 10
    assert len(tuition.stripe_calls) <= 5
