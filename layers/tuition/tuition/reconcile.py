"""What the clock does: ask Stripe for what its webhooks did not tell, and end what was left open.

Webhooks may be lost, and rarely Stripe makes no event at all. So once an hour, one run at a time:

1. quarantined events are tried again;
2. every payment that is not at rest, and due (`check_at`), is driven (a refund that is being called) or pulled, and
   an open one that was left alone for days is closed;
3. Stripe's events and objects since the place where the last run ended are walked over, a window at a time. An event
   without its record is a reason to pull; an intent, session, refund or dispute that differs from its payment too. An
   object that names a payment which is not there is rebuilt if it is settled, and claimed and closed if it was left
   open for an hour (a create died after making it).

All of it goes through the same door as everything else, so a run may be killed anywhere and begun again. The place
moves on after each window, and a payment or event that cannot be handled does not stop it: it is counted, named in
the log, and an event is kept in quarantine. Only Stripe or our tables being out of reach ends a run.

Sources: https://docs.stripe.com/webhooks/process-undelivered-events, https://docs.stripe.com/api/events
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tuition import clock, metrics, stripe_events
from tuition.core import stripe_json, timestamps
from tuition.core.audit import Entry
from tuition.core.enrollment import Enrollment
from tuition.core.errors import EventUnusable, NotConfigured, NotFound, StripeRefused, StripeUnavailable, TuitionError
from tuition.core.facts import NO_FACTS, Facts, Kind
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.core.stripe_json import optional_id
from tuition.payments import refunds
from tuition.storage import cursors, dynamodb, keys, ledger, quarantine
from tuition.storage.items import AuditItem, PaymentItem
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
LEFT_ALONE_S = 3 * 86400
LEFT_ACTING_S = 11 * 86400
"""Who pays from a bank account may have to wait for a small deposit, and has ten days to say what it was.

https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment
"""
FIRST_S = 3 * 86400
"""How far the first run goes back: Stripe delivers for three days; what is older is a backfill's."""
LAST_S = 40.0
"""With less than this left of an invocation no new piece of work is begun."""
PATIENCE = 6
"""Tries where Stripe limits us (429): nobody waits for this answer."""
REPLAYS = 100
UNANSWERED = 3
"""So many pieces of work in a row to which Stripe gives no answer: it is out of reach, and the run ends."""


class _OutOfTime(Exception):
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
        if self.remaining() < LAST_S:
            raise _OutOfTime
        clock.start_deadline()
        try:
            yield
        except NotConfigured:
            raise
        except TuitionError as error:
            if isinstance(error, StripeUnavailable):
                self.unanswered, self.in_a_row = self.unanswered + 1, self.in_a_row + 1
                if self.in_a_row == UNANSWERED:
                    raise
            self.failed.append(f"{what}: {error}")
            metrics.count("ReconcileFailed")
        else:
            self.in_a_row = 0


def run(remaining: Callable[[], float]) -> Run:
    """The hourly run, as far as it comes within `remaining()` seconds. Raises `AnotherRun`, `StripeUnavailable`."""
    this = Run(remaining)
    with cursors.lease():
        now = _stripe_now()
        this.place = cursors.read(cursors.RECONCILE) or now - FIRST_S
        try:
            _replay(this)
            _look_at_what_is_due(this, now)
            _walk(this, cursors.RECONCILE, now)
        except _OutOfTime:
            this.done = False
        finally:
            metrics.age("ReconcileAge", max(0, now - this.place))
    return this


def backfill(first: int, last: int, remaining: Callable[[], float]) -> Run:
    """Walk over all that Stripe made from `first` to `last` (epoch seconds), as after a restore.

    Comes as far as it can; the same call again goes on from there, until `done`. Raises as `run`.
    """
    this = Run(remaining)
    name = f"backfill:{first}:{last}"
    with cursors.lease():
        this.place = cursors.read(name) or first
        try:
            _walk(this, name, last)
            if this.done:
                cursors.remove(name)
        except _OutOfTime:
            this.done = False
    return this


# --- asking Stripe ---


