"""Put thousands of events, shuffled and some duplicated, through the real webhook handler on DynamoDB Local.

The real create handler makes the purchases against the simulator: most are paid at once, and some are declined first,
refunded, disputed, or left open. All their events then arrive in one shuffled stream over several threads, every tenth
event twice. A delivery answered with 5xx is retried, as Stripe does. At the end the tables are compared with Stripe:
nothing may be lost or duplicated.
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import consistency
from tests.harness import Harness, Student, running_harness
from tuition import metrics
from tuition.intake.stripe_events import EVENT_TYPES

THREADS = 8
DUPLICATED = 0.1
MAX_RETRIES = 20
Event = dict[str, Any]


def purchases(w: Harness, count: int, rng: random.Random, progress: Callable[[str], None]) -> Counter[str]:
    """Make purchases and bring each to its outcome at Stripe, without delivering any event. Return the outcomes."""
    outcomes: Counter[str] = Counter()
    for number in range(count):
        intent = w.create(Student(f"load-{number}"), rng.choice(("DP", "FSD"))).body["payment_intent_id"]
        outcome = rng.choices(("paid", "declined first", "refunded", "disputed", "left open"), (85, 5, 4, 1, 5))[0]
        outcomes[outcome] += 1
        if outcome == "left open":
            continue
        if outcome == "declined first":
            w.pay(intent, "pm_card_chargeDeclined")
        w.pay(intent)
        if outcome == "refunded":
            w.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=rng.choice((49_900, 20_000)))
        if outcome == "disputed":
            w.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="lost")
        if number % 500 == 499:
            progress(f"{number + 1} purchases made")
    w.advance_stripe(5)
    return outcomes


def deliver(w: Harness, events: list[Event]) -> tuple[list[float], Counter[int]]:
    """Deliver events over several threads, retrying 5xx. Return each delivery's seconds, and the count per status."""
    seconds: list[float] = []
    statuses: Counter[int] = Counter()

    def deliver_one(event: Event) -> tuple[Event, int]:
        started = time.perf_counter()
        status = w.deliver(event).status
        seconds.append(time.perf_counter() - started)
        return event, status

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(MAX_RETRIES):
            results = list(pool.map(deliver_one, events))
            statuses.update(status for _, status in results)
            events = [event for event, status in results if status >= 500]
            if not events:
                break
    return seconds, statuses


def run(client: Any, count: int, seed: int, progress: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Make the purchases, deliver their events, and compare the tables with Stripe. Return the figures.

    `wrong` lists the contradictions between the tables and Stripe; `lost` counts events that no audit record names.
    """
    rng = random.Random(seed)
    real_sleep = time.sleep
    with pytest.MonkeyPatch.context() as patch, running_harness(client, patch, seed=seed) as w:
        patch.setattr(time, "sleep", real_sleep)
        patch.setattr(metrics, "count", lambda *_: None)
        started = time.perf_counter()
        outcomes = purchases(w, count, rng, progress)
        purchase_s = time.perf_counter() - started
        events = w.new_events()
        stream = events + [event for event in events if rng.random() < DUPLICATED]
        rng.shuffle(stream)
        progress(f"delivering {len(events)} events {len(stream)} times")
        started = time.perf_counter()
        seconds, statuses = deliver(w, stream)
        delivery_s = time.perf_counter() - started
        w.advance_stripe(5)
        deliver(w, w.new_events())
        read = consistency.read_snapshot(client, w.stripe.account.store.objects)
    recorded = {record["event_id"] for trail in read.records.values() for record in trail}
    return {
        "payments": count,
        "outcomes": dict(outcomes),
        "events": len(events),
        "deliveries": len(seconds),
        "statuses": dict(sorted(statuses.items())),
        "purchase_s": purchase_s,
        "delivery_s": delivery_s,
        "ms": [round(value * 1000, 1) for value in statistics.quantiles(seconds, n=100)],
        "lost": len([event for event in events if event["type"] in EVENT_TYPES and event["id"] not in recorded]),
        "records": sum(len(trail) for trail in read.records.values()),
        "wrong": consistency.violations_when_idle(read),
        "stripe_calls": len(w.stripe_calls),
    }
