"""Each rule switched off in turn: the search must find it, or the search shows nothing.

A defect is planted by patching the code. What a rule is for, and the history that broke it once, is in its name.
"""

import itertools
import os
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.model import test_counterexamples as told
from tests.model.machine import running
from tests.model.search import first_seed, one
from tuition import checkout, ledger, ownership, pulls, rebuild, refunds, stripe_client, stripe_events, tables
from tuition.core import payment as payments
from tuition.core import refund_request, stripe_facts
from tuition.core.enrollment import Enrollment

Patch = pytest.MonkeyPatch


def the_loser_closes_without_a_claim(patch: Patch) -> None:
    patch.setattr(checkout, "_give_up", lambda made: checkout._close_object(made.kind, made.bound_to))


def the_loser_of_a_double_click_closes_the_shared_object(patch: Patch) -> None:
    real = ledger.commit

    def commit(*given: Any, **more: Any) -> Any:
        try:
            return real(*given, **more)
        except ledger.Conflict:
            if more.get("begun") is not None:
                made = given[1].payment
                checkout._close_object(made.kind, made.bound_to)
            raise

    patch.setattr(ledger, "commit", commit)


def an_answer_leaves_before_its_transaction_has_committed(patch: Patch) -> None:
    patch.setattr(checkout, "_keep", lambda made, answer, *_: checkout.Offer(made, answer.object, new=True))


_memory: ContextVar[dict[str, Any] | None] = ContextVar("memory", default=None)


def a_pull_is_merged_again_after_a_conflict(patch: Patch) -> None:
    settle, pull = ledger.settle, pulls.pull

    def settled(*given: Any, **more: Any) -> Any:
        token = _memory.set({})
        try:
            return settle(*given, **more)
        finally:
            _memory.reset(token)

    def pulled(payment: Any) -> Any:
        memory = _memory.get()
        if memory is None:
            return pull(payment)
        if payment.payment_id not in memory:
            memory[payment.payment_id] = pull(payment)
        return memory[payment.payment_id]

    patch.setattr(ledger, "settle", settled)
    patch.setattr(pulls, "pull", pulled)


def the_try_rises_at_every_drive(patch: Patch) -> None:
    numbers = itertools.count(1)
    key = property(lambda self: f"{self.id}:{next(numbers)}")
    patch.setattr(refund_request.RefundRequest, "idempotency_key", key)


def a_drive_does_not_look_whether_the_refund_is_there(patch: Patch) -> None:
    the_try_rises_at_every_drive(patch)
    drive = refunds.drive
    patch.setattr(
        refunds, "drive", lambda key, payment, request_id, fresh=False: drive(key, payment, request_id, fresh=True)
    )


def a_present_record_does_not_win(patch: Patch) -> None:
    real = ledger._explain

    def explain(reasons: Any, before: Any, *, pull: bool) -> None:
        real(reasons, before, pull=True)

    patch.setattr(ledger, "_explain", explain)


def an_event_that_is_recorded_is_recorded_again(patch: Patch) -> None:
    real = ledger._put_absent

    def put(item: Any, key: str) -> Any:
        made = real(item, key)
        return {**made, "ConditionExpression": "attribute_not_exists(nothing)"} if key == "subject" else made

    patch.setattr(ledger, "_put_absent", put)


def an_enrollment_that_is_only_read_is_no_condition(patch: Patch) -> None:
    real = ledger._check

    def check(enrollment: Enrollment) -> Any:
        made = real(enrollment)["ConditionCheck"]
        del made["ExpressionAttributeValues"]
        return {"ConditionCheck": {**made, "ConditionExpression": "attribute_not_exists(nothing)"}}

    patch.setattr(ledger, "_check", check)


def an_enrollment_is_put_without_a_condition(patch: Patch) -> None:
    def put(before: Enrollment, after: Enrollment) -> Any:
        item = tables.enrollment_to_item(after)
        return {"Put": {"TableName": tables.table(type(item)), "Item": tables.raw(item)}}

    patch.setattr(ledger, "_put_enrollment", put)


def the_counter_stays_behind_at_a_rebuild(patch: Patch) -> None:
    real = Enrollment.with_payment

    def with_payment(self: Enrollment, payment: Any) -> Enrollment:
        made = real(self, payment)
        return replace(made, attempt=self.attempt) if payment.facts.rebuilt else made

    patch.setattr(Enrollment, "with_payment", with_payment)


