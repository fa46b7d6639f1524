"""The one writer of payments, plans, enrollments with progress, Stripe objects and audit: one transaction each time.

So there is no moment in which money was taken and the student is not enrolled, and no change without its record.
Payments, plans and enrollments are written on condition of the version that was loaded. A payment of a plan is written
together with its part in the plan. A writer that loses gets the reason:

- `AlreadyRecorded`: the event's record exists. This wins over every other failure, because nothing is left to do.
- `StripeObjectTaken`: a Stripe object that this payment names belongs to another payment, or was abandoned.
- `FirstPurchaseTaken`: a create with a code for first purchases lost the user's one claim to another payment.
- `VersionConflict`: another writer committed first. Load again and decide again.
- `UserHeld`: nothing of this user may be deleted.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

import json
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pynamodb.models import Model

from tuition import clock, metrics, retry
from tuition.core import archive, audit, catalog, progress, recorded_facts, timestamps
from tuition.core import payment as payments
from tuition.core.audit import EXPIRED_RECORD, AuditEntry, Record
from tuition.core.enrollment import Enrollment
from tuition.core.errors import Contended, NotFound, TuitionError
from tuition.core.facts import NO_FACTS, Facts
from tuition.core.limits import DAY_S, KEPT_S, NO_LIMITS, Limits
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.purchase_blocks import DECLINES_BLOCK, NO_BLOCKS, PurchaseBlocks
from tuition.core.refs import Customer, PaymentRef
from tuition.core.switches import Switch
from tuition.settings import settings
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.dynamodb import ConditionFailed, Item, StorageRefused, TransactionCanceled
from tuition.storage.items import (
    CursorItem,
    CustomerItem,
    EnrollmentItem,
    LimitsItem,
    PaymentItem,
    PlanItem,
    StripeObjectItem,
)

if TYPE_CHECKING:
    from tuition.core.plan import Plan
    from tuition.core.plan_facts import PlanFacts

ABANDONED = "abandoned"
EXPIRED = "expired"
"""The state of a pointer whose payment was deleted after its retention period."""
LEGAL_HOLD = "legal_hold"
"""The attribute of a customer's item that forbids to delete anything of the user."""
MAX_WRITES = 100
"""Of one transaction."""

_NO_VALUES: Mapping[str, Item] = {}
_NO_IDS: Mapping[str, Set[str]] = {}
MAX_SEARCH_POINTERS = 60
"""Pointers for the search in one commit. A transaction has at most 100 writes:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
_SEARCH = "search "
_PLAN_AUDIT = "plan audit"
_CONDITION = "ConditionExpression"
_UNCLAIMED = "attribute_not_exists(first_purchases) OR first_purchases = :first_purchases"
"""The condition of a create that claims its user's first purchase."""
_TRANSIENT = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"}


class PlanChange(NamedTuple):
    """A plan's new value, and the entry for the plan's own chain that says why."""

    plan: "Plan"
    entry: AuditEntry


class Change(NamedTuple):
    """A payment's new value, and the audit entry that says why.

    `plan` is what else changes in the payment's plan. The ledger itself adds what the payment means for the plan.
    """

    payment: Payment
    entry: AuditEntry
    plan: PlanChange | None = None


class BlocksChange(NamedTuple):
    """The blocks of a user after a decision of staff, the entry for the chain of the user, and the decision."""

    blocks: PurchaseBlocks
    entry: AuditEntry
    decision: Mapping[str, str]


@dataclass(frozen=True)
class CustomerChange:
    """Attributes of a user's customer item to set and to remove, and the entry for the chain of the user.

    `writes` are further writes of the same transaction, by name, to tables that are not the ledger's, and conditions.
    """

    entry: AuditEntry
    transition: Mapping[str, Any]
    values: Mapping[str, Item] = field(default_factory=dict)
    removes: tuple[str, ...] = ()
    writes: Mapping[str, Item] = field(default_factory=dict)


class AlreadyRecorded(TuitionError):
    """The record of this event exists: the event has been applied."""


class _RecordedBefore(TuitionError):
    """The record of this change of a plan exists although the plan does not show the change: a restore has lost it."""


class StripeObjectTaken(TuitionError):
    """Another payment holds the Stripe object, or its creator abandoned it; `pointer` says which."""

    def __init__(self, pointer: StripeObjectItem) -> None:
        """Describe the pointer that is in the way."""
        holder = "abandoned" if pointer.state else f"bound to {pointer.payment_id}"
        super().__init__(f"{pointer.stripe_id} is {holder}")
        self.pointer = pointer


class FirstPurchaseTaken(TuitionError):
    """Another payment of the user holds the first-purchase claim."""


class UserHeld(TuitionError):
    """Nothing of this user may be deleted until staff lift the legal hold."""


class VersionConflict(TuitionError):
    """Another writer committed first. `current` is the newest state, if the failed conditions returned it."""

    def __init__(self, current: PaymentState | None) -> None:
        """Carry the newest state."""
        super().__init__("the version that was loaded is no longer the newest")
        self.current = current


# --- loading ---


def load(ref: PaymentRef) -> PaymentState:
    """Read a payment, its enrollment and its user's limits: one strongly consistent batch read.

    The plan of a payment is read after it, and then the enrollments of the tracks that a member has begun.
    """
    return load_with_pointers(ref, ())[0]


def load_with_pointers(
    ref: PaymentRef, stripe_ids: Iterable[str]
) -> tuple[PaymentState, Mapping[str, StripeObjectItem]]:
    """Read what `load` reads, and the pointers of these Stripe ids: one strongly consistent batch read.

    The pointers that exist are returned by their id.
    """
    raw = dynamodb.batch_get(
        {
            PaymentItem: [keys.payment_key(ref.payment_id)],
            EnrollmentItem: [keys.enrollment_key(ref.user_id, ref.track)],
            StripeObjectItem: [keys.stripe_object_key(stripe_id) for stripe_id in sorted({*stripe_ids})],
            LimitsItem: [keys.limits_key(ref.user_id)],
        }
    )
    payments = [mapping.payment_from_raw(item) for item in raw[PaymentItem]]
    (enrollment,) = _enrollments(raw[EnrollmentItem], ref.user_id, [ref.track])
    pointers = [StripeObjectItem.from_raw_data(item) for item in raw[StripeObjectItem]]
    state = PaymentState(payments[0] if payments else None, enrollment, _limits(raw[LimitsItem]))
    plan_id = state.payment.plan if state.payment else None
    return _with_plan(state, plan_id) if plan_id else state, {item.stripe_id: item for item in pointers}


