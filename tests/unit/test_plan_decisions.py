"""Decisions about a plan that can be taken, those that are refused, and what a student can pay."""

from typing import Any

import pytest

from tests.unit.plan_stories import MEMBERSHIP, Outcome, Story
from tuition.core import plan_decisions, plan_schedule
from tuition.core.plan_decisions import payable_seqs
from tuition.core.plan_facts import MAX_DECISIONS, DecisionName, PlanDecision, PlanFacts


def running(bank: Outcome = "ok", until: str = "2026-01-31", **fields: Any) -> Story:
    story = Story(bank=lambda *_: bank, **fields)
    story.begin()
    story.until(until)
    return story


def unpaid() -> Story:
    story = Story()
    story.create(1)
    return story


def processing() -> Story:
    story = running("processing", "2026-03-01")
    assert story.plan.processing == {2}
    return story


def decided(*names: DecisionName, **fields: Any) -> Story:
    story = running(**fields)
    for name in names:
        assert story.decide(name, **({"refund": "none"} if name == "close" else {})) is None
    return story


REFUSED = {
    "a waived installment that is paid": (running, "waive", {"seqs": (1,)}, "not_owed"),
    "nothing to waive": (running, "waive", {}, "not_owed"),
    "a waived installment that is processing": (processing, "waive", {"seqs": (2,)}, "processing"),
    "moving one that is processing": (processing, "reschedule", {"seqs": (2,), "to": "2026-03-05"}, "processing"),
    "beyond the next one": (running, "reschedule", {"seqs": (2,), "to": "2026-03-31"}, "out_of_order"),
    "before the one before": (running, "reschedule", {"seqs": (3,), "to": "2026-02-28"}, "out_of_order"),
    "beyond giving up": (running, "reschedule", {"seqs": (4,), "to": "2026-07-01"}, "exceeds_give_up"),
    "to a day that has passed": (running, "reschedule", {"seqs": (2,), "to": "2026-01-30"}, "invalid_day"),
    "to no day": (running, "reschedule", {"seqs": (2,), "to": "2026-2-30"}, "invalid_day"),
    "two at once": (running, "reschedule", {"seqs": (2, 3), "to": "2026-02-20"}, "invalid_day"),
    "forgiving a membership": (lambda: running(terms=MEMBERSHIP), "forgive", {"seqs": (2,)}, "not_installments"),
    "waiving after the end": (lambda: decided("close"), "waive", {"seqs": (2,)}, "not_open"),
    "pausing twice": (lambda: decided("pause"), "pause", {}, "not_open"),
    "resuming without a pause": (running, "resume", {}, "not_paused"),
    "continuing without a refund": (running, "continue", {}, "nothing_to_refund"),
    "continuing after the end": (lambda: decided("close"), "continue", {"accepts": ("re_1",)}, "not_open"),
    "closing twice": (lambda: decided("close"), "close", {"refund": "none"}, "already_decided"),
    "withdrawing twice": (lambda: decided("withdraw"), "withdraw", {}, "not_open"),
    "revoking access before anything is paid": (unpaid, "revoke", {}, "not_open"),
    "revoking twice": (lambda: decided("revoke"), "revoke", {}, "already_decided"),
    "revoking after the end": (lambda: decided("close"), "revoke", {}, "not_open"),
    "restoring without a revocation": (running, "restore", {}, "already_decided"),
    "canceling installments": (running, "cancel", {}, "not_a_membership"),
    "canceling twice": (lambda: decided("cancel", terms=MEMBERSHIP), "cancel", {}, "already_decided"),
    "undoing no cancel": (lambda: running(terms=MEMBERSHIP), "undo_cancel", {}, "already_decided"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_decision_that_contradicts_the_plan_is_refused(name: str) -> None:
    make, decision, values, code = REFUSED[name]
    assert make().decide(decision, **values) == code  # type: ignore[operator, arg-type]


def test_closing_with_all_money_back_can_follow_a_closing_without_and_needs_money() -> None:
    story = decided("close")
    assert story.decide("close", refund="all") is None
    assert (story.plan.status, sum(story.plan.money_due.values())) == ("REFUNDED", 12_475)
    story = unpaid()
    assert story.decide("close", refund="all") == "nothing_to_refund"
    assert story.decide("close", refund="none") is None


def test_a_day_may_be_moved_up_to_the_day_before_the_next_one() -> None:
    story = running(until="2026-02-10")
    assert story.decide("reschedule", seqs=(2,), to="2026-03-30") is None
    story.until("2026-05-01")
    assert [charge[:2] for charge in story.charges] == [("2026-03-30", 2), ("2026-03-31", 3), ("2026-04-30", 4)]


def test_all_moves_of_an_installment_together_are_at_most_60_days_and_a_pause_does_not_count() -> None:
    story = running(until="2026-02-10")
    assert story.decide("reschedule", seqs=(4,), to="2026-06-20") is None  # it was due on 2026-04-30
    assert story.decide("reschedule", seqs=(4,), to="2026-06-30") == "exceeds_give_up"
    assert plan_schedule.latest_day(story.plan, 4) == "2026-06-29"
    assert story.decide("reschedule", seqs=(4,), to="2026-05-15") is None
    assert story.decide("pause") is None
    story.until("2026-03-12")
    assert story.decide("resume") is None
    assert story.decide("reschedule", seqs=(4,), to="2026-07-29") is None
    assert story.decide("reschedule", seqs=(4,), to="2026-07-30") == "exceeds_give_up"


def test_a_decision_beyond_the_bound_of_a_plan_is_refused() -> None:
    story = running()
    decision = PlanDecision(version=1, decision="waive", at=story.now, actor="staff", seqs=(4,))
    story.learn(PlanFacts(decisions={f"dec_{n}": decision for n in range(MAX_DECISIONS)}))
    assert story.decide("waive", seqs=(3,)) == "too_many_decisions"
    assert {"not_owed", "invalid_day", "exceeds_give_up"} == plan_decisions.INVALID


def test_a_plan_can_be_ended_after_any_number_of_decisions_and_a_student_leaves_room_for_those_of_staff() -> None:
    story = running(terms=MEMBERSHIP)
    refused: list[str | None] = []
    while not refused and len(story.plan.facts.decisions) < 2 * MAX_DECISIONS:
        assert story.decide("cancel") is None
        refused += [one for one in [story.decide("undo_cancel")] if one]
    assert (refused, story.plan.is_canceled) == (["too_many_decisions"], True)
    assert len(story.plan.facts.decisions) < MAX_DECISIONS
    assert story.decide("pause") is None
    story.learn(PlanFacts(decisions={f"dec_{n}": next(story.plan.decided("pause")) for n in range(MAX_DECISIONS)}))
    assert story.decide("revoke") is None
    assert story.decide("restore") == "too_many_decisions"
    assert story.decide("close", refund="none") is None


def test_of_two_decisions_the_one_on_the_later_version_counts_in_any_order() -> None:
    story = running(terms=MEMBERSHIP, until="2026-02-10")
    cancel, undo = (
        PlanFacts(decisions={f"dec_{n}": PlanDecision(version=n, decision=name, at=story.now, actor="u")})
        for n, name in ((8, "cancel"), (9, "undo_cancel"))  # type: ignore[arg-type]
    )
    for order in ((cancel, undo), (undo, cancel)):
        plan = story.plan
        for facts in order:
            plan = plan.merged(facts)
        assert not plan.is_canceled


def test_an_installment_that_a_dispute_took_is_due_at_once_and_paying_it_restores_access() -> None:
    story = running(until="2026-02-10")
    rest = story.pay("rest")
    assert rest and payable_seqs(story.plan, "due", story.today) == ()
    story.dispute(rest, "lost")
    assert (story.plan.status, payable_seqs(story.plan, "due", story.today)) == ("SUSPENDED", (2, 3, 4))
    story.pay("due")
    assert (story.plan.status, story.plan.grants_access) == ("COMPLETE", True)


def test_a_student_pays_the_next_installment_those_that_are_due_or_the_rest() -> None:
    story = running("insufficient_funds", "2026-04-20")
    assert payable_seqs(story.plan, "next", story.today) == (2,)
    assert payable_seqs(story.plan, "due", story.today) == (2, 3)
    assert payable_seqs(story.plan, "rest", story.today) == (2, 3, 4)
    assert story.decide("pause") is None
    story.until("2026-05-20")
    assert payable_seqs(story.plan, "due", story.today) == (2, 3)
    assert payable_seqs(decided("close").plan, "rest", "2026-01-31") == ()
    member = running("insufficient_funds", "2026-03-01", terms=MEMBERSHIP)
    assert payable_seqs(member.plan, "rest", "2026-03-01") == (2,)
