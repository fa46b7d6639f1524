"""Several at once at one object: one of them wins, and nothing is taken, given back or redeemed twice."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import control
from tests.stripe.test_contract import create_code, create_session, pay
from tests.stripe.test_simulator_flows import submit

AT_ONCE = 12


def all_at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each call ended in: its answer, or Stripe's error."""
    gate = threading.Barrier(len(calls))
    ends: list[Any] = [None] * len(calls)

    def work(index: int) -> None:
        gate.wait()
        try:
            ends[index] = calls[index]()
        except stripe.StripeError as error:
            ends[index] = error

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(calls))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert None not in ends
    return ends


def won(ends: list[Any]) -> list[Any]:
    return [end for end in ends if not isinstance(end, stripe.StripeError)]


@pytest.fixture
def intent(client: stripe.StripeClient) -> str:
    return client.v1.payment_intents.create({"amount": 49900, "currency": "usd"}).id


@pytest.mark.parametrize("turn", range(3))
def test_an_intent_is_confirmed_or_canceled_and_never_both(
    client: stripe.StripeClient, simulator: Simulator, intent: str, turn: int
) -> None:
    api = client.v1.payment_intents
    confirm = [lambda: api.confirm(intent, {"payment_method": "pm_card_visa"})] * 4
    cancel = [lambda: api.cancel(intent)] * 4
    refund = [lambda: client.v1.refunds.create({"payment_intent": intent})] * 4
    ends = all_at_once([one for three in zip(confirm, cancel, refund, strict=True) for one in three])
    now = api.retrieve(intent)
    assert len([end for end in won(ends) if end.object == "payment_intent"]) == 1
    refunds = client.v1.refunds.list({"payment_intent": intent}).data
    assert (now.status, now.amount_received) in (("succeeded", 49900), ("canceled", 0))
    assert len(refunds) <= (1 if now.status == "succeeded" else 0)
    assert len(client.v1.charges.list({"payment_intent": intent}).data) == (1 if now.status == "succeeded" else 0)
    for end in ends:
        if isinstance(end, stripe.StripeError):
            assert end.http_status == 400, end


def test_refunds_at_once_never_exceed_what_was_paid(client: stripe.StripeClient, simulator: Simulator) -> None:
    paid = pay(client, "pm_card_visa")
    ends = all_at_once([lambda: client.v1.refunds.create({"payment_intent": paid.id, "amount": 9000})] * AT_ONCE)
    assert len(won(ends)) == 5
    charge = client.v1.charges.retrieve(str(paid.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (45000, False)
    ends = all_at_once([lambda: client.v1.refunds.create({"payment_intent": paid.id})] * AT_ONCE)
    assert [refund.amount for refund in won(ends)] == [4900]
    assert {end.code for end in ends if isinstance(end, stripe.StripeError)} == {"charge_already_refunded"}


def test_a_session_is_paid_once(client: stripe.StripeClient, simulator: Simulator) -> None:
    made = create_session(client)
    card = {"number": "4242424242424242", "expiry": "12 / 40", "cvc": "123"}
    ends = all_at_once([lambda: submit(str(made.url), **card)] * AT_ONCE)
    assert {end[0] for end in ends} == {303}
    done = client.v1.checkout.sessions.retrieve(made.id)
    assert (done.status, done.payment_status) == ("complete", "paid")
    assert len(client.v1.charges.list().data) == 1
    assert len(client.v1.events.list({"type": "checkout.session.completed"}).data) == 1


def test_a_session_is_paid_or_expired(client: stripe.StripeClient, simulator: Simulator) -> None:
    made = create_session(client)
    card = {"number": "4242424242424242", "expiry": "12 / 40", "cvc": "123"}
    expire = [lambda: client.v1.checkout.sessions.expire(made.id)] * 3
    all_at_once([*expire, *[lambda: submit(str(made.url), **card)] * 3])
    done = client.v1.checkout.sessions.retrieve(made.id)
    assert (done.status, len(client.v1.charges.list().data)) in (("complete", 1), ("expired", 0))
    types = [event.type for event in client.v1.events.list({"type": "checkout.session.*"}).data]
    assert types in (["checkout.session.completed"], ["checkout.session.expired"])


@pytest.mark.parametrize("limited", ["code", "coupon"])
def test_a_limited_code_is_redeemed_as_often_as_it_may_be(
    client: stripe.StripeClient, simulator: Simulator, limited: str
) -> None:
    if limited == "code":
        promotion = create_code(client, max_redemptions=3)
    else:
        coupon = client.v1.coupons.create({"percent_off": 20, "max_redemptions": 3}).id
        promotion = client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}})
    urls = [str(create_session(client, discounts=[{"promotion_code": promotion.id}]).url) for _ in range(8)]
    card = {"number": "4242424242424242", "expiry": "12 / 40", "cvc": "123"}
    all_at_once([lambda url=url: submit(url, **card) for url in urls])  # type: ignore[misc]
    paid = [one for one in client.v1.checkout.sessions.list().data if one.payment_status == "paid"]
    assert len(paid) == 3 and {one.amount_total for one in paid} == {39920}
    now = client.v1.promotion_codes.retrieve(promotion.id, {"expand": ["promotion.coupon"]})
    assert (now.times_redeemed, now.active) == (3, False)
    assert now.promotion.coupon.times_redeemed == 3  # type: ignore[union-attr]


def test_a_method_is_attached_to_one_customer(client: stripe.StripeClient, simulator: Simulator) -> None:
    method = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}}).id
    customers = [client.v1.customers.create({}).id for _ in range(AT_ONCE)]
    attach = client.v1.payment_methods.attach
    ends = all_at_once([lambda c=c: attach(method, {"customer": c}) for c in customers])  # type: ignore[misc]
    (winner,) = won(ends)
    assert [c for c in customers if client.v1.customers.payment_methods.list(c).data] == [winner.customer]


def test_an_authentication_ends_once(client: stripe.StripeClient, simulator: Simulator) -> None:
    import urllib.error

    asking = pay(client, "pm_card_authenticationRequired")
    path = f"/_sim/payment_intents/{asking.id}/authenticate"

    def end(outcome: str) -> str:
        try:
            return str(control(simulator, path, {"outcome": outcome})["status"])
        except urllib.error.HTTPError as error:
            return str(error.code)

    ends = all_at_once([lambda o=o: end(o) for o in ["success", "failure"] * 4])  # type: ignore[misc]
    assert ends.count("400") == 7
    assert client.v1.payment_intents.retrieve(asking.id).status in ends
