"""Each rule switched off in turn: a search that does not find the defect proves nothing.

Each planted defect must be found by the search, and must break the regression tests of its rule.
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.model import checkers
from tests.model import planted_defects as defects
from tests.model import test_regressions as regressions
from tests.model.search import run_schedule
from tests.model.simulation import running
from tests.seeds import drawn, first_seed
from tuition.core.errors import TuitionError

Patch = pytest.MonkeyPatch
FULL_SIZE = 10_000
"""How many schedules `make soak` runs at most to find a defect."""
OUTDATED = re.compile(r" raised (?:TypeError|AttributeError|NameError)\(")
"""A defect that was planted with an old signature breaks every call. Finding that proves nothing about its rule."""


@dataclass(frozen=True)
class PlantedDefect:
    """A defect, the scenario to search, and the number of schedules within which it must be found."""

    install: Callable[[Patch], None]
    scenario: str
    max_schedules: int = 300
    skipped: int = 0
    """How many schedules `make test` skips because none of them found the defect in a search from the first one, which
    `make soak` still does. A change of the code changes the histories: then the search finds the defect elsewhere."""

    @property
    def name(self) -> str:
        return self.install.__name__


PLANTED_DEFECTS = (
    PlantedDefect(defects.event_about_another_object_is_applied, "reused_payment_ids"),
    PlantedDefect(defects.losing_double_click_closes_the_shared_object, "three_creates"),
    PlantedDefect(defects.losing_create_leaves_its_object_open, "mixed_kinds"),
    PlantedDefect(defects.create_gives_up_after_any_conflict, "losing_creates", 1_500, skipped=27),
    PlantedDefect(defects.any_event_rebuilds_a_payment, "three_creates"),
    PlantedDefect(defects.every_create_has_its_own_idempotency_key, "three_creates"),
    PlantedDefect(defects.orphans_are_never_closed, "reused_payment_ids", skipped=13),
    PlantedDefect(defects.create_closes_payments_opened_after_it_started, "mixed_kinds"),
    PlantedDefect(defects.session_with_a_failed_bank_debit_stays_open, "bank_debits"),
    PlantedDefect(defects.rebuilt_payment_does_not_raise_the_attempt_counter, "restore"),
    PlantedDefect(defects.refunded_payment_counts_as_never_granted, "lost_webhooks"),
    PlantedDefect(defects.lost_dispute_stays_lost, "appeals"),
    PlantedDefect(defects.lost_dispute_is_forgotten, "disputes"),
    PlantedDefect(defects.dispute_won_on_appeal_blocks_forever, "appeals"),
    PlantedDefect(defects.sync_result_is_reused_after_a_conflict, "stale_syncs", 1_500, skipped=545),
    PlantedDefect(defects.events_of_the_same_second_are_not_synced, "same_second_events", 1_500, skipped=35),
    PlantedDefect(defects.rejected_request_stays_open, "refund_retries", skipped=50),
    PlantedDefect(defects.rejection_is_committed_without_a_sync, "refund_retries", skipped=50),
    PlantedDefect(defects.ledger_overwrites_steps, "repeat_purchases"),
    PlantedDefect(defects.double_payment_is_marked_on_the_last_change, "double_payments", skipped=19),
    PlantedDefect(defects.double_payment_is_not_queued, "double_payments"),
    PlantedDefect(defects.enrollment_is_put_without_a_condition, "three_creates"),
    PlantedDefect(defects.unchanged_enrollment_is_not_checked, "appeals", 1_500, skipped=380),
    PlantedDefect(defects.object_without_a_pointer_is_foreign, "checkout_pages"),
    PlantedDefect(defects.stale_idempotent_replay_is_not_retrieved_again, "stale_replays"),
    PlantedDefect(defects.free_session_is_not_settled, "promotion_codes"),
    PlantedDefect(defects.unreadable_event_is_answered_with_an_error, "unreadable_events"),
    PlantedDefect(defects.replayed_event_stays_in_quarantine, "unreadable_events"),
    PlantedDefect(defects.erasure_is_forgotten, "erasures"),
    PlantedDefect(defects.open_payment_is_offered_at_its_old_price, "price_changes"),
    PlantedDefect(defects.deleted_customer_is_not_replaced, "deleted_customers"),
    PlantedDefect(defects.losing_create_closes_its_object_without_a_claim, "up_to_eight_creates", 1_500, skipped=24),
    PlantedDefect(defects.sync_record_wins_like_an_event_record, "concurrent_syncs", 1_500, skipped=42),
    PlantedDefect(defects.each_refund_call_has_its_own_idempotency_key, "refund_retries", skipped=228),
    PlantedDefect(defects.resumed_refund_is_not_looked_up_first, "refund_retries", skipped=31),
    PlantedDefect(defects.create_responds_before_its_commit, "three_creates"),
    PlantedDefect(defects.recorded_event_is_applied_again, "whole_system"),
    PlantedDefect(defects.recorded_event_is_recorded_again, "whole_system"),
    PlantedDefect(defects.settled_fact_can_be_lost, "whole_system"),
    PlantedDefect(defects.each_refund_event_counts_as_a_refund, "failing_refunds"),
    PlantedDefect(defects.succeeded_refund_cannot_fail, "failing_refunds"),
    PlantedDefect(defects.sync_does_not_list_refunds_after_a_refund_event, "failing_refunds"),
    PlantedDefect(defects.disputes_ignore_the_order_of_events, "appeals"),
    PlantedDefect(defects.newest_attempt_alone_decides_the_enrollment, "double_payments", 1_500, skipped=16),
    PlantedDefect(defects.closing_is_assumed_to_succeed, "mixed_kinds", skipped=100),
    PlantedDefect(defects.partial_refund_withdraws, "refunds"),
    PlantedDefect(defects.audit_record_contains_free_text, "refund_retries"),
    PlantedDefect(defects.reconciler_does_not_resume_refunds, "refund_retries"),
    PlantedDefect(defects.payment_stays_open_after_many_declines, "card_testing"),
    PlantedDefect(defects.declines_are_counted_per_container, "limited_declines"),
    PlantedDefect(defects.request_awaits_approval_forever, "staff", 1_500, skipped=125),
    PlantedDefect(defects.revoked_payment_grants_access, "staff"),
    PlantedDefect(defects.first_access_decision_wins, "altered_amounts"),
    PlantedDefect(defects.accepted_amount_is_forgotten, "altered_amounts", 1_500, skipped=480),
    PlantedDefect(defects.acknowledgement_ignores_the_fingerprint, "disputes", skipped=52),
    PlantedDefect(defects.claim_is_ignored, "reused_payment_ids", skipped=12),
    PlantedDefect(defects.student_who_paid_another_amount_is_charged_again, "altered_amounts"),
    PlantedDefect(defects.sync_compares_the_payment_alone, "partial_restore", skipped=29),
    PlantedDefect(defects.reappeared_object_stays_payable, "missing_at_stripe"),
    PlantedDefect(defects.missing_object_stays_missing, "missing_at_stripe"),
    PlantedDefect(defects.event_of_a_missing_object_is_applied, "missing_at_stripe", 1_500, skipped=60),
    PlantedDefect(defects.enrollment_has_a_standing_without_a_payment, "refunds"),
    PlantedDefect(defects.settled_payment_is_never_confirmed, "double_payments", skipped=14),
    PlantedDefect(defects.decision_is_shed, "staff"),
    PlantedDefect(defects.refund_is_shed, "refunds"),
    PlantedDefect(defects.revoked_free_purchase_counts_as_paid, "promotion_codes", 1_500, skipped=180),
    PlantedDefect(defects.first_purchase_is_claimed_without_a_condition, "first_purchases"),
    PlantedDefect(defects.payment_closed_unpaid_keeps_the_first_purchase, "first_purchases", skipped=10),
    PlantedDefect(defects.second_refund_of_a_track_is_made_at_once, "repeat_purchases", 1_500, skipped=5),
    PlantedDefect(defects.bank_debit_is_refunded_at_once, "bank_debits"),
    PlantedDefect(defects.reconciler_reads_one_of_four_shards, "lost_webhooks", 1_000, skipped=122),
    PlantedDefect(defects.create_ignores_that_selling_is_stopped, "stopped_sales"),
    PlantedDefect(defects.stop_is_written_without_a_condition, "stopped_sales", skipped=27),
    PlantedDefect(defects.withdrawn_payment_grants_access, "withdrawals", skipped=6),
    PlantedDefect(defects.withdrawn_payment_whose_debit_failed_stays_open, "withdrawals_processing"),
    PlantedDefect(defects.withdrawal_is_declined_when_a_dispute_is_lost, "withdrawals", skipped=31),
    PlantedDefect(defects.withdrawal_counts_as_paid_twice, "withdrawals", skipped=42),
    PlantedDefect(defects.due_refund_of_a_withdrawal_needs_no_attention, "withdrawals"),
    PlantedDefect(defects.staff_can_decline_a_withdrawal, "withdrawals", skipped=23),
    PlantedDefect(defects.canceled_payment_stays_payable, "changes_of_mind"),
    PlantedDefect(defects.decided_request_can_be_withdrawn, "changes_of_mind", skipped=10),
    PlantedDefect(defects.agreement_to_new_terms_is_not_recorded_on_an_open_payment, "changes_of_mind"),
)

BROKEN_REGRESSION_TESTS: tuple[tuple[Callable[[Patch], None], Callable[..., None], tuple[Any, ...]], ...] = (
    (
        defects.event_about_another_object_is_applied,
        regressions.test_closing_another_object_with_the_same_payment_id_changes_nothing,
        (),
    ),
    (
        defects.losing_create_leaves_its_object_open,
        regressions.test_a_losing_create_of_another_kind_closes_only_its_own_object,
        (),
    ),
    (
        defects.create_closes_payments_opened_after_it_started,
        regressions.test_a_losing_create_of_another_kind_closes_only_its_own_object,
        (),
    ),
    (
        defects.losing_double_click_closes_the_shared_object,
        regressions.test_a_losing_double_click_returns_the_winning_payment_and_cancels_nothing,
        (),
    ),
    (
        defects.create_gives_up_after_any_conflict,
        regressions.test_a_create_that_conflicts_with_an_older_payments_webhook_commits_the_same_object,
        (),
    ),
    (
        defects.any_event_rebuilds_a_payment,
        regressions.test_a_created_event_before_the_commit_rebuilds_nothing_and_the_create_commits,
        (),
    ),
    (defects.any_event_rebuilds_a_payment, regressions.test_a_payment_is_not_rebuilt_from_the_body_of_an_event, ()),
    (
        defects.any_event_rebuilds_a_payment,
        regressions.test_a_late_processing_event_after_a_failure_rebuilds_nothing,
        (),
    ),
    (
        defects.every_create_has_its_own_idempotency_key,
        regressions.test_a_retry_uses_the_intent_of_a_create_that_died_before_its_commit,
        (),
    ),
    (
        defects.orphans_are_never_closed,
        regressions.test_the_orphan_of_a_create_that_died_is_closed_by_the_next_hourly_run,
        (),
    ),
    (
        defects.create_closes_payments_opened_after_it_started,
        regressions.test_concurrent_creates_of_two_kinds_do_not_keep_closing_each_other,
        (),
    ),
    *(
        (
            defects.session_with_a_failed_bank_debit_stays_open,
            regressions.test_a_complete_session_with_a_failed_bank_debit_is_canceled_and_the_student_can_buy_again,
            (source,),
        )
        for source in ("webhook", "sync")
    ),
    (
        defects.rebuilt_payment_does_not_raise_the_attempt_counter,
        regressions.test_a_rebuilt_payment_raises_the_attempt_counter_for_the_next_create,
        (),
    ),
    (
        defects.refunded_payment_counts_as_never_granted,
        regressions.test_a_purchase_and_its_refund_found_by_one_sync_end_as_in_two_steps,
        (),
    ),
    (
        defects.lost_dispute_stays_lost,
        regressions.test_a_dispute_that_is_lost_reviewed_and_lost_again_withdraws_access,
        (),
    ),
    (
        defects.lost_dispute_is_forgotten,
        regressions.test_a_lost_dispute_blocks_until_staff_allow_it_or_it_is_won,
        (),
    ),
    (
        defects.dispute_won_on_appeal_blocks_forever,
        regressions.test_a_lost_dispute_blocks_until_staff_allow_it_or_it_is_won,
        (),
    ),
    (
        defects.new_customer_clears_the_blocks,
        regressions.test_a_replaced_customer_keeps_what_staff_have_allowed,
        (),
    ),
    (
        defects.sync_result_is_reused_after_a_conflict,
        regressions.test_a_sync_that_conflicts_with_another_sync_retrieves_again,
        ("FAILED",),
    ),
    (
        defects.events_of_the_same_second_are_not_synced,
        regressions.test_two_phases_of_the_same_second_end_as_at_stripe_in_either_order,
        ((1, 0), False),
    ),
    (
        defects.rejected_request_stays_open,
        regressions.test_a_dashboard_refund_between_request_and_call_rejects_the_request,
        (),
    ),
    (
        defects.rejection_is_committed_without_a_sync,
        regressions.test_a_dashboard_refund_between_request_and_call_rejects_the_request,
        (),
    ),
    (
        defects.ledger_overwrites_steps,
        regressions.test_a_step_marked_done_while_the_ledger_changes_the_lock_stays_done,
        (),
    ),
    (
        defects.double_payment_is_marked_on_the_last_change,
        regressions.test_a_double_payment_needs_attention_at_the_later_attempt_in_either_order,
        (1,),
    ),
    (
        defects.double_payment_is_not_queued,
        regressions.test_a_double_payment_found_by_the_reconciler_is_queued_for_staff,
        (),
    ),
    (
        defects.reconciler_postpones_a_payment_that_it_has_just_changed,
        regressions.test_a_double_payment_found_by_the_reconciler_is_queued_for_staff,
        (),
    ),
    (
        defects.enrollment_is_put_without_a_condition,
        regressions.test_a_refund_of_one_payment_racing_the_success_of_another_keeps_both_standings,
        (),
    ),
    (
        defects.object_without_a_pointer_is_foreign,
        regressions.test_a_refund_event_without_a_pointer_is_resolved_by_its_intent,
        (),
    ),
    (
        defects.stale_idempotent_replay_is_not_retrieved_again,
        regressions.test_a_canceled_orphan_is_not_offered_again_by_its_idempotency_key,
        (),
    ),
    (
        defects.free_session_is_not_settled,
        regressions.test_a_free_session_enrolls_and_its_refund_is_rejected_with_a_reason,
        (),
    ),
    (
        defects.unreadable_event_is_answered_with_an_error,
        regressions.test_an_unreadable_event_is_quarantined_and_replayed_once_it_can_be_read,
        (),
    ),
    (
        defects.replayed_event_stays_in_quarantine,
        regressions.test_an_unreadable_event_is_quarantined_and_replayed_once_it_can_be_read,
        (),
    ),
    (defects.erasure_is_forgotten, regressions.test_erased_personal_facts_do_not_return_with_a_late_event, ()),
    (
        defects.open_payment_is_offered_at_its_old_price,
        regressions.test_a_price_change_closes_the_open_payment_and_the_next_create_has_the_new_price,
        (),
    ),
    (
        defects.deleted_customer_is_not_replaced,
        regressions.test_a_customer_deleted_at_stripe_is_replaced_by_the_next_create,
        (),
    ),
    (
        defects.losing_create_closes_its_object_without_a_claim,
        regressions.test_a_losing_create_claims_its_object_before_closing_it_so_that_no_other_commits_it,
        (),
    ),
    (
        defects.losing_create_closes_its_object_without_a_claim,
        regressions.test_a_create_does_not_commit_an_object_that_the_reconciler_closed,
        (),
    ),
    (
        defects.sync_record_wins_like_an_event_record,
        regressions.test_two_syncs_of_one_version_at_the_same_time_end_in_the_newer_state,
        (),
    ),
    (
        defects.each_refund_call_has_its_own_idempotency_key,
        regressions.test_a_partial_refund_with_a_delayed_first_call_is_made_once,
        (),
    ),
    (
        defects.sync_does_not_list_refunds_after_a_refund_event,
        regressions.test_a_failed_refund_is_found_through_an_event_of_another_api_version,
        (),
    ),
    (
        defects.sync_does_not_list_refunds_after_a_refund_event,
        regressions.test_a_failed_refund_whose_webhook_is_lost_is_found_by_the_reconciler,
        (),
    ),
    (
        defects.payment_stays_open_after_many_declines,
        regressions.test_a_payment_is_closed_after_its_fifth_failed_charge,
        (),
    ),
    (
        defects.enrollment_has_a_standing_without_a_payment,
        regressions.test_each_standing_that_grants_access_has_a_payment_that_grants_it,
        (),
    ),
    *(
        (
            defects.settled_payment_is_never_confirmed,
            regressions.test_a_settled_payment_is_confirmed_by_the_next_hourly_run,
            (hours,),
        )
        for hours in (0, 9)
    ),
    (
        defects.claim_is_ignored,
        regressions.test_another_settled_object_with_the_payments_id_is_a_claim_for_staff,
        (),
    ),
    (
        defects.revoked_amount_keeps_its_student_from_buying,
        regressions.test_a_student_can_buy_again_once_staff_have_revoked_another_amount,
        (),
    ),
)


@pytest.mark.parametrize(
    ("defect", "regression_test", "params"),
    BROKEN_REGRESSION_TESTS,
    ids=[f"{defect.__name__}-{test.__name__}" for defect, test, _ in BROKEN_REGRESSION_TESTS],
)
def test_a_planted_defect_breaks_its_regression_test(
    defect: Any, regression_test: Any, params: Any, monkeypatch: Patch
) -> None:
    with running(7, monkeypatch) as sim:
        defect(monkeypatch)
        try:
            regression_test(sim, *params)
        except (AssertionError, TuitionError, pytest.fail.Exception):
            return
        assert sim.problems or checkers.final_state(sim)


def find(defect: PlantedDefect, max_schedules: int = 0) -> tuple[int, list[str]] | None:
    """Return how many schedules it took to find the defect, and the problems. None if it was not found."""
    first = first_seed() + defect.skipped
    for number in range(max_schedules or defect.max_schedules):
        result = run_schedule(first + number, defect.scenario, defect.install)
        if result.problems:
            return number + 1, result.problems
    return None


def assert_found(defect: PlantedDefect, record_property: Any) -> None:
    """The search finds the defect, and the same schedule without the defect has no violation."""
    name, scenario = defect.name, defect.scenario
    violation = find(defect)
    assert violation, f"{name} was not found in {defect.max_schedules} schedules of {scenario}"
    count, problems = violation
    stale = [problem for problem in problems if OUTDATED.search(problem)]
    assert not stale, f"{name} no longer fits the code that it replaces: {stale[0]}"
    seed = first_seed() + defect.skipped + count - 1
    assert not run_schedule(seed, scenario).problems, f"seed {seed} of {scenario} is a violation without {name} too"
    details = f"found after {count} schedules of {scenario}, by seed {seed}"
    record_property("planted", f"{name}: {details}: {problems[0][:100]}")


@pytest.mark.property
@pytest.mark.parametrize("defect", drawn(PLANTED_DEFECTS, 2), ids=lambda defect: defect.name)
def test_the_search_finds_a_planted_defect(defect: PlantedDefect, record_property: Any) -> None:
    assert_found(defect, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("defect", PLANTED_DEFECTS, ids=lambda defect: defect.name)
def test_the_search_finds_a_planted_defect_at_full_size(defect: PlantedDefect, record_property: Any) -> None:
    assert_found(replace(defect, max_schedules=FULL_SIZE, skipped=0), record_property)


if __name__ == "__main__":
    pattern = os.environ.get("ONLY", "")
    for each in PLANTED_DEFECTS:
        if pattern in each.name:
            start = time.monotonic()
            violation = find(replace(each, skipped=0), int(os.environ.get("WITHIN", "0")))
            seconds = f"{time.monotonic() - start:.1f} s"
            details = (violation[0], violation[1][0][:160]) if violation else ("NOT FOUND",)
            print(each.name, each.scenario, seconds, *details, flush=True)
