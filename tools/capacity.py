"""Where each part breaks, in purchases per second, and what raises it: from measured counts and published quotas.

The counts are those of benchmarks/capacity.json, of benchmarks/plans.txt and of the template; the quotas are AWS's and
Stripe's published defaults. `python -m tools.capacity` writes the tables of docs/operations.md, and a test compares
them.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from local.build import ROOT
from local.deploy import read_template

TARGET = 100
"""Purchases per second that every part must sustain."""
HEADROOM_PERCENT = 20
"""A quota is raised to the need at `TARGET` and this much more."""
FIGURES = ROOT / "benchmarks" / "capacity.json"
PLAN_FIGURES = ROOT / "benchmarks" / "plans.txt"
PAGE = ROOT / "docs" / "operations.md"

# Assumptions that no file measures: the behavior of students, and the time that the network takes.
ABANDONED = 0.1
"""Payments that are begun and never paid, per purchase."""
STATUS_REQUESTS = 4
"""Requests for the status per purchase: the page asks until the student is enrolled."""
STATUS_SYNCS = 1
"""Of these, requests that ask Stripe: one within 5 s per open payment, for all containers together."""
DYNAMODB_MS = 5
STRIPE_MS = 300
"""One call. The benchmark runs without a network."""
LIST_PAGE = 100
CREATED_OBJECTS = 1
"""Objects per purchase that the reconciler lists beside events: the intent. Refunds and disputes are rare."""
RESERVE_S = 40
"""`tuition.intake.walk.RESERVE_S`, which a test compares."""
SLICE_S = 10
"""`tuition.intake.walk.SLICE_S`, which a test compares."""
AUDIT_SHARE = 3
"""`tuition.intake.audit_run.WORKERS_SHARE`, which a test compares."""
LISTS_PER_SLICE = 7
"""Calls that a slice costs even if it is empty: two groups of event types, and five lists."""
PLANNED_SHARDS: Mapping[str, int] = {"by_check": 8, "by_status": 1, "by_day": 1}
"""Shards of the hash keys, if `tuition.storage.keys` has no table of them."""
SHARDED_ATTRIBUTES: Mapping[str, str] = {
    "by_check": "check_due",
    "by_status": "status_track",
    "by_day": "created_month",
}

Raise = Literal["parameter", "self-service", "request", "contract", "no"]


@dataclass(frozen=True)
class Quota:
    """A limit: its default value, how it is raised, by whom, and its source.

    "self-service": AWS grants it in Service Quotas. "request": a person at AWS or Stripe decides.
    """

    name: str
    default: float
    raised: Raise
    by: str
    source: str


@dataclass(frozen=True)
class Part:
    """A part of the system: how much of a quota one purchase uses."""

    name: str
    quota: Quota
    per_purchase: float

    @property
    def breaks_at(self) -> float:
        """Return the purchases per second at which the default is used up."""
        return self.quota.default / self.per_purchase

    @property
    def needed(self) -> int | None:
        """Return the value that sustains `TARGET`; None if the default does, or if it cannot be raised."""
        if self.breaks_at >= TARGET or self.quota.raised == "no":
            return None
        exact = self.per_purchase * TARGET * (100 + HEADROOM_PERCENT) / 100
        return math.ceil(exact)

    @property
    def sustains(self) -> bool:
        """Return whether the part sustains `TARGET`, with the raise that the table names."""
        return self.breaks_at >= TARGET or self.needed is not None


def shards(index: str) -> int:
    """Return over how many keys an index spreads its writes."""
    from tuition.storage import keys

    table: Any = getattr(keys, "SHARDS", None)
    return int(table[SHARDED_ATTRIBUTES[index]].to_write) if table else PLANNED_SHARDS[index]


def _default(template: Mapping[str, Any], parameter: str) -> int:
    return int(template["Parameters"][parameter]["Default"])


def _calls(figures: Mapping[str, Any], part: str, call: str) -> float:
    return float(figures[part]["stripe_calls"].get(call, 0))


STRIPE = "https://docs.stripe.com/rate-limits"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"
PARTITION = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
GATEWAY = "https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"
COGNITO = "https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html"
INTENT, INTENTS = "GET /v1/payment_intents/{id}", "POST /v1/payment_intents"
CANCEL = "POST /v1/payment_intents/{id}/cancel"


def reconciler_lists(figures: Mapping[str, Any]) -> float:
    """Return the calls that list one purchase, in both walks, at `TARGET`."""
    pages = (figures["webhook"]["events"] + CREATED_OBJECTS) / LIST_PAGE
    return float(2 * (pages + LISTS_PER_SLICE / (SLICE_S * TARGET)))


def reconciler_seconds(figures: Mapping[str, Any]) -> float:
    """Return the time that workers need for one purchase and its share of abandoned payments."""
    walked = [figures["first walk"], figures["second walk"]]
    ms = sum(one["dynamodb_calls"] * DYNAMODB_MS + one["processor_ms"] for one in walked)
    open_ = figures["abandoned"]
    checks = _calls(figures, "abandoned", INTENT) + _calls(figures, "abandoned", CANCEL)
    ms += ABANDONED * (open_["dynamodb_calls"] * DYNAMODB_MS + open_["processor_ms"] + checks * STRIPE_MS)
    return float((ms + reconciler_lists(figures) * STRIPE_MS) / 1000)


def reconciler_calls(figures: Mapping[str, Any]) -> float:
    """Return the calls to Stripe that the reconciler makes for one purchase whose webhooks have arrived."""
    checks = _calls(figures, "abandoned", INTENT) + _calls(figures, "abandoned", CANCEL)
    return reconciler_lists(figures) + ABANDONED * checks


def audit_seconds(figures: Mapping[str, Any]) -> float:
    """Return the time that workers need to audit one purchase: on its day, and on the next for the records of that."""
    both = [figures["audit"], figures["audit of its records"]]
    ms = sum(one["dynamodb_calls"] * DYNAMODB_MS + one["processor_ms"] for one in both)
    return float((ms + STRIPE_MS / LIST_PAGE) / 1000)


def parts(figures: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[Part]:
    """Yield each part, in the order in which a purchase meets it."""
    yield from _gateway_parts(figures, template)
    yield from _stripe_parts(figures)
    yield from _reconciler_parts(figures, template)
    yield from _audit_parts(figures, template)
    yield from _table_parts(figures)


def _gateway_parts(figures: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[Part]:
    you = "you, in Service Quotas"
    yield Part(
        "sign-up", Quota("Cognito UserCreation, per s", 50, "request", you + " (AWS charges for it)", COGNITO), 1
    )
    sign_in = Quota("Cognito UserAuthentication, per s", 120, "request", you + " (AWS charges for it)", COGNITO)
    yield Part("sign-in", sign_in, 1)
    events = figures["webhook"]["events"]
    route = Quota(
        "`ThrottlingRate`, per s and route", _default(template, "ThrottlingRate"), "parameter", "you", GATEWAY
    )
    webhook = Quota(
        "`WebhookThrottlingRate`, per s", _default(template, "WebhookThrottlingRate"), "parameter", "you", GATEWAY
    )
    yield Part("the webhook's route", webhook, events)
    yield Part("the status route", route, STATUS_REQUESTS)
    yield Part("the create's route", route, 1 + ABANDONED)
    gateway = Quota("requests per s and account", 10_000, "request", you, GATEWAY)
    yield Part("the gateway", gateway, events + STATUS_REQUESTS + 3)
    create = _seconds(figures["create"], calls=1 + _calls(figures, "create", "POST /v1/customers"))
    hook = _seconds(figures["webhook"], calls=0)
    look = (STATUS_REQUESTS - STATUS_SYNCS) * 2 * DYNAMODB_MS / 1000 + STATUS_SYNCS * _seconds(
        figures["status"], calls=1
    )
    busy = (1 + ABANDONED) * create + hook + look + reconciler_seconds(figures) + audit_seconds(figures)
    yield Part(
        "functions at once", Quota("concurrency (10 in a new account)", 1_000, "self-service", you, LAMBDA), busy
    )


def _seconds(figures: Mapping[str, Any], calls: float) -> float:
    ms = figures["dynamodb_calls"] * DYNAMODB_MS + figures["processor_ms"] + calls * STRIPE_MS
    return float(ms / 1000)


def _stripe_parts(figures: Mapping[str, Any]) -> Iterator[Part]:
    by = "Stripe's support, ahead of a sale"
    one = Quota("requests per s and endpoint, live", 25, "request", by, STRIPE)
    creates = (1 + ABANDONED) * _calls(figures, "create", INTENTS)
    customers = (1 + ABANDONED) * _calls(figures, "create", "POST /v1/customers")
    looks = STATUS_SYNCS + ABANDONED * _calls(figures, "abandoned", INTENT)
    cancels = ABANDONED * _calls(figures, "abandoned", CANCEL)
    yield Part("Stripe: create a payment", one, creates)
    yield Part("Stripe: create a customer", one, customers)
    yield Part("Stripe: confirm (the browser)", one, 1)
    yield Part("Stripe: retrieve a payment", one, looks)
    yield Part("Stripe: cancel a payment", one, cancels)
    yield Part("Stripe: list events", one, 2 * figures["webhook"]["events"] / LIST_PAGE + 4 / (SLICE_S * TARGET))
    total = creates + customers + 1 + looks + cancels + reconciler_lists(figures)
    yield Part("Stripe: all calls", Quota("requests per s, live", 100, "request", by, STRIPE), total)


def _reconciler_parts(figures: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[Part]:
    workers = _default(template, "ReconcileConcurrency")
    interval = _default(template, "StripeCallIntervalMs")
    at_once = Quota("`ReconcileConcurrency`", workers, "parameter", "you", "template.yaml")
    rest = AUDIT_SHARE / (AUDIT_SHARE - 1)
    yield Part("the reconciler's workers, during the audit", at_once, reconciler_seconds(figures) * rest)
    pace = Quota(
        "`ReconcileConcurrency` x 1000 / `StripeCallIntervalMs`", workers * 1000 / interval, "parameter", "you, up to "
        "what Stripe allows", "template.yaml",
    )  # fmt: skip
    yield Part("the reconciler's calls", pace, reconciler_calls(figures))
    drift = figures["drift"]
    per_call = max(interval, STRIPE_MS) * _calls(figures, "drift", INTENT)
    seconds = SLICE_S * (per_call + drift["dynamodb_calls"] * DYNAMODB_MS + drift["processor_ms"]) / 1000
    slice_ = Quota(f"seconds of an invocation, for {SLICE_S} s of payments", 900 - RESERVE_S, "no", "", LAMBDA)
    yield Part("a window without any webhook", slice_, seconds)
    keys = Quota("windows planned ahead of a cursor", 2_000, "no", "", "tuition.intake.fan_out")
    yield Part("an hour's plan", keys, 3600 / SLICE_S / TARGET)


def _audit_parts(figures: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the parts of the daily audit, which has a day's time and a third of the workers."""
    workers = _default(template, "ReconcileConcurrency")
    at_once = Quota("`ReconcileConcurrency`", workers, "parameter", "you", "template.yaml")
    yield Part("the audit's workers", at_once, audit_seconds(figures) * AUDIT_SHARE)
    by = "Stripe's support, ahead of a sale"
    one = Quota("requests per s and endpoint, live", 25, "request", by, STRIPE)
    yield Part("Stripe: list balance transactions", one, 1 / LIST_PAGE)


