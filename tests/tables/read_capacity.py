"""Measure the read capacity that each view of the console consumes, at two table sizes.

For each size it writes that many payments of the last year directly into a DynamoDB Local, with a fifth as many
quarantined events. It then calls the admin handler for every view as the HTTP API does, and adds up the capacity that
DynamoDB reports for each call. A view is flat if it reads no more of the larger table, or no more per payment shown
(one day of a small school does not fill a page). Counts that are not cached yet read what they count, once.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness import Harness, Student, client_for, create_tables, delete_tables, running_harness
from tuition import clock
from tuition.core import timestamps
from tuition.core.enrollment import Enrollment
from tuition.core.facts import Charge, Closed, Dispute, Facts, Phase, Refund, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.items import KEPT, QuarantineItem
from tuition.views import recorded_reads

YEAR_S = 365 * 86400
WRITERS = 4
Figure = tuple[float, int, int]
"""Read units, calls, and rows."""
ADMIN = Student("capacity-admin", groups=("admin",))
BUYER = Student("capacity-buyer")
LIST = "GET /api/admin/payments"


@dataclass
class Meter:
    """The capacity that the calls since the last reset consumed, according to DynamoDB."""

    units: float = 0.0
    calls: int = 0
    operations: set[str] = field(default_factory=set)

    def attach(self, client: Any) -> None:
        """Request the consumed capacity in every call, and add it up."""
        client.meta.events.register("provide-client-params.dynamodb", self._request_capacity)
        client.meta.events.register("after-call.dynamodb", self._add)

    def _request_capacity(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
        reports_capacity = "ReturnConsumedCapacity" in model.input_shape.members
        return {**params, "ReturnConsumedCapacity": "TOTAL"} if reports_capacity else params

    def _add(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        self.units += sum(c["CapacityUnits"] for c in (consumed if isinstance(consumed, list) else [consumed]))
        self.calls += 1
        self.operations.add(model.name)

    def reset(self) -> None:
        """Forget all calls so far."""
        self.units, self.calls, self.operations = 0.0, 0, set()


# --- filling ---


def payment(number: int, size: int, now: float) -> Payment:
    """Return payment `number` of `size`, spread over the last year. Its state depends on its number only."""
    user, track = f"student-{number // 2:06d}", ("DP", "FSD")[number % 2]
    at = now - 3600 - (YEAR_S - 7200) * (number * 7919 % size) / size
    price, second = Money(49900 if track == "DP" else 59900, "usd"), int(at)
    charges = {
        f"ch_{number}": Charge("succeeded", price.amount, second, "card", "visa", "4242", "https://pay.stripe.com/r")
    }
    settled = Settled(price.amount, "usd", second)
    facts = Facts(settled=settled, charges=charges, customer=f"cus_{number // 2}")
    kind = number // 2 % 25
    if kind == 0:
        facts = Facts(phase=Phase(second, 3, "failed", "insufficient_funds", "Your card has insufficient funds."))
    elif kind == 1:
        facts = Facts(closed=Closed(second, "intent", "abandoned"))
    elif kind == 2:
        facts = Facts(phase=Phase(second, 2, "processing"))
    elif kind == 3:
        refund = Refund("succeeded", price.amount, second + 60, "requested_by_customer")
        facts = Facts(settled=settled, charges=charges, refunds={f"re_{number}": refund})
    elif kind in (4, 5):
        status = "needs_response" if kind == 4 else "won"
        dispute = Dispute(1, status, price.amount, second + 60, "fraudulent", 0, second + 14 * 86400)
        facts = Facts(settled=settled, charges=charges, disputes={f"dp_{number}": dispute})
    created_at = timestamps.iso(at)
    return Payment(
        payment_id=f"pay_{number:024d}", user_id=user, track=track, kind="intent", attempt=1,
        stripe_object_id=f"pi_{number}",
        price=price, created_at=created_at, updated_at=created_at, email=f"{user}@example.org", facts=facts, version=3,
    )  # fmt: skip


def fill(client: Any, first: int, size: int, now: float) -> None:
    """Write payments `first` to `size` with their enrollments."""

    def write(start: int) -> None:
        payments = [payment(number, size, now) for number in range(start, min(start + 25, size))]
        enrollments = [Enrollment(user_id=p.user_id, track=p.track, version=1).with_payment(p) for p in payments]
        put(client, "payments", [mapping.payment_to_item(p, now, []) for p in payments])
        put(client, "enrollments", [mapping.enrollment_to_item(e) for e in enrollments])

    with ThreadPoolExecutor(WRITERS) as pool:
        for batches, _ in enumerate(pool.map(write, range(first, size, 25)), 1):
            if sys.stderr.isatty() and batches % 40 == 0:
                print(f"\r{first + batches * 25} of {size} payments", end="", file=sys.stderr)


def fill_quarantine(client: Any, size: int, now: float) -> None:
    """Quarantine `size` events of 3 KB, one per minute."""
    for start in range(0, size, 25):
        numbers = range(start, min(start + 25, size))
        put(client, "quarantine", [quarantined_event(n, timestamps.iso(now - 60 * n)) for n in numbers])


def quarantined_event(number: int, at: str) -> QuarantineItem:
    """Return an event that entered quarantine at this time."""
    event_id = f"evt_{number}"
    return QuarantineItem(
        event_id=event_id, kept=keys.sharded("kept", KEPT, event_id), listed_at=f"{at}#{event_id}",
        event="{" + " " * 3000 + "}",
        reason="amount_received should be an integer", first_at=at, last_at=at, tries=1,
    )  # fmt: skip


def put(client: Any, table: str, items: list[Any]) -> None:
    """Write at most 25 items to one table."""
    requests = {table: [{"PutRequest": {"Item": dynamodb.to_raw(item)}} for item in items]}
    while requests:
        requests = client.batch_write_item(RequestItems=requests)["UnprocessedItems"]


# --- measuring ---


def buy(tuition: Harness, meter: Meter) -> tuple[str, dict[str, Figure]]:
    """Make a payment that is declined, paid, and partly refunded. Return its id and the cost of each step."""
    costs: dict[str, Figure] = {}

    def step(name: str) -> None:
        costs[f"writing: {name}"] = meter.units, meter.calls, 0
        meter.reset()

    meter.reset()
    order = tuition.create(BUYER).body
    step("a payment is opened")
    tuition.pay(order["payment_intent_id"], "pm_card_chargeDeclined")
    events = len(tuition.deliver_all())
    step(f"a charge is declined ({events} events)")
    tuition.pay(order["payment_intent_id"])
    events = len(tuition.deliver_all())
    step(f"it is paid ({events} events)")
    refund = {"amount": 100, "reason": "a part"}
    tuition.admin(ADMIN, "POST /api/admin/payments/{payment_id}/refunds", refund, payment_id=order["payment_id"])
    step("staff refund a part")
    tuition.deliver_all()
    return str(order["payment_id"]), costs


def views(payment_id: str, now: float) -> Iterator[tuple[str, str, dict[str, str], dict[str, str]]]:
    """Yield each view's name, route, query, and path parameters."""
    day, month = timestamps.iso(now - 40 * 86400)[:10], timestamps.iso(now - 40 * 86400)[:7]
    start = f"{month}-01"
    item = queries.payments_by_id([payment_id])[0]
    lists: dict[str, dict[str, str]] = {
        "all, newest first": {},
        "all, a page of 100": {"limit": "100"},
        "by status": {"status": "SUCCEEDED"},
        "by status and track": {"status": "FAILED", "track": "FSD"},
        "by track": {"track": "DP"},
        "refunded": {"refunded": "true"},
        "not refunded": {"refunded": "false"},
        "needing attention": {"attention": "true"},
        "disputed": {"disputed": "true"},
        "oldest first": {"order": "oldest"},
        "refunded in part": {"refunded": "partly"},
        "of one day": {"from": day, "to": day},
        "since a day, by status": {"from": start, "status": "SUCCEEDED"},
        "by an amount that half match": {"amount_min": "59900"},
        "by an amount that none match": {"amount_max": "1"},
        "by status, track, days, amount": {"status": "SUCCEEDED", "track": "DP", "from": start, "amount_max": "50000"},
        "search: user id": {"q": BUYER.sub},
        "search: email": {"q": f"{BUYER.sub}@example.org"},
        "search: an email prefix that all match": {"q": "student-"},
        "search: payment id": {"q": payment_id},
        "search: intent": {"q": str(item.stripe_payment_intent)},
        "search: charge": {"q": str(item.stripe_charge_id)},
        "search: customer": {"q": str(item.stripe_customer_id)},
    }
    for name, query in lists.items():
        yield name, LIST, query, {}
    yield "one payment with its audit trail", "GET /api/admin/payments/{payment_id}", {}, {"payment_id": payment_id}
    yield "a user", "GET /api/admin/users/{user_id}", {}, {"user_id": BUYER.sub}
    yield "a user, by query", "GET /api/admin/users", {"user_id": BUYER.sub}, {}
    yield "a user's timeline", "GET /api/admin/users/timeline", {"user_id": BUYER.sub}, {}
    yield "disputes, open", "GET /api/admin/disputes", {}, {}
    yield "disputes, closed", "GET /api/admin/disputes", {"state": "over"}, {}
    yield "refund requests", "GET /api/admin/refund-requests", {}, {}
    yield "attention queue", "GET /api/admin/attention", {}, {}
    yield "quarantine", "GET /api/admin/quarantine", {}, {}
    for cache in ("not cached", "cached"):
        yield f"counts of a month, {cache}", "GET /api/admin/counts", {"month": month}, {}
        yield f"counts of this month, {cache}", "GET /api/admin/counts", {"month": timestamps.iso(now)[:7]}, {}
        yield f"counts of a year, {cache}", "GET /api/admin/counts", {"year": timestamps.iso(now)[:4]}, {}


