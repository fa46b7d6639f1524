"""The rules of a create that need no race: replays, attempts, price, customers, bounds, Stripe failing."""

from dataclasses import replace

import pytest

import create_checkout_session
import create_payment
from tests.world import Student, World
from tuition import clock
from tuition.core import catalog
from tuition.core.money import Money
from tuition.payments import checkout
from tuition.storage import ledger


def intents(tuition: World, student: Student) -> list[dict[str, object]]:
    found = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    return [i for i in found if i["metadata"]["user_id"] == student.sub]


def payable(tuition: World, student: Student) -> list[dict[str, object]]:
    return [i for i in intents(tuition, student) if i["status"] not in ("canceled", "succeeded")]


@pytest.mark.parametrize("match", ["POST /v1/customers", "POST /v1/payment_intents"])
@pytest.mark.parametrize("fault", ["before", "after", "rate_limit", "hang", "lock_timeout"])
def test_stripe_failing_at_a_create_ends_with_one_object_at_the_next_try(
    tuition: World, student: Student, match: str, fault: str
) -> None:
    tuition.at_stripe("POST", "/_sim/calls", match=match, times=4, fail=fault)
    first = tuition.create(student)
    if first.status != 201:
        assert first.status in (502, 503, 504)
        assert first.headers["content-type"] == "application/problem+json"
        assert first.headers["retry-after"]
        tuition.at_stripe("DELETE", "/_sim/calls")
        assert tuition.create(student).status in (200, 201)
    assert len(payable(tuition, student)) == 1
    customers = tuition.at_stripe("GET", "/v1/customers?limit=100")["data"]
    assert len([c for c in customers if c["metadata"].get("user_id") == student.sub]) == 1


def test_a_replayed_500_takes_the_next_attempt(tuition: World, student: Student) -> None:
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/payment_intents", times=1, fail="error")
    made = tuition.create(student)
    assert made.status == 201
    assert tuition.payment(made.body["payment_id"]).attempt == 2


def test_an_orphan_that_was_closed_is_not_answered_from_stripes_memory(tuition: World, student: Student) -> None:
    from tests.tables.test_ledger import faults

    with faults(tuition, "TransactWriteItems", *["InternalServerError"] * 9):
        assert tuition.create(student).status == 503
    orphan = str(intents(tuition, student)[0]["id"])
    tuition.at_stripe("POST", f"/v1/payment_intents/{orphan}/cancel")
    made = tuition.create(student)
    assert made.status == 201
    assert made.body["payment_intent_id"] != orphan
    assert tuition.pay(made.body["payment_intent_id"])["status"] == "succeeded"


