"""A minute of card testing and a minute of status requests: the cards tested, and the calls to Stripe.

The handlers run in this process over tables in moto. Only the clocks advance, so the figures are the same everywhere.

    make bench BENCH=card_testing ARGS="--attempts 964"
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from moto import mock_aws

import payment_status
from tests.harness import Harness, Student, client_for, create_tables, running_harness
from tuition import metrics
from tuition.payments import status

MINUTE_S = 60
POLLS_PER_S = 10
BURST = 16
"""The cards that the attacker tries on one payment before the first webhook arrives."""


@contextmanager
def new_harness(metric_counts: Counter[str]) -> Iterator[Harness]:
    """Provide a harness over empty tables. Metrics are counted instead of printed."""

    def count(name: str, number: int = 1) -> None:
        metric_counts[name] += number

    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        tables = client_for(None)
        create_tables(tables)
        with running_harness(tables, patch) as harness:
            patch.setattr(status, "SYNC_INTERVAL_S", 5)
            patch.setattr(metrics, "count", count)
            yield harness


def attack(attempts: int) -> list[str]:
    """Try `BURST` cards on each payment before its webhooks arrive, then create the next. Return the figures."""
    metric_counts, answers = Counter[str](), Counter[int]()
    start, declined = time.time(), 0
    with new_harness(metric_counts) as harness:
        for number in range(attempts):
            harness.freeze_time(start + number * MINUTE_S / attempts)
            if number % BURST == 0:
                harness.deliver_all()
                response = harness.create(Student("thief"))
                answers[response.status] += 1
            if response.status in (200, 201):
                error = harness.pay(response.body["payment_intent_id"], "pm_card_chargeDeclined").get("error", {})
                declined += error.get("code") == "card_declined"
        harness.deliver_all()
        calls = len(harness.stripe_calls)
    return [
        f"one account, attempts in {MINUTE_S} s: {attempts}",
        f"  cards tested: {declined}",
        "  answers of creates: " + ", ".join(f"{count} x {code}" for code, count in sorted(answers.items())),
        f"  our calls to Stripe: {calls}",
        f"  metric ChargeDeclined: {metric_counts['ChargeDeclined']}",
    ]


def poll() -> list[str]:
    """Ask for the status of an open payment, each time in another container. Return the figures."""
    student, start, requests = Student("student"), time.time(), MINUTE_S * POLLS_PER_S
    with new_harness(Counter()) as harness:
        harness.freeze_time(start)
        payment_id = harness.create(student).body["payment_id"]
        harness.stripe_calls.clear()
        for number in range(requests):
            harness.freeze_time(start + number / POLLS_PER_S)
            harness.call(payment_status.handler, student, path={"payment_intent_id": payment_id})
        calls = len(harness.stripe_calls)
    return [
        f"status requests in {MINUTE_S} s for an open payment, each in another container: {requests}",
        f"  calls to Stripe: {calls}",
    ]


def main() -> None:
    """Measure, print the figures, and write them to a file."""
    parser = argparse.ArgumentParser(prog="benchmarks.card_testing", description=__doc__.split("\n")[0])
    parser.add_argument("--attempts", type=int, default=964)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    text = "\n".join([*attack(options.attempts), *poll()]) + "\n"
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
