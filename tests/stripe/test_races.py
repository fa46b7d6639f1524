"""Concurrent requests for one object: one of them wins, and nothing is charged, refunded or redeemed twice."""

import threading
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import control
from tests.stripe.test_contract import create_code, create_session, pay
from tests.stripe.test_simulator_flows import card, submit

THREADS = 12


def call_concurrently(calls: list[Callable[[], Any]]) -> list[Any]:
    """Start all calls at the same moment; return the response or the Stripe error of each."""
    gate = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def work(index: int) -> None:
        gate.wait()
        try:
            results[index] = calls[index]()
        except stripe.StripeError as error:
            results[index] = error

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(calls))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert None not in results
    return results


def successes(results: list[Any]) -> list[Any]:
    """Return the results that are not errors."""
    return [result for result in results if not isinstance(result, stripe.StripeError)]


@pytest.fixture
def intent(client: stripe.StripeClient) -> str:
    """The id of an unpaid PaymentIntent."""
    return client.v1.payment_intents.create(
        {"amount": 49900, "currency": "usd", "allowed_payment_method_types": ["card"]}
    ).id


@pytest.mark.parametrize("attempt", range(3))
def test_a_payment_intent_is_either_confirmed_or_canceled(
    client: stripe.StripeClient, simulator: Simulator, intent: str, attempt: int
) -> None:
    api = client.v1.payment_intents
    confirm = [lambda: api.confirm(intent, {"payment_method": "pm_card_visa"})] * 4
    cancel = [lambda: api.cancel(intent)] * 4
    refund = [lambda: client.v1.refunds.create({"payment_intent": intent})] * 4
    results = call_concurrently([call for calls in zip(confirm, cancel, refund, strict=True) for call in calls])
    assert len([result for result in successes(results) if result.object == "payment_intent"]) == 1
    result = api.retrieve(intent)
    assert (result.status, result.amount_received) in (("succeeded", 49900), ("canceled", 0))
    charges = 1 if result.status == "succeeded" else 0
    assert len(client.v1.refunds.list({"payment_intent": intent}).data) <= charges
    assert len(client.v1.charges.list({"payment_intent": intent}).data) == charges
    for error in results:
        if isinstance(error, stripe.StripeError):
            assert error.http_status == 400, error


@pytest.mark.parametrize("key", ["one", "many"])
def test_concurrent_confirmations_of_an_intent_charge_once(
    client: stripe.StripeClient, simulator: Simulator, intent: str, key: str
) -> None:
    """The collector and the student confirm at once: with keys of their own, or with the same key."""
    customer = client.v1.customers.create({}).id
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    client.v1.payment_intents.update(intent, {"customer": customer})

    def confirm(n: int) -> Any:
        options: Any = {"idempotency_key": "try" if key == "one" else f"try {n}"}
        params: Any = {"payment_method": method, "off_session": True}
        return client.v1.payment_intents.confirm(intent, params, options)

    results = call_concurrently([lambda n=n: confirm(n) for n in range(THREADS)])  # type: ignore[misc]
    assert len(successes(results)) == (THREADS if key == "one" else 1)
    assert {result.code for result in results if isinstance(result, stripe.StripeError)} <= {
        "payment_intent_unexpected_state"
    }
    assert [charge.status for charge in client.v1.charges.list({"payment_intent": intent}).data] == ["succeeded"]
    assert len(client.v1.events.list({"type": "payment_intent.succeeded"}).data) == 1


