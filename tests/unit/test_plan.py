"""The status of a plan, its access and its money, by the table and the edge cases of the design."""

from dataclasses import replace

import pytest

from tests.unit.plan_stories import DAY, FOUR, MEMBERSHIP, Outcome, Story, agrees, at, plan_of, replayed
from tuition.core import plan as plans
from tuition.core import plan_attention, plan_checks, plan_decisions, plan_schedule, plan_steps, timestamps
from tuition.core.enrollment import Enrollment
from tuition.core.facts import Acknowledgement, Decision, Facts, Settled, Withdrawal
from tuition.core.plan import Plan
from tuition.core.plan_facts import DecisionName, PlanFacts
from tuition.core.plan_installments import installments
from tuition.core.plan_parts import MAX_CLOSED, part_of

BROKE: Outcome = "insufficient_funds"


def running(bank: Outcome = "ok", until: str = "2026-01-31", **fields: object) -> Story:
    """Return a story whose first installment is paid, on a day."""
    story = Story(bank=lambda *_: bank, **fields)  # type: ignore[arg-type]
    story.begin()
    story.until(until)
    return story


def first_payment(story: Story) -> str:
    return next(iter(story.payments))


def attention(plan: Plan) -> set[str]:
    return {reason.name for reason in plan_attention.unacknowledged(plan)}


def open_plan() -> Story:
    story = Story()
    story.create(1)
    return story


def suspended() -> Story:
    return running(BROKE, "2026-03-15")


def paused() -> Story:
    story = running()
    story.decide("pause")
    return story


def given_up() -> Story:
    return running(BROKE, "2026-05-02")


def closed() -> Story:
    story = running()
    story.decide("close", refund="none")
    return story


def refunded() -> Story:
    story = running()
    story.decide("close", refund="all")
    return story


def abandoned() -> Story:
    story = open_plan()
    story.close(first_payment(story))
    return story


def lapsed() -> Story:
    return running(BROKE, "2026-03-15", terms=MEMBERSHIP)


CASES = {
    "open": (open_plan, "OPEN", False, "PENDING", False, True),
    "active": (running, "ACTIVE", True, "ENROLLED", True, True),
    "late": (lambda: running(BROKE, "2026-03-01"), "LATE", True, "ENROLLED", True, True),
    "suspended": (suspended, "SUSPENDED", False, "SUSPENDED", False, True),
    "paused": (paused, "PAUSED", True, "ENROLLED", False, True),
    "complete": (lambda: running(until="2026-05-01"), "COMPLETE", True, "ENROLLED", False, False),
    "given up": (given_up, "CLOSED", False, "WITHDRAWN", False, True),
    "closed by staff": (closed, "CLOSED", False, "WITHDRAWN", False, False),
    "a membership that lapsed": (lapsed, "CLOSED", False, "WITHDRAWN", False, False),
    "refunded": (refunded, "REFUNDED", False, "WITHDRAWN", False, False),
    "abandoned": (abandoned, "ABANDONED", False, None, False, False),
}


@pytest.mark.parametrize("name", CASES)
def test_each_status_has_the_access_the_enrollment_and_the_charges_of_the_table(name: str) -> None:
    make, status, access, enrollment, charged, payable = CASES[name]
    plan = make().plan  # type: ignore[operator]
    assert (plan.status, plan.grants_access, plan.enrollment) == (status, access, enrollment)
    assert (plan.charged_off_session, plan.payable) == (charged, payable)
    assert (plan.outstanding > 0) == payable
    standings = {plan.plan_id: plan.standing} if plan.standing.counts else {}
    assert Enrollment(user_id="u", track="DP", standings=standings).status == enrollment


def test_every_status_has_a_case() -> None:
    assert {case[1] for case in CASES.values()} == {*plans.STATUSES}


# --- beginning ---


def test_a_debit_that_fails_after_it_was_processing_abandons_the_plan_and_another_can_begin() -> None:
    story = Story()
    payment_id = story.create(1)
    story.charge(payment_id, "processing", kind="us_bank_account")
    story.now += 4 * DAY
    story.bank_decides(payment_id, pays=False)
    assert (story.plan.status, story.plan.standing.open) == ("OPEN", True)
    story.close(payment_id)
    assert (story.plan.status, story.plan.covering(1), story.plan.standing.counts) == ("ABANDONED", [], False)
    assert plans.plan_id("test", "u", "DP", 1, {}) != plans.plan_id("test", "u", "DP", 2, {})


