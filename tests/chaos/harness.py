"""One run with a fault: a flow, a fault at one of its calls, what people and Stripe do next, and the invariants."""

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from stripe_simulator.account import Fault
from stripe_simulator.http_server import Simulator
from stripe_simulator.server import Stripe
from stripe_simulator.testing.fault_runs import FaultPoint
from tests import consistency
from tests.chaos import function_host, planted_defects
from tests.chaos.backends import InProcess, OverHTTP, Upstream
from tests.chaos.fault_proxies import FATES, READS, Call, FaultGate, Proxy, start_proxies
from tests.chaos.flows import FLOWS, SEED_NAMES, Invocation, clear_tables
from tests.chaos.function_host import Job, Outcome
from tests.harness import (
    SECRET,
    Harness,
    client_for,
    create_tables,
    in_memory_client,
    running_harness,
)
from tests.in_memory_dynamodb.tables import InMemoryDynamoDB
from tests.plan_calls import offer_plans
from tuition import clock
from tuition.intake import walk
from tuition.storage import cursors, dynamodb
from tuition.storage.items import MODELS

Recovery = Literal["retry", "webhooks", "hourly run"]
RECOVERIES: dict[Recovery, str] = {"retry": "again", "webhooks": "told", "hourly run": "clock"}
"""The step after the fault, and its word in the seeds (do not change that one). `retry`: the caller (a user, Stripe or
the schedule) retries, then the webhooks are delivered. `webhooks`: the webhooks are delivered, then the caller retries.
`hourly run`: no retry and no webhook, so only the hourly run can recover."""
RUNS = ("reconcile", "collect")
"""The functions that run on a schedule, one run at a time."""
MAX_TRIES = 4
EARLY_RUNS = 0.3
"""The part of the faults after which an hourly run comes too early."""
ACTIONS = ("drifted", "closed", "orphans", "resumed", "replayed", "failed", "unanswered")
"""The fields of an hourly run's report that count its actions and its failures."""
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
"""A fixed time, because a backfill of the current day makes other calls in the next hour."""


