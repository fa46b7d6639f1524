"""The comparison of a movement of Stripe's balance with what our payment has of it."""

from typing import Literal

import pytest

from tuition.core import books
from tuition.core.books import Movement
from tuition.core.facts import Balance, Facts, Refund, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment

PAID = Facts(settled=Settled(49900, "usd", 10))
REFUNDED = Facts(settled=PAID.settled, refunds={"source_1": Refund("succeeded", 100, 30)})
CLAIMED = Facts(claims={"pi_other": Settled(30000, "usd", 20)})


def payment(facts: Facts) -> Payment:
    return Payment(
        payment_id="pay_1",
        user_id="u",
        track="DP",
        kind="intent",
        attempt=1,
        stripe_object_id="pi_1",
        price=Money(49900, "usd"),
        created_at="2026-11-23T00:00:00.000Z",
        updated_at="2026-11-23T00:00:00.000Z",
        facts=facts,
    )


def moved(kind: Literal["charge", "refund", "dispute"], intent: str, amount: int) -> Movement:
    balance = Balance(0, amount, "usd")
    return Movement("txn_1", kind, "2026-11-23", "source_1", intent, amount, "usd", 30, balance)


@pytest.mark.parametrize(
    ("facts", "movement", "ours"),
    [
        (PAID, moved("refund", "pi_1", -100), 0),
        (REFUNDED, moved("refund", "pi_1", -100), -100),
        (CLAIMED, moved("charge", "pi_other", 30000), 30000),
        (CLAIMED, moved("refund", "pi_other", -30000), -30000),
        (CLAIMED, moved("dispute", "pi_other", -40000), -30000),
        (CLAIMED, moved("refund", "pi_unknown", -30000), 0),
    ],
)
def test_a_movement_is_explained_by_the_payment_or_by_its_claims(facts: Facts, movement: Movement, ours: int) -> None:
    assert books.our_amount(payment(facts), movement) == ours
