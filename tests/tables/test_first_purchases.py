"""A user has one first-purchase claim: of all codes and tracks, one payment holds it until it is closed unpaid."""

from typing import Any

import pytest

from tests.harness import Harness, Response, Student
from tests.tables.test_promotion_codes import create_code, customer_of, refusal_reason
from tests.tables.test_sessions import open_session, pay_session, payable_ids
from tuition.core.audit import AuditEntry
from tuition.core.facts import Closed, Facts, Settled
from tuition.payments import checkout, opening
from tuition.storage import dynamodb, keys, ledger
from tuition.storage.items import CustomerItem
from tuition.storage.ledger import Change

FIRST = {"restrictions[first_time_transaction]": "true"}


def free_codes(tuition: Harness, student: Student) -> tuple[str, str]:
    """Return two codes that make a first purchase free."""
    first = create_code(tuition, student, {"percent_off": 100}, **FIRST)
    return first, create_code(tuition, student, {"percent_off": 100}, code=f"OTHER-{student.sub}", **FIRST)


def holders(student: Student) -> set[str]:
    customer, _ = ledger.load_customer(student.sub)
    return set(customer.first_purchases) if customer else set()


def merge(tuition: Harness, payment_id: str, facts: Facts, name: str) -> None:
    entry = AuditEntry("2026-11-23T18:30:00.000Z", name, "test", "pull")
    ref = tuition.payment(payment_id).ref
    ledger.update(ref, lambda state: Change(state.existing.merged(facts), entry))


@pytest.mark.parametrize("customer", ["new", "known"])
@pytest.mark.parametrize("codes", ["one code", "two codes"])
def test_of_two_sessions_at_once_only_one_is_a_first_purchase(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch, customer: str, codes: str
) -> None:
    first, second = free_codes(tuition, student)
    if customer == "known":
        customer_of(tuition, student)
        tuition.at_stripe(
            "POST", f"/v1/payment_intents/{tuition.create(student, 'FSD').body['payment_intent_id']}/cancel"
        )
        tuition.deliver_all()
    real, others = checkout._begin, list[Response]()

    def begin_after_another_create(*args: Any) -> Any:
        monkeypatch.setattr(checkout, "_begin", real)
        code = first if codes == "one code" else second
        others.append(open_session(tuition, student, "FSD", promotion_code=code))
        return real(*args)

    monkeypatch.setattr(checkout, "_begin", begin_after_another_create)
    refused = open_session(tuition, student, promotion_code=first)
    (other,) = others
    assert (other.status, other.body["amount"]) == (201, 0)
    assert refusal_reason(refused) == "not-applicable"
    assert payable_ids(tuition, student) == [other.body["session_id"]]
    assert holders(student) == {other.body["payment_id"]}
    pay_session(tuition, other.body["session_id"])
    tuition.deliver_all()
    for code in (first, second):
        assert refusal_reason(open_session(tuition, student, promotion_code=code)) == "not-applicable"
    assert open_session(tuition, student).body["amount"] == 49900


def test_a_second_code_is_refused_while_another_track_is_open_with_a_first_purchase_code(
    tuition: Harness, student: Student
) -> None:
    first, second = free_codes(tuition, student)
    held = open_session(tuition, student, promotion_code=first).body
    full_price = open_session(tuition, student, "FSD").body
    assert refusal_reason(open_session(tuition, student, "FSD", promotion_code=second)) == "not-applicable"
    assert set(payable_ids(tuition, student)) == {held["session_id"], full_price["session_id"]}
    other_code = open_session(tuition, student, promotion_code=second)  # the same track: the first one is closed
    assert (other_code.status, holders(student)) == (201, {other_code.body["payment_id"]})


def test_the_claim_is_free_again_when_its_payment_is_closed_unpaid(tuition: Harness, student: Student) -> None:
    first, second = free_codes(tuition, student)
    closed = open_session(tuition, student, promotion_code=first).body
    assert holders(student) == {closed["payment_id"]}
    tuition.advance_time(25 * 3600)
    tuition.deliver_all()
    assert (tuition.payment(closed["payment_id"]).status, holders(student)) == ("CANCELED", set())
    assert open_session(tuition, student, "FSD", promotion_code=second).status == 201


def test_a_payment_that_settles_after_it_was_closed_takes_the_claim_beside_its_holder(
    tuition: Harness, student: Student
) -> None:
    first, second = free_codes(tuition, student)
    closed = open_session(tuition, student, promotion_code=first).body["payment_id"]
    merge(tuition, closed, Facts(closed=Closed(1, "checkout", "gone")), "closed")
    other = open_session(tuition, student, "FSD", promotion_code=second).body["payment_id"]
    assert holders(student) == {other}
    merge(tuition, closed, Facts(settled=Settled(0, "usd", 2)), "settled")
    assert holders(student) == {closed, other}
    merge(tuition, other, Facts(closed=Closed(3, "checkout", "expired")), "expired")
    assert holders(student) == {closed}


def test_the_claim_of_a_payment_that_a_restore_lost_is_free_again(tuition: Harness, student: Student) -> None:
    first, second = free_codes(tuition, student)
    lost = open_session(tuition, student, promotion_code=first).body
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(lost["payment_id"]))
    tuition.advance_time(120)
    assert open_session(tuition, student).status == 201  # the lost payment's session is closed, its standing dropped
    assert holders(student) == set()
    assert open_session(tuition, student, "FSD", promotion_code=second).status == 201


def test_a_claim_whose_payment_a_restore_lost_without_a_trace_is_free_again(tuition: Harness, student: Student) -> None:
    first, second = free_codes(tuition, student)
    lost = open_session(tuition, student, promotion_code=first).body
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(lost["payment_id"]))
    tuition.tables.delete_item(TableName="enrollments", Key=keys.enrollment_key(student.sub, "DP"))
    tuition.advance_time(25 * 3600)  # its session has expired
    assert holders(student) == {lost["payment_id"]}
    purchase = open_session(tuition, student, promotion_code=second)
    assert (purchase.status, holders(student)) == (201, {purchase.body.get("payment_id")})


def test_a_rebuilt_first_purchase_holds_the_claim(tuition: Harness, student: Student) -> None:
    purchase = open_session(tuition, student, promotion_code=free_codes(tuition, student)[0]).body
    pay_session(tuition, purchase["session_id"])
    tuition.tables.delete_item(TableName="payments", Key=keys.payment_key(purchase["payment_id"]))
    dynamodb.update(
        CustomerItem, keys.customer_key(student.sub), "REMOVE first_purchases", condition="attribute_exists(user_id)"
    )
    tuition.deliver_all()
    assert tuition.payment(purchase["payment_id"]).status == "SUCCEEDED"
    assert holders(student) == {purchase["payment_id"]}


def test_a_create_without_a_code_that_loses_the_customer_to_a_first_purchase_is_not_refused(
    tuition: Harness, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two first creates at once, with two addresses: the one without a code has the older customer."""
    code = free_codes(tuition, student)[0]
    real, others = opening.commit, list[Response]()

    def commit_after_another_create(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(opening, "commit", real)
        other_address = Student(student.sub, email=f"new-{student.sub}@example.org")
        others.append(open_session(tuition, other_address, "FSD", promotion_code=code))
        return real(*args, **options)

    monkeypatch.setattr(opening, "commit", commit_after_another_create)
    response = tuition.create(student)
    assert [other.status for other in others] == [201]
    assert response.status == 201, response
    assert holders(student) == {others[0].body["payment_id"]}
