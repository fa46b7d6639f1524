"""The costs of one purchase: calls to Stripe, DynamoDB units by table and index, requests, and milliseconds.

The handlers run in this process, on a DynamoDB Local that reports the capacity of each call and on the simulator. A
second's share of the processor includes the simulator's own. tools/capacity.py computes from the figures where each
part breaks, and tools/costs.py what it costs.

    make bench BENCH=capacity
"""

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local import dynamodb_local
from tests.harness import Harness, Student, client_for, create_tables, running_harness
from tuition.intake import audit_run

HOUR = 3600
PAUSE_S = 120
"""After a run, so that its walk does not list the next purchases, and the next walk does."""
CHECKS_AT_H = (1, 6, 24, 72)
ID = re.compile(r"/(pi|cs|cus|ch|re|dp)_[A-Za-z0-9_]+")


class Meter:
    """The costs of the calls since the last reading."""

    def __init__(self, client: Any) -> None:
        self.write_units: Counter[str] = Counter()
        self.read_units = 0.0
        self.calls = 0
        client.meta.events.register("provide-client-params.dynamodb", self._request_capacity)
        client.meta.events.register("after-call.dynamodb", self._add)

    def _request_capacity(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
        reports_capacity = "ReturnConsumedCapacity" in model.input_shape.members
        return {**params, "ReturnConsumedCapacity": "INDEXES"} if reports_capacity else params

    def _add(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls += 1
        consumed = parsed.get("ConsumedCapacity", [])
        for one in consumed if isinstance(consumed, list) else [consumed]:
            if model.name in ("GetItem", "BatchGetItem", "Query", "Scan"):
                self.read_units += one["CapacityUnits"]
                continue
            self.write_units[one["TableName"]] += one.get("Table", {}).get("CapacityUnits", 0)
            for index, units in one.get("GlobalSecondaryIndexes", {}).items():
                self.write_units[f"{one['TableName']}/{index}"] += units["CapacityUnits"]

    @contextmanager
    def part(self, tuition: Harness, figures: dict[str, Any], name: str, purchases: int) -> Iterator[None]:
        """Store what the calls in this context cost, per purchase."""
        self.write_units.clear()
        self.read_units = 0.0
        self.calls = 0
        tuition.stripe_calls.clear()
        started = time.process_time()
        yield
        stripe = Counter(ID.sub("/{id}", call) for call in tuition.stripe_calls)
        figures[name] = {
            "stripe_calls": {call: round(number / purchases, 3) for call, number in sorted(stripe.items())},
            "dynamodb_calls": round(self.calls / purchases, 2),
            "read_units": round(self.read_units / purchases, 2),
            "write_units": {target: round(n / purchases, 2) for target, n in sorted(self.write_units.items()) if n},
            "processor_ms": round((time.process_time() - started) * 1000 / purchases, 1),
        }


def measure(purchases: int) -> dict[str, Any]:
    """Return the figures of each part of a purchase's life."""
    figures: dict[str, Any] = {}
    with dynamodb_local.running() as url, pytest.MonkeyPatch.context() as patch:
        client = client_for(url)
        create_tables(client)
        meter = Meter(client)
        with running_harness(client, patch) as tuition:
            tuition.reconcile()
            _measure_purchases(tuition, meter, figures, purchases)
            _measure_abandoned(tuition, meter, figures, purchases)
    return figures


def _measure_purchases(tuition: Harness, meter: Meter, figures: dict[str, Any], purchases: int) -> None:
    tuition.advance_time(PAUSE_S)
    students = [Student(f"buyer-{number}") for number in range(purchases)]
    with meter.part(tuition, figures, "create", purchases):
        created = [tuition.create(student).body for student in students]
    for one in created:
        tuition.pay(one["payment_intent_id"])
    tuition.advance_stripe(5)
    events = tuition.new_events()
    with meter.part(tuition, figures, "webhook", purchases):
        for event in events:
            tuition.deliver(event)
    figures["webhook"]["events"] = round(len(events) / purchases, 2)
    tuition.advance_time(60)
    for name in ("first walk", "second walk"):
        with meter.part(tuition, figures, name, purchases):
            assert tuition.reconcile()["done"]
        tuition.advance_time(HOUR)
    _measure_audit(tuition, meter, figures, purchases)
    _measure_drift(tuition, meter, figures, purchases)


def _measure_audit(tuition: Harness, meter: Meter, figures: dict[str, Any], purchases: int) -> None:
    """The audit of the day of the purchases, of the day after, which has the records of the first, and a whole scan."""
    tuition.advance_time(24 * HOUR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_run, "_must_scan", lambda *_: False)
        for name in ("audit", "audit of its records"):
            with meter.part(tuition, figures, name, purchases):
                assert tuition.run_audit()["done"]
            tuition.advance_time(24 * HOUR)
    with pytest.MonkeyPatch.context() as patch, meter.part(tuition, figures, "scan", purchases):
        patch.setattr(audit_run, "SEGMENTS", 1)  # the tasks of many segments count only in a small table
        assert tuition.run_audit()["users"] == purchases


def _measure_drift(tuition: Harness, meter: Meter, figures: dict[str, Any], purchases: int) -> None:
    """Purchases whose webhooks have not arrived: students look at some, and the reconciler finds the others."""
    tuition.reconcile()
    tuition.advance_time(PAUSE_S)
    students = [Student(f"unlucky-{number}") for number in range(2 * purchases)]
    created = [tuition.create(student).body for student in students]
    for one in created:
        tuition.pay(one["payment_intent_id"])
    tuition.new_events()
    with meter.part(tuition, figures, "status", purchases):
        for student, one in zip(students[:purchases], created[:purchases], strict=True):
            tuition.status(student, one["payment_id"])
    tuition.advance_time(60)
    with meter.part(tuition, figures, "drift", len(students)):  # no event of any has arrived
        assert tuition.reconcile()["drifted"] == purchases


def _measure_abandoned(tuition: Harness, meter: Meter, figures: dict[str, Any], purchases: int) -> None:
    """Open payments that are never paid, until the reconciler has closed them."""
    tuition.advance_time(2 * HOUR)
    tuition.reconcile()
    tuition.advance_time(PAUSE_S)
    for number in range(purchases):
        tuition.create(Student(f"visitor-{number}"))
    for event in tuition.new_events():
        tuition.deliver(event)
    with meter.part(tuition, figures, "abandoned", purchases):
        hour = 0
        for check in CHECKS_AT_H:
            tuition.advance_time((check - hour) * HOUR + 60)
            hour = check
            tuition.reconcile()
        events = tuition.new_events()
        for event in events:
            tuition.deliver(event)


def main() -> int:
    """Measure, print the figures, and write them to a file."""
    parser = argparse.ArgumentParser(prog="benchmarks.capacity", description=__doc__.split("\n")[0])
    parser.add_argument("--purchases", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="the file of the figures")
    options = parser.parse_args()
    text = json.dumps({"purchases": options.purchases, **measure(options.purchases)}, indent=1) + "\n"
    options.out.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
