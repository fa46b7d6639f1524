"""How money moves: cards, 3-D Secure, refunds, disputes, delayed methods, Checkout, saved cards."""

import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import sim

ITEM = {
    "quantity": 1,
    "price_data": {"currency": "usd", "unit_amount": 49900, "product_data": {"name": "Data Professional"}},
}


def pay(client: stripe.StripeClient, method: str, **more: Any) -> stripe.PaymentIntent:
    params: Any = {"amount": 49900, "currency": "usd", "confirm": True, "payment_method": method, **more}
    return client.v1.payment_intents.create(params)


def types(client: stripe.StripeClient) -> list[str]:
    return [event.type for event in client.v1.events.list({"limit": 100}).data][::-1]


def later(simulator: Simulator, seconds: float = 2) -> None:
    sim(simulator, "/_sim/clock", {"advance_s": seconds})


def test_a_success_tells_intent_charge_and_then_the_balance(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_visa")
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (intent.status, intent.amount_received, charge.balance_transaction) == ("succeeded", 49900, None)
    later(simulator)
    assert types(client) == ["payment_intent.created", "payment_intent.succeeded", "charge.succeeded", "charge.updated"]
    charge = client.v1.charges.retrieve(charge.id, {"expand": ["balance_transaction"]})
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (1477, 48423)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_a_decline_leaves_the_intent_payable(
    client: stripe.StripeClient, method: str, code: str, decline_code: str | None
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, method)
    error: Any = declined.value.error
    assert (error.code, error.decline_code or None, declined.value.http_status) == (code, decline_code, 402)
    assert error.payment_intent.status == "requires_payment_method"
    assert types(client) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    paid = client.v1.payment_intents.confirm(error.payment_intent.id, {"payment_method": "pm_card_visa"})
    assert paid.status == "succeeded" and paid.last_payment_error is None


@pytest.mark.parametrize(("outcome", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_three_d_secure_waits_for_its_step(
    client: stripe.StripeClient, simulator: Simulator, outcome: str, status: str
) -> None:
    intent = pay(client, "pm_card_authenticationRequiredOnSetup", return_url="https://example.com/back")
    assert intent.status == "requires_action"
    assert sim(simulator, f"/_sim/payment_intents/{intent.id}/authenticate", {"outcome": outcome})["status"] == status
    error = client.v1.payment_intents.retrieve(intent.id).last_payment_error
    assert (error and error.code) == (None if outcome == "success" else "payment_intent_authentication_failure")
    assert types(client)[1] == "payment_intent.requires_action"


def test_a_card_set_up_before_asks_for_nothing_more(client: stripe.StripeClient, simulator: Simulator) -> None:
    customer = client.v1.customers.create({}).id
    first = pay(client, "pm_card_authenticationRequiredOnSetup", customer=customer, setup_future_usage="off_session")
    sim(simulator, f"/_sim/payment_intents/{first.id}/authenticate", {"outcome": "success"})
    (saved,) = client.v1.customers.payment_methods.list(customer).data
    assert pay(client, saved.id, customer=customer).status == "succeeded"
    client.v1.payment_methods.detach(saved.id)
    assert client.v1.customers.payment_methods.list(customer).data == []
    with pytest.raises(stripe.InvalidRequestError):
        pay(client, saved.id, customer=customer)


def test_a_method_of_another_customer_is_refused(client: stripe.StripeClient) -> None:
    one, two = (client.v1.customers.create({}).id for _ in range(2))
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": one}).id
    with pytest.raises(stripe.InvalidRequestError):
        pay(client, method, customer=two)


@pytest.mark.parametrize(
    ("method", "status"),
    [("pm_usBankAccount_success", "succeeded"), ("pm_usBankAccount_noAccount", "requires_payment_method")],
)
def test_a_bank_debit_is_processing_before_it_ends(
    client: stripe.StripeClient, simulator: Simulator, method: str, status: str
) -> None:
    intent = pay(client, method)
    assert intent.status == "processing"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.cancel(intent.id)
    later(simulator)
    assert client.v1.payment_intents.retrieve(intent.id).status == status


def test_only_what_is_open_can_be_canceled_or_changed(client: stripe.StripeClient) -> None:
    paid, other = (
        pay(client, "pm_card_visa").id,
        client.v1.payment_intents.create({"amount": 500, "currency": "usd"}).id,
    )
    assert client.v1.payment_intents.cancel(other).status == "canceled"
    for id in (paid, other):
        for act in (
            lambda id: client.v1.payment_intents.cancel(id),
            lambda id: client.v1.payment_intents.confirm(id, {"payment_method": "pm_card_visa"}),
            lambda id: client.v1.payment_intents.update(id, {"amount": 600}),
        ):
            with pytest.raises(stripe.InvalidRequestError) as refused:
                act(id)
            assert refused.value.code == "payment_intent_unexpected_state"
    assert client.v1.payment_intents.update(paid, {"metadata": {"a": "b"}}).metadata["a"] == "b"


def test_refunds_add_up_and_never_exceed(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_visa")
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 900})
    charge = client.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded, len(charge.refunds.data)) == (900, False, 1)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match=r"unrefunded amount on charge \(\$490.00\)"):
        client.v1.refunds.create({"charge": charge.id, "amount": 49001})
    client.v1.refunds.create({"charge": charge.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    assert types(client).count("charge.refunded") == 2
    later(simulator)
    assert types(client)[-2:] == ["refund.updated", "charge.refund.updated"]


@pytest.mark.parametrize(
    ("card", "now", "then", "left"),
    [("pm_card_pendingRefund", "pending", "succeeded", 49900), ("pm_card_refundFail", "succeeded", "failed", 0)],
)
def test_a_refund_may_pend_or_fail_later(
    client: stripe.StripeClient, simulator: Simulator, card: str, now: str, then: str, left: int
) -> None:
    intent = pay(client, card)
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == now
    later(simulator)
    assert client.v1.refunds.retrieve(refund.id).status == then
    assert client.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == left
    assert types(client)[-1] == "charge.refund.updated"
    assert ("refund.failed" in types(client)) == (then == "failed")


@pytest.mark.parametrize(
    ("evidence", "status", "moves"), [("winning_evidence", "won", 2), ("losing_evidence", "lost", 1)]
)
def test_evidence_decides_a_dispute(
    client: stripe.StripeClient, simulator: Simulator, evidence: str, status: str, moves: int
) -> None:
    intent = pay(client, "pm_card_createDispute")
    (dispute,) = client.v1.disputes.list({"payment_intent": intent.id}).data
    assert (dispute.status, len(dispute.balance_transactions)) == ("needs_response", 1)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    later(simulator)
    dispute = client.v1.disputes.retrieve(dispute.id)
    assert (dispute.status, len(dispute.balance_transactions)) == (status, moves)
    assert ("charge.dispute.funds_reinstated" in types(client)) == (status == "won")


def test_an_inquiry_moves_no_funds_and_a_refund_averts_it(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_createDisputeInquiry")
    (dispute,) = client.v1.disputes.list().data
    assert (dispute.status, dispute.balance_transactions) == ("warning_needs_response", [])
    client.v1.refunds.create({"payment_intent": intent.id})
    assert client.v1.disputes.retrieve(dispute.id).status == "warning_closed"
    assert "charge.dispute.funds_withdrawn" not in types(client)


def test_a_lost_dispute_can_be_reopened_by_the_knob_and_lost_again(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = pay(client, "pm_card_visa")
    dispute = sim(simulator, "/_sim/disputes", {"payment_intent": intent.id})["id"]
    for status in ("lost", "appeal_under_review", "won", "lost", "prevented"):
        assert sim(simulator, "/_sim/disputes", {"dispute": dispute, "status": status})["status"] == status
    assert len(client.v1.disputes.retrieve(dispute).balance_transactions) == 3


def session(client: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    params: Any = {"mode": "payment", "line_items": [ITEM], "success_url": "https://example.com/{CHECKOUT_SESSION_ID}"}
    return client.v1.checkout.sessions.create(params | more)


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are answers here."""

    def redirect_request(self, *args: Any) -> None:
        return None


def submit(url: str, **form: str) -> tuple[int, str, str]:
    """Press Pay: the status, where it leads, and the page."""
    request = urllib.request.Request(url, data=urllib.parse.urlencode(form).encode())
    try:
        with urllib.request.build_opener(Stay).open(request) as answer:
            return answer.status, "", answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers["Location"] or "", answer.read().decode()


def card(number: str) -> dict[str, str]:
    return {"number": number, "expiry": "12 / 40", "cvc": "123"}


def test_a_session_is_declined_then_paid_on_its_page(client: stripe.StripeClient) -> None:
    made = session(client, payment_intent_data={"metadata": {"track": "DP"}})
    assert made.payment_intent is None and made.url is not None
    status, _, page = submit(made.url, **card("4000000000000002"))
    assert status == 200 and "Your card was declined." in page and "Card number" in page
    status, back, _ = submit(made.url, **card("4242424242424242"))
    assert (status, back) == (303, f"https://example.com/{made.id}")
    done = client.v1.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent", "line_items"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert done.payment_intent.metadata["track"] == "DP"  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.cancel(done.payment_intent.id)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(made.id)


def test_the_events_of_a_paid_session_come_in_the_order_of_checkout(client: stripe.StripeClient) -> None:
    made = session(client)
    submit(str(made.url), **card("4242424242424242"))
    wanted = ["charge.succeeded", "payment_intent.succeeded", "payment_intent.created", "checkout.session.completed"]
    assert [one for one in types(client) if not one.startswith(("product", "price"))] == wanted


def test_three_d_secure_on_the_page_leads_through_the_bank(client: stripe.StripeClient) -> None:
    made = session(client)
    status, _, _ = submit(str(made.url), **card("4000000000003220"))
    assert status == 303
    bank = client.v1.payment_intents.list().data[0].next_action
    _, back, _ = submit(str(bank.redirect_to_url.url), outcome="success")  # type: ignore[union-attr]
    assert back.startswith(str(made.url))
    assert client.v1.checkout.sessions.retrieve(made.id).status == "complete"


@pytest.mark.parametrize(
    ("account", "event", "paid"),
    [
        ("000123456789", "checkout.session.async_payment_succeeded", "paid"),
        ("000222222227", "checkout.session.async_payment_failed", "unpaid"),
    ],
)
def test_a_delayed_session_is_complete_before_it_is_paid(
    client: stripe.StripeClient, simulator: Simulator, account: str, event: str, paid: str
) -> None:
    made = session(client)
    submit(str(made.url), account_number=account)
    found = client.v1.checkout.sessions.retrieve(made.id)
    assert (found.status, found.payment_status) == ("complete", "unpaid")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(made.id)
    later(simulator)
    assert types(client)[-1] == event
    assert client.v1.checkout.sessions.retrieve(made.id).payment_status == paid


def test_an_open_session_expires_by_call_or_by_time(client: stripe.StripeClient, simulator: Simulator) -> None:
    one, two = session(client), session(client)
    assert client.v1.checkout.sessions.expire(one.id).status == "expired"
    later(simulator, 24 * 3600 + 1)
    assert client.v1.checkout.sessions.retrieve(two.id).status == "expired"
    assert types(client).count("checkout.session.expired") == 2
    assert submit(f"{simulator.url}/c/pay/{one.id}", **card("4242424242424242"))[0] == 410


def code(client: stripe.StripeClient, percent: int = 20, **more: Any) -> stripe.PromotionCode:
    coupon = client.v1.coupons.create({"percent_off": percent})
    return client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, **more})


def test_a_whole_discount_needs_no_payment(client: stripe.StripeClient) -> None:
    made = session(client, discounts=[{"promotion_code": code(client, 100).id}])
    assert (made.amount_subtotal, made.amount_total) == (49900, 0)
    assert submit(str(made.url))[0] == 303
    done = client.v1.checkout.sessions.retrieve(made.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)


def test_a_code_is_used_up_expires_and_has_its_rules(client: stripe.StripeClient, simulator: Simulator) -> None:
    once = code(client, max_redemptions=1)
    made = session(client, discounts=[{"promotion_code": once.id}])
    assert made.amount_total == 39920
    submit(str(made.url), **card("4242424242424242"))
    soon = code(client, expires_at=int(sim(simulator, "/_sim/health")["now"]) + 100)
    later(simulator, 101)
    large = code(client, restrictions={"minimum_amount": 50000, "minimum_amount_currency": "usd"})
    for refused in (once, soon, large):
        with pytest.raises(stripe.InvalidRequestError):
            session(client, discounts=[{"promotion_code": refused.id}])
    assert not client.v1.promotion_codes.retrieve(once.id).active
    with pytest.raises(stripe.InvalidRequestError):
        session(client, discounts=[{"promotion_code": code(client).id}], allow_promotion_codes=True)


def test_a_coupon_knows_its_currencies_and_its_products(client: stripe.StripeClient) -> None:
    off = {"amount_off": 1000, "currency": "eur", "currency_options": {"gbp": {"amount_off": 900}}}
    other = client.v1.coupons.create(off).id
    product = client.v1.products.create({"name": "another"}).id
    narrow = client.v1.coupons.create({"percent_off": 10, "applies_to": {"products": [product]}}).id
    whole = client.v1.coupons.create({"amount_off": 49851, "currency": "usd"}).id
    for refused in (other, narrow, whole):
        with pytest.raises(stripe.InvalidRequestError):
            session(client, discounts=[{"coupon": refused}])
    usd = client.v1.coupons.create({**off, "currency_options": {"usd": {"amount_off": 1100}}}).id
    assert session(client, discounts=[{"coupon": usd}]).amount_total == 48800


def test_what_a_code_leaves_out_is_answered_when_it_is_expanded(client: stripe.StripeClient) -> None:
    coupon = client.v1.coupons.create({"percent_off": 10, "applies_to": {"products": ["prod_1"]}}).id
    rules = {
        "minimum_amount": 100,
        "minimum_amount_currency": "eur",
        "currency_options": {"usd": {"minimum_amount": 120}},
    }
    promotion = {"type": "coupon", "coupon": coupon}
    client.v1.promotion_codes.create({"promotion": promotion, "code": "Spring-1", "restrictions": rules})
    (bare,) = client.v1.promotion_codes.list({"code": "spring-1"}).data
    assert (bare.promotion.coupon, "currency_options" in bare.restrictions) == (coupon, False)
    deep = ["promotion.coupon.applies_to", "promotion.coupon.currency_options", "restrictions.currency_options"]
    listed = client.v1.promotion_codes.list({"code": "SPRING-1", "expand": [f"data.{path}" for path in deep]})
    (found,) = listed.last_response.data["data"]
    assert found["restrictions"]["currency_options"] == {"usd": {"minimum_amount": 120}}
    assert found["promotion"]["coupon"]["applies_to"] == {"products": ["prod_1"]}
    assert found["promotion"]["coupon"]["currency_options"] == {}


def test_a_code_for_first_purchases_knows_the_customer(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    first = code(client, restrictions={"first_time_transaction": True}).id
    assert session(client, customer=customer, discounts=[{"promotion_code": first}]).status == "open"
    pay(client, "pm_card_visa", customer=customer)
    with pytest.raises(stripe.InvalidRequestError, match="prior"):
        session(client, customer=customer, discounts=[{"promotion_code": first}])


def test_a_deleted_customer_is_answered_and_cannot_pay(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    client.v1.customers.delete(customer)
    assert client.v1.customers.retrieve(customer).deleted is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        pay(client, "pm_card_visa", customer=customer)
    assert (refused.value.code, refused.value.param, refused.value.http_status) == ("resource_missing", "customer", 400)


def test_the_balance_is_what_was_received_less_refunds_disputes_and_fees(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    for method in ("pm_card_visa", "pm_card_createDispute", "pm_card_refundFail", "pm_usBankAccount_success"):
        intent = pay(client, method)
        later(simulator)
        if "Dispute" not in method:
            client.v1.refunds.create({"payment_intent": intent.id, "amount": 1000})
    later(simulator)
    moved = list(client.v1.balance_transactions.list({"limit": 100}).auto_paging_iter())
    received = sum(one.amount_received for one in client.v1.payment_intents.list().data)
    refunded = sum(one.amount for one in client.v1.refunds.list().data if one.status == "succeeded")
    disputed = sum(one.amount for one in client.v1.disputes.list().data)
    assert sum(one.amount for one in moved) == received - refunded - disputed == 4 * 49900 - 2000 - 49900
    balance = client.v1.balance.retrieve()
    total = sum(part.amount for part in [*balance.available, *balance.pending])
    assert total == sum(one.net for one in moved) == sum(one.amount - one.fee for one in moved)
