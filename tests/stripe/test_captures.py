"""Authorization and capture: what can be refunded, what moves the balance, and how an authorization ends.

https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from typing import Any

import pytest
import stripe

from stripe_simulator.server import Simulator
from tests.stripe.conftest import control
from tests.stripe.test_contract import pay


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