def load_plan(plan_id: str, *tracks: str) -> PaymentState:
    """Read a plan with its enrollments and its user's limits. Raises `NotFound`.

    `tracks` are tracks that a member is about to begin: their enrollments are read too.
    """
    plan, is_lost = _plan(plan_id)
    if plan is None:
        raise NotFound("There is no such plan.")
    codes = list(dict.fromkeys([plan.product, *plan.tracks, *tracks]))
    raw = dynamodb.batch_get(
        {
            EnrollmentItem: [keys.enrollment_key(plan.user_id, code) for code in codes],
            LimitsItem: [keys.limits_key(plan.user_id)],
        }
    )
    own, *others = _enrollments(raw[EnrollmentItem], plan.user_id, codes)
    return PaymentState(None, own, _limits(raw[LimitsItem]), plan, tuple(others), is_lost)


def find_plan(plan_id: str) -> "Plan | None":
    """Read a plan, from its records and payments if its item is missing. None if these are missing too."""
    return _plan(plan_id)[0]


def _with_plan(state: PaymentState, plan_id: str) -> PaymentState:
    """Read the plan of a payment, and the enrollments of the tracks that a member has begun."""
    plan, is_lost = _plan(plan_id)
    codes = [code for code in plan.tracks if code != plan.product] if plan else []
    user_id = state.enrollment.user_id
    raw = dynamodb.batch_get({EnrollmentItem: [keys.enrollment_key(user_id, code) for code in codes]})[EnrollmentItem]
    return replace(state, plan=plan, others=_enrollments(raw, user_id, codes), lost_plan=is_lost)


def _plan(plan_id: str) -> "tuple[Plan | None, bool]":
    """Read a plan. If its item is missing, return what its records and payments show, and that it is missing."""
    raw = dynamodb.batch_get({PlanItem: [keys.plan_key(plan_id)]})[PlanItem]
    if raw:
        return mapping.plan_from_raw(raw[0]), False
    plan = mapping.plan_from_records(plan_id, queries.audit_trail(plan_id))
    for payment in queries.payments_of_plan(plan_id) if plan else ():
        plan = plan and plan.with_payment(payment)
    return plan, plan is not None


def load_for_create(user_id: str, track: str) -> tuple[Enrollment, Customer | None, PurchaseBlocks, Limits, Switch]:
    """Read what a create starts from: one strongly consistent batch read."""
    raw = dynamodb.batch_get(
        {
            EnrollmentItem: [keys.enrollment_key(user_id, track)],
            CustomerItem: [keys.customer_key(user_id)],
            LimitsItem: [keys.limits_key(user_id)],
            CursorItem: [keys.cursor_key("selling")],
        }
    )
    customers, limits = raw[CustomerItem], _limits(raw[LimitsItem])
    selling = mapping.switch_from_raw("selling", next(iter(raw[CursorItem]), None))
    (enrollment,) = _enrollments(raw[EnrollmentItem], user_id, [track])
    return enrollment, _customer(customers), _blocks(customers), limits, selling


def load_customer(user_id: str) -> tuple[Customer | None, Limits]:
    """Read the Stripe customer of a user, None before the first purchase, and the user's limits, in one batch read."""
    raw = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)], LimitsItem: [keys.limits_key(user_id)]})
    return _customer(raw[CustomerItem]), _limits(raw[LimitsItem])


def _customer(raw: list[Item]) -> Customer | None:
    return mapping.customer_from_item(CustomerItem.from_raw_data(raw[0])) if raw else None


def _blocks(raw: list[Item]) -> PurchaseBlocks:
    return mapping.blocks_from_item(CustomerItem.from_raw_data(raw[0])) if raw else NO_BLOCKS


def _limits(raw: list[Item]) -> Limits:
    return mapping.limits_from_raw(raw[0]) if raw else NO_LIMITS


def _enrollments(raw: list[Item], user_id: str, codes: Iterable[str]) -> tuple[Enrollment, ...]:
    """Return a user's enrollments by these codes, in their order. One that is not stored is new."""
    by_code = {item["sort_key"]["S"]: mapping.enrollment_from_raw(item) for item in raw}
    return tuple(by_code.get(code) or Enrollment(user_id=user_id, track=code) for code in codes)


# --- the transaction ---


def update(
    ref: PaymentRef, decide: Callable[[PaymentState], Change | None], before: PaymentState | None = None
) -> PaymentState:
    """Load, decide and commit. After a conflict repeat all three, so that a sync inside `decide` is repeated too.

    `decide` returns None if nothing is to be written. `before` is the state that the caller has just loaded. Raises
    `Contended` after the last conflict, and whatever `decide` raises.
    """
    for _ in retry.attempts(retry.COMMIT):
        before = before or load(ref)
        change = decide(before)
        if change is None:
            return before
        try:
            return commit(before, change)
        except AlreadyRecorded:
            return load(ref)
        except VersionConflict as conflict:
            before = conflict.current
    raise Contended(f"{ref.payment_id} is being changed by other requests. Try again.")


def commit(
    before: PaymentState,
    change: Change,
    *,
    attempt_times: tuple[int, ...] | None = None,
    customer: Customer | None = None,
    accepted_codes: Iterable[str] = (),
) -> PaymentState:
    """Write a change in one transaction. A create also gives the times of its user's attempts and its customer.

    `accepted_codes` are the entries of promotion codes in the user's limits that were not refused. Raises
    `AlreadyRecorded`, `StripeObjectTaken`, `FirstPurchaseTaken` or `VersionConflict` with nothing written.
    """
    payment = _without_erased(change.payment, before.enrollment)
    if payment.plan and before.plan is None and change.plan is None:
        before = _with_plan(before, payment.plan)  # a payment that is rebuilt
    limits, declines = _counted(before, payment)
    after = before.with_payment(payment, change.plan.plan if change.plan else None)
    after = _numbered(before, replace(after, limits=limits), attempt_times)
    record = _record(before, after, change.entry)
    now = clock.now()
    payment = replace(payment, version=record.seq, audit_head=record.hash, updated_at=timestamps.iso(now))
    final_form = archive.final_form(payment) if archive.is_closed(payment) else None

    writes = {
        "payment": _put_payment(before.payment, mapping.payment_to_item(payment, now, after.attention)),
        **_enrollment_writes(before, after),
        "audit": {"Put": _put_absent(mapping.record_to_item(record, now, final_form), "subject")},
    }
    # A transaction may update the customer item once. A create with a new customer has no disputes or refunds yet.
    if customer:
        writes |= _put_customer(customer, now, payment)
    else:
        writes |= _update_history(before.payment, payment, now, _block(before.limits, limits, now))
    writes |= _update_limits(payment.user_id, before.limits, limits, accepted_codes, now)
    plan_entry = change.plan.entry if change.plan else _entry_of_payment(before, after, change.entry)
    plan = _write_plan(writes, before, replace(after, payment=payment), plan_entry, is_sync=change.entry.is_sync)
    if "attention" in record.transition:
        metrics.count("AttentionRaised")
    if declines:
        metrics.count("ChargeDeclined", declines)
    return replace(after, payment=payment, plan=plan, lost_plan=False)


