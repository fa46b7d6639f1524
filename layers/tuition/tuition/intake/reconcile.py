"""Reconcile with Stripe: find what no webhook delivered, and finish what was left unfinished.

Webhooks can be lost, and rarely Stripe creates no event at all. So once an hour, one run at a time:

1. Refunds that were not submitted to the end are resumed.
2. Quarantined events are tried again.
3. Every other payment that is due for a check (`check_at`) is synced, and one that has been open for days is closed.
4. Stripe's events and objects since the last run are walked (`tuition.intake.walk`). An event without a record, and an
   object that differs from its payment, cause a sync. A settled object without a payment rebuilds it.
5. Each window is walked again when it is an hour old. An object without a payment that is still open is then closed.

Everything is committed through the ledger, so a run can be killed anywhere and started again. A step that fails for any
reason is passed over. Only throttled or unreachable tables, refused credentials, an unreachable Stripe or a missing
secret end a run early.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping

from tuition import clock, metrics
from tuition.core import catalog, timestamps
from tuition.core import payment as payments
from tuition.core.enrollment import Enrollment
from tuition.core.errors import Conflicted, NotFound, StripeUnavailable
from tuition.core.money import Money
from tuition.core.payment import CheckDue, Payment
from tuition.core.refs import PaymentRef
from tuition.intake import stripe_events, walk
from tuition.intake.walk import OutOfTime, Run
from tuition.payments import refunds
from tuition.payments.refunds import Actor
from tuition.storage import cursors, ledger, quarantine, queries
from tuition.stripe_gateway import closing, resolve

CLOSE_UNTOUCHED_AFTER_S = 3 * 86400
CLOSE_UNVERIFIED_AFTER_S = 11 * 86400
"""A student who pays from a bank account may have to verify micro-deposits, for which they have ten days.

https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment
"""
FIRST_RUN_S = 3 * 86400
"""How far the first run looks back: Stripe retries a webhook for three days. A backfill reaches further."""
CLOSE_OLD_PRICE_AFTER_S = 86400
"""How long an open payment may still be paid at its price after the catalog's has changed."""
MAX_REPLAYS = 100
CLOCK_MARGIN_S = 60
"""How much older than its payment an object may be, by Stripe's clock."""
KEEP_DISCARDED_S = 90 * 86400
"""How long the id and reason of a discarded event stay."""
MAX_BACKLOG = 10_000
"""Counting stops here: ten pages of the index. The alarm needs to know that there is a backlog."""


def run(remaining: Callable[[], float]) -> Run:
    """Make the hourly run, as far as `remaining()` seconds allow. Raises `LeaseTaken`, `StripeUnavailable`."""
    current = Run(remaining)
    with cursors.lease():
        now = walk.stripe_now()
        start = cursors.read(cursors.RECONCILE) or now - FIRST_RUN_S
        changed = _read_prices(current, now)
        current.cursor, current.again = start, cursors.read(cursors.AGAIN) or now - walk.ORPHAN_AFTER_S
        try:
            _resume_refunds(current, now)
            _report_refund_requests(current)
            _replay_quarantine(current)
            _check_due_payments(current, "due", now)
            metrics.count("ReconcileBacklog", current.backlog)
            _close_at_old_prices(current, changed, now)
            walk.walk(current, cursors.RECONCILE, now)
            walk.walk_again(current, start, now)
        except OutOfTime:
            current.done = False
        finally:
            behind = min(current.cursor, current.again + walk.ORPHAN_AFTER_S)
            metrics.age("ReconcileAge", max(0, now - behind))
        _report_event_age(current, now)
    return current


def _report_event_age(current: Run, now: int) -> None:
    """Report the age of the newest applied event while payments are open. The first run starts at age 0."""
    clock.start_deadline()
    stored = cursors.read(cursors.NEWEST_EVENT)
    newest = max(stored or 0, current.newest_event_at) or now
    if newest != stored:
        cursors.advance(cursors.NEWEST_EVENT, newest)
    if queries.has_payments(payments.OPEN_STATUSES, catalog.tracks()):
        metrics.age("EventAge", max(0, now - newest))


def backfill(first: int, last: int, remaining: Callable[[], float]) -> Run:
    """Walk over what Stripe created from `first` to `last` (epoch seconds), as after a restore.

    Without enough time the same call continues, until `done`. Raises as `run`.
    """
    current = Run(remaining)
    name = f"backfill:{first}:{last}"
    with cursors.lease():
        current.cursor = cursors.read(name) or first
        try:
            walk.walk(current, name, last)
            if current.done:
                cursors.remove(name)
        except OutOfTime:
            current.done = False
    return current


def _report_refund_requests(current: Run) -> None:
    """Report the age of the oldest refund request that awaits approval; 0 without one."""
    with current.step("refund requests"):
        oldest = queries.oldest_refund_request()
        metrics.age("RefundRequestAge", max(0, clock.now() - timestamps.epoch(oldest)) if oldest else 0)


