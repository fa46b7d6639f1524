"""Reconcile with Stripe: find what no webhook delivered, and finish what was left unfinished.

Webhooks can be lost, and rarely Stripe creates no event at all. So once an hour, one run at a time:

1. Refunds that were not submitted to the end are resumed.
2. Quarantined events are tried again.
3. Every other payment that is due for a check (`check_at`) is synced, and one that has been open for days is closed.
4. Stripe's events and objects since the last run are walked (`tuition.intake.walk`). An event without a record, and an
   object that differs from its payment, cause a sync. A settled object without a payment rebuilds it. An event about a
   payment method is applied to the plans of its user.
5. Each window is walked again when it is an hour old. An object without a payment that is still open is then closed.

A run plans 1, 3, 4 and 5 as tasks (`tuition.intake.fan_out`), and workers help to perform them (`work`). Everything is
committed through the ledger, so a run or a worker can be killed anywhere and started again. A step that fails for any
reason is passed over. Only throttled or unreachable tables, refused credentials, an unreachable Stripe or a missing
secret end a run early.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping

from tuition import clock, metrics
from tuition.core import catalog, timestamps
from tuition.core import payment as payments
from tuition.core.audit import Actor
from tuition.core.enrollment import Enrollment
from tuition.core.errors import Conflicted, NotFound, StripeUnavailable
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.refs import PaymentRef
from tuition.intake import collect, fan_out, stripe_events, walk
from tuition.intake.fan_out import Chunks, Perform, Walk, Work
from tuition.intake.walk import OutOfTime, Run
from tuition.log import logger
from tuition.payments import credit_notes, refunds
from tuition.storage import cursors, ledger, quarantine, queries, tasks
from tuition.storage.tasks import Task
from tuition.stripe_gateway import client as stripe_client
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
PAYMENTS_PER_TASK = 500
REFUNDS_PER_TASK = 20
"""One invocation can finish a task, also if each payment costs a call to Stripe and each refund three."""


def run(remaining: Callable[[], float]) -> Run:
    """Make the hourly run, as far as `remaining()` seconds allow. Raises `LeaseTaken`, `StripeUnavailable`."""
    current = Run(remaining)
    with cursors.lease():
        now = walk.stripe_now()
        current.cursor = _start(cursors.RECONCILE, now - FIRST_RUN_S)
        current.again = _start(cursors.AGAIN, now - walk.ORPHAN_AFTER_S)
        changed = _read_prices(current, now)
        try:
            _Hour(current, now).work(changed)
        except OutOfTime:
            current.done = False
        finally:
            metrics.count("ReconcileBacklog", current.backlog)
            behind = min(current.cursor, current.again + walk.ORPHAN_AFTER_S)
            metrics.age("ReconcileAge", max(0, now - behind))
        _report_event_age(current, now)
    return current


def _start(name: str, first: int) -> int:
    """Return where a walk starts. The first run stores it, so that the next one starts there too."""
    position = cursors.read(name)
    if position is None:
        cursors.advance(name, first)
        return first
    return position


class _Hour:
    """The tasks of one hourly run. `now` is the time by Stripe's clock."""

    def __init__(self, run: Run, now: int) -> None:
        self._run, self._now = run, now
        self._work = Work(run)
        self._first = Walk(self._work, cursors.RECONCILE, run.cursor)
        self._second = Walk(self._work, cursors.AGAIN, run.again)
        self._finished_until = self._first.position
        self._listed_from = self._first.end
        """This run lists what was created from here on: it plans these windows."""
        self._chunks: list[Chunks] = []
        self._sent: set[str] = set()
        self._left: dict[str, int] = {}

    def work(self, changed: Iterable[str]) -> None:
        """Do everything. `changed` are the tracks whose price became a day old within the last day."""
        self._move()
        self._resume_refunds()
        _report_refund_requests(self._run)
        _replay_quarantine(self._run)
        half = self._half()
        due = self._plan_payments("due", PAYMENTS_PER_TASK, queries.due_payments("due", timestamps.iso(clock.now())))
        planned_ids = {payment_id for task in due for payment_id in task.payment_ids}
        at_old_prices = (one for one in _at_old_prices(self._run, changed, half) if one not in planned_ids)
        due += self._plan_payments("price", PAYMENTS_PER_TASK, at_old_prices)
        try:
            self._plan_windows(beside=due)
        finally:
            self._work.perform(due, self._until(half), half)
            self._count_backlog()
        self._walk_windows()
        while self._plan_windows():
            self._walk_windows()
        pending = [task for chunks in self._chunks for task in chunks.planned]
        self._work.wait([*pending, *self._first.windows, *self._second.windows], self._until(walk.RESERVE_S))
        self._count_backlog()
        self._move()
        self._run.done = self._run.done and not (self._first.windows or self._second.windows)

    def _half(self) -> float:
        """Return how many seconds remain once half of the time that is left has passed."""
        return (self._run.remaining() + walk.RESERVE_S) / 2

    def _until(self, floor_s: float) -> Perform:
        """Return the function that performs a task as long as more than `floor_s` seconds remain."""

        def act(run: Run, task: Task) -> bool:
            if task.kind == "window":
                return fan_out.perform_window(run, task)
            self._left[task.name] = _check_payments(run, task, self._now, floor_s)
            return not self._left[task.name]

        return act

    def _tell(self, planned: list[Task]) -> None:
        if fan_out.tell_workers(planned):
            self._sent.update(task.name for task in planned)

    # --- payments ---

    def _resume_refunds(self) -> None:
        """Resume refunds before anything else. If Stripe does not answer for them, the run continues."""
        half = self._half()
        try:
            due = queries.due_payments("submitting", timestamps.iso(clock.now()))
            planned = self._plan_payments("submitting", REFUNDS_PER_TASK, due)
            self._tell(planned)
            self._work.perform(planned, self._until(half), half)
        except StripeUnavailable:
            self._run.done = False
            self._run.unanswered_in_a_row = 0

    def _plan_payments(self, kind: str, size: int, payment_ids: Iterable[str]) -> list[Task]:
        clock.start_deadline()
        chunks = Chunks(self._run, kind, size)
        chunks.plan(payment_ids, self._listed_from, MAX_BACKLOG)
        self._chunks.append(chunks)
        if chunks.unplanned:
            self._run.done = False
        return list(chunks.planned)

    def _count_backlog(self) -> None:
        """Count the payments that were due, and that neither this run nor a worker had time for.

        A task that the workers know counts only the payments that an earlier run left, because they may still check it.
        """
        self._run.backlog = 0
        for chunks in self._chunks:
            self._run.backlog += chunks.unplanned
            for task in chunks.planned:
                if task.name in self._work.finished:
                    continue
                if task.name in self._sent:
                    self._run.backlog += len(chunks.leftover.intersection(task.payment_ids))
                else:
                    self._run.backlog += self._left.get(task.name, len(task.payment_ids))

    # --- windows ---

    def _plan_windows(self, beside: Iterable[Task] = ()) -> bool:
        """Plan what each walk has not planned yet, and tell the workers. Return whether anything was planned.

        The second walk goes to where the first had finished before this run. Unless an earlier run has left windows,
        the first walk now plans the rest, so those of its windows that are an hour old need no second walk.
        """
        old_enough = self._now - walk.ORPHAN_AFTER_S
        last = min(self._finished_until, old_enough)
        is_first_plan = self._first.end == self._listed_from
        planned = [*self._first.plan(self._now), *self._second.plan(last)]
        pending = [*self._first.windows, *self._second.windows] if is_first_plan else planned
        in_turn = itertools.zip_longest(beside, pending)  # so that neither waits behind the other
        self._tell([task for pair in in_turn for task in pair if task])
        self._move()
        return bool(planned)

    def _walk_windows(self) -> None:
        for one in (self._first, self._second):
            for task in list(one.windows):
                self._work.perform([task], self._until(walk.RESERVE_S))
                self._move()

    def _move(self) -> None:
        """Move both cursors past what is finished."""
        old_enough = self._now - walk.ORPHAN_AFTER_S
        self._first.advance()
        self._second.advance()
        if not self._first.has_leftover and not self._second.windows and self._finished_until <= self._second.position:
            self._second.skip_to(old_enough)
        self._run.cursor, self._run.again = self._first.position, self._second.position


