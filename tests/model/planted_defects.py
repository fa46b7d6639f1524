"""Planted defects: each one switches off one rule of the code. The name says what the defective code does.

A defect is a function that patches the code for the duration of a `MonkeyPatch`.
"""

import contextlib
import itertools
import json
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import greenlet
import pytest

from tests.shards import set_shards
from tests.unit import test_plan_defects
from tuition import clock
from tuition.core import attention, audit, plan_steps, refund_request, stripe_json, timestamps
from tuition.core import facts as core_facts
from tuition.core import payment as payments
from tuition.core import plan as plans
from tuition.core.enrollment import Enrollment
from tuition.core.errors import StripeRefused, StripeUnavailable
from tuition.core.facts import Closed, Facts
from tuition.core.limits import NO_LIMITS
from tuition.core.payment_state import PaymentState
from tuition.core.plan_basis import PlanBasis
from tuition.core.plan_facts import PlanFacts, Try
from tuition.intake import stripe_events, walk
from tuition.payments import cancellation, checkout, collection, customers, opening, refunds, switches
from tuition.storage import dynamodb, keys, ledger, mapping
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, rebuild, resolve, sync

Patch = pytest.MonkeyPatch


# --- creates ---


def losing_create_closes_its_object_without_a_claim(patch: Patch) -> None:
    def close(stripe_object: Any, *_: str) -> bool:
        stripe_object.close()
        return True

    patch.setattr(closing, "abandon", close)


def losing_create_leaves_its_object_open(patch: Patch) -> None:
    patch.setattr(opening, "abandon", lambda payment: None)


def losing_double_click_closes_the_shared_object(patch: Patch) -> None:
    real = ledger.commit

    def commit(*args: Any, **options: Any) -> Any:
        try:
            return real(*args, **options)
        except (ledger.VersionConflict, ledger.AlreadyRecorded):
            if options.get("attempt_times") is not None:
                payment = args[1].payment
                closing.bound_object(payment).close()
            raise

    patch.setattr(ledger, "commit", commit)


def create_responds_before_its_commit(patch: Patch) -> None:
    patch.setattr(
        opening, "commit", lambda payment, answer, *_, **__: opening.OpenedPayment(payment, answer.object, new=True)
    )


def create_gives_up_after_any_conflict(patch: Patch) -> None:
    def keep(payment: Any, answer: Any, slot: Any, actor: Any, *, accepted_codes: Any = (), **options: Any) -> Any:
        entry = audit.AuditEntry(payment.created_at, f"create:{payment.payment_id}", "payment.created", "request")
        try:
            state = ledger.commit(slot.before(), ledger.Change(payment, entry), **options)
        except ledger.StripeObjectTaken as error:
            opening._on_object_taken(error, payment, slot)
            return None
        except (ledger.VersionConflict, ledger.AlreadyRecorded):
            current = ledger.load(payment.ref).payment
            if current and current.open and current.stripe_object_id == payment.stripe_object_id:
                return opening.OpenedPayment(current, answer.object, new=False)
            closing.abandon(closing.bound_object(payment), payment.user_id, payment.track)
            return None
        return opening.OpenedPayment(state.existing, answer.object, new=True)

    patch.setattr(opening, "commit", keep)


def every_create_has_its_own_idempotency_key(patch: Patch) -> None:
    numbers = itertools.count(1)
    for name in ("create_intent", "create_session"):
        real = getattr(stripe_client, name)
        patch.setattr(stripe_client, name, lambda params, key, call=real: call(params, f"{key}:{next(numbers)}"))


def stale_idempotent_replay_is_not_retrieved_again(patch: Patch) -> None:
    real = stripe_client._answer
    patch.setattr(stripe_client, "_answer", lambda obj: real(obj)._replace(replayed=False))


def create_closes_payments_opened_after_it_started(patch: Patch) -> None:
    real = opening.require_closable

    def require_closable(state: Any, _: Any) -> bool:
        return real(state, frozenset({state.payment.payment_id}))

    patch.setattr(opening, "require_closable", require_closable)


def open_payment_is_offered_at_its_old_price(patch: Patch) -> None:
    def is_same_request(state: Any, request: Any) -> bool:
        payment = state.existing
        if not payment.open or payment.kind != request.kind:
            return False
        return bool(replace(payment.terms, list_amount=0) == replace(request.terms, list_amount=0))

    patch.setattr(checkout, "_is_same_request", is_same_request)


