"""Each rule switched off in turn: the search must find it, or the search shows nothing.

A defect is planted by patching the code. What a rule is for, and the history that broke it once, is in its name.
"""

import itertools
import json
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.model import checkers
from tests.model import test_counterexamples as told
from tests.model.machine import running
from tests.model.search import first_seed, one
from tuition.core import attention, audit, refund_request, stripe_json
from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core.enrollment import Enrollment
from tuition.core.errors import StripeUnavailable, TuitionError
from tuition.core.refs import PaymentRef
from tuition.intake import reconcile, stripe_events, walk
from tuition.payments import checkout, customers, refunds
from tuition.storage import dynamodb, keys, ledger, mapping
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, rebuild, resolve, sync

Patch = pytest.MonkeyPatch
FULL = 10_000
"""So many schedules `make soak` spends on a defect."""


def the_loser_closes_without_a_claim(patch: Patch) -> None:
    def close(kind: Any, object_id: str, *_: str) -> bool:
        closing.close_object(kind, object_id)
        return True

    patch.setattr(closing, "abandon", close)


def the_loser_leaves_its_object_open(patch: Patch) -> None:
    patch.setattr(checkout, "_abandon", lambda made: None)


def the_loser_of_a_double_click_closes_the_shared_object(patch: Patch) -> None:
    real = ledger.commit

    def commit(*given: Any, **more: Any) -> Any:
        try:
            return real(*given, **more)
        except (ledger.VersionConflict, ledger.AlreadyRecorded):
            if more.get("attempt_times") is not None:
                made = given[1].payment
                closing.close_object(made.kind, made.stripe_object_id)
            raise

    patch.setattr(ledger, "commit", commit)


def an_answer_leaves_before_its_transaction_has_committed(patch: Patch) -> None:
    patch.setattr(checkout, "_commit", lambda made, answer, *_: checkout.OpenedPayment(made, answer.object, new=True))


_memory: ContextVar[dict[str, Any] | None] = ContextVar("memory", default=None)


def a_pull_is_merged_again_after_a_conflict(patch: Patch) -> None:
    settle, pull = ledger.update, sync.fetch

    def settled(*given: Any, **more: Any) -> Any:
        token = _memory.set({})
        try:
            return settle(*given, **more)
        finally:
            _memory.reset(token)

    def pulled(payment: Any, **more: Any) -> Any:
        memory = _memory.get()
        if memory is None:
            return pull(payment, **more)
        if payment.payment_id not in memory:
            memory[payment.payment_id] = pull(payment, **more)
        return memory[payment.payment_id]

    patch.setattr(ledger, "update", settled)
    patch.setattr(sync, "fetch", pulled)


def the_try_rises_at_every_drive(patch: Patch) -> None:
    numbers = itertools.count(1)
    key = property(lambda self: f"{self.id}:{next(numbers)}")
    patch.setattr(refund_request.RefundRequest, "idempotency_key", key)


def a_drive_does_not_look_whether_the_refund_is_there(patch: Patch) -> None:
    the_try_rises_at_every_drive(patch)
    drive = refunds.resume
    patch.setattr(
        refunds,
        "resume",
        lambda key, payment, request_id, by, fresh=False: drive(key, payment, request_id, by, fresh=True),
    )


def a_present_record_does_not_win(patch: Patch) -> None:
    real = ledger._raise_named

    def explain(reasons: Any, before: Any, *, pull: bool) -> None:
        real(reasons, before, pull=True)

    patch.setattr(ledger, "_raise_named", explain)


def an_event_that_is_recorded_is_recorded_again(patch: Patch) -> None:
    real = ledger._put_absent

    def put(item: Any, key: str) -> Any:
        made = real(item, key)
        return {**made, "ConditionExpression": "attribute_not_exists(nothing)"} if key == "subject" else made

    patch.setattr(ledger, "_put_absent", put)


