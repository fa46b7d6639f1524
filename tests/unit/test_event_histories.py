"""Events of one student's payments lead to the same, correct state in any order and with duplicates.

`make soak` runs the full-size search. A failure prints the seed of its history and the order of its events.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from stripe_simulator.server import Stripe
from tests.unit import event_histories
from tests.unit.event_histories import History, InMemoryLedger, Purchase, Story
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


def search(seeds: Iterable[int], orders: int) -> int:
    """Replay every history in this many orders and return the number of replays."""
    replays = 0
    for seed in seeds:
        history = event_histories.make(f"h{seed}")
        rng = random.Random(f"orders:{seed}")
        replays += check(history, list(event_histories.orders(history, rng, orders)), rng)
    return replays


def check(history: History, orders: list[list[int]], rng: random.Random) -> int:
    """Assert that each order reaches the oracle's final state, and that all orders reach the same facts."""
    expected = event_histories.oracle(history)
    first: InMemoryLedger | None = None
    with event_histories.stripe_answers_from(history) as stripe:
        for number, order in enumerate(orders):
            ledger = event_histories.replay(stripe, order, rng, reapply=bool(number % 2))
            description = f"history {history.seed}, order {order}"
            assert ledger.final_state() == expected, f"{description}: {describe_events(history, order)}"
            first = first or ledger
            for payment_id, payment in ledger.payments.items():
                same = sync.differs_only_in_time(comparable(first.payments[payment_id]), comparable(payment))
                assert same, f"{description}: the facts of {payment_id} differ"
    return len(orders)


def comparable(payment: Payment) -> Payment:
    """Return the payment without its version and without the facts that depend on when Stripe was asked.

    These facts are the charges that wait for a bank, which no event reports, the reason that an open payment shows
    after two failures in one second, and whether Stripe's API has confirmed what settled the payment.
    """
    facts = payment.facts
    charges = {charge_id: charge for charge_id, charge in facts.charges.items() if charge.status != "pending"}
    phase = replace(facts.phase, code=None, message=None) if facts.phase else None
    return replace(payment, version=0, facts=replace(facts, charges=charges, phase=phase, confirmed=None))


def describe_events(history: History, order: list[int]) -> list[str]:
    events = [history.events[position] for position in order]
    return [f"{e['type']} {e['data']['object']['id']} at {e['created'] - event_histories.STARTED_AT}" for e in events]


@pytest.mark.property
def test_every_order_with_duplicates_reaches_the_final_state_of_the_oracle(record_property: Any) -> None:
    replays = search(range(HISTORIES), ORDERS)
    record_property("permutations", replays)
    print(f"{replays} permutations of {HISTORIES} histories")
    assert replays == HISTORIES * ORDERS


@pytest.mark.soak
@pytest.mark.property
@pytest.mark.parametrize("part", range(SOAK_PARTS))
def test_the_full_size_search_reaches_the_final_state_of_the_oracle(part: int, record_property: Any) -> None:
    size = SOAK_HISTORIES // SOAK_PARTS
    start = 1_000_000 + part * size
    replays = search(range(start, start + size), ORDERS)
    record_property("permutations", replays)
    print(f"{replays} permutations of {size} histories")
    assert replays == size * ORDERS


# --- short histories in every possible order ---


