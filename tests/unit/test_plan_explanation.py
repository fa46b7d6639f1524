"""Why a plan gives access or not, in words for staff and for the student."""

from collections.abc import Callable
from typing import get_args

import pytest

from tests.unit.plan_stories import MEMBERSHIP, Story
from tests.unit.test_plan import (
    BROKE,
    abandoned,
    closed,
    first_payment,
    given_up,
    lapsed,
    open_plan,
    paused,
    refunded,
    running,
    suspended,
)
from tuition.core import plan_explanation
from tuition.core.facts import Facts, Settled

CONTACT = "help@school.example"


def decided(decision: str, **values: object) -> Story:
    story = running()
    assert story.decide(decision, **values) is None  # type: ignore[arg-type]
    return story


def processing_first() -> Story:
    story = open_plan()
    story.charge(first_payment(story), "processing", kind="us_bank_account")
    return story


def another_amount() -> Story:
    story = open_plan()
    story.report(first_payment(story), Facts(settled=Settled(12_000, "usd", story.now)))
    return story


def lost() -> Story:
    story = running()
    story.dispute(first_payment(story), "lost")
    return story


def ending(until: str = "2026-01-31") -> Story:
    story = running(until=until, terms=MEMBERSHIP)
    assert story.decide("cancel") is None
    story.until("2026-03-02" if until > "2026-02-01" else until)
    return story


CASES: dict[plan_explanation.Reason, tuple[Callable[[], Story], str, str]] = {
    "revoked": (lambda: decided("revoke"), "because the school ended your access", "because staff revoked it."),
    "not_paid_yet": (open_plan, "because the first payment of your plan is not paid yet", "was not paid yet."),
    "first_processing": (processing_first, "your bank is processing the first payment", "a bank is still processing"),
    "amount_differs": (another_amount, "the amount that we received is not the price", "staff have not accepted it."),
    "active": (
        running,
        "You are enrolled in Data Professional, because you pay in installments: 1 of 4 are paid. The next, 124.75 USD,"
        " is due on 28 February 2026.",
        "The plan gives access: 1 of 4 installments are paid, and the next, 124.75 USD, is due on 28 February 2026.",
    ),
    "late": (
        lambda: running(BROKE, "2026-03-01"),
        "The next, 124.75 USD, was due on 28 February 2026. Pay it by 13 March 2026 to keep your access.",
        "was due on 28 February 2026. Access ends after 13 March 2026 if it is not paid.",
    ),
    "processing": (
        lambda: running("processing", "2026-03-01"),
        "1 of 4 are paid. Your bank is processing the next.",
        "a bank is processing the next.",
    ),
    "complete": (
        lambda: running(until="2026-05-01"),
        "because nothing of your payment plan is left to pay.",
        "left to pay",
    ),
    "paused": (
        paused,
        "You are enrolled in Data Professional, because you pay in installments. The school has",
        "keeps",
    ),
    "paused_without_access": (
        lambda: decided("pause", access=False),
        f"because the school has paused your plan. Write to {CONTACT}",
        "because staff have paused it, without access.",
    ),
    "suspended": (
        suspended,
        "You are not enrolled in Data Professional, because installment 2 of your plan, 124.75 USD, was not paid. Pay"
        " it, and you get access again.",
        "because installment 2, 124.75 USD, was due on 28 February 2026 and is not paid.",
    ),
    "dispute_lost": (lost, "because your bank took back installment 1", "a dispute took the payment of installment 1"),
    "member": (
        lambda: running(terms=MEMBERSHIP),
        "because you are a member. Your membership is paid until 28 February 2026.",
        "the membership is paid until 28 February 2026.",
    ),
    "member_late": (
        lambda: running(BROKE, "2026-03-01", terms=MEMBERSHIP),
        "because you are a member. Your payment of 29.00 USD was due on 28 February 2026. Pay it by 13 March 2026",
        "the payment of 29.00 USD was due on 28 February 2026. Access ends after 13 March 2026",
    ),
    "ending": (ending, "Your membership ends on 28 February 2026.", "the membership ends on 28 February 2026."),
    "gave_up": (given_up, "Pay it, and you get access again.", "was not paid within 60 days."),
    "lapsed": (lapsed, "because your membership was not paid. You can join again.", "the membership was not paid."),
    "ended": (lambda: ending("2026-02-10"), "because your membership has ended.", "the membership has ended."),
    "staff": (closed, "because the school closed your plan.", "because staff closed it."),
    "refunded": (refunded, "and its payments are refunded.", "it ended with all money back."),
    "abandoned": (abandoned, "You can begin again.", "was closed before it was paid."),
}


@pytest.mark.parametrize("name", get_args(plan_explanation.Reason))
def test_each_reason_is_said_in_words_to_the_student_and_to_staff(name: plan_explanation.Reason) -> None:
    make, to_student, to_staff = CASES[name]
    plan = make().plan
    assert plan_explanation.reason(plan) == name
    student = plan_explanation.for_student(plan, "Data Professional", CONTACT)
    staff = plan_explanation.for_staff(plan)
    assert to_student in student
    assert to_staff in staff
    assert student.startswith("You are enrolled" if plan.grants_access else "You are not enrolled")
    for text in (student, staff):
        assert "None" not in text
        assert text.endswith(".")
        assert ".." not in text


def test_an_installment_that_is_waived_is_not_called_paid() -> None:
    plan = decided("waive", seqs=(3,)).plan
    assert "2 of 4 are paid or waived." in plan_explanation.for_student(plan, "Data Professional", CONTACT)
    assert "2 of 4 installments are paid or waived," in plan_explanation.for_staff(plan)


def test_every_reason_has_its_words() -> None:
    reasons = {*get_args(plan_explanation.Reason)}
    assert reasons == {*plan_explanation.FOR_STUDENT} == {*plan_explanation.FOR_STAFF} == {*CASES}
