"""Each planted defect is caught by some fault of its flow: or what passes would show nothing."""

import pytest

from tests.chaos.disaster import Site, first_seed
from tests.chaos.plants import PLANTS
from tests.chaos.wire import Fate, Point

pytestmark = pytest.mark.chaos

PAID = "webhook payment_intent.succeeded"
PART = "refund: a part, by staff"
CAUGHT: dict[str, tuple[str, str, Fate]] = {
    "enrollment_in_a_second_transaction": (PAID, "TransactWriteItems", "kill after"),
    "audit_record_in_a_call_of_its_own": (PAID, "TransactWriteItems", "kill after"),
    "pointer_put_after_the_payment": ("create", "TransactWriteItems", "kill after"),
    "refund_called_before_the_request_is_stored": (PART, "POST /v1/refunds", "kill after"),
    "new_idempotency_key_per_retry": (PART, "POST /v1/refunds", "drop after"),
    "webhook_acknowledged_before_the_commit": (PAID, "TransactWriteItems", "drop before"),
    "event_marked_as_seen_before_it_is_applied": (PAID, "PutItem", "kill after"),
    "replay_forgets_before_it_applies": ("replay", "DeleteItem", "kill after"),
    "secret_answered_before_the_commit": ("create", "TransactWriteItems", "drop before"),
}
"""The flow, the call and the fate at which each shows."""


def test_every_plant_is_tried() -> None:
    assert set(CAUGHT) == set(PLANTS)


@pytest.mark.parametrize("name", CAUGHT)
def test_a_planted_defect_is_caught(chaos: Site, name: str) -> None:
    flow, call, fate = CAUGHT[name]
    with chaos.fresh(name) as w:
        chaos.invoke(w, chaos.prepare(w, flow), None)
        place = [called.name for called in chaos.gate.calls].index(call)
    lasts = fate == "drop before"
    found = [what for r in ("told", "again") for what in chaos.disaster(flow, Point(place, fate, lasts), r, 1, name)]  # type: ignore[arg-type]
    assert found
    assert not chaos.disaster(flow, Point(0, "drop before", lasts=True), "told", first_seed()), "and it is gone again"
