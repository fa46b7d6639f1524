"""The events of a Checkout payment lead to the same complete payment in every order."""

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import Harness, Student
from tests.tables.test_promotion_codes import create_code
from tests.tables.test_sessions import open_session, pay_session
from tuition.intake.stripe_events import EVENT_TYPES

Event = dict[str, Any]
DAYS = 10 * 86400
MAX_ORDERS = 32
FULL_SIZE = 120
"""The most orders that are tried per story: by `make test`, and by `make soak`, which tries every order of five."""


def pay_by_card(tuition: Harness, student: Student) -> Event:
    purchase: Event = open_session(tuition, student).body
    pay_session(tuition, purchase["session_id"])
    return purchase


def pay_after_a_decline(tuition: Harness, student: Student) -> Event:
    purchase: Event = open_session(tuition, student).body
    path = f"/v1/payment_pages/{purchase['session_id']}/confirm"
    tuition.at_stripe("POST", path, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    tuition.advance_stripe(1)
    pay_session(tuition, purchase["session_id"])
    return purchase


def pay_by_bank(tuition: Harness, student: Student) -> Event:
    purchase: Event = open_session(tuition, student).body
    pay_session(tuition, purchase["session_id"], "pm_usBankAccount_success")
    return purchase


def pay_by_a_bank_that_refuses(tuition: Harness, student: Student) -> Event:
    purchase: Event = open_session(tuition, student).body
    pay_session(tuition, purchase["session_id"], "pm_usBankAccount_insufficientFunds")
    return purchase


def let_expire_after_a_decline(tuition: Harness, student: Student) -> Event:
    purchase: Event = open_session(tuition, student).body
    path = f"/v1/payment_pages/{purchase['session_id']}/confirm"
    tuition.at_stripe("POST", path, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    return purchase


def buy_for_free(tuition: Harness, student: Student) -> Event:
    code = create_code(tuition, student, {"percent_off": 100})
    purchase: Event = open_session(tuition, student, promotion_code=code).body
    pay_session(tuition, purchase["session_id"])
    return purchase


CARD = {"type": "card", "brand": "visa", "last4": "4242"}
BANK = {"type": "us_bank_account", "brand": None, "last4": "6789"}
STORIES: dict[Callable[[Harness, Student], Event], tuple[str, str, dict[str, Any] | None, str | None]] = {
    pay_by_card: ("SUCCEEDED", "ENROLLED", CARD, None),
    pay_after_a_decline: ("SUCCEEDED", "ENROLLED", CARD, None),
    pay_by_bank: ("SUCCEEDED", "ENROLLED", BANK, None),
    pay_by_a_bank_that_refuses: ("CANCELED", "", {**BANK, "last4": "2227"}, "insufficient_funds"),
    let_expire_after_a_decline: ("CANCELED", "", {**CARD, "last4": "9995"}, "insufficient_funds"),
    buy_for_free: ("SUCCEEDED", "ENROLLED", None, None),
}


def all_events(tuition: Harness) -> list[Event]:
    """Return all events that Stripe has sent after ten days, of the types that the endpoint subscribes to."""
    tuition.advance_stripe(DAYS)
    return [event for event in tuition.new_events() if event["type"] in EVENT_TYPES]


def orders(count: int, limit: int, seed: int) -> list[list[int]]:
    """Return every order of so many events, or a sample with the usual order and its reverse."""
    usual = list(range(count))
    if math.factorial(count) <= limit:
        return [list(order) for order in itertools.permutations(usual)]
    rng = random.Random(seed)
    return [usual, usual[::-1], *(rng.sample(usual, count) for _ in range(limit - 2))]


@pytest.mark.parametrize("limit", [MAX_ORDERS, pytest.param(FULL_SIZE, marks=pytest.mark.soak)])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_payment_is_complete_in_any_order_of_its_events(
    tuition: Harness, student: Student, story: Callable[[Harness, Student], Event], limit: int
) -> None:
    status, enrollment, method, failure = STORIES[story]
    first_buyer = Student(f"{student.sub}-0")
    story(tuition, first_buyer)
    count = len(all_events(tuition))
    for number, order in enumerate(orders(count, limit, seed=count), start=1):
        buyer = Student(f"{student.sub}-{number}")
        purchase = story(tuition, buyer)
        events = all_events(tuition)
        assert len(events) == count
        for index in order:
            assert tuition.deliver(events[index]).status == 200
        check(tuition, buyer, purchase, (status, enrollment, method, failure), [events[i]["type"] for i in order])


def check(
    tuition: Harness,
    buyer: Student,
    purchase: Event,
    expected: tuple[str, str, dict[str, Any] | None, str | None],
    order: list[str],
) -> None:
    status, enrollment, method, failure = expected
    (payment,) = tuition.payments(buyer).body["payments"]
    stored = tuition.payment(purchase["payment_id"])
    assert (payment["status"], payment["payment_method"]) == (status, method), order
    assert (payment["failure"] or {}).get("code") == failure, order
    assert bool(payment["payment_intent_id"]) == bool(stored.charge) == (method is not None), order
    assert bool(payment["receipt_url"]) == (status == "SUCCEEDED" and method is not None), order
    assert (tuition.enrollment(buyer) or {"status": ""})["status"] == enrollment, order
    assert tuition.attention(purchase["payment_id"]) == [], order
    assert tuition.chain_problem(purchase["payment_id"]) is None, order


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_paid_session_needs_no_call_to_stripe_if_early_events_are_redelivered(
    tuition: Harness, student: Student, seed: int
) -> None:
    """Only a session names its intent. Until its event arrives, the intent's events get 5xx and are redelivered."""
    purchase = pay_by_card(tuition, student)
    undelivered = all_events(tuition)
    random.Random(seed).shuffle(undelivered)
    tuition.stripe_blocked = True
    for _ in range(len(undelivered)):
        responses = [(event, tuition.deliver(event)) for event in undelivered]
        assert {response.status for _, response in responses} <= {200, 502}
        undelivered = [event for event, response in responses if response.status != 200]
    assert undelivered == []
    check(tuition, student, purchase, STORIES[pay_by_card], ["with Stripe blocked"])
