"""The costs of one plan of four monthly installments: calls to Stripe and units of DynamoDB, until it is paid.

Measured as `benchmarks/capacity.py` does, with handlers in this process, on DynamoDB Local and the simulator. The
collector runs only on the days on which something is due: its other runs read one empty index.

    make bench BENCH=plans
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.capacity import Meter
from local import dynamodb_local
from tests.harness import Harness, Student, client_for, create_tables, running_harness
from tests.plan_calls import begin, offer_plans
from tuition.core import timestamps

DAY = 86_400
BEGIN = "2026-03-10T12:00:00Z"
STEPS = {"announce": (24, 55, 85), "charge": (31, 62, 92)}
"""The days after the begin on which the collector announces and charges the installments 2, 3 and 4."""


def measure(plans: int) -> dict[str, Any]:
    """Return the figures of each part of a plan's life, per plan."""
    figures: dict[str, Any] = {}
    with dynamodb_local.running() as url, pytest.MonkeyPatch.context() as patch:
        client = client_for(url)
        create_tables(client)
        meter = Meter(client)
        with running_harness(client, patch) as tuition:
            offer_plans(patch.setattr)
            tuition.freeze_time(timestamps.epoch(BEGIN))
            _measure(tuition, meter, figures, plans)
    return figures


def _measure(tuition: Harness, meter: Meter, figures: dict[str, Any], plans: int) -> None:
    students = [Student(f"member-{number}") for number in range(plans)]
    with meter.part(tuition, figures, "begin", plans):
        opened = [begin(tuition, student).body for student in students]
    for one in opened:
        tuition.pay(one["payment_intent_id"])
    _deliver(tuition, meter, figures, "its events", plans)
    days = sorted((day, name) for name, each in STEPS.items() for day in each)
    passed = 0
    for day, name in days:
        tuition.advance_time((day - passed) * DAY)
        passed = day
        number = STEPS[name].index(day) + 2
        with meter.part(tuition, figures, f"{name} {number}", plans):
            assert tuition.collect()["done"]
        if name == "charge":
            _deliver(tuition, meter, figures, f"events of {number}", plans)
    items = tuition.tables.scan(TableName="plans")["Items"]
    assert {item["status"]["S"] for item in items} == {"COMPLETE"}, "the plans are paid"
    with meter.part(tuition, figures, "a run without anything due", 1):
        tuition.collect()


def _deliver(tuition: Harness, meter: Meter, figures: dict[str, Any], name: str, plans: int) -> None:
    tuition.advance_stripe(5)
    events = tuition.new_events()
    with meter.part(tuition, figures, name, plans):
        for event in events:
            tuition.deliver(event)


def report(figures: dict[str, Any], plans: int) -> str:
    """Return the figures as text, and their sum over a plan's life."""
    lines = [(__doc__ or "").partition("\n")[0], f"Per plan, the mean of {plans} plans.", ""]
    lines.append(f"{'part':<28}{'Stripe calls':>14}{'DynamoDB calls':>16}{'read units':>12}{'write units':>13}")
    total: Counter[str] = Counter()
    for name, one in figures.items():
        row = {
            "stripe": sum(one["stripe_calls"].values()),
            "calls": one["dynamodb_calls"],
            "read": one["read_units"],
            "write": sum(one["write_units"].values()),
        }
        if not name.startswith("a run"):
            total.update(row)
        lines.append(_line(name, row))
    lines += [_line("all of a plan", total), "", "Stripe calls of the charge of installment 2:"]
    lines += [f"  {number:g}  {call}" for call, number in figures["charge 2"]["stripe_calls"].items()]
    return "\n".join(lines) + "\n"


def _line(name: str, row: Any) -> str:
    return f"{name:<28}{row['stripe']:>14.1f}{row['calls']:>16.1f}{row['read']:>12.1f}{row['write']:>13.1f}"


def main() -> int:
    """Measure, print the figures, and write them to a file."""
    parser = argparse.ArgumentParser(prog="benchmarks.plans", description=__doc__.split("\n")[0])
    parser.add_argument("--plans", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    text = report(measure(options.plans), options.plans)
    options.out.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
