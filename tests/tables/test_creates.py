"""Creating a payment, without concurrency: retries, attempts, prices, customers, limits, and Stripe's failures."""

from dataclasses import replace
from typing import Any

import pytest

import create_checkout_session
import create_payment
from tests.harness import Harness, Student
from tuition import clock, metrics
from tuition.core import catalog
from tuition.core.audit import AuditEntry
from tuition.core.facts import Facts, Settled
from tuition.core.money import Money
from tuition.payments import opening
from tuition.storage import ledger
from tuition.storage.ledger import Change


def intents(tuition: Harness, student: Student) -> list[dict[str, object]]:
    objects = tuition.at_stripe("GET", "/v1/payment_intents?limit=100")["data"]
    return [i for i in objects if i["metadata"]["user_id"] == student.sub]


def payable_intents(tuition: Harness, student: Student) -> list[dict[str, object]]:
    return [i for i in intents(tuition, student) if i["status"] not in ("canceled", "succeeded")]


@pytest.mark.parametrize("match", ["POST /v1/customers", "POST /v1/payment_intents"])
@pytest.mark.parametrize("fault", ["before", "after", "rate_limit", "hang", "lock_timeout"])
def test_a_create_retried_after_a_stripe_failure_leaves_one_object(
    tuition: Harness, student: Student, match: str, fault: str
) -> None:
    tuition.at_stripe("POST", "/_sim/calls", match=match, times=4, fail=fault)
    first = tuition.create(student)
    if first.status != 201:
        assert first.status in (502, 503, 504)
        assert first.headers["content-type"] == "application/problem+json"
        assert first.headers["retry-after"]
        tuition.at_stripe("DELETE", "/_sim/calls")
        assert tuition.create(student).status in (200, 201)
    assert len(payable_intents(tuition, student)) == 1
    customers = tuition.at_stripe("GET", "/v1/customers?limit=100")["data"]
    assert len([c for c in customers if c["metadata"].get("user_id") == student.sub]) == 1


@pytest.mark.parametrize(("fault", "counted"), [("rate_limit", 1), ("lock_timeout", 0), ("before", 0)])
def test_only_a_rate_limit_of_stripe_is_counted_as_one(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, fault: str, counted: int
) -> None:
    counts: list[str] = []
    monkeypatch.setattr(metrics, "count", lambda name, number=1: counts.append(name))
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/payment_intents", times=1, fail=fault)
    tuition.create(student)
    assert counts.count("StripeRateLimited") == counted


def test_a_cached_500_from_stripe_is_retried_with_the_next_attempt(tuition: Harness, student: Student) -> None:
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/payment_intents", times=1, fail="error")
    response = tuition.create(student)
    assert response.status == 201
    assert tuition.payment(response.body["payment_id"]).attempt == 2


def test_a_canceled_orphan_is_not_returned_from_stripes_idempotency_cache(tuition: Harness, student: Student) -> None:
    from tests.tables.test_ledger import inject_faults

    with inject_faults(tuition, "TransactWriteItems", *["InternalServerError"] * 9):
        assert tuition.create(student).status == 503
    orphan = str(intents(tuition, student)[0]["id"])
    tuition.at_stripe("POST", f"/v1/payment_intents/{orphan}/cancel")
    response = tuition.create(student)
    assert response.status == 201
    assert response.body["payment_intent_id"] != orphan
    assert tuition.pay(response.body["payment_intent_id"])["status"] == "succeeded"


