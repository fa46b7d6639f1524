"""Every flow with a fault at each of its calls, and the invariants after each kind of recovery."""

import random
from collections.abc import Callable

import pytest

from stripe_simulator.testing.fault_runs import FaultPoint, fault_points, run_at_each
from tests.chaos.fault_proxies import FATES, LASTING, Call, Fate
from tests.chaos.flows import FLOWS
from tests.chaos.harness import RECOVERIES, FaultHarness, Recovery
from tests.seeds import first_seed
from tuition.storage import dynamodb
from tuition.storage.items import MODELS

pytestmark = pytest.mark.chaos
MAX_FAULTS = 2
"""How many faults per flow `make test` injects. `make soak` injects all."""
RecordProperty = Callable[[str, object], None]
Choose = Callable[[list[Call]], list[tuple[FaultPoint, Recovery]]]


def all_faults(calls: list[Call]) -> list[tuple[FaultPoint, Recovery]]:
    return [(point, recovery) for point in fault_points(calls, Call.fates, LASTING) for recovery in RECOVERIES]


def sample_faults(calls: list[Call]) -> list[tuple[FaultPoint, Recovery]]:
    """Return a fate and a recovery for some of the calls. The seed determines the sample."""
    rng = random.Random(f"{[call.name for call in calls]} {first_seed()}")
    faults = all_faults(calls)
    rng.shuffle(faults)
    by_call = {point.call: (point, recovery) for point, recovery in faults}
    return [by_call[call] for call in rng.sample(sorted(by_call), min(MAX_FAULTS, len(by_call)))]


def check_flow(harness: FaultHarness, flow: str, choose: Choose, record_property: RecordProperty) -> None:
    seed, calls = first_seed(), harness.record_calls(flow)

    def run(fault: tuple[FaultPoint, Recovery]) -> None:
        problems = harness.run_with_fault(flow, *fault, seed)
        assert not problems, f"TUITION_SEED={seed} {flow}: {problems}"

    count = run_at_each(choose(calls), run, lambda fault: f"{fault[0]} ({calls[fault[0].call].name}), {fault[1]}")
    print(f"TUITION_SEED={seed} {flow}: {len(calls)} calls, {count} faults injected")
    record_property("figure", ("crash points injected", count))


@pytest.mark.parametrize("flow", FLOWS)
def test_the_tables_match_stripe_after_a_fault_at_any_call(
    harness: FaultHarness, flow: str, record_property: RecordProperty
) -> None:
    check_flow(harness, flow, sample_faults, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("flow", FLOWS)
def test_the_tables_match_stripe_after_every_fault_at_full_size(
    harness: FaultHarness, flow: str, record_property: RecordProperty
) -> None:
    check_flow(harness, flow, all_faults, record_property)


# --- the faults themselves ---


@pytest.mark.parametrize("fate", FATES)
def test_each_fate_has_the_documented_effect_on_the_call_and_on_the_invocation(
    harness: FaultHarness, fate: Fate
) -> None:
    """At the call that creates a refund: whether Stripe performed it, and whether the invocation responded."""
    flow = "refund: a part, by staff"
    number = [call.name for call in harness.record_calls(flow)].index("POST /v1/refunds")
    lasts = fate in LASTING
    with harness.new_world() as w:
        invocation = harness.prepare(w, flow)
        outcome = harness.invoke(w, invocation, FaultPoint(number, fate, lasts))
        refund_count = len(w.stripe.account.store.objects.get("refund", {}))
        assert len(harness.gate.delayed) == (fate == "late")
        harness.gate.deliver_delayed()
        assert len(w.stripe.account.store.objects.get("refund", {})) == refund_count, "one key, one refund"
    assert harness.gate.hit
    assert refund_count == (0 if fate in ("kill before", "drop before", "error", "throttle") else 1), outcome
    assert (outcome.response is None) == fate.startswith("kill")
    assert outcome.status == (
        None if fate.startswith("kill") else 200 if not lasts else 503 if fate == "throttle" else 502
    )


@pytest.mark.parametrize("fate", ["kill after", "late"])
def test_the_harness_notices_each_write_so_that_it_compares_no_stale_item(harness: FaultHarness, fate: Fate) -> None:
    flow = "refund: a part, by staff"
    names = [call.name for call in harness.record_calls(flow)]
    number = max(number for number, name in enumerate(names) if name == "TransactWriteItems")
    tables = [dynamodb.table_name(model) for model in MODELS]
    with harness.new_world() as w:
        invocation = harness.prepare(w, flow)
        before = {name: harness.tables.scan(TableName=name)["Items"] for name in tables}
        harness.invoke(w, invocation, FaultPoint(number, fate))
        harness.gate.deliver_delayed()
        after = {name: harness.tables.scan(TableName=name)["Items"] for name in tables}
        assert after == {name: harness.client.scan(TableName=name)["Items"] for name in tables}
        assert {name for name in tables if after[name] != before[name]} >= {"payments", "audit"}


def test_a_create_makes_one_read_two_calls_to_stripe_and_one_transaction(harness: FaultHarness) -> None:
    """One of the calls to Stripe creates the customer. The proxies count the calls; no list is maintained by hand."""
    assert [call.name for call in harness.record_calls("create")] == [
        *("BatchGetItem", "POST /v1/customers", "POST /v1/payment_intents", "TransactWriteItems")
    ]
