"""Compare our books with Stripe's: what each task of the daily audit does.

`tuition.intake.audit_run` plans the tasks of a day and adds up what they find. A task goes page by page:

- `movements`: Stripe's balance transactions of a window, with their sources. Each charge, refund and dispute is
  compared with the payment that it belongs to, in the charge's currency. Those of other apps are counted as foreign.
  The payment stores the transaction, and Stripe's fee, in the commit that confirms it.
- `changed`: the payments and users with an audit record in a part of a day. Each payment's state is compared with its
  audit records, each user's access with their payments. An amount that no transaction shows, and a transaction that the
  payment does not explain, are looked up at Stripe.
- `subjects`: the same for those that differed in the last audit, and for the switches.
- `users` and `every_payment`: the same for a segment of a whole table.

A difference raises attention on its payment. One that belongs to no payment is in the report alone.

A task stores a checkpoint behind each page: its position, and what it has found until there. A task that is killed or
has no time left continues there, so nothing is lost and nothing counts twice. A step that fails is passed over, and is
the last one of the next attempt. Everything is committed through the ledger and may be repeated.

Source: https://docs.stripe.com/api/balance_transactions/list
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tuition import clock, retry
from tuition.core import audit, books, plan_checks, retention, switches, timestamps
from tuition.core import payment as payments
from tuition.core.audit import AuditEntry
from tuition.core.books import MAX_FAILED, MAX_PROBLEM_LENGTH, Findings, Movement, Row
from tuition.core.errors import StripeRefused
from tuition.core.facts import NO_FACTS, Comparison, Facts
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef, is_plan
from tuition.core.stripe_json import MAX_TIMESTAMP
from tuition.core.switches import SwitchName
from tuition.intake import walk
from tuition.intake.walk import OutOfTime, Run
from tuition.storage import dynamodb, keys, ledger, mapping, queries, tasks
from tuition.storage.dynamodb import Item
from tuition.storage.items import EnrollmentItem, PaymentItem
from tuition.storage.ledger import Change
from tuition.storage.tasks import Claim, Task
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, objects, rebuild, resolve
from tuition.stripe_gateway.resolve import Expired
from tuition.views import standings
from tuition.views import switches as switches_view
from tuition.views.standings import StandingProblem

RECORDS_PER_PAGE = 200
ITEMS_PER_PAGE = 100
"""Of one page. An invocation can finish it, also if each payment is looked up at Stripe."""
PAYMENTS_PER_READ = 100
END = "end"
"""The position of a task that has gone through its last page."""


@dataclass
class Comparing:
    """One page, or the retry of what failed: the task, and what was found in it."""

    run: Run
    task: Task
    findings: Findings = field(default_factory=Findings)

    @property
    def day(self) -> str:
        """The last day that is compared, to which differences without a day belong."""
        return timestamps.iso(self.task.until - 1)[:10]

    @contextmanager
    def unit(self, *names: str) -> Iterator[None]:
        """Run one step. If it fails, these names are what the next attempt has to do."""
        count = len(self.run.failed)
        with self.run.step(names[-1]):
            yield
        if len(self.run.failed) > count:
            self.findings.failed |= dict.fromkeys(names, self.run.failed[-1])


def perform(run: Run, claimed: Claim, budget_s: float) -> bool:
    """Perform a task from its checkpoint on, and finish it. Return False if something of it is left.

    With more than a page left, it stops after `budget_s` seconds. Raises `OutOfTime`, and as `Run.step`.
    """
    progress = claimed.progress or {}
    position, findings = progress.get("position", ""), Findings.from_json(progress.get("findings", {}))
    if progress.get("begins_again"):
        findings = Findings()
    kind, ends = KINDS[claimed.task.kind], clock.monotonic() + budget_s
    if position == END:
        page = Comparing(run, claimed.task)
        failed, findings.failed = list(findings.failed), {}
        kind.repeat(page, failed)
        findings.add(page.findings)
    while position != END:
        run.check_time()
        if clock.monotonic() > ends:
            return False
        clock.start_deadline()
        page = Comparing(run, claimed.task)
        position = kind.page(page, position)
        findings.add(page.findings)
        if position != END and not _store_progress(claimed, position, findings):
            return False
    if findings.failed:
        too_many = len(findings.failed) > MAX_FAILED
        _store_progress(claimed, "" if too_many else END, findings, begins_again=too_many)
        return False
    clock.start_deadline()
    tasks.finish(claimed, findings.to_json())
    return True


def has_failed(progress: Mapping[str, Any] | None) -> bool:
    """Whether a task has gone through its last page, and something of it has failed."""
    return progress is not None and (progress["position"] == END or progress["begins_again"])


def _store_progress(claimed: Claim, position: str, findings: Findings, *, begins_again: bool = False) -> bool:
    clock.start_deadline()
    stored = {"position": position, "findings": findings.to_json(), "begins_again": begins_again}
    return tasks.checkpoint(claimed, stored)


# --- the movements of the balance ---


def _page_of_movements(current: Comparing, after: str) -> str:
    """Compare one page of the balance transactions of a window. `after` is the id of the transaction before it."""
    page = walk.page_created("balance_transactions", current.task.first, current.task.last, after or None)
    _compare_movements(current, page["data"])
    return str(page["data"][-1]["id"]) if page["has_more"] else END


def _repeat_movements(current: Comparing, names: Iterable[str]) -> None:
    """Compare the transactions that failed. Each name has the second in which Stripe created the transaction."""
    names = set(names)
    for second in sorted({int(name.partition("@")[2]) for name in names}):
        listed = [one for one, _ in walk.list_created("balance_transactions", second, second)]
        _compare_movements(current, [one for one in listed if _name(one) in names])


def _name(transaction: Mapping[str, Any]) -> str:
    return f"{transaction['id']}@{transaction['created']}"


def _compare_movements(current: Comparing, transactions: Iterable[dict[str, Any]]) -> None:
    by_payment: dict[PaymentRef, dict[str, Movement]] = defaultdict(dict)
    for transaction in transactions:
        with current.unit(_name(transaction)):
            moved = books.movement(transaction)
            if moved is None:
                continue
            resolved = stripe_client.retry_rate_limits(resolve.resolve_or_expired, transaction["source"], moved.kind)
            if resolved is None:
                current.findings.foreign += 1
            elif isinstance(resolved, Expired):
                current.findings.expired += 1
            else:
                by_payment[resolved.ref][_name(transaction)] = moved
    for ref, movements in by_payment.items():
        with current.unit(*movements):
            _compare_payment(current, ref, list(movements.values()))


def _compare_payment(current: Comparing, ref: PaymentRef, movements: list[Movement]) -> None:
    """Compare the movements of one payment with it, and store them, the result and the fee."""
    state = ledger.load(ref)
    rows = [books.row(state.payment, moved) for moved in movements]
    others: list[Row] = []
    if state.payment is not None:
        problems = {"books": _problem(state.payment)} if any(one.differs for one in rows) else {}
        after = _store(current, state, movements, problems)
        # the payment stores only so many, and these need not be among them
        by_id = {one.transaction_id: one for one in [*books.stored_movements(after.existing), *movements]}
        others = books.duplicates(after.existing, by_id.values())
        if others:  # another task may have stored the other one
            _store(current, after, [], {"books": _problem(after.existing)})
    for row in rows:
        current.findings.list_row(row)
    current.findings.others += [row for row in others if row.day <= current.day]
    current.findings.checked += 1


def _problem(payment: Payment) -> str:
    return books.problem(stripe_client.retry_rate_limits(_all_rows, payment)[0])


def _all_rows(payment: Payment) -> tuple[list[Row], list[Movement]]:
    """Ask Stripe for every movement of a payment, of any day, and compare them with it."""
    sources = _sources(payment)
    transactions = [one for source in sources for one in stripe_client.list_balance_transactions(source)]
    movements = [moved for moved in map(books.movement, transactions) if moved is not None]
    has_charge = any(books.is_own_charge(payment, moved) for moved in movements)
    shown = {moved.source_id for moved in movements}
    missing = books.missing(payment, shown, MAX_TIMESTAMP, has_charge=has_charge)
    twice = books.duplicates(payment, movements)
    return [*(books.row(payment, moved) for moved in movements), *missing, *twice], movements


def _must_look_up(payment: Payment, until: int) -> bool:
    """Whether the movements that a payment has stored, and its amounts until before `until`, do not explain each other.

    An earlier audit has stored each movement that it listed, up to a limit.
    """
    if not payment.facts.has_all_balance_transactions:
        return True
    movements = books.stored_movements(payment)
    has_charge = payment.facts.balance is not None or any(books.is_own_charge(payment, moved) for moved in movements)
    shown = {moved.source_id for moved in movements}
    if books.missing(payment, shown, until, has_charge=has_charge) or books.duplicates(payment, movements):
        return True
    return any(books.row(payment, moved).differs for moved in movements)


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


def _store(
    current: Comparing,
    state: PaymentState,
    movements: Sequence[Movement],
    problems: Mapping[str, str],
    declared: Facts = NO_FACTS,
) -> PaymentState:
    """Commit what is new about a payment: its fee, that Stripe confirms it, and what differs or no longer does.

    `declared` is what its records have of the student's declarations. A release that does not know them may have
    dropped them.
    """

    def decide(before: PaymentState) -> Change | None:
        payment = before.existing
        after = payment.merged(Facts(balance_transactions={moved.transaction_id: moved.fact for moved in movements}))
        for moved in movements:
            if books.is_own_charge(payment, moved):
                confirmed = books.confirmed_by(payment, moved)
                after = after.merged(
                    Facts(balance=moved.balance, confirmed=None if payment.facts.confirmed else confirmed)
                )
        if payment.facts.withdrawn is None:
            after = after.merged(Facts(withdrawn=declared.withdrawn))
        if payment.facts.agreed is None:
            after = after.merged(Facts(agreed=declared.agreed))
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
    current.findings.confirmed += is_confirmed
    return after


# --- payments and users: their state, their access, and the audit records of both ---


def _page_of_records(current: Comparing, position: str) -> str:
    """Compare the subjects of one page of records. `position` is where the page starts in the index."""
    first, until = position or timestamps.iso(current.task.first), timestamps.iso(current.task.last)
    page = queries.page_of_records(current.task.shard, first, until, RECORDS_PER_PAGE)
    _compare_subjects(current, dict.fromkeys(item["subject"]["S"] for item in page.items))
    return queries.after_record(page.items[-1]) if page.last_key else END


def _page_of_subjects(current: Comparing, position: str) -> str:
    """Compare one page of the subjects that the task has. `position` is the number of the first."""
    start = int(position or 0)
    end = start + ITEMS_PER_PAGE
    _compare_subjects(current, current.task.subjects[start:end])
    return str(end) if end < len(current.task.subjects) else END


def _page_of_users(current: Comparing, position: str) -> str:
    """Compare the users of one page of their table. The last user of a page may go on in the next one."""
    page = _scanned(current, EnrollmentItem, position)
    counted = json.loads(position)["user_id"]["S"] if position else None
    by_user: dict[str, dict[str, Item]] = defaultdict(dict)
    for item in page.items:
        by_user[item["user_id"]["S"]][item["sort_key"]["S"]] = item
    end = page.last_key
    if end and len(by_user) > 1:
        by_user.popitem()
        last_user, items = next(reversed(by_user.items()))
        end = keys.enrollment_key(last_user, next(reversed(items)))
    for user_id, items in by_user.items():
        current.findings.users += user_id != counted
        current.findings.scanned += len(items)
        _compare_user(current, user_id, [], items)
    return json.dumps(end) if end else END


def _page_of_payments(current: Comparing, position: str) -> str:
    """Compare the payments of one page of their table."""
    page = _scanned(current, PaymentItem, position)
    for item in page.items:
        current.findings.scanned += 1
        payment_id = item["payment_id"]["S"]
        with current.unit(payment_id):
            if not _is_in_order(mapping.payment_from_raw(item), current.task.until):
                _compare_subjects(current, [payment_id])
    return json.dumps(page.last_key) if page.last_key else END


def _scanned(current: Comparing, model: type[EnrollmentItem | PaymentItem], position: str) -> dynamodb.Page:
    task, start = current.task, json.loads(position) if position else None
    return dynamodb.scan_page(model, segment=task.segment, segments=task.segments, limit=ITEMS_PER_PAGE, start=start)


def _is_in_order(payment: Payment, until: int) -> bool:
    """Whether nothing about a payment differs, as far as its own item and its records show. It costs one query."""
    if any(one.problem for one in payment.facts.compared.values()) or payments.is_contradicted(payment):
        return False
    if audit.verify_payment(payment, queries.audit_trail(payment.payment_id)):
        return False
    return not _must_look_up(payment, until)


def _compare_subjects(current: Comparing, subjects: Iterable[str]) -> None:
    """Compare payments, each with its user, and users, by their ids, and the switches."""
    by_user: dict[str, list[str]] = {}
    payment_ids = []
    for subject in subjects:
        if subject in switches.OF_SUBJECTS:
            _compare_switch(current, switches.OF_SUBJECTS[subject])
        elif subject.startswith("pay_"):
            payment_ids.append(subject)
        elif is_plan(subject):
            user_id = _compare_plan(current, subject)
            if user_id:
                by_user.setdefault(user_id, [])
        else:
            by_user[subject] = []
    for batch in itertools.batched(payment_ids, PAYMENTS_PER_READ, strict=False):
        with current.unit(*batch):
            items = queries.payments_by_id(list(batch))
            for item in items:
                by_user.setdefault(item.user_id, []).append(item.payment_id)
            _verify_expired(current, {*batch} - {item.payment_id for item in items})
    for user_id, ids in by_user.items():
        _compare_user(current, user_id, ids)


def _verify_expired(current: Comparing, payment_ids: Iterable[str]) -> None:
    """Verify the records of payments that were deleted after their retention period. The last one ends the chain.

    One that says that its payment was deleted before its time is forged.
    A payment that is missing without such a record is in the report if it has a standing.
    """
    for payment_id in payment_ids:
        trail = queries.audit_trail(payment_id)
        if retention.is_marked(trail) and retention.problem(payment_id, trail, timestamps.iso(clock.now())):
            current.findings.others.append(Row("chain", current.day, None, 1, 0, (payment_id,), payment_id))


def _compare_user(
    current: Comparing, user_id: str, payment_ids: Sequence[str], items: Mapping[str, Item] | None = None
) -> None:
    """Compare a user's access and own records, then these payments, and those that do not explain the access.

    `items` are the user's items, or some of them, as far as they have been read.
    """
    problems: list[StandingProblem] | None = None
    with current.unit(*payment_ids, user_id):
        items = queries.user_items(user_id) if items is None else items
        problems = standings.problems(user_id, items)
        is_broken = _has_broken_chain(user_id, items)
        for problem in problems:
            ids = (user_id, problem.track, *((problem.grantor,) if problem.grantor else ()))
            current.findings.others.append(Row("standing", current.day, None, 1, 0, ids, problem.grantor))
        if is_broken:
            current.findings.others.append(Row("chain", current.day, None, 1, 0, (user_id,)))
    if problems is None:
        return
    named = [one.grantor for one in problems if one.grantor]
    for payment_id in dict.fromkeys([*payment_ids, *named]):
        with current.unit(payment_id):
            _compare_state(current, payment_id, [one.problem for one in problems if one.grantor == payment_id])


def _has_broken_chain(user_id: str, items: Mapping[str, Item]) -> bool:
    """Verify the chain of a user's own records, which belongs to no payment. A commit may be newer than the items."""
    if keys.USER_SORT_KEY not in items:
        return False
    for attempt in retry.attempts(retry.AUDIT_READ):
        own = items if attempt == 1 else queries.user_items(user_id)
        trail = queries.audit_trail(user_id)
        if audit.verify(user_id, trail, *mapping.chain_head(own[keys.USER_SORT_KEY])) is None:
            return False
    return True


