"""Thousands of events, shuffled and some of them twice, through the real webhook handler on DynamoDB Local.

    make bench BENCH=webhook_load ARGS="--payments 5000"

Purchases are made by the real create handler against the simulator: most are paid at once, some are declined first,
some refunded, some left open, some disputed. Then all their events come in one shuffled stream, every tenth twice, over
several threads. What is answered 5xx comes again, as from Stripe. At the end the books are read: nothing may be lost,
nothing doubled.
"""

import argparse
import os
import platform
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local import dynamodb_local
from tests import consistency
from tests.harness import Harness, Student, client_for, create_tables, running_harness
from tuition import metrics
from tuition.stripe_events import TYPES

FIGURES = Path(__file__).with_suffix(".txt")
THREADS = 8
TWICE = 0.1
WAVES = 20
Event = dict[str, Any]


def purchases(w: Harness, count: int, chance: random.Random, say: Callable[[str], None]) -> Counter[str]:
    """That many purchases, and what became of them at Stripe; Tuition has been told nothing yet."""
    ends: Counter[str] = Counter()
    for number in range(count):
        intent = w.create(Student(f"load-{number}"), chance.choice(("DP", "FSD"))).body["payment_intent_id"]
        end = chance.choices(("paid", "declined first", "refunded", "disputed", "left open"), (85, 5, 4, 1, 5))[0]
        ends[end] += 1
        if end == "left open":
            continue
        if end == "declined first":
            w.pay(intent, "pm_card_chargeDeclined")
        w.pay(intent)
        if end == "refunded":
            w.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=chance.choice((49_900, 20_000)))
        if end == "disputed":
            w.at_stripe("POST", "/_sim/disputes", payment_intent=intent, status="lost")
        if number % 500 == 499:
            say(f"{number + 1} purchases made")
    w.advance_stripe(5)
    return ends


def deliver(w: Harness, events: list[Event]) -> tuple[list[float], Counter[int]]:
    """Deliver them over several threads, again what was answered 5xx: seconds of each delivery, answers by status."""
    seconds: list[float] = []
    answers: Counter[int] = Counter()

    def one(event: Event) -> tuple[Event, int]:
        began = time.perf_counter()
        status = w.deliver(event).status
        seconds.append(time.perf_counter() - began)
        return event, status

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(WAVES):
            ended = list(pool.map(one, events))
            answers.update(status for _, status in ended)
            events = [event for event, status in ended if status >= 500]
            if not events:
                break
    return seconds, answers


def run(client: Any, count: int, seed: int, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The whole of it; what was measured, and under `wrong` what the books say."""
    chance = random.Random(seed)
    real_sleep = time.sleep
    with pytest.MonkeyPatch.context() as patch, running_harness(client, patch, seed=seed) as w:
        patch.setattr(time, "sleep", real_sleep)
        patch.setattr(metrics, "count", lambda name: None)
        began = time.perf_counter()
        ends = purchases(w, count, chance, say)
        made_s = time.perf_counter() - began
        events = w.new_events()
        stream = events + [event for event in events if chance.random() < TWICE]
        chance.shuffle(stream)
        say(f"{len(events)} events, {len(stream)} deliveries begin")
        began = time.perf_counter()
        seconds, answers = deliver(w, stream)
        told_s = time.perf_counter() - began
        w.advance_stripe(5)
        deliver(w, w.new_events())
        read = consistency.read_snapshot(client, w.stripe.account.store.objects)
    recorded = {record["event_id"] for trail in read.records.values() for record in trail}
    return {
        "payments": count,
        "ends": dict(ends),
        "events": len(events),
        "deliveries": len(seconds),
        "answers": dict(sorted(answers.items())),
        "made_s": made_s,
        "told_s": told_s,
        "ms": [round(value * 1000, 1) for value in statistics.quantiles(seconds, n=100)],
        "lost": len([event for event in events if event["type"] in TYPES and event["id"] not in recorded]),
        "records": sum(len(trail) for trail in read.records.values()),
        "wrong": consistency.violations_when_idle(read),
        "stripe_calls": len(w.stripe_calls),
    }


def text(found: dict[str, Any], command: str) -> str:
    """The figures, with the command that made them."""
    ms = found["ms"]
    rate = found["deliveries"] / found["told_s"]
    return "\n".join(
        [
            f"$ {command}",
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {os.cpu_count()} processors,"
            f" load {os.getloadavg()[0]:.1f} at the end, DynamoDB Local in memory, one process of {THREADS} threads",
            "",
            f"payments               {found['payments']}  {found['ends']}",
            f"events                 {found['events']}",
            f"deliveries             {found['deliveries']}  shuffled, one in ten twice; answered {found['answers']}",
            f"deliveries a second    {rate:.0f}  in {found['told_s']:.0f} s",
            f"ms a delivery          p50 {ms[49]}, p95 {ms[94]}, p99 {ms[98]}",
            f"creates a second       {found['payments'] / found['made_s']:.0f}  one after the other",
            f"audit records          {found['records']}",
            f"events lost            {found['lost']}",
            f"wrong in the books     {len(found['wrong'])}",
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TUITION_SEED", "1")))
    asked = parser.parse_args()

    def say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    with dynamodb_local.running() as url:
        client = client_for(url)
        create_tables(client)
        found = run(client, asked.payments, asked.seed, say)
    figures = text(found, f'make bench BENCH=webhook_load ARGS="--payments {asked.payments} --seed {asked.seed}"')
    print(figures, end="")
    FIGURES.write_text(figures)
    for what in found["wrong"][:20]:
        say(what)
    return 1 if found["wrong"] or found["lost"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