def work(name: str, remaining: Callable[[], float]) -> Run | None:
    """Perform one task, as a worker. Return None if it is finished, held by another, or obsolete.

    A run whose `done` is false could not finish it: the next hourly run plans it again. Raises as `run`.
    """
    clock.start_deadline()
    claimed = tasks.claim(name, remaining())
    if claimed is None:
        return None
    current, task = Run(remaining), claimed.task
    is_finished = False
    try:
        if task.kind == "window":
            is_finished = fan_out.perform_window(current, task)
        elif task.kind == "payments":
            now = walk.stripe_now()
            _read_prices(current, now)
            is_finished = not _check_payments(current, task, now, walk.RESERVE_S)
        elif task.kind == "plans":
            is_finished = collect.perform(current, task, walk.stripe_now())
        if is_finished:  # a kind that only a later release knows is left to it
            clock.start_deadline()
            if current.newest_event_at:
                cursors.advance_if_newer(cursors.NEWEST_EVENT, current.newest_event_at)
            tasks.finish(claimed, current.to_report())
    except OutOfTime:
        logger.warning("a task takes longer than an invocation", task=name)
    finally:
        if not is_finished:
            clock.start_deadline()
            tasks.release(claimed)
    current.done = is_finished
    return current


def _report_event_age(current: Run, now: int) -> None:
    """Report the age of the newest applied event while payments are open. The first run starts at age 0."""
    clock.start_deadline()
    stored = cursors.read(cursors.NEWEST_EVENT)
    newest = max(stored or 0, current.newest_event_at) or now
    if newest != stored:
        cursors.advance_if_newer(cursors.NEWEST_EVENT, newest)
    if queries.has_payments(payments.OPEN_STATUSES, catalog.codes()):
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
            _walk_range(current, name, last)
            if current.done:
                cursors.remove(name)
        except OutOfTime:
            current.done = False
    return current


