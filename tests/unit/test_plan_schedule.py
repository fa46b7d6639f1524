"""When installments are due and collected: counted from the first payment, in the school's zone, after a notice."""

from dataclasses import replace

import pytest

from tests.unit.plan_stories import DAY, FOUR, MEMBERSHIP, Story, at
from tuition.core import plan_schedule, timestamps
from tuition.core.plan_facts import PlanFacts
from tuition.core.plan_installments import installments
from tuition.core.plan_steps import Announce, next_step


def due_days(story: Story) -> list[str | None]:
    return [one.due for one in installments(story.plan)]


@pytest.mark.parametrize(
    ("anchor", "every", "days"),
    [
        ("2026-01-31", "month", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
        ("2028-01-31", "month", ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]),
        ("2028-02-29", "month", ["2028-02-29", "2028-03-29", "2028-04-29", "2028-05-29"]),
        ("2028-02-29", "year", ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28"]),
        ("2026-11-30", "month", ["2026-11-30", "2026-12-30", "2027-01-30", "2027-02-28"]),
        ("2026-12-28", "week", ["2026-12-28", "2027-01-04", "2027-01-11", "2027-01-18"]),
        ("2026-12-28", "2 weeks", ["2026-12-28", "2027-01-11", "2027-01-25", "2027-02-08"]),
    ],
)
def test_a_due_day_is_counted_from_the_first_payment_and_never_from_another_due_day(
    anchor: str, every: str, days: list[str]
) -> None:
    terms = replace(FOUR, every=every)  # type: ignore[arg-type]
    assert [terms.due_day(anchor, seq) for seq in terms.seqs] == days


@pytest.mark.parametrize(
    ("zone", "settled", "day"),
    [
        ("UTC", "2026-01-31T23:30:00Z", "2026-01-31"),
        ("Europe/Berlin", "2026-01-31T23:30:00Z", "2026-02-01"),
        ("America/Los_Angeles", "2026-02-01T07:30:00Z", "2026-01-31"),
        ("Pacific/Kiritimati", "2026-01-31T10:30:00Z", "2026-02-01"),
    ],
)
def test_the_anchor_is_the_day_of_the_settlement_in_the_zone_of_the_school(zone: str, settled: str, day: str) -> None:
    story = Story(terms=replace(FOUR, zone=zone))
    story.now = int(timestamps.epoch(settled))
    story.begin()
    assert story.plan.anchor == day


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Havana", "Africa/Cairo", "Australia/Lord_Howe"])
def test_a_day_starts_at_its_first_second_also_when_clocks_change(zone: str) -> None:
    day = "2026-01-01"
    while day < "2027-01-02":
        start = timestamps.start_of(day, zone)
        assert timestamps.day_of(start, zone) == day > timestamps.day_of(start - 1, zone)
        day = timestamps.day_after(day)


def test_dates_follow_the_settlement_of_a_debit_that_was_processing_for_four_days() -> None:
    story = Story()
    payment_id = story.create(1)
    story.charge(payment_id, "processing", kind="us_bank_account")
    assert (story.plan.status, story.plan.grants_access, due_days(story)[0]) == ("OPEN", False, None)
    story.now += 4 * DAY
    story.bank_decides(payment_id, pays=True)
    assert due_days(story) == ["2026-02-04", "2026-03-04", "2026-04-04", "2026-05-04"]
    assert story.plan.status == "ACTIVE"


def test_a_charge_is_announced_seven_days_before_the_due_day_and_made_on_it() -> None:
    story = Story()
    story.begin()
    story.until("2026-02-20")
    assert not story.plan.facts.announced
    story.until("2026-02-21")
    assert [*story.plan.facts.announced] == ["2:2026-02-28"]
    story.until("2026-03-01")
    assert story.charges == [("2026-02-28", 2, "pm_1", "day:2026-02-28")]


def test_a_late_announcement_moves_the_charge_and_its_grace_but_not_the_later_due_days() -> None:
    story = Story(bank=lambda *_: "insufficient_funds")
    story.begin()
    story.skip_to("2026-02-25")
    story.until("2026-03-17")
    assert story.plan.status == "LATE"
    assert [*story.plan.facts.announced] == ["2:2026-03-05"]
    assert [charge[0] for charge in story.charges] == ["2026-03-05", "2026-03-08", "2026-03-12", "2026-03-17"]
    story.until("2026-03-19")
    assert story.plan.status == "SUSPENDED"
    assert due_days(story)[2:] == ["2026-03-31", "2026-04-30"]


def test_an_announced_day_does_not_move_earlier() -> None:
    story = Story()
    story.begin()
    story.until("2026-02-22")
    assert story.decide("reschedule", seqs=(2,), to="2026-02-23") is None
    assert plan_schedule.collection_day(story.plan, 2) == "2026-02-28"
    story.until("2026-02-27")
    assert not story.charges


def test_an_installment_that_is_moved_beyond_its_announced_day_is_announced_again() -> None:
    story = Story()
    story.begin()
    story.until("2026-02-22")
    assert story.decide("reschedule", seqs=(2,), to="2026-03-10") is None
    assert plan_schedule.collection_day(story.plan, 2) is None
    story.until("2026-03-10")
    assert [*story.plan.facts.announced] == ["2:2026-02-28", "2:2026-03-10"]
    assert [charge[0] for charge in story.charges] == ["2026-03-10"]


def test_a_pause_moves_the_later_due_days_by_the_days_paused() -> None:
    story = Story()
    story.begin()
    story.until("2026-02-10")
    story.decide("pause")
    assert (story.plan.status, story.plan.grants_access) == ("PAUSED", True)
    story.until("2026-03-02")
    assert not story.charges
    story.decide("resume")
    assert due_days(story) == ["2026-01-31", "2026-03-20", "2026-04-20", "2026-05-20"]
    story.until("2026-05-21")
    assert [charge[0] for charge in story.charges] == ["2026-03-20", "2026-04-20", "2026-05-20"]
    assert story.plan.status == "COMPLETE"


@pytest.mark.parametrize(("access", "enrollment"), [(True, "ENROLLED"), (False, "SUSPENDED"), (None, "ENROLLED")])
def test_a_pause_gives_access_as_staff_decide_and_by_default_as_before(access: bool | None, enrollment: str) -> None:
    story = Story()
    story.begin()
    story.decide("pause", access=access)
    assert (story.plan.status, story.plan.enrollment) == ("PAUSED", enrollment)


def test_a_pause_of_a_suspended_plan_keeps_it_without_access() -> None:
    story = Story(bank=lambda *_: "insufficient_funds")
    story.begin()
    story.until("2026-03-20")
    assert story.plan.status == "SUSPENDED"
    story.decide("pause")
    assert (story.plan.status, story.plan.enrollment, story.plan.payable) == ("PAUSED", "SUSPENDED", True)


def test_the_schedule_of_a_running_plan_does_not_change_with_the_catalog() -> None:
    """No module of plans reads the catalog: an offer that was changed or removed concerns new plans only."""
    story = Story()
    story.begin()
    stored = story.plan.terms.to_json()
    assert {"amounts", "currency", "every", "zone", "grace_days", "retry_days", "give_up_days"} <= stored.keys()
    for module in (plan_schedule, timestamps):
        assert not hasattr(module, "catalog")


def test_a_membership_is_due_every_period_and_shows_the_next_one() -> None:
    story = Story(terms=MEMBERSHIP)
    story.begin()
    story.until("2026-04-01")
    assert [(one.due, one.state) for one in installments(story.plan)] == [
        ("2026-01-31", "paid"),
        ("2026-02-28", "paid"),
        ("2026-03-31", "paid"),
        ("2026-04-30", "upcoming"),
    ]
    assert story.plan.paid_through == "2026-04-30"


def test_an_installment_shows_its_state_its_payment_and_why_it_failed() -> None:
    story = Story(bank=lambda *_: "insufficient_funds")
    story.begin()
    story.until("2026-03-01")
    paid, failed, upcoming, _ = installments(story.plan)
    assert (paid.state, upcoming.state, upcoming.collect) == ("paid", "upcoming", None)
    assert (failed.state, failed.collect, failed.failure) == ("failed", "2026-02-28", "insufficient_funds")
    assert failed.payment_id in story.payments
    assert [one.state for one in installments(story.plan, "2026-03-31")] == ["paid", "failed", "due", "upcoming"]
    story.pay("next", "processing")
    assert installments(story.plan)[1].state == "processing"
    story.decide("waive", seqs=(4,))
    assert installments(story.plan)[3].state == "waived"
    story.dispute(paid.payment_id or "", "needs_response")
    assert story.state(1) == "paid"
    story.dispute(paid.payment_id or "", "lost")
    assert story.state(1) == "lost"


def test_an_announcement_is_never_for_a_day_without_notice() -> None:
    story = Story(terms=replace(FOUR, every="week"))
    story.begin()
    for day in range(1, 30):
        now = at("2026-01-31") + day * DAY
        step = next_step(story.plan, now)
        if isinstance(step, Announce):
            assert timestamps.days_between(story.terms.day_of(now), step.day) >= FOUR.notice_days
            story.learn(PlanFacts(announced={step.key: now}))