def _table_parts(figures: Mapping[str, Any]) -> Iterator[Part]:
    written: dict[str, float] = {}
    for name, share in (("create", 1 + ABANDONED), ("webhook", 1), ("first walk", 1), ("abandoned", ABANDONED)):
        for target, units in figures[name]["write_units"].items():
            written[target] = written.get(target, 0) + share * units
    for index in PLANNED_SHARDS:
        keys = shards(index)
        of = "key" if keys == 1 else f"{keys} keys"
        quota = Quota(f"1,000 write units per s of {of}", 1_000 * keys, "no", "", PARTITION)
        hot = _hottest_key(index, figures)
        yield Part(f"the index `{index}`", quota, hot)
    table, units = max(((name, n) for name, n in written.items() if "/" not in name), key=lambda one: one[1])
    on_demand = Quota("write units per s of a table", 40_000, "self-service", "you, in Service Quotas", DYNAMODB)
    yield Part(f"the table `{table}`", on_demand, units)
    cold = Quota(
        "write units per s of a table that has been idle", 4_000, "parameter", "you: its warm throughput", DYNAMODB
    )
    yield Part(f"the table `{table}`, cold", cold, units)


def _hottest_key(index: str, figures: Mapping[str, Any]) -> float:
    """Return the write units of the busiest key of an index per purchase.

    A change of status takes an entry out of one key and puts it into another, so half of the units of `by_status` go to
    each of two keys. The month of `by_day` takes all of them, and so does `due` of `by_check`.
    """
    name = f"payments/{index}"
    created = (1 + ABANDONED) * figures["create"]["write_units"].get(name, 0)
    later = sum(figures[part]["write_units"].get(name, 0) for part in ("webhook", "first walk", "second walk"))
    later += ABANDONED * figures["abandoned"]["write_units"].get(name, 0)
    return float(created + (later / 2 if index == "by_status" else later))


