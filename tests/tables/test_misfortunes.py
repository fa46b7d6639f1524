"""What goes wrong seldom: customers deleted, tracks retired, items lost, disputes lost and bought again."""

from dataclasses import replace

import pytest

from tests.tables.test_sessions import begin, payable
from tests.world import Student, World
from tuition import checkout, ledger
from tuition.core import catalog
from tuition.core.money import Money


def kept_customer(tuition: World, student: Student) -> str:
    item = tuition.tables.get_item(TableName="customers", Key={"user_id": {"S": student.sub}})["Item"]
    return str(item["stripe_customer_id"]["S"])


# --- customers ---


@pytest.mark.parametrize("moved", [False, True], ids=["at once", "after the enrollment moved"])
def test_the_customer_that_replaces_a_deleted_one_is_kept_with_its_saved_cards(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    first = tuition.create(student, "DP").body
    tuition.at_stripe("DELETE", f"/v1/customers/{tuition.payment(first['payment_id']).customer}")
    commit, raced = ledger.commit, []

    def race(before: ledger.Loaded, *args: object, **more: object) -> ledger.Loaded:
        if moved and not raced:
            raced.append(True)
            ledger.next_attempt(before.enrollment, before.enrollment.attempt, "test")
        return commit(before, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(checkout.ledger, "commit", race)
    second = tuition.create(student, "FSD", save_payment_method=True)
    assert second.status == 201
    customer = tuition.payment(second.body["payment_id"]).customer
    assert kept_customer(tuition, student) == customer
    tuition.pay(second.body["payment_intent_id"])
    tuition.deliver_all()
    assert [m["last4"] for m in tuition.saved(student).body["payment_methods"]] == ["4242"]
    assert len(tuition.at_stripe("GET", "/v1/customers?limit=100")["data"]) == 1


# --- prices ---


@pytest.mark.parametrize("kind", ["intent", "checkout"])
def test_another_currency_of_the_same_amount_is_another_price(
    tuition: World, student: Student, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    ask = tuition.create if kind == "intent" else lambda who: begin(tuition, who)
    old = ask(student).body
    changed = {**catalog.tracks(), "DP": replace(catalog.tracks()["DP"], price=Money(old["amount"], "eur"))}
    monkeypatch.setattr(catalog, "tracks", lambda: changed)
    new = ask(student)
    assert (new.status, new.body["amount"], new.body["currency"]) == (201, old["amount"], "eur")
    assert payable(tuition, student) == [new.body.get("payment_intent_id") or new.body["session_id"]]
    assert tuition.payment(old["payment_id"]).status == "CANCELED"


# --- who buys ---


@pytest.mark.parametrize("email", ["ada@internal", "jörg@example.org"])
def test_an_address_that_stripe_does_not_take_for_one_can_buy_all_the_same(
    tuition: World, student: Student, email: str
) -> None:
    who = Student(student.sub, email=email)
    made = tuition.create(who).body
    tuition.pay(made["payment_intent_id"])
    tuition.deliver_all()
    payment = tuition.payment(made["payment_id"])
    assert (tuition.enrolled(who)["status"], payment.email) == ("ENROLLED", email)
    assert tuition.at_stripe("GET", f"/v1/customers/{payment.customer}")["email"] is None
    again = tuition.create(who, "FSD").body
    assert tuition.payment(again["payment_id"]).customer == payment.customer == kept_customer(tuition, who)


@pytest.mark.parametrize("sub", ["josé", "李", "two words", "a\nline", "pay_nobody", "x" * 129])
def test_a_user_id_that_stripe_or_the_tables_could_not_carry_is_refused_before_money_moves(
    tuition: World, sub: str
) -> None:
    answer = tuition.create(Student(sub, email="ada@example.org"))
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (401, "unauthenticated")
    assert tuition.stripe_calls == []


def test_the_user_ids_that_providers_give_are_accepted(tuition: World) -> None:
    for sub in ("auth0|64af.1-x", "0f8c2a4e-5f0e-4a39-9a51-6b1f0a2d9c11", "ada@example.org", "00u1~x+y="):
        assert tuition.payments(Student(sub)).status == 200
