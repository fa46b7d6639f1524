"""A small run of the load in `benchmarks/webhook_load.py`: no event is lost or applied twice."""

from collections.abc import Callable

import pytest

from tests.chaos import webhook_load
from tests.chaos.flows import clear_tables
from tests.chaos.harness import FaultHarness
from tests.seeds import first_seed

pytestmark = [pytest.mark.chaos, pytest.mark.threads]


def test_no_event_of_many_payments_is_lost_when_events_are_shuffled_and_doubled(
    harness: FaultHarness, record_property: Callable[[str, object], None]
) -> None:
    clear_tables(harness.client)
    result = webhook_load.run(harness.client, 60, first_seed())
    assert result["wrong"] == []
    assert result["lost"] == 0
    assert result["deliveries"] > result["events"] > 200
    assert set(result["statuses"]) <= {200, 503}
    record_property("figure", ("events delivered under load", result["deliveries"]))


def test_the_load_run_detects_lost_events(harness: FaultHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_tables(harness.client)
    real = webhook_load.deliver
    monkeypatch.setattr(webhook_load, "deliver", lambda w, events: real(w, events[: len(events) // 2]))
    result = webhook_load.run(harness.client, 5, first_seed())
    assert result["lost"] > 0
    assert result["wrong"]