def an_enrollment_that_is_only_read_is_no_condition(patch: Patch) -> None:
    real = ledger._check_enrollment

    def check(enrollment: Enrollment) -> Any:
        made = real(enrollment)["ConditionCheck"]
        del made["ExpressionAttributeValues"]
        return {"ConditionCheck": {**made, "ConditionExpression": "attribute_not_exists(nothing)"}}

    patch.setattr(ledger, "_check_enrollment", check)


def an_enrollment_is_put_without_a_condition(patch: Patch) -> None:
    def put(before: Enrollment, after: Enrollment) -> Any:
        item = mapping.enrollment_to_item(after)
        return {"Put": {"TableName": dynamodb.table_name(type(item)), "Item": dynamodb.to_raw(item)}}

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
    real = core_facts.merge

    def merge(a: Any, b: Any) -> Any:
        merged = real(a, b)
        return replace(merged, settled=None) if b.phase and not b.settled else merged

    patch.setattr(core_facts, "merge", merge)


def refunds_are_counted_by_events(patch: Patch) -> None:
    real = stripe_json.of_refund

    def of_refund(refund: Any) -> Any:
        facts = real(refund)
        return replace(facts, refunds={f"{k}:{r.status}": r for k, r in facts.refunds.items()})

    patch.setattr(stripe_json, "of_refund", of_refund)


def a_refund_never_fails_after_it_succeeded(patch: Patch) -> None:
    patch.setitem(core_facts.REFUND_RANK, "succeeded", 9)


def a_lost_dispute_stays_lost(patch: Patch) -> None:
    patch.setattr(core_facts, "_dispute_key", lambda d: (d.status == "lost", d.stamp, d.status, d.withdrawn))


def disputes_are_taken_from_the_event_that_came_last(patch: Patch) -> None:
    real = stripe_json.of_dispute
    patch.setattr(stripe_json, "of_dispute", lambda dispute, stamp: real(dispute, 0))


def the_ledger_writes_steps_whole(patch: Patch) -> None:
    real = mapping.progress_update

    def update(*given: Any) -> Any:
        made = real(*given)
        return {
            **made,
            "UpdateExpression": made["UpdateExpression"].replace("if_not_exists(steps, :steps)", ":steps"),
        }

    patch.setattr(mapping, "progress_update", update)


def the_newest_attempt_alone_decides_the_enrollment(patch: Patch) -> None:
    def status(self: Enrollment) -> str | None:
        newest = sorted(self.standings.values(), key=lambda s: s.attempt)[-1:]
        for standing in newest:
            if standing.grants or standing.open:
                return "ENROLLED" if standing.grants else "PENDING"
        return "WITHDRAWN" if self.granted else None

    patch.setattr(Enrollment, "status", property(status))


def a_refusal_is_believed_without_a_pull(patch: Patch) -> None:
    def refused(key: Any, known: Any, why: str, by: Any) -> Any:
        def change(loaded: Any) -> Any:
            asked = replace(refunds._by_id(loaded.payment, known.id), state="refused", answer=why)
            entry = refunds._entry(f"{known.id}:refused:{known.tries}", "refund.refused", by)
            return ledger.Change(refunds._with_request(loaded.payment, asked), entry)

        return ledger.update(key, change).payment

    patch.setattr(refunds, "_record_refusal", refused)


def any_event_rebuilds_a_payment(patch: Patch) -> None:
    def from_stripe(key: Any, intent: str | None, session: str | None) -> Any:
        if session or not intent:
            return None
        answer = stripe_client.retrieve_intent(intent)
        if resolve.ref_in_metadata(answer.object["metadata"]) != key:
            return None
        facts = stripe_json.of_intent(answer.object, answer.date)
        return rebuild._payment(key, answer.object["metadata"], answer.object, None, facts)

    patch.setattr(rebuild, "from_stripe", from_stripe)
    patch.setattr(stripe_events.ParsedEvent, "shows_money", property(lambda self: True))


