"""The amount received is shown as the amount, and the price as it was asked, wherever a payment is shown."""

import pytest

from tests.harness import Harness, Response, Student
from tests.tables.test_access import REFUND, buy
from tests.tables.test_admin import LIST, ONE, search
from tuition.core.money import Money
from tuition.storage.items import PaymentItem
from tuition.storage.queries import payments_by_id
from tuition.views import exports, payment_list

RECEIVED = {"amount": 10000, "currency": "eur"}
PRICE = {"amount": 49900, "currency": "usd"}


def buy_with(tuition: Harness, student: Student, money: Money) -> str:
    """Buy a track whose intent was changed to another amount in Stripe's dashboard."""
    purchase = tuition.create(student).body
    change = {"amount": money.amount, "currency": money.currency}
    tuition.at_stripe("POST", f"/v1/payment_intents/{purchase['payment_intent_id']}", **change)
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    return str(purchase["payment_id"])


def buy_in_euro(tuition: Harness, student: Student) -> str:
    """Buy a track whose intent was changed to 100.00 EUR in Stripe's dashboard, after a declined try in dollars."""
    purchase = tuition.create(student).body
    tuition.pay(purchase["payment_intent_id"], "pm_card_chargeDeclined")
    tuition.at_stripe("POST", f"/v1/payment_intents/{purchase['payment_intent_id']}", **RECEIVED)
    tuition.pay(purchase["payment_intent_id"])
    tuition.deliver_all()
    return str(purchase["payment_id"])


def test_amount_and_currency_are_the_price_until_the_payment_settles(
    tuition: Harness, student: Student, admin: Student
) -> None:
    opened = tuition.create(student).body
    assert {name: opened[name] for name in PRICE} == PRICE
    for view in (
        tuition.status(student, opened["payment_id"]).body,
        tuition.admin(admin, ONE, payment_id=opened["payment_id"]).body["payment"],
    ):
        assert {name: view[name] for name in PRICE} == view["price"] == PRICE


def test_amount_and_currency_are_what_was_received_once_the_payment_has_settled(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy_in_euro(tuition, student)
    order = {"amount": 2500, "reason": "a part was missing"}
    assert tuition.admin(admin, REFUND, order, payment_id=payment_id).status == 200
    details = tuition.admin(admin, ONE, payment_id=payment_id).body
    for view in (
        tuition.status(student, payment_id).body,
        tuition.payments(student).body["payments"][0],
        tuition.admin(admin, LIST, query={"q": student.sub}).body["payments"][0],
        details["payment"],
        details["groups"]["money"],
    ):
        assert {name: view[name] for name in RECEIVED} == RECEIVED
        assert (view["price"], view["refund_amount"]) == (PRICE, 2500)
    assert details["payment"]["refundable_amount"] == 7500
    charges = [(charge["amount"], charge["currency"]) for charge in details["facts"]["charges"]]
    assert charges == [(49900, "usd"), (10000, "eur")]
    assert [refund["currency"] for refund in details["facts"]["refunds"]] == ["eur"]


def test_filters_and_the_stored_item_have_what_was_received(tuition: Harness, student: Student, admin: Student) -> None:
    payment_id = buy_in_euro(tuition, student)
    assert payment_id in search(tuition, admin, amount_max="10000", limit="100")
    assert payment_id in search(tuition, admin, amount_max="10000", currency="eur", limit="100")
    assert payment_id not in search(tuition, admin, amount_max="10000", currency="usd", limit="100")
    assert payment_id not in search(tuition, admin, amount_min="49900", limit="100")
    item: PaymentItem = payments_by_id([payment_id])[0]
    assert (int(item.amount), item.currency, item.price) == (10000, "eur", PRICE)
    assert tuition.payment(payment_id).price == Money(**PRICE)


def test_an_export_has_what_was_received_and_the_price(tuition: Harness, student: Student) -> None:
    payment_id = buy_in_euro(tuition, student)
    view = payment_list.load_views(payments_by_id([payment_id]))[0]
    cells = dict(zip(exports.HEADER, exports.row(view), strict=True))
    assert (cells["amount"], cells["amount_decimal"], cells["currency"]) == (10000, "100.00", "eur")
    assert (cells["price_amount"], cells["price_amount_decimal"], cells["price_currency"]) == (49900, "499.00", "usd")
    assert (cells["refundable_amount"], cells["refundable_amount_decimal"]) == (10000, "100.00")


def test_an_amount_that_staff_accept_is_still_shown_as_received(
    tuition: Harness, student: Student, admin: Student
) -> None:
    payment_id = buy(tuition, student, 4990)
    accepted = {"decision": "accept_amount", "note": "agreed by phone"}
    tuition.admin(admin, "POST /api/admin/payments/{payment_id}/access", accepted, payment_id=payment_id)
    view = tuition.status(student, payment_id).body
    assert (view["amount"], view["currency"], view["price"]) == (4990, "usd", PRICE)


@pytest.mark.parametrize(
    ("received", "possible", "impossible"),
    [((5_000, "jpy"), 1, 5_001), ((50_000, "kwd"), 5_010, 5_005), ((500_000, "isk"), 1_000, 1_050)],
)
def test_a_part_is_refunded_only_in_steps_of_the_currency_that_was_received(
    tuition: Harness, student: Student, admin: Student, received: tuple[int, str], possible: int, impossible: int
) -> None:
    money = Money(*received)
    payment_id = buy_with(tuition, student, money)

    def refund(amount: int | None, **more: str) -> Response:
        order = {"reason": "a part was missing", **({} if amount is None else {"amount": amount}), **more}
        return tuition.admin(admin, REFUND, order, payment_id=payment_id)

    refused = refund(impossible)
    assert (refused.status, refused.body["field"]) == (422, "amount")
    assert str(Money(impossible, money.currency)) in refused.body["detail"] or impossible > money.amount
    assert refund(possible, currency="usd").body["field"] == "currency"
    part = refund(possible, currency=money.currency)
    assert (part.status, part.body["refund_request"]["currency"]) == (200, money.currency)
    left = Money(money.amount - possible, money.currency)
    changed = refund(None, expected_refundable_amount=money.amount).body["detail"]
    assert changed == f"The refundable amount is now {left}, not {money}. Reload the payment."
    assert refund(None).body["payment"]["refunded"]
    own = tuition.status(student, payment_id).body["refund_request"]
    assert own is None or own["currency"] == money.currency