def test_concurrent_refunds_never_exceed_the_charge(client: stripe.StripeClient, simulator: Simulator) -> None:
    payment = pay(client, "pm_card_visa")
    refund_part: Any = {"payment_intent": payment.id, "amount": 9000}
    results = call_concurrently([lambda: client.v1.refunds.create(refund_part)] * THREADS)
    assert len(successes(results)) == 5
    charge = client.v1.charges.retrieve(str(payment.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (45000, False)
    results = call_concurrently([lambda: client.v1.refunds.create({"payment_intent": payment.id})] * THREADS)
    assert [refund.amount for refund in successes(results)] == [4900]
    errors = [result for result in results if isinstance(result, stripe.StripeError)]
    assert {error.code for error in errors} == {"charge_already_refunded"}


def test_a_session_submitted_concurrently_is_paid_once(client: stripe.StripeClient, simulator: Simulator) -> None:
    session = create_session(client)
    results = call_concurrently([lambda: submit(str(session.url), **card("4242424242424242"))] * THREADS)
    assert {status for status, _, _ in results} == {303}
    session = client.v1.checkout.sessions.retrieve(session.id)
    assert (session.status, session.payment_status) == ("complete", "paid")
    assert len(client.v1.charges.list().data) == 1
    assert len(client.v1.events.list({"type": "checkout.session.completed"}).data) == 1


def test_a_session_is_either_paid_or_expired(client: stripe.StripeClient, simulator: Simulator) -> None:
    session = create_session(client)
    expire = [lambda: client.v1.checkout.sessions.expire(session.id)] * 3
    url = str(session.url)
    call_concurrently([*expire, *[lambda: submit(url, **card("4242424242424242"))] * 3])
    session = client.v1.checkout.sessions.retrieve(session.id)
    assert (session.status, len(client.v1.charges.list().data)) in (("complete", 1), ("expired", 0))
    types = [event.type for event in client.v1.events.list({"type": "checkout.session.*"}).data]
    assert types in (["checkout.session.completed"], ["checkout.session.expired"])


@pytest.mark.parametrize("limit_on", ["code", "coupon"])
def test_concurrent_payments_redeem_a_promotion_code_only_up_to_its_limit(
    client: stripe.StripeClient, simulator: Simulator, limit_on: str
) -> None:
    if limit_on == "code":
        promotion = create_code(client, max_redemptions=3)
    else:
        coupon = client.v1.coupons.create({"percent_off": 20, "max_redemptions": 3}).id
        promotion = client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}})
    urls = [str(create_session(client, discounts=[{"promotion_code": promotion.id}]).url) for _ in range(8)]
    call_concurrently([lambda url=url: submit(url, **card("4242424242424242")) for url in urls])  # type: ignore[misc]
    sessions = [session for session in client.v1.checkout.sessions.list().data if session.payment_status == "paid"]
    assert len(sessions) == 3 and {session.amount_total for session in sessions} == {39920}
    promotion = client.v1.promotion_codes.retrieve(promotion.id, {"expand": ["promotion.coupon"]})
    assert (promotion.times_redeemed, promotion.active) == (3, False)
    assert promotion.promotion.coupon.times_redeemed == 3  # type: ignore[union-attr]


def test_a_payment_method_is_attached_to_only_one_customer(client: stripe.StripeClient, simulator: Simulator) -> None:
    method = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}}).id
    customers = [client.v1.customers.create({}).id for _ in range(THREADS)]
    attach = client.v1.payment_methods.attach
    results = call_concurrently([lambda c=c: attach(method, {"customer": c}) for c in customers])  # type: ignore[misc]
    (winner,) = successes(results)
    assert [c for c in customers if client.v1.customers.payment_methods.list(c).data] == [winner.customer]


def test_an_authentication_is_completed_only_once(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_authenticationRequired")
    path = f"/_sim/payment_intents/{intent.id}/authenticate"

    def authenticate(outcome: str) -> str:
        try:
            return str(control(simulator, path, {"outcome": outcome})["status"])
        except urllib.error.HTTPError as error:
            return str(error.code)

    results = call_concurrently([lambda o=o: authenticate(o) for o in ["success", "failure"] * 4])  # type: ignore[misc]
    assert results.count("400") == 7
    assert client.v1.payment_intents.retrieve(intent.id).status in results
