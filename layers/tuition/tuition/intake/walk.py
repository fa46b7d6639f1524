"""Walk over what Stripe created in a range of time, and sync every payment that differs."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tuition import clock, metrics
from tuition.core import stripe_json, timestamps
from tuition.core.audit import Entry
from tuition.core.errors import EventUnusable, NotConfigured, StripeRefused, StripeUnavailable, TuitionError
from tuition.core.facts import NO_FACTS, Facts, Kind
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.core.stripe_json import optional_id
from tuition.intake import stripe_events
from tuition.storage import cursors, dynamodb, keys, ledger, quarantine
from tuition.storage.items import AuditItem
from tuition.storage.ledger import Change, PaymentState, StripeObjectTaken
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, rebuild, resolve, sync
from tuition.stripe_gateway.client import Listed

WINDOW_S = 3600
OVERLAP_S = 600
"""Events may become visible a little after their time."""
LOOK_BACK_S = 3 * 3600
"""An orphan is closed when it is an hour old: it must still be in sight then."""
ORPHAN_AFTER_S = 3600
RESERVE_S = 40.0
"""With less than this left of an invocation no new piece of work is begun."""
RATE_LIMIT_TRIES = 6
"""Tries where Stripe limits us (429): nobody waits for this answer."""
MAX_UNANSWERED_IN_A_ROW = 3
"""So many pieces of work in a row to which Stripe gives no answer: it is out of reach, and the run ends."""


class OutOfTime(Exception):
    """The rest is for the next run."""


@dataclass
class Run:
    """One run and what it did. `place`: epoch seconds up to which Stripe has been walked; `done`: nothing was left.

    `remaining` says how many seconds the invocation has. `different` counts payments of which Stripe knew more than
    we did, `failed` says what could not be handled and why.
    """

    remaining: Callable[[], float]
    place: int = 0
    done: bool = True
    looked: int = 0
    different: int = 0
    closed: int = 0
    orphans: int = 0
    driven: int = 0
    replayed: int = 0
    failed: list[str] = field(default_factory=list)
    unanswered: int = 0
    in_a_row: int = 0

    def to_json(self) -> dict[str, Any]:
        """What it did, for the log and the answer; `place` as RFC 3339."""
        found = asdict(self)
        del found["remaining"], found["in_a_row"]
        return {**found, "place": timestamps.iso(self.place)}

    @contextmanager
    def piece(self, what: str) -> Iterator[None]:
        """A piece of work, with a deadline of its own. What cannot be handled is named, counted and passed over.

        So is one to which Stripe gives no answer, for this run. Raises where nothing could be handled now: Stripe is
        out of reach, or no time is left.
        """
        if self.remaining() < RESERVE_S:
            raise OutOfTime
        clock.start_deadline()
        try:
            yield
        except NotConfigured:
            raise
        except TuitionError as error:
            if isinstance(error, StripeUnavailable):
                self.unanswered, self.in_a_row = self.unanswered + 1, self.in_a_row + 1
                if self.in_a_row == MAX_UNANSWERED_IN_A_ROW:
                    raise
            self.failed.append(f"{what}: {error}")
            metrics.count("ReconcileFailed")
        else:
            self.in_a_row = 0


# --- asking Stripe ---


def retry_rate_limits[**P, T](act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Wait where Stripe limits us, which it says before it does anything."""
    for attempt in range(1, RATE_LIMIT_TRIES):
        try:
            return act(*args, **kwargs)
        except StripeUnavailable as unavailable:
            if unavailable.status != 503:
                raise
        clock.start_deadline()
        clock.pause(attempt, base_s=0.5, most_s=10)
    return act(*args, **kwargs)


def _list_created(
    listed: Listed, first: int, last: int, types: Sequence[str] = ()
) -> Iterator[tuple[dict[str, Any], int]]:
    """Each object with Stripe's time when it was listed, newest first."""
    after: str | None = None
    while True:
        clock.start_deadline()
        page = retry_rate_limits(stripe_client.list_created, listed, first, last, after, types)
        for obj in page.object["data"]:
            yield obj, page.date
            after = obj["id"]
        if not page.object["has_more"]:
            return