def deleted_customer_is_not_replaced(patch: Patch) -> None:
    real = customers.create

    def create(user_id: str, email: str, generation: int) -> Any:
        if generation > 1:
            raise StripeUnavailable("The customer could not be created at Stripe. Try again.", 502)
        return real(user_id, email, generation)

    patch.setattr(customers, "create", create)


def closing_is_assumed_to_succeed(patch: Patch) -> None:
    def close(ref: Any, _state: Any = None) -> Any:
        state = ledger.load(ref)
        payment = state.existing
        if payment.open:
            closing.bound_object(payment).close()
        closed = core_facts.Facts(closed=core_facts.Closed(1, payment.kind, "closed"))
        entry = audit.AuditEntry("2026-01-01T00:00:00.000Z", f"c{payment.version}", "x", "request")
        change = ledger.Change(payment.merged(closed), entry)
        return ledger.update(ref, lambda before: change, state).payment

    patch.setattr(closing, "close", close)


def declines_are_counted_per_container(patch: Patch) -> None:
    """Each actor counts what it has seen itself, as a Lambda would in its memory."""
    real = ledger._counted
    memory: dict[tuple[Any, str], Any] = {}

    def counted(before: PaymentState, payment: Any) -> Any:
        container = greenlet.getcurrent(), payment.user_id
        limits, declines = real(replace(before, limits=memory.get(container, NO_LIMITS)), payment)
        memory[container] = limits
        return limits, declines

    patch.setattr(ledger, "_counted", counted)


def payment_stays_open_after_many_declines(patch: Patch) -> None:
    patch.setattr(closing, "too_many_declines", lambda state: False)


def student_who_paid_another_amount_is_charged_again(patch: Patch) -> None:
    patch.setattr(Enrollment, "undecided", False)


def revoked_amount_keeps_its_student_from_buying(patch: Patch) -> None:
    patch.setattr(
        Enrollment,
        "undecided",
        property(lambda self: any(s.holds_funds and not s.granted for s in self.standings.values())),
    )


def first_purchase_is_claimed_without_a_condition(patch: Patch) -> None:
    patch.setattr(ledger, "_UNCLAIMED", "attribute_not_exists(nothing)")


def payment_closed_unpaid_keeps_the_first_purchase(patch: Patch) -> None:
    real = ledger._update_history

    def update(before: Any, after: Any, now: float, block: str | None) -> Any:
        writes = real(before, after, now, block)
        closed = before and before.holds_first_purchase and not after.holds_first_purchase
        return {} if closed else writes

    patch.setattr(ledger, "_update_history", update)


# --- the ledger ---


_sync_results: ContextVar[dict[str, Any] | None] = ContextVar("sync_results", default=None)


def sync_result_is_reused_after_a_conflict(patch: Patch) -> None:
    real_update, real_fetch = ledger.update, sync.fetch

    def update(*args: Any, **options: Any) -> Any:
        token = _sync_results.set({})
        try:
            return real_update(*args, **options)
        finally:
            _sync_results.reset(token)

    def fetch(payment: Any, **options: Any) -> Any:
        results = _sync_results.get()
        if results is None:
            return real_fetch(payment, **options)
        if payment.payment_id not in results:
            results[payment.payment_id] = real_fetch(payment, **options)
        return results[payment.payment_id]

    patch.setattr(ledger, "update", update)
    patch.setattr(sync, "fetch", fetch)


def recorded_event_is_applied_again(patch: Patch) -> None:
    real = ledger._raise_named

    def raise_named(reasons: Any, before: Any, claims: Any, *, is_sync: bool) -> None:
        real(reasons, before, claims, is_sync=True)

    patch.setattr(ledger, "_raise_named", raise_named)


def recorded_event_is_recorded_again(patch: Patch) -> None:
    real = ledger._put_absent

    def put(item: Any, key: str) -> Any:
        write = real(item, key)
        return {**write, "ConditionExpression": "attribute_not_exists(nothing)"} if key == "subject" else write

    patch.setattr(ledger, "_put_absent", put)