def what_is_closed_is_believed_closed(patch: Patch) -> None:
    def close(key: Any) -> Any:
        loaded = ledger.load(key)
        assert loaded.payment is not None
        if loaded.payment.open:
            closing.close_object(loaded.payment.kind, loaded.payment.stripe_object_id)
        gone = core_facts.Facts(closed=core_facts.Closed(1, loaded.payment.kind, "closed"))
        change = ledger.Change(
            loaded.payment.merged(gone), ledger.Entry("2026-01-01", f"c{loaded.payment.version}", "x", "request")
        )
        return ledger.update(key, lambda before: change, loaded).payment

    patch.setattr(closing, "close", close)


def a_record_tells_what_a_person_wrote(patch: Patch) -> None:
    real = audit.transition

    def transition(before: Any, after: Any, *enrollments: Any) -> Any:
        made = real(before, after, *enrollments)
        return {**made, "reason": after.requests[-1].reason} if after.requests else made

    patch.setattr(audit, "transition", transition)


def a_partial_refund_withdraws(patch: Patch) -> None:
    real = payments.grants_access
    patch.setattr(payments, "grants_access", lambda p: real(p) and not payments.refunded_amount(p.facts))


def facts_about_any_object_count(patch: Patch) -> None:
    patch.setattr(stripe_events, "_is_about_own_object", lambda notice, payment: True)


def a_create_that_lost_for_another_reason_gives_up(patch: Patch) -> None:
    def keep(made: Any, answer: Any, enrollment: Any, begun: Any, customer: Any) -> Any:
        entry = audit.AuditEntry(made.created_at, f"create:{made.payment_id}", "payment.created", "request")
        before = ledger.PaymentState(None, enrollment)
        try:
            kept = ledger.commit(before, ledger.Change(made, entry), attempt_times=attempt_times, customer=customer)
        except ledger.StripeObjectTaken as taken:
            checkout._on_object_taken(taken, made, enrollment)
            return None
        except (ledger.VersionConflict, ledger.AlreadyRecorded):
            now = ledger.load(PaymentRef(made.payment_id, made.user_id, made.track)).payment
            if now and now.open and now.stripe_object_id == made.stripe_object_id:
                return checkout.OpenedPayment(now, answer.object, new=False)
            closing.abandon(made.kind, made.stripe_object_id, made.user_id, made.track)
            return None
        return checkout.OpenedPayment(kept.payment or made, answer.object, new=True)

    patch.setattr(checkout, "_commit", keep)


def every_create_has_a_key_of_its_own(patch: Patch) -> None:
    numbers = itertools.count(1)
    for name in ("create_intent", "create_session"):
        real = getattr(stripe_client, name)
        patch.setattr(stripe_client, name, lambda params, key, call=real: call(params, f"{key}:{next(numbers)}"))


def orphans_are_left_alone(patch: Patch) -> None:
    patch.setattr(walk, "ORPHAN_AFTER_S", 10**9)


def a_create_closes_whatever_is_open(patch: Patch) -> None:
    real = checkout._close_first

    def close(key: Any, before: Any, enrollment: Any, _: Any) -> None:
        real(key, before, enrollment, frozenset({key.payment_id}))

    patch.setattr(checkout, "_close_first", close)


def a_session_that_its_bank_refused_stays_open(patch: Patch) -> None:
    """Told or pulled: where the one rule is off, the other makes up for it."""
    patch.setattr(core_facts, "failed_session", lambda session, at: stripe_json.of_session(session, at))
    patch.setattr(stripe_json, "_is_dead", lambda intent: False)


def whoever_was_refunded_never_granted(patch: Patch) -> None:
    patch.setattr(payments, "ever_granted", payments.grants_access)


def one_second_is_not_ambiguous(patch: Patch) -> None:
    patch.setattr(stripe_events, "_is_ambiguous", lambda notice, payment: False)


