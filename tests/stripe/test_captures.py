"""Authorization and capture: what can be refunded, what moves the balance, and how an authorization ends.

https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import control
from tests.stripe.test_contract import create_session, pay
from tests.stripe.test_simulator_flows import card, submit


def capture_part(client: stripe.StripeClient, **more: Any) -> stripe.Charge:
    """Authorize $499.00 and capture $400.00 of it; return the charge."""
    intent = pay(client, "pm_card_visa", capture_method="manual", **more)
    client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 40000})
    return client.v1.charges.retrieve(str(intent.latest_charge))


def test_all_of_a_partial_capture_can_be_refunded(client: stripe.StripeClient) -> None:
    charge = capture_part(client)
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (40000, 9900, False)
    refund = client.v1.refunds.create({"charge": charge.id})
    assert refund.amount == 40000
    charge = client.v1.charges.retrieve(charge.id)
    assert (charge.amount_refunded, charge.refunded) == (49900, True)
    with pytest.raises(stripe.InvalidRequestError) as excinfo:
        client.v1.refunds.create({"charge": charge.id})
    assert excinfo.value.code == "charge_already_refunded"


def test_a_partial_capture_is_refunded_in_parts_up_to_the_captured_amount(client: stripe.StripeClient) -> None:
    charge = capture_part(client)
    client.v1.refunds.create({"charge": charge.id, "amount": 39999})
    with pytest.raises(stripe.InvalidRequestError, match=r"\(\$0\.01\)"):
        client.v1.refunds.create({"charge": charge.id, "amount": 2})
    client.v1.refunds.create({"charge": charge.id, "amount": 1})
    assert client.v1.charges.retrieve(charge.id).refunded


def test_staff_can_refund_all_of_a_partial_capture(client: stripe.StripeClient, simulator: Simulator) -> None:
    charge = capture_part(client)
    assert control(simulator, "/_sim/refunds", {"charge": charge.id})["amount"] == 40000


def test_a_partial_capture_has_a_balance_transaction_for_the_uncaptured_part(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    charge = capture_part(client)
    transactions = client.v1.balance_transactions.list({"source": charge.id}).data
    assert [(one.type, one.reporting_category, one.amount, one.fee) for one in reversed(transactions)] == [
        ("charge", "charge", 49900, 1190),
        ("refund", "partial_capture_reversal", -9900, 0),
    ]
    assert charge.balance_transaction == transactions[1].id
    assert client.v1.balance.retrieve().pending[0].amount == 40000 - 1190


def test_a_full_capture_has_one_balance_transaction(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_visa", capture_method="manual")
    client.v1.payment_intents.capture(intent.id)
    (transaction,) = client.v1.balance_transactions.list({"source": str(intent.latest_charge)}).data
    assert (transaction.type, transaction.amount) == ("charge", 49900)


# --- the end of an authorization ---

DAY_S = 24 * 3600


def advance(simulator: Simulator, seconds: float) -> None:
    """Advance the simulator's clock."""
    control(simulator, "/_sim/clock", {"advance_s": seconds})


def event_types(client: stripe.StripeClient) -> list[str]:
    """Return the types of the account's events, oldest first, without those of products and prices."""
    types = [event.type for event in client.v1.events.list({"limit": 100}).data]
    return [one for one in reversed(types) if not one.startswith(("product", "price", "coupon", "customer"))]