def unchanged_enrollment_is_not_checked(patch: Patch) -> None:
    real = ledger._check_enrollment

    def check(enrollment: Enrollment) -> Any:
        condition = real(enrollment)["ConditionCheck"]
        del condition["ExpressionAttributeValues"]
        return {"ConditionCheck": {**condition, "ConditionExpression": "attribute_not_exists(nothing)"}}

    patch.setattr(ledger, "_check_enrollment", check)


def enrollment_is_put_without_a_condition(patch: Patch) -> None:
    def put(before: Enrollment, after: Enrollment) -> Any:
        item = mapping.enrollment_to_item(after)
        return {"Put": {"TableName": dynamodb.table_name(type(item)), "Item": dynamodb.to_raw(item)}}

    patch.setattr(ledger, "_put_enrollment", put)


def ledger_overwrites_steps(patch: Patch) -> None:
    real = mapping.progress_update

    def update(*args: Any) -> Any:
        write = real(*args)
        expression = write["UpdateExpression"].replace("if_not_exists(steps, :steps)", ":steps")
        return {**write, "UpdateExpression": expression}

    patch.setattr(mapping, "progress_update", update)


def audit_record_contains_free_text(patch: Patch) -> None:
    real = audit.transition

    def transition(before: Any, after: Any) -> Any:
        changes = real(before, after)
        requests = after.payment.requests
        return {**changes, "reason": requests[-1].reason} if requests else changes

    patch.setattr(audit, "transition", transition)


# --- facts ---


def settled_fact_can_be_lost(patch: Patch) -> None:
    real = core_facts.merge

    def merge(a: Any, b: Any) -> Any:
        merged = real(a, b)
        return replace(merged, settled=None) if b.phase and not b.settled else merged

    patch.setattr(core_facts, "merge", merge)


def each_refund_event_counts_as_a_refund(patch: Patch) -> None:
    real = stripe_json.of_refund

    def of_refund(refund: Any) -> Any:
        facts = real(refund)
        return replace(facts, refunds={f"{k}:{r.status}": r for k, r in facts.refunds.items()})

    patch.setattr(stripe_json, "of_refund", of_refund)


def succeeded_refund_cannot_fail(patch: Patch) -> None:
    patch.setitem(core_facts.REFUND_RANK, "succeeded", 9)


def lost_dispute_stays_lost(patch: Patch) -> None:
    patch.setattr(core_facts, "_dispute_key", lambda d: (d.status == "lost", d.stamp, d.status, d.withdrawn))


def lost_dispute_is_forgotten(patch: Patch) -> None:
    patch.setattr(ledger, "_update_history", lambda *_: {})


def dispute_won_on_appeal_blocks_forever(patch: Patch) -> None:
    real = ledger._update_history

    def update(*args: Any) -> Any:
        writes = real(*args)
        return {} if "DELETE" in str(writes) else writes

    patch.setattr(ledger, "_update_history", update)


def create_ignores_that_selling_is_stopped(patch: Patch) -> None:
    patch.setattr(switches, "require_selling", lambda switch: None)


def stop_is_written_without_a_condition(patch: Patch) -> None:
    """Two decisions at once each continue the same record."""
    real = ledger._put_version

    def put(item: Any, version: int) -> Any:
        write = real(item, version)
        if type(item).__name__ == "CursorItem":
            write = {name: write[name] for name in ("TableName", "Item")}
        return write

    patch.setattr(ledger, "_put_version", put)


def new_customer_clears_the_blocks(patch: Patch) -> None:
    real = ledger._put_customer

    def put(customer: Any, *args: Any) -> Any:
        writes = real(customer, *args)
        update = writes["customer"]["Update"]
        item = {
            "user_id": {"S": customer.user_id},
            "stripe_customer_id": {"S": customer.stripe_customer_id},
            "generation": {"N": str(customer.generation)},
            "updated_at": {"S": "2026"},
        }
        values = {k: v for k, v in update["ExpressionAttributeValues"].items() if k != ":now"}
        new = {**update, "Item": item, "ExpressionAttributeValues": values}
        del new["Key"], new["UpdateExpression"]
        return {**writes, "customer": {"Put": new}}

    patch.setattr(ledger, "_put_customer", put)


def disputes_ignore_the_order_of_events(patch: Patch) -> None:
    real = stripe_json.of_dispute
    patch.setattr(stripe_json, "of_dispute", lambda dispute, stamp: real(dispute, 0))