def test_an_amount_that_was_altered_in_the_dashboard_covers_only_when_staff_accept_it() -> None:
    story = Story()
    payment_id = story.create(1)
    story.report(payment_id, Facts(settled=Settled(12_000, "usd", story.now)))
    assert (story.plan.status, story.plan.grants_access, story.plan.covered) == ("OPEN", False, frozenset())
    assert (story.plan.received, story.plan.standing.holds_funds, story.plan.standing.granted) == (12_000, True, False)
    accepted = Decision(2, "accept_amount", "staff", "agreed by phone")
    story.report(payment_id, Facts(decision=accepted, accepted=True))
    assert (story.plan.status, story.plan.covered) == ("ACTIVE", {1})


def test_a_retry_of_a_request_has_the_same_ids_and_another_request_has_others() -> None:
    plan = running().plan
    ids = {plans.payment_id("test", plan, covers, {"amount": 1}) for covers in ((2,), (3,), (2, 3), (2, 3, 4))}
    assert len(ids) == 4
    assert plans.payment_id("test", plan, (2,), {"amount": 1}) in ids
    later = plan.merged(PlanFacts(last_number=9))
    assert plans.payment_id("test", later, (2,), {"amount": 1}) not in ids
    assert plans.plan_id("test", "u", "DP", 1, {"offer": "4x"}) == plans.plan_id("test", "u", "DP", 1, {"offer": "4x"})


# --- late ---


def test_grace_ends_after_fourteen_days_and_giving_up_comes_after_sixty() -> None:
    story = running(BROKE, "2026-02-28")
    assert story.plan.status == "LATE"
    story.until("2026-03-13")
    assert story.plan.status == "LATE"
    story.until("2026-03-14")
    assert story.plan.status == "SUSPENDED"
    story.until("2026-04-28")
    assert story.plan.status == "SUSPENDED"
    story.until("2026-04-29")
    assert (story.plan.status, story.plan.close_reason, attention(story.plan)) == ("CLOSED", "gave_up", {"gave_up"})
    assert [charge[0] for charge in story.charges] == ["2026-02-28", "2026-03-03", "2026-03-07", "2026-03-12"]


def test_the_covering_payment_restores_access_and_the_later_installments_are_announced_again() -> None:
    story = suspended()
    story.pay("next")
    assert (story.plan.status, story.plan.grants_access) == ("ACTIVE", True)
    story.until("2026-03-31")
    assert story.charges[-1][:2] == ("2026-03-31", 3)


def test_a_plan_that_was_given_up_continues_when_the_student_pays() -> None:
    story = given_up()
    assert story.plan.blocks_purchase
    story.pay("next")
    assert (story.plan.status, story.plan.grants_access) == ("ACTIVE", True)
    story.run()
    assert "3:2026-05-09" in story.plan.facts.announced
    story.pay("rest")
    assert (story.plan.status, story.plan.received) == ("COMPLETE", 49_900)


def test_an_installment_whose_payment_is_processing_counts_as_covered_for_access() -> None:
    story = running(BROKE, "2026-03-10")
    payment_id = story.pay("next", "processing") or ""
    story.until("2026-03-20")
    assert (story.plan.status, story.plan.grants_access) == ("LATE", True)
    story.bank_decides(payment_id, pays=False)
    assert (story.plan.status, story.plan.grants_access) == ("SUSPENDED", False)


@pytest.mark.parametrize("closes", [False, True], ids=["with one payment", "with a new payment each time"])
def test_debits_that_fail_again_and_again_give_no_access_for_ever(*, closes: bool) -> None:
    story = running(BROKE, "2026-03-15")
    granted = []
    for _ in range(5):
        payment_id = next((key for key, part in story.plan.parts.items() if part.open), "") or story.create(2)
        story.charge(payment_id, "processing", kind="us_bank_account")
        granted.append(story.plan.grants_access)
        story.until(timestamps.day_after(story.today, 4))
        story.bank_decides(payment_id, pays=False)
        story.now += 60
        if closes:
            story.close(payment_id)
    assert granted == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("decision", "values", "reason"),
    [("waive", {"seqs": (2,)}, "waived"), ("close", {"refund": "none"}, "after_close")],
)
def test_money_that_comes_after_a_decision_against_it_needs_attention_until_it_is_refunded(
    decision: DecisionName, values: dict[str, object], reason: str
) -> None:
    story = running(until="2026-02-10")
    payment_id = story.create(2)
    story.now += 60
    assert story.decide(decision, **values) is None
    assert attention(story.plan) == set()
    story.now += 60
    story.charge(payment_id, "ok", "pm_page")
    assert attention(story.plan) == {f"{reason}:{payment_id}"}
    story.refund(payment_id, 12475)
    assert f"{reason}:{payment_id}" not in attention(story.plan)