def a_refused_request_stays_open(patch: Patch) -> None:
    def refused(*_: Any) -> Any:
        raise StripeUnavailable("Stripe said no: try again", 502)

    patch.setattr(refunds, "_record_refusal", refused)


def a_double_is_marked_on_whoever_changed_last(patch: Patch) -> None:
    real = Enrollment.with_payment

    def with_payment(self: Enrollment, payment: Any) -> Enrollment:
        others = {key: one for key, one in self.standings.items() if key != payment.payment_id}
        return real(replace(self, standings=others), payment)

    patch.setattr(Enrollment, "with_payment", with_payment)
    patch.setattr(
        Enrollment, "doubled", property(lambda self: [k for k, s in self.standings.items() if s.holds_funds][1:])
    )


def a_double_is_not_in_the_queue(patch: Patch) -> None:
    real = mapping.payment_to_item
    patch.setattr(mapping, "payment_to_item", lambda payment, now, double: real(payment, now, double=False))


def what_no_pointer_names_is_foreign(patch: Patch) -> None:
    patch.setattr(stripe_events, "ref_of_intent", resolve.ref_of_stripe_object)


def what_costs_nothing_is_not_settled(patch: Patch) -> None:
    real = stripe_json.of_session

    def of_session(*given: Any) -> Any:
        facts = real(*given)
        return facts if facts.settled is None or facts.settled.amount else replace(facts, settled=None)

    patch.setattr(stripe_json, "of_session", of_session)


def a_poison_event_is_answered_with_an_error(patch: Patch) -> None:
    patch.setattr(stripe_events, "apply", stripe_events._apply)


def what_was_replayed_stays_in_quarantine(patch: Patch) -> None:
    def replay(event_id: str) -> Any:
        key = keys.quarantine_key(event_id)
        found = dynamodb.client().get_item(TableName="quarantine", Key=key, ConsistentRead=True)
        return stripe_events.apply(json.loads(found["Item"]["event"]["S"]))

    patch.setattr(stripe_events, "replay", replay)


def an_erasure_is_forgotten(patch: Patch) -> None:
    patch.setattr(core_facts, "_without_personal", lambda facts: facts)


def an_open_payment_is_answered_at_its_old_price(patch: Patch) -> None:
    def wished(before: Any, wish: Any) -> bool:
        payment = before.payment
        if payment is None or not payment.open or payment.kind != wish.kind:
            return False
        return bool(replace(payment.terms, list_amount=0) == replace(wish.terms, list_amount=0))

    patch.setattr(checkout, "_is_same_request", wished)


def a_deleted_customer_is_not_replaced(patch: Patch) -> None:
    real = customers.create

    def create(user_id: str, email: str, generation: int) -> Any:
        if generation > 1:
            raise StripeUnavailable("no customer could be made at Stripe: try again", 502)
        return real(user_id, email, generation)

    patch.setattr(customers, "create", create)


def a_pulls_record_wins_like_an_events(patch: Patch) -> None:
    patch.setattr(audit.AuditEntry, "is_sync", property(lambda self: False))


def a_pull_does_not_ask_for_the_refunds_that_an_event_told_of(patch: Patch) -> None:
    real = sync._refunds_and_disputes
    patch.setattr(sync, "_refunds_and_disputes", lambda payment, charge, asked: real(payment, charge, asked=False))


def the_reconciler_puts_off_what_it_has_just_changed(patch: Patch) -> None:
    real = walk.sync_payment

    def look(*given: Any, **more: Any) -> Any:
        after = real(*given, **more)
        before = ledger.PaymentState(None, replace(after.enrollment, standings={}))
        ledger.reschedule_check(replace(after, enrollment=before.enrollment))
        return after

    patch.setattr(walk, "sync_payment", look)


def nobody_drives_what_is_calling(patch: Patch) -> None:
    patch.setattr(reconcile.refunds, "resume", lambda key, payment, *_, **__: payment)