def session_with_a_failed_bank_debit_stays_open(patch: Patch) -> None:
    """Off for both the webhook and the sync: either one makes up for the other."""
    patch.setattr(stripe_json, "failed_session", lambda session, at: stripe_json.of_session(session, at))
    patch.setattr(stripe_json, "_is_dead", lambda intent: False)


def free_session_is_not_settled(patch: Patch) -> None:
    real = stripe_json.of_session

    def of_session(*args: Any) -> Any:
        facts = real(*args)
        return facts if facts.settled is None or facts.settled.amount else replace(facts, settled=None)

    patch.setattr(stripe_json, "of_session", of_session)


def erasure_is_forgotten(patch: Patch) -> None:
    patch.setattr(core_facts, "_without_personal", lambda facts: facts)


def first_access_decision_wins(patch: Patch) -> None:
    patch.setattr(core_facts, "_decision_key", lambda d: (d.decision, d.version, d.note, d.actor))


def decision_is_shed(patch: Patch) -> None:
    """A decision counts among the bounded facts, and the next report of anything else takes its place."""
    real = core_facts.merge
    patch.setattr(core_facts, "merge", lambda a, b: replace(real(a, b), decision=b.decision))


def refund_is_shed(patch: Patch) -> None:
    """Refunds are bounded like failed charges: only the newest is kept."""
    real = core_facts.merge

    def merge(a: Any, b: Any) -> Any:
        merged = real(a, b)
        newest = sorted(merged.refunds, key=lambda key: (merged.refunds[key].created, key))[-1:]
        return replace(merged, refunds={key: merged.refunds[key] for key in newest})

    patch.setattr(core_facts, "merge", merge)


def accepted_amount_is_forgotten(patch: Patch) -> None:
    real = core_facts.merge
    patch.setattr(core_facts, "merge", lambda a, b: replace(real(a, b), accepted=b.accepted))


def missing_object_stays_missing(patch: Patch) -> None:
    patch.setattr(core_facts, "_closed_key", lambda closed: (closed.at, closed.by, closed.reason))


# --- payments and enrollments ---


def rebuilt_payment_does_not_raise_the_attempt_counter(patch: Patch) -> None:
    real = Enrollment.with_payment

    def with_payment(self: Enrollment, payment: Any) -> Enrollment:
        enrollment = real(self, payment)
        return replace(enrollment, attempt=self.attempt) if payment.facts.rebuilt else enrollment

    patch.setattr(Enrollment, "with_payment", with_payment)


def newest_attempt_alone_decides_the_enrollment(patch: Patch) -> None:
    def status(self: Enrollment) -> str | None:
        newest = sorted(self.standings.values(), key=lambda s: s.attempt)[-1:]
        for standing in newest:
            if standing.grants or standing.open:
                return "ENROLLED" if standing.grants else "PENDING"
        return "WITHDRAWN" if self.granted else None

    patch.setattr(Enrollment, "status", property(status))


def partial_refund_withdraws(patch: Patch) -> None:
    real = payments.grants_access
    patch.setattr(payments, "grants_access", lambda p: real(p) and not payments.refunded_amount(p.facts))


def refunded_payment_counts_as_never_granted(patch: Patch) -> None:
    patch.setattr(payments, "ever_granted", payments.grants_access)


def revoked_payment_grants_access(patch: Patch) -> None:
    def grants_access(payment: Any) -> bool:
        return real(replace(payment, facts=replace(payment.facts, decision=None)))

    real = payments.grants_access
    patch.setattr(payments, "grants_access", grants_access)


def enrollment_has_a_standing_without_a_payment(patch: Patch) -> None:
    real = Enrollment.with_payment

    def with_payment(self: Enrollment, payment: Any) -> Enrollment:
        after = real(self, payment)
        ghost = {key.upper(): one for key, one in after.standings.items() if one.grants and key.islower()}
        return replace(after, standings={**after.standings, **ghost})

    patch.setattr(Enrollment, "with_payment", with_payment)


def revoked_free_purchase_counts_as_paid(patch: Patch) -> None:
    def holds_funds(payment: Any) -> bool:
        settled = payment.facts.settled
        returned = payments.refunded_amount(payment.facts) + payments.lost_amount(payment.facts)
        return settled is not None and (settled.amount == 0 or returned < settled.amount)

    patch.setattr(payments, "holds_funds", holds_funds)