def paid_and_refunded(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    purchase.pay()
    purchase.refund(49900, ("succeeded",))


def refunded_and_bought_again(story: Story) -> None:
    paid_and_refunded(story)
    Purchase(story, 2, "intent", 49900).pay()


def refund_fails_after_it_succeeded(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    purchase.pay()
    purchase.refund(49900, ("succeeded", "failed"))


def declined_then_processing_in_one_second(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    with mock.patch.object(story, "wait"):
        purchase.decline()
        purchase.process()


def complete_session_declined_by_the_bank(story: Story) -> None:
    purchase = Purchase(story, 1, "checkout", 49900)
    purchase.process()
    purchase.bank_answers(approved=False)


def dispute_lost_then_reviewed_then_lost_again(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    purchase.pay()
    purchase.dispute(("needs_response", "lost", "under_review", "lost"))


def canceled_then_free_session(story: Story) -> None:
    Purchase(story, 1, "intent", 49900).close()
    Purchase(story, 2, "checkout", 0).complete_free_session()


def paid_twice_for_one_track(story: Story) -> None:
    Purchase(story, 1, "intent", 49900).pay()
    Purchase(story, 2, "checkout", 49900).pay()


def duplicate_intent_paid(story: Story) -> None:
    purchase = Purchase(story, 1, "intent", 49900)
    purchase.pay_duplicate_intent()
    purchase.close()


SHORT: list[Callable[[Story], None]] = [
    paid_and_refunded,
    refunded_and_bought_again,
    refund_fails_after_it_succeeded,
    declined_then_processing_in_one_second,
    complete_session_declined_by_the_bank,
    dispute_lost_then_reviewed_then_lost_again,
    canceled_then_free_session,
    paid_twice_for_one_track,
    duplicate_intent_paid,
]


def write_history(script: Callable[[Story], None], seed: str = "short") -> History:
    story = Story(seed)
    story.rng.random = lambda: 0.9  # type: ignore[method-assign]  # no charge.updated: six events have 720 orders
    script(story)
    return story.history


@pytest.mark.property
@pytest.mark.parametrize("script", SHORT, ids=lambda f: f.__name__)
def test_a_short_history_reaches_the_same_state_in_every_order(
    script: Callable[[Story], None], record_property: Any
) -> None:
    history = write_history(script)
    rng = random.Random(1)
    orders: Iterator[tuple[int, ...]] = itertools.permutations(range(len(history.events)))
    if len(history.events) > 6:  # seven events have 5,040 orders, so we test a random sample of them
        positions = list(range(len(history.events)))
        orders = iter([tuple(rng.sample(positions, len(positions))) for _ in range(400)])
    replays = check(history, [list(order) for order in orders], rng)
    record_property("permutations", replays)
    assert replays > 5


# --- properties of the histories ---


def test_equal_seeds_give_equal_histories() -> None:
    assert event_histories.make("h7").events == event_histories.make("h7").events
    assert event_histories.make("h7").events != event_histories.make("h8").events


def test_the_histories_cover_every_status_attention_reason_and_event_type() -> None:
    histories = [event_histories.make(f"h{seed}") for seed in range(400)]
    final_states = [event_histories.oracle(history) for history in histories]
    assert {s for state in final_states for s in state.status.values()} == set(payments.STATUSES)
    assert {state.enrollment for state in final_states} == {"PENDING", "ENROLLED", "WITHDRAWN", None}
    names = {name for state in final_states for reasons in state.attention.values() for name, _ in reasons}
    assert {name.partition(":")[0] for name in names} == {
        "amount",
        "double",
        "dispute",
        "fraud_warning",
        "refund",
        "claim",
    }
    assert {event["type"] for history in histories for event in history.events} == set(stripe_events.EVENT_TYPES)


def test_the_search_sends_requests_to_stripe_and_delivers_duplicates() -> None:
    history = write_history(dispute_lost_then_reviewed_then_lost_again)
    with event_histories.stripe_answers_from(history) as stripe:
        event_histories.replay(stripe, range(len(history.events)), random.Random(1))
        assert stripe.requests >= 4
    longest = max(len(order) for order in event_histories.orders(history, random.Random(1), 20))
    assert longest > len(history.events)


def simulated() -> dict[str, dict[str, Any]]:
    """Return the simulator's newest object of each type after a purchase, its refund and a dispute."""
    stripe = Stripe(seed=1)
    version = {"Authorization": f"Bearer {stripe.secret_key}", "Stripe-Version": stripe_events.API_VERSION}
    line = (
        "line_items[0][quantity]=1&line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=49900"
    )
    product = "line_items[0][price_data][product_data][name]=DP"
    payment = "amount=49900&currency=usd&confirm=true&return_url=https://x/&payment_method=pm_card"
    calls = [
        ("payment_intents", f"{payment}_visa"),
        ("payment_intents", f"{payment}_createDispute"),
        ("payment_intents", f"{payment}_createIssuerFraudRecord"),
        ("checkout/sessions", f"mode=payment&success_url=http://127.0.0.1/&{line}&{product}"),
    ]
    responses = [stripe.handle("POST", f"/v1/{path}", version, body.encode()).json() for path, body in calls]
    stripe.handle("POST", "/v1/refunds", version, f"payment_intent={responses[0]['id']}".encode())
    events = [json.loads(payload) for payload in stripe.webhooks.payloads.values()]
    objects = [*(event["data"]["object"] for event in events), responses[3]]
    return {obj["object"]: obj for obj in objects}


def test_the_objects_of_a_history_have_the_fields_and_types_of_the_simulator() -> None:
    theirs = simulated()
    ours = {
        event["data"]["object"]["object"]: event["data"]["object"]
        for seed in range(60)
        for event in event_histories.make(f"shape{seed}").events
    }
    warning = "radar.early_fraud_warning"
    assert ours.keys() == {"payment_intent", "checkout.session", "charge", "refund", "dispute", warning}
    for kind, obj in ours.items():
        for name, value in obj.items():
            if name == "failure_reason":  # Stripe sets it on failed refunds only
                continue
            assert name in theirs[kind], f"{kind}.{name}"
            both = value is not None and theirs[kind][name] is not None
            assert not both or type(value) is type(theirs[kind][name]), f"{kind}.{name}"


# --- planted defects ---


def last_phase_wins(a: Facts, b: Facts) -> Facts:
    merged = MERGE(a, b)
    return replace(merged, phase=b.phase or a.phase)


MERGE = core_facts.merge
STATUS = payments.status


def closed_before_settled(facts: Facts) -> payments.Status:
    return "CANCELED" if facts.closed else STATUS(facts)


def newest_payment_decides(self: enrollment.Enrollment) -> enrollment.Status | None:
    """Derive the status from the newest payment and ignore the others."""
    for last in list(self.standings.values())[-1:]:
        return "ENROLLED" if last.grants else "PENDING" if last.open else "WITHDRAWN" if last.granted else None
    return None


DEFECTS: dict[str, tuple[Any, str, Any]] = {
    "the last phase to arrive wins": (core_facts, "merge", last_phase_wins),
    "events within one second are never ambiguous": (stripe_events, "_is_ambiguous", lambda notice, payment: False),
    "a refund that succeeded cannot fail": (
        core_facts.REFUND_RANK,
        "",
        {"requires_action": 0, "pending": 1, "failed": 2, "canceled": 3, "succeeded": 4},
    ),
    "a lost dispute stays lost": (
        core_facts,
        "_dispute_key",
        lambda d: (d.status == "lost", d.stamp, d.status, d.withdrawn),
    ),
    "a session declined by the bank stays open": (
        stripe_json,
        "failed_session",
        lambda session, at: stripe_json.of_session(session, at),
    ),
    "any object settles a payment": (stripe_events, "_is_about_own_object", lambda notice, payment: True),
    "the newest attempt decides the enrollment": (enrollment.Enrollment, "status", property(newest_payment_decides)),
    "a pending refund does not count as refunded": (payments, "COUNTED_REFUNDS", frozenset({"succeeded"})),
}


@pytest.mark.property
@pytest.mark.parametrize("name", DEFECTS)
def test_the_search_finds_a_planted_defect(name: str) -> None:
    target, attribute, defect = DEFECTS[name]
    is_dict = isinstance(target, dict)
    patch = mock.patch.dict(target, defect) if is_dict else mock.patch.object(target, attribute, defect)
    with patch, pytest.raises(AssertionError, match="history h"):
        search(range(400), ORDERS)


def test_a_settled_payment_stays_settled_after_it_is_closed() -> None:
    """A session can be both paid and closed, although Stripe refuses to cancel a paid intent."""
    history = write_history(lambda story: Purchase(story, 1, "intent", 49900).pay())
    closed = Facts(closed=core_facts.Closed(event_histories.STARTED_AT, "intent", "canceled"))
    paid = next(iter(replay_in_order(history).payments.values()))
    assert paid.merged(closed).status == "SUCCEEDED"
    with mock.patch.object(payments, "status", closed_before_settled):
        assert paid.merged(closed).status == "CANCELED"


def replay_in_order(history: History) -> InMemoryLedger:
    with event_histories.stripe_answers_from(history) as stripe:
        return event_histories.replay(stripe, range(len(history.events)), random.Random(1))
