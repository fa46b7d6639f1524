"""The amount received is shown as the amount, and the price as it was asked, wherever a payment is shown."""

import pytest

from tests.harness import Harness, Student
from tests.tables.test_access import REFUND, buy
from tests.tables.test_admin import LIST, ONE, search
from tuition.core.money import Money
from tuition.storage.items import PaymentItem
from tuition.storage.queries import payments_by_id
from tuition.views import exports, payment_list

RECEIVED = {"amount": 10000, "currency": "eur"}
PRICE = {"amount": 49900, "currency": "usd"}


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


@pytest.mark.parametrize(("money", "text"), [(Money(1000, "jpy"), "1000 JPY"), (Money(1500, "kwd"), "1.500 KWD")])
def test_a_received_amount_is_written_with_the_decimals_of_its_currency(money: Money, text: str) -> None:
    assert str(money) == text