def a_stale_replay_is_not_read_again(patch: Patch) -> None:
    real = stripe_client._answer
    patch.setattr(stripe_client, "_answer", lambda obj: replace(real(obj), replayed=False))


def settled_does_not_absorb(patch: Patch) -> None:
    real = stripe_facts.merge

    def merge(a: Any, b: Any) -> Any:
        merged = real(a, b)
        return replace(merged, settled=None) if b.phase and not b.settled else merged

    patch.setattr(stripe_facts, "merge", merge)


def refunds_are_counted_by_events(patch: Patch) -> None:
    real = stripe_facts.of_refund

    def of_refund(refund: Any) -> Any:
        facts = real(refund)
        return replace(facts, refunds={f"{k}:{r.status}": r for k, r in facts.refunds.items()})

    patch.setattr(stripe_facts, "of_refund", of_refund)


def a_refund_never_fails_after_it_succeeded(patch: Patch) -> None:
    patch.setitem(stripe_facts.REFUND_RANK, "succeeded", 9)


def a_lost_dispute_stays_lost(patch: Patch) -> None:
    patch.setattr(stripe_facts, "_dispute_key", lambda d: (d.status == "lost", d.stamp, d.status, d.withdrawn))


def disputes_are_taken_from_the_event_that_came_last(patch: Patch) -> None:
    real = stripe_facts.of_dispute
    patch.setattr(stripe_facts, "of_dispute", lambda dispute, stamp: real(dispute, 0))


def the_ledger_writes_steps_whole(patch: Patch) -> None:
    real = tables.progress_update

    def update(*given: Any) -> Any:
        made = real(*given)
        return {
            **made,
            "UpdateExpression": made["UpdateExpression"].replace("if_not_exists(steps, :steps)", ":steps"),
        }

    patch.setattr(tables, "progress_update", update)


def the_newest_attempt_alone_decides_the_enrollment(patch: Patch) -> None:
    def status(self: Enrollment) -> str | None:
        newest = sorted(self.standings.values(), key=lambda s: s.attempt)[-1:]
        for standing in newest:
            if standing.grants or standing.open:
                return "ENROLLED" if standing.grants else "PENDING"
        return "WITHDRAWN" if self.granted else None

    patch.setattr(Enrollment, "status", property(status))


def a_refusal_is_believed_without_a_pull(patch: Patch) -> None:
    def refused(key: Any, known: Any, why: str) -> Any:
        def change(loaded: Any) -> Any:
            asked = replace(refunds._by_id(loaded.payment, known.id), state="refused", answer=why)
            entry = refunds._entry(f"{known.id}:refused:{known.tries}", "refund.refused", "request")
            return ledger.Change(refunds._with(loaded.payment, asked), entry)

        return ledger.settle(key, change).payment

    patch.setattr(refunds, "_refused", refused)


def any_event_rebuilds_a_payment(patch: Patch) -> None:
    def from_stripe(key: Any, intent: str | None, session: str | None) -> Any:
        if session or not intent:
            return None
        answer = stripe_client.retrieve_intent(intent)
        if ownership.key_of(answer.object["metadata"]) != key:
            return None
        facts = stripe_facts.of_intent(answer.object, answer.date)
        return rebuild._payment(key, answer.object["metadata"], answer.object, None, facts)

    patch.setattr(rebuild, "from_stripe", from_stripe)
    patch.setattr(stripe_events.Notice, "shows_money", property(lambda self: True))


def what_is_closed_is_believed_closed(patch: Patch) -> None:
    def close(key: Any) -> Any:
        loaded = ledger.load(key)
        assert loaded.payment is not None
        if loaded.payment.open:
            checkout._close_object(loaded.payment.kind, loaded.payment.bound_to)
        gone = stripe_facts.Facts(closed=stripe_facts.Closed(1, loaded.payment.kind, "closed"))
        change = ledger.Change(
            loaded.payment.merged(gone), ledger.Entry("2026-01-01", f"c{loaded.payment.version}", "x", "request")
        )
        return ledger.settle(key, lambda before: change, loaded).payment

    patch.setattr(checkout, "close", close)


def a_partial_refund_withdraws(patch: Patch) -> None:
    real = payments.grants_access
    patch.setattr(payments, "grants_access", lambda p: real(p) and not payments.refunded_amount(p.facts))