def test_payments_that_closed_unpaid_do_not_fill_the_item_of_a_plan_and_any_order_keeps_the_same() -> None:
    story = running(until="2026-02-10")
    for number in range(MAX_CLOSED + 5):
        payment_id = story.create(*((2,) if number % 2 else (2, 3, 4)))
        story.charge(payment_id, "do_not_try_again", f"pm_{number}")
        story.close(payment_id)
    closed = [part.number for part in story.plan.parts.values() if part.is_closed]
    assert sorted(closed) == [*range(7, MAX_CLOSED + 7)]
    backwards = story.plan
    for payment in reversed(story.payments.values()):
        backwards = backwards.with_payment(payment)
    assert backwards.parts == plan_checks.of_payments(story.plan, story.payments).parts == story.plan.parts


def test_a_suspended_plan_always_has_a_call_by_which_the_student_can_continue() -> None:
    for story in (suspended(), lost_after_complete()):
        assert story.plan.status == "SUSPENDED"
        assert plan_decisions.payable_seqs(story.plan, "next", story.today)
        story.pay("rest")
        assert story.plan.grants_access


@pytest.mark.parametrize(("make", "blocked"), [(suspended, True), (given_up, True), (closed, False), (refunded, False)])
def test_the_track_can_be_bought_outright_only_when_the_plan_is_not_payable(make: object, blocked: bool) -> None:
    assert make().plan.blocks_purchase is blocked  # type: ignore[operator]


# --- disputes ---


def lost_after_complete() -> Story:
    story = running(until="2026-05-01")
    assert story.plan.status == "COMPLETE"
    second = next(key for key, part in story.plan.parts.items() if part.covers == (2,))
    story.dispute(second, "needs_response")
    assert (story.plan.status, story.plan.grants_access) == ("COMPLETE", True)
    story.dispute(second, "lost")
    return story


def test_a_dispute_lost_after_complete_suspends_the_plan_until_the_student_pays() -> None:
    story = lost_after_complete()
    assert (story.plan.status, story.plan.taken, story.plan.outstanding) == ("SUSPENDED", {2}, 12_475)
    story.until("2026-09-01")
    assert (story.plan.status, story.plan.close_reason) == ("SUSPENDED", None)
    assert len(story.charges) == 3
    story.pay("next")
    assert (story.plan.status, story.plan.received, story.plan.lost) == ("COMPLETE", 62_375, 12_475)


def test_a_dispute_on_one_installment_holds_the_charge_of_the_next_and_a_win_announces_it_again() -> None:
    story = running(until="2026-03-25")
    second = next(key for key, part in story.plan.parts.items() if part.covers == (2,))
    story.dispute(second, "needs_response")
    story.until("2026-05-10")
    assert len(story.charges) == 1 and not story.plan.charged_off_session
    assert (story.plan.status, story.plan.grants_access) == ("ACTIVE", True)
    story.dispute(second, "won")
    story.until("2026-05-17")
    assert len(story.charges) == 1
    story.until("2026-05-19")
    assert [charge[:2] for charge in story.charges[1:]] == [("2026-05-18", 3), ("2026-05-19", 4)]


def test_an_open_dispute_suspends_no_student_and_neither_does_a_win_before_another_attempt() -> None:
    story = running(BROKE, "2026-03-02")
    story.dispute(first_payment(story), "needs_response")
    story.until("2026-04-20")
    assert (story.plan.status, len(story.charges)) == ("LATE", 1)
    story.dispute(first_payment(story), "won")
    story.until("2026-04-21")
    assert story.plan.status == "ACTIVE"
    story.until("2026-05-11")
    assert (story.plan.status, story.charges[1][0]) == ("LATE", "2026-04-28")


def test_a_dispute_that_is_lost_again_after_an_appeal_suspends_again() -> None:
    story = running()
    for status in ("lost", "under_review", "lost", "won"):
        story.dispute(first_payment(story), status)
        assert story.plan.status == ("SUSPENDED" if status == "lost" else "ACTIVE")
    story.dispute(first_payment(story), "warning_needs_response", "du_inquiry")
    assert story.plan.charged_off_session