def test_a_price_change_closes_the_open_payment_and_opens_one_at_the_new_price(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tuition.create(student).body
    new_tracks = {**catalog.tracks(), "DP": replace(catalog.tracks()["DP"], price=Money(55000, "usd"))}
    monkeypatch.setattr(catalog, "tracks", lambda: new_tracks)
    new = tuition.create(student)
    assert (new.status, new.body["amount"]) == (201, 55000)
    assert [i["id"] for i in payable_intents(tuition, student)] == [new.body["payment_intent_id"]]
    assert tuition.status(student, old["payment_id"]).body["status"] == "CANCELED"


def test_other_terms_close_the_open_payment_first(tuition: Harness, student: Student) -> None:
    tuition.create(student)
    response = tuition.create(student, save_payment_method=True)
    assert response.status == 201
    assert [i["id"] for i in payable_intents(tuition, student)] == [response.body["payment_intent_id"]]


def test_other_terms_are_refused_when_the_open_payment_was_just_paid(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    response = tuition.create(student, save_payment_method=True)
    assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "already-enrolled")
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_other_terms_are_refused_while_a_bank_debit_is_processing(tuition: Harness, student: Student) -> None:
    tuition.freeze_time()
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    response = tuition.create(student, save_payment_method=True)
    assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    assert tuition.create(student).body["status"] == "PROCESSING"


def test_a_customer_deleted_at_stripe_is_replaced(tuition: Harness, student: Student) -> None:
    first = tuition.create(student, "DP").body
    customer = tuition.payment(first["payment_id"]).customer
    tuition.at_stripe("DELETE", f"/v1/customers/{customer}")
    second = tuition.create(student, "FSD")
    assert second.status == 201
    assert tuition.payment(second.body["payment_id"]).customer != customer
    third = Student(student.sub, email="moved@example.org")
    assert tuition.create(third, "FSD").status == 200


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_a_payment_whose_object_is_missing_at_stripe_is_closed_and_another_opens(
    tuition: Harness, student: Student, kind: str
) -> None:
    create = create_payment.handler if kind == "intent" else create_checkout_session.handler
    purchase = tuition.call(create, student, {"track": "DP"}).body
    tuition.stripe.account.store.objects.clear()  # as when test data are deleted
    response = tuition.status(student, purchase["payment_id"])
    assert (response.status, response.body["status"]) == (200, "CANCELED")
    assert tuition.attention(purchase["payment_id"]) == ["gone"]
    again = tuition.call(create, student, {"track": "DP"})
    assert again.status == 201
    assert again.body["payment_id"] != purchase["payment_id"]


def test_a_settled_payment_missing_at_stripe_is_not_refunded_but_needs_attention(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    tuition.stripe.account.store.objects.clear()
    response = tuition.refund(student, purchase["payment_id"])
    assert (response.status, response.body["type"].rpartition("/")[2]) == (409, "refund-refused")
    assert tuition.attention(purchase["payment_id"]) == ["gone"]
    assert tuition.enrollment(student)["status"] == "ENROLLED"


def test_all_purchases_of_a_student_share_one_customer(tuition: Harness, student: Student) -> None:
    payment_ids = [tuition.create(student, track).body["payment_id"] for track in ("DP", "FSD")]
    assert len({tuition.payment(p).customer for p in payment_ids}) == 1


def test_the_fifth_declined_card_closes_the_payment(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    for _ in range(5):
        tuition.pay(purchase["payment_intent_id"], "pm_card_chargeDeclined")
        tuition.deliver_all()
    assert tuition.status(student, purchase["payment_id"]).body["status"] == "CANCELED"
    assert payable_intents(tuition, student) == []
    assert tuition.create(student).status == 201


def test_a_student_can_buy_again_after_staff_cancel_the_intent_in_the_dashboard(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.at_stripe("POST", f"/v1/payment_intents/{purchase['payment_intent_id']}/cancel")
    again = tuition.create(student)
    assert again.status == 201
    assert again.body["payment_intent_id"] != purchase["payment_intent_id"]


def test_an_invocation_near_its_deadline_does_not_retry(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "remaining_s", lambda: 0.1)
    tuition.at_stripe("POST", "/_sim/calls", match="POST /v1/customers", times=9, fail="before")
    assert tuition.create(student).status == 502
    assert tuition.stripe_calls.count("POST /v1/customers") == 1


def test_a_later_purchase_leaves_the_customer_record_unchanged(tuition: Harness, student: Student) -> None:
    tuition.create(student, "DP")
    before = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    tuition.create(student, "FSD")
    assert tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"] == before


def test_concurrent_first_purchases_with_two_email_addresses_leave_no_orphan(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:

    commit = ledger.commit
    other_statuses: list[int] = []

    def commit_after_other(*args: object, **more: object) -> ledger.PaymentState:
        if not other_statuses:
            other_statuses.append(0)
            other_statuses[0] = tuition.create(Student(student.sub, email="new@example.org"), "FSD").status
        return commit(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(opening.ledger, "commit", commit_after_other)
    response = tuition.create(student)
    assert (other_statuses, response.status) == ([201], 201)
    assert len(payable_intents(tuition, student)) == 2


def test_no_payment_is_begun_beside_another_amount_that_arrives_while_it_is_created(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tuition.create(student).body
    tuition.at_stripe("POST", f"/v1/payment_intents/{closed['payment_intent_id']}/cancel")
    tuition.deliver_all()
    real = opening.commit

    def commit_after_the_money(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(opening, "commit", real)
        ref = tuition.payment(closed["payment_id"]).ref
        entry = AuditEntry("2026-11-23T18:30:00.000Z", "late", "test", "pull")
        late = Facts(settled=Settled(4990, "usd", 1))
        ledger.update(ref, lambda state: Change(state.existing.merged(late), entry))
        return real(*args, **options)

    monkeypatch.setattr(opening, "commit", commit_after_the_money)
    response = tuition.create(student)
    assert (response.status, response.body.get("type", "").rpartition("/")[2]) == (409, "conflict")
    assert payable_intents(tuition, student) == []