# --- plans ---


def update_plan(
    plan_id: str,
    decide: Callable[[PaymentState], PlanChange | None],
    *tracks: str,
    before: PaymentState | None = None,
) -> PaymentState:
    """Load a plan, decide and commit. After a conflict repeat all three.

    `decide` returns None if nothing is to be written. `tracks` as in `load_plan`. Raises `NotFound`, `Contended` after
    the last conflict, and whatever `decide` raises.
    """
    for _ in retry.attempts(retry.COMMIT):
        before = before or load_plan(plan_id, *tracks)
        change = decide(before)
        if change is None:
            return before
        try:
            return commit_plan(before, change)
        except (AlreadyRecorded, VersionConflict):
            before = None
    raise Contended(f"{plan_id} is being changed by other requests. Try again.")


def commit_plan(before: PaymentState, change: PlanChange) -> PaymentState:
    """Write a change of a plan without one of a payment, in one transaction: a tick, a decision, an announcement.

    Raises `AlreadyRecorded` if the plan has moved on and the record exists, or `VersionConflict`, with nothing written.
    """
    plan = change.plan.merged(_erased_plan_facts()) if before.enrollment.erased else change.plan
    before = replace(before, payment=None)
    after = _numbered(before, before.with_plan(plan), None)
    stored = _write_plan(_enrollment_writes(before, after), before, after, change.entry, is_sync=False)
    if "attention" in audit.plan_transition(before, after):
        metrics.count("AttentionRaised")
    return replace(after, plan=stored, lost_plan=False)


def recompute_plan(plan_id: str, before: PaymentState | None = None) -> PaymentState:
    """Compute the parts of a plan again from its payments, and its facts from its records: a restore may separate them.

    A payment that is missing loses its part. A part that shows money stays until its payment shows it again: what was
    paid once must not be charged twice. So does that of a payment that was deleted after its retention period.
    `before` is the state that the caller has just loaded. Raises `NotFound` or `Contended`.
    """

    def decide(state: PaymentState) -> PlanChange | None:
        plan = _with_later_records(state.existing_plan)
        items = queries.payments_by_id([*plan.parts])
        by_id = {payment.payment_id: payment for payment in queries.payments_of_plan(plan_id)}
        by_id |= {item.payment_id: mapping.payment_from_item(item) for item in items}
        unpaid = [payment_id for payment_id, part in plan.parts.items() if part.settled is None]
        missing = [payment_id for payment_id in unpaid if payment_id not in by_id]
        after = plan
        expired = queries.expired(missing)
        for payment_id in [one for one in missing if one not in expired]:
            after = after.without_payment(payment_id)
        for payment_id, payment in by_id.items():
            if payment.facts.settled or payment_id in unpaid or payment_id not in plan.parts:
                after = after.with_payment(payment)
        if not state.lost_plan and state.with_plan(after) == state:
            return None
        entry = AuditEntry(timestamps.iso(clock.now()), f"parts:{after.version}", "plan.recomputed", "reconcile")
        return PlanChange(after, entry)

    state = update_plan(plan_id, decide, before=before)
    has_unread = not {*state.existing_plan.tracks} <= {one.track for one in state.enrollments}
    return recompute_plan(plan_id) if has_unread else state  # its records named tracks of a member


def _with_later_records(plan: "Plan") -> "Plan":
    """Return a plan with what records say that are later than its item, which a restore has made older than they are.

    So a decision that ended the charges still ends them, and the next record of the plan follows its last one.
    """
    from tuition.core import recorded_plan_facts
    from tuition.core.plan_facts import PlanFacts

    if queries.newest_seq(plan.plan_id) <= plan.records:
        return plan
    trail = queries.audit_trail(plan.plan_id)
    lost = recorded_plan_facts.later(trail, plan.facts)
    versions = [decision.version for decision in lost.decisions.values()]
    ahead = replace(
        plan,
        version=max([plan.version, *versions]),
        records=int(trail[-1]["seq"]),
        audit_head=trail[-1]["hash"],
    )
    return ahead.merged(lost).merged(PlanFacts(rebuilt=True))


def _erased_plan_facts() -> "PlanFacts":
    from tuition.core.plan_facts import PlanFacts

    return PlanFacts(erased=True)


def _entry_of_payment(before: PaymentState, after: PaymentState, entry: AuditEntry) -> AuditEntry | None:
    """Return the entry for the chain of a plan whose facts follow from a change of a payment; None if none do."""
    if after.plan is None or (before.plan and not before.lost_plan and before.plan.facts == after.plan.facts):
        return None
    payment = after.existing
    return replace(entry, event_id=f"{payment.payment_id}:{payment.version}", type="plan.payment_changed")


def _write_plan(
    writes: Mapping[str, Item], before: PaymentState, after: PaymentState, entry: AuditEntry | None, *, is_sync: bool
) -> "Plan | None":
    """Write these writes together with the plan, its record and the pointers of its payment, and return the plan.

    A record that exists although the plan lacks its change was lost to a restore: then it is recorded under another id.
    A record without a change, as of an event that was delivered twice, is not.
    """
    plan = after.plan
    if plan is None:
        _write(_with_pointers(writes, before, after), before, is_sync=is_sync)
        return None
    if plan == before.plan and not before.lost_plan and entry is None:
        check = {"TableName": dynamodb.table_name(PlanItem), "Key": keys.plan_key(plan.plan_id)}
        writes = {**writes, "plan": {"ConditionCheck": {**check, **_version(plan.version)}}}
        _write(_with_pointers(writes, before, after), before, is_sync=is_sync)
        return plan
    try:
        return _write_changed_plan(writes, before, after, entry, is_sync=is_sync)
    except _RecordedBefore:
        if after.payment is None and plan == before.plan and after.enrollments == before.enrollments:
            return plan
        again = replace(entry, event_id=f"{entry.event_id}:{plan.version}") if entry else None
    try:
        return _write_changed_plan(writes, before, after, again, is_sync=is_sync)
    except _RecordedBefore:
        raise VersionConflict(None) from None


def _write_changed_plan(
    writes: Mapping[str, Item], before: PaymentState, after: PaymentState, entry: AuditEntry | None, *, is_sync: bool
) -> "Plan":
    now, plan = clock.now(), after.existing_plan
    plan = replace(plan, version=plan.version + 1, updated_at=timestamps.iso(now))
    record = _plan_record(before, after, entry) if entry else None
    if record:
        plan = replace(plan, records=record.seq, audit_head=record.hash)
    item = mapping.plan_to_item(plan, after.plan_attention)
    stored = None if before.lost_plan else before.plan
    put = _put_version(item, stored.version) if stored else _put_absent(item, "plan_id")
    writes = {**writes, "plan": {"Put": put}}
    if record:
        writes = {**writes, _PLAN_AUDIT: {"Put": _put_absent(mapping.record_to_item(record, now), "subject")}}
    _write(_with_pointers(writes, before, after), before, is_sync=is_sync)
    return plan


