"""The overview's figures equal the payments at 10,000 payments, and how long its first view takes.

It writes the payments into a DynamoDB Local (`tests.tables.read_capacity`), counts them with a full recount, and adds
them up once more on its own. It prints the time and the read units of each request of the first view. The exit code is
1 if a figure differs.

    make bench BENCH=overview ARGS="--payments 10000"
"""

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from local import dynamodb_local
from tests.tables.read_capacity import ADMIN, empty_world, fill, payment
from tuition import clock
from tuition.core import timestamps
from tuition.outbox import recount

ANALYTICS = "GET /api/admin/analytics"
REPEATS = 5
YEAR_DAYS = 365


def expected(size: int, now: float) -> dict[str, int]:
    """Return the figures of all payments in US dollars, added up without a roll-up."""
    sums: dict[str, int] = defaultdict(int)
    for number in range(size):
        facts, price = payment(number, size, now).facts, payment(number, size, now).price
        sums["payments"] += 1
        sums["created"] += price.amount
        sums["settled"] += facts.settled.amount if facts.settled else 0
        sums["refunded"] += sum(refund.amount for refund in facts.refunds.values())
    return dict(sums)


def first_view(first: str, last: str) -> list[tuple[str, dict[str, str]]]:
    """Return the requests that the overview makes for a range."""
    days = {"from": first, "to": last}
    return [
        (ANALYTICS, {**days, "by": "day"}),
        (f"{ANALYTICS}/details", days),
        ("GET /api/admin/refund-requests", {"limit": "1"}),
        ("GET /api/admin/disputes", {"state": "open", "limit": "50"}),
    ]


def measure(size: int) -> tuple[str, bool]:
    """Return the report, and whether all figures are equal."""
    lines = [__doc__.split("\n")[0], ""]
    with dynamodb_local.running() as url, empty_world(url) as (tuition, meter):
        now = clock.now()
        fill(tuition.tables, 0, size, now)
        started = time.monotonic()
        report = recount.full(lambda: float("inf"))
        lines.append(f"{report['payments']:,} payments counted in {time.monotonic() - started:.0f} s by a full recount")
        last = timestamps.iso(now)[:10]
        ranges = {"30 days": timestamps.day_after(last, -29), "a year": timestamps.day_after(last, -YEAR_DAYS)}
        for name, first in ranges.items():
            for route, query in first_view(first, last):
                milliseconds = []
                for _ in range(REPEATS):
                    meter.reset()
                    began = time.monotonic()
                    assert tuition.admin(ADMIN, route, query=query).status == 200
                    milliseconds.append(1000 * (time.monotonic() - began))
                text = f"{name}: {route.removeprefix('GET /api/admin/')}"
                lines.append(f"{text:38} {sorted(milliseconds)[REPEATS // 2]:7.0f} ms {meter.units:8.1f} read units")
        query = {"from": ranges["a year"], "to": last, "by": "month"}
        (total,) = tuition.admin(ADMIN, ANALYTICS, query=query).body["totals"]
        equal = _compare(lines, total, expected(size, now))
    return "\n".join(lines) + "\n", equal


def _compare(lines: list[str], total: dict[str, Any], sums: dict[str, int]) -> bool:
    for name, number in sums.items():
        verdict = "equal" if total[name] == number else f"DIFFERS: {total[name]}"
        lines.append(f"{name:38} {number:>16,} {verdict}")
    return all(total[name] == number for name, number in sums.items())


def main() -> int:
    """Measure, print the report, and write it to a file. Return 1 if a figure differs."""
    parser = argparse.ArgumentParser(prog="benchmarks.overview", description=__doc__.split("\n")[0])
    parser.add_argument("--payments", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    text, equal = measure(options.payments)
    options.out.write_text(text, encoding="utf-8")
    print(text)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