def declines_are_not_counted(patch: Patch) -> None:
    patch.setattr(closing, "too_many_declines", lambda payment: False)


def whoever_waits_for_staff_waits_for_ever(patch: Patch) -> None:
    patch.setattr(refund_request, "decline_awaiting", lambda requests, because: tuple(requests))


def a_revoked_payment_grants(patch: Patch) -> None:
    def grants(payment: Any) -> bool:
        return real(replace(payment, facts=replace(payment.facts, decision=None)))

    real = payments.grants_access
    patch.setattr(payments, "grants_access", grants)


def a_decision_once_made_stays(patch: Patch) -> None:
    patch.setattr(core_facts, "_decision_key", lambda d: (d.decision, d.version, d.note, d.actor))


def an_acceptance_is_forgotten(patch: Patch) -> None:
    real = core_facts.merge
    patch.setattr(core_facts, "merge", lambda a, b: replace(real(a, b), accepted=b.accepted))


def an_acknowledgement_holds_for_ever(patch: Patch) -> None:
    def unacknowledged(payment: Any, *, double: bool = False) -> Any:
        found = attention.reasons(payment, double=double)
        return [cause for cause in found if cause.name not in payment.facts.acknowledged]

    patch.setattr(attention, "unacknowledged", unacknowledged)


def a_claim_is_not_noticed(patch: Patch) -> None:
    patch.setattr(stripe_events, "_claim", lambda notice, payment: None)


def whoever_paid_another_amount_is_asked_again(patch: Patch) -> None:
    patch.setattr(Enrollment, "undecided", False)


def a_pull_looks_at_the_payment_alone(patch: Patch) -> None:
    patch.setattr(sync, "is_up_to_date", lambda loaded, after: sync.differs_only_in_time(loaded.payment, after))


def what_comes_back_stays_payable(patch: Patch) -> None:
    patch.setattr(closing, "must_close", closing.too_many_declines)


def gone_is_believed_for_ever(patch: Patch) -> None:
    patch.setattr(core_facts, "_closed_key", lambda closed: (closed.at, closed.by, closed.reason))


def what_is_told_of_the_unknown_is_applied(patch: Patch) -> None:
    def pulled(notice: Any, before: Any, payment: Any) -> Any:
        followed = stripe_events.is_about_refund_or_dispute(notice.type)
        return payment.merged(sync.fetch(before, followed=followed)[0])

    patch.setattr(stripe_events, "_synced", pulled)


@dataclass(frozen=True)
class Planted:
    """A defect, the plan to look for it in, and within how many schedules it must be found."""

    plant: Callable[[Patch], None]
    plan: str
    within: int = 300