def double_payment_is_marked_on_the_last_change(patch: Patch) -> None:
    real = Enrollment.with_payment

    def with_payment(self: Enrollment, payment: Any) -> Enrollment:
        return real(self.without(payment.grantor), payment)

    patch.setattr(Enrollment, "with_payment", with_payment)
    patch.setattr(
        Enrollment, "doubled", property(lambda self: [k for k, s in self.standings.items() if s.holds_funds][1:])
    )


def double_payment_is_not_queued(patch: Patch) -> None:
    real = mapping.payment_to_item

    def payment_to_item(payment: Any, now: float, reasons: Any) -> Any:
        return real(payment, now, [reason for reason in reasons if reason.name != "double"])

    patch.setattr(mapping, "payment_to_item", payment_to_item)


def acknowledgement_ignores_the_fingerprint(patch: Patch) -> None:
    def unacknowledged(payment: Any, *, double: bool = False) -> Any:
        reasons = attention.reasons(payment, double=double)
        return [reason for reason in reasons if reason.name not in payment.facts.acknowledged]

    patch.setattr(attention, "unacknowledged", unacknowledged)


# --- webhooks ---


def event_about_another_object_is_applied(patch: Patch) -> None:
    patch.setattr(stripe_events, "_is_about_own_object", lambda notice, payment: True)


def any_event_rebuilds_a_payment(patch: Patch) -> None:
    def from_stripe(ref: Any, stripe_object: Any) -> Any:
        if stripe_object is None or stripe_object.kind != "intent":
            return None
        answer = stripe_object.retrieve()
        if resolve.ref_in_metadata(answer.object["metadata"]) != ref:
            return None
        facts = stripe_json.of_intent(answer.object, answer.date)
        return rebuild._payment(ref, answer.object["metadata"], answer.object, stripe_object, facts)

    patch.setattr(rebuild, "from_stripe", from_stripe)
    patch.setattr(stripe_events.ParsedEvent, "shows_money", property(lambda self: True))


def events_of_the_same_second_are_not_synced(patch: Patch) -> None:
    patch.setattr(stripe_events, "_is_ambiguous", lambda notice, payment: False)


def object_without_a_pointer_is_foreign(patch: Patch) -> None:
    patch.setattr(resolve, "_resolve_at_stripe", lambda stripe_ids: None)


def unreadable_event_is_answered_with_an_error(patch: Patch) -> None:
    patch.setattr(stripe_events, "apply", stripe_events._apply)


def replayed_event_stays_in_quarantine(patch: Patch) -> None:
    def replay(event_id: str) -> Any:
        key = keys.quarantine_key(event_id)
        response = dynamodb.client().get_item(TableName="quarantine", Key=key, ConsistentRead=True)
        return stripe_events.apply(json.loads(response["Item"]["event"]["S"]))

    patch.setattr(stripe_events, "replay", replay)


def claim_is_ignored(patch: Patch) -> None:
    patch.setattr(stripe_events, "_claim", lambda notice, payment: None)


def event_of_a_missing_object_is_applied(patch: Patch) -> None:
    def synced(event: Any, before: Any, payment: Any) -> Any:
        return payment.merged(sync.fetch(before, full=event.event_type.is_about_refund_or_dispute)[0])

    patch.setattr(stripe_events, "_synced", synced)


# --- syncs ---


def sync_record_wins_like_an_event_record(patch: Patch) -> None:
    patch.setattr(audit.AuditEntry, "is_sync", property(lambda self: False))


def sync_does_not_list_refunds_after_a_refund_event(patch: Patch) -> None:
    real = sync._refunds_and_disputes
    patch.setattr(sync, "_refunds_and_disputes", lambda payment, charge, full: real(payment, charge, full=False))


def sync_compares_the_payment_alone(patch: Patch) -> None:
    """A sync that changes nothing in the payment is not committed, even if the enrollment is stale."""
    patch.setattr(sync, "is_up_to_date", lambda state, after: sync.differs_only_in_time(state.payment, after))


def reappeared_object_stays_payable(patch: Patch) -> None:
    patch.setattr(closing, "must_close", closing.too_many_declines)


# --- refunds ---


