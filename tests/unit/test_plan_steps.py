"""The next step of the collector: ticks, announcements, attempts with their bounds, and repeats after a crash."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.plan_stories import DAY, MEMBERSHIP, Killed, Outcome, Story, at
from tuition.core import plan_attempts, plan_methods, plan_schedule, plan_steps
from tuition.core.enrollment import Enrollment
from tuition.core.facts import Facts, Settled
from tuition.core.limits import Limits
from tuition.core.payment_state import PaymentState
from tuition.core.plan_facts import Answer, Method, PlanFacts, Try
from tuition.core.plan_steps import Announce, Charge, Close, Create, ReadAnswer, Repeat, Tick, next_step, wake_at


def running(*outcomes: Outcome, until: str = "2026-01-31", **fields: object) -> Story:
    """Return a story in which the bank answers each charge with the next outcome, and then always with the last."""
    rest = list(outcomes or ("ok",))

    def bank(_: Story, __: str | None) -> Outcome:
        return rest.pop(0) if len(rest) > 1 else rest[0]

    story = Story(bank=bank, **fields)  # type: ignore[arg-type]
    story.begin()
    story.until(until)
    return story


def days(story: Story) -> list[str]:
    return [charge[0] for charge in story.charges]


# --- ticks ---


def test_two_runs_at_different_times_leave_the_same_plan() -> None:
    story = running("insufficient_funds", until="2026-03-12")
    early, late = (next_step(story.plan, at("2026-03-14", hour)) for hour in (0, 23))
    assert early == late == Tick(at("2026-03-14", 0), "grace_over", 2)


def test_a_tick_uncovers_nothing_and_moves_no_money() -> None:
    story = running("insufficient_funds", until="2026-05-10")
    assert [one.name for one in plan_schedule.boundaries(story.plan)] == ["due", "grace_over", "give_up"]
    before = replace(story.plan, facts=replace(story.plan.facts, observed=0))
    assert (before.covered, before.received, before.parts) == (
        *(story.plan.covered, story.plan.received, story.plan.parts),
    )


def test_a_plan_is_asleep_until_the_next_thing_is_due() -> None:
    story = running()
    assert wake_at(story.plan) == at("2026-02-21", 0)
    story.until("2026-02-21")
    assert wake_at(story.plan) == at("2026-02-28", 0)
    story.until("2026-02-28")
    assert wake_at(story.plan) == at("2026-03-24", 0)
    story.until("2026-05-01")
    assert (story.plan.status, wake_at(story.plan)) == ("COMPLETE", None)


# --- attempts ---


def test_each_retry_day_has_one_attempt_and_no_more_follow() -> None:
    story = running("insufficient_funds", until="2026-05-10")
    assert days(story) == ["2026-02-28", "2026-03-03", "2026-03-07", "2026-03-12"]
    assert plan_attempts.next_attempt(story.plan) == "not_charged"


def test_an_attempt_on_a_retry_day_that_was_missed_is_made_once_and_late() -> None:
    story = running("insufficient_funds", until="2026-03-01")
    story.skip_to("2026-03-09")
    story.until("2026-03-13")
    assert days(story) == ["2026-02-28", "2026-03-10", "2026-03-12"]


def test_a_new_method_is_tried_at_once_and_at_most_three_are_in_a_week() -> None:
    story = running("insufficient_funds", until="2026-02-28")
    for hour in range(1, 6):
        story.now = at("2026-03-01", hour)
        story.set_up(f"pm_new{hour}")
        story.run()
    assert [charge[2] for charge in story.charges] == ["pm_1", "pm_new1", "pm_new2", "pm_new3"]
    assert plan_attempts.next_attempt(story.plan) == plan_attempts.Attempt(at("2026-03-03", 0), "day", 2, "pm_new5")
    story.until("2026-03-09")
    assert [charge[2] for charge in story.charges[4:]] == ["pm_new5"] * 2


def test_a_method_is_charged_only_from_the_collection_day_on() -> None:
    story = running(until="2026-02-22")
    story.set_up("pm_2")
    story.until("2026-02-27")
    assert not story.charges
    story.until("2026-02-28")
    assert [charge[2] for charge in story.charges] == ["pm_2"]


def test_after_the_advice_not_to_try_again_no_installment_is_tried_with_that_method() -> None:
    story = running("do_not_try_again", "ok", until="2026-03-10")
    assert (days(story), plan_attempts.needs_student(story.plan)) == (["2026-02-28"], "do_not_try_again")
    story.pay("next", method="pm_page")
    story.until("2026-03-31")
    assert (days(story), plan_attempts.needs_student(story.plan)) == (["2026-02-28"], "do_not_try_again")
    story.set_up("pm_2")
    story.run()
    assert story.charges[-1][:3] == ("2026-03-31", 3, "pm_2")


def test_the_advice_not_to_try_again_outlives_the_payment_that_it_was_given_for() -> None:
    story = running(until="2026-02-10")
    story.pay("rest", "do_not_try_again", method="pm_1")
    closed = next(reversed(story.payments))
    story.close(closed)
    assert closed in story.plan.parts and story.plan.parts[closed].is_closed
    story.until("2026-03-13")
    assert (story.charges, plan_attempts.needs_student(story.plan)) == ([], "do_not_try_again")


def test_after_authentication_was_required_only_the_student_can_pay_that_installment() -> None:
    story = running("authentication_required", until="2026-03-13")
    assert (days(story), plan_attempts.needs_student(story.plan)) == (["2026-02-28"], "authentication_required")
    story.pay("next")
    story.until("2026-03-31")
    assert days(story) == ["2026-02-28", "2026-03-31"], "another installment is tried with the same card"
    story.until("2026-04-14")
    assert (story.plan.status, len(story.charges)) == ("SUSPENDED", 2)


def test_a_card_that_the_network_updates_while_we_are_down_suspends_no_student() -> None:
    story = running(until="2026-02-22")
    story.now = at("2026-03-25")
    card = plan_methods.methods(story.plan)["pm_1"]
    story.learn(PlanFacts(methods={"pm_1": replace(card, updated=story.now)}))
    story.run()
    assert (story.plan.status, story.charges) == ("ACTIVE", [])
    story.until("2026-04-05")
    assert story.plan.covered >= {1, 2}


def test_a_card_that_the_network_replaced_is_tried_again() -> None:
    story = running("do_not_try_again", "ok", until="2026-03-01")
    card = plan_methods.methods(story.plan)["pm_1"]
    story.learn(PlanFacts(methods={"pm_1": replace(card, updated=story.now)}))
    story.run()
    assert [charge[::3] for charge in story.charges] == [
        ("2026-02-28", "day:2026-02-28"),
        ("2026-03-01", f"method:pm_1:{story.now}"),
    ]
    assert story.plan.covered == {1, 2}


def test_a_bank_account_is_debited_at_most_three_times_and_never_while_one_is_processing() -> None:
    story = Story(bank=lambda *_: "insufficient_funds")
    story.begin("pm_bank", "us_bank_account")
    story.until("2026-03-13")
    assert days(story) == ["2026-02-28", "2026-03-03", "2026-03-07"]
    assert plan_attempts.needs_student(story.plan) == "tries_used"
    processing = Story(bank=lambda *_: "processing")
    processing.begin("pm_bank", "us_bank_account")
    processing.until("2026-03-13")
    assert (days(processing), processing.plan.status) == (["2026-02-28"], "LATE")


@pytest.mark.parametrize("lose", ["detach", "customer"])
def test_a_plan_without_a_method_asks_the_student_and_is_suspended_after_its_grace(lose: str) -> None:
    story = running(until="2026-02-20")
    if lose == "customer":
        story.learn(PlanFacts(methods={"pm_0": Method(set_up=5, gone=story.now)}))
    story.detach("pm_1")
    story.until("2026-03-13")
    assert (story.charges, story.plan.status, plan_attempts.needs_student(story.plan)) == ([], "LATE", "no_method")
    story.until("2026-03-14")
    assert story.plan.status == "SUSPENDED"
    story.pay("next")
    assert story.plan.status == "ACTIVE"


def test_a_method_that_is_lost_before_it_could_be_tried_leaves_no_plan_late_for_ever() -> None:
    story = running(until="2026-02-25")
    story.charging = False
    story.until("2026-03-05")
    story.detach("pm_1")
    story.charging = True
    story.until("2026-03-06")
    assert [*story.plan.facts.announced] == ["2:2026-02-28", "2:2026-03-13"]
    story.until("2026-03-27")
    assert (story.plan.status, story.charges) == ("SUSPENDED", [])


def test_staff_can_order_one_charge_a_day_from_the_collection_day_on() -> None:
    story = running("insufficient_funds", until="2026-02-25")
    assert plan_attempts.attempt_now(story.plan, story.now) == "not_announced"
    story.until("2026-03-01")
    attempt = plan_attempts.attempt_now(story.plan, story.now)
    assert isinstance(attempt, plan_attempts.Attempt)
    story.perform(plan_steps.charge(story.plan, attempt, story.now))
    assert story.charges[-1] == ("2026-03-01", 2, "pm_1", "now:2026-03-01")
    assert plan_attempts.attempt_now(story.plan, story.now) == "tried_today"
    story.until("2026-03-15")
    assert plan_attempts.attempt_now(story.plan, story.now) == "not_charged"


def test_declines_that_a_student_made_are_not_among_those_of_the_collector() -> None:
    story = running("insufficient_funds", until="2026-03-04")
    payment_id = next(reversed(story.payments))

    def declines() -> int:
        state = PaymentState(story.payments[payment_id], Enrollment(user_id="u", track="DP"), Limits(), story.plan)
        return len(state.declines)

    assert declines() == 0
    for _ in range(5):
        story.pay("next", "insufficient_funds")
    assert declines() == 5


# --- one payment ---


def test_the_collector_confirms_the_payment_that_the_student_has_open() -> None:
    story = running(until="2026-02-27")
    payment_id = story.create(2)
    story.until("2026-02-28")
    assert story.payments[payment_id].facts.settled and len(story.payments) == 2


def test_a_student_who_pays_while_the_collector_confirms_is_charged_once_and_a_refusal_is_an_answer() -> None:
    story = running(until="2026-02-27")
    story.skip_to("2026-02-28")
    story.kill = lambda point: point == "before the call"
    with pytest.raises(Killed):
        story.run()
    payment_id = next(reversed(story.payments))
    story.charge(payment_id, "ok", "pm_page")
    step = next_step(story.plan, story.now)
    assert isinstance(step, ReadAnswer) and step.attempt.payment_id == payment_id
    story.kill = lambda _: False
    story.run()
    assert (story.plan.received, story.plan.covered, plan_attempts.unanswered(story.plan)) == (24_950, {1, 2}, [])


def test_an_open_payment_of_other_installments_is_closed_before_the_one_that_is_due() -> None:
    story = running(until="2026-02-27")
    rest = story.create(2, 3, 4)
    story.skip_to("2026-02-28")
    steps = story.run()
    assert Close(rest) in steps and Create((2,)) in steps
    assert story.plan.covered == {1, 2}


def test_nothing_is_collected_while_the_student_pays_the_rest_by_a_debit() -> None:
    story = running(until="2026-02-27")
    story.pay("rest", "processing")
    story.until("2026-03-20")
    assert (story.charges, plan_attempts.next_attempt(story.plan)) == ([], "processing")


def test_payments_that_must_not_be_paid_any_more_are_closed() -> None:
    story = running(until="2026-02-27")
    two, rest = story.create(2), story.create(2, 3, 4)
    assert next_step(story.plan, story.now) == Close(two)
    story.charge(rest, "ok")
    story.run()
    assert (story.plan.status, [part.open for part in story.plan.parts.values()]) == ("COMPLETE", [False, False])
    closed = running(until="2026-02-27")
    open_payment = closed.create(2)
    closed.decide("close", refund="none")
    assert closed.run() == [Close(open_payment)]


# --- crashes ---


def test_a_try_without_an_answer_is_repeated_under_its_own_key_and_method_before_any_other() -> None:
    story = running("ok", until="2026-02-27")
    story.skip_to("2026-02-28")
    story.kill = lambda point: point == "before the call"
    with pytest.raises(Killed):
        story.run()
    story.now += 3600
    step = next_step(story.plan, story.now)
    assert isinstance(step, Repeat)
    assert (step.occasion, step.attempt.method) == ("day:2026-02-28", "pm_1")
    assert step.attempt.idempotency_key(step.occasion) == f"{step.attempt.payment_id}:day:2026-02-28"
    assert plan_attempts.next_attempt(story.plan) == "unanswered"


def test_a_try_that_was_killed_is_not_repeated_with_a_method_that_the_student_has_left() -> None:
    story = running(until="2026-02-27")
    story.skip_to("2026-02-28")
    story.kill = lambda point: point == "before the call"
    with pytest.raises(Killed):
        story.run()
    story.kill = lambda point: False
    story.now += 60
    story.set_up("pm_2")
    story.now += 60
    assert [type(step) for step in story.run()] == [ReadAnswer, Charge]
    assert [method for _, _, method, _ in story.charges] == ["pm_2"]


@pytest.mark.parametrize("point", ["before the call", "after the call"])
def test_a_collector_that_is_killed_charges_once(point: str) -> None:
    story = running(until="2026-02-27")
    story.skip_to("2026-02-28")
    story.kill = lambda where: where == point
    with pytest.raises(Killed):
        story.run()
    story.kill = lambda _: False
    story.run()
    assert (len(story.charges), story.plan.received, story.plan.covered) == (1, 24_950, {1, 2})


@pytest.mark.parametrize(
    "stop",
    [
        lambda story: story.decide("close", refund="none"),
        lambda story: story.decide("withdraw"),
        lambda story: story.decide("pause"),
        lambda story: story.dispute(next(iter(story.payments)), "needs_response"),
        lambda story: story.refund(next(iter(story.payments)), 12_475),
        lambda story: setattr(story, "now", story.now + DAY),
    ],
)
def test_a_try_is_not_repeated_after_a_stop_or_a_day_and_its_answer_is_only_read(
    stop: Callable[[Story], object],
) -> None:
    story = running(until="2026-02-27")
    story.skip_to("2026-02-28")
    story.kill = lambda point: point == "before the call"
    with pytest.raises(Killed):
        story.run()
    stop(story)
    assert isinstance(next_step(story.plan, story.now), ReadAnswer)
    story.kill = lambda _: False
    story.run()
    assert story.charges == [] and not plan_attempts.unanswered(story.plan)


def test_a_canceled_membership_is_never_charged_again() -> None:
    story = running(until="2026-02-27", terms=MEMBERSHIP)
    story.decide("cancel")
    story.until("2026-06-01")
    assert story.charges == []


# --- outages ---


def test_after_forty_days_of_outage_charges_are_announced_first_and_made_one_a_day() -> None:
    story = running(until="2026-02-25")
    story.skip_to("2026-04-06")
    steps = story.run()
    assert [step for step in steps if isinstance(step, Announce)] == [
        *(Announce(3, "2026-04-13"), Announce(2, "2026-04-13")),
    ]
    assert (story.plan.status, story.charges) == ("ACTIVE", [])
    story.until("2026-04-20")
    assert [charge[:2] for charge in story.charges] == [("2026-04-13", 2), ("2026-04-14", 3)]
    story.until("2026-05-01")
    assert story.plan.status == "COMPLETE"


def test_after_an_outage_grace_counts_from_the_collection_day_and_no_student_is_suspended_before_an_attempt() -> None:
    story = running("insufficient_funds", until="2026-02-10")
    story.skip_to("2026-04-20")
    story.until("2026-05-12")
    assert [boundary.at for boundary in plan_schedule.boundaries(story.plan)][:2] == [
        *(at("2026-04-28", 0), at("2026-05-12", 0)),
    ]
    first_suspended = next(day for day, status, *_ in story.history if status == "SUSPENDED")
    assert (days(story)[0], first_suspended) == ("2026-04-28", "2026-05-12")


def test_a_switch_stops_announcements_and_charges_but_no_tick_and_suspends_no_student() -> None:
    story = running("ok", until="2026-02-25")
    story.charging = False
    story.until("2026-04-10")
    assert (story.plan.status, story.charges, story.plan.facts.observed) == ("LATE", [], at("2026-02-28", 0))
    story.charging = True
    story.until("2026-04-11")
    assert story.plan.status == "ACTIVE"
    story.until("2026-04-19")
    assert days(story) == ["2026-04-18", "2026-04-19"]


def test_a_refund_request_that_awaits_staff_holds_the_next_charge() -> None:
    story = running(until="2026-02-27")
    key, part = next(iter(story.plan.parts.items()))
    plan = replace(story.plan, parts={key: replace(part, requested=True)})
    assert not plan.charged_off_session and wake_at(plan) == at("2026-02-28", 0)
    assert isinstance(next_step(plan, at("2026-02-28")), Tick)
    assert plan_attempts.next_attempt(plan) == "not_charged"


def test_an_answer_without_a_charge_blocks_the_method_as_a_decline_does() -> None:
    story = running(until="2026-02-28")
    facts = replace(story.plan.facts, tries={})
    plan = replace(story.plan, facts=facts)
    refused = Try(
        at=story.now, payment_id="pay_x", seq=3, method="pm_1",
        answer=Answer(story.now, None, "card_declined", "do_not_try_again"),
    )  # fmt: skip
    blocked = plan.merged(PlanFacts(tries={"day:2026-02-28": refused}))
    assert plan_methods.blocks(plan, 3, "pm_1") == []
    assert plan_methods.blocks(blocked, 4, "pm_1") == [(story.now, "do_not_try_again")]


@pytest.mark.parametrize("staff", ["accept it", "refund it"])
def test_money_of_another_amount_stops_the_charges_until_staff_decide(staff: str) -> None:
    story = running(until="2026-02-27")
    payment_id = story.create(2)
    story.report(payment_id, Facts(settled=Settled(10_000, "usd", story.now)))
    story.until("2026-04-20")
    assert story.plan.received == 12_475 + 10_000
    assert story.plan.status in ("ACTIVE", "LATE")
    if staff == "accept it":
        story.report(payment_id, Facts(accepted=True))
    else:
        story.refund(payment_id, 10_000)
        story.decide("continue", accepts=(*story.plan.unexplained_refunds[payment_id],))
    story.until("2026-05-10")
    kept = 10_000 if staff == "accept it" else 12_475
    assert story.plan.received - story.plan.refunded == 12_475 + kept + 12_475 * (len(story.plan.covered) - 2)
    assert story.plan.covered >= {1, 2, 3}
