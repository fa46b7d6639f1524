"""Every order and duplication of the events of one student's payments ends in the same state, and the true one.

`make soak` runs the full size; a failure prints the seed of its history and the order that it needs.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from stripe_simulator.server import Stripe
from tests.unit import histories
from tests.unit.histories import Desk, History, Purchase, Story
from tuition.core import enrollment, stripe_json
from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core.facts import Facts
from tuition.core.payment import Payment
from tuition.intake import stripe_events
from tuition.stripe_gateway import sync

HISTORIES = 110
ORDERS = 8
SOAK_HISTORIES = 14_400
SOAK_PARTS = 12


def search(seeds: range, orders: int) -> int:
    """Replay every history in this many orders, and answer how many replays there were."""
    run = 0
    for seed in seeds:
        history = histories.make(f"h{seed}")
        chance = random.Random(f"orders:{seed}")
        run += check(history, list(histories.orders(history, chance, orders)), chance)
    return run


def check(history: History, orders: list[list[int]], chance: random.Random) -> int:
    """Each order ends as the oracle says, and all in the same facts."""
    expected = histories.oracle(history)
    first: Desk | None = None
    with histories.answering(history) as stripe:
        for number, order in enumerate(orders):
            desk = histories.replay(stripe, order, chance, again=bool(number % 2))
            assert desk.end() == expected, f"history {history.seed}, order {order}: {described(history, order)}"
            first = first or desk
            for key, payment in desk.payments.items():
                same = sync.differs_only_in_time(bare(first.payments[key]), bare(payment))
                assert same, f"history {history.seed}, order {order}: the facts of {key} differ"
    return len(orders)


def bare(payment: Payment) -> Payment:
    """Without its version, and without what depends on when a pull was made.

    Those are the charges that wait for a bank (no event tells of them), and which of two failures of one second
    is the reason that an open payment shows.
    """
    facts = payment.facts
    charges = {key: charge for key, charge in facts.charges.items() if charge.status != "pending"}
    phase = replace(facts.phase, code=None, message=None) if facts.phase else None
    return replace(payment, version=0, facts=replace(facts, charges=charges, phase=phase))


def described(history: History, order: list[int]) -> list[str]:
    told = [history.told[place].event for place in order]
    return [f"{e['type']} {e['data']['object']['id']} at {e['created'] - histories.BEGAN}" for e in told]


@pytest.mark.property
def test_every_order_and_duplication_ends_as_the_oracle_says(record_property: Any) -> None:
    run = search(range(HISTORIES), ORDERS)
    record_property("permutations", run)
    print(f"{run} permutations of {HISTORIES} histories")
    assert run == HISTORIES * ORDERS


@pytest.mark.soak
@pytest.mark.property
@pytest.mark.parametrize("part", range(SOAK_PARTS))
def test_every_order_at_full_size(part: int, record_property: Any) -> None:
    size = SOAK_HISTORIES // SOAK_PARTS
    begin = 1_000_000 + part * size
    run = search(range(begin, begin + size), ORDERS)
    record_property("permutations", run)
    print(f"{run} permutations of {size} histories")
    assert run == size * ORDERS


# --- short histories, in every order there is ---


def paid_and_refunded(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    purchase.pay()
    purchase.refund(49900, ("succeeded",))


def refunded_and_bought_again(story: Story) -> None:
    paid_and_refunded(story)
    Purchase(story, 2, "intent", 49900).pay()


def refund_that_fails_after_it_succeeded(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    purchase.pay()
    purchase.refund(49900, ("succeeded", "failed"))


def declined_then_processing_in_one_second(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    with mock.patch.object(story, "wait"):
        purchase.decline()
        purchase.process()


def complete_session_whose_bank_refuses(story: Story) -> None:
    purchase = Purchase(story, 1, "checkout", 49900)
    purchase.process()
    purchase.bank_says(yes=False)


def dispute_lost_reviewed_and_lost_again(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    purchase.pay()
    purchase.dispute(("needs_response", "lost", "under_review", "lost"))


def canceled_and_a_free_session_after_it(story: Story) -> None:
    Purchase(story, 1, "intent", 49900).close()
    Purchase(story, 2, "checkout", 0).pay_nothing()


def two_paid_for_one_track(story: Story) -> None:
    Purchase(story, 1, "intent", 49900).pay()
    Purchase(story, 2, "checkout", 49900).pay()


def paid_by_a_stranger(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    purchase.stranger()
    purchase.close()


SHORT: list[Callable[[Story], None]] = [
    paid_and_refunded,
    refunded_and_bought_again,
    refund_that_fails_after_it_succeeded,
    declined_then_processing_in_one_second,
    complete_session_whose_bank_refuses,
    dispute_lost_reviewed_and_lost_again,
    canceled_and_a_free_session_after_it,
    two_paid_for_one_track,
    paid_by_a_stranger,
]


def written(tell: Callable[[Story], None], seed: str = "short") -> History:
    story = Story(seed)
    story.chance.random = lambda: 0.9  # type: ignore[method-assign]  # no charge.updated: six events are 720 orders
    tell(story)
    return story.history


@pytest.mark.property
@pytest.mark.parametrize("tell", SHORT, ids=lambda f: f.__name__)
def test_a_short_history_ends_the_same_in_every_order_there_is(
    tell: Callable[[Story], None], record_property: Any
) -> None:
    history = written(tell)
    chance = random.Random(1)
    every: Iterator[tuple[int, ...]] = itertools.permutations(range(len(history.told)))
    if len(history.told) > 6:  # 5,040 and more are too many here: a fair sample
        places = list(range(len(history.told)))
        every = iter([tuple(chance.sample(places, len(places))) for _ in range(400)])
    run = check(history, [list(order) for order in every], chance)
    record_property("permutations", run)
    assert run > 5


# --- the histories themselves ---


def test_a_seed_makes_the_same_history_again() -> None:
    assert histories.make("h7").told == histories.make("h7").told
    assert histories.make("h7").told != histories.make("h8").told


def test_the_histories_reach_every_end() -> None:
    made = [histories.make(f"h{seed}") for seed in range(400)]
    ends = [histories.oracle(history) for history in made]
    assert {s for end in ends for s in end.status.values()} == set(payments.STATUSES)
    assert {end.enrollment for end in ends} == {"PENDING", "ENROLLED", "WITHDRAWN", None}
    causes = {name.partition(":")[0] for end in ends for found in end.attention.values() for name, _ in found}
    assert causes == {"amount", "double", "dispute", "refund", "claim"}
    told = {told.event["type"] for history in made for told in history.told}
    assert told == stripe_events.EVENT_TYPES


def test_the_search_asks_stripe_and_delivers_duplicates() -> None:
    """Or it would hold only the easy half."""
    history = written(dispute_lost_reviewed_and_lost_again)
    with histories.answering(history) as stripe:
        histories.replay(stripe, range(len(history.told)), random.Random(1))
        assert stripe.pulls >= 4
    longest = max(len(order) for order in histories.orders(history, random.Random(1), 20))
    assert longest > len(history.told)


def simulated() -> dict[str, dict[str, Any]]:
    """The newest object of each kind that the simulator made of a purchase, its refund and a dispute."""
    stripe = Stripe(seed=1)
    version = {"Authorization": f"Bearer {stripe.secret_key}", "Stripe-Version": stripe_events.API_VERSION}
    line = (
        "line_items[0][quantity]=1&line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=49900"
    )
    product = "line_items[0][price_data][product_data][name]=DP"
    paid = "amount=49900&currency=usd&confirm=true&payment_method=pm_card"
    calls = [
        ("payment_intents", f"{paid}_visa"),
        ("payment_intents", f"{paid}_createDispute"),
        ("checkout/sessions", f"mode=payment&success_url=http://127.0.0.1/&{line}&{product}"),
    ]
    answers = [stripe.handle("POST", f"/v1/{path}", version, body.encode()).json() for path, body in calls]
    stripe.handle("POST", "/v1/refunds", version, f"payment_intent={answers[0]['id']}".encode())
    events = [json.loads(payload) for payload in stripe.webhooks.payloads.values()]
    objects = [*(event["data"]["object"] for event in events), answers[2]]
    return {obj["object"]: obj for obj in objects}


def test_the_shapes_are_those_of_the_simulator() -> None:
    """Every field that a history writes is Stripe's, and of the same type where both have a value."""
    theirs = simulated()
    ours = {
        told.event["data"]["object"]["object"]: told.event["data"]["object"]
        for seed in range(60)
        for told in histories.make(f"shape{seed}").told
    }
    assert ours.keys() == {"payment_intent", "checkout.session", "charge", "refund", "dispute"}
    for kind, obj in ours.items():
        for name, value in obj.items():
            if name == "failure_reason":  # only on a refund that failed
                continue
            assert name in theirs[kind], f"{kind}.{name}"
            both = value is not None and theirs[kind][name] is not None
            assert not both or type(value) is type(theirs[kind][name]), f"{kind}.{name}"