def each_refund_call_has_its_own_idempotency_key(patch: Patch) -> None:
    numbers = itertools.count(1)
    key = property(lambda self: f"{self.id}:{next(numbers)}")
    patch.setattr(refund_request.RefundRequest, "idempotency_key", key)


def resumed_refund_is_not_looked_up_first(patch: Patch) -> None:
    each_refund_call_has_its_own_idempotency_key(patch)
    real = refunds.resume
    patch.setattr(
        refunds,
        "resume",
        lambda ref, payment, request_id, actor, fresh=False: real(ref, payment, request_id, actor, fresh=True),
    )


def second_refund_of_a_track_is_made_at_once(patch: Patch) -> None:
    patch.setattr(Enrollment, "refunded", frozenset())


def bank_debit_is_refunded_at_once(patch: Patch) -> None:
    patch.setattr(payments, "BANK_DEBITS", frozenset())


def rejection_is_committed_without_a_sync(patch: Patch) -> None:
    def record_refusal(ref: Any, existing: Any, why: str, actor: Any) -> Any:
        def change(state: Any) -> Any:
            request = replace(refunds._by_id(state.payment, existing.id), state="rejected", answer=why)
            entry = refunds._entry(f"{existing.id}:refused:{existing.tries}", "refund.refused", actor)
            return ledger.Change(refunds._with_request(state.payment, request), entry)

        return ledger.update(ref, change).payment

    patch.setattr(refunds, "_record_refusal", record_refusal)


def rejected_request_stays_open(patch: Patch) -> None:
    def record_refusal(*_: Any) -> Any:
        raise StripeUnavailable("Stripe rejected the refund. Try again.", 502)

    patch.setattr(refunds, "_record_refusal", record_refusal)


def request_awaits_approval_forever(patch: Patch) -> None:
    patch.setattr(refund_request, "decline_awaiting", lambda requests, because: tuple(requests))


# --- withdrawals ---


def withdrawn_payment_grants_access(patch: Patch) -> None:
    real = payments.access_terms
    patch.setattr(
        payments, "access_terms", lambda payment: tuple(t for t in real(payment) if t.term != "not_withdrawn")
    )


def withdrawn_payment_whose_debit_failed_stays_open(patch: Patch) -> None:
    patch.setattr(closing, "is_withdrawn", lambda payment: False)


def withdrawal_is_declined_when_a_dispute_is_lost(patch: Patch) -> None:
    def supersede(requests: Any, *, nothing_left: bool) -> Any:
        return refund_request.decline_awaiting(requests, "lost") if nothing_left else tuple(requests)

    patch.setattr(refund_request, "supersede_awaiting", supersede)


def withdrawal_counts_as_paid_twice(patch: Patch) -> None:
    patch.setattr(
        Enrollment, "doubled", property(lambda self: sorted(k for k, s in self.standings.items() if s.holds_funds)[1:])
    )


def due_refund_of_a_withdrawal_needs_no_attention(patch: Patch) -> None:
    patch.setattr(payments, "amount_due", lambda payment: 0)


def staff_can_decline_a_withdrawal(patch: Patch) -> None:
    real = refunds.decide

    def decide(ref: Any, request_id: str, *, approve: bool, **texts: Any) -> Any:
        if approve:
            return real(ref, request_id, approve=True, **texts)

        def change(state: Any) -> Any:
            existing = refunds._by_id(state.payment, request_id)
            if existing.state != "awaiting_approval":
                return None
            declined = refunds._with_request(state.payment, replace(existing, state="declined"))
            entry = refunds._entry(f"{request_id}:declined", "refund.declined", refunds.Actor("staff", "s"))
            return ledger.Change(declined, entry)

        return ledger.update(ref, change)

    patch.setattr(refunds, "decide", decide)


# --- changes of mind ---


def canceled_payment_stays_payable(patch: Patch) -> None:
    """Our tables close the payment, and its object stays open at Stripe."""

    def cancel(reference: str, user_id: str) -> Any:
        def change(state: Any) -> Any:
            payment = state.existing
            if not payment.can_cancel:
                return None
            now = int(clock.now())
            closed = payment.merged(Facts(closed=Closed(now, payment.kind, "canceled")))
            entry = audit.AuditEntry(timestamps.iso(now), f"cancel:{payment.version}", "canceled", "request")
            return ledger.Change(closed, entry)

        return ledger.update(resolve.find_ref(reference, user_id), change).existing

    patch.setattr(cancellation, "cancel", cancel)