def _compare_plan(current: Comparing, plan_id: str) -> str | None:
    """Verify the records of a plan, and its parts by its payments. Return its user; None if it does not exist.

    A plan that is missing is in the report if it has a standing. A commit may come in between two reads.
    """
    user_id: str | None = None
    with current.unit(plan_id):
        problem = False
        for _ in retry.attempts(retry.AUDIT_READ):
            plan = next(iter(queries.plans_by_id([plan_id])), None)
            if plan is None:
                return None
            user_id = plan.user_id
            shown = standings.plans_by_payments([plan_id])[plan_id]
            problem = bool(plan_checks.broken(plan, queries.audit_trail(plan_id))) or shown.parts != plan.parts
            if not problem:
                break
        if problem:
            current.findings.others.append(Row("chain", current.day, None, 1, 0, (plan_id,)))
    return user_id


def _compare_switch(current: Comparing, name: SwitchName) -> None:
    """Verify the records of a switch, which belongs to no user."""
    subject = switches.SUBJECTS[name]
    with current.unit(subject):
        if switches_view.verified(name)[2]:
            current.findings.others.append(Row("chain", current.day, None, 1, 0, (subject,)))


def _compare_state(current: Comparing, payment_id: str, standing_problems: list[str]) -> None:
    """Compare one payment with its audit records, and look up at Stripe what no stored transaction shows."""
    payment, broken, declared = _verified(payment_id)
    if payment is None:
        return  # its standing is in the report, if it has one; a restore loses payments that were never paid
    chain = "; ".join([*([f"record {broken.seq}: {broken.why}"] if broken else []), *standing_problems])
    # The commit that stores a problem of the access also corrects the access, so the same audit would find it mended.
    is_older = timestamps.epoch(payment.updated_at) < current.task.planned_at
    problems = {"chain": chain[:MAX_PROBLEM_LENGTH]} if chain or is_older else {}
    rows: list[Row] = []
    if broken:
        rows.append(Row("chain", current.day, None, 1, 0, (payment_id,), payment_id))
    if payments.is_contradicted(payment):
        rows.append(Row("unconfirmed", current.day, None, 1, 0, (payment_id,), payment_id))
    stored = payment.facts.compared.get("books")
    movements: list[Movement] = []
    if (stored and stored.problem) or _must_look_up(payment, current.task.until):
        looked_up, movements = stripe_client.retry_rate_limits(_all_rows, payment)
        problems["books"] = books.problem(looked_up)
        rows += [one for one in looked_up if one.differs and one.day <= current.day]
    state = ledger.load(payment.ref)
    if state.payment is not None:
        _store(current, state, movements, problems, declared)
    current.findings.others += rows