PLANTED = (
    Planted(facts_about_any_object_count, "names"),
    Planted(the_loser_of_a_double_click_closes_the_shared_object, "claims"),
    Planted(the_loser_leaves_its_object_open, "kinds"),
    Planted(a_create_that_lost_for_another_reason_gives_up, "losers", 1_500),
    Planted(any_event_rebuilds_a_payment, "claims"),
    Planted(every_create_has_a_key_of_its_own, "claims"),
    Planted(orphans_are_left_alone, "names"),
    Planted(a_create_closes_whatever_is_open, "kinds"),
    Planted(a_session_that_its_bank_refused_stays_open, "banks"),
    Planted(the_counter_stays_behind_at_a_rebuild, "restore"),
    Planted(whoever_was_refunded_never_granted, "untold"),
    Planted(a_lost_dispute_stays_lost, "appeals"),
    Planted(a_pull_is_merged_again_after_a_conflict, "old", 1_500),
    Planted(one_second_is_not_ambiguous, "ties", 1_500),
    Planted(a_refused_request_stays_open, "drives"),
    Planted(a_refusal_is_believed_without_a_pull, "drives"),
    Planted(the_ledger_writes_steps_whole, "again"),
    Planted(a_double_is_marked_on_whoever_changed_last, "doubles"),
    Planted(a_double_is_not_in_the_queue, "doubles"),
    Planted(the_reconciler_puts_off_what_it_has_just_changed, "doubles"),
    Planted(an_enrollment_is_put_without_a_condition, "claims"),
    Planted(an_enrollment_that_is_only_read_is_no_condition, "appeals", 1_500),
    Planted(what_no_pointer_names_is_foreign, "pages"),
    Planted(a_stale_replay_is_not_read_again, "stale"),
    Planted(what_costs_nothing_is_not_settled, "codes"),
    Planted(a_poison_event_is_answered_with_an_error, "unread"),
    Planted(what_was_replayed_stays_in_quarantine, "unread"),
    Planted(an_erasure_is_forgotten, "erased"),
    Planted(an_open_payment_is_answered_at_its_old_price, "prices"),
    Planted(a_deleted_customer_is_not_replaced, "customers"),
    Planted(the_loser_closes_without_a_claim, "crowds", 1_500),
    Planted(a_pulls_record_wins_like_an_events, "glances", 1_500),
    Planted(the_try_rises_at_every_drive, "drives"),
    Planted(a_drive_does_not_look_whether_the_refund_is_there, "drives"),
    Planted(an_answer_leaves_before_its_transaction_has_committed, "claims"),
    Planted(a_present_record_does_not_win, "whole"),
    Planted(an_event_that_is_recorded_is_recorded_again, "whole"),
    Planted(settled_does_not_absorb, "whole"),
    Planted(refunds_are_counted_by_events, "failing"),
    Planted(a_refund_never_fails_after_it_succeeded, "failing"),
    Planted(a_pull_does_not_ask_for_the_refunds_that_an_event_told_of, "failing"),
    Planted(disputes_are_taken_from_the_event_that_came_last, "appeals"),
    Planted(the_newest_attempt_alone_decides_the_enrollment, "doubles", 1_500),
    Planted(what_is_closed_is_believed_closed, "kinds"),
    Planted(a_partial_refund_withdraws, "refunds"),
    Planted(a_record_tells_what_a_person_wrote, "drives"),
    Planted(nobody_drives_what_is_calling, "drives"),
    Planted(declines_are_not_counted, "testers"),
    Planted(whoever_waits_for_staff_waits_for_ever, "staff", 1_500),
    Planted(a_revoked_payment_grants, "staff"),
    Planted(a_decision_once_made_stays, "amounts"),
    Planted(an_acceptance_is_forgotten, "amounts", 1_500),
    Planted(an_acknowledgement_holds_for_ever, "disputes"),
    Planted(a_claim_is_not_noticed, "names"),
    Planted(whoever_paid_another_amount_is_asked_again, "amounts"),
    Planted(a_pull_looks_at_the_payment_alone, "parted"),
    Planted(what_comes_back_stays_payable, "gone"),
    Planted(gone_is_believed_for_ever, "gone"),
    Planted(what_is_told_of_the_unknown_is_applied, "gone", 1_500),
)