class KnownTables:
    """The items of the tables as last read: only a table that was written since is read again, or cleared.

    It sees the writes of the harness's own client; the gate reports those of the invocations, which pass it.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._filled = {dynamodb.table_name(model) for model in MODELS}
        self._pages: dict[str, Any] = {}
        client.meta.events.register("before-parameter-build.dynamodb", self._note_call)

    def scan(self, *, TableName: str, **params: Any) -> Any:
        """Return the first page of a table, which is all of it unless `params` continue a scan."""
        if TableName not in self._filled:
            return {"Items": []}
        page = self._pages.get(TableName) or self._client.scan(TableName=TableName, **params)
        if "LastEvaluatedKey" not in page and "ExclusiveStartKey" not in params:
            self._pages[TableName] = page
        return page

    def clear(self) -> None:
        """Delete every item."""
        clear_tables(self._client, self._filled)
        self._filled.clear()
        self._pages.clear()

    def _note_call(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name not in READS:
            self.note(params)

    def note(self, params: dict[str, Any]) -> None:
        """Remember which tables a write may have changed."""
        writes = [write for item in params.get("TransactItems", ()) for write in item.values()]
        names = {write["TableName"] for write in (*writes, params) if "TableName" in write}
        for table in names | set(params.get("RequestItems", ())):
            self._filled.add(table)
            self._pages.pop(table, None)


@dataclass(frozen=True)
class Database:
    """A DynamoDB with tables: a client, a connection of the proxy, and what is known of the tables."""

    client: Any
    connect: Callable[[], Upstream]
    tables: KnownTables


def open_database(url: str | None) -> Database:
    """Create the tables in the DynamoDB Local at `url`, or in a new DynamoDB in memory."""
    if url is None:
        database = InMemoryDynamoDB()
        client, connect = in_memory_client(database), lambda: InProcess(database)
    else:
        port = urlsplit(url).port or 0
        client, connect = client_for(url), lambda: OverHTTP(port)
    create_tables(client)
    return Database(client, connect, KnownTables(client))


@dataclass
class FaultHarness:
    """A DynamoDB and the simulator behind their proxies, for many runs one after the other."""

    simulated: Stripe
    gate: FaultGate
    dynamodb_proxy: Proxy
    stripe: str
    database: Database

    @property
    def client(self) -> Any:
        return self.database.client

    @property
    def tables(self) -> KnownTables:
        return self.database.tables

    def use(self, database: Database) -> None:
        """Put another DynamoDB behind the proxy."""
        self.database = database
        self.dynamodb_proxy.connect = database.connect
        self.gate.on_write = database.tables.note

    # --- one run ---

    @contextlib.contextmanager
    def new_world(self, defect: str | None = None) -> Iterator[Harness]:
        """Yield a world without history whose clock stands still, so that each run makes the same calls."""
        self.gate.delayed.clear()
        self.tables.clear()
        self.simulated.handle("POST", "/_sim/reset", {}, b"{}")
        with pytest.MonkeyPatch.context() as patch, running_harness(self.client, patch, simulated=self.simulated) as w:
            w.freeze_time(NOON)
            offer_plans(patch.setattr)
            self._defect = defect
            if defect:
                planted_defects.DEFECTS[defect](patch.setattr)
            yield w

    def prepare(self, w: Harness, flow: str) -> Invocation:
        """Run everything that precedes the invocation, with an hourly run an hour ago."""
        invocation = FLOWS[flow](w)
        now = w.stripe.account.clock.unix()
        cursors.advance(cursors.RECONCILE, now - 3600)
        cursors.advance(cursors.AGAIN, now - 3600 - walk.ORPHAN_AFTER_S)
        return invocation

    def invoke(self, w: Harness, invocation: Invocation, point: FaultPoint | None) -> Outcome:
        """Run the invocation in its own process, with the fault."""
        self.gate.start_run(point)
        self.gate.keep_error = lambda call: w.stripe.account.faults.append(
            Fault([call.split()[0], *call.split()[1].strip("/").split("/")], 1, "error", 0.0)
        )
        secrets = {"stripe": {"secret_key": w.stripe.secret_key}, "webhook": {"signing_secrets": [SECRET]}}
        address = self.dynamodb_proxy.url
        job = Job(invocation.function, invocation.event, address, self.stripe, clock.now(), secrets, self._defect)

        def on_start(pid: int | None) -> None:
            self.gate.pid = pid

        outcome = function_host.invoke(job, on_start)
        w.stripe.account.faults.clear()
        return outcome

    def record_calls(self, flow: str) -> list[Call]:
        """Return the calls that a flow makes without a fault, as they passed the proxies."""
        with self.new_world() as w:
            invocation = self.prepare(w, flow)
            outcome = self.invoke(w, invocation, None)
            assert outcome.status in (200, 201, 202, 409), (flow, outcome)
            return list(self.gate.calls)

    def run_with_fault(
        self, flow: str, point: FaultPoint, recovery: Recovery, seed: int, defect: str | None = None
    ) -> list[str]:
        """Return the violations after the fault and its recovery."""
        rng = random.Random(f"{SEED_NAMES.get(flow, flow)} {point} {RECOVERIES[recovery]} {seed}")
        with self.new_world(defect) as w:
            invocation = self.prepare(w, flow)
            outcome = self.invoke(w, invocation, point)
            if not self.gate.hit:
                return [f"call {point.call} was never made"]
            problems = ["an unhandled exception"] if outcome.error == "unhandled" else []
            problems += [
                f"torn: {problem}"
                for problem in [*consistency.violations_at_any_time(self._read()), *_check_offer(w, outcome)]
            ]
            if recovery == "retry":
                self._retry(w, invocation, outcome, rng)
            self.gate.deliver_delayed()
            if recovery != "hourly run":
                _deliver(w, _undelivered(w, invocation, outcome), rng)
            if recovery == "webhooks":
                self._retry(w, invocation, outcome, rng)
                self.gate.deliver_delayed()
                _deliver(w, w.new_events(), rng)
            if recovery != "hourly run":
                problems += [
                    f"before the hourly run: {problem}" for problem in consistency.violations_when_idle(self._read())
                ]
            _run_hourly(w, early=invocation.function in RUNS or rng.random() < EARLY_RUNS)
            problems += [
                f"after the hourly run: {problem}" for problem in consistency.violations_when_idle(self._read())
            ]
            late_events = [*invocation.undelivered, *w.new_events()]
            if late_events:
                _deliver(w, late_events, rng)
                problems += [
                    f"after late webhooks: {problem}" for problem in consistency.violations_when_idle(self._read())
                ]
            return problems

    def _read(self) -> consistency.Snapshot:
        return consistency.read_snapshot(self.tables, self.simulated.account.store.objects)

    def _retry(self, w: Harness, invocation: Invocation, outcome: Outcome, rng: random.Random) -> None:
        """Retry until the caller has a response. Half of the retries meet a second fault first."""
        if invocation.function == "webhook" and outcome.status == 200:
            return
        if invocation.function in RUNS:
            w.advance_time(cursors.LEASE_S + 1)
        second = FaultPoint(rng.randrange(4), rng.choice(FATES)) if rng.random() < 0.5 else None
        for point in (second, *[None] * MAX_TRIES):
            if (self.invoke(w, invocation, point).status or 500) < 500:
                return
            if invocation.function in RUNS:
                w.advance_time(cursors.LEASE_S + 1)


def _check_offer(w: Harness, outcome: Outcome) -> list[str]:
    """A response with a client secret or a URL belongs to a payment that is bound to that object."""
    response = outcome.response or {}
    body = json.loads(response["body"]) if "body" in response and outcome.status in (200, 201) else {}
    if not {"client_secret", "url"} & set(body) or "setup_intent_id" in body:
        return []
    object_id = body.get("session_id") or body["payment_intent_id"]
    payment = w.payment(body["payment_id"])
    if payment and payment.stripe_object_id == object_id:
        return []
    return [f"{object_id} was offered, but no payment is bound to it"]


def _undelivered(w: Harness, invocation: Invocation, outcome: Outcome) -> list[dict[str, Any]]:
    """Return the events that Stripe still delivers: it does not repeat an accepted one."""
    own = [invocation.own_event] if invocation.own_event and outcome.status != 200 else []
    return [*own, *invocation.undelivered, *w.new_events()]


def _deliver(w: Harness, events: list[dict[str, Any]], rng: random.Random) -> None:
    """Deliver the events in random order, some of them twice, and then the events that follow from them."""
    for _ in range(MAX_TRIES):
        rng.shuffle(events)
        for event in [*events, *(event for event in events if rng.random() < 0.3)]:
            assert w.deliver(event).status == 200
        w.advance_stripe(3)
        events = w.new_events()
        if not events:
            return


def _run_hourly(w: Harness, *, early: bool) -> None:
    """Run the hourly job until a run that is an hour late finds nothing to do, at most twice.

    An early run precedes them if the fault may have killed a run, whose lease it then meets, and otherwise in a part of
    the runs. An hourly run is the most expensive step of a run with a fault.
    """
    for seconds in (400, 3700, 3700) if early else (3700, 3700):
        w.advance_time(seconds)
        if w.tables.scan(TableName="plans", Limit=1)["Items"]:
            with contextlib.suppress(cursors.LeaseTaken):
                w.collect()
        with contextlib.suppress(cursors.LeaseTaken):
            report = w.reconcile()
            if seconds > walk.ORPHAN_AFTER_S and not any(report[action] for action in ACTIONS):
                return


@contextlib.contextmanager
def start_harness() -> Iterator[FaultHarness]:
    """Yield a harness with a DynamoDB in memory. Each run empties the tables."""
    database = open_database(None)
    simulated = Stripe(seed=1)
    simulator = Simulator(simulated)
    with start_proxies(database.connect, lambda: OverHTTP(simulator.port)) as (gate, dynamodb_proxy, stripe_proxy):
        function_host.start(dynamodb_proxy.url)
        try:
            harness = FaultHarness(simulated, gate, dynamodb_proxy, stripe_proxy.url, database)
            harness.use(database)
            yield harness
        finally:
            simulator.stop()