def test_a_payment_of_which_one_dispute_is_lost_and_another_open_is_lost_and_holds_every_charge() -> None:
    story = running()
    story.dispute(first_payment(story), "lost")
    story.dispute(first_payment(story), "needs_response", "du_2")
    assert (story.plan.status, story.plan.covered, story.plan.grants_access) == ("SUSPENDED", frozenset(), False)
    story.pay("next")
    assert (story.plan.status, story.plan.charged_off_session) == ("ACTIVE", False)
    story.dispute(first_payment(story), "won", "du_2")
    assert story.plan.charged_off_session


# --- money back ---


def test_a_partial_refund_and_then_closing_with_all_money_back_returns_the_rest() -> None:
    story = running(until="2026-03-01")
    assert story.decide("continue", accepts=("rr_part",)) is None
    story.refund(first_payment(story), 2_475, request="rr_part")
    assert (story.plan.status, story.plan.charged_off_session) == ("ACTIVE", True)
    assert story.decide("close", refund="all") is None
    assert (story.plan.status, story.plan.grants_access) == ("REFUNDED", False)
    assert sum(story.plan.money_due.values()) == 22_475
    story.run()
    assert (story.plan.refunded, story.plan.money_due, story.plan.is_final) == (24_950, {}, True)


def test_a_refund_that_fails_after_a_withdrawal_restarts_nothing_and_needs_attention() -> None:
    story = running()
    story.decide("withdraw")
    story.run()
    payment_id = first_payment(story)
    assert (story.plan.refunded, story.plan.is_final) == (12_475, True)
    refund_id, refund = next(iter(story.payments[payment_id].facts.refunds.items()))
    story.refund(payment_id, 12_475, "failed", refund_id, refund.request)
    assert (story.plan.status, story.plan.grants_access, story.plan.money_due) == (
        *("REFUNDED", False, {payment_id: 12_475}),
    )
    assert (attention(story.plan), story.plan.is_final) == ({f"money_due:{payment_id}"}, False)
    story.until("2026-04-10")
    assert (story.plan.refunded, story.charges) == (0, [])


def test_a_debit_that_was_made_while_its_student_withdrew_is_refunded_by_staff_only() -> None:
    story = running(until="2026-02-05")
    second = story.create(2)
    story.decide("withdraw")
    story.charge(second, "processing", "pm_bank", "us_bank_account")
    story.run()
    story.bank_decides(second, pays=True)
    story.until("2026-02-20")
    assert (story.plan.status, story.plan.refunded, story.plan.held) == ("REFUNDED", 12_475, {second: 12_475})
    assert (attention(story.plan), story.plan.is_final) == ({f"held:{second}"}, False)
    story.refund(second, 12_475)
    assert (attention(story.plan), story.plan.is_final) == (set(), True)


def test_a_refund_of_one_installment_in_the_dashboard_stops_the_collection_until_staff_continue() -> None:
    story = running(until="2026-03-01")
    name = story.refund(first_payment(story), 12_475)
    assert attention(story.plan) == {f"refund:{first_payment(story)}"}
    assert (story.plan.status, story.plan.grants_access, story.plan.covered) == ("ACTIVE", True, {1, 2})
    story.until("2026-04-10")
    assert len(story.charges) == 1
    story.refund(first_payment(story), 12_475, "failed", name)
    story.until("2026-04-12")
    assert len(story.charges) == 1, "a refund that failed restarts nothing"
    assert story.decide("continue", accepts=(name,)) is None
    story.until("2026-04-20")
    assert (story.charges[1][:2], attention(story.plan)) == (("2026-04-20", 3), set())


def test_money_that_is_all_back_without_a_decision_stops_everything_and_needs_attention() -> None:
    story = running(until="2026-03-01")
    for payment_id, payment in list(story.payments.items()):
        story.refund(payment_id, payment.amount)
    assert (story.plan.status, story.plan.grants_access, story.plan.payable) == ("REFUNDED", False, False)
    assert len(attention(story.plan)) == 2
    reasons = plan_attention.reasons(story.plan)
    acknowledged = {one.name: Acknowledgement(9, one.fingerprint, "staff", "") for one in reasons}
    assert not attention(story.plan.merged(PlanFacts(acknowledged=acknowledged)))
    story.until("2026-04-10")
    assert len(story.charges) == 1