def _walk_range(current: Run, name: str, last: int) -> None:
    """Walk from the run's cursor to `last`, with the workers' help."""
    work_ = Work(current)
    one = Walk(work_, name, current.cursor)
    planned = list(one.windows)
    while True:
        planned += one.plan(last)
        current.cursor = one.position
        if not planned:
            break
        fan_out.tell_workers(planned)
        for task in planned:
            work_.perform([task], fan_out.perform_window)
            one.advance()
            current.cursor = one.position
        planned = []
    work_.wait(one.windows, fan_out.perform_window)
    one.advance()
    current.cursor = one.position
    current.done = current.done and current.cursor >= last


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
                outcome = stripe_client.retry_rate_limits(stripe_events.replay, event_id)
            except (NotFound, Conflicted):
                continue  # staff have replayed or discarded it in the meantime
            current.replayed += outcome != "quarantined"
    discarded_until = timestamps.iso(clock.now() - KEEP_DISCARDED_S)
    for event_id in queries.discarded_before(discarded_until, MAX_REPLAYS):
        quarantine.remove(event_id)


def _check_payments(run: Run, task: Task, stripe_now: int, floor_s: float) -> int:
    """Check the payments of a task as long as more than `floor_s` seconds remain. Return how many are left."""
    for number, payment_id in enumerate(task.payment_ids):
        if run.remaining() < floor_s:
            run.done = False
            return len(task.payment_ids) - number
        with run.step(payment_id):
            payment = resolve.find_payment(payment_id)
            if not _is_confirmed_by_walk(payment, task.after):
                stripe_client.retry_rate_limits(_check_payment, run, payment.ref, stripe_now)
    return 0


def _is_confirmed_by_walk(payment: Payment, cursor: int) -> bool:
    """Whether it is due only because Stripe has not confirmed it, and the walk of this run lists its object.

    Its object was created just before the payment, so a walk whose windows are planned from `cursor` (epoch seconds)
    on lists it.
    """
    if not payments.awaits_confirmation(payment) or any(r.state == "submitting" for r in payment.requests):
        return False
    return timestamps.epoch(payment.created_at) > cursor + CLOCK_MARGIN_S


def _check_payment(current: Run, ref: PaymentRef, stripe_now: int) -> None:
    """Sync one payment, then resume its refund, create its credit notes, close it, or schedule its next check."""
    drifted, confirmed = current.drifted, current.confirmed
    state = walk.sync_payment(current, ref)
    payment = state.payment
    if payment is None:
        return
    submitting = [request.id for request in payment.requests if request.state == "submitting"]
    if submitting:
        refunds.resume(ref, payment, submitting[0], Actor("reconcile"))
        current.resumed += 1
    elif payments.refunds_without_credit_note(payment):
        credit_notes.issue(ref, payment, "reconcile")
    elif (
        payment.payable
        and closing.may_expire(state)
        and (_is_forgotten(payment, state.enrollment, stripe_now) or _has_old_price(payment, current.day_old_prices))
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


def _at_old_prices(run: Run, tracks: Iterable[str], floor_s: float) -> Iterator[str]:
    """Yield the open payments of these tracks that have an old price, as long as more than `floor_s` seconds remain.

    A payment that is being processed now is closed by its next check if it fails.
    """
    for track in tracks:
        for payment in queries.payments_with_status(("CREATED", "FAILED"), track):
            if run.remaining() < floor_s:
                run.done = False
                return
            clock.start_deadline()
            if _has_old_price(payment, run.day_old_prices):
                yield payment.payment_id


def _has_old_price(payment: Payment, prices: Mapping[str, Money]) -> bool:
    """Whether a payment was asked at another price than its track has had for a day. A plan keeps its amounts."""
    if payment.plan:
        return False
    price = Money(payment.terms.list_amount, payment.currency)
    return prices.get(payment.product, price) != price