HISTORIES: tuple[tuple[Callable[[Patch], None], Callable[..., None], tuple[Any, ...]], ...] = (
    (facts_about_any_object_count, told.test_a_closing_of_another_object_of_the_same_name_changes_nothing, ()),
    (the_loser_leaves_its_object_open, told.test_the_loser_of_two_kinds_closes_its_own_and_never_the_winners, ()),
    (a_create_closes_whatever_is_open, told.test_the_loser_of_two_kinds_closes_its_own_and_never_the_winners, ()),
    (
        the_loser_of_a_double_click_closes_the_shared_object,
        told.test_the_loser_of_a_double_click_answers_the_winners_and_cancels_nothing,
        (),
    ),
    (
        a_create_that_lost_for_another_reason_gives_up,
        told.test_a_create_that_loses_to_an_older_payments_webhook_commits_the_same_object,
        (),
    ),
    (any_event_rebuilds_a_payment, told.test_created_before_the_commit_rebuilds_nothing_and_the_create_wins, ()),
    (any_event_rebuilds_a_payment, told.test_nothing_is_rebuilt_from_an_events_own_body, ()),
    (any_event_rebuilds_a_payment, told.test_a_late_processing_after_a_failure_rebuilds_nothing, ()),
    (every_create_has_a_key_of_its_own, told.test_a_create_that_died_after_stripe_is_taken_up_by_the_retry, ()),
    (orphans_are_left_alone, told.test_an_orphan_of_a_create_that_died_is_closed_within_the_hour_that_follows, ()),
    (a_create_closes_whatever_is_open, told.test_creates_of_two_kinds_do_not_close_each_others_for_ever, ()),
    *(
        (
            a_session_that_its_bank_refused_stays_open,
            told.test_a_complete_session_whose_bank_refuses_is_canceled_and_the_student_buys_again,
            (learned,),
        )
        for learned in ("told", "pulled")
    ),
    (the_counter_stays_behind_at_a_rebuild, told.test_a_rebuilt_payment_raises_the_counter_for_the_next_create, ()),
    (whoever_was_refunded_never_granted, told.test_purchase_and_refund_learned_in_one_pull_end_as_in_two_steps, ()),
    (a_lost_dispute_stays_lost, told.test_a_dispute_lost_reviewed_and_lost_again_counts, ()),
    (a_pull_is_merged_again_after_a_conflict, told.test_of_two_pulls_the_one_that_conflicts_pulls_again, ("FAILED",)),
    (one_second_is_not_ambiguous, told.test_what_shows_after_two_phases_of_one_second_is_stripes, ((1, 0), False)),
    (
        a_refused_request_stays_open,
        told.test_a_refund_in_the_dashboard_between_request_and_call_ends_the_request_refused,
        (),
    ),
    (
        a_refusal_is_believed_without_a_pull,
        told.test_a_refund_in_the_dashboard_between_request_and_call_ends_the_request_refused,
        (),
    ),
    (the_ledger_writes_steps_whole, told.test_a_step_marked_while_the_ledger_unlocks_stays, ()),
    (
        a_double_is_marked_on_whoever_changed_last,
        told.test_a_track_paid_for_twice_needs_a_person_at_the_later_attempt_whichever_was_learned_first,
        (1,),
    ),
    (a_double_is_not_in_the_queue, told.test_a_second_purchase_that_the_reconciler_learns_of_is_in_the_queue, ()),
    (
        the_reconciler_puts_off_what_it_has_just_changed,
        told.test_a_second_purchase_that_the_reconciler_learns_of_is_in_the_queue,
        (),
    ),
    (
        an_enrollment_is_put_without_a_condition,
        told.test_a_refund_of_one_payment_racing_the_success_of_another_keeps_both_standings,
        (),
    ),
    (what_no_pointer_names_is_foreign, told.test_a_refund_that_arrives_first_is_placed_by_its_intent, ()),
    (a_stale_replay_is_not_read_again, told.test_an_orphan_that_was_closed_is_not_answered_again_by_its_key, ()),
    (what_costs_nothing_is_not_settled, told.test_a_free_session_enrolls_and_its_refund_is_refused_with_the_reason, ()),
    (
        a_poison_event_is_answered_with_an_error,
        told.test_a_poison_event_is_kept_for_a_person_and_stripe_is_told_that_all_is_well,
        (),
    ),
    (
        what_was_replayed_stays_in_quarantine,
        told.test_a_poison_event_is_kept_for_a_person_and_stripe_is_told_that_all_is_well,
        (),
    ),
    (an_erasure_is_forgotten, told.test_what_was_erased_stays_erased_whatever_comes_late, ()),
    (
        an_open_payment_is_answered_at_its_old_price,
        told.test_a_price_change_closes_what_is_open_and_begins_at_the_new_price,
        (),
    ),
    (
        a_deleted_customer_is_not_replaced,
        told.test_a_customer_deleted_at_stripe_is_replaced_at_the_next_create,
        (),
    ),
    (the_loser_closes_without_a_claim, told.test_what_a_loser_closed_is_claimed_first_and_nobody_commits_it, ()),
    (the_loser_closes_without_a_claim, told.test_a_create_does_not_commit_what_the_reconciler_has_given_up, ()),
    (a_pulls_record_wins_like_an_events, told.test_two_pulls_on_one_version_in_one_moment_end_in_the_newer, ()),
    (the_try_rises_at_every_drive, told.test_a_partial_refund_whose_first_call_is_late_is_made_once, ()),
    (
        a_pull_does_not_ask_for_the_refunds_that_an_event_told_of,
        told.test_a_refund_that_failed_is_learned_from_an_event_that_is_only_a_reason_to_pull,
        (),
    ),
    (
        a_pull_does_not_ask_for_the_refunds_that_an_event_told_of,
        told.test_a_refund_that_failed_untold_is_learned_by_the_reconciler,
        (),
    ),
    (declines_are_not_counted, told.test_a_payment_is_closed_after_its_fifth_failed_charge, ()),
    (
        a_claim_is_not_noticed,
        told.test_a_settled_object_in_the_name_of_another_payment_is_a_claim_and_a_person_looks,
        (),
    ),
)


