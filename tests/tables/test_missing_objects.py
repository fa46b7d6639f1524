"""Objects that Stripe reports as missing and that reappear later."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness import Harness, Response, Student
from tests.tables.test_access import acknowledge
from tests.tables.test_reconcile import crash_after_stripe
from tests.tables.test_sessions import open_session, payable_ids

KINDS = ("intent", "checkout")
DAY = 86_400
pytestmark = pytest.mark.usefixtures("empty_tables")


@contextmanager
def missing_at_stripe(tuition: Harness, object_id: str) -> Iterator[None]:
    """Make Stripe answer `resource_missing` for an intent or a session inside this context."""
    kind = "checkout.session" if object_id.startswith("cs_") else "payment_intent"
    objects = tuition.stripe.account.store.objects[kind]
    obj = objects.pop(object_id)
    yield
    objects[object_id] = obj


def create(tuition: Harness, student: Student, kind: str) -> Response:
    return tuition.create(student) if kind == "intent" else open_session(tuition, student)


def object_of(response: Response) -> str:
    return str(response.body.get("payment_intent_id") or response.body["session_id"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("age", [10, 2 * DAY])
def test_an_object_that_reappears_is_closed_at_stripe_by_the_next_run(
    tuition: Harness, student: Student, kind: str, age: int
) -> None:
    first = create(tuition, student, kind)
    tuition.new_events()
    tuition.advance_time(age)
    with missing_at_stripe(tuition, object_of(first)):
        second = create(tuition, student, kind)
    assert (second.status, second.body["payment_id"] != first.body["payment_id"]) == (201, True)
    tuition.advance_time(3600)
    report = tuition.reconcile()
    assert report["failed"] == []
    assert payable_ids(tuition, student) == [object_of(second)]
    assert tuition.payment(first.body["payment_id"]).status == "CANCELED"
    assert tuition.attention(first.body["payment_id"]) == []  # it was not missing after all, and it is closed
    assert tuition.chain_problem(first.body["payment_id"]) is None


def test_a_later_event_of_a_reappearing_object_closes_it_at_once(tuition: Harness, student: Student) -> None:
    first = create(tuition, student, "intent")
    with missing_at_stripe(tuition, object_of(first)):
        assert tuition.status(student, first.body["payment_id"]).body["status"] == "CANCELED"
    tuition.pay(object_of(first), "pm_card_chargeDeclined")
    assert {response.status for response in tuition.deliver_all()} == {200}
    assert payable_ids(tuition, student) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_wrong_resource_missing_leaves_no_second_payable_object(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The first read of the object is answered `resource_missing`, the next one returns it."""
    first = create(tuition, student, kind)
    handle, paths = tuition.stripe.handle, []

    def handle_with_one_failure(method: str, path: str, *rest: object) -> object:
        if method == "GET" and object_of(first) in path and not paths:
            paths.append(path)
            with missing_at_stripe(tuition, object_of(first)):
                return handle(method, path, *rest)
        return handle(method, path, *rest)

    monkeypatch.setattr(tuition.stripe, "handle", handle_with_one_failure)
    second = create(tuition, student, kind)
    assert (second.status, len(paths)) == (201, 1)
    assert payable_ids(tuition, student) == [object_of(second)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_payment_settled_while_its_object_was_missing_counts_and_the_second_is_closed(
    tuition: Harness, student: Student, kind: str
) -> None:
    first = create(tuition, student, kind)
    with missing_at_stripe(tuition, object_of(first)):
        second = create(tuition, student, kind)
    if kind == "intent":
        tuition.pay(object_of(first))
    else:
        tuition.at_stripe("POST", f"/v1/payment_pages/{object_of(first)}/confirm", payment_method="pm_card_visa")
    tuition.new_events()  # all events are lost
    tuition.advance_time(3600)
    tuition.reconcile()
    tuition.advance_time(3600)
    tuition.reconcile()
    assert tuition.payment(first.body["payment_id"]).status == "SUCCEEDED"
    assert tuition.payment(second.body["payment_id"]).status == "CANCELED"  # because the first one grants access
    assert (tuition.enrollment(student)["status"], payable_ids(tuition, student)) == ("ENROLLED", [])


def test_a_missing_object_is_checked_until_staff_acknowledge_it(
    tuition: Harness, student: Student, admin: Student
) -> None:
    response = create(tuition, student, "intent")
    payment_id = response.body["payment_id"]
    tuition.deliver_all()
    tuition.stripe.account.store.objects.clear()
    tuition.status(student, payment_id)
    for _ in range(3):
        tuition.advance_time(2 * 3600)
        before = len(tuition.audit_trail(payment_id))
        report = tuition.reconcile()
        assert (report["checked"], report["drifted"], report["failed"]) == (1, 0, [])
        assert len(tuition.audit_trail(payment_id)) == before
    assert acknowledge(tuition, admin, payment_id, "gone").status == 200
    tuition.advance_time(DAY)
    assert tuition.reconcile()["checked"] == 0


@pytest.mark.parametrize("source", ["webhook", "reconciler"])
def test_an_intent_whose_session_is_briefly_missing_is_not_recorded_as_a_claim(
    tuition: Harness, student: Student, source: str
) -> None:
    response = create(tuition, student, "checkout")
    tuition.at_stripe("POST", f"/v1/payment_pages/{object_of(response)}/confirm", payment_method="pm_card_visa")
    events = tuition.new_events()
    with missing_at_stripe(tuition, object_of(response)):
        if source == "webhook":
            success = next(event for event in events if event["type"] == "payment_intent.succeeded")
            assert tuition.deliver(success).body["outcome"] == "quarantined"
        else:
            tuition.reconcile()
    for _ in range(2):
        tuition.advance_time(3600)
        report = tuition.reconcile()
    assert (report["failed"], report["replayed"]) == ([], 0)
    assert tuition.enrollment(student)["status"] == "ENROLLED"
    assert [name for name in tuition.attention(response.body["payment_id"]) if name != "gone"] == []
    assert tuition.tables.scan(TableName="quarantine")["Items"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_create_opens_another_object_if_the_orphan_of_a_killed_create_is_missing(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Stripe's idempotency cache still returns the missing object."""
    object_type = "payment_intent" if kind == "intent" else "checkout.session"
    orphan_id = crash_after_stripe(tuition, student, monkeypatch, object_type)
    with missing_at_stripe(tuition, orphan_id):
        response = create(tuition, student, kind)
    assert (response.status, object_of(response) != orphan_id) == (201, True)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_of_a_paid_object_that_is_missing_is_quarantined_and_applied_later(
    tuition: Harness, student: Student, kind: str
) -> None:
    """The dispute is lost long after it was opened, when no list of new objects contains it any more."""
    create_response = create(tuition, student, kind)
    path = (
        f"payment_intents/{object_of(create_response)}"
        if kind == "intent"
        else f"payment_pages/{object_of(create_response)}"
    )
    tuition.at_stripe("POST", f"/v1/{path}/confirm", payment_method="pm_card_visa")
    tuition.deliver_all()
    intent = tuition.payment(create_response.body["payment_id"]).intent
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="needs_response")
    tuition.deliver_all()
    tuition.reconcile()
    tuition.advance_time(30 * DAY)
    tuition.reconcile()
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="lost")
    with missing_at_stripe(tuition, object_of(create_response)):
        assert "quarantined" in {response.body["outcome"] for response in tuition.deliver_all()}
    tuition.advance_time(3600)
    tuition.reconcile()
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert tuition.attention(create_response.body["payment_id"]) == [f"dispute:{dispute['id']}"]
    assert tuition.chain_problem(create_response.body["payment_id"]) is None