def _plan_record(before: PaymentState, after: PaymentState, entry: AuditEntry) -> Record:
    """Return the record on a plan's own chain. The payment's record says how an enrollment changed by a payment."""
    from tuition.core import recorded_plan_facts
    from tuition.core.plan_facts import NO_PLAN_FACTS

    plan = after.existing_plan
    transition = {"plan": {"id": plan.plan_id}} if after.payment else audit.plan_transition(before, after)
    if before.plan is None:
        transition = transition | audit.plan_agreed(plan)
    facts_before = before.plan.facts if before.plan and not before.lost_plan else NO_PLAN_FACTS
    return Record(
        subject=plan.plan_id,
        seq=plan.records + 1,
        entry=entry,
        user_id=plan.user_id,
        track=plan.track,
        transition=transition,
        previous=plan.audit_head,
        facts=recorded_plan_facts.added(facts_before, plan.facts),
    )


# --- the parts of the transaction ---


def _without_erased(payment: Payment, enrollment: Enrollment) -> Payment:
    """Return a payment as an erasure leaves it, if its user's data were erased. One that is rebuilt does not know."""
    return (payment.merged(Facts(erased=True)) if enrollment.erased else payment).without_erased()


def _numbered(before: PaymentState, after: PaymentState, attempt_times: tuple[int, ...] | None) -> PaymentState:
    """Return a state with the next version of each enrollment in which anything is new, or that is not stored yet."""
    own = after.enrollment if attempt_times is None else replace(after.enrollment, attempt_times=attempt_times)
    if own != before.enrollment or not own.version:
        own = replace(own, version=own.version + 1)
    others = (
        replace(new, version=new.version + 1) if new != old else new
        for old, new in zip(before.others, after.others, strict=True)
    )
    return replace(after, enrollment=own, others=tuple(others))


def _enrollment_writes(before: PaymentState, after: PaymentState) -> dict[str, Item]:
    """Return the writes of the enrollments, or the conditions on those that were only read, and their projects."""
    writes: dict[str, Item] = {}
    for old, new in zip(before.enrollments, after.enrollments, strict=True):
        name = "enrollment" if new.track == after.enrollment.track else f"enrollment {new.track}"
        if new != old:
            writes[name] = _put_enrollment(old, new)
        elif new.version:
            writes[name] = _check_enrollment(new)
        writes |= _progress_updates(old, new)
    return writes


def _with_pointers(writes: Mapping[str, Item], before: PaymentState, after: PaymentState) -> dict[str, Item]:
    """Add the puts of the pointers to the objects that this commit names first, as many as the transaction can have."""
    payment = after.payment
    if payment is None:
        return dict(writes)
    owned = _stripe_objects(payment) - _stripe_objects(before.payment)
    searched = _new_search_objects(before.payment, payment)[: max(0, MAX_WRITES - len(writes) - len(owned))]
    names = {f"pointer {one}": one for one in owned} | {f"{_SEARCH}{one}": one for one in searched}
    return {**writes, **{name: {"Put": _put_stripe_object(one, payment)} for name, one in names.items()}}


def _counted(before: PaymentState, payment: Payment) -> tuple[Limits, int]:
    """Return the user's limits with the declines and 3-D Secure steps that are new, and the number of new declines.

    Each counts once, because the commit is conditional on the payment's version. Those of a payment that is created or
    rebuilt are not counted.
    """
    if before.payment is None:
        return before.limits, 0
    declines = replace(before, payment=payment).declines
    steps = {**declines, **payment.facts.challenges}
    counted = {*payments.declines(before.payment.facts), *before.payment.facts.challenges}
    new = {key: at for key, at in steps.items() if key not in counted}
    if not new:
        return before.limits, 0
    return before.limits.with_declines(new, int(clock.now())), len(new.keys() & declines.keys())


def _block(before: Limits, after: Limits, now: float) -> str | None:
    """Return the id that blocks the user's purchases because of new declines, the same one for a whole day, if any."""
    if before.declines == after.declines:
        return None
    too_many = after.declines_within(DAY_S, int(now)) > settings().declines_per_day
    return f"{DECLINES_BLOCK}{timestamps.iso(now)[:10]}" if too_many else None


def _update_limits(
    user_id: str, before: Limits, after: Limits, accepted_codes: Iterable[str], now: float
) -> dict[str, Item]:
    """Return the update of a user's limits, if any. New declines need the condition that no others came in between."""
    expression, condition = "SET expires_at = :expires", {}
    values: Item = {":expires": {"N": str(int(now) + KEPT_S)}}
    codes = sorted(accepted_codes)
    if codes:  # only a create has codes, and it has no declines
        expression, values[":codes"] = f"{expression} DELETE refused_codes :codes", {"SS": codes}
    elif after.declines and after.declines != before.declines:
        expression, values[":declines"] = f"{expression}, declines = :declines", {"SS": sorted(after.declines)}
        condition = {"ConditionExpression": "attribute_not_exists(declines)"}
        if before.declines:
            condition = {"ConditionExpression": "declines = :loaded"}
            values[":loaded"] = {"SS": sorted(before.declines)}
    else:
        return {}
    update = {
        "TableName": dynamodb.table_name(LimitsItem),
        "Key": keys.limits_key(user_id),
        "UpdateExpression": expression,
        "ExpressionAttributeValues": values,
        **condition,
    }
    return {"limits": {"Update": update}}


def _record(before: PaymentState, after: PaymentState, entry: AuditEntry) -> Record:
    payment = after.existing
    chain = before.payment or payment  # a payment that is rebuilt continues the chain of its old records
    return Record(
        subject=payment.payment_id,
        seq=chain.version + 1,
        entry=entry,
        user_id=payment.user_id,
        track=payment.track,
        transition=audit.transition(before, after),
        previous=chain.audit_head,
        facts=recorded_facts.added(before.payment.facts if before.payment else NO_FACTS, payment.facts),
    )


def _stripe_objects(payment: Payment | None) -> set[str]:
    """Return the ids of the Stripe objects that a payment owns. Each gets its pointer when it is first named."""
    if payment is None:
        return set()
    paid = {charge_id for charge_id, charge in payment.facts.charges.items() if charge.status == "succeeded"}
    return {payment.stripe_object_id, *({payment.intent} if payment.intent else ()), *paid}