def capture_before(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> int | None:
    """Return how many seconds the authorization of an intent lasts, or None if its charge does not say it."""
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    until = charge.payment_method_details.card.to_dict().get("capture_before")  # type: ignore[union-attr]
    return None if until is None else int(until) - charge.created


def test_an_authorization_ends_after_seven_days(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = pay(client, "pm_card_visa", capture_method="manual")
    assert capture_before(client, intent) == 7 * DAY_S
    advance(simulator, 7 * DAY_S - 60)
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"
    advance(simulator, 60)
    intent = client.v1.payment_intents.retrieve(intent.id)
    assert (intent.status, intent.cancellation_reason, intent.amount_capturable) == ("canceled", "automatic", 0)
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.captured, charge.refunded, charge.amount_refunded) == (False, True, 49900)
    assert event_types(client)[-2:] == ["charge.expired", "payment_intent.canceled"]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.capture(intent.id)


@pytest.mark.parametrize(
    ("method", "off_session", "seconds"),
    [
        ("pm_card_visa", True, 4 * DAY_S + 18 * 3600),
        ("pm_card_mastercard", True, 7 * DAY_S),
        ("pm_card_mastercard", False, 7 * DAY_S),
    ],
)
def test_the_brand_and_the_initiator_decide_how_long_an_authorization_lasts(
    client: stripe.StripeClient, simulator: Simulator, method: str, off_session: bool, seconds: int
) -> None:
    more = {"off_session": True} if off_session else {}
    intent = pay(client, method, capture_method="manual", **more)
    assert capture_before(client, intent) == seconds
    advance(simulator, seconds)
    assert client.v1.payment_intents.retrieve(intent.id).status == "canceled"


def test_a_captured_or_canceled_authorization_does_not_end_again(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    captured, canceled = (pay(client, "pm_card_visa", capture_method="manual") for _ in range(2))
    client.v1.payment_intents.capture(captured.id)
    client.v1.payment_intents.cancel(canceled.id)
    advance(simulator, 8 * DAY_S)
    assert client.v1.payment_intents.retrieve(captured.id).status == "succeeded"
    assert client.v1.payment_intents.retrieve(canceled.id).cancellation_reason is None
    assert "charge.expired" not in event_types(client)


def test_a_charge_that_is_captured_at_once_has_no_end_of_its_authorization(client: stripe.StripeClient) -> None:
    assert capture_before(client, pay(client, "pm_card_visa")) is None


# --- Checkout Sessions with manual capture ---


def authorize_session(client: stripe.StripeClient, simulator: Simulator) -> stripe.checkout.Session:
    """Create a session with manual capture and pay it on its page."""
    session = create_session(client, payment_intent_data={"capture_method": "manual"})
    assert session.payment_method_types == ["card"]
    status, url, _ = submit(str(session.url), **card("4242424242424242"))
    assert (status, url) == (303, f"https://example.com/{session.id}")
    return client.v1.checkout.sessions.retrieve(session.id)


def test_an_authorized_session_is_complete_and_paid_once_it_is_captured(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    session = authorize_session(client, simulator)
    assert (session.status, session.payment_status) == ("complete", "unpaid")
    assert event_types(client) == [
        "payment_intent.created",
        "payment_intent.amount_capturable_updated",
        "charge.succeeded",
        "checkout.session.completed",
    ]
    client.v1.payment_intents.capture(str(session.payment_intent))
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert "checkout.session.async_payment_succeeded" not in event_types(client)


def test_an_authorized_session_is_not_paid_twice(client: stripe.StripeClient, simulator: Simulator) -> None:
    session = authorize_session(client, simulator)
    submit(f"{simulator.url}/c/pay/{session.id}", **card("4242424242424242"))
    assert len(client.v1.charges.list({"payment_intent": str(session.payment_intent)}).data) == 1


def test_the_payment_intent_of_a_session_can_be_canceled_only_while_it_awaits_its_capture(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    session = authorize_session(client, simulator)
    assert client.v1.payment_intents.cancel(str(session.payment_intent)).status == "canceled"
    declined = create_session(client)
    submit(str(declined.url), **card("4000000000000002"))
    declined = client.v1.checkout.sessions.retrieve(declined.id)
    with pytest.raises(stripe.InvalidRequestError, match="Expire the Checkout Session"):
        client.v1.payment_intents.cancel(str(declined.payment_intent))


def test_a_session_whose_coupon_was_deleted_is_paid_with_its_discount(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    coupon = client.v1.coupons.create({"percent_off": 20, "duration": "once"})
    session = create_session(client, discounts=[{"coupon": coupon.id}])
    client.v1.coupons.delete(coupon.id)
    submit(str(session.url), **card("4242424242424242"))
    session = client.v1.checkout.sessions.retrieve(session.id)
    assert (session.status, session.payment_status, session.amount_total) == ("complete", "paid", 39920)
    assert "checkout.session.completed" in event_types(client)


# --- confirmation_method=manual ---


def confirm_manually(client: stripe.StripeClient, simulator: Simulator, outcome: str) -> stripe.PaymentIntent:
    """Confirm an intent with `confirmation_method=manual` and end its 3-D Secure step."""
    intent = pay(client, "pm_card_threeDSecureRequired", confirmation_method="manual")
    assert intent.status == "requires_action"
    control(simulator, f"/_sim/payment_intents/{intent.id}/authenticate", {"outcome": outcome})
    return client.v1.payment_intents.retrieve(intent.id)


@pytest.mark.parametrize(("more", "status"), [({}, "succeeded"), ({"capture_method": "manual"}, "requires_capture")])
def test_a_manual_confirmation_is_repeated_by_the_server_after_3d_secure(
    client: stripe.StripeClient, simulator: Simulator, more: dict[str, Any], status: str
) -> None:
    intent = confirm_manually(client, simulator, "success")
    assert (intent.status, intent.next_action) == ("requires_confirmation", None)
    assert client.v1.charges.list({"payment_intent": intent.id}).data == []
    assert client.v1.payment_intents.confirm(intent.id, more).status == status  # type: ignore[arg-type]


def test_another_card_needs_its_own_authentication_after_a_manual_confirmation(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    intent = confirm_manually(client, simulator, "success")
    other = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_threeDSecureRequired"})
    assert other.status == "requires_action"


def test_a_failed_authentication_of_a_manual_confirmation_needs_another_method(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    assert confirm_manually(client, simulator, "failure").status == "requires_payment_method"


def test_a_publishable_key_cannot_confirm_manually(client: stripe.StripeClient, simulator: Simulator) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd", "confirmation_method": "manual"})
    browser = stripe.StripeClient(simulator.publishable_key, base_addresses={"api": simulator.url})
    params: Any = {"client_secret": intent.client_secret, "payment_method": "pm_card_visa"}
    with pytest.raises(stripe.InvalidRequestError, match="publishable key because its `confirmation_method`"):
        browser.v1.payment_intents.confirm(intent.id, params)
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"