def _patiently[**P, T](act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Wait where Stripe limits us, which it says before it does anything."""
    for attempt in range(1, PATIENCE):
        try:
            return act(*args, **kwargs)
        except StripeUnavailable as unavailable:
            if unavailable.status != 503:
                raise
        clock.start_deadline()
        clock.pause(attempt, base_s=0.5, most_s=10)
    return act(*args, **kwargs)


def _listed(listed: Listed, first: int, last: int, types: Sequence[str] = ()) -> Iterator[tuple[dict[str, Any], int]]:
    """Each object with Stripe's time when it was listed, newest first."""
    after: str | None = None
    while True:
        clock.start_deadline()
        page = _patiently(stripe_client.list_created, listed, first, last, after, types)
        for obj in page.object["data"]:
            yield obj, page.date
            after = obj["id"]
        if not page.object["has_more"]:
            return


def _stripe_now() -> int:
    """Stripe's clock, which is the one of its objects."""
    clock.start_deadline()
    return _patiently(stripe_client.list_created, "events", 0, 0, None).date


# --- one payment ---


def _look(
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


# --- 1. quarantine ---


def _replay(this: Run) -> None:
    """Those that have waited longest since their last try: each has its turn, however many there are."""
    for event_id in quarantine.oldest(REPLAYS):
        with this.piece(event_id):
            try:
                outcome = _patiently(stripe_events.replay, event_id)
            except NotFound:
                continue  # staff were quicker
            this.replayed += outcome != "quarantined"


# --- 2. what is not at rest ---


def _look_at_what_is_due(this: Run, stripe_now: int) -> None:
    """With half of the time at most: the other half is for what Stripe made."""
    half = (this.remaining() + LAST_S) / 2
    for payment_id in _due():
        if this.remaining() < half:
            this.done = False
            return
        with this.piece(payment_id):
            key = resolve.find_ref(payment_id)
            _patiently(_drive, this, key, stripe_now)


def _due() -> Iterator[str]:
    """The payments whose time has come, the longest waiting first."""
    start: dict[str, Any] = {}
    while True:
        answer = dynamodb.client().query(
            TableName=dynamodb.table_name(PaymentItem),
            IndexName="by_check",
            KeyConditionExpression="check_due = :due AND check_at <= :now",
            ExpressionAttributeValues={":due": {"S": "due"}, ":now": {"S": timestamps.iso(clock.now())}},
            **start,
        )
        yield from (item["payment_id"]["S"] for item in answer["Items"])
        if not answer.get("LastEvaluatedKey"):
            return
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _drive(this: Run, key: PaymentRef, stripe_now: int) -> None:
    """Take one payment as far as it goes by itself."""
    known = this.different
    after = _look(this, key)
    payment = after.payment
    if payment is None:
        return
    calling = [request.id for request in payment.requests if request.state == "calling"]
    if calling:
        refunds.resume(key, payment, calling[0], refunds.Actor("reconcile"))
        this.driven += 1
    elif payment.status in ("CREATED", "FAILED") and _is_left(payment, after.enrollment, stripe_now):
        this.closed += not closing.close(key).open
    elif this.different == known:  # else its commit has said when to look next, on the enrollment of that moment
        ledger.reschedule_check(after)


def _is_left(payment: Payment, enrollment: Enrollment, stripe_now: int) -> bool:
    """Nobody has touched it for days, or its student has got in by another: an earlier refund failed, a dispute was
    won, staff accepted an amount."""
    charges = [charge.created for charge in payment.facts.charges.values()]
    phase = [payment.facts.phase.at] if payment.facts.phase else []
    touched = max([timestamps.epoch(payment.created_at), *charges, *phase])
    acting = payment.facts.phase is not None and payment.facts.phase.name == "requires_action"
    patience = LEFT_ACTING_S if acting else LEFT_ALONE_S
    return touched < stripe_now - patience or enrollment.status == "ENROLLED"


# --- 3. what Stripe made ---


def _walk(this: Run, name: str, last: int) -> None:
    """All that Stripe made from the run's place to `last`, an hour at a time; the place moves on after each.

    It stays before the first hour in which something got no answer, and the next run walks from there again.
    """
    first, known = this.place, this.unanswered
    while first < last:
        until = min(first + WINDOW_S, last)
        _events(this, first - OVERLAP_S, until)
        for listed, handle in _HANDLERS.items():
            for obj, date in _listed(listed, first - LOOK_BACK_S, until):
                with this.piece(obj["id"]):
                    _patiently(handle, this, obj, date)
        if this.unanswered == known:
            cursors.advance(name, until)
            this.place = until
        first = until
    this.done = this.done and this.place >= last


def _events(this: Run, first: int, last: int) -> None:
    """An event whose record is missing is a reason to pull its payment, once for all of them."""
    untold: dict[PaymentRef, list[dict[str, Any]]] = defaultdict(list)
    for types in itertools.batched(sorted(stripe_events.TYPES), 20, strict=False):
        for event, _ in _listed("events", first, last, types):
            with this.piece(event["id"]), _kept_if_unusable([event]):
                key = _patiently(stripe_events.place, event)
                if key:
                    untold[key].append(event)
    for key, events in untold.items():
        with this.piece(key.payment_id):
            missing = _without_record(key, events)
            if missing:
                with _kept_if_unusable(missing):
                    _patiently(_look_for, this, key, missing[0])


@contextmanager
def _kept_if_unusable(events: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """What cannot be applied is kept for a person; the walk goes on."""
    try:
        yield
    except (EventUnusable, StripeObjectTaken, StripeRefused) as error:
        for event in events:
            quarantine.add(event, str(error))
        raise


def _without_record(key: PaymentRef, events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The events of a payment that have not been applied."""
    missing = {stripe_events.entry(event).key: event for event in events}
    for batch in itertools.batched(list(missing), 100, strict=False):
        wanted = [keys.audit_key(key.payment_id, entry) for entry in batch]
        for item in dynamodb.batch_get({AuditItem: wanted})[AuditItem]:
            del missing[item["entry"]["S"]]
    return list(missing.values())


def _look_for(this: Run, key: PaymentRef, event: Mapping[str, Any]) -> None:
    obj = event["data"]["object"]
    session = obj["id"] if event["type"].startswith("checkout.session.") else None
    intent = obj["id"] if event["type"].startswith("payment_intent.") else optional_id(obj, "payment_intent")
    _look(this, key, intent=intent, session=session, followed=stripe_events.tells_what_followed(event["type"]))


def _intent(this: Run, obj: Mapping[str, Any], date: int) -> None:
    metadata = obj.get("metadata") or {}
    key = resolve.ref_in_metadata(metadata) or resolve.ref_of_stripe_object(obj["id"])
    if key is None:
        return
    facts = stripe_json.of_intent(obj, date)
    loaded = ledger.load(key)
    if loaded.payment and loaded.payment.intent is None:  # which intent is its own, only its session can say
        loaded = _look(this, key)
    payment = loaded.payment
    if payment and payment.gone and payment.intent is None:
        raise EventUnusable(f"Stripe does not know {payment.bound_to}, of which this may be")
    if payment and payment.intent == obj["id"]:
        if payment.gone or not sync.is_up_to_date(loaded, payment.merged(facts)):
            _look(this, key)
    elif facts.settled or metadata.get("kind") != "checkout":  # else its session is what can be closed
        _stranger(this, key, "intent", obj, facts, date)


def _session(this: Run, obj: Mapping[str, Any], date: int) -> None:
    key = resolve.ref_in_metadata(obj.get("metadata") or {}) or resolve.ref_of_stripe_object(obj["id"])
    if key is None:
        return
    facts = stripe_json.of_session(obj, date)
    loaded = ledger.load(key)
    payment = loaded.payment
    if payment is None or payment.bound_to != obj["id"]:
        _stranger(this, key, "checkout", obj, facts, date)
    elif payment.gone or not sync.is_up_to_date(loaded, payment.merged(facts)):
        _look(this, key)


def _stranger(this: Run, key: PaymentRef, kind: Kind, obj: Mapping[str, Any], facts: Facts, date: int) -> None:
    """An object that names a payment which is not there, or which is bound to another one.

    Settled it is rebuilt, or claims the other's payment; left open for an hour it is given up: its create has died.
    """
    object_id = obj["id"]
    if facts.settled:
        intent, session = (object_id, None) if kind == "intent" else (None, object_id)
        _look(this, key, intent=intent, session=session, told=Facts(claims={object_id: facts.settled}))
    elif _is_orphan(obj, date) and closing.abandon(kind, object_id, key.user_id, key.track):
        this.orphans += 1
        metrics.count("DifferenceFound")


def _is_orphan(obj: Mapping[str, Any], date: int) -> bool:
    """It can still be paid, an hour after it was made."""
    payable = ("open", "requires_payment_method", "requires_confirmation", "requires_action")
    return obj["status"] in payable and bool(obj["created"] <= date - ORPHAN_AFTER_S)


def _refund(this: Run, obj: Mapping[str, Any], _date: int) -> None:
    key, payment = _of_intent(obj)
    if key and (payment is None or payment.merged(stripe_json.of_refund(obj)) != payment):
        _look(this, key, intent=optional_id(obj, "payment_intent"), followed=True)


def _dispute(this: Run, obj: Mapping[str, Any], _date: int) -> None:
    key, payment = _of_intent(obj)
    known = payment.facts.disputes.get(obj["id"]) if payment else None
    told = stripe_json.of_dispute(obj, known.stamp if known else 0).disputes[obj["id"]]
    if key and told != known:
        _look(this, key, intent=optional_id(obj, "payment_intent"), followed=True)


def _of_intent(obj: Mapping[str, Any]) -> tuple[PaymentRef | None, Payment | None]:
    """Whose a refund or dispute is, and that payment where it is there."""
    intent = optional_id(obj, "payment_intent")
    key = resolve.ref_of_intent(intent) if intent else None
    return key, ledger.load(key).payment if key else None


_HANDLERS: Mapping[Listed, Callable[[Run, Mapping[str, Any], int], None]] = {
    "payment_intents": _intent,
    "checkout_sessions": _session,
    "refunds": _refund,
    "disputes": _dispute,
}
