"""Walk over what Stripe created in a range of time, and sync every payment that differs.

The walk goes window by window. A window is one call of `walk_window`, which depends on nothing but its bounds and may
be repeated. So a window is what a run or a worker finishes, leaves to another, or begins again after it was killed
(`tuition.intake.fan_out`). A payment or event that fails does not stop the walk: it is counted and named in the log,
and an event that cannot be applied is quarantined.

Sources: https://docs.stripe.com/webhooks/process-undelivered-events, https://docs.stripe.com/api/events
"""

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tuition import clock, metrics
from tuition.core import facts as core_facts
from tuition.core import stripe_json, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import Contended, EventUnusable, NotConfigured, StripeUnavailable, TuitionError, Unavailable
from tuition.core.facts import NO_FACTS, Facts, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.core.stripe_json import optional_id
from tuition.intake import stripe_events
from tuition.log import logger
from tuition.storage import dynamodb, keys, ledger, quarantine
from tuition.storage.dynamodb import StorageBlocked, StorageRefused, StorageUnavailable
from tuition.storage.items import AuditItem
from tuition.storage.ledger import Change
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, objects, rebuild, resolve, sync
from tuition.stripe_gateway.client import Answer, Listed
from tuition.stripe_gateway.objects import StripeObject
from tuition.stripe_gateway.resolve import Subject

WINDOW_S = 300
"""The length of a window at most."""
SLICE_S = 10
"""The length of a window with more than a page of events. At 100 purchases per second it has 1,000 payments, and one
invocation can sync each of them (`docs/operations.md`, "Capacity")."""
SURVEY_S = 6 * 3600
"""The time whose windows are surveyed at once, so that empty ones cost no call."""
ORPHAN_AFTER_S = 3600
"""The age at which an orphan is closed. Every window is walked again at this age."""
RESERVE_S = 40.0
"""With less than this left of an invocation no new step starts."""
MAX_UNANSWERED_IN_A_ROW = 3
"""After this many steps in a row without an answer Stripe or the tables are unreachable, and the run ends."""
EVENT_TYPES_PER_LIST = 20
"""https://docs.stripe.com/api/events/list#list_events-types"""
RECORDS_PER_READ = 100
COUNTS = ("checked", "confirmed", "drifted", "closed", "orphans", "resumed", "replayed")
"""The counts of a run that are sums over its tasks."""
MAX_REPORTED_FAILURES = 100
MAX_FAILURE_LENGTH = 250
"""Failures, and characters of each, in the report of one task: it is stored in one item of at most 400 KB. JSON writes
a character as up to 12."""
MAX_LISTED_FAILURES = 1_000
"""Failures in the answer of a run, which adds up many tasks: a response of Lambda has at most 6 MB."""


class OutOfTime(Exception):
    """The invocation is nearly over: the next run continues."""