def read_parts() -> list[Part]:
    """Return the parts, from the figures and the template of the repository."""
    return list(parts(json.loads(FIGURES.read_text()), read_template(ROOT / "template.yaml")))


# --- payment plans ---

DAY_S = 86_400


@dataclass(frozen=True)
class PlanCosts:
    """The costs of a part of a plan's life, per plan, as benchmarks/plans.txt has them."""

    stripe_calls: float
    dynamodb_calls: float
    read_units: float
    write_units: float


def plan_costs(text: str) -> dict[str, PlanCosts]:
    """Read the costs of each part of a plan's life."""
    rows = re.findall(r"^(\S.*?) {2,}([0-9.]+) +([0-9.]+) +([0-9.]+) +([0-9.]+)$", text, re.MULTILINE)
    return {name: PlanCosts(*map(float, costs)) for name, *costs in rows}


def plan_parts(costs: Mapping[str, PlanCosts], template: Mapping[str, Any]) -> Iterator[Part]:
    """Yield each part of charging installments. Its quota is that of a day, and it uses some of it per installment."""
    collected = [costs["announce 2"], costs["charge 2"]]
    calls = sum(one.stripe_calls for one in collected)
    seconds = (sum(one.dynamodb_calls for one in collected) * DYNAMODB_MS + calls * STRIPE_MS) / 1000
    workers = _default(template, "ReconcileConcurrency")
    interval = _default(template, "StripeCallIntervalMs")
    time = Quota("seconds of `ReconcileConcurrency` workers", workers * DAY_S, "parameter", "you", "template.yaml")
    yield Part("the collector's workers", time, seconds)
    name = "calls of `ReconcileConcurrency` x 1000 / `StripeCallIntervalMs` per s"
    pace = Quota(
        name, workers * 1000 * DAY_S // interval, "parameter", "you, up to what Stripe allows", "template.yaml"
    )
    yield Part("the collector's calls", pace, calls)
    one = Quota(
        "requests per endpoint, at 25 per s", 25 * DAY_S, "request", "Stripe's support, ahead of a sale", STRIPE
    )
    yield Part("Stripe: confirm (the collector)", one, 1)


