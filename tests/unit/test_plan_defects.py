"""Each rule of plans switched off in turn: stories that do not show the defect prove nothing about the rule."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit import test_plan, test_plan_steps
from tests.unit.test_plan_histories import violation
from tuition.core import plan as plans
from tuition.core import plan_attempts, plan_methods, plan_parts, plan_schedule, plan_steps, timestamps
from tuition.core.plan import Plan
from tuition.core.plan_basis import PlanBasis
from tuition.core.plan_facts import Announced
from tuition.core.plan_parts import Part
from tuition.core.plan_terms import PlanTerms

Patch = pytest.MonkeyPatch
STORIES = 60
"""Within how many stories a defect must be found."""


def tick_has_the_time_of_the_run(patch: Patch) -> None:
    real = plan_steps._tick

    def tick(plan: Plan, now: int) -> Any:
        step = real(plan, now)
        return replace(step, boundary=now) if isinstance(step, plan_steps.Tick) else step

    patch.setattr(plan_steps, "_tick", tick)


def id_of_a_payment_leaves_out_what_it_covers(patch: Patch) -> None:
    real = plans.payment_id
    patch.setattr(plans, "payment_id", lambda environment, plan, _, params: real(environment, plan, (), params))


def part_is_what_the_events_add_up_to(patch: Patch) -> None:
    real = Plan.with_payment

    def with_payment(self: Plan, payment: Any) -> Plan:
        before, plan = self.parts.get(payment.payment_id), real(self, payment)
        after = plan.parts.get(payment.payment_id)
        if before is None or after is None:
            return plan
        refunded = before.refunded + max(0, after.refunded - before.refunded)
        return replace(plan, parts={**plan.parts, payment.payment_id: replace(after, refunded=refunded)})

    patch.setattr(Plan, "with_payment", with_payment)


def due_day_is_chained_from_the_last_one(patch: Patch) -> None:
    real = PlanTerms.due_day

    def due_day(self: PlanTerms, anchor: str, seq: int) -> str:
        for _ in range(1, seq):
            anchor = real(self, anchor, 2)
        return anchor

    patch.setattr(PlanTerms, "due_day", due_day)


def grace_counts_from_the_due_day(patch: Patch) -> None:
    real = plan_schedule.announcement

    def announcement(plan: PlanBasis, seq: int) -> Any:
        announced = real(plan, seq)
        return announced and announced._replace(day=plan_schedule.due_day(plan, seq) or announced.day)

    patch.setattr(plan_schedule, "announcement", announcement)


def repeated_try_takes_the_newest_method(patch: Patch) -> None:
    real = plan_steps._answer

    def answer(plan: Plan, now: int, *, charging: bool) -> Any:
        step = real(plan, now, charging=charging)
        if isinstance(step, plan_steps.ReadAnswer):
            return plan_steps.Repeat(step.occasion, replace(step.attempt, method=plan_methods.chosen(plan)))
        return step

    patch.setattr(plan_steps, "_answer", answer)


def try_is_repeated_after_a_stop(patch: Patch) -> None:
    real = plan_steps._answer

    def answer(plan: Plan, now: int, *, charging: bool) -> Any:
        step = real(plan, now, charging=charging)
        return plan_steps.Repeat(step.occasion, step.attempt) if isinstance(step, plan_steps.ReadAnswer) else step

    patch.setattr(plan_steps, "_answer", answer)


def failed_refund_restarts_the_collection(patch: Patch) -> None:
    def refunds(payment: Any) -> dict[str, int]:
        return {r.request or key: r.created for key, r in payment.facts.refunds.items() if r.status != "failed"}

    patch.setattr(plan_parts, "_refunds", refunds)


def dispute_interrupts_nothing(patch: Patch) -> None:
    real = plan_schedule.interruptions
    bare = lambda plan: replace(plan, parts={key: replace(one, disputed={}) for key, one in plan.parts.items()})  # noqa: E731
    patch.setattr(plan_schedule, "interruptions", lambda plan: real(bare(plan)))


def first_announcement_of_an_installment_stands(patch: Patch) -> None:
    real = plan_schedule.announcement

    def announcement(plan: PlanBasis, seq: int) -> Any:
        first = min((key for key in plan.facts.announced if Announced.of(key).seq == seq), default=None)
        others = {key: at for key, at in plan.facts.announced.items() if Announced.of(key).seq != seq or key == first}
        return real(replace(plan, facts=replace(plan.facts, announced=others)), seq)

    patch.setattr(plan_schedule, "announcement", announcement)


def grace_ends_without_a_try(patch: Patch) -> None:
    patch.setattr(plan_methods, "first_chance", lambda plan, seq, since: None)


def processing_payment_counts_for_nothing(patch: Patch) -> None:
    patch.setattr(PlanBasis, "processing", frozenset())


def disputed_payment_that_was_lost_still_pays(patch: Patch) -> None:
    patch.setattr(Part, "pays", Part.paid)


def refund_uncovers_its_installment(patch: Patch) -> None:
    patch.setattr(Part, "pays", property(lambda self: self.paid and not self.taken and not self.refunded))


def newest_decision_is_the_last_by_its_id(patch: Patch) -> None:
    def decisions(self: PlanBasis) -> Any:
        return tuple(one for _, one in sorted(self.facts.decisions.items(), reverse=True))

    patch.setattr(PlanBasis, "decisions", property(decisions))


def cancel_waits_for_nothing(patch: Patch) -> None:
    patch.setattr(PlanBasis, "is_ending", False)


def refused_method_is_tried_again(patch: Patch) -> None:
    patch.setattr(plan_methods, "blocks", lambda plan, seq, method: [])


def declines_of_a_closed_payment_are_forgotten(patch: Patch) -> None:
    real = plans.part_of
    patch.setattr(plans, "part_of", lambda payment: None if payment.status == "CANCELED" else real(payment))


def method_that_is_gone_is_charged(patch: Patch) -> None:
    def chosen(plan: PlanBasis) -> str | None:
        by_id = plan_methods.methods(plan)
        return max(by_id, key=lambda key: (by_id[key].set_up, key), default=None)

    patch.setattr(plan_methods, "chosen", chosen)


def charge_is_made_without_notice(patch: Patch) -> None:
    patch.setattr(plan_schedule, "collection_day", lambda plan, seq: plan_schedule.due_day(plan, seq))


def every_overdue_installment_is_charged_on_one_day(patch: Patch) -> None:
    def on_retry_day(plan: Plan, target: Any) -> Any:
        tries = [plan.terms.day_of(one.at) for one in plan.facts.tries.values() if one.seq == target.seq]
        days = [timestamps.day_after(target.day, days) for days in plan.terms.retry_days]
        day = next((day for day in days if day > max(tries, default="")), None)
        return day and plan_attempts.Attempt(plan.terms.start_of(day), "day", target.seq, target.method)

    patch.setattr(plan_attempts, "_on_retry_day", on_retry_day)


def interruption_lifts_a_suspension(patch: Patch) -> None:
    real = plan_schedule.announcement

    def announcement(plan: PlanBasis, seq: int) -> Any:
        announced = real(plan, seq)
        return announced if announced and announced.until is None else None

    patch.setattr(plan_schedule, "announcement", announcement)


BY_STORIES: tuple[Callable[[Patch], None], ...] = (
    part_is_what_the_events_add_up_to,
    due_day_is_chained_from_the_last_one,
    grace_counts_from_the_due_day,
    failed_refund_restarts_the_collection,
    dispute_interrupts_nothing,
    first_announcement_of_an_installment_stands,
    grace_ends_without_a_try,
    processing_payment_counts_for_nothing,
    disputed_payment_that_was_lost_still_pays,
    refund_uncovers_its_installment,
    newest_decision_is_the_last_by_its_id,
    cancel_waits_for_nothing,
    refused_method_is_tried_again,
    method_that_is_gone_is_charged,
    charge_is_made_without_notice,
    every_overdue_installment_is_charged_on_one_day,
    interruption_lifts_a_suspension,
)
"""Defects that stories must find."""
BY_TEST: dict[Callable[[Patch], None], Callable[[], None]] = {
    tick_has_the_time_of_the_run: test_plan_steps.test_two_runs_at_different_times_leave_the_same_plan,
    id_of_a_payment_leaves_out_what_it_covers: (
        test_plan.test_a_retry_of_a_request_has_the_same_ids_and_another_request_has_others
    ),
    repeated_try_takes_the_newest_method: (
        test_plan_steps.test_a_try_that_was_killed_is_not_repeated_with_a_method_that_the_student_has_left
    ),
    declines_of_a_closed_payment_are_forgotten: (
        test_plan_steps.test_the_advice_not_to_try_again_outlives_the_payment_that_it_was_given_for
    ),
    try_is_repeated_after_a_stop: lambda: (
        test_plan_steps.test_a_try_is_not_repeated_after_a_stop_or_a_day_and_its_answer_is_only_read(
            lambda story: story.decide("close", refund="none")
        )
    ),
}
"""Defects that a test must find. Stories find them rarely, or not at all: the facts that they leave are alike."""


@pytest.mark.property
@pytest.mark.parametrize("defect", BY_STORIES, ids=lambda defect: defect.__name__)
def test_stories_find_a_planted_defect(defect: Callable[[Patch], None], monkeypatch: Patch) -> None:
    defect(monkeypatch)
    assert any(violation(seed) for seed in range(STORIES))


@pytest.mark.parametrize("defect", BY_TEST, ids=lambda defect: defect.__name__)
def test_the_test_of_a_rule_finds_its_planted_defect(defect: Callable[[Patch], None], monkeypatch: Patch) -> None:
    defect(monkeypatch)
    with pytest.raises(AssertionError):
        BY_TEST[defect]()