def test_a_price_change_closes_the_open_payment_and_begins_at_the_new_price(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tuition.create(student).body
    raised = {**catalog.tracks(), "DP": replace(catalog.tracks()["DP"], price=Money(55000, "usd"))}
    monkeypatch.setattr(catalog, "tracks", lambda: raised)
    new = tuition.create(student)
    assert (new.status, new.body["amount"]) == (201, 55000)
    assert [i["id"] for i in payable(tuition, student)] == [new.body["payment_intent_id"]]
    assert tuition.status(student, old["payment_id"]).body["status"] == "CANCELED"


def test_other_terms_close_the_open_payment_first(tuition: World, student: Student) -> None:
    tuition.create(student)
    saved = tuition.create(student, save_payment_method=True)
    assert saved.status == 201
    assert [i["id"] for i in payable(tuition, student)] == [saved.body["payment_intent_id"]]


def test_other_terms_while_the_open_payment_was_just_paid_are_refused(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    answer = tuition.create(student, save_payment_method=True)
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (409, "already-enrolled")
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_other_terms_while_a_bank_debit_is_processing_are_refused(tuition: World, student: Student) -> None:
    tuition.stop_the_clock()
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"], "pm_usBankAccount_success")
    answer = tuition.create(student, save_payment_method=True)
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    assert tuition.create(student).body["status"] == "PROCESSING"


def test_a_customer_deleted_at_stripe_is_replaced(tuition: World, student: Student) -> None:
    first = tuition.create(student, "DP").body
    customer = tuition.payment(first["payment_id"]).customer
    tuition.at_stripe("DELETE", f"/v1/customers/{customer}")
    second = tuition.create(student, "FSD")
    assert second.status == 201
    assert tuition.payment(second.body["payment_id"]).customer != customer
    third = Student(student.sub, email="moved@example.org")
    assert tuition.create(third, "FSD").status == 200


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_an_object_that_stripe_no_longer_knows_is_closed_and_another_is_begun(
    tuition: World, student: Student, kind: str
) -> None:
    create = create_payment.handler if kind == "intent" else create_checkout_session.handler
    made = tuition.call(create, student, {"track": "DP"}).body
    tuition.stripe.account.store.objects.clear()  # as when test data are deleted
    shown = tuition.status(student, made["payment_id"])
    assert (shown.status, shown.body["status"]) == (200, "CANCELED")
    assert tuition.attention(made["payment_id"]) == ["gone"]
    again = tuition.call(create, student, {"track": "DP"})
    assert again.status == 201
    assert again.body["payment_id"] != made["payment_id"]


def test_money_that_stripe_no_longer_knows_is_not_refunded_and_somebody_is_called(
    tuition: World, student: Student
) -> None:
    made = tuition.create(student).body
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    tuition.stripe.account.store.objects.clear()
    refused = tuition.refund(student, made["payment_id"])
    assert (refused.status, refused.body["type"].rpartition("/")[2]) == (409, "refund-refused")
    assert tuition.attention(made["payment_id"]) == ["gone"]
    assert tuition.enrolled(student)["status"] == "ENROLLED"


def test_one_customer_serves_every_purchase_of_a_user(tuition: World, student: Student) -> None:
    made = [tuition.create(student, track).body["payment_id"] for track in ("DP", "FSD")]
    assert len({tuition.payment(p).customer for p in made}) == 1


def test_sixty_attempts_a_minute_are_allowed_and_the_next_is_429(tuition: World, student: Student) -> None:
    for n in range(60):
        assert tuition.create(student, save_payment_method=bool(n % 2)).status == 201
    answer = tuition.create(student)
    assert answer.status == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert tuition.create(student, save_payment_method=True).status == 200


def test_the_fifth_declined_card_closes_the_payment(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    for _ in range(5):
        tuition.pay(made["payment_intent_id"], "pm_card_chargeDeclined")
        tuition.deliver_all()
    assert tuition.status(student, made["payment_id"]).body["status"] == "CANCELED"
    assert payable(tuition, student) == []
    assert tuition.create(student).status == 201


def test_an_intent_canceled_in_the_dashboard_lets_the_student_begin_again(tuition: World, student: Student) -> None:
    made = tuition.create(student).body
    tuition.at_stripe("POST", f"/v1/payment_intents/{made['payment_intent_id']}/cancel")
    again = tuition.create(student)
    assert again.status == 201
    assert again.body["payment_intent_id"] != made["payment_intent_id"]


def test_a_deadline_bounds_an_invocation(tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "remaining_s", lambda: 0.1)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/customers", times=9, fail="before")
    assert tuition.create(student).status == 502
    assert tuition.stripe_calls.count("POST /v1/customers") == 1


def test_a_later_purchase_leaves_the_customers_record_as_it_was(tuition: World, student: Student) -> None:
    tuition.create(student, "DP")
    before = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    tuition.create(student, "FSD")
    assert tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"] == before


def test_first_purchases_of_two_tracks_under_two_addresses_leave_no_orphan(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:

    commit = ledger.commit
    raced: list[int] = []

    def race(*args: object, **more: object) -> ledger.PaymentState:
        if not raced:
            raced.append(0)
            raced[0] = tuition.create(Student(student.sub, email="new@example.org"), "FSD").status
        return commit(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(checkout.ledger, "commit", race)
    made = tuition.create(student)
    assert (raced, made.status) == ([201], 201)
    assert len(payable(tuition, student)) == 2