def test_forgiving_the_rest_completes_a_plan_and_a_dispute_lost_later_is_not_forgiven() -> None:
    story = running()
    assert story.decide("forgive", seqs=story.plan.owed) is None
    assert (story.plan.status, story.plan.outstanding, story.plan.grants_access) == ("COMPLETE", 0, True)
    story.dispute(first_payment(story), "lost")
    assert (story.plan.status, story.plan.outstanding) == ("SUSPENDED", 12_475)


def test_an_installment_that_was_paid_twice_needs_attention_until_one_payment_is_refunded() -> None:
    story = running(until="2026-03-01")
    again = story.create(2)
    story.charge(again, "ok")
    assert (attention(story.plan), story.plan.received) == ({"double:2"}, 37_425)
    story.refund(again, 12_475)
    assert "double:2" not in attention(story.plan)


def test_a_notice_that_bounces_needs_attention_and_the_charge_is_made_on_its_day() -> None:
    story = running(until="2026-02-22")
    story.learn(PlanFacts(bounced={"2:2026-02-28": story.now}))
    assert attention(story.plan) == {"bounced:2"}
    story.until("2026-02-28")
    assert story.charges[0][0] == "2026-02-28" and not attention(story.plan)


def test_revoked_access_stops_charges_and_restored_access_announces_again() -> None:
    story = running(until="2026-02-25")
    story.decide("revoke")
    assert (story.plan.grants_access, story.plan.enrollment) == (False, "WITHDRAWN")
    assert story.plan.stopped_by == "revoked_access"
    story.until("2026-03-10")
    assert not story.charges
    story.decide("restore")
    story.until("2026-03-18")
    assert (story.plan.grants_access, [charge[0] for charge in story.charges]) == (True, ["2026-03-18"])
    assert story.plan.stopped_by is None


# --- memberships ---


def test_a_canceled_membership_ends_with_its_period_and_no_charge_follows() -> None:
    story = running(until="2026-02-25", terms=MEMBERSHIP)
    assert story.decide("cancel") is None
    assert (story.plan.status, story.plan.cancel_at, story.plan.payable) == ("ACTIVE", "2026-02-28", False)
    story.until("2026-02-27")
    assert story.plan.grants_access
    story.until("2026-05-01")
    assert (story.plan.status, story.plan.close_reason, story.charges) == ("CLOSED", "ended", [])
    assert [one.state for one in installments(story.plan, "2026-05-01")] == ["paid", "upcoming"], "it is not owed"
    assert story.decide("undo_cancel") == "already_decided"


def test_a_cancel_that_is_undone_before_the_end_of_the_period_changes_nothing() -> None:
    story = running(until="2026-02-20", terms=MEMBERSHIP)
    story.decide("cancel")
    story.until("2026-02-26")
    assert story.decide("undo_cancel") is None
    story.until("2026-03-06")
    assert (story.plan.status, [charge[0] for charge in story.charges]) == ("ACTIVE", ["2026-03-06"])


def test_a_membership_whose_period_lapses_withdraws_all_of_ten_tracks_and_nothing_is_owed() -> None:
    story = Story(terms=MEMBERSHIP, bank=lambda *_: BROKE)
    story.begin()
    story.learn(PlanFacts(tracks={f"T{n}": story.now for n in range(10)}))
    story.until("2026-03-20")
    assert (story.plan.status, story.plan.close_reason, story.plan.outstanding) == ("CLOSED", "lapsed", 0)
    assert (len(story.plan.tracks), story.plan.enrollment) == (10, "WITHDRAWN")


@pytest.mark.parametrize("why", ["lapsed", "ended"])
def test_a_membership_that_has_ended_stays_closed_when_a_dispute_takes_an_earlier_period(why: str) -> None:
    story = running(BROKE, until="2026-02-20", terms=MEMBERSHIP)
    if why == "ended":
        story.decide("cancel")
    story.until("2026-03-20")
    for status in ("needs_response", "lost"):
        story.dispute(first_payment(story), status)
        assert (story.plan.status, story.plan.close_reason, story.plan.payable) == ("CLOSED", why, False)
    assert (story.plan.outstanding, story.plan.enrollment) == (0, "WITHDRAWN")


def test_a_membership_whose_period_a_bank_is_processing_has_not_ended_when_a_dispute_takes_an_earlier_one() -> None:
    story = running(BROKE, until="2026-03-10", terms=MEMBERSHIP)
    story.pay("next", "processing")
    story.until("2026-03-20")
    assert (story.plan.status, story.plan.grants_access) == ("LATE", True)
    story.dispute(first_payment(story), "lost")
    assert (story.plan.status, story.plan.grants_access) == ("SUSPENDED", False)


