"""The read capacity of each view of the console does not grow from 1,000 to 100,000 payments.

tests/tables/read_capacity.py says how it is measured. The exit code is 1 if a view is not flat.

    make bench BENCH=console_capacity ARGS="--sizes 1000 100000"
"""

import argparse
import sys
import time
from pathlib import Path

import pytest

from local import dynamodb_local
from tests.harness import Harness, Student, client_for, create_tables, running_harness
from tuition import clock, history, stripe_events, tables
from tuition.core.enrollment import Enrollment
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.stripe_facts import Charge, Closed, Dispute, Facts, Phase, Refund, Settled

YEAR_S = 365 * 86400
WRITERS = 4
Figure = tuple[float, int, int]
"""Read units, calls, and rows shown."""
ADMIN = Student("capacity-admin", groups=("admin",))
BUYER = Student("capacity-buyer")
LIST = "GET /api/admin/payments"


@dataclass
class Meter:
    """What the calls since the last reset consumed, as DynamoDB said."""

    units: float = 0.0
    calls: int = 0
    of: set[str] = field(default_factory=set)

    def attach(self, client: Any) -> None:
        """Ask for the consumed capacity in every call, and add it up."""
        client.meta.events.register("provide-client-params.dynamodb", self._ask)
        client.meta.events.register("after-call.dynamodb", self._add)

    def _ask(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
        asks = "ReturnConsumedCapacity" in model.input_shape.members
        return {**params, "ReturnConsumedCapacity": "TOTAL"} if asks else params

    def _add(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        self.units += sum(c["CapacityUnits"] for c in (consumed if isinstance(consumed, list) else [consumed]))
        self.calls += 1
        self.of.add(model.name)

    def reset(self) -> None:
        self.units, self.calls, self.of = 0.0, 0, set()


# --- filling ---


def payment(number: int, size: int, now: float) -> Payment:
    """One of `size` payments over the last year; what it is depends on its number alone."""
    user, track = f"student-{number // 2:06d}", ("DP", "FSD")[number % 2]
    at = now - 3600 - (YEAR_S - 7200) * (number * 7919 % size) / size
    price, second = Money(49900 if track == "DP" else 59900, "usd"), int(at)
    paid = {
        f"ch_{number}": Charge("succeeded", price.amount, second, "card", "visa", "4242", "https://pay.stripe.com/r")
    }
    settled = Settled(price.amount, "usd", second)
    facts = Facts(settled=settled, charges=paid, customer=f"cus_{number // 2}")
    kind = number // 2 % 25
    if kind == 0:
        facts = Facts(phase=Phase(second, 3, "failed", "insufficient_funds", "Your card has insufficient funds."))
    elif kind == 1:
        facts = Facts(closed=Closed(second, "intent", "abandoned"))
    elif kind == 2:
        facts = Facts(phase=Phase(second, 2, "processing"))
    elif kind == 3:
        refund = Refund("succeeded", price.amount, second + 60, "requested_by_customer")
        facts = Facts(settled=settled, charges=paid, refunds={f"re_{number}": refund})
    elif kind in (4, 5):
        status = "needs_response" if kind == 4 else "won"
        dispute = Dispute(1, status, price.amount, second + 60, "fraudulent", 0, second + 14 * 86400)
        facts = Facts(settled=settled, charges=paid, disputes={f"dp_{number}": dispute})
    written = clock.iso(at)
    return Payment(
        payment_id=f"pay_{number:024d}", user_id=user, track=track, kind="intent", attempt=1, bound_to=f"pi_{number}",
        price=price, created_at=written, updated_at=written, email=f"{user}@example.org", facts=facts, version=3,
    )  # fmt: skip


def fill(client: Any, first: int, size: int, now: float) -> None:
    """The payments from `first` to `size` with their enrollments."""

    def write(start: int) -> None:
        made = [payment(number, size, now) for number in range(start, min(start + 25, size))]
        enrolled = [Enrollment(user_id=p.user_id, track=p.track, version=1).with_payment(p) for p in made]
        put(client, "payments", [tables.payment_to_item(p, now, double=False) for p in made])
        put(client, "enrollments", [tables.enrollment_to_item(e) for e in enrolled])

    with ThreadPoolExecutor(WRITERS) as pool:
        for done, _ in enumerate(pool.map(write, range(first, size, 25)), 1):
            if sys.stderr.isatty() and done % 40 == 0:
                print(f"\r{first + done * 25} of {size} payments", end="", file=sys.stderr)


def fill_quarantine(client: Any, size: int, now: float) -> None:
    """Events that could not be applied, of 3 KB, each a minute after the one before."""
    for start in range(0, size, 25):
        numbers = range(start, min(start + 25, size))
        put(client, "quarantine", [event(n, clock.iso(now - 60 * n)) for n in numbers])


def event(number: int, at: str) -> tables.QuarantineItem:
    """An event in quarantine since this time."""
    return tables.QuarantineItem(
        event_id=f"evt_{number}", kept=stripe_events.KEPT["S"], event="{" + " " * 3000 + "}",
        reason="amount_received should be an integer", first_at=at, last_at=at, tries=1,
    )  # fmt: skip


def put(client: Any, name: str, rows: list[Any]) -> None:
    """At most 25 items into one table."""
    left = {name: [{"PutRequest": {"Item": tables.raw(row)}} for row in rows]}
    while left:
        left = client.batch_write_item(RequestItems=left)["UnprocessedItems"]


# --- looking ---


def buy(tuition: Harness, meter: Meter) -> tuple[str, dict[str, Figure]]:
    """A payment with a life, through the ledger, and what its steps cost: declined, paid, refunded in part."""
    costs: dict[str, Figure] = {}

    def step(name: str) -> None:
        costs[f"writing: {name}"] = meter.units, meter.calls, 0
        meter.reset()

    meter.reset()
    made = tuition.create(BUYER).body
    step("a payment is begun")
    tuition.pay(made["payment_intent_id"], "pm_card_chargeDeclined")
    events = len(tuition.deliver_all())
    step(f"a try is declined ({events} events)")
    tuition.pay(made["payment_intent_id"])
    events = len(tuition.deliver_all())
    step(f"it is paid ({events} events)")
    refund = {"amount": 100, "reason": "a part"}
    tuition.admin(ADMIN, "POST /api/admin/payments/{payment_id}/refunds", refund, payment_id=made["payment_id"])
    step("a part is refunded by staff")
    tuition.deliver_all()
    return str(made["payment_id"]), costs


def views(payment_id: str, now: float) -> Iterator[tuple[str, str, dict[str, str], dict[str, str]]]:
    """Each view: its name, route, query and path."""
    day, month = clock.iso(now - 40 * 86400)[:10], clock.iso(now - 40 * 86400)[:7]
    start = f"{month}-01"
    found = history.read_payments([payment_id])[0]
    lists: dict[str, dict[str, str]] = {
        "all, newest first": {},
        "all, a page of 100": {"limit": "100"},
        "by status": {"status": "SUCCEEDED"},
        "by status and track": {"status": "FAILED", "track": "FSD"},
        "by track": {"track": "DP"},
        "refunded": {"refunded": "true"},
        "not refunded": {"refunded": "false"},
        "needing a person": {"attention": "true"},
        "disputed": {"disputed": "true"},
        "of one day": {"from": day, "to": day},
        "from a day on, by status": {"from": start, "status": "SUCCEEDED"},
        "by an amount that half have": {"amount_min": "59900"},
        "by an amount that nobody has": {"amount_max": "1"},
        "by status, track, days, amount": {"status": "SUCCEEDED", "track": "DP", "from": start, "amount_max": "50000"},
        "search: user id": {"q": BUYER.sub},
        "search: e-mail": {"q": f"{BUYER.sub}@example.org"},
        "search: an e-mail's beginning that all have": {"q": "student-"},
        "search: payment id": {"q": payment_id},
        "search: intent": {"q": str(found.stripe_payment_intent)},
        "search: charge": {"q": str(found.stripe_charge_id)},
        "search: customer": {"q": str(found.stripe_customer_id)},
    }
    for name, query in lists.items():
        yield name, LIST, query, {}
    yield "one payment with its trail", "GET /api/admin/payments/{payment_id}", {}, {"payment_id": payment_id}
    yield "a user", "GET /api/admin/users/{user_id}", {}, {"user_id": BUYER.sub}
    yield "disputes, open", "GET /api/admin/disputes", {}, {}
    yield "disputes, over", "GET /api/admin/disputes", {"state": "over"}, {}
    yield "attention queue", "GET /api/admin/attention", {}, {}
    yield "quarantine", "GET /api/admin/quarantine", {}, {}
    for look in ("the first look", "again"):
        yield f"counts of a month, {look}", "GET /api/admin/counts", {"month": month}, {}
        yield f"counts of this month, {look}", "GET /api/admin/counts", {"month": clock.iso(now)[:7]}, {}
        yield f"counts of a year, {look}", "GET /api/admin/counts", {"year": clock.iso(now)[:4]}, {}


def look(tuition: Harness, meter: Meter, payment_id: str, now: float) -> dict[str, Figure]:
    """The read units and the calls of each view, and of the second page of those lists that have one."""
    found: dict[str, Figure] = {}
    for name, route, query, path in views(payment_id, now):
        answer = measured(tuition, meter, route, query, path)
        units, calls = meter.units, meter.calls
        while answer.get("complete") is False:  # more keys than one answer may count
            answer = measured(tuition, meter, route, query, path)
            units, calls = units + meter.units, calls + meter.calls
        found[name] = units, calls, rows(answer)
        cursor = answer.get("next_cursor")
        if cursor:
            more = measured(tuition, meter, route, {**query, "cursor": cursor}, path)
            found[f"{name}, the next page"] = meter.units, meter.calls, rows(more)
    return found


def rows(answer: dict[str, Any]) -> int:
    return sum(len(value) for name, value in answer.items() if isinstance(value, list) and name != "counts")


def measured(tuition: Harness, meter: Meter, route: str, query: dict[str, str], path: dict[str, str]) -> dict[str, Any]:
    meter.reset()
    answer = tuition.admin(ADMIN, route, query=query, **path)
    assert answer.status == 200, (route, query, answer.body)
    assert "Scan" not in meter.of, f"{route} scans"
    return dict(answer.body)


@contextmanager
def filled(url: str) -> Iterator[tuple[Harness, Meter]]:
    """A world over empty tables of this DynamoDB, with a meter on its client."""
    client, meter = client_for(url), Meter()
    create_tables(client)
    meter.attach(client)
    with pytest.MonkeyPatch.context() as patch, running_harness(client, patch) as tuition:
        yield tuition, meter


def measure(sizes: list[int]) -> dict[int, dict[str, Figure]]:
    """The figures of every view at each size, each in tables of their own."""
    figures = {}
    for size in sizes:
        with dynamodb_local.running() as url, filled(url) as (tuition, meter):
            now = clock.now()
            fill(tuition.tables, 0, size, now)
            fill_quarantine(tuition.tables, size // 5, now)
            payment_id, costs = buy(tuition, meter)
            figures[size] = {**look(tuition, meter, payment_id, now), **costs}
    return figures


def flat(small: Figure, large: Figure) -> bool:
    """The larger table costs no more, or no more for each row, but for the rounding of units."""
    (units, calls, shown), (more_units, more_calls, more_shown) = small, large
    fills = more_units <= 1.1 * units * more_shown / max(1, shown)
    return more_calls <= calls + 2 and (more_units <= 1.1 * units + 2 or fills)


def report(figures: dict[int, dict[str, Figure]], seconds: float) -> str:
    """Format the figures as a table."""
    small, large = min(figures), max(figures)
    lines = [
        __doc__.split("\n")[0],
        "",
        f"Read units / calls / rows, a page of 20 unless stated; {seconds:.0f} s.",
        "",
    ]
    lines.append(f"{'view':58} {f'{small:,}':>14} {f'{large:,}':>16}")
    for name, small_figure in figures[small].items():
        if name not in figures[large]:
            continue
        large_figure = figures[large][name]
        verdict = "" if flat(small_figure, large_figure) else "  NOT FLAT"
        if verdict and name.endswith("not cached"):
            verdict = "  counted once"
        lines.append(f"{name:58} {columns(small_figure)} {columns(large_figure)}{verdict}")
    return "\n".join(lines) + "\n"


def columns(figure: Figure) -> str:
    """Format one figure."""
    units, calls, rows = figure
    return f"{units:9.1f} /{calls:3} /{rows:4}"


def main() -> int:
    """Measure, print the figures, and write them to a file. Return 1 if a view is not flat."""
    parser = argparse.ArgumentParser(prog="benchmarks.console_capacity", description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=[1_000, 100_000])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    started = time.monotonic()
    text = report(measure(options.sizes), time.monotonic() - started)
    options.out.write_text(text, encoding="utf-8")
    print(text)
    return 1 if "NOT FLAT" in text else 0


if __name__ == "__main__":
    sys.exit(main())
