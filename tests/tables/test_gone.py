"""An object that Stripe said it does not know, and what happens when it is there after all."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.tables.test_decisions import resolve
from tests.tables.test_reconcile import died_after_stripe
from tests.tables.test_sessions import begin, payable
from tests.world import Answer, Student, World

KINDS = ("intent", "checkout")
DAY = 86_400
pytestmark = pytest.mark.usefixtures("walk")


@contextmanager
def unknown(tuition: World, object_id: str) -> Iterator[None]:
    """For a while Stripe answers that it does not know this intent or session."""
    kind = "checkout.session" if object_id.startswith("cs_") else "payment_intent"
    kept = tuition.stripe.account.store.objects[kind]
    hidden = kept.pop(object_id)
    yield
    kept[object_id] = hidden


def ask(tuition: World, student: Student, kind: str) -> Answer:
    return tuition.create(student) if kind == "intent" else begin(tuition, student)


def object_of(made: Answer) -> str:
    return str(made.body.get("payment_intent_id") or made.body["session_id"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("age", [10, 2 * DAY])
def test_what_comes_back_is_closed_at_stripe_by_the_next_run(
    tuition: World, student: Student, kind: str, age: int
) -> None:
    first = ask(tuition, student, kind)
    tuition.new_events()
    tuition.time_passes(age)
    with unknown(tuition, object_of(first)):
        second = ask(tuition, student, kind)
    assert (second.status, second.body["payment_id"] != first.body["payment_id"]) == (201, True)
    tuition.time_passes(3600)
    report = tuition.reconcile()
    assert report["failed"] == []
    assert payable(tuition, student) == [object_of(second)]
    assert tuition.payment(first.body["payment_id"]).status == "CANCELED"
    assert tuition.attention(first.body["payment_id"]) == []  # it was not gone, and it is closed
    assert tuition.chain_problem(first.body["payment_id"]) is None


def test_what_is_told_of_it_later_closes_it_at_once(tuition: World, student: Student) -> None:
    first = ask(tuition, student, "intent")
    with unknown(tuition, object_of(first)):
        assert tuition.status(student, first.body["payment_id"]).body["status"] == "CANCELED"
    tuition.pay(object_of(first), "pm_card_chargeDeclined")
    assert {answer.status for answer in tuition.deliver_all()} == {200}
    assert payable(tuition, student) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_that_is_wrong_for_a_moment_leaves_nothing_to_pay_beside_the_next(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The first answer says no such object, and the next one knows it."""
    first = ask(tuition, student, kind)
    handle, told = tuition.stripe.handle, []

    def once(method: str, path: str, *rest: object) -> object:
        if method == "GET" and object_of(first) in path and not told:
            told.append(path)
            with unknown(tuition, object_of(first)):
                return handle(method, path, *rest)
        return handle(method, path, *rest)

    monkeypatch.setattr(tuition.stripe, "handle", once)
    second = ask(tuition, student, kind)
    assert (second.status, len(told)) == (201, 1)
    assert payable(tuition, student) == [object_of(second)]


@pytest.mark.parametrize("kind", KINDS)
def test_money_that_came_in_while_it_was_unknown_counts_and_somebody_is_called_for_the_second(
    tuition: World, student: Student, kind: str
) -> None:
    first = ask(tuition, student, kind)
    with unknown(tuition, object_of(first)):
        second = ask(tuition, student, kind)
    if kind == "intent":
        tuition.pay(object_of(first))
    else:
        tuition.at_stripe("POST", f"/v1/payment_pages/{object_of(first)}/confirm", payment_method="pm_card_visa")
    tuition.new_events()  # and all of it is lost
    tuition.time_passes(3600)
    tuition.reconcile()
    tuition.time_passes(3600)
    tuition.reconcile()
    assert tuition.payment(first.body["payment_id"]).status == "SUCCEEDED"
    assert tuition.payment(second.body["payment_id"]).status == "CANCELED"  # its student has got in by the first
    assert (tuition.enrolled(student)["status"], payable(tuition, student)) == ("ENROLLED", [])


def test_what_stays_unknown_is_looked_at_until_a_person_has_dealt_with_it(
    tuition: World, student: Student, admin: Student
) -> None:
    made = ask(tuition, student, "intent")
    payment_id = made.body["payment_id"]
    tuition.deliver_all()
    tuition.stripe.account.store.objects.clear()
    tuition.status(student, payment_id)
    for _ in range(3):
        tuition.time_passes(2 * 3600)
        before = len(tuition.trail(payment_id))
        report = tuition.reconcile()
        assert (report["checked"], report["drifted"], report["failed"]) == (1, 0, [])
        assert len(tuition.trail(payment_id)) == before
    assert resolve(tuition, admin, payment_id, "gone").status == 200
    tuition.time_passes(DAY)
    assert tuition.reconcile()["checked"] == 0


@pytest.mark.parametrize("told", ["webhook", "run"])
def test_an_intent_of_a_session_that_is_unknown_for_a_moment_is_no_claim_of_another(
    tuition: World, student: Student, told: str
) -> None:
    made = ask(tuition, student, "checkout")
    tuition.at_stripe("POST", f"/v1/payment_pages/{object_of(made)}/confirm", payment_method="pm_card_visa")
    events = tuition.new_events()
    with unknown(tuition, object_of(made)):
        if told == "webhook":
            paid = next(event for event in events if event["type"] == "payment_intent.succeeded")
            assert tuition.deliver(paid).body["outcome"] == "quarantined"
        else:
            tuition.reconcile()
    for _ in range(2):
        tuition.time_passes(3600)
        report = tuition.reconcile()
    assert (report["failed"], report["replayed"]) == ([], 0)
    assert tuition.enrolled(student)["status"] == "ENROLLED"
    assert [name for name in tuition.attention(made.body["payment_id"]) if name != "gone"] == []
    assert tuition.tables.scan(TableName="quarantine")["Items"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_create_that_died_with_an_object_that_is_gone_begins_another(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Its key answers from Stripe's memory what Stripe no longer knows."""
    stored = "payment_intent" if kind == "intent" else "checkout.session"
    died = died_after_stripe(tuition, student, monkeypatch, stored)
    with unknown(tuition, died):
        again = ask(tuition, student, kind)
    assert (again.status, object_of(again) != died) == (201, True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_of_a_paid_object_while_it_is_unknown_is_kept_and_not_forgotten(
    tuition: World, student: Student, kind: str
) -> None:
    """A dispute is lost long after it began: no list of what is new names it any more."""
    made = ask(tuition, student, kind)
    page = f"payment_intents/{object_of(made)}" if kind == "intent" else f"payment_pages/{object_of(made)}"
    tuition.at_stripe("POST", f"/v1/{page}/confirm", payment_method="pm_card_visa")
    tuition.deliver_all()
    intent = tuition.payment(made.body["payment_id"]).intent
    dispute = tuition.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="needs_response")
    tuition.deliver_all()
    tuition.reconcile()
    tuition.time_passes(30 * DAY)
    tuition.reconcile()
    tuition.at_stripe("POST", "/_sim/disputes", dispute=dispute["id"], status="lost")
    with unknown(tuition, object_of(made)):
        assert "quarantined" in {answer.body["outcome"] for answer in tuition.deliver_all()}
    tuition.time_passes(3600)
    tuition.reconcile()
    assert tuition.enrolled(student)["status"] == "WITHDRAWN"
    assert tuition.attention(made.body["payment_id"]) == [f"dispute:{dispute['id']}"]
    assert tuition.chain_problem(made.body["payment_id"]) is None