@dataclass
class Run:
    """One run and what it did.

    `remaining` returns the seconds that are left of the invocation. `cursor` is how far Stripe has been walked, and
    `again` how far a second time (epoch seconds). `day_old_prices` are those that the catalog has had for a day. `done`
    says whether nothing was left. `checked` counts payments, `confirmed` those that Stripe's API showed as settled for
    the first time, `drifted` those of which Stripe knew more than we did, `backlog` those that were due for a check and
    had to be left to the next run. `failed` says what could not be handled and why. `newest_event_at` is the time of
    the newest event that the walk found applied (epoch seconds, 0 if it found none).
    """

    remaining: Callable[[], float]
    cursor: int = 0
    again: int = 0
    day_old_prices: Mapping[str, Money] = field(default_factory=dict)
    done: bool = True
    checked: int = 0
    confirmed: int = 0
    drifted: int = 0
    closed: int = 0
    orphans: int = 0
    resumed: int = 0
    replayed: int = 0
    backlog: int = 0
    failed: list[str] = field(default_factory=list)
    unanswered: int = 0
    unanswered_in_a_row: int = 0
    newest_event_at: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what it did, for the log and the answer. `cursor` is RFC 3339."""
        report = asdict(self)
        for name in ("remaining", "again", "day_old_prices", "unanswered_in_a_row", "newest_event_at"):
            del report[name]
        return {**report, "cursor": timestamps.iso(self.cursor), "failed": _shortened(self.failed, MAX_LISTED_FAILURES)}

    def to_report(self) -> dict[str, Any]:
        """Return what it did, for the run that adds it up. The log has each failure; the report has the first ones."""
        counts = {name: getattr(self, name) for name in COUNTS}
        failed = _shortened(self.failed, MAX_REPORTED_FAILURES)
        return {**counts, "failed": failed, "newest_event_at": self.newest_event_at}

    def add(self, report: Mapping[str, Any]) -> None:
        """Add what a worker did. A report of a task that this kind of run performed itself is empty."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + report.get(name, 0))
        self.failed += report.get("failed", [])[: max(0, MAX_LISTED_FAILURES - len(self.failed))]
        self.newest_event_at = max(self.newest_event_at, report.get("newest_event_at", 0))

    def check_time(self) -> None:
        """Raise `OutOfTime` if the invocation is nearly over."""
        if self.remaining() < RESERVE_S:
            raise OutOfTime

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run one step with a deadline of its own. A step that fails for any reason is named, counted and passed over.

        Raises what makes every further step pointless: a missing secret, throttled tables or refused credentials,
        several steps in a row without an answer from Stripe or a table, or no time left.
        """
        self.check_time()
        clock.start_deadline()
        try:
            yield
        except (NotConfigured, StorageBlocked, OutOfTime):
            raise
        except Exception as error:
            if _is_unanswered(error):
                self.unanswered += 1
                self.unanswered_in_a_row += 1
                if self.unanswered_in_a_row == MAX_UNANSWERED_IN_A_ROW:
                    raise
            if not isinstance(error, TuitionError):
                logger.exception("a step failed", step=name)
            self.failed.append(f"{name}: {error if isinstance(error, TuitionError) else repr(error)}")
            metrics.count("ReconcileFailed")
        else:
            self.unanswered_in_a_row = 0


def _shortened(failed: Sequence[str], count: int) -> list[str]:
    """Return the first failures. The log has all of them."""
    return [text[:MAX_FAILURE_LENGTH] for text in failed[:count]]


def _is_unanswered(error: Exception) -> bool:
    """Whether Stripe or a table gave no definite answer, so that the same step may succeed in the next run.

    So it is if other writers, such as workers, were faster each time (`Contended`).
    """
    return isinstance(error, Contended | StripeUnavailable | StorageUnavailable) and not isinstance(
        error, StorageRefused
    )


# --- asking Stripe ---


def _page_created(listed: Listed, first: int, last: int, after: str | None, types: Sequence[str] = ()) -> Answer:
    clock.start_deadline()
    return stripe_client.retry_rate_limits(stripe_client.list_created, listed, first, last, after, types)


def page_created(listed: Listed, first: int, last: int, after: str | None = None) -> dict[str, Any]:
    """Return one page of what was created from `first` to `last`, both inclusive: newest first, after this id."""
    return _page_created(listed, first, last, after).object


def list_created(
    listed: Listed, first: int, last: int, types: Sequence[str] = ()
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each object with Stripe's time when it was listed, newest first."""
    after: str | None = None
    while True:
        page = _page_created(listed, first, last, after, types)
        for obj in page.object["data"]:
            yield obj, page.date
            after = obj["id"]
        if not page.object["has_more"]:
            return


def stripe_now() -> int:
    """Return the time by Stripe's clock, which also stamps its objects, in epoch seconds."""
    return _page_created("events", 0, 0, None).date


# --- one payment ---


def sync_payment(
    run: Run,
    ref: PaymentRef,
    stripe_object: StripeObject | None = None,
    *,
    extra: Facts = NO_FACTS,
    full: bool = False,
) -> PaymentState:
    """Sync a payment, or rebuild it if its item is missing and the object is settled.

    `extra` has facts about another object; `full` lists refunds and disputes in any case.
    """
    before = ledger.load(ref)
    if before.payment is None:
        entry = AuditEntry(timestamps.iso(clock.now()), "pull:0", "rebuilt", "reconcile")
        after = ledger.update(ref, lambda state: rebuild.change(ref, state, stripe_object, entry), before)
    elif before.payment.ref != ref:
        raise EventUnusable(f"an object that names {ref.payment_id} names another user or track")
    else:
        after, _ = sync.refresh_state(ref, before, extra=extra, full=full, source="reconcile")
    if after.payment and closing.must_close(after):
        closed = closing.close(ref)
        after = after.with_payment(closed)
    run.checked += 1
    if _is_new_confirmation(before, after):
        run.confirmed += 1
    if _has_drifted(before, after):
        run.drifted += 1
        metrics.count("ReconcileDrift")
        _close_others(run, after)
    return after