def measure_views(tuition: Harness, meter: Meter, payment_id: str, now: float) -> dict[str, Figure]:
    """Return the figure of each view, and of the second page of each list that has one."""
    figures: dict[str, Figure] = {}
    for name, route, query, path in views(payment_id, now):
        body = call(tuition, meter, route, query, path)
        units, calls = meter.units, meter.calls
        while body.get("complete") is False:  # one response counts a limited number of keys
            body = call(tuition, meter, route, query, path)
            units, calls = units + meter.units, calls + meter.calls
        figures[name] = units, calls, rows(body)
        cursor = body.get("next_cursor")
        if cursor:
            next_page = call(tuition, meter, route, {**query, "cursor": cursor}, path)
            figures[f"{name}, next page"] = meter.units, meter.calls, rows(next_page)
    return figures


def rows(body: dict[str, Any]) -> int:
    """Return how many rows a response has."""
    return sum(len(value) for name, value in body.items() if isinstance(value, list) and name != "counts")


def call(tuition: Harness, meter: Meter, route: str, query: dict[str, str], path: dict[str, str]) -> dict[str, Any]:
    """Return the response's body, leaving its cost in the meter. Fails if the route scans a table."""
    meter.reset()
    response = tuition.admin(ADMIN, route, query=query, **path)
    assert response.status == 200, (route, query, response.body)
    assert "Scan" not in meter.operations, f"{route} scans"
    return dict(response.body)


