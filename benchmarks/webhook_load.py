"""Thousands of events, shuffled and some duplicated, through the real webhook handler on DynamoDB Local.

tests/chaos/webhook_load.py says how. The exit code is 1 if an event was lost or duplicated.

    make bench BENCH=webhook_load ARGS="--payments 5000"
"""

import argparse
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local import dynamodb_local
from tests import consistency
from tests.harness import Harness, Student, client_for, create_tables, running_harness
from tuition import metrics
from tuition.stripe_events import TYPES

FIGURES = Path(__file__).with_suffix(".txt")


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
            f"payments               {figures['payments']}  {figures['outcomes']}",
            f"events                 {figures['events']}",
            f"deliveries             {figures['deliveries']}  {duplicated}",
            f"deliveries per second  {rate:.0f}  in {figures['delivery_s']:.0f} s",
            f"ms per delivery        p50 {ms[49]}, p95 {ms[94]}, p99 {ms[98]}",
            f"creates per second     {figures['payments'] / figures['purchase_s']:.0f}  one after the other",
            f"audit records          {figures['records']}",
            f"events lost            {figures['lost']}",
            f"contradictions         {len(figures['wrong'])}",
            "",
        ]
    )


def main() -> int:
    """Measure, print the figures, and write them to a file. Return 1 if an event was lost or duplicated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TUITION_SEED", "1")))
    options = parser.parse_args()

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with dynamodb_local.running() as url:
        client = client_for(url)
        create_tables(client)
        figures = run(client, options.payments, options.seed, progress)
    command = f'make bench BENCH=webhook_load ARGS="--payments {options.payments} --seed {options.seed}"'
    text = report(figures, command)
    print(text, end="")
    FIGURES.write_text(text)
    for contradiction in figures["wrong"][:20]:
        progress(contradiction)
    return 1 if figures["wrong"] or figures["lost"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
