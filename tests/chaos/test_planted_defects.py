"""Some fault of its flow catches each planted defect: tests that miss it prove nothing."""

import pytest

from stripe_simulator.testing.fault_runs import FaultPoint
from tests.chaos.fault_proxies import Fate
from tests.chaos.harness import FaultHarness, Recovery
from tests.chaos.planted_defects import DEFECTS
from tests.seeds import first_seed

pytestmark = pytest.mark.chaos

SUCCEEDED = "webhook payment_intent.succeeded"
PARTIAL_REFUND = "refund: a part, by staff"
CAUGHT_BY: dict[str, tuple[str, str, Fate]] = {
    "enrollment_in_a_second_transaction": (SUCCEEDED, "TransactWriteItems", "kill after"),
    "audit_record_in_a_second_transaction": (SUCCEEDED, "TransactWriteItems", "kill after"),
    "pointer_in_a_second_transaction": ("create", "TransactWriteItems", "kill after"),
    "refund_created_before_its_request_is_stored": (PARTIAL_REFUND, "POST /v1/refunds", "kill after"),
    "new_idempotency_key_per_retry": (PARTIAL_REFUND, "POST /v1/refunds", "drop after"),
    "webhook_acknowledged_before_the_commit": (SUCCEEDED, "TransactWriteItems", "drop before"),
    "event_marked_as_processed_before_it_is_applied": (SUCCEEDED, "PutItem", "kill after"),
    "replay_deletes_the_event_before_it_is_applied": ("replay", "DeleteItem", "kill after"),
    "client_secret_returned_before_the_commit": ("create", "TransactWriteItems", "drop before"),
}
"""The flow, the call and the fate at which each defect shows."""
RECOVERIES: tuple[Recovery, ...] = ("webhooks", "retry")


def test_every_planted_defect_is_tried() -> None:
    assert set(CAUGHT_BY) == set(DEFECTS)


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_a_fault_catches_the_planted_defect(harness: FaultHarness, name: str) -> None:
    flow, call_name, fate = CAUGHT_BY[name]
    with harness.new_world(name) as w:
        harness.invoke(w, harness.prepare(w, flow), None)
        number = [call.name for call in harness.gate.calls].index(call_name)
    point = FaultPoint(number, fate, lasts=fate == "drop before")
    problems = [
        problem for recovery in RECOVERIES for problem in harness.run_with_fault(flow, point, recovery, 1, name)
    ]
    assert problems
    without_defect = harness.run_with_fault(flow, FaultPoint(0, "drop before", lasts=True), "webhooks", first_seed())
    assert not without_defect, "the defect is removed again"