def decided_request_can_be_withdrawn(patch: Patch) -> None:
    patch.setattr(payments, "may_withdraw_request", lambda payment, request: True)


def agreement_to_new_terms_is_not_recorded_on_an_open_payment(patch: Patch) -> None:
    patch.setattr(checkout, "_with_agreement", lambda opened, version: opened)


# --- the reconciler ---


def orphans_are_never_closed(patch: Patch) -> None:
    patch.setattr(walk, "ORPHAN_AFTER_S", 10**9)


def reconciler_postpones_a_payment_that_it_has_just_changed(patch: Patch) -> None:
    real = walk.sync_payment

    def sync_payment(*args: Any, **options: Any) -> Any:
        after = real(*args, **options)
        ledger.reschedule_check(replace(after, enrollment=replace(after.enrollment, standings={})))
        return after

    patch.setattr(walk, "sync_payment", sync_payment)


def settled_payment_is_never_confirmed(patch: Patch) -> None:
    patch.setattr(payments, "awaits_confirmation", lambda payment: False)
    patch.setattr(walk, "_confirm", lambda *_: None)


def reconciler_reads_one_of_four_shards(patch: Patch) -> None:
    set_shards(patch, 4)
    patch.setattr(keys, "shards", lambda _, value: [f"{value}#0"])


def reconciler_does_not_resume_refunds(patch: Patch) -> None:
    patch.setattr(refunds, "resume", lambda ref, payment, *_, **__: payment)


# --- the whole life of plans ---


def id_of_a_plans_payment_leaves_out_what_it_is_for(patch: Patch) -> None:
    real = plans.payment_id
    patch.setattr(plans, "payment_id", lambda environment, plan, *_: real(environment, plan, (), {}))


def try_is_recorded_after_the_call(patch: Patch) -> None:
    real_record, real_confirm = collection._Collector._record, stripe_client.confirm_intent

    def charge(self: Any, step: plan_steps.Charge, still_due: Any) -> None:
        payment = ledger.load(self._plan.payment_ref(step.payment_id)).existing
        params = {"payment_method": step.method, "off_session": True, "setup_future_usage": ""}
        with contextlib.suppress(StripeRefused):
            real_confirm(payment.intent, params, f"{step.payment_id}:{step.occasion}")
        attempt = Try(at=self._now, payment_id=step.payment_id, seq=step.seq, method=step.method)
        entry = self._entry(f"try:{step.occasion}", "plan.try_begun")
        real_record(self, PlanFacts(tries={step.occasion: attempt}), entry, step, still_due)

    patch.setattr(collection._Collector, "_charge", charge)


def old_key_is_reused_with_another_method(patch: Patch) -> None:
    patch.setattr(Try, "idempotency_key", lambda self, _: f"{self.payment_id}:{self.seq}")


def older_plan_forgets_its_records(patch: Patch) -> None:
    patch.setattr(ledger, "_with_later_records", lambda plan: plan)


def withdrawal_from_the_contract_leaves_the_plan_running(patch: Patch) -> None:
    def ended_by(self: PlanBasis) -> str | None:
        ends = [*self.decided("withdraw", "close")]
        return "closed" if ends and all(one.refund == "none" for one in ends) else "money_back" if ends else None

    patch.setattr(PlanBasis, "ended_by", property(ended_by))


LIFE_DEFECTS = {
    test_plan_defects.tick_has_the_time_of_the_run: 2,
    try_is_recorded_after_the_call: 2,
    id_of_a_plans_payment_leaves_out_what_it_is_for: 38,
    test_plan_defects.part_is_what_the_events_add_up_to: 21,
    test_plan_defects.due_day_is_chained_from_the_last_one: 1,
    test_plan_defects.grace_counts_from_the_due_day: 6,
    old_key_is_reused_with_another_method: 2,
    test_plan_defects.failed_refund_restarts_the_collection: 75,
    older_plan_forgets_its_records: 190,
    withdrawal_from_the_contract_leaves_the_plan_running: 20,
}
"""The defects that the search of lives must find, each with the seed of a schedule that shows it."""
