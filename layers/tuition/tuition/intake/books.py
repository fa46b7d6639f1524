"""Compare our books with Stripe's, once a day: the movements of the balance, the audit chains, and who has access.

1. Stripe's balance transactions of the days are listed with their sources. Each charge, refund and dispute is compared
   with the payment that it belongs to, in the charge's currency. Those of other apps are counted as foreign. The fee is
   written to the payment in the commit that confirms it.
2. The enrollments are scanned. Each user's access is compared with their payments, and each payment's state with its
   audit records, as is the state of the selling switch. An amount that a payment has in these days and that no listed
   transaction shows is looked up at Stripe.
3. So is every other payment that has an audit record of these days, such as one that was never paid, or one that is in
   no enrollment any more.

A difference raises attention on its payment. One that belongs to no payment is in the report alone. Only the role of
this run may scan enrollments.

Source: https://docs.stripe.com/api/balance_transactions/list
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuition import clock, metrics, retry
from tuition.core import audit, books, selling, timestamps
from tuition.core import payment as payments
from tuition.core.audit import AuditEntry
from tuition.core.books import MAX_PROBLEM_LENGTH, Movement, Row
from tuition.core.errors import StripeRefused
from tuition.core.facts import Comparison, Facts
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.core.stripe_json import MAX_TIMESTAMP
from tuition.intake import walk
from tuition.intake.walk import OutOfTime, Run
from tuition.storage import cursors, keys, ledger, mapping, queries
from tuition.storage.dynamodb import Item
from tuition.storage.ledger import Change
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, objects, resolve
from tuition.views import selling as selling_view
from tuition.views import standings
from tuition.views.standings import StandingProblem

DAY_S = 86_400
MAX_DAYS = 31
"""Days that one run compares. A run that was missed is made up for by the next."""
OF_DAYS = ("charge", "refund", "dispute")
"""The kinds of differences that belong to a day. A run replaces all others."""


@dataclass
class Comparing:
    """One run: the days from `first` until before `last` (epoch seconds), and what it found.

    `sources` has the ids of all listed sources, `foreign` counts those of other apps. `changed_payments` are those with
    an audit record of these days that were not compared with their records yet.
    """

    run: Run
    first: int
    last: int
    rows: list[Row] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    changed_payments: set[str] = field(default_factory=set)
    foreign: int = 0
    users: int = 0

    @property
    def last_day(self) -> str:
        """The last day, to which differences without a day belong."""
        return timestamps.iso(self.last - 1)[:10]

    @property
    def days(self) -> list[str]:
        """The days, such as `2026-11-23`."""
        return [timestamps.iso(at)[:10] for at in range(self.first - self.first % DAY_S, self.last, DAY_S)]

    def to_json(self) -> dict[str, Any]:
        """Return what it did, for the log and for `make audit`."""
        sums = books.sums(self.rows)
        return {
            "from": timestamps.iso(self.first)[:10],
            "through": self.last_day,
            "done": self.run.done,
            "checked": self.run.checked,
            "confirmed": self.run.confirmed,
            "foreign": self.foreign,
            "users": self.users,
            "sums": [one.to_json() for one in sums],
            "differences": [one.to_json() for one in sums if one.ids],
            "failed": self.run.failed,
        }


def compare(remaining: Callable[[], float], days: tuple[int, int] | None = None) -> dict[str, Any]:
    """Compare some days (epoch seconds), or those since the last run until yesterday. Return the report.

    Raises `LeaseTaken`, `StripeUnavailable`. A run without enough time, or in which a step failed, is not `done`, and
    its days are compared again by the next.
    """
    with cursors.lease(cursors.BOOKS):
        now = walk.stripe_now()
        stored = cursors.read_report() or {}
        current = Comparing(Run(remaining), *(days or _days(stored.get("through"), now)))
        try:
            _compare_movements(current)
            _read_changed_payments(current)
            _compare_users(current)
            _compare_changed_payments(current)
            _compare_selling(current)
        except OutOfTime:
            current.run.done = False
        current.run.done = current.run.done and not current.run.failed
        report = current.to_json()
        merged = _merged(stored, report, now, is_daily=days is None)
        cursors.store_report(merged)
        for _ in report["differences"]:
            metrics.count("BooksDifference")
        metrics.age("BooksAge", max(0.0, now - _end(merged["through"])) if merged["through"] else now - current.first)
    return report


def _days(through: str | None, now: int) -> tuple[int, int]:
    """Return the days since the last comparison, at most `MAX_DAYS`; the first run compares yesterday."""
    today = now - now % DAY_S
    first = _end(through) if through else today - DAY_S
    return max(min(first, today - DAY_S), today - MAX_DAYS * DAY_S), today


def _end(day: str) -> int:
    return int(timestamps.epoch(f"{day}T00:00:00Z")) + DAY_S


def _merged(stored: Mapping[str, Any], report: Mapping[str, Any], now: int, *, is_daily: bool) -> dict[str, Any]:
    """Return the report to store: differences of other days are kept, and so is all that this run did not reach."""
    done = bool(report["done"])
    kept = [
        one
        for one in stored.get("differences", [])
        if not done or (one["kind"] in OF_DAYS and not report["from"] <= one["day"] <= report["through"])
    ]
    new = [one for one in report["differences"] if one not in kept]
    newest = sorted([*kept, *new], key=lambda one: str(one["day"]), reverse=True)[: books.MAX_DIFFERENCES]
    through = stored.get("through")
    if done and is_daily:
        through = report["through"]
    return {"compared_at": timestamps.iso(now), "through": through, "differences": newest}


# --- the movements of the balance ---


def _compare_movements(current: Comparing) -> None:
    by_payment: dict[PaymentRef, list[Movement]] = defaultdict(list)
    for transaction, _ in walk.list_created("balance_transactions", current.first, current.last - 1):
        with current.run.step(transaction["id"]):
            moved = books.movement(transaction)
            if moved is None:
                continue
            current.sources.add(moved.source_id)
            resolved = walk.retry_rate_limits(resolve.resolve, transaction["source"], moved.kind)
            if resolved is None:
                current.foreign += 1
            else:
                by_payment[resolved.ref].append(moved)
    for ref, movements in by_payment.items():
        with current.run.step(ref.payment_id):
            _compare_payment(current, ref, movements)


def _compare_payment(current: Comparing, ref: PaymentRef, movements: list[Movement]) -> None:
    """Compare the movements of one payment with it, and store the result and the fee."""
    state = ledger.load(ref)
    rows = [books.row(state.payment, moved) for moved in movements]
    current.rows += rows
    current.run.checked += 1
    if state.payment is not None:
        problems = {"books": books.problem(_all_rows(state.payment)[0])} if any(one.differs for one in rows) else {}
        _store(current, state, movements, problems)


def _all_rows(payment: Payment) -> tuple[list[Row], list[Movement]]:
    """Ask Stripe for every movement of a payment, of any day, and compare them with it."""
    sources = _sources(payment)
    transactions = [one for source in sources for one in stripe_client.list_balance_transactions(source)]
    movements = [moved for moved in map(books.movement, transactions) if moved is not None]
    has_charge = any(books.is_own_charge(payment, moved) for moved in movements)
    shown = {moved.source_id for moved in movements}
    missing = books.missing(payment, shown, 0, MAX_TIMESTAMP, has_charge=has_charge)
    return [*(books.row(payment, moved) for moved in movements), *missing], movements


def _sources(payment: Payment) -> list[str]:
    """Return the ids of the charges, refunds and disputes that Stripe or we have of a payment."""
    facts = payment.facts
    try:
        obj = closing.bound_object(payment).retrieve().object
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        obj = {}
    charge = objects.latest_charge(payment.kind, obj)
    sources = [charge["id"]] if charge.get("id") else []
    intent = charge.get("payment_intent")
    if intent:
        lists = (stripe_client.list_refunds, stripe_client.list_disputes)
        sources += [one["id"] for list_ in lists for one in list_(payment_intent=intent)]
    paid = (charge_id for charge_id, one in facts.charges.items() if one.status == "succeeded")
    return list(dict.fromkeys([*sources, *paid, *facts.refunds, *facts.disputes]))


def _store(current: Comparing, state: PaymentState, movements: list[Movement], problems: Mapping[str, str]) -> None:
    """Commit what is new about a payment: its fee, that Stripe confirms it, and what differs or no longer does."""

    def decide(before: PaymentState) -> Change | None:
        payment = before.existing
        after = payment
        for moved in movements:
            if books.is_own_charge(payment, moved):
                confirmed = books.confirmed_by(payment, moved)
                after = after.merged(
                    Facts(balance=moved.balance, confirmed=None if payment.facts.confirmed else confirmed)
                )
        for name, problem in problems.items():
            stored = payment.facts.compared.get(name)
            if problem != (stored.problem if stored else ""):
                after = after.merged(Facts(compared={name: Comparison(payment.version, problem)}))
        if after == payment:
            return None
        at = timestamps.iso(clock.now())
        return Change(after, AuditEntry(at, f"compare:{payment.version}", "payment.compared", "reconcile"))

    after = ledger.update(state.existing.ref, decide, state)
    is_confirmed = state.existing.facts.confirmed is None and after.existing.facts.confirmed is not None
    current.run.confirmed += is_confirmed


# --- users: their access, their payments, and the audit records of both ---


def _read_changed_payments(current: Comparing) -> None:
    """Read which payments have an audit record that was committed on one of the days."""
    for day in current.days:
        with current.run.step(f"records of {day}"):
            for key in queries.records_of_day(day):
                current.run.check_time()
                clock.start_deadline()  # a page may be read next, and a day has many
                if key["subject"]["S"].startswith("pay_"):
                    current.changed_payments.add(key["subject"]["S"])


def _compare_changed_payments(current: Comparing) -> None:
    """Compare the changed payments to which no enrollment has led."""
    for payment_id in sorted(current.changed_payments):
        with current.run.step(payment_id):
            _compare_state(current, payment_id, [])


def _compare_users(current: Comparing) -> None:
    for user_id, items in queries.every_user():
        with current.run.step(user_id):
            current.users += 1
            problems = standings.problems(user_id, items)
            for problem in problems:
                _report_standing(current, problem)
            _compare_own_chain(current, user_id, items)
        for payment_id in _payments_with_money(items):
            with current.run.step(payment_id):
                about = [one.problem for one in problems if one.payment_id == payment_id]
                _compare_state(current, payment_id, about)
                current.changed_payments.discard(payment_id)


def _payments_with_money(items: Mapping[str, Item]) -> Iterator[str]:
    """Yield the payments that gave a user access or hold funds."""
    for sort_key, item in items.items():
        if sort_key != keys.USER_SORT_KEY and not keys.project_of(sort_key):
            for payment_id, standing in mapping.enrollment_from_raw(item).standings.items():
                if standing.grants or standing.granted or standing.holds_funds:
                    yield payment_id


def _report_standing(current: Comparing, problem: StandingProblem) -> None:
    ids = (problem.user_id, problem.track, *((problem.payment_id,) if problem.payment_id else ()))
    current.rows.append(Row("standing", current.last_day, None, 1, 0, ids, problem.payment_id))


def _compare_own_chain(current: Comparing, user_id: str, items: Mapping[str, Item]) -> None:
    """Verify the chain of a user's own records, which belongs to no payment. A commit may be newer than the items."""
    if keys.USER_SORT_KEY not in items:
        return
    for attempt in retry.attempts(retry.AUDIT_READ):
        own = items if attempt == 1 else queries.user_items(user_id)
        trail = queries.audit_trail(user_id)
        broken = audit.verify(user_id, trail, *mapping.chain_head(own[keys.USER_SORT_KEY]))
        if broken is None:
            return
    current.rows.append(Row("chain", current.last_day, None, 1, 0, (user_id,)))