def read_plan_parts() -> list[Part]:
    """Return the parts of charging installments, from the figures and the template of the repository."""
    return list(plan_parts(plan_costs(PLAN_FIGURES.read_text()), read_template(ROOT / "template.yaml")))


def plan_table(rows: list[Part]) -> str:
    """Return the table about installments in Markdown."""
    lines = [
        "| part | per installment | quota per day, default | installments due on one day | raised how, by whom |",
        "| --- | --- | --- | --- | --- |",
    ]
    for part in rows:
        cells = (f"{part.per_purchase:,.2f}", _limit(part.quota), f"{part.breaks_at:,.0f}", _raised(part.quota))
        lines.append(f"| {part.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


# --- the page ---


def _raised(quota: Quota) -> str:
    return f"{quota.raised}: {quota.by}" if quota.by else "cannot be raised"


def _limit(quota: Quota) -> str:
    number = f"{quota.default:,.0f}"
    return f"[{number}]({quota.source}) {quota.name}" if quota.source.startswith("http") else f"{number} {quota.name}"


def table(rows: list[Part]) -> str:
    """Return the table in Markdown."""
    lines = [
        f"| part | per purchase | quota, default | breaks at, per s | for {TARGET} per s | raised how, by whom |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for part in rows:
        needed = f"**{part.needed:,}**" if part.needed else "enough" if part.sustains else "**not reached**"
        lines.append(
            f"| {part.name} | {part.per_purchase:,.2f} | {_limit(part.quota)} | {_rounded(part.breaks_at)} | {needed} "
            f"| {_raised(part.quota)} |"
        )
    return "\n".join(lines)


def _rounded(number: float) -> str:
    return f"{number:,.1f}" if number < 10 else f"{number:,.0f}"


def updated(page: str, text: str, name: str = "capacity") -> str:
    """Return the page with this table between the two marks of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def main(page: Path = PAGE) -> int:
    """Write the tables into docs/operations.md."""
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def with_tables(page: str) -> str:
    """Return the page with both tables as they follow from the figures."""
    return updated(updated(page, table(read_parts())), plan_table(read_plan_parts()), "capacity of plans")


if __name__ == "__main__":
    sys.exit(main())
