"""The search itself: no schedule violates an invariant. `docs/testing.md` has its sizes and counts."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tests.model.plan_life import run_life
from tests.model.scenarios import SCENARIOS, WHOLE_SYSTEM
from tests.model.search import report, run_schedule, schedule_count
from tests.seeds import first_seed
from tests.shards import NUMBERS

FULL_SIZE = {
    "whole system": (WHOLE_SYSTEM, 44_000),
    "disputes": (("disputes", "appeals", "double_payments"), 21_600),
    "many creates": (("many_creates",), 42_000),
    "changes of mind": (("changes_of_mind",), 8_000),
    "withdrawals": (("withdrawals", "withdrawals_restored", "withdrawals_processing"), 15_000),
}
"""The scenarios of each search at full size, in turn, and its number of schedules."""
LIFE = 3003
"""A life of plans that once differed from one process to the next."""
PARTS = 12
"""Each search at full size is split into so many tests, so that two workers share it and each part counts."""


def _search(scenarios: tuple[str, ...], seeds: Sequence[int], record_property: Any, shards: int | None = None) -> None:
    """Run each schedule, with this number of shards or in turn with each."""
    counts = Counter[str]()
    for seed in seeds:
        turn = seed // len(scenarios) % len(NUMBERS)
        result = run_schedule(seed, scenarios[seed % len(scenarios)], shards=shards or NUMBERS[turn])
        assert not result.problems, report(result)
        counts.update(result.counts)
        counts["I/Os"] += len(result.trace)
    record_property("schedules", len(seeds))
    record_property("searched", dict(counts))


@pytest.mark.property
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("shards", NUMBERS)
def test_the_tables_match_stripe_after_any_order_of_steps_and_faults(
    part: int, shards: int, record_property: Any
) -> None:
    first, count = first_seed(), schedule_count(300) // len(NUMBERS)
    scenarios = (
        *WHOLE_SYSTEM,
        "disputes",
        "appeals",
        "many_creates",
        "stopped_sales",
        "withdrawals",
        "changes_of_mind",
    )
    _search(scenarios, range(first + part, first + count, 4), record_property, shards)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", FULL_SIZE)
def test_the_tables_match_stripe_at_full_size(name: str, part: int, record_property: Any) -> None:
    scenarios, count = FULL_SIZE[name]
    first = first_seed()
    _search(scenarios, range(first + part, first + schedule_count(count), PARTS), record_property)


def _histories() -> dict[str, str]:
    """Return a digest of one history of each fourth scenario, and of a life of plans."""
    traces = {scenario: run_schedule(11, scenario).trace for scenario in [*SCENARIOS][first_seed() % 4 :: 4]}
    traces["life"] = run_life(LIFE).trace
    assert all(len(trace) > 5 for trace in traces.values())
    return {name: hashlib.sha256("\n".join(trace).encode()).hexdigest() for name, trace in traces.items()}


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    """The other process orders sets of texts in another way."""
    script = "import json, tests.model.test_search as search; print(json.dumps(search._histories()))"
    seeded = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=seeded, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == _histories()
