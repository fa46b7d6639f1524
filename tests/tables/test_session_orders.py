"""The events of a Checkout payment in every order: the same end, with the payment filled."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.tables.test_promotion_codes import offer
from tests.tables.test_sessions import begin, pay_session
from tests.world import Student, World
from tuition.intake.stripe_events import EVENT_TYPES

Event = dict[str, Any]
DAYS = 10 * 86400
MOST = {"moto": 12, "dynamodb-local": 120}
"""Orders a story: all of them where there are no more. moto copies whole tables at each transaction."""


def by_card(tuition: World, student: Student) -> Event:
    made: Event = begin(tuition, student).body
    pay_session(tuition, made["session_id"])
    return made


def after_a_decline(tuition: World, student: Student) -> Event:
    made: Event = begin(tuition, student).body
    path = f"/v1/payment_pages/{made['session_id']}/confirm"
    tuition.at_stripe("POST", path, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    tuition.later(1)
    pay_session(tuition, made["session_id"])
    return made


def by_bank(tuition: World, student: Student) -> Event:
    made: Event = begin(tuition, student).body
    pay_session(tuition, made["session_id"], "pm_usBankAccount_success")
    return made


def by_a_bank_that_refuses(tuition: World, student: Student) -> Event:
    made: Event = begin(tuition, student).body
    pay_session(tuition, made["session_id"], "pm_usBankAccount_insufficientFunds")
    return made


def left_to_expire_after_a_decline(tuition: World, student: Student) -> Event:
    made: Event = begin(tuition, student).body
    path = f"/v1/payment_pages/{made['session_id']}/confirm"
    tuition.at_stripe("POST", path, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    return made


def for_nothing(tuition: World, student: Student) -> Event:
    code = offer(tuition, student, {"percent_off": 100})
    made: Event = begin(tuition, student, promotion_code=code).body
    pay_session(tuition, made["session_id"])
    return made


CARD = {"type": "card", "brand": "visa", "last4": "4242"}
BANK = {"type": "us_bank_account", "brand": None, "last4": "6789"}
STORIES: dict[Callable[[World, Student], Event], tuple[str, str, dict[str, Any] | None, str | None]] = {
    by_card: ("SUCCEEDED", "ENROLLED", CARD, None),
    after_a_decline: ("SUCCEEDED", "ENROLLED", CARD, None),
    by_bank: ("SUCCEEDED", "ENROLLED", BANK, None),
    by_a_bank_that_refuses: ("CANCELED", "", {**BANK, "last4": "2227"}, "insufficient_funds"),
    left_to_expire_after_a_decline: ("CANCELED", "", {**CARD, "last4": "9995"}, "insufficient_funds"),
    for_nothing: ("SUCCEEDED", "ENROLLED", None, None),
}


def told(tuition: World) -> list[Event]:
    """All that Stripe tells of it in the end, of the types that the endpoint subscribes to."""
    tuition.later(DAYS)
    return [event for event in tuition.new_events() if event["type"] in EVENT_TYPES]


def orders(count: int, most: int, seed: int) -> list[list[int]]:
    """Every order of so many events, or a sample of them with the usual one and its reverse."""
    usual = list(range(count))
    if count <= 5 and len(list(itertools.permutations(usual))) <= most:
        return [list(order) for order in itertools.permutations(usual)]
    rng = random.Random(seed)
    return [usual, usual[::-1], *(rng.sample(usual, count) for _ in range(most // 4))]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_in_whatever_order_the_events_come_the_payment_is_filled(
    tuition: World, student: Student, backend: str, story: Callable[[World, Student], Event]
) -> None:
    status, enrolled, method, failure = STORIES[story]
    first = Student(f"{student.sub}-0")
    story(tuition, first)
    count = len(told(tuition))
    for number, order in enumerate(orders(count, MOST[backend], seed=count), start=1):
        who = Student(f"{student.sub}-{number}")
        made = story(tuition, who)
        events = told(tuition)
        assert len(events) == count
        for index in order:
            assert tuition.deliver(events[index]).status == 200
        check(tuition, who, made, (status, enrolled, method, failure), [events[i]["type"] for i in order])


def check(
    tuition: World,
    who: Student,
    made: Event,
    expected: tuple[str, str, dict[str, Any] | None, str | None],
    order: list[str],
) -> None:
    status, enrolled, method, failure = expected
    (shown,) = tuition.payments(who).body["payments"]
    kept = tuition.payment(made["payment_id"])
    assert (shown["status"], shown["payment_method"]) == (status, method), order
    assert (shown["failure"] or {}).get("code") == failure, order
    assert bool(shown["payment_intent_id"]) == bool(kept.charge) == (method is not None), order
    assert bool(shown["receipt_url"]) == (status == "SUCCEEDED" and method is not None), order
    assert (tuition.enrolled(who) or {"status": ""})["status"] == enrolled, order
    assert tuition.attention(made["payment_id"]) == [], order
    assert tuition.chain_problem(made["payment_id"]) is None, order


@pytest.mark.parametrize("seed", range(1, 9))
def test_no_call_to_stripe_is_needed_if_stripe_delivers_again_what_came_too_early(
    tuition: World, student: Student, seed: int
) -> None:
    """Which intent is its own, only the session can say: until then its events are answered 5xx, and come again."""
    made = by_card(tuition, student)
    waiting = told(tuition)
    random.Random(seed).shuffle(waiting)
    tuition.stripe_blocked = True
    for _ in range(len(waiting)):
        answers = [(event, tuition.deliver(event)) for event in waiting]
        assert {answer.status for _, answer in answers} <= {200, 502}
        waiting = [event for event, answer in answers if answer.status != 200]
    assert waiting == []
    check(tuition, student, made, STORIES[by_card], ["blocked"])