@dataclass(frozen=True)
class Planted:
    """A defect, where to look for it, and within how many schedules it must be found."""

    plant: Callable[[Patch], None]
    plan: str
    within: int = 60


PLANTED = (
    Planted(the_loser_of_a_double_click_closes_the_shared_object, "creates"),
    Planted(an_answer_leaves_before_its_transaction_has_committed, "creates"),
    Planted(a_drive_does_not_look_whether_the_refund_is_there, "drives", 200),
    Planted(a_present_record_does_not_win, "whole"),
    Planted(an_event_that_is_recorded_is_recorded_again, "whole"),
    Planted(an_enrollment_is_put_without_a_condition, "creates"),
    Planted(the_counter_stays_behind_at_a_rebuild, "restore"),
    Planted(settled_does_not_absorb, "whole"),
    Planted(refunds_are_counted_by_events, "refunds"),
    Planted(a_refund_never_fails_after_it_succeeded, "refunds"),
    Planted(disputes_are_taken_from_the_event_that_came_last, "disputes"),
    Planted(the_ledger_writes_steps_whole, "again"),
    Planted(a_partial_refund_withdraws, "refunds"),
)

RARE = (
    Planted(a_pull_is_merged_again_after_a_conflict, "appeals", 10_000),
    Planted(an_enrollment_that_is_only_read_is_no_condition, "again", 10_000),
    Planted(a_stale_replay_is_not_read_again, "orphans", 10_000),
    Planted(a_lost_dispute_stays_lost, "disputes", 10_000),
    Planted(the_newest_attempt_alone_decides_the_enrollment, "again", 10_000),
    Planted(a_refusal_is_believed_without_a_pull, "refunds", 10_000),
    Planted(any_event_rebuilds_a_payment, "creates", 10_000),
    Planted(what_is_closed_is_believed_closed, "creates", 10_000),
    Planted(the_loser_closes_without_a_claim, "kinds", 10_000),
)
"""Too rare for the short search: the full size (soak) must find them."""


def found_after(planted: Planted) -> tuple[int, list[str]] | None:
    """How many schedules it took, and what was seen; None where it was not found."""
    begin = first_seed()
    for number in range(planted.within):
        found = one(begin + number, planted.plan, planted.plant)
        if found.problems:
            return number + 1, found.problems
    return None


HISTORIES = (
    (the_loser_closes_without_a_claim, told.test_what_a_loser_closed_is_claimed_first_and_nobody_commits_it, ()),
    (a_pull_is_merged_again_after_a_conflict, told.test_of_two_pulls_the_one_that_conflicts_pulls_again, ("FAILED",)),
    (a_stale_replay_is_not_read_again, told.test_an_orphan_that_was_closed_is_not_answered_again_by_its_key, ()),
    (any_event_rebuilds_a_payment, told.test_nothing_is_rebuilt_from_an_events_own_body, ()),
    (a_lost_dispute_stays_lost, told.test_a_dispute_lost_reviewed_and_lost_again_counts, ()),
)


@pytest.mark.parametrize(("plant", "history", "given"), HISTORIES, ids=lambda each: getattr(each, "__name__", ""))
def test_a_rare_defect_breaks_its_named_history(plant: Any, history: Any, given: Any, monkeypatch: Patch) -> None:
    with running(7, monkeypatch) as machine:
        plant(monkeypatch)
        try:
            history(machine, *given)
        except AssertionError:
            return
        assert machine.problems


@pytest.mark.soak
@pytest.mark.parametrize("planted", RARE, ids=lambda planted: planted.plant.__name__)
def test_a_rare_planted_defect_is_found(planted: Planted) -> None:
    assert found_after(planted), f"{planted.plant.__name__} was not found in {planted.within} schedules"


@pytest.mark.property
@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.plant.__name__)
def test_a_planted_defect_is_found(planted: Planted) -> None:
    seen = found_after(planted)
    assert seen, f"{planted.plant.__name__} was not found in {planted.within} schedules of {planted.plan}"
    print(f"{planted.plant.__name__}: found after {seen[0]} schedules of {planted.plan}: {seen[1][0]}")


if __name__ == "__main__":
    wanted = os.environ.get("ONLY", "")
    for each in (*PLANTED, *RARE):
        if wanted in each.plant.__name__:
            print(each.plant.__name__, each.plan, found_after(each), flush=True)
