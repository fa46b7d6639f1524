"""How money moves where it takes the simulator's own means to see it: its knobs, its pages, its whole account."""

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import control
from tests.stripe.test_contract import create_code, create_session, pay


def types(client: stripe.StripeClient) -> list[str]:
    return [event.type for event in client.v1.events.list({"limit": 100}).data][::-1]


def later(simulator: Simulator, seconds: float = 2) -> None:
    control(simulator, "/_sim/clock", {"advance_s": seconds})


def test_a_success_tells_intent_charge_and_then_the_balance(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_visa")
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (intent.status, intent.amount_received, charge.balance_transaction) == ("succeeded", 49900, None)
    later(simulator)
    assert types(client) == ["payment_intent.created", "payment_intent.succeeded", "charge.succeeded", "charge.updated"]
    charge = client.v1.charges.retrieve(charge.id, {"expand": ["balance_transaction"]})
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (1477, 48423)  # type: ignore[union-attr]


@pytest.mark.parametrize(("outcome", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_three_d_secure_waits_for_its_step(
    client: stripe.StripeClient, simulator: Simulator, outcome: str, status: str
) -> None:
    intent = pay(client, "pm_card_authenticationRequiredOnSetup", return_url="https://example.com/back")
    assert intent.status == "requires_action"
    assert (
        control(simulator, f"/_sim/payment_intents/{intent.id}/authenticate", {"outcome": outcome})["status"] == status
    )
    error = client.v1.payment_intents.retrieve(intent.id).last_payment_error
    assert (error and error.code) == (None if outcome == "success" else "payment_intent_authentication_failure")
    assert types(client)[1] == "payment_intent.requires_action"


def test_a_card_set_up_before_asks_for_nothing_more(client: stripe.StripeClient, simulator: Simulator) -> None:
    customer = client.v1.customers.create({}).id
    first = pay(client, "pm_card_authenticationRequiredOnSetup", customer=customer, setup_future_usage="off_session")
    control(simulator, f"/_sim/payment_intents/{first.id}/authenticate", {"outcome": "success"})
    (saved,) = client.v1.customers.payment_methods.list(customer).data
    assert pay(client, saved.id, customer=customer).status == "succeeded"
    client.v1.payment_methods.detach(saved.id)
    assert client.v1.customers.payment_methods.list(customer).data == []
    with pytest.raises(stripe.InvalidRequestError):
        pay(client, saved.id, customer=customer)


def test_a_lost_dispute_can_be_reopened_by_the_knob_and_lost_again(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = pay(client, "pm_card_visa")
    dispute = control(simulator, "/_sim/disputes", {"payment_intent": intent.id})["id"]
    for status in ("lost", "appeal_under_review", "won", "lost", "prevented"):
        assert control(simulator, "/_sim/disputes", {"dispute": dispute, "status": status})["status"] == status
    assert len(client.v1.disputes.retrieve(dispute).balance_transactions) == 3


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


def in_turn(client: stripe.StripeClient, *skipped: str) -> list[str]:
    return [one for one in types(client) if not one.startswith(("product", "price", "coupon", "promotion", *skipped))]


CLOSED, UPDATED, WON = "charge.dispute.closed", "charge.dispute.updated", "charge.dispute.funds_reinstated"
LATE = "checkout.session.async_payment_succeeded"
DEBITED = ["payment_intent.created", "payment_intent.processing", "charge.pending"]
BEGUN, PAID = "payment_intent.created", ["payment_intent.succeeded", "charge.succeeded"]
WITHDRAWN = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
CHECKOUT_PAID = ["charge.succeeded", "payment_intent.succeeded", "payment_intent.created"]
REFUNDED = ["refund.created", "charge.refunded"]


def refunding(client: stripe.StripeClient, method: str, **more: Any) -> None:
    client.v1.refunds.create({"payment_intent": pay(client, method).id, **more})


def deciding(client: stripe.StripeClient, text: str, method: str = "pm_card_createDispute") -> None:
    pay(client, method)
    (dispute,) = client.v1.disputes.list().data
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}})


def declining(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError):
        pay(client, "pm_card_chargeDeclined")


ORDERS: dict[str, tuple[Callable[[stripe.StripeClient], Any], list[str]]] = {
    "paid by the API": (lambda c: pay(c, "pm_card_visa"), [BEGUN, *PAID, "charge.updated"]),
    "paid, automatic": (lambda c: pay(c, "pm_card_visa", capture_method="automatic"), [BEGUN, *PAID]),
    "declined": (declining, [BEGUN, "charge.failed", "payment_intent.payment_failed"]),
    "3-D Secure": (lambda c: pay(c, "pm_card_authenticationRequired"), [BEGUN, "payment_intent.requires_action"]),
    "debit": (
        lambda c: pay(c, "pm_usBankAccount_success"),
        [*DEBITED, *PAID],
    ),
    "debit refused": (
        lambda c: pay(c, "pm_usBankAccount_noAccount"),
        [*DEBITED, "charge.failed", "payment_intent.payment_failed"],
    ),
    "refund": (
        lambda c: refunding(c, "pm_card_visa"),
        [BEGUN, *PAID, *REFUNDED, "charge.updated", "refund.updated", "charge.refund.updated"],
    ),
    "a partial refund": (
        lambda c: refunding(c, "pm_card_visa", amount=1),
        [BEGUN, *PAID, *REFUNDED, "charge.updated", "refund.updated", "charge.refund.updated"],
    ),
    "a refund that fails later": (
        lambda c: refunding(c, "pm_card_refundFail"),
        [BEGUN, *PAID, *REFUNDED, "charge.updated", "refund.failed", "charge.refund.updated"],
    ),
    "dispute": (lambda c: pay(c, "pm_card_createDispute"), [BEGUN, *PAID, *WITHDRAWN, "charge.updated"]),
    "inquiry": (
        lambda c: pay(c, "pm_card_createDisputeInquiry"),
        [BEGUN, *PAID, "charge.dispute.created", "charge.updated"],
    ),
    "dispute won": (
        lambda c: deciding(c, "winning_evidence"),
        [
            BEGUN,
            *PAID,
            *WITHDRAWN,
            "charge.dispute.updated",
            "charge.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_reinstated",
        ],
    ),
    "dispute lost": (
        lambda c: deciding(c, "losing_evidence"),
        [BEGUN, *PAID, *WITHDRAWN, UPDATED, "charge.updated", CLOSED],
    ),
    "inquiry escalated": (
        lambda c: deciding(c, "escalate_inquiry_evidence", "pm_card_createDisputeInquiry"),
        [
            BEGUN,
            *PAID,
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.updated",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
        ],
    ),
    "session paid": (
        lambda c: submit(str(create_session(c).url), **card("4242424242424242")),
        [*CHECKOUT_PAID, "checkout.session.completed", "charge.updated"],
    ),
    "session expired": (
        lambda c: c.v1.checkout.sessions.expire(create_session(c).id),
        ["checkout.session.expired"],
    ),
    "session of 100 % off": (
        lambda c: submit(str(create_session(c, discounts=[{"promotion_code": create_code(c, 100).id}]).url)),
        ["checkout.session.completed"],
    ),
    "session by debit": (
        lambda c: submit(str(create_session(c).url), account_number="000123456789"),
        [
            BEGUN,
            "payment_intent.processing",
            "charge.pending",
            "checkout.session.completed",
            *PAID,
            "checkout.session.async_payment_succeeded",
        ],
    ),
}


@pytest.mark.parametrize("flow", ORDERS)
def test_the_events_of_a_flow_come_in_the_usual_order(
    client: stripe.StripeClient, simulator: Simulator, flow: str
) -> None:
    act, wanted = ORDERS[flow]
    act(client)
    later(simulator)
    assert in_turn(client) == wanted


def test_a_session_is_declined_then_paid_on_its_page(client: stripe.StripeClient, simulator: Simulator) -> None:
    made = create_session(client, payment_intent_data={"metadata": {"track": "DP"}})
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


@pytest.mark.parametrize(
    ("left", "said"), [("number", "card number"), ("expiry", "expiration date"), ("cvc", "security code")]
)
def test_the_page_asks_for_what_is_left_empty(
    client: stripe.StripeClient, simulator: Simulator, left: str, said: str
) -> None:
    made = create_session(client)
    status, _, page = submit(str(made.url), **card("4242424242424242") | {left: ""})
    assert status == 200 and f"{said} is incomplete." in page
    assert client.v1.checkout.sessions.retrieve(made.id).status == "open"
    assert client.v1.payment_intents.list().data == []


def test_three_d_secure_on_the_page_leads_through_the_bank(client: stripe.StripeClient, simulator: Simulator) -> None:
    made = create_session(client)
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
    made = create_session(client)
    submit(str(made.url), account_number=account)
    found = client.v1.checkout.sessions.retrieve(made.id)
    assert (found.status, found.payment_status) == ("complete", "unpaid")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(made.id)
    later(simulator)
    assert types(client)[-1] == event
    assert client.v1.checkout.sessions.retrieve(made.id).payment_status == paid


def test_an_open_session_expires_by_call_or_by_time(client: stripe.StripeClient, simulator: Simulator) -> None:
    one, two = create_session(client), create_session(client)
    assert client.v1.checkout.sessions.expire(one.id).status == "expired"
    later(simulator, 24 * 3600 + 1)
    assert client.v1.checkout.sessions.retrieve(two.id).status == "expired"
    assert types(client).count("checkout.session.expired") == 2
    assert submit(f"{simulator.url}/c/pay/{one.id}", **card("4242424242424242"))[0] == 410


def test_a_whole_discount_needs_no_payment(client: stripe.StripeClient, simulator: Simulator) -> None:
    made = create_session(client, discounts=[{"promotion_code": create_code(client, 100).id}])
    assert (made.amount_subtotal, made.amount_total) == (49900, 0)
    assert submit(str(made.url))[0] == 303
    done = client.v1.checkout.sessions.retrieve(made.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)


def test_a_code_is_used_up_expires_and_has_its_rules(client: stripe.StripeClient, simulator: Simulator) -> None:
    once = create_code(client, max_redemptions=1)
    made = create_session(client, discounts=[{"promotion_code": once.id}])
    assert made.amount_total == 39920
    submit(str(made.url), **card("4242424242424242"))
    soon = create_code(client, expires_at=int(control(simulator, "/_sim/health")["now"]) + 100)
    later(simulator, 101)
    large = create_code(client, restrictions={"minimum_amount": 50000, "minimum_amount_currency": "usd"})
    for refused in (once, soon, large):
        with pytest.raises(stripe.InvalidRequestError):
            create_session(client, discounts=[{"promotion_code": refused.id}])
    assert not client.v1.promotion_codes.retrieve(once.id).active
    with pytest.raises(stripe.InvalidRequestError):
        create_session(client, discounts=[{"promotion_code": create_code(client).id}], allow_promotion_codes=True)


def test_a_coupon_knows_its_currencies_and_its_products(client: stripe.StripeClient, simulator: Simulator) -> None:
    off = {"amount_off": 1000, "currency": "eur", "currency_options": {"gbp": {"amount_off": 900}}}
    other = client.v1.coupons.create(off).id
    product = client.v1.products.create({"name": "another"}).id
    narrow = client.v1.coupons.create({"percent_off": 10, "applies_to": {"products": [product]}}).id
    whole = client.v1.coupons.create({"amount_off": 49851, "currency": "usd"}).id
    for refused in (other, narrow, whole):
        with pytest.raises(stripe.InvalidRequestError):
            create_session(client, discounts=[{"coupon": refused}])
    usd = client.v1.coupons.create({**off, "currency_options": {"usd": {"amount_off": 1100}}}).id
    assert create_session(client, discounts=[{"coupon": usd}]).amount_total == 48800


def test_what_a_code_leaves_out_is_answered_when_it_is_expanded(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
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


@pytest.mark.parametrize(("outcome", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_a_card_is_saved_through_the_banks_page(
    client: stripe.StripeClient, simulator: Simulator, outcome: str, status: str
) -> None:
    customer = client.v1.customers.create({}).id
    setup = client.v1.setup_intents.create(
        {
            "customer": customer,
            "confirm": True,
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "return_url": "https://example.com/back?a=b",
        }
    )
    bank = str(setup.next_action.redirect_to_url.url)  # type: ignore[union-attr]
    _, back, _ = submit(bank, outcome=outcome)
    assert back.startswith(f"https://example.com/back?a=b&setup_intent={setup.id}&setup_intent_client_secret=seti_")
    assert client.v1.setup_intents.retrieve(setup.id).status == status
    saved = client.v1.customers.payment_methods.list(customer).data
    assert len(saved) == (1 if outcome == "success" else 0)
    for one in saved:
        assert pay(client, one.id, customer=customer, off_session=True).status == "succeeded"
    assert ("setup_intent.setup_failed" in types(client)) == (outcome == "failure")


@pytest.mark.parametrize(("ticked", "shown"), [("on", "always"), ("", None)])
def test_what_is_saved_on_the_page_of_checkout_may_be_shown_as_was_said(
    client: stripe.StripeClient, simulator: Simulator, ticked: str, shown: str | None
) -> None:
    customer = client.v1.customers.create({}).id
    options = {"saved_payment_method_options": {"payment_method_save": "enabled"}}
    submit(str(create_session(client, customer=customer, **options).url), save=ticked, **card("4242424242424242"))
    found = [one.allow_redisplay for one in client.v1.customers.payment_methods.list(customer).data]
    assert found == ([shown] if shown else [])
    kept = {"payment_intent_data": {"setup_future_usage": "off_session"}}
    submit(str(create_session(client, customer=customer, **kept).url), **card("5555555555554444"))
    assert client.v1.customers.payment_methods.list(customer).data[0].allow_redisplay == "limited"