def stripe_now() -> int:
    """Stripe's clock, which is the one of its objects."""
    clock.start_deadline()
    return retry_rate_limits(stripe_client.list_created, "events", 0, 0, None).date


# --- one payment ---


def sync_payment(
    this: Run,
    key: PaymentRef,
    *,
    intent: str | None = None,
    session: str | None = None,
    told: Facts = NO_FACTS,
    followed: bool = False,
) -> PaymentState:
    """Pull a payment, or rebuild it where its item is missing and its object is settled.

    `told` is what was listed about another object; all else is asked again, after loading.
    """
    before = ledger.load(key)
    if before.payment is None:
        after = ledger.update(key, lambda loaded: _rebuilt(key, loaded, intent, session), before)
    elif (before.payment.user_id, before.payment.track) != (key.user_id, key.track):
        raise EventUnusable(f"what names {key.payment_id} names another user or track")
    else:
        payment, _ = sync.refresh(key, before, told=told, followed=followed, source="reconcile")
        after = PaymentState(payment, before.enrollment.with_payment(payment))
    if after.payment and closing.must_close(after.payment):
        closed = closing.close(key)
        after = PaymentState(closed, after.enrollment.with_payment(closed))
    this.looked += 1
    if _version(after) != _version(before):
        this.different += 1
        metrics.count("DifferenceFound")
    return after


def _rebuilt(key: PaymentRef, loaded: PaymentState, intent: str | None, session: str | None) -> Change | None:
    return rebuild.change(
        key, loaded, intent, session, Entry(timestamps.iso(clock.now()), "pull:0", "rebuilt", "reconcile")
    )


def _version(loaded: PaymentState) -> int:
    return loaded.payment.version if loaded.payment else 0


# --- 3. what Stripe made ---


def walk(this: Run, name: str, last: int) -> None:
    """All that Stripe made from the run's place to `last`, an hour at a time; the place moves on after each.

    It stays before the first hour in which something got no answer, and the next run walks from there again.
    """
    first, known = this.place, this.unanswered
    while first < last:
        until = min(first + WINDOW_S, last)
        _events(this, first - OVERLAP_S, until)
        for listed, handle in _HANDLERS.items():
            for obj, date in _list_created(listed, first - LOOK_BACK_S, until):
                with this.piece(obj["id"]):
                    retry_rate_limits(handle, this, obj, date)
        if this.unanswered == known:
            cursors.advance(name, until)
            this.place = until
        first = until
    this.done = this.done and this.place >= last


def _events(this: Run, first: int, last: int) -> None:
    """An event whose record is missing is a reason to pull its payment, once for all of them."""
    untold: dict[PaymentRef, list[dict[str, Any]]] = defaultdict(list)
    for types in itertools.batched(sorted(stripe_events.EVENT_TYPES), 20, strict=False):
        for event, _ in _list_created("events", first, last, types):
            with this.piece(event["id"]), _quarantine_if_unusable([event]):
                key = retry_rate_limits(stripe_events.resolve_event, event)
                if key:
                    untold[key].append(event)
    for key, events in untold.items():
        with this.piece(key.payment_id):
            missing = _unapplied(key, events)
            if missing:
                with _quarantine_if_unusable(missing):
                    retry_rate_limits(_sync_for_event, this, key, missing[0])