@pytest.mark.parametrize(
    ("plant", "history", "given"), HISTORIES, ids=[f"{p.__name__}-{h.__name__}" for p, h, _ in HISTORIES]
)
def test_a_planted_defect_breaks_its_named_history(plant: Any, history: Any, given: Any, monkeypatch: Patch) -> None:
    with running(7, monkeypatch) as machine:
        plant(monkeypatch)
        try:
            history(machine, *given)
        except (AssertionError, TuitionError, pytest.fail.Exception):
            return
        assert machine.problems or checkers.settled_state(machine)


def found_after(planted: Planted, within: int = 0) -> tuple[int, list[str]] | None:
    """How many schedules it took, and what was seen; None where it was not found."""
    begin = first_seed()
    for number in range(within or planted.within):
        found = one(begin + number, planted.plan, planted.plant)
        if found.problems:
            return number + 1, found.problems
    return None


def looked_for(planted: Planted, record_property: Any) -> None:
    seen = found_after(planted)
    name = planted.plant.__name__
    assert seen, f"{name} was not found in {planted.within} schedules of {planted.plan}"
    seed = first_seed() + seen[0] - 1
    assert not one(seed, planted.plan).problems, f"seed {seed} of {planted.plan} is a violation without {name} too"
    record_property("planted", f"{name}: found after {seen[0]} schedules of {planted.plan}: {seen[1][0][:100]}")


@pytest.mark.property
@pytest.mark.parametrize("planted", PLANTED, ids=lambda p: p.plant.__name__)
def test_a_planted_defect_is_found(planted: Planted, record_property: Any) -> None:
    looked_for(planted, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("planted", PLANTED, ids=lambda p: p.plant.__name__)
def test_a_planted_defect_is_found_at_full_size(planted: Planted, record_property: Any) -> None:
    looked_for(replace(planted, within=FULL), record_property)


if __name__ == "__main__":
    wanted = os.environ.get("ONLY", "")
    for each in PLANTED:
        if wanted in each.plant.__name__:
            begun = time.monotonic()
            seen = found_after(each, int(os.environ.get("WITHIN", "0")))
            took = f"{time.monotonic() - begun:.1f} s"
            print(
                each.plant.__name__,
                each.plan,
                took,
                *((seen[0], seen[1][0][:160]) if seen else ("NOT FOUND",)),
                flush=True,
            )