def _compare_selling(current: Comparing) -> None:
    """Verify the records of the selling switch, which belongs to no user."""
    with current.run.step(selling.SUBJECT):
        if selling_view.verified()[2]:
            current.rows.append(Row("chain", current.last_day, None, 1, 0, (selling.SUBJECT,)))


def _compare_state(current: Comparing, payment_id: str, standing_problems: list[str]) -> None:
    """Compare one payment with its audit records, and look up at Stripe what no listed transaction shows."""
    payment, broken = _verified(payment_id)
    if payment is None:
        return  # its standing is in the report, if it has one; a restore loses payments that were never paid
    chain = "; ".join([*([f"record {broken.seq}: {broken.why}"] if broken else []), *standing_problems])
    problems = {"chain": chain[:MAX_PROBLEM_LENGTH]}
    if broken:
        current.rows.append(Row("chain", current.last_day, None, 1, 0, (payment_id,), payment_id))
    if payments.is_contradicted(payment):
        current.rows.append(Row("unconfirmed", current.last_day, None, 1, 0, (payment_id,), payment_id))
    stored, has_charge = payment.facts.compared.get("books"), payment.facts.balance is not None
    movements: list[Movement] = []
    missing = books.missing(payment, current.sources, current.first, current.last, has_charge=has_charge)
    if missing or (stored and stored.problem):
        rows, movements = walk.retry_rate_limits(_all_rows, payment)
        problems["books"] = books.problem(rows)
        reported = {(one.kind, one.ids) for one in current.rows}
        days = (timestamps.iso(current.first)[:10], current.last_day)
        differing = (one for one in rows if one.differs and days[0] <= one.day <= days[1])
        current.rows += [one for one in differing if (one.kind, one.ids) not in reported]
    state = ledger.load(payment.ref)
    if state.payment is not None:
        _store(current, state, movements, problems)


def _verified(payment_id: str) -> tuple[Payment | None, audit.Broken | None]:
    """Read a payment and verify its records. A commit between the two reads would look like tampering."""
    for _ in retry.attempts(retry.AUDIT_READ):
        items = queries.payments_by_id([payment_id])
        if not items:
            return None, None
        payment = mapping.payment_from_item(items[0])
        broken = audit.verify_payment(payment, queries.audit_trail(payment_id))
        if broken is None:
            break
    return payment, broken