def _has_drifted(before: PaymentState, after: PaymentState) -> bool:
    """Whether more was committed than the confirmation of a settled payment, which no webhook can deliver.

    Nor does its invoice count: Stripe makes it after the payment, and does not say if the session's events name it.
    """
    if _version(before) == _version(after):
        return False
    if before.payment is None or after.payment is None or before.enrollment.standings != after.enrollment.standings:
        return True
    confirmed, contradicted = after.payment.facts.confirmed, after.payment.facts.contradicted
    invoice = after.payment.facts.invoice
    facts = replace(before.payment.facts, confirmed=confirmed, contradicted=contradicted, invoice=invoice)
    return not sync.differs_only_in_time(replace(after.payment, facts=facts), after.payment)


def _is_new_confirmation(before: PaymentState, after: PaymentState) -> bool:
    is_new = before.payment is not None and before.payment.facts.confirmed is None
    return is_new and after.payment is not None and after.payment.facts.confirmed is not None


def _close_others(run: Run, state: PaymentState) -> None:
    """Close other open payments of the enrollment if this one has granted access: a student must not pay twice."""
    enrollment = state.enrollment
    if enrollment.status != "ENROLLED":
        return
    for payment_id in closing.open_payments(enrollment):
        other = ledger.load(PaymentRef(payment_id, enrollment.user_id, enrollment.track))
        if other.payment and other.payment.status in ("CREATED", "FAILED"):
            run.closed += not closing.close(other.payment.ref, other).open


def _version(state: PaymentState) -> int:
    return state.payment.version if state.payment else 0


def _compare(run: Run, state: PaymentState, object_id: str, facts: Facts) -> None:
    """Sync a payment if its listed object differs, and confirm it if this object settled it.

    A list is older than the payment loaded after it. So an object that is listed as not settled is retrieved before it
    contradicts anything, while one that is listed as settled is settled for good.
    """
    payment = state.existing
    if payment.missing_at_stripe or not sync.is_up_to_date(state, payment.merged(facts)):
        sync_payment(run, payment.ref)
    elif payment.facts.settled and payment.stripe_object_id == object_id:
        if facts.settled:
            _confirm(run, state, facts.settled)
        elif payment.facts.confirmed is None and not payment.facts.contradicted:
            sync_payment(run, payment.ref)


def _confirm(run: Run, state: PaymentState, settled: Settled) -> None:
    """Record that Stripe's API shows a payment as settled, once."""

    def decide(before: PaymentState) -> Change | None:
        payment = before.existing
        if payment.facts.confirmed is not None:
            return None
        entry = AuditEntry(timestamps.iso(clock.now()), f"confirm:{payment.version}", "payment.confirmed", "reconcile")
        return Change(payment.merged(Facts(confirmed=settled)), entry)

    after = ledger.update(state.existing.ref, decide, state)
    run.confirmed += _is_new_confirmation(state, after)


# --- the walk ---


def walk_window(run: Run, first: int, last: int) -> None:
    """Apply what Stripe has created from `first` to `last`, both inclusive. It may be repeated."""
    _walk_events(run, first, last)
    for listed, handle in _HANDLERS.items():
        for obj, date in list_created(listed, first, last):
            with run.step(obj["id"]):
                stripe_client.retry_rate_limits(handle, run, obj, date)


