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

from collections.abc import Callable, Iterator
from typing import Any

from tuition import clock, metrics
from tuition.core import timestamps
from tuition.core.enrollment import Enrollment
from tuition.core.errors import NotFound
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.intake import stripe_events, walk
from tuition.intake.walk import OutOfTime, Run
from tuition.payments import refunds
from tuition.storage import cursors, dynamodb, ledger, quarantine
from tuition.storage.items import PaymentItem
from tuition.stripe_gateway import closing, resolve

CLOSE_UNTOUCHED_AFTER_S = 3 * 86400
CLOSE_UNVERIFIED_AFTER_S = 11 * 86400
"""Who pays from a bank account may have to wait for a small deposit, and has ten days to say what it was.

https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment
"""
FIRST_RUN_S = 3 * 86400
"""How far the first run goes back: Stripe delivers for three days; what is older is a backfill's."""
MAX_REPLAYS = 100


def run(remaining: Callable[[], float]) -> Run:
    """The hourly run, as far as it comes within `remaining()` seconds. Raises `AnotherRun`, `StripeUnavailable`."""
    this = Run(remaining)
    with cursors.lease():
        now = walk.stripe_now()
        this.place = cursors.read(cursors.RECONCILE) or now - FIRST_RUN_S
        try:
            _replay_quarantine(this)
            _check_due_payments(this, now)
            walk.walk(this, cursors.RECONCILE, now)
        except OutOfTime:
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
            walk.walk(this, name, last)
            if this.done:
                cursors.remove(name)
        except OutOfTime:
            this.done = False
    return this


# --- 1. quarantine ---


def _replay_quarantine(this: Run) -> None:
    """Those that have waited longest since their last try: each has its turn, however many there are."""
    for event_id in quarantine.oldest(MAX_REPLAYS):
        with this.piece(event_id):
            try:
                outcome = walk.retry_rate_limits(stripe_events.replay, event_id)
            except NotFound:
                continue  # staff were quicker
            this.replayed += outcome != "quarantined"


# --- 2. what is not at rest ---


def _check_due_payments(this: Run, stripe_now: int) -> None:
    """With half of the time at most: the other half is for what Stripe made."""
    half = (this.remaining() + walk.RESERVE_S) / 2
    for payment_id in _due_payments():
        if this.remaining() < half:
            this.done = False
            return
        with this.piece(payment_id):
            key = resolve.find_ref(payment_id)
            walk.retry_rate_limits(_check_payment, this, key, stripe_now)


def _due_payments() -> Iterator[str]:
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


def _check_payment(this: Run, key: PaymentRef, stripe_now: int) -> None:
    """Take one payment as far as it goes by itself."""
    known = this.different
    after = walk.sync_payment(this, key)
    payment = after.payment
    if payment is None:
        return
    calling = [request.id for request in payment.requests if request.state == "calling"]
    if calling:
        refunds.resume(key, payment, calling[0], refunds.Actor("reconcile"))
        this.driven += 1
    elif payment.status in ("CREATED", "FAILED") and _is_forgotten(payment, after.enrollment, stripe_now):
        this.closed += not closing.close(key).open
    elif this.different == known:  # else its commit has said when to look next, on the enrollment of that moment
        ledger.reschedule_check(after)


def _is_forgotten(payment: Payment, enrollment: Enrollment, stripe_now: int) -> bool:
    """Nobody has touched it for days, or its student has got in by another: an earlier refund failed, a dispute was
    won, staff accepted an amount."""
    charges = [charge.created for charge in payment.facts.charges.values()]
    phase = [payment.facts.phase.at] if payment.facts.phase else []
    touched = max([timestamps.epoch(payment.created_at), *charges, *phase])
    acting = payment.facts.phase is not None and payment.facts.phase.name == "requires_action"
    patience = CLOSE_UNVERIFIED_AFTER_S if acting else CLOSE_UNTOUCHED_AFTER_S
    return touched < stripe_now - patience or enrollment.status == "ENROLLED"
