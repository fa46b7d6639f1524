"""The daily audit: our books against Stripe's balance transactions, the audit chains, and who has access."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.tables.test_verification import put_enrollment
from tests.tables.test_withdrawals import set_region, withdraw
from tuition import settings
from tuition.core.errors import StripeRefused, Unprocessable
from tuition.core.facts import Balance, Closed, Facts
from tuition.intake import audit_run
from tuition.storage import keys
from tuition.stripe_gateway import client as stripe_client

DAY = 86_400
STAFF = Student("staff-1", groups=("support",))
LOST = {"status": "lost", "amount": 7, "created": 1, "reason": "fraudulent"}
FEE = 1_477
"""Stripe's fee of 49900: 2.9 % + 0.30."""


@pytest.fixture(autouse=True)
def noon(tuition: Harness, empty_tables: None) -> None:
    """Begin at noon, so that all that a test does is of one UTC day, and without other tests' enrollments."""
    tuition.empty_table("enrollments", "user_id", "sort_key")
    tuition.freeze_time(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())


def deliver(tuition: Harness) -> None:
    tuition.advance_time(5)
    tuition.deliver_all()


def bought(tuition: Harness, student: Student) -> dict[str, Any]:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"])
    deliver(tuition)
    return dict(purchase)


def forge(tuition: Harness, purchase: dict[str, Any], type_: str, obj: dict[str, Any]) -> None:
    """Deliver an event with a valid signature that Stripe never sent."""
    event = json.loads(list(tuition.stripe.webhooks.payloads.values())[-1])
    forged = {**event, "id": f"evt_{type_}", "type": type_, "data": {"object": obj}}
    assert tuition.deliver(forged).body["outcome"] == "applied"


def next_day(tuition: Harness) -> dict[str, Any]:
    """Run the audit in the night after."""
    tuition.advance_time(DAY)
    return tuition.run_audit()


def refuse(*_: Any, **__: Any) -> Any:
    raise StripeRefused("insufficient funds", 400, "invalid_request_error", "balance_insufficient")


def books(tuition: Harness) -> dict[str, Any]:
    answer = tuition.admin(STAFF, "GET /api/admin/books")
    assert answer.status == 200
    return dict(answer.body)


def differences(tuition: Harness) -> list[tuple[Any, ...]]:
    return [(d["kind"], d["day"], d["currency"], d["ours"], d["stripe"]) for d in books(tuition)["differences"]]


def rewrite(tuition: Harness, payment_id: str, **facts: Any) -> None:
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(payment_id))["Item"]
    item["facts"] = {"S": json.dumps({**json.loads(item["facts"]["S"]), **facts})}
    tuition.tables.put_item(TableName="payments", Item=item)


def test_before_the_first_comparison_there_is_none(tuition: Harness) -> None:
    assert books(tuition) == {"compared_at": None, "through": None, "equal": None, "differences": [], "unfinished": []}


def test_an_honest_day_is_equal_and_its_fees_are_stored_once(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=5_000)
    disputed = bought(tuition, Student("other"))
    tuition.at_stripe("POST", "/_sim/disputes", payment_intent=disputed["payment_intent_id"], status="lost")
    deliver(tuition)
    report = next_day(tuition)
    assert (report["differences"], report["failed"], report["done"], report["checked"]) == ([], [], True, 2)
    assert {(one["kind"], one["ours"], one["stripe"]) for one in report["sums"]} == {
        ("charge", 99_800, 99_800),
        ("refund", -5_000, -5_000),
        ("dispute", -49_900, -49_900),
    }
    shown = books(tuition)
    assert (shown["equal"], shown["differences"], shown["through"]) == (True, [], "2026-11-23")
    facts = tuition.payment(purchase["payment_id"]).facts
    assert facts.balance == Balance(FEE, 49_900 - FEE, "usd")
    assert facts.confirmed is not None
    assert tuition.attention(purchase["payment_id"]) == []
    version = tuition.payment(purchase["payment_id"]).version
    assert next_day(tuition)["done"]
    assert tuition.payment(purchase["payment_id"]).version == version