@contextmanager
def _quarantine_if_unusable(events: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """What cannot be applied is kept for a person; the walk goes on."""
    try:
        yield
    except (EventUnusable, StripeObjectTaken, StripeRefused) as error:
        for event in events:
            quarantine.add(event, str(error))
        raise


def _unapplied(key: PaymentRef, events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The events of a payment that have not been applied."""
    missing = {stripe_events.audit_entry(event).key: event for event in events}
    for batch in itertools.batched(list(missing), 100, strict=False):
        wanted = [keys.audit_key(key.payment_id, entry) for entry in batch]
        for item in dynamodb.batch_get({AuditItem: wanted})[AuditItem]:
            del missing[item["entry"]["S"]]
    return list(missing.values())


def _sync_for_event(this: Run, key: PaymentRef, event: Mapping[str, Any]) -> None:
    obj = event["data"]["object"]
    session = obj["id"] if event["type"].startswith("checkout.session.") else None
    intent = obj["id"] if event["type"].startswith("payment_intent.") else optional_id(obj, "payment_intent")
    sync_payment(
        this, key, intent=intent, session=session, followed=stripe_events.is_about_refund_or_dispute(event["type"])
    )


def _on_intent(this: Run, obj: Mapping[str, Any], date: int) -> None:
    metadata = obj.get("metadata") or {}
    key = resolve.ref_in_metadata(metadata) or resolve.ref_of_stripe_object(obj["id"])
    if key is None:
        return
    facts = stripe_json.of_intent(obj, date)
    loaded = ledger.load(key)
    if loaded.payment and loaded.payment.intent is None:  # which intent is its own, only its session can say
        loaded = sync_payment(this, key)
    payment = loaded.payment
    if payment and payment.gone and payment.intent is None:
        raise EventUnusable(f"Stripe does not know {payment.bound_to}, of which this may be")
    if payment and payment.intent == obj["id"]:
        if payment.gone or not sync.is_up_to_date(loaded, payment.merged(facts)):
            sync_payment(this, key)
    elif facts.settled or metadata.get("kind") != "checkout":  # else its session is what can be closed
        _on_unbound_object(this, key, "intent", obj, facts, date)


def _on_session(this: Run, obj: Mapping[str, Any], date: int) -> None:
    key = resolve.ref_in_metadata(obj.get("metadata") or {}) or resolve.ref_of_stripe_object(obj["id"])
    if key is None:
        return
    facts = stripe_json.of_session(obj, date)
    loaded = ledger.load(key)
    payment = loaded.payment
    if payment is None or payment.bound_to != obj["id"]:
        _on_unbound_object(this, key, "checkout", obj, facts, date)
    elif payment.gone or not sync.is_up_to_date(loaded, payment.merged(facts)):
        sync_payment(this, key)


def _on_unbound_object(this: Run, key: PaymentRef, kind: Kind, obj: Mapping[str, Any], facts: Facts, date: int) -> None:
    """An object that names a payment which is not there, or which is bound to another one.

    Settled it is rebuilt, or claims the other's payment; left open for an hour it is given up: its create has died.
    """
    object_id = obj["id"]
    if facts.settled:
        intent, session = (object_id, None) if kind == "intent" else (None, object_id)
        sync_payment(this, key, intent=intent, session=session, told=Facts(claims={object_id: facts.settled}))
    elif _is_orphan(obj, date) and closing.abandon(kind, object_id, key.user_id, key.track):
        this.orphans += 1
        metrics.count("DifferenceFound")


def _is_orphan(obj: Mapping[str, Any], date: int) -> bool:
    """It can still be paid, an hour after it was made."""
    payable = ("open", "requires_payment_method", "requires_confirmation", "requires_action")
    return obj["status"] in payable and bool(obj["created"] <= date - ORPHAN_AFTER_S)


def _on_refund(this: Run, obj: Mapping[str, Any], _date: int) -> None:
    key, payment = _payment_of(obj)
    if key and (payment is None or payment.merged(stripe_json.of_refund(obj)) != payment):
        sync_payment(this, key, intent=optional_id(obj, "payment_intent"), followed=True)


def _on_dispute(this: Run, obj: Mapping[str, Any], _date: int) -> None:
    key, payment = _payment_of(obj)
    known = payment.facts.disputes.get(obj["id"]) if payment else None
    told = stripe_json.of_dispute(obj, known.stamp if known else 0).disputes[obj["id"]]
    if key and told != known:
        sync_payment(this, key, intent=optional_id(obj, "payment_intent"), followed=True)


def _payment_of(obj: Mapping[str, Any]) -> tuple[PaymentRef | None, Payment | None]:
    """Whose a refund or dispute is, and that payment where it is there."""
    intent = optional_id(obj, "payment_intent")
    key = resolve.ref_of_intent(intent) if intent else None
    return key, ledger.load(key).payment if key else None


_HANDLERS: Mapping[Listed, Callable[[Run, Mapping[str, Any], int], None]] = {
    "payment_intents": _on_intent,
    "checkout_sessions": _on_session,
    "refunds": _on_refund,
    "disputes": _on_dispute,
}