@pytest.mark.parametrize("pays", [True, False])
def test_a_membership_that_is_canceled_while_a_bank_is_processing_its_newest_period_ends_with_that_period(
    pays: bool,
) -> None:
    story = running(BROKE, until="2026-03-10", terms=MEMBERSHIP)
    payment_id = story.pay("next", "processing") or ""
    assert story.decide("cancel") is None
    assert (story.plan.status, story.plan.cancel_at, story.plan.grants_access) == ("LATE", "2026-03-31", True)
    story.until("2026-03-14")
    assert (story.plan.status, story.plan.grants_access) == ("LATE", True)
    story.bank_decides(payment_id, pays=pays)
    assert (story.plan.status, story.plan.close_reason) == (("ACTIVE", None) if pays else ("CLOSED", "ended"))
    story.until("2026-03-31")
    assert (story.plan.status, story.plan.close_reason, story.plan.received) == (
        "CLOSED",
        "ended",
        5800 if pays else 2900,
    )


def test_a_membership_that_is_canceled_after_a_dispute_took_a_period_ends_with_the_newest_period() -> None:
    """Paying the period that the dispute took would give nothing after that."""
    story = running(until="2026-02-10", terms=MEMBERSHIP)
    story.dispute(first_payment(story), "lost")
    assert story.decide("cancel") is None
    story.until("2026-02-27")
    assert (story.plan.status, story.plan.cancel_at, story.plan.payable) == ("SUSPENDED", "2026-02-28", True)
    story.until("2026-02-28")
    assert (story.plan.status, story.plan.close_reason, story.plan.payable) == ("CLOSED", "ended", False)


def test_a_membership_that_can_have_no_more_periods_ends() -> None:
    story = running(terms=replace(MEMBERSHIP, every="week"))
    plan = story.plan
    for payment_id in story.payments:
        part = replace(plan.parts[payment_id], covers=tuple(range(1, 240)))
        plan = replace(plan, parts={payment_id: part})
    assert (plan.first_owed, plan.is_ending, plan.charged_off_session) == (240, True, False)
    end = at(plan.cancel_at or "")
    assert isinstance(plan_steps.next_step(plan, end), plan_steps.Tick)
    assert plan.merged(PlanFacts(observed=end)).status == "CLOSED"


# --- restores, erasure ---


def test_a_plan_restored_to_another_moment_than_its_payments_takes_its_parts_from_them() -> None:
    story = running(until="2026-03-05")
    restored = plan_of()
    for payment in story.payments.values():
        restored = restored.with_payment(payment)
    assert (restored.covered, restored.received) == (story.plan.covered, story.plan.received)
    assert restored.next_number == story.plan.next_number
    lost = story.plan.without_payment(first_payment(story))
    assert lost.status == "OPEN" and lost.with_payment(story.payments[first_payment(story)]).status == "ACTIVE"


def test_a_plan_is_final_only_when_nothing_more_can_be_paid_or_paid_back() -> None:
    final = {name for name, (make, *_) in CASES.items() if make().plan.is_final}  # type: ignore[operator]
    assert final == {"complete", "closed by staff", "a membership that lapsed", "abandoned"}


def test_an_erased_payment_erases_its_plan() -> None:
    story = running(until="2026-05-01")
    story.report(first_payment(story), Facts(erased=True))
    assert story.plan.facts.erased and not story.plan.facts.methods and not story.plan.facts.tries
    assert story.plan.status == "COMPLETE"


def test_a_withdrawal_from_the_contract_of_one_payment_ends_the_whole_plan() -> None:
    story = running(until="2026-03-01")
    story.report(first_payment(story), Facts(withdrawn=Withdrawal(story.now)))
    assert (story.plan.status, story.plan.standing.withdrawn) == ("REFUNDED", True)
    assert len(story.plan.money_due) == 2


def test_two_orders_of_a_tick_and_a_late_payment_end_in_the_same_plan() -> None:
    story = suspended()
    story.pay("next")
    assert agrees(story, replayed(story, list(reversed(story.changes))))
    assert part_of(story.payments[first_payment(story)]) == story.plan.parts[first_payment(story)]
    assert plan_schedule.boundaries(story.plan) == []
    assert FOUR.total is not None and FOUR.total.amount == 49_900