def windows(first: int, last: int) -> list[tuple[int, int]]:
    """Return the windows of a range for which Stripe lists anything, oldest first.

    If one page of a list does not cover the range, each half is looked at. A window with more than a page of events is
    divided into slices, because one invocation must be able to finish each.
    """
    if last - first <= WINDOW_S:
        return _slices(first, last)
    numbers: set[int] = set()
    for listed in ("events", *_HANDLERS):
        page = _page_created(listed, first, last, None).object
        if page["has_more"]:
            middle = first + -(-(last - first) // WINDOW_S) // 2 * WINDOW_S
            return windows(first, middle) + windows(middle, last)
        numbers.update((obj["created"] - first) // WINDOW_S for obj in page["data"])
    whole = [(start, min(start + WINDOW_S, last)) for start in range(first, last, WINDOW_S)]
    return [whole[number] for number in sorted({min(number, len(whole) - 1) for number in numbers})]


def _slices(first: int, last: int) -> list[tuple[int, int]]:
    """Divide a window that has more than one page of events."""
    if last - first <= SLICE_S or not _page_created("events", first, last, None).object["has_more"]:
        return [(first, last)]
    return [(start, min(start + SLICE_S, last)) for start in range(first, last, SLICE_S)]


def _walk_events(run: Run, first: int, last: int) -> None:
    """Sync each payment that has an event without a record, once for all its events.

    An event about payment methods is applied to the plans of its user at once.
    """
    by_payment: dict[PaymentRef, list[dict[str, Any]]] = defaultdict(list)
    for types in itertools.batched(sorted(stripe_events.SUBSCRIBED), EVENT_TYPES_PER_LIST, strict=False):
        for event, _ in list_created("events", first, last, types):
            with run.step(event["id"]), _quarantine_if_unusable([event]):
                if event["type"] in stripe_events.METHOD_EVENT_TYPES:
                    _apply_method_event(run, event)
                    continue
                ref = stripe_client.retry_rate_limits(stripe_events.resolve_event, event)
                if ref:
                    by_payment[ref].append(event)
    for ref, events in by_payment.items():
        with run.step(ref.payment_id):
            unapplied = _unapplied(ref, events)
            applied = {event["id"] for event in events} - {event["id"] for event in unapplied}
            times = [event["created"] for event in events if event["id"] in applied]
            run.newest_event_at = max([run.newest_event_at, *times])
            if unapplied:
                with _quarantine_if_unusable(unapplied):
                    stripe_client.retry_rate_limits(_sync_for_events, run, ref, unapplied)


def _apply_method_event(run: Run, event: Mapping[str, Any]) -> None:
    """Apply an event that no webhook has delivered: a plan may charge a lost method, or not know a new one."""
    from tuition.intake import plan_events  # most events are about payments

    if stripe_client.retry_rate_limits(plan_events.apply, event).is_new:
        run.drifted += 1
        metrics.count("ReconcileDrift")


@contextmanager
def _quarantine_if_unusable(events: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """Quarantine the events if they cannot be applied for any reason of their own, and let the error through.

    Each run tries them again, so an event that a step passes over is not lost. The error ends here if staff have
    discarded all of them.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfTime) or (isinstance(error, Unavailable) and not isinstance(error, StorageRefused)):
            raise
        is_stored = [quarantine.add(event, str(error)) for event in events]
        if any(is_stored):
            raise


def _unapplied(ref: PaymentRef, events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the events of a payment that have no audit record."""
    unapplied = {stripe_events.audit_entry(event).sort_key: event for event in events}
    for batch in itertools.batched(list(unapplied), RECORDS_PER_READ, strict=False):
        audit_keys = [keys.audit_key(ref.payment_id, sort_key) for sort_key in batch]
        for item in dynamodb.batch_get({AuditItem: audit_keys})[AuditItem]:
            del unapplied[item["sort_key"]["S"]]
    return list(unapplied.values())


def _sync_for_events(run: Run, ref: PaymentRef, events: Sequence[Mapping[str, Any]]) -> None:
    """Sync a payment once for its events. One of them may be about a refund that its charge does not show."""
    event = events[0]
    obj = event["data"]["object"]
    subject = stripe_events.EVENT_TYPES[event["type"]].subject
    if subject == "session":
        stripe_object: StripeObject | None = StripeObject("checkout", obj["id"])
    else:
        stripe_object = _intent(obj["id"] if subject == "intent" else optional_id(obj, "payment_intent"))
    extra = functools.reduce(core_facts.merge, map(stripe_events.facts_beside_intent, events))
    sync_payment(run, ref, stripe_object, extra=extra, full=any(map(stripe_events.is_about_refund_or_dispute, events)))


def _intent(intent_id: str | None) -> StripeObject | None:
    return StripeObject("intent", intent_id) if intent_id else None


def _on_intent(run: Run, obj: Mapping[str, Any], date: int) -> None:
    resolved = resolve.resolve(obj, "intent")
    if resolved is None:
        return
    ref, metadata = resolved.ref, obj.get("metadata") or {}
    intent = StripeObject("intent", obj["id"])
    facts = intent.facts(obj, date)
    state = resolved.state or ledger.load(ref)
    if state.payment and state.payment.intent is None:  # only the session says which intent is its own
        state = sync_payment(run, ref)
    payment = state.payment
    if payment and payment.missing_at_stripe and payment.intent is None:
        raise EventUnusable(f"{payment.stripe_object_id} is missing at Stripe, and this may be its intent")
    if payment and payment.intent == obj["id"]:
        _compare(run, state, obj["id"], facts)
    elif facts.settled or metadata.get("kind") != "checkout":  # an open intent of a session is closed by its session
        _on_unbound_object(run, ref, intent, obj, facts, date)


def _on_session(run: Run, obj: Mapping[str, Any], date: int) -> None:
    resolved = resolve.resolve(obj, "session")
    if resolved is None:
        return
    ref = resolved.ref
    session = StripeObject("checkout", obj["id"])
    facts = session.facts(obj, date)
    state = resolved.state or ledger.load(ref)
    payment = state.payment
    if payment is None or payment.stripe_object_id != obj["id"]:
        _on_unbound_object(run, ref, session, obj, facts, date)
    else:
        _compare(run, state, obj["id"], facts)


def _on_unbound_object(
    run: Run, ref: PaymentRef, stripe_object: StripeObject, obj: Mapping[str, Any], facts: Facts, date: int
) -> None:
    """Handle an object whose payment is missing or is bound to another object.

    A settled object rebuilds the payment, or is recorded as a claim. An object that has been open for an hour belongs
    to a create that died, and is closed.
    """
    if facts.settled:
        sync_payment(run, ref, stripe_object, extra=Facts(claims={stripe_object.id: facts.settled}))
    elif _is_orphan(obj, date) and closing.abandon(stripe_object, ref.user_id, ref.track):
        run.orphans += 1
        metrics.count("ReconcileDrift")


def _is_orphan(obj: Mapping[str, Any], date: int) -> bool:
    """Whether an object can still be paid an hour after it was created."""
    return obj["status"] in objects.PAYABLE and bool(obj["created"] <= date - ORPHAN_AFTER_S)


def _on_refund(run: Run, obj: Mapping[str, Any], _date: int) -> None:
    ref, payment, intent = _payment_of(obj, "refund")
    facts = stripe_json.of_refund(obj)
    if ref and (payment is None or payment.merged(facts) != payment):
        sync_payment(run, ref, _intent(intent), extra=_only_by_charge(obj, facts), full=True)


def _on_dispute(run: Run, obj: Mapping[str, Any], _date: int) -> None:
    ref, payment, intent = _payment_of(obj, "dispute")
    stored = payment.facts.disputes.get(obj["id"]) if payment else None
    facts = stripe_json.of_dispute(obj, stored.stamp if stored else 0)
    if ref and facts.disputes[obj["id"]] != stored:
        sync_payment(run, ref, _intent(intent), extra=_only_by_charge(obj, facts), full=True)


def _on_fraud_warning(run: Run, obj: Mapping[str, Any], _date: int) -> None:
    """Merge a warning that no webhook has delivered. A sync alone would not list it."""
    ref, payment, intent = _payment_of(obj, "fraud_warning")
    facts = stripe_json.of_fraud_warning(obj)
    if ref and (payment is None or payment.merged(facts) != payment):
        sync_payment(run, ref, _intent(intent), extra=facts)


def _only_by_charge(obj: Mapping[str, Any], facts: Facts) -> Facts:
    """Return the facts of a refund or dispute that no list of its intent shows, because it names only its charge."""
    return NO_FACTS if obj.get("payment_intent") else facts


def _payment_of(obj: Mapping[str, Any], subject: Subject) -> tuple[PaymentRef | None, Payment | None, str | None]:
    """Return the payment that a refund, dispute or warning belongs to, its item if it exists, and the intent."""
    resolved = resolve.resolve(obj, subject)
    if resolved is None:
        return None, None, None
    payment = (resolved.state or ledger.load(resolved.ref)).payment
    ids = resolve.ids_of(obj, subject)
    intent = ids.intent or resolved.intent
    if payment is None and intent is None and ids.charge:
        intent = resolve.intent_of_charge(ids.charge)
    return resolved.ref, payment, intent


_HANDLERS: Mapping[Listed, Callable[[Run, Mapping[str, Any], int], None]] = {
    "payment_intents": _on_intent,
    "checkout_sessions": _on_session,
    "refunds": _on_refund,
    "disputes": _on_dispute,
    "early_fraud_warnings": _on_fraud_warning,
}