def test_a_forged_success_differs_and_needs_attention(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    intent = tuition.at_stripe("GET", f"/v1/payment_intents/{purchase['payment_intent_id']}")
    deliver(tuition)
    forge(tuition, purchase, "payment_intent.succeeded", {**intent, "status": "succeeded", "amount_received": 49_900})
    report = next_day(tuition)
    assert report["failed"] == []
    assert differences(tuition) == [("charge", "2026-11-23", "usd", 49_900, 0)]
    (difference,) = books(tuition)["differences"]
    assert difference["ids"] == [purchase["payment_id"], purchase["payment_intent_id"]]
    assert tuition.attention(purchase["payment_id"]) == ["books"]
    assert books(tuition)["equal"] is False


def test_a_forged_refund_differs(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    charge = tuition.payment(purchase["payment_id"]).stripe_charge_id
    refund = {
        "id": "re_forged", "object": "refund", "amount": 49_900, "currency": "usd", "status": "succeeded",
        "created": int(tuition.time_source()), "charge": charge, "payment_intent": purchase["payment_intent_id"],
        "metadata": {}, "reason": None,
    }  # fmt: skip
    forge(tuition, purchase, "refund.created", refund)
    next_day(tuition)
    assert differences(tuition) == [("refund", "2026-11-23", "usd", -49_900, 0)]
    assert tuition.attention(purchase["payment_id"]) == ["books"]


def test_a_refund_that_we_do_not_have_differs_until_it_is_known(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    refund = tuition.at_stripe("POST", "/v1/refunds", payment_intent=purchase["payment_intent_id"], amount=100)
    tuition.advance_time(5)
    events = tuition.new_events()
    next_day(tuition)
    assert differences(tuition) == [("refund", "2026-11-23", "usd", 0, -100)]
    assert refund["id"] in books(tuition)["differences"][0]["ids"]
    assert tuition.attention(purchase["payment_id"]) == ["books"]
    for event in events:
        tuition.deliver(event)
    report = tuition.run_audit(days={"from": "2026-11-23", "to": "2026-11-23"})
    assert (report["differences"], report["done"]) == ([], True)
    assert (books(tuition)["equal"], tuition.attention(purchase["payment_id"])) == (True, [])


def test_an_amount_that_was_rewritten_differs_in_books_and_chain(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    settled = tuition.payment(purchase["payment_id"]).facts.settled
    rewrite(tuition, purchase["payment_id"], settled={"amount": 99_900, "currency": "usd", "at": settled.at})
    next_day(tuition)
    assert {kind for kind, *_ in differences(tuition)} == {"charge", "chain", "unconfirmed"}
    assert set(tuition.attention(purchase["payment_id"])) == {"amount", "books", "chain", "unconfirmed"}


def test_movements_of_another_app_are_counted_as_foreign(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    tuition.at_stripe(
        "POST", "/v1/payment_intents", amount=700, currency="usd", payment_method="pm_card_visa", confirm="true",
        **{"allowed_payment_method_types[]": "card"},
    )  # fmt: skip
    tuition.advance_time(5)
    report = next_day(tuition)
    assert (report["foreign"], report["differences"]) == (1, [])


def test_a_charge_of_ours_without_a_payment_is_listed(tuition: Harness, student: Student) -> None:
    purchase = bought(tuition, student)
    for table, key in (
        ("payments", keys.payment_key(purchase["payment_id"])),
        ("enrollments", keys.enrollment_key(student.sub, "DP")),
    ):
        tuition.tables.delete_item(TableName=table, Key=key)
    next_day(tuition)
    assert ("charge", "2026-11-23", "usd", 0, 49_900) in differences(tuition)


def test_an_enrollment_without_a_payment_is_listed(tuition: Harness, student: Student) -> None:
    bought(tuition, Student("honest"))
    put_enrollment(tuition, student, "pay_invented")
    report = next_day(tuition)
    assert report["users"] == 2
    (difference,) = books(tuition)["differences"]
    assert (difference["kind"], difference["ids"]) == ("standing", [student.sub, "DP", "pay_invented"])


def test_a_standing_that_its_payment_does_not_back_needs_attention(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    deliver(tuition)
    put_enrollment(tuition, student, purchase["payment_id"])
    next_day(tuition)
    assert [kind for kind, *_ in differences(tuition)] == ["standing"]
    assert tuition.attention(purchase["payment_id"]) == ["chain"]


def close(tuition: Harness, payment_id: str) -> None:
    """Rewrite the facts of an open payment, so that it is canceled without a record."""
    rewrite(tuition, payment_id, closed=Facts(closed=Closed(1, "intent", "abandoned")).to_json()["closed"])


def test_a_payment_that_was_never_paid_is_compared_with_its_records(tuition: Harness, student: Student) -> None:
    purchase = tuition.create(student).body
    close(tuition, purchase["payment_id"])
    next_day(tuition)
    (difference,) = books(tuition)["differences"]
    assert (difference["kind"], difference["ids"]) == ("chain", [purchase["payment_id"]])
    assert tuition.attention(purchase["payment_id"]) == ["chain"]


def test_a_paid_payment_whose_enrollment_was_removed_is_compared_with_its_records(
    tuition: Harness, student: Student
) -> None:
    purchase = bought(tuition, student)
    enrollment_key = keys.enrollment_key(student.sub, "DP")
    tuition.tables.delete_item(TableName="enrollments", Key=enrollment_key)
    rewrite(tuition, purchase["payment_id"], disputes={"du_1": {**LOST, "stamp": 1}})
    next_day(tuition)
    assert "chain" in {kind for kind, *_ in differences(tuition)}


def test_a_payment_that_has_not_changed_is_compared_when_the_tables_are_scanned(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small tables are scanned every day, large ones once a week."""
    old = tuition.create(student).body["payment_id"]
    monkeypatch.setattr(audit_run, "SMALL_SCAN", 0)
    assert next_day(tuition)["done"]
    close(tuition, old)
    for _ in range(6):
        assert next_day(tuition)["differences"] == []
    report = next_day(tuition)
    assert [(one["kind"], one["ids"]) for one in report["differences"]] == [("chain", [old])]


def test_a_withdrawal_that_an_older_release_dropped_ends_access_again(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record says when it was submitted. A release that does not know it keeps the record, but not the fact."""
    purchase = bought(tuition, student)
    payment_id, intent = purchase["payment_id"], purchase["payment_intent_id"]
    set_region(monkeypatch, "EU")
    with monkeypatch.context() as broken:
        broken.setattr(stripe_client, "create_refund", refuse)
        withdrawn = withdraw(tuition, student, payment_id).body["withdrawal"]
    settings.settings.cache_clear()
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(payment_id))["Item"]
    facts = json.loads(item["facts"]["S"])
    del facts["withdrawn"]
    tuition.tables.put_item(TableName="payments", Item={**item, "facts": {"S": json.dumps(facts)}})
    tuition.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=100)
    deliver(tuition)
    assert tuition.enrollment(student)["status"] == "ENROLLED", "this is what an older release does"
    report = next_day(tuition)
    assert report["failed"] == []
    assert tuition.payment(payment_id).withdrawn_at == withdrawn["submitted_at"]
    assert tuition.enrollment(student)["status"] == "WITHDRAWN"
    assert "withdrawal" in tuition.attention(payment_id)
    version = tuition.payment(payment_id).version
    next_day(tuition)
    assert tuition.payment(payment_id).withdrawn_at == withdrawn["submitted_at"]
    assert tuition.payment(payment_id).version <= version + 1


def test_an_agreement_to_the_terms_that_an_older_release_dropped_comes_back(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERMS_VERSION", "2026-11")
    settings.settings.cache_clear()
    purchase = tuition.create(student, terms="2026-11").body
    tuition.pay(purchase["payment_intent_id"])
    deliver(tuition)
    settings.settings.cache_clear()
    agreed = tuition.payment(purchase["payment_id"]).facts.agreed
    item = tuition.tables.get_item(TableName="payments", Key=keys.payment_key(purchase["payment_id"]))["Item"]
    facts = json.loads(item["facts"]["S"])
    assert facts.pop("agreed")["version"] == "2026-11"
    tuition.tables.put_item(TableName="payments", Item={**item, "facts": {"S": json.dumps(facts)}})
    next_day(tuition)
    assert tuition.payment(purchase["payment_id"]).facts.agreed == agreed
    assert tuition.chain_problem(purchase["payment_id"]) is None


def test_the_audit_keeps_the_name_in_a_withdrawal(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought(tuition, student)
    set_region(monkeypatch, "EU")
    withdraw(tuition, student, purchase["payment_id"])
    stored = tuition.payment(purchase["payment_id"]).facts.withdrawn
    next_day(tuition)
    assert stored is not None
    assert stored.name
    assert tuition.payment(purchase["payment_id"]).facts.withdrawn == stored


def test_an_audit_without_time_is_not_done_and_repeats_its_days(tuition: Harness, student: Student) -> None:
    bought(tuition, student)
    tuition.advance_time(DAY)
    assert tuition.run_audit(seconds=10)["done"] is False
    assert books(tuition)["through"] is None
    tuition.advance_time(DAY)
    assert tuition.run_audit()["done"]
    assert books(tuition)["through"] == "2026-11-24"


def test_a_payment_by_bank_debit_is_equal_although_its_money_moved_days_before(
    tuition: Harness, student: Student
) -> None:
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_usBankAccount_success")
    deliver(tuition)
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"
    (transaction,) = tuition.stripe.account.store.all("balance_transaction")
    transaction["created"] -= 4 * DAY
    report = next_day(tuition)
    assert (report["differences"], report["failed"]) == ([], [])
    assert tuition.payment(purchase["payment_id"]).facts.balance is not None


@pytest.mark.parametrize("days", [{"from": "x", "to": "y"}, {"from": "2026-11-02", "to": "2026-11-01"}, [], ""])
def test_invalid_days_are_refused(tuition: Harness, days: Any) -> None:
    with pytest.raises(Unprocessable):
        tuition.run_audit(days=days)