def _search_objects(payment: Payment | None) -> dict[str, int]:
    """Return when each object was created that only the search needs: disputes, refunds and declined charges.

    A charge that may still succeed is left out: its pointer decides which payment owns it.
    """
    if payment is None:
        return {}
    facts = payment.facts
    declined = {stripe_id: charge.created for stripe_id, charge in facts.charges.items() if charge.status == "failed"}
    refunds = {stripe_id: refund.created for stripe_id, refund in facts.refunds.items()}
    return {stripe_id: dispute.created for stripe_id, dispute in facts.disputes.items()} | refunds | declined


def _new_search_objects(before: Payment | None, after: Payment) -> list[str]:
    """Return the newest objects that the search needs and that this commit names first."""
    objects, indexed = _search_objects(after), _search_objects(before)
    newest = sorted(objects, key=lambda stripe_id: (objects[stripe_id], stripe_id), reverse=True)
    return [stripe_id for stripe_id in newest if stripe_id not in indexed][:MAX_SEARCH_POINTERS]


def _progress_updates(before: Enrollment, after: Enrollment) -> dict[str, Item]:
    track = catalog.tracks().get(after.track)
    if track is None:
        return {}  # the track is not in the catalog, so its projects are not known
    return {
        f"progress {after.track} {project.project}": {
            "Update": mapping.progress_update(
                after.user_id, after.track, project.project, project.steps, project.change
            )
        }
        for project in progress.changes(track, before, after)
    }


def _put_payment(before: Payment | None, item: PaymentItem) -> Item:
    return {"Put": _put_absent(item, "payment_id") if before is None else _put_version(item, before.version)}


def _put_enrollment(before: Enrollment, after: Enrollment) -> Item:
    item = mapping.enrollment_to_item(after)
    return {"Put": _put_version(item, before.version) if before.version else _put_absent(item, "user_id")}


def _check_enrollment(enrollment: Enrollment) -> Item:
    """Return a condition on an enrollment that was only read, so that no grantor loses its standing to another."""
    key = keys.enrollment_key(enrollment.user_id, enrollment.track)
    return {
        "ConditionCheck": {"TableName": dynamodb.table_name(EnrollmentItem), "Key": key, **_version(enrollment.version)}
    }


