"""The load of `benchmarks/webhook_load.py`, small: nothing is lost, nothing is doubled."""

from collections.abc import Callable

import pytest

from tests.chaos import webhook_load
from tests.chaos.disaster import Site, first_seed
from tests.chaos.flows import wipe

pytestmark = pytest.mark.chaos


def test_shuffled_and_doubled_events_of_many_payments_lose_nothing(
    chaos: Site, record_property: Callable[[str, object], None]
) -> None:
    wipe(chaos.client)
    found = webhook_load.run(chaos.client, 60, first_seed())
    assert found["wrong"] == []
    assert found["lost"] == 0
    assert found["deliveries"] > found["events"] > 200
    assert set(found["statuses"]) <= {200, 503}
    record_property("figure", ("events delivered under load", found["deliveries"]))


def test_an_event_that_is_lost_would_be_seen(chaos: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wipe(chaos.client)
    real = webhook_load.deliver
    monkeypatch.setattr(webhook_load, "deliver", lambda w, events: real(w, events[: len(events) // 2]))
    found = webhook_load.run(chaos.client, 5, first_seed())
    assert found["lost"] > 0
    assert found["wrong"]