@contextmanager
def empty_world(url: str) -> Iterator[tuple[Harness, Meter]]:
    """Yield a world with empty tables on this DynamoDB, and a meter on its client. Delete the tables afterwards."""
    client, meter = client_for(url), Meter()
    create_tables(client)
    meter.attach(client)
    with pytest.MonkeyPatch.context() as patch, running_harness(client, patch) as tuition:
        # One transaction per person and hour, which is no read and whose cost no table's size changes.
        patch.setattr(recorded_reads, "record", lambda *_: None)
        yield tuition, meter
    delete_tables(client)


def measure(url: str, sizes: list[int]) -> dict[int, dict[str, Figure]]:
    """Return the figures of every view by table size, each with its own tables in this DynamoDB."""
    figures = {}
    for size in sizes:
        with empty_world(url) as (tuition, meter):
            now = clock.now()
            fill(tuition.tables, 0, size, now)
            fill_quarantine(tuition.tables, size // 5, now)
            payment_id, costs = buy(tuition, meter)
            figures[size] = {**measure_views(tuition, meter, payment_id, now), **costs}
    return figures


def flat(small: Figure, large: Figure) -> bool:
    """Return whether the larger table costs no more, or no more per row, apart from the rounding of units."""
    (units, calls, row_count), (large_units, large_calls, large_row_count) = small, large
    same_per_row = large_units <= 1.1 * units * large_row_count / max(1, row_count)
    return large_calls <= calls + 2 and (large_units <= 1.1 * units + 2 or same_per_row)
