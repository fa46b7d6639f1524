"""Random stories of plans: every order of their changes leads to the same plan, and another program agrees with it."""

import random
from dataclasses import replace

import pytest

from tests.unit import plan_oracle
from tests.unit.plan_stories import (
    DAY,
    FOUR,
    MEMBERSHIP,
    Killed,
    Outcome,
    Story,
    agrees,
    check,
    random_rules,
    replayed,
    shuffled,
)
from tuition.core.plan_decisions import What
from tuition.core.plan_terms import PlanTerms

TERMS = (FOUR, replace(FOUR, every="week"), replace(FOUR, every="2 weeks"), MEMBERSHIP)
BANK: tuple[Outcome, ...] = (
    *("ok", "ok", "ok", "processing", "invalid", "insufficient_funds", "insufficient_funds"),
    *("authentication_required", "do_not_try_again"),
)
STORIES = 24
FULL_SIZE = 4_000
"""How many stories `make soak` checks."""


def settled_payment(story: Story, rng: random.Random) -> str | None:
    payment_ids = [key for key, payment in story.payments.items() if payment.facts.settled]
    return rng.choice(payment_ids) if payment_ids else None


def the_bank_decides(story: Story, rng: random.Random) -> None:
    """Debits that were processing, and open disputes, are decided now and then."""
    for key, payment in list(story.payments.items()):
        if payment.status == "PROCESSING" and rng.random() < 0.3:
            story.bank_decides(key, pays=rng.random() < 0.6)
        for name, dispute in payment.facts.disputes.items():
            if dispute.status == "needs_response" and rng.random() < 0.3:
                story.dispute(key, rng.choice(("won", "lost")), name)
    story.now += 60  # the collector's next charge is newer than one that failed


def the_student_disputes(story: Story, rng: random.Random) -> None:
    key = settled_payment(story, rng)
    if key and not story.payments[key].facts.disputes:
        story.dispute(key, "needs_response", f"du_{key}")


def a_payment_is_refunded(story: Story, rng: random.Random) -> None:
    """In part or in full. It may fail later, and staff may accept it."""
    key = settled_payment(story, rng)
    if key is None or story.payments[key].refundable_amount <= 0 or story.payments[key].facts.disputes:
        return
    amount = rng.choice((100, story.payments[key].refundable_amount))
    name = story.refund(key, min(amount, story.payments[key].refundable_amount))
    if rng.random() < 0.3:
        story.refund(key, amount, "failed", name)
    story.now += 60
    if rng.random() < 0.7:
        story.decide("continue", accepts=tuple(story.plan.unexplained_refunds.get(key, ())))


def the_student_acts(story: Story, rng: random.Random) -> None:
    match rng.choice(("set_up", "pay", "pay", "detach", "cancel", "undo_cancel")):
        case "set_up":
            story.set_up(story.id("pm"), rng.choice(("card", "us_bank_account")))
        case "pay":
            what: What = rng.choice(("next", "due", "rest"))
            story.pay(what, rng.choice(BANK), f"pm_{rng.randint(1, 3)}")
        case "detach":
            story.detach(rng.choice([*story.plan.facts.methods, "pm_1"]))
        case "cancel":
            story.decide("cancel")
        case "undo_cancel":
            story.decide("undo_cancel")


def staff_act(story: Story, rng: random.Random) -> None:
    seq = story.plan.first_owed or 1
    day = story.terms.day_of(story.now + rng.randint(0, 20) * DAY)
    match rng.choice(("waive", "reschedule", "pause", "resume", "resume", "revoke", "restore", "close", "forgive")):
        case "waive":
            story.decide("waive", seqs=(seq,))
        case "reschedule":
            story.decide("reschedule", seqs=(seq,), to=day)
        case "pause":
            story.decide("pause", access=rng.choice((None, True, False)))
        case "close" if rng.random() < 0.3:
            story.decide("close", refund=rng.choice(("all", "none")))
        case "forgive" if rng.random() < 0.3:
            story.decide("forgive", seqs=story.plan.owed)
        case "resume":
            story.decide("resume")
        case "revoke":
            story.decide("revoke")
        case "restore":
            story.decide("restore")


RARE = ((0.06, the_student_acts), (0.05, staff_act), (0.01, the_student_disputes), (0.01, a_payment_is_refunded))
"""The events that may precede a run of the collector, with their probability."""


def act(story: Story, rng: random.Random) -> None:
    the_bank_decides(story, rng)
    for probability, what in RARE:
        if rng.random() < probability:
            what(story, rng)
    story.charging = rng.random() > 0.02 if story.charging else rng.random() < 0.2


def terms_of(seed: int, rng: random.Random) -> PlanTerms:
    """Return terms with the default rules for half of the seeds, and with random ones for the others."""
    terms = rng.choice(TERMS)
    return replace(terms, **random_rules(random.Random(seed), terms.every)._asdict()) if seed % 2 else terms


def story_of(seed: int, length: int = 110) -> Story:
    """Return a story with outages, and kills of the collector around its calls."""
    rng = random.Random(seed)
    bank = rng.choice((BANK, BANK, BANK[:3], BANK[-4:]))
    story = Story(
        first_day=rng.choice(("2026-01-31", "2028-02-29", "2026-11-12")),
        terms=terms_of(seed, rng),
        bank=lambda *_: rng.choice(bank),
        kill=lambda _: rng.random() < 0.1,
    )
    story.begin("pm_1", rng.choice(("card", "card", "us_bank_account")))
    for _ in range(length):
        days = rng.choice((1,) * 60 + (9, 40))
        story.now = story.now - story.now % DAY + days * DAY + 6 * 3600
        act(story, rng)
        for _ in range(5):
            try:
                story.run()
                break
            except Killed:
                continue
        else:
            story.kill = lambda _: False
            story.run()
        check(story)
    return story


def violation(seed: int) -> str | None:
    """Return what a story violates; None if nothing."""
    try:
        story = story_of(seed)
    except AssertionError as error:
        return f"a step of the story: {error}"
    rng = random.Random(seed)
    if not all(agrees(story, replayed(story, shuffled(story.changes, rng))) for _ in range(2)):
        return "another order of the changes ends in another plan"
    for status, expected in zip(story.history, plan_oracle.days(story), strict=True):
        if status != expected:
            return f"the code says {status}, the oracle {expected}"
    return None


@pytest.mark.property
@pytest.mark.parametrize("seed", range(STORIES))
def test_a_story_ends_in_the_same_plan_in_every_order_and_as_the_oracle_says_on_every_day(seed: int) -> None:
    assert violation(seed) is None


@pytest.mark.soak
@pytest.mark.parametrize("first", range(STORIES, FULL_SIZE, 200))
def test_many_more_stories_do_so(first: int) -> None:
    for seed in range(first, first + 200):
        assert violation(seed) is None, seed