def _put_absent(item: Model, key: str) -> Item:
    return {
        "TableName": dynamodb.table_name(type(item)),
        "Item": dynamodb.to_raw(item),
        "ConditionExpression": f"attribute_not_exists({key})",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _put_version(item: Model, version: int) -> Item:
    return {"TableName": dynamodb.table_name(type(item)), "Item": dynamodb.to_raw(item), **_version(version)}


def _version(version: int) -> Item:
    return {
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": {":version": {"N": str(version)}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _put_stripe_object(stripe_id: str, payment: Payment) -> Item:
    """Return the put of a pointer. A settled payment may also take an abandoned object: its money must not be lost."""
    pointer = StripeObjectItem(stripe_id, payment_id=payment.payment_id, user_id=payment.user_id, track=payment.product)
    put = _put_absent(pointer, "stripe_id")
    values: Item = {":payment": {"S": payment.payment_id}}
    put["ConditionExpression"] += " OR payment_id = :payment"
    if payment.facts.settled:
        put["ConditionExpression"] += " OR #state = :abandoned"
        put["ExpressionAttributeNames"] = {"#state": "state"}
        values[":abandoned"] = {"S": ABANDONED}
    return {**put, "ExpressionAttributeValues": values}


def _put_customer(customer: Customer, now: float, payment: Payment) -> dict[str, Item]:
    """Return the writes of a customer and its pointer, unique both ways. The same customer again is no conflict.

    The customer is an update, because its item also has what blocks the user's purchases.
    """
    values: dict[str, Item] = {
        "stripe_customer_id": {"S": customer.stripe_customer_id},
        "generation": {"N": str(customer.generation)},
    }
    if customer.email is not None:
        values["email"] = {"S": customer.email}
    claim = {"first_purchases": frozenset({payment.payment_id} if payment.holds_first_purchase else ())}
    update = _update_customer(customer.user_id, now, values=values, adds=claim)
    absent = "attribute_not_exists(stripe_customer_id)"
    update["ConditionExpression"] = f"{absent} OR stripe_customer_id = :stripe_customer_id OR generation < :generation"
    if payment.holds_first_purchase and payment.open:
        update["ConditionExpression"] = f"({update['ConditionExpression']}) AND ({_UNCLAIMED})"
    update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    pointer = _put_absent(StripeObjectItem(customer.stripe_customer_id, user_id=customer.user_id), "stripe_id")
    pointer["ConditionExpression"] += " OR user_id = :user"
    return {
        "customer": {"Update": update},
        "pointer customer": {"Put": {**pointer, "ExpressionAttributeValues": {":user": {"S": customer.user_id}}}},
    }


def _update_customer(
    user_id: str,
    now: float,
    *,
    values: Mapping[str, Item] = _NO_VALUES,
    adds: Mapping[str, Set[str]] = _NO_IDS,
    deletes: Mapping[str, Set[str]] = _NO_IDS,
    removes: Iterable[str] = (),
) -> Item:
    """Return an update of a customer item: it sets or removes attributes, and adds ids to its sets or deletes them."""
    sets = ["updated_at = :now", "created_at = if_not_exists(created_at, :now)"]
    expression = "SET " + ", ".join([*sets, *(f"{name} = :{name}" for name in values)])
    values_by_name: Item = {":now": {"S": timestamps.iso(now)}, **{f":{name}": value for name, value in values.items()}}
    for verb, changes in (("ADD", adds), ("DELETE", deletes)):
        ids_by_name = {name: sorted(ids) for name, ids in changes.items() if ids}
        if ids_by_name:
            expression += f" {verb} " + ", ".join(f"{name} :{name}" for name in ids_by_name)
            values_by_name |= {f":{name}": {"SS": ids} for name, ids in ids_by_name.items()}
    expression += " REMOVE " + ", ".join(removes) if removes else ""
    return {
        "TableName": dynamodb.table_name(CustomerItem),
        "Key": keys.customer_key(user_id),
        "UpdateExpression": expression,
        "ExpressionAttributeValues": values_by_name,
    }


def _update_history(before: Payment | None, after: Payment, now: float, block: str | None) -> dict[str, Item]:
    """Return the update of the user's disputes, refunds and first-purchase claim, if the payment changes any of them.

    `block` is the id of another block of the user's purchases, if there is a new one. A create claims the user's first
    purchase only if no other payment holds the claim. A payment that is rebuilt, or that settles after it was closed,
    takes it without a condition, because money must never be lost to a condition.
    Only the payment of a dispute adds or removes its id, in the order of the payment's versions. So the update needs no
    condition, and concurrent payments of one user lose no id. An update cannot add to a set and remove from it. If both
    are due, the ids to remove stay until the disputes change again; the user is blocked in either case.
    """
    lost = payments.lost_disputes(after.facts)
    regained = frozenset(after.facts.disputes) - lost
    statuses = {key: dispute.status for key, dispute in before.facts.disputes.items()} if before else {}
    changed = {key for key, dispute in after.facts.disputes.items() if statuses.get(key) != dispute.status}
    refunds = frozenset(after.facts.refunds) - frozenset(before.facts.refunds if before else ())
    adds = {"disputes": changed - statuses.keys(), "refunds": refunds, "other_blocks": {block} if block else set()}
    deletes: dict[str, frozenset[str]] = {}
    if changed & regained and not changed & lost:
        deletes["lost_disputes"] = regained
    else:
        adds["lost_disputes"] = lost
    held, holds = bool(before and before.holds_first_purchase), after.holds_first_purchase
    if held != holds:
        (adds if holds else deletes)["first_purchases"] = frozenset({after.payment_id})
    update = _update_customer(after.user_id, now, adds=adds, deletes=deletes)
    if before is None and holds and after.open:
        update |= {"ConditionExpression": _UNCLAIMED, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    return {"history": {"Update": update}} if any(adds.values()) or deletes else {}


def _write(writes: Mapping[str, Item], before: PaymentState | None, *, is_sync: bool) -> None:
    try:
        dynamodb.call("transact_write_items", TransactItems=list(writes.values()))
    except TransactionCanceled as canceled:
        reasons = dict(zip(writes, canceled.reasons, strict=True))
        taken = {name for name, reason in reasons.items() if reason["Code"] == "ConditionalCheckFailed"}
        if taken and all(name.startswith(_SEARCH) for name in taken):
            # Each repetition has fewer pointers. A search that misses one must never keep money out of the books.
            return _write({name: writes[name] for name in writes if name not in taken}, before, is_sync=is_sync)
        claims = {name for name, one in writes.items() if _UNCLAIMED in one.get("Update", {}).get(_CONDITION, "")}
        _raise_named(reasons, before, claims, is_sync=is_sync)
        raise StorageRefused("The change could not be stored. Try again.") from canceled


def _raise_named(reasons: Mapping[str, Item], before: PaymentState | None, claims: Set[str], *, is_sync: bool) -> None:
    """Raise the named failure of a cancellation; return if it is none of the ledger's own conditions.

    `claims` are the writes that claim a first purchase. Without one, the customer item lost to another customer.
    """
    failed = {name: reason for name, reason in reasons.items() if reason["Code"] == "ConditionalCheckFailed"}
    if "audit" in failed and not is_sync:
        raise AlreadyRecorded("this event has been applied") from None
    if _PLAN_AUDIT in failed and not any(name != _PLAN_AUDIT and not name.startswith(_SEARCH) for name in failed):
        raise _RecordedBefore("the record exists, but the plan does not show its change") from None
    if _PLAN_AUDIT in failed and "audit" not in reasons:
        raise AlreadyRecorded("this change of the plan has been applied") from None
    for name, reason in failed.items():
        if name.startswith("pointer ") and "Item" in reason:
            raise StripeObjectTaken(StripeObjectItem.from_raw_data(reason["Item"])) from None
    if failed and failed.keys() <= claims and any("first_purchases" in one.get("Item", {}) for one in failed.values()):
        raise FirstPurchaseTaken("another payment holds the first-purchase claim of this user") from None
    if failed:
        raise VersionConflict(_current(failed, before)) from None
    if any(reason["Code"] in _TRANSIENT for reason in reasons.values()):
        raise VersionConflict(None) from None


def _current(failed: Mapping[str, Item], before: PaymentState | None) -> PaymentState | None:
    """Return the newest state: the items of the failed conditions, and what was loaded where none failed.

    None if a failed condition returned no item: the state must be read again.
    """
    if before is None or set(failed) - {"payment", "enrollment"}:
        return None
    if any("Item" not in reason for reason in failed.values()):
        return None
    payment, enrollment = before.payment, before.enrollment
    if "payment" in failed:
        payment = mapping.payment_from_raw(failed["payment"]["Item"])
    if "enrollment" in failed:
        enrollment = mapping.enrollment_from_raw(failed["enrollment"]["Item"])
    return replace(before, payment=payment, enrollment=enrollment)


def reschedule_check(state: PaymentState) -> None:
    """Store when the reconciler checks next, if the payment is still as it was loaded.

    The version stays and no record is written, because no fact is new.
    """
    if state.payment is None:
        return
    item = mapping.payment_to_item(state.payment, clock.now(), state.attention)
    try:
        dynamodb.call("put_item", **_put_version(item, state.payment.version))
    except ConditionFailed:
        return


def begin_sync(raw: Item) -> bool:
    """Remember on a payment's item, as it was read, that it is synced now. Return False if another request was faster.

    The version stays and no record is written, because no fact is new. The index attributes stay as they are too.
    """
    item = {**raw, "synced_at": {"S": timestamps.iso(clock.now())}}
    put = {"TableName": dynamodb.table_name(PaymentItem), "Item": item, **_version(int(raw["version"]["N"]))}
    if "synced_at" in raw:
        put["ConditionExpression"] += " AND synced_at = :loaded"
        put["ExpressionAttributeValues"] = {**put["ExpressionAttributeValues"], ":loaded": raw["synced_at"]}
    else:
        put["ConditionExpression"] += " AND attribute_not_exists(synced_at)"
    try:
        dynamodb.call("put_item", **put)
    except ConditionFailed:
        return False
    return True


# --- the end of a payment ---


def expire(payment: Payment) -> None:
    """Delete a payment as it was loaded, after its retention period, in one transaction with its last audit record.

    Its pointers become marks, so that no late event rebuilds it. Its enrollment and its audit records stay, and the
    item of its user's customer names it, so that the user's export finds the records.
    Pointers that only the search needs, and for which the transaction has no room, become marks before it. Raises
    `UserHeld`, or `VersionConflict` if the payment or a pointer has changed: then the payment is as it was.
    """
    entry = AuditEntry(timestamps.iso(clock.now()), f"expired:{payment.version}", EXPIRED_RECORD, "reconcile")
    record = Record(
        subject=payment.payment_id,
        seq=payment.version + 1,
        entry=entry,
        user_id=payment.user_id,
        track=payment.track,
        previous=payment.audit_head,
        facts={},
    )
    delete = {"TableName": dynamodb.table_name(PaymentItem), "Key": keys.payment_key(payment.payment_id)}
    hold = {
        "TableName": dynamodb.table_name(CustomerItem),
        "Key": keys.customer_key(payment.user_id),
        "ConditionExpression": f"attribute_not_exists({LEGAL_HOLD})",
    }
    names = {"expired_payments": frozenset({payment.payment_id})}
    update = _update_customer(payment.user_id, clock.now(), adds=names)
    writes: dict[str, Item] = {
        "hold": {"Update": {**update, **hold}},
        "payment": {"Delete": {**delete, **_version(payment.version)}},
        "audit": {"Put": _put_absent(mapping.record_to_item(record, clock.now()), "subject")},
    }
    owned, searched = _pointers_to_expire(payment)
    marks = [{"Put": _put_expired(stripe_id, payment)} for stripe_id in [*searched, *owned]]
    room = MAX_WRITES - len(writes)
    for start in range(0, len(marks) - room, room):
        _write_expired(
            {"hold": {"ConditionCheck": hold}, **_named(marks[start : min(start + room, len(marks) - room)])}
        )
    _write_expired({**writes, **_named(marks[-room:])})


def expire_plan(plan_id: str) -> None:
    """Remove the personal fields of a plan whose payments were all deleted, with a record on its chain.

    The plan itself stays, as its enrollment does, whose access it explains. Raises `Contended`.
    """
    from tuition.core.plan_facts import PlanFacts

    for _ in retry.attempts(retry.COMMIT):
        plan = next(iter(queries.plans_by_id([plan_id])), None)
        if plan is None or plan.facts.expired:
            return
        parts = {key: replace(part, method=None, method_type=None, declines={}) for key, part in plan.parts.items()}
        before = PaymentState(None, Enrollment(user_id=plan.user_id, track=plan.product), plan=plan)
        after = replace(before, plan=replace(plan, parts=parts).merged(PlanFacts(expired=True)))
        entry = AuditEntry(timestamps.iso(clock.now()), f"expired:{plan.version}", "plan.expired", "reconcile")
        try:
            _write_changed_plan({}, before, after, entry, is_sync=False)
            return
        except (AlreadyRecorded, VersionConflict):
            continue
    raise Contended(f"{plan_id} is being changed by other requests. Try again.")


def _named(marks: Iterable[Item]) -> dict[str, Item]:
    return {f"mark {number}": mark for number, mark in enumerate(marks)}


def _pointers_to_expire(payment: Payment) -> tuple[list[str], list[str]]:
    """Return the ids of the pointers that name a payment: those that decide about events, and those of the search."""
    owned, searched = _stripe_objects(payment), _search_objects(payment).keys()
    ids = sorted({*owned, *searched})
    pointers: dict[str, StripeObjectItem] = {}
    for start in range(0, len(ids), queries.PAGE_OF_PAYMENTS):
        pointers |= queries.stripe_objects(ids[start : start + queries.PAGE_OF_PAYMENTS])
    own = [stripe_id for stripe_id, pointer in pointers.items() if pointer.payment_id == payment.payment_id]
    return [one for one in sorted(own) if one in owned], [one for one in sorted(own) if one not in owned]


def _put_expired(stripe_id: str, payment: Payment) -> Item:
    """Return the put of the mark in place of a payment's pointer. The user's id, a pseudonym, does not stay in it."""
    mark = StripeObjectItem(stripe_id, payment_id=payment.payment_id, state=EXPIRED)
    return {
        "TableName": dynamodb.table_name(StripeObjectItem),
        "Item": dynamodb.to_raw(mark),
        "ConditionExpression": "payment_id = :payment",
        "ExpressionAttributeValues": {":payment": {"S": payment.payment_id}},
    }


def _write_expired(writes: Mapping[str, Item]) -> None:
    try:
        dynamodb.call("transact_write_items", TransactItems=list(writes.values()))
    except TransactionCanceled as canceled:
        codes = dict(zip(writes, (reason["Code"] for reason in canceled.reasons), strict=True))
        if codes["hold"] == "ConditionalCheckFailed":
            raise UserHeld("A legal hold forbids to delete anything of this user.") from None
        if {*codes.values()} & {*_TRANSIENT, "ConditionalCheckFailed"}:
            raise VersionConflict(None) from None
        raise StorageRefused("The payment could not be deleted. Try again.") from canceled


# --- writes that belong to no payment ---


def abandon(stripe_id: str, user_id: str, track: str) -> StripeObjectItem | None:
    """Mark a Stripe object as abandoned before it is closed, so that no create can commit it afterwards.

    Return None if it is abandoned now. Return its pointer if a payment holds it: then it must not be closed.
    """
    pointer = StripeObjectItem(stripe_id, user_id=user_id, track=track, state=ABANDONED)
    try:
        dynamodb.call("put_item", **_put_absent(pointer, "stripe_id"))
    except ConditionFailed:
        existing = queries.stripe_object(stripe_id)
        return existing if existing and existing.payment_id else None
    return None


def remember_email(customer: Customer, email: str) -> None:
    """Store the address that Stripe was just sent for a customer, if the item still is as it was loaded.

    Another request may have sent a different address, or replaced the customer, since it was loaded. Stripe keeps the
    one that arrived last, which nothing shows. So the stored address is removed, and the next create sends its own.
    """
    key = keys.customer_key(customer.user_id)
    as_loaded = "attribute_not_exists(email)" if customer.email is None else "email = :loaded"
    values = {
        ":customer": {"S": customer.stripe_customer_id},
        ":email": {"S": email},
        ":now": {"S": timestamps.iso(clock.now())},
    }
    values |= {} if customer.email is None else {":loaded": {"S": customer.email}}
    try:
        dynamodb.update(
            CustomerItem,
            key,
            "SET email = :email, updated_at = :now",
            condition=f"stripe_customer_id = :customer AND (email = :email OR {as_loaded})",
            values=values,
        )
    except ConditionFailed:
        _forget_email(key)


def _forget_email(key: Item) -> None:
    try:
        dynamodb.update(CustomerItem, key, "REMOVE email", condition="attribute_exists(user_id)")
    except ConditionFailed:
        return  # a restore has lost the item


def next_attempt(enrollment: Enrollment, used: int, why: str) -> None:
    """Retire attempt number `used`, with a record on the user's chain. Losing the race has the same effect."""
    raised = replace(enrollment, attempt=max(enrollment.attempt, used), version=enrollment.version + 1)
    user_id, now = enrollment.user_id, timestamps.iso(clock.now())
    entry = AuditEntry(now, f"attempt:{enrollment.track}:{used}", f"attempt.skipped.{why}", "request", actor=user_id)
    try:
        writes = {"enrollment": _put_enrollment(enrollment, raised)}
        _write({**writes, **_user_record(user_id, entry, enrollment.track, {})}, None, is_sync=False)
    except (AlreadyRecorded, VersionConflict):
        return


def drop_payment(enrollment: Enrollment, payment_id: str) -> None:
    """Drop the standing of a payment that does not exist, with a record on the user's chain, and free its claim.

    Nothing changes if the payment exists after all. Losing the race has the same effect as winning it.
    """
    after = replace(enrollment.without(payment_id), version=enrollment.version + 1)
    user_id, now = enrollment.user_id, clock.now()
    entry = AuditEntry(timestamps.iso(now), f"dropped:{payment_id}", "payment.dropped", "request", actor=user_id)
    claim = _update_customer(user_id, now, deletes={"first_purchases": frozenset({payment_id})})
    transition = {"enrollment": {"from": enrollment.status, "to": after.status}}
    absent = {
        "TableName": dynamodb.table_name(PaymentItem),
        "Key": keys.payment_key(payment_id),
        "ConditionExpression": "attribute_not_exists(payment_id)",
    }
    writes = {"payment": {"ConditionCheck": absent}, "enrollment": _put_enrollment(enrollment, after)}
    writes["history"] = {"Update": claim}
    try:
        _write({**writes, **_user_record(user_id, entry, enrollment.track, transition)}, None, is_sync=False)
    except (AlreadyRecorded, VersionConflict):
        return


def record_for_user(user_id: str, entry: AuditEntry, transition: Mapping[str, Any]) -> None:
    """Write a record that belongs to no payment on a user's own chain. An existing record stays as it is.

    Raises `Contended` after the last conflict.
    """
    for _ in retry.attempts(retry.COMMIT):
        try:
            return _write(_user_record(user_id, entry, None, transition), None, is_sync=False)
        except AlreadyRecorded:
            return None
        except VersionConflict:
            continue
    raise Contended(f"The records of {user_id} are being changed by other requests. Try again.")


def update_blocks(user_id: str, decide: Callable[[PurchaseBlocks, int], BlocksChange | None]) -> PurchaseBlocks:
    """Load what blocks a user's purchases, decide, and commit it with a record on the user's chain.

    `decide` also gets the number of the new record, and returns None if nothing is to be written. Ids are only added.
    Raises `Contended` after the last conflict, and whatever `decide` raises.
    """
    for _ in retry.attempts(retry.COMMIT):
        head_key = keys.enrollment_key(user_id, keys.USER_SORT_KEY)
        raw = dynamodb.batch_get({EnrollmentItem: [head_key], CustomerItem: [keys.customer_key(user_id)]})
        head, before = mapping.chain_head(next(iter(raw[EnrollmentItem]), None)), _blocks(raw[CustomerItem])
        change = decide(before, head[0] + 1)
        if change is None:
            return before
        transition = {"purchases": {"from": list(before.blocking), "to": list(change.blocks.blocking)}}
        writes = {"blocks": {"Update": _add_blocks(user_id, before, change)}}
        try:
            _write({**writes, **_chained(user_id, change.entry, None, transition, head)}, None, is_sync=False)
        except (AlreadyRecorded, VersionConflict):
            continue
        return change.blocks
    raise Contended(f"The records of {user_id} are being changed by other requests. Try again.")


def _add_blocks(user_id: str, before: PurchaseBlocks, change: BlocksChange) -> Item:
    adds = {
        "other_blocks": change.blocks.others - before.others,
        "allowed_blocks": change.blocks.allowed - before.allowed,
    }
    values = {"purchase_decision": {"S": json.dumps(dict(change.decision))}}
    return _update_customer(user_id, clock.now(), values=values, adds=adds)


def update_customer(user_id: str, decide: Callable[[CustomerItem, int], CustomerChange | None]) -> None:
    """Load a user's customer item, decide, and commit it with a record on the user's chain.

    `decide` also gets the number of the new record, and returns None if nothing is to be written. All changes of one
    user that are made here happen one after another, because each is on the chain's version. Raises `Contended` after
    the last conflict, and whatever `decide` raises.
    """
    for _ in retry.attempts(retry.COMMIT):
        head_key = keys.enrollment_key(user_id, keys.USER_SORT_KEY)
        raw = dynamodb.batch_get({EnrollmentItem: [head_key], CustomerItem: [keys.customer_key(user_id)]})
        head = mapping.chain_head(next(iter(raw[EnrollmentItem]), None))
        item = CustomerItem.from_raw_data(raw[CustomerItem][0]) if raw[CustomerItem] else CustomerItem(user_id)
        change = decide(item, head[0] + 1)
        if change is None:
            return None
        update = _update_customer(user_id, clock.now(), values=change.values, removes=change.removes)
        chained = _chained(user_id, change.entry, None, change.transition, head)
        writes = {"customer": {"Update": update}, **chained, **change.writes}
        try:
            return _write(writes, None, is_sync=False)
        except (AlreadyRecorded, VersionConflict):
            continue
    raise Contended(f"The records of {user_id} are being changed by other requests. Try again.")


def remove_customer_pointer(stripe_customer_id: str) -> None:
    """Remove the pointer of a Stripe customer to its user, once the customer is deleted at Stripe."""
    dynamodb.delete(StripeObjectItem, keys.stripe_object_key(stripe_customer_id))


def write_record(record: Record, head: Model, version: int) -> None:
    """Write a record of a chain that is neither a payment's nor a user's, with the item that has the chain's head.

    The item is written on the version that was loaded, 0 if there was none. Raises `AlreadyRecorded` or
    `VersionConflict` with nothing written.
    """
    _write(_extended(record, head, version, "version"), None, is_sync=False)


def _user_record(user_id: str, entry: AuditEntry, track: str | None, transition: Mapping[str, Any]) -> dict[str, Item]:
    """Return the writes of one more record on a user's chain, after its newest one."""
    raw = dynamodb.batch_get({EnrollmentItem: [keys.enrollment_key(user_id, keys.USER_SORT_KEY)]})[EnrollmentItem]
    return _chained(user_id, entry, track, transition, mapping.chain_head(next(iter(raw), None)))


def _chained(
    user_id: str, entry: AuditEntry, track: str | None, transition: Mapping[str, Any], head: tuple[int, str]
) -> dict[str, Item]:
    version, previous = head
    record = Record(user_id, version + 1, entry, user_id, track, transition, previous)
    chain = EnrollmentItem(user_id, keys.USER_SORT_KEY, version=record.seq, audit_head=record.hash)
    return _extended(record, chain, version, "user_id")


def _extended(record: Record, head: Model, version: int, absent: str) -> dict[str, Item]:
    """Return the writes of a record and of the item with its chain's head, which has no `absent` before version 1."""
    return {
        "chain": {"Put": _put_version(head, version) if version else _put_absent(head, absent)},
        "audit": {"Put": _put_absent(mapping.record_to_item(record, clock.now()), "subject")},
    }