def _verified(payment_id: str) -> tuple[Payment | None, audit.Broken | None, Facts]:
    """Read a payment, verify its records, and return what they have of the student's declarations.

    A commit between the two reads would look like tampering.
    """
    for _ in retry.attempts(retry.AUDIT_READ):
        items = queries.payments_by_id([payment_id])
        if not items:
            return None, None, NO_FACTS
        payment, trail = mapping.payment_from_item(items[0]), queries.audit_trail(payment_id)
        broken = audit.verify_payment(payment, trail)
        if broken is None:
            break
    return payment, broken, rebuild.declared_in(trail)


# --- the kinds of tasks ---


@dataclass(frozen=True)
class TaskKind:
    """How a kind of task does one page from a position and returns the next one, and how it repeats what failed."""

    page: Callable[[Comparing, str], str]
    repeat: Callable[[Comparing, Iterable[str]], None] = _compare_subjects


KINDS: Mapping[str, TaskKind] = {
    "movements": TaskKind(_page_of_movements, _repeat_movements),
    "changed": TaskKind(_page_of_records),
    "subjects": TaskKind(_page_of_subjects),
    "users": TaskKind(_page_of_users),
    "every_payment": TaskKind(_page_of_payments),
}


def work(name: str, remaining: Callable[[], float]) -> None:
    """Perform one task of the audit, as a worker, as far as the time allows. Raises as `Run.step`.

    The audit's own run performs what is left of it, or tells a worker about it again.
    """
    clock.start_deadline()
    claimed = tasks.claim(name, remaining())
    if claimed is None:
        return
    is_finished = False
    try:
        if claimed.task.kind in KINDS:  # a kind that only a later release knows is left to it
            is_finished = perform(Run(remaining), claimed, remaining())
    except OutOfTime:
        pass
    finally:
        if not is_finished:
            clock.start_deadline()
            tasks.release(claimed)