# --- the search finds what is planted ---


def last_word_wins(a: Facts, b: Facts) -> Facts:
    merged = MERGE(a, b)
    return replace(merged, phase=b.phase or a.phase)


MERGE = core_facts.merge
STATUS = payments.status


def closed_before_settled(facts: Facts) -> payments.Status:
    return "CANCELED" if facts.closed else STATUS(facts)


def newest_payment_decides(self: enrollment.Enrollment) -> enrollment.Status | None:
    """What a status set from the last payment looked at would be."""
    for last in list(self.standings.values())[-1:]:
        return "ENROLLED" if last.grants else "PENDING" if last.open else "WITHDRAWN" if last.granted else None
    return None


DEFECTS: dict[str, tuple[Any, str, Any]] = {
    "a phase is what came last": (core_facts, "merge", last_word_wins),
    "one second is not ambiguous": (stripe_events, "_is_ambiguous", lambda notice, payment: False),
    "a refund that succeeded cannot fail": (
        core_facts.REFUND_RANK,
        "",
        {"requires_action": 0, "pending": 1, "failed": 2, "canceled": 3, "succeeded": 4},
    ),
    "the worst state of a dispute stays": (
        core_facts,
        "_dispute_key",
        lambda d: (d.status == "lost", d.stamp, d.status, d.withdrawn),
    ),
    "a session that its bank refused stays open": (
        stripe_json,
        "failed_session",
        lambda session, at: stripe_json.of_session(session, at),
    ),
    "any object may settle a payment": (stripe_events, "_is_about_own_object", lambda notice, payment: True),
    "the newest attempt decides the enrollment": (enrollment.Enrollment, "status", property(newest_payment_decides)),
    "a pending refund is not given back": (payments, "COUNTED_REFUNDS", frozenset({"succeeded"})),
}


@pytest.mark.property
@pytest.mark.parametrize("name", DEFECTS)
def test_the_search_finds_a_planted_defect(name: str) -> None:
    where, attribute, planted = DEFECTS[name]
    patch = mock.patch.dict(where, planted) if isinstance(where, dict) else mock.patch.object(where, attribute, planted)
    with patch, pytest.raises(AssertionError, match="history h"):
        search(range(400), ORDERS)


def test_a_settled_payment_stays_settled_whatever_closes_it() -> None:
    """Its planted twin: an intent paid while somebody cancels it. Stripe refuses, but a session may say both."""
    history = written(lambda story: Purchase(story, 1, "intent", 49900).pay())
    closed = Facts(closed=core_facts.Closed(histories.BEGAN, "intent", "canceled"))
    paid = next(iter(replayed(history).payments.values()))
    assert paid.merged(closed).status == "SUCCEEDED"
    with mock.patch.object(payments, "status", closed_before_settled):
        assert paid.merged(closed).status == "CANCELED"


def replayed(history: History) -> Desk:
    with histories.answering(history) as stripe:
        return histories.replay(stripe, range(len(history.told)), random.Random(1))
