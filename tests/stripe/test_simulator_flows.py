"""Payment flows that need the simulator itself: its control API, its pages and the state of the whole account."""

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import control
from tests.stripe.test_contract import DEBIT, create_code, create_session, pay


def types(client: stripe.StripeClient) -> list[str]:
    """Return the event types of the account, oldest first."""
    return [event.type for event in client.v1.events.list({"limit": 100}).data][::-1]


def advance(simulator: Simulator, seconds: float = 2) -> None:
    """Advance the clock; two seconds complete what Stripe does asynchronously."""
    control(simulator, "/_sim/clock", {"advance_s": seconds})


def test_a_payment_emits_the_intent_and_charge_events_before_the_balance_event(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = pay(client, "pm_card_visa")
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (intent.status, intent.amount_received, charge.balance_transaction) == ("succeeded", 49900, None)
    advance(simulator)
    assert types(client) == ["payment_intent.created", "payment_intent.succeeded", "charge.succeeded", "charge.updated"]
    charge = client.v1.charges.retrieve(charge.id, {"expand": ["balance_transaction"]})
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (1477, 48423)  # type: ignore[union-attr]


@pytest.mark.parametrize(("outcome", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_a_3d_secure_payment_waits_for_authentication(
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


def test_a_card_authenticated_at_setup_pays_off_session_and_authenticates_on_session(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    customer = client.v1.customers.create({}).id
    first = pay(client, "pm_card_authenticationRequiredOnSetup", customer=customer, setup_future_usage="off_session")
    control(simulator, f"/_sim/payment_intents/{first.id}/authenticate", {"outcome": "success"})
    (method,) = client.v1.customers.payment_methods.list(customer).data
    assert pay(client, method.id, customer=customer, off_session=True).status == "succeeded"
    assert pay(client, method.id, customer=customer).status == "requires_action"
    client.v1.payment_methods.detach(method.id)
    assert client.v1.customers.payment_methods.list(customer).data == []
    with pytest.raises(stripe.InvalidRequestError):
        pay(client, method.id, customer=customer)


def test_a_lost_dispute_can_be_reopened_by_the_control_api_and_lost_again(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = pay(client, "pm_card_visa")
    dispute = control(simulator, "/_sim/disputes", {"payment_intent": intent.id})["id"]
    for status in ("lost", "appeal_under_review", "won", "lost", "prevented"):
        assert control(simulator, "/_sim/disputes", {"dispute": dispute, "status": status})["status"] == status
    assert len(client.v1.disputes.retrieve(dispute).balance_transactions) == 3


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Returns redirects as responses instead of following them."""

    def redirect_request(self, *args: Any) -> None:
        return None


def submit(url: str, **form: str) -> tuple[int, str, str]:
    """Submit a payment page; return the status, the redirect URL (or "") and the page."""
    request = urllib.request.Request(url, data=urllib.parse.urlencode(form).encode())
    try:
        with urllib.request.build_opener(NoRedirects).open(request) as response:
            return response.status, "", response.read().decode()
    except urllib.error.HTTPError as response:
        return response.code, response.headers["Location"] or "", response.read().decode()


def card(number: str) -> dict[str, str]:
    """Return the card fields of the payment page."""
    return {"number": number, "expiry": "12 / 40", "cvc": "123"}


def refund(client: stripe.StripeClient, method: str, **more: Any) -> None:
    """Create a payment and refund it."""
    client.v1.refunds.create({"payment_intent": pay(client, method).id, **more})


def answer_dispute(client: stripe.StripeClient, evidence: str, method: str = "pm_card_createDispute") -> None:
    """Create a disputed payment and submit evidence."""
    pay(client, method)
    (dispute,) = client.v1.disputes.list().data
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})


def decline(client: stripe.StripeClient) -> None:
    """Create a payment that is declined."""
    with pytest.raises(stripe.CardError):
        pay(client, "pm_card_chargeDeclined")


CREATED = "payment_intent.created"
PAID = ["payment_intent.succeeded", "charge.succeeded"]
PROCESSING = ["payment_intent.processing", "charge.pending"]
REFUND_CREATED = ["refund.created", "charge.refunded"]
DISPUTE_CREATED, DISPUTE_UPDATED = "charge.dispute.created", "charge.dispute.updated"
DISPUTE_CLOSED = "charge.dispute.closed"
FUNDS_WITHDRAWN, FUNDS_REINSTATED = "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated"

EVENTS_OF_FLOWS: dict[str, tuple[Callable[[stripe.StripeClient], Any], list[str]]] = {
    "payment": (lambda c: pay(c, "pm_card_visa"), [CREATED, *PAID, "charge.updated"]),
    "payment with automatic capture": (
        lambda c: pay(c, "pm_card_visa", capture_method="automatic"),
        [CREATED, *PAID],
    ),
    "declined payment": (decline, [CREATED, "charge.failed", "payment_intent.payment_failed"]),
    "3-D Secure": (lambda c: pay(c, "pm_card_authenticationRequired"), [CREATED, "payment_intent.requires_action"]),
    "bank debit": (
        lambda c: pay(c, "pm_usBankAccount_success", **DEBIT),
        [CREATED, *PROCESSING, *PAID],
    ),
    "failed bank debit": (
        lambda c: pay(c, "pm_usBankAccount_noAccount", **DEBIT),
        [CREATED, *PROCESSING, "charge.failed", "payment_intent.payment_failed"],
    ),
    "refund": (
        lambda c: refund(c, "pm_card_visa"),
        [CREATED, *PAID, *REFUND_CREATED, "charge.updated", "refund.updated", "charge.refund.updated"],
    ),
    "partial refund": (
        lambda c: refund(c, "pm_card_visa", amount=1),
        [CREATED, *PAID, *REFUND_CREATED, "charge.updated", "refund.updated", "charge.refund.updated"],
    ),
    "refund that fails later": (
        lambda c: refund(c, "pm_card_refundFail"),
        [CREATED, *PAID, *REFUND_CREATED, "charge.updated", "refund.failed", "charge.refund.updated"],
    ),
    "dispute": (
        lambda c: pay(c, "pm_card_createDispute"),
        [CREATED, *PAID, DISPUTE_CREATED, FUNDS_WITHDRAWN, "charge.updated"],
    ),
    "inquiry": (
        lambda c: pay(c, "pm_card_createDisputeInquiry"),
        [CREATED, *PAID, DISPUTE_CREATED, "charge.updated"],
    ),
    "won dispute": (
        lambda c: answer_dispute(c, "winning_evidence"),
        [
            *(CREATED, *PAID, DISPUTE_CREATED, FUNDS_WITHDRAWN),
            *(DISPUTE_UPDATED, "charge.updated", DISPUTE_CLOSED, FUNDS_REINSTATED),
        ],
    ),
    "lost dispute": (
        lambda c: answer_dispute(c, "losing_evidence"),
        [
            *(CREATED, *PAID, DISPUTE_CREATED, FUNDS_WITHDRAWN),
            *(DISPUTE_UPDATED, "charge.updated", DISPUTE_CLOSED),
        ],
    ),
    "escalated inquiry": (
        lambda c: answer_dispute(c, "escalate_inquiry_evidence", "pm_card_createDisputeInquiry"),
        [
            *(CREATED, *PAID, DISPUTE_CREATED),
            *(DISPUTE_UPDATED, "charge.updated", FUNDS_WITHDRAWN, DISPUTE_UPDATED),
        ],
    ),
    "paid session": (
        lambda c: submit(str(create_session(c).url), **card("4242424242424242")),
        [
            *("charge.succeeded", "payment_intent.succeeded", CREATED),
            *("checkout.session.completed", "charge.updated"),
        ],
    ),
    "expired session": (
        lambda c: c.v1.checkout.sessions.expire(create_session(c).id),
        ["checkout.session.expired"],
    ),
    "session with a 100% discount": (
        lambda c: submit(str(create_session(c, discounts=[{"promotion_code": create_code(c, 100).id}]).url)),
        ["checkout.session.completed"],
    ),
    "session paid by bank debit": (
        lambda c: submit(str(create_session(c).url), account_number="000123456789"),
        [
            *(CREATED, *PROCESSING, "checkout.session.completed"),
            *(*PAID, "checkout.session.async_payment_succeeded"),
        ],
    ),
}


@pytest.mark.parametrize("flow", EVENTS_OF_FLOWS)
def test_the_events_of_a_flow_are_emitted_in_stripes_usual_order(
    client: stripe.StripeClient, simulator: Simulator, flow: str
) -> None:
    act, events = EVENTS_OF_FLOWS[flow]
    act(client)
    advance(simulator)
    assert [
        name for name in types(client) if not name.startswith(("product", "price", "coupon", "promotion"))
    ] == events


def test_an_unanswered_dispute_is_lost_after_its_due_date_and_an_inquiry_closes_after_120_days(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    def statuses() -> dict[str, str]:
        return {one.id: one.status for one in client.v1.disputes.list({"limit": 100}).data}

    ids = []
    for method in ("pm_card_createDispute", "pm_card_createDispute", "pm_card_createDisputeInquiry"):
        intent = pay(client, method)
        ids.append(client.v1.disputes.list({"payment_intent": intent.id}).data[0].id)
    unanswered, answered, inquiry = ids
    client.v1.disputes.update(answered, {"evidence": {"product_description": "a course"}})
    due = client.v1.disputes.retrieve(unanswered).evidence_details.due_by
    now = control(simulator, "/_sim/health")["now"]
    control(simulator, "/_sim/clock", {"advance_s": due - now - 60})
    assert statuses() == {unanswered: "needs_response", answered: "under_review", inquiry: "warning_needs_response"}
    control(simulator, "/_sim/clock", {"advance_s": 120})
    assert statuses() == {unanswered: "lost", answered: "under_review", inquiry: "warning_needs_response"}
    (event,) = client.v1.events.list({"type": "charge.dispute.closed"}).data
    assert event.data.object["id"] == unanswered and event.request.id is None  # type: ignore[union-attr]
    control(simulator, "/_sim/clock", {"advance_s": 112 * 86_400})
    assert statuses() == {unanswered: "lost", answered: "under_review", inquiry: "warning_closed"}


@pytest.mark.parametrize("days", [20, 115])
def test_an_escalated_inquiry_has_a_due_date_of_its_own(
    client: stripe.StripeClient, simulator: Simulator, days: int
) -> None:
    def advance(days: float) -> None:
        control(simulator, "/_sim/clock", {"advance_s": days * 86_400})

    charge = pay(client, "pm_card_createDisputeInquiry").latest_charge
    dispute = client.v1.disputes.list({"charge": str(charge)}).data[0]
    advance(days)
    control(simulator, "/_sim/disputes", {"dispute": dispute.id, "status": "needs_response"})
    event = client.v1.events.list({"type": "charge.dispute.updated"}).data[0]
    details = event.data.object["evidence_details"]
    assert abs(details["due_by"] - event.created - 9 * 86_400) < 60
    assert event.to_dict()["data"]["previous_attributes"] == {
        "status": "warning_needs_response",
        "evidence_details": {"due_by": dispute.evidence_details.due_by},
    }
    advance(8.9)
    assert client.v1.disputes.retrieve(dispute.id).status == "needs_response"
    advance(0.2)
    assert client.v1.disputes.retrieve(dispute.id).status == "lost"


def test_a_won_dispute_is_reported_as_a_reversal(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_createDispute")
    (dispute,) = client.v1.disputes.list({"payment_intent": intent.id}).data
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    control(simulator, "/_sim/clock", {"advance_s": 3})
    transactions = client.v1.disputes.retrieve(dispute.id).balance_transactions
    assert [(one.type, one.reporting_category) for one in transactions] == [
        ("adjustment", "dispute"),
        ("adjustment", "dispute_reversal"),
    ]


def read_receipt(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> str:
    """Return the page at the `receipt_url` of an intent's charge, without a key, as a customer opens it."""
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert charge.receipt_url is not None
    response = httpx.get(charge.receipt_url)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return response.text


def test_a_receipt_is_a_page_without_scripts_that_shows_the_payment_and_its_refunds(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    params: Any = {"description": "<Data Professional>", "receipt_email": "ada@example.com"}
    intent = pay(client, "pm_card_visa", **params)
    page = read_receipt(client, intent)
    for text in (
        "Receipt for $499.00",
        "Visa ending in 4242",
        "&lt;Data Professional&gt;",
        "ada@example.com",
        intent.id,
    ):
        assert text in page, text
    assert "<script" not in page and "Refund" not in page
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 10000})
    page = read_receipt(client, intent)
    for text in ("−$100.00", "$399.00", "<h2>Refunds</h2>", " · succeeded</span><span>$100.00"):
        assert text in page, text


def test_a_receipt_says_that_a_payment_is_processing_or_only_authorized(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    debit = pay(client, "pm_usBankAccount_success", **DEBIT)
    assert "Your payment of $499.00 is processing" in read_receipt(client, debit)
    assert "Bank account ending in 6789" in read_receipt(client, debit)
    control(simulator, "/_sim/clock", {"advance_s": 3})
    assert "Receipt for $499.00" in read_receipt(client, debit)
    hold = pay(client, "pm_card_visa", capture_method="manual")
    assert "Your payment of $499.00 is authorized" in read_receipt(client, hold)


def test_an_unknown_receipt_is_a_404_and_a_receipt_can_be_printed(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    for path in ("/receipts/payment/none", "/receipts/", "/receipts/payment/"):
        response = httpx.get(simulator.url + path)
        assert (response.status_code, "No such receipt" in response.text) == (404, True)
    with pytest.raises(stripe.CardError) as excinfo:
        pay(client, "pm_card_chargeDeclined")
    charge = client.v1.charges.retrieve(str(excinfo.value.error.charge))  # type: ignore[union-attr]
    assert charge.receipt_url is None
    assert "@media print" in httpx.get(f"{simulator.url}/_js/page.css").text


def test_a_session_can_be_paid_on_its_page_after_a_decline(client: stripe.StripeClient, simulator: Simulator) -> None:
    session = create_session(client, payment_intent_data={"metadata": {"track": "DP"}})
    assert session.payment_intent is None and session.url is not None
    status, _, page = submit(session.url, **card("4000000000000002"))
    assert status == 200 and "Your card was declined." in page and "Card number" in page
    status, redirect, _ = submit(session.url, **card("4242424242424242"))
    assert (status, redirect) == (303, f"https://example.com/{session.id}")
    session = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent", "line_items"]})
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert session.payment_intent.metadata["track"] == "DP"  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.cancel(session.payment_intent.id)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(session.id)


@pytest.mark.parametrize(
    ("field", "label"), [("number", "card number"), ("expiry", "expiration date"), ("cvc", "security code")]
)
def test_the_page_reports_an_empty_card_field(
    client: stripe.StripeClient, simulator: Simulator, field: str, label: str
) -> None:
    session = create_session(client)
    status, _, page = submit(str(session.url), **card("4242424242424242") | {field: ""})
    assert status == 200 and f"{label} is incomplete." in page
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert client.v1.payment_intents.list().data == []


def test_3d_secure_on_the_page_redirects_to_the_bank_and_back(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    session = create_session(client)
    status, _, _ = submit(str(session.url), **card("4000000000003220"))
    assert status == 303
    action = client.v1.payment_intents.list().data[0].next_action
    _, redirect, _ = submit(str(action.redirect_to_url.url), outcome="success")  # type: ignore[union-attr]
    assert redirect.startswith(str(session.url))
    assert client.v1.checkout.sessions.retrieve(session.id).status == "complete"


@pytest.mark.parametrize(
    ("account", "event", "payment_status"),
    [
        ("000123456789", "checkout.session.async_payment_succeeded", "paid"),
        ("000222222227", "checkout.session.async_payment_failed", "unpaid"),
    ],
)
def test_a_session_paid_by_bank_debit_is_complete_before_the_debit_settles(
    client: stripe.StripeClient, simulator: Simulator, account: str, event: str, payment_status: str
) -> None:
    session = create_session(client)
    submit(str(session.url), account_number=account)
    session = client.v1.checkout.sessions.retrieve(session.id)
    assert (session.status, session.payment_status) == ("complete", "unpaid")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(session.id)
    advance(simulator)
    assert types(client)[-1] == event
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == payment_status


def test_an_open_session_expires_by_request_or_after_24_hours(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    one, two = create_session(client), create_session(client)
    assert client.v1.checkout.sessions.expire(one.id).status == "expired"
    advance(simulator, 24 * 3600 + 1)
    assert client.v1.checkout.sessions.retrieve(two.id).status == "expired"
    assert types(client).count("checkout.session.expired") == 2
    assert submit(f"{simulator.url}/c/pay/{one.id}", **card("4242424242424242"))[0] == 410


def test_a_100_percent_discount_needs_no_payment(client: stripe.StripeClient, simulator: Simulator) -> None:
    session = create_session(client, discounts=[{"promotion_code": create_code(client, 100).id}])
    assert (session.amount_subtotal, session.amount_total) == (49900, 0)
    assert submit(str(session.url))[0] == 303
    session = client.v1.checkout.sessions.retrieve(session.id)
    assert (session.payment_status, session.payment_intent) == ("no_payment_required", None)


def test_a_redeemed_an_expired_and_a_restricted_promotion_code_are_refused(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    single_use = create_code(client, max_redemptions=1)
    session = create_session(client, discounts=[{"promotion_code": single_use.id}])
    assert session.amount_total == 39920
    submit(str(session.url), **card("4242424242424242"))
    expired = create_code(client, expires_at=int(control(simulator, "/_sim/health")["now"]) + 100)
    advance(simulator, 101)
    with_minimum = create_code(client, restrictions={"minimum_amount": 50000, "minimum_amount_currency": "usd"})
    for code in (single_use, expired, with_minimum):
        with pytest.raises(stripe.InvalidRequestError):
            create_session(client, discounts=[{"promotion_code": code.id}])
    assert not client.v1.promotion_codes.retrieve(single_use.id).active
    with pytest.raises(stripe.InvalidRequestError):
        create_session(client, discounts=[{"promotion_code": create_code(client).id}], allow_promotion_codes=True)


def test_a_coupon_applies_only_to_its_currencies_and_products(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    params = {"amount_off": 1000, "currency": "eur", "currency_options": {"gbp": {"amount_off": 900}}}
    other_currency = client.v1.coupons.create(params).id
    product = client.v1.products.create({"name": "another"}).id
    other_product = client.v1.coupons.create({"percent_off": 10, "applies_to": {"products": [product]}}).id
    too_large = client.v1.coupons.create({"amount_off": 49851, "currency": "usd"}).id
    for coupon in (other_currency, other_product, too_large):
        with pytest.raises(stripe.InvalidRequestError):
            create_session(client, discounts=[{"coupon": coupon}])
    usd = client.v1.coupons.create({**params, "currency_options": {"usd": {"amount_off": 1100}}}).id
    assert create_session(client, discounts=[{"coupon": usd}]).amount_total == 48800


def test_the_optional_fields_of_a_promotion_code_are_returned_only_when_expanded(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    coupon = client.v1.coupons.create({"percent_off": 10, "applies_to": {"products": ["prod_1"]}}).id
    restrictions = {
        "minimum_amount": 100,
        "minimum_amount_currency": "eur",
        "currency_options": {"usd": {"minimum_amount": 120}},
    }
    promotion = {"type": "coupon", "coupon": coupon}
    client.v1.promotion_codes.create({"promotion": promotion, "code": "Spring-1", "restrictions": restrictions})
    (code,) = client.v1.promotion_codes.list({"code": "spring-1"}).data
    assert (code.promotion.coupon, "currency_options" in code.restrictions) == (coupon, False)
    paths = ["promotion.coupon.applies_to", "promotion.coupon.currency_options", "restrictions.currency_options"]
    page = client.v1.promotion_codes.list({"code": "SPRING-1", "expand": [f"data.{path}" for path in paths]})
    (expanded,) = page.last_response.data["data"]
    assert expanded["restrictions"]["currency_options"] == {"usd": {"minimum_amount": 120}}
    assert expanded["promotion"]["coupon"]["applies_to"] == {"products": ["prod_1"]}
    assert expanded["promotion"]["coupon"]["currency_options"] == {}


def test_the_balance_equals_payments_less_refunds_disputes_and_fees(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    for method in ("pm_card_visa", "pm_card_createDispute", "pm_card_refundFail", "pm_usBankAccount_success"):
        intent = pay(client, method, **DEBIT)
        advance(simulator)
        if "Dispute" not in method:
            client.v1.refunds.create({"payment_intent": intent.id, "amount": 1000})
    advance(simulator)
    transactions = list(client.v1.balance_transactions.list({"limit": 100}).auto_paging_iter())
    payments = sum(intent.amount_received for intent in client.v1.payment_intents.list().data)
    refunds = sum(refund.amount for refund in client.v1.refunds.list().data if refund.status == "succeeded")
    disputes = sum(dispute.amount for dispute in client.v1.disputes.list().data)
    amounts = sum(transaction.amount for transaction in transactions)
    assert amounts == payments - refunds - disputes == 4 * 49900 - 2000 - 49900
    fees, nets = sum(transaction.fee for transaction in transactions), sum(each.net for each in transactions)
    balance = client.v1.balance.retrieve()
    assert sum(part.amount for part in [*balance.available, *balance.pending]) == nets == amounts - fees


@pytest.mark.parametrize(("outcome", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_a_card_is_saved_only_after_authentication_on_the_banks_page(
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
    bank_page = str(setup.next_action.redirect_to_url.url)  # type: ignore[union-attr]
    _, redirect, _ = submit(bank_page, outcome=outcome)
    assert redirect.startswith(f"https://example.com/back?a=b&setup_intent={setup.id}&setup_intent_client_secret=seti_")
    assert client.v1.setup_intents.retrieve(setup.id).status == status
    methods = client.v1.customers.payment_methods.list(customer).data
    assert len(methods) == (1 if outcome == "success" else 0)
    for method in methods:
        assert pay(client, method.id, customer=customer, off_session=True).status == "succeeded"
    assert ("setup_intent.setup_failed" in types(client)) == (outcome == "failure")


def test_a_session_saves_the_method_if_the_options_of_its_type_say_so(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    def pay_session(**options: dict[str, str]) -> tuple[str | None, Any]:
        session = create_session(client, payment_method_options=options)
        submit(str(session.url), **card("4242424242424242"))
        paid = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]}).to_dict()
        return paid["customer"], paid["payment_intent"]

    customer, intent = pay_session(card={"setup_future_usage": "off_session"})
    assert intent["payment_method_options"]["card"]["setup_future_usage"] == "off_session"
    (method,) = client.v1.customers.payment_methods.list(str(customer)).data
    assert (method.id, method.allow_redisplay) == (intent["payment_method"], "limited")
    assert pay_session(us_bank_account={"setup_future_usage": "none"})[0] is None


@pytest.mark.parametrize(("checkbox", "allow_redisplay"), [("on", "always"), ("", None)])
def test_a_card_saved_in_checkout_may_be_redisplayed_as_the_customer_agreed(
    client: stripe.StripeClient, simulator: Simulator, checkbox: str, allow_redisplay: str | None
) -> None:
    customer = client.v1.customers.create({}).id
    options = {"saved_payment_method_options": {"payment_method_save": "enabled"}}
    submit(str(create_session(client, customer=customer, **options).url), save=checkbox, **card("4242424242424242"))
    methods = client.v1.customers.payment_methods.list(customer).data
    assert [method.allow_redisplay for method in methods] == ([allow_redisplay] if allow_redisplay else [])
    options = {"payment_intent_data": {"setup_future_usage": "off_session"}}
    submit(str(create_session(client, customer=customer, **options).url), **card("5555555555554444"))
    assert client.v1.customers.payment_methods.list(customer).data[0].allow_redisplay == "limited"
