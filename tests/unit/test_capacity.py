"""Every part sustains 100 purchases per second, with the raises that the table of docs/operations.md names."""

import math
from dataclasses import replace

import pytest

from local.deploy import read_template
from tools import capacity
from tools.capacity import Part, Quota
from tuition.core import payment
from tuition.intake import audit_run, fan_out, walk
from tuition.payments import status

PARTS = capacity.read_parts()


def test_the_table_of_the_document_is_computed_from_the_figures_and_the_template() -> None:
    page = capacity.PAGE.read_text(encoding="utf-8")
    assert page == capacity.with_tables(page), "run `make capacity`"


def test_each_part_has_one_row() -> None:
    names = [part.name for part in PARTS]
    assert len(names) == len(set(names)) >= 20


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_sustains_a_hundred_purchases_per_second_with_the_raises_of_the_table(part: Part) -> None:
    assert part.sustains, part
    if part.needed is not None:
        assert part.quota.by and part.quota.raised != "no"
        raised = replace(part, quota=replace(part.quota, default=part.needed))
        assert raised.breaks_at >= capacity.TARGET


def test_the_installments_of_a_day_are_charged_on_that_day() -> None:
    parts = capacity.read_plan_parts()
    assert all(part.breaks_at >= 100_000 for part in parts), parts
    costs = capacity.plan_costs(capacity.PLAN_FIGURES.read_text())
    whole = costs.pop("all of a plan")
    del costs["a run without anything due"]
    assert whole.stripe_calls == pytest.approx(sum(one.stripe_calls for one in costs.values()), abs=0.2)


def test_a_part_that_cannot_be_raised_and_breaks_earlier_does_not_sustain() -> None:
    fixed = Quota("units", 1_000, "no", "", "")
    assert Part("an index", fixed, 10).sustains
    assert not Part("an index", fixed, 10.1).sustains
    assert Part("an index", replace(fixed, raised="request", by="AWS"), 10.1).needed == math.ceil(10.1 * 120)


def test_the_due_index_needs_its_shards() -> None:
    (part,) = [part for part in PARTS if "by_check" in part.name]
    assert part.quota.default == 1_000 * capacity.shards("by_check")
    assert not replace(part, quota=replace(part.quota, default=1_000)).sustains


def test_the_raised_parameters_are_ones_that_the_template_accepts() -> None:
    parameters = read_template(capacity.ROOT / "template.yaml")["Parameters"]
    both = [part for part in PARTS if part.quota.name == "`ReconcileConcurrency`"]
    assert len(both) == 2
    for workers in both:
        assert workers.needed and workers.needed <= parameters["ReconcileConcurrency"]["MaxValue"]


def test_the_constants_are_those_of_the_code() -> None:
    assert (capacity.RESERVE_S, capacity.SLICE_S) == (walk.RESERVE_S, walk.SLICE_S)
    assert capacity.AUDIT_SHARE == audit_run.WORKERS_SHARE
    assert 2 + len(walk._HANDLERS) == capacity.LISTS_PER_SLICE
    assert [part.quota.default for part in PARTS if part.name == "an hour's plan"] == [fan_out.MAX_WINDOWS]
    assert status.SYNC_INTERVAL_S >= 5
    assert payment.OPEN_CHECKS_S == (3600, 6 * 3600, 24 * 3600, 72 * 3600)
