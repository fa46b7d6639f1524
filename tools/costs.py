"""The cost of a number of purchases in a month, from measured counts and a list of AWS's prices.

The counts are those of benchmarks/capacity.json and of the template, the prices those of tools/prices.json.
`python -m tools.costs` writes the table of docs/costs.md, and a test compares the two. It leaves out Stripe's own fees,
about 2.9 % and 30 cents per payment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from local.build import ROOT
from local.deploy import read_template
from tools import capacity
from tools.capacity import ABANDONED, DYNAMODB_MS, STATUS_REQUESTS, STATUS_SYNCS, STRIPE_MS

PRICES = ROOT / "tools" / "prices.json"
PAGE = ROOT / "docs" / "costs.md"
PURCHASES = (1_000, 100_000)
"""Purchases per month, one column each."""

# Assumptions that no file measures.
API_REQUESTS = 6
"""Requests of the pages per purchase beside the create and the status: tracks, enrollments, payments, saved methods."""
PAGE_FILES = 12
PAGE_KB = 160
"""One visit of the student page, compressed. Visitors who do not buy cost the same."""
VISITS = 3
"""Visits per purchase."""
LOG_KB_PER_REQUEST = Decimal("1.2")
"""One line of the access log, and START, END, REPORT and our own line of the function."""
READ_MS = 20
"""Of a function that only reads tables: two calls and a little work."""
STORED_KB = 12
"""Items, index entries and audit records of one purchase."""
ARCHIVE_PUTS = 6
"""Per purchase: objects with its audit records, which a busy school shares among purchases, and two final forms."""
MINUTES_OF_RUNS = 24 * 30 * 1 + 30 * 5
"""Per month, without purchases: one minute per hourly run, and five per daily audit."""
METRICS_OF_ROUTE = 6
"""https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html"""
EMAILS = 2
"""Per purchase: one to verify the address, and the confirmation. Stripe sends no receipt unless it is asked to."""


@dataclass(frozen=True)
class Line:
    """A cost: a count per purchase and a count per month, of which each has the same price."""

    name: str
    price: str
    per_purchase: Decimal = Decimal(0)
    per_month: Decimal = Decimal(0)
    note: str = ""

    def count(self, purchases: int) -> Decimal:
        """Return how many are paid for in a month."""
        return self.per_purchase * purchases + self.per_month


def lines(figures: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[Line]:
    """Yield each cost."""
    shares = {"create": 1 + ABANDONED, "webhook": 1, "status": 0, "first walk": 1, "second walk": 1}
    shares |= {"abandoned": ABANDONED, "audit": 1, "audit of its records": 1}
    writes, reads = Decimal(0), Decimal(0)
    for name, share in shares.items():
        writes += Decimal(str(share)) * sum(Decimal(str(units)) for units in figures[name]["write_units"].values())
        reads += Decimal(str(share)) * Decimal(str(figures[name]["read_units"]))
    page_reads = Decimal(STATUS_REQUESTS + API_REQUESTS)
    yield Line("DynamoDB: writes", "dynamodb_write", writes)
    yield Line("DynamoDB: reads", "dynamodb_read", reads + page_reads)
    stored = Decimal(STORED_KB) / 1_000_000
    yield Line("DynamoDB: storage", "dynamodb_storage", stored, note="of one month's purchases; it adds up")
    yield Line("DynamoDB: backups", "dynamodb_backup", stored)
    events = Decimal(str(figures["webhook"]["events"]))
    requests = 1 + Decimal(str(ABANDONED)) + events + STATUS_REQUESTS + API_REQUESTS
    yield Line("Lambda: invocations", "lambda_request", requests, Decimal(24 * 30 * 7 + 30))
    yield Line("Lambda: time", "lambda_gb_s", _gb_seconds(figures, template), _runs(template))
    yield Line("HTTP API", "http_api", requests)
    yield Line("CloudFront: requests", "cloudfront_request", requests - events + VISITS * PAGE_FILES)
    yield Line("CloudFront: bytes", "cloudfront_gb", Decimal(VISITS * PAGE_KB) / 1_000_000)
    yield Line("S3: archive", "s3_put", Decimal(ARCHIVE_PUTS))
    yield Line("Logs", "logs_gb", requests * LOG_KB_PER_REQUEST / 1_000_000, Decimal("0.05"))
    yield from _per_month(template)
    yield Line("Cognito, LITE", "cognito_lite", Decimal(1), note="beyond 10,000 active users; ESSENTIALS costs 0.015")
    yield Line("SES", "ses", Decimal(EMAILS))


def _gb_seconds(figures: Mapping[str, Any], template: Mapping[str, Any]) -> Decimal:
    """Return the billed memory and time of one purchase."""

    def busy_ms(name: str, calls: float) -> Decimal:
        part = figures[name]
        return Decimal(str(part["dynamodb_calls"] * DYNAMODB_MS + part["processor_ms"] + calls * STRIPE_MS))

    ms = Decimal(str(1 + ABANDONED)) * busy_ms("create", 2) + busy_ms("webhook", 0)
    ms += STATUS_SYNCS * busy_ms("status", 1) + (STATUS_REQUESTS - STATUS_SYNCS + API_REQUESTS) * Decimal(READ_MS)
    ms += Decimal(str(capacity.reconciler_seconds(figures) + capacity.audit_seconds(figures))) * 1000
    return ms / 1000 * _memory_gb(template)


def _memory_gb(template: Mapping[str, Any]) -> Decimal:
    return Decimal(template["Parameters"]["MemorySize"]["Default"]) / 1024


def _runs(template: Mapping[str, Any]) -> Decimal:
    return Decimal(MINUTES_OF_RUNS * 60) * _memory_gb(template)


def _per_month(template: Mapping[str, Any]) -> Iterator[Line]:
    """Yield what costs the same without any purchase."""
    resources = template["Resources"]
    alarms = [item["Properties"] for item in resources.values() if item["Type"] == "AWS::CloudWatch::Alarm"]
    watched = sum(len([m for m in alarm.get("Metrics", [0]) if m == 0 or "MetricStat" in str(m)]) for alarm in alarms)
    own = {alarm["MetricName"] for alarm in alarms if alarm.get("Namespace") == "Tuition"}
    composites = [name for name, item in resources.items() if item["Type"] == "AWS::CloudWatch::CompositeAlarm"]
    settings = resources["HttpApi"]["Properties"]["RouteSettings"].values()
    routes = [one for one in settings if one.get("DetailedMetricsEnabled")]
    secrets = [name for name, item in resources.items() if item["Type"] == "AWS::SecretsManager::Secret"]
    boards = [name for name, item in resources.items() if item["Type"] == "AWS::CloudWatch::Dashboard"]
    yield Line("Alarms", "alarm", per_month=Decimal(watched), note="the first ten are free")
    yield Line("Alarms on alarms", "composite_alarm", per_month=Decimal(len(composites)))
    yield Line("Custom metrics", "metric", per_month=Decimal(len(own)), note="the first ten are free")
    note = f"{METRICS_OF_ROUTE} of each route with its own metrics"
    yield Line("Metrics of routes", "metric", per_month=Decimal(METRICS_OF_ROUTE * len(routes)), note=note)
    yield Line("Dashboard", "dashboard", per_month=Decimal(len(boards)), note="the first three are free")
    yield Line("Secrets", "secret", per_month=Decimal(len(secrets)))


def cost(line: Line, purchases: int, prices: Mapping[str, Any]) -> Decimal:
    """Return the cost of a line in dollars."""
    price = prices[line.price]
    return line.count(purchases) / int(price["per"]) * Decimal(str(price["price"]))


def table(rows: list[Line], prices: Mapping[str, Any]) -> str:
    """Return the table in Markdown."""
    columns = " | ".join(f"{number:,} per month" for number in PURCHASES)
    text = [f"| part | per purchase | price | {columns} | note |", "| --- " * (4 + len(PURCHASES)) + "|"]
    for row in rows:
        price = prices[row.price]
        per = f"{price['per']:,} " if price["per"] > 1 else ""
        figure = f"[{price['price']}]({price['source']}) per {per}{price['unit']}"
        costs = " | ".join(_dollars(cost(row, number, prices)) for number in PURCHASES)
        text.append(f"| {row.name} | {_figure(row.per_purchase)} | {figure} | {costs} | {row.note} |")
    sums = " | ".join(f"**{_dollars(sum_of(rows, number, prices))}**" for number in PURCHASES)
    text.append(f"| **sum** | | | {sums} | |")
    return "\n".join(text)


def sum_of(rows: list[Line], purchases: int, prices: Mapping[str, Any]) -> Decimal:
    """Return the cost of a month in dollars."""
    return sum((cost(row, purchases, prices) for row in rows), Decimal(0))


def _dollars(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def _figure(value: Decimal) -> str:
    if not value:
        return ""
    return f"{value:,.1f}" if value >= 1 else f"{value:.6f}".rstrip("0")


def read_lines() -> list[Line]:
    """Return the costs, from the figures and the template of the repository."""
    return list(lines(json.loads(capacity.FIGURES.read_text()), read_template(ROOT / "template.yaml")))


def read_prices() -> dict[str, Any]:
    """Return the prices of tools/prices.json by name."""
    prices: dict[str, Any] = json.loads(PRICES.read_text())["prices"]
    return prices


def updated(page: str) -> str:
    """Return the page with the computed table."""
    return capacity.updated(page, table(read_lines(), read_prices()), "costs")


def main(page: Path = PAGE) -> int:
    """Write the table into docs/costs.md."""
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