def _replay_quarantine(current: Run) -> None:
    """Try quarantined events again, the one whose last try is oldest first, so that each has its turn.

    Then remove the ids of events that were discarded long ago.
    """
    for event_id in queries.oldest_quarantined(MAX_REPLAYS):
        with current.step(event_id):
            try:
                outcome = walk.retry_rate_limits(stripe_events.replay, event_id)
            except (NotFound, Conflicted):
                continue  # staff have replayed or discarded it in the meantime
            current.replayed += outcome != "quarantined"
    discarded_until = timestamps.iso(clock.now() - KEEP_DISCARDED_S)
    for event_id in queries.discarded_before(discarded_until, MAX_REPLAYS):
        quarantine.remove(event_id)


def _resume_refunds(current: Run, stripe_now: int) -> None:
    """Resume refunds before anything else. If Stripe does not answer for them, the run continues."""
    try:
        _check_due_payments(current, "submitting", stripe_now)
    except StripeUnavailable:
        current.done = False
        current.unanswered_in_a_row = 0


def _check_due_payments(current: Run, reason: CheckDue, stripe_now: int) -> None:
    """Check due payments for at most half of the time: the other half belongs to what follows."""
    half = (current.remaining() + walk.RESERVE_S) / 2
    payment_ids = queries.due_payments(reason, timestamps.iso(clock.now()))
    for payment_id in payment_ids:
        if current.remaining() < half:
            current.done = False
            current.backlog += 1 + sum(1 for _ in itertools.islice(payment_ids, MAX_BACKLOG - 1))
            return
        with current.step(payment_id):
            payment = resolve.find_payment(payment_id)
            if not _is_confirmed_by_walk(payment, current.cursor):
                walk.retry_rate_limits(_check_payment, current, payment.ref, stripe_now)


def _is_confirmed_by_walk(payment: Payment, cursor: int) -> bool:
    """Whether it is due only because Stripe has not confirmed it, and the walk of this run lists its object.

    Its object was created just before the payment, so the walk that starts at `cursor` (epoch seconds) lists it.
    """
    if not payments.awaits_confirmation(payment) or any(r.state == "submitting" for r in payment.requests):
        return False
    return timestamps.epoch(payment.created_at) > cursor + CLOCK_MARGIN_S


def _check_payment(current: Run, ref: PaymentRef, stripe_now: int) -> None:
    """Sync one payment, then resume its refund, close it, or schedule its next check."""
    drifted, confirmed = current.drifted, current.confirmed
    state = walk.sync_payment(current, ref)
    payment = state.payment
    if payment is None:
        return
    submitting = [request.id for request in payment.requests if request.state == "submitting"]
    if submitting:
        refunds.resume(ref, payment, submitting[0], Actor("reconcile"))
        current.resumed += 1
    elif payment.status in ("CREATED", "FAILED") and (
        _is_forgotten(payment, state.enrollment, stripe_now) or _has_old_price(payment, current.day_old_prices)
    ):
        current.closed += not closing.close(ref).open
    elif (drifted, confirmed) == (current.drifted, current.confirmed):  # otherwise the commit has scheduled it
        ledger.reschedule_check(state)


def _is_forgotten(payment: Payment, enrollment: Enrollment, stripe_now: int) -> bool:
    """Whether an open payment was not touched for days, or its student was enrolled by another payment."""
    charges = [charge.created for charge in payment.facts.charges.values()]
    phase = [payment.facts.phase.at] if payment.facts.phase else []
    touched = max([timestamps.epoch(payment.created_at), *charges, *phase])
    needs_action = payment.facts.phase is not None and payment.facts.phase.name == "requires_action"
    patience_s = CLOSE_UNVERIFIED_AFTER_S if needs_action else CLOSE_UNTOUCHED_AFTER_S
    return touched < stripe_now - patience_s or enrollment.status == "ENROLLED"


def _read_prices(current: Run, now: int) -> list[str]:
    """Give the run the prices that are a day old. Return the tracks whose price became a day old within the last day.

    Every run of that day closes what is left, so that a payment whose closing failed is tried again.
    """
    prices = {code: track.price for code, track in catalog.tracks().items()}
    age = {track: now - since for track, since in cursors.prices_since(prices, now).items()}
    current.day_old_prices = {track: prices[track] for track in prices if age[track] >= CLOSE_OLD_PRICE_AFTER_S}
    return [track for track in current.day_old_prices if age[track] < 2 * CLOSE_OLD_PRICE_AFTER_S]


def _close_at_old_prices(current: Run, tracks: Iterable[str], stripe_now: int) -> None:
    """Close the open payments of these tracks that have an old price, for at most half of the time.

    A payment that is being processed now is closed by its next check if it fails.
    """
    half = (current.remaining() + walk.RESERVE_S) / 2
    for track in tracks:
        for payment in queries.payments_with_status(("CREATED", "FAILED"), track):
            if current.remaining() < half:
                current.done = False
                return
            if _has_old_price(payment, current.day_old_prices):
                with current.step(payment.payment_id):
                    walk.retry_rate_limits(_check_payment, current, payment.ref, stripe_now)


def _has_old_price(payment: Payment, prices: Mapping[str, Money]) -> bool:
    """Whether a payment was asked at another price than its track has had for a day."""
    price = Money(payment.terms.list_amount, payment.currency)
    return prices.get(payment.track, price) != price
