"""``make verify``: verify every audit chain in the tables, and compare what it leads to with what the tables hold.

It reads the tables of the local stack, or with ``--aws`` those of a deployed stack with the shell's credentials and
region, and changes nothing. Each chain of a payment is folded and compared with the payment: its newest hash, status,
amounts and facts. Enrollments, progress and customers are compared with the payments that explain them. With ``--copy``
the chains are also compared with the signed heads in an auditor's copy, which finds a chain that was hashed again.

A commit during the run looks like a difference, so each difference is read again before it is a finding. Exit codes: 0
the tables hold, 1 they do not, 2 they could not be verified. Memory is bounded: records are sorted on disk.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import sqlite3
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, add_stack_options, local_connection, physical_id
from tuition import clock
from tuition.core import audit, plan_checks, retention, switches, timestamps
from tuition.core import enrollment as enrollments
from tuition.core.enrollment import Enrollment, Standing
from tuition.core.facts import NO_FACTS
from tuition.core.payment import Payment
from tuition.core.plan import Plan
from tuition.core.refs import Grantor, is_plan
from tuition.core.switches import SwitchName
from tuition.storage import keys, mapping
from tuition.storage.items import CustomerItem

Item = dict[str, Any]
TABLES = ("AuditTable", "PaymentsTable", "PlansTable", "EnrollmentsTable", "CustomersTable", "CursorsTable")
READS = 3
"""Times that a subject is read before a difference is a finding: a commit between two reads looks like one."""
PAUSE_S = 0.5
ROWS_PER_INSERT = 1_000
CACHE_KB = 64_000
PROGRESS_S = 2.0
MAX_PRINTED = 200
"""Findings that are printed. The others are counted."""
HOLDS, DOES_NOT_HOLD, NOT_VERIFIED = 0, 1, 2
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""Errors of an item that the ledger has not written."""
LOST = ("lost", "prevented")
TEXTS = ("subject", "at", "event_id", "type", "source", "user_id", "previous", "hash")
"""The attributes that each audit item has as text."""
MAX_SEQ = 2**53
SCHEMA = """
CREATE TABLE records (subject TEXT, seq INTEGER, hash TEXT, record TEXT);
CREATE TABLE payments (payment_id TEXT PRIMARY KEY, user_id TEXT, summary TEXT) WITHOUT ROWID;
CREATE TABLE plans (plan_id TEXT PRIMARY KEY, user_id TEXT, summary TEXT) WITHOUT ROWID;
CREATE TABLE deleted (payment_id TEXT PRIMARY KEY, user_id TEXT) WITHOUT ROWID;
CREATE TABLE blocked (user_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE owners (subject TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE names (name TEXT);
CREATE TABLE heads (subject TEXT PRIMARY KEY, seq INTEGER, hash TEXT) WITHOUT ROWID;
"""
IDS_OF_USER = """
SELECT payment_id FROM payments WHERE user_id = ?1 UNION SELECT payment_id FROM deleted WHERE user_id = ?1
"""


class NotVerified(Exception):
    """Why nothing could be verified."""


class Tables:
    """Strongly consistent reads of a stack's tables. `names` are their names by logical id."""

    def __init__(self, client: Any, names: Mapping[str, str]) -> None:
        self._client, self._names = client, names

    def scan(self, table: str) -> Iterator[Item]:
        """Yield every item of a table. The items of one hash key follow each other."""
        start: Item = {}
        while True:
            page = self._client.scan(TableName=self._names[table], ConsistentRead=True, **start)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def get(self, table: str, key: Item) -> Item | None:
        """Return an item."""
        item: Item | None = self._client.get_item(TableName=self._names[table], Key=key, ConsistentRead=True).get(
            "Item"
        )
        return item

    def plan(self, plan_id: str) -> Plan | None:
        """Return a plan; None if it does not exist or cannot be read."""
        item = self.get("PlansTable", keys.plan_key(plan_id))
        return _plan(item) if item else None

    def partition(self, table: str, key: str, value: str) -> list[Item]:
        """Return the items of one hash key."""
        items: list[Item] = []
        start: Item = {}
        while True:
            page = self._client.query(
                TableName=self._names[table],
                ConsistentRead=True,
                KeyConditionExpression="#key = :key",
                ExpressionAttributeNames={"#key": key},
                ExpressionAttributeValues={":key": {"S": value}},
                **start,
            )
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def records(self, subject: str) -> list[Item]:
        """Return a subject's audit records."""
        return [_record(item) for item in self.partition("AuditTable", "subject", subject)]

    def payment(self, payment_id: str) -> Payment | None:
        """Return a payment."""
        item = self.get("PaymentsTable", keys.payment_key(payment_id))
        return mapping.payment_from_raw(item) if item else None

    def user_items(self, user_id: str) -> list[Item]:
        """Return a user's enrollments, progress and the head of their own chain."""
        return self.partition("EnrollmentsTable", "user_id", user_id)


def _record(item: Item) -> Item:
    """Return the body of an audit item with its hash: as `mapping.record_to_json`, but without pynamodb's model.

    Raises one of `UNREADABLE` for an item that the ledger has not written.
    """
    body: Item = {name: item[name]["S"] for name in TEXTS}
    body |= {"actor": item["actor"]["S"]} if "actor" in item else {}
    body |= {"track": item["track"]["S"] if "track" in item else None}
    body |= {"seq": int(item["seq"]["N"]), "schema_version": int(item["schema_version"]["N"])}
    if not 0 < body["seq"] <= MAX_SEQ:
        raise ValueError("seq is no position")
    for name in ("transition", "facts"):
        if name in item or name == "transition":
            body[name] = json.loads(item[name]["S"])
            if not isinstance(body[name], dict):
                raise TypeError(f"{name} is no object")
    return body


class PaymentSummary(NamedTuple):
    """The parts of a payment that explain its user's enrollment and customer."""

    payment_id: str
    user_id: str
    track: str
    grantor: Grantor
    erased: bool
    standing: Standing
    lost_disputes: frozenset[str]
    holds_first_purchase: bool

    @classmethod
    def of(cls, payment: Payment) -> PaymentSummary:
        """Return the summary of a payment."""
        lost = frozenset(key for key, dispute in payment.facts.disputes.items() if dispute.status in LOST)
        names = (payment.payment_id, payment.user_id, payment.product, payment.grantor)
        return cls(*names, payment.facts.erased, enrollments.standing_of(payment), lost, payment.holds_first_purchase)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps([*self[:5], asdict(self.standing), sorted(self.lost_disputes), self.holds_first_purchase])

    @classmethod
    def from_json(cls, text: str) -> PaymentSummary:
        """Return the summary that `to_json` wrote."""
        payment_id, user_id, track, grantor, erased, standing, lost, holds_first_purchase = json.loads(text)
        ids = (payment_id, user_id, track, grantor)
        return cls(*ids, erased, Standing(**standing), frozenset(lost), holds_first_purchase)


class PlanSummary(NamedTuple):
    """The parts of a plan that explain its user's enrollments. `products` are their codes."""

    plan_id: str
    user_id: str
    products: tuple[str, ...]
    erased: bool
    standing: Standing

    @classmethod
    def of(cls, plan: Plan) -> PlanSummary:
        """Return the summary of a plan."""
        products = tuple(dict.fromkeys((plan.product, *plan.tracks)))
        return cls(plan.plan_id, plan.user_id, products, plan.facts.erased, plan.standing)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps([*self[:4], asdict(self.standing)])

    @classmethod
    def from_json(cls, text: str) -> PlanSummary:
        """Return the summary that `to_json` wrote."""
        plan_id, user_id, products, erased, standing = json.loads(text)
        return cls(plan_id, user_id, tuple(products), erased, Standing(**standing))


class Verification:
    """One run over the tables. It keeps the items in a temporary database on disk."""

    def __init__(self, tables: Tables, folder: str) -> None:
        self._tables = tables
        self._other_folder = os.environ.get("SQLITE_TMPDIR")
        os.environ["SQLITE_TMPDIR"] = folder  # sorting spills here too
        self._db = sqlite3.connect(Path(folder) / "tables.sqlite", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{CACHE_KB}"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(SCHEMA)
        self._last_progress = time.monotonic()
        self.findings = self.records = self.payments = self.deleted = self.users = self.heads = 0

    def close(self) -> None:
        """Close the database. Its folder is removed by the caller, so later databases spill elsewhere."""
        self._db.close()
        del os.environ["SQLITE_TMPDIR"]
        if self._other_folder is not None:
            os.environ["SQLITE_TMPDIR"] = self._other_folder

    def run(self, copy: Path | None = None) -> None:
        """Verify everything. Raises `NotVerified` if there is nothing to verify, or if the copy has no heads."""
        self._load_records()
        if not self.records and next(self._tables.scan("PaymentsTable"), None) is None:
            raise NotVerified("the tables have no record and no payment")
        self._verify_payments()
        self._verify_deleted_payments()
        self._verify_plans()
        self._verify_users()
        self._verify_customers()
        self._verify_switches()
        self._verify_other_subjects()
        if copy is not None:
            self._compare_heads(copy)

    # --- reading ---

    def _load_records(self) -> None:
        rows = self._rows_of_records()
        while batch := list(itertools.islice(rows, ROWS_PER_INSERT)):
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", batch)
        self._progress("sorting the records", always=self.records > 0)
        self._db.execute("CREATE INDEX by_subject ON records (subject, seq)")

    def _rows_of_records(self) -> Iterator[tuple[str, int, str, str]]:
        for item in self._tables.scan("AuditTable"):
            self.records += 1
            self._progress(f"{self.records:,} records read")
            subject = item["subject"]["S"]
            try:
                record = _record(item)
                yield subject, int(record["seq"]), str(record["hash"]), json.dumps(record)
            except UNREADABLE as error:
                self.finding(subject, f"{item['sort_key']['S']} is no record ({type(error).__name__})")

    def _records_of(self, subject: str) -> list[Item]:
        self._db.execute("INSERT OR IGNORE INTO owners VALUES (?)", (subject,))
        rows = self._db.execute("SELECT record FROM records WHERE subject = ? ORDER BY seq", (subject,))
        return [json.loads(record) for (record,) in rows]

    def _payments_of(self, user_id: str) -> list[PaymentSummary]:
        rows = self._db.execute("SELECT summary FROM payments WHERE user_id = ?", (user_id,))
        return [PaymentSummary.from_json(summary) for (summary,) in rows]

    def _deleted_of(self, user_id: str) -> list[PaymentSummary]:
        """Return the deleted payments of a user as their records show them."""
        rows = self._db.execute("SELECT payment_id FROM deleted WHERE user_id = ?", (user_id,)).fetchall()
        payments = [_deleted(payment_id, self._records_of(payment_id)) for (payment_id,) in rows]
        return [PaymentSummary.of(payment) for payment in payments if payment]

    def _names(self, insert: str, *values: str) -> Iterator[str]:
        """Yield the names that a statement inserts into `names`: on disk, because the other tables change meanwhile."""
        self._db.execute("DELETE FROM names")
        self._db.execute(insert, values)
        for (name,) in self._db.execute("SELECT name FROM names ORDER BY rowid"):
            yield name

    # --- payments ---

    def _verify_payments(self) -> None:
        for item in self._tables.scan("PaymentsTable"):
            self.payments += 1
            self._progress(f"{self.payments:,} payments verified")
            payment_id = item["payment_id"]["S"]
            payment, records = _payment(item), self._records_of(payment_id)
            if payment is None or _payment_problem(payment, records):
                self._report_if_it_stays(payment_id, partial(self._payment_now, payment_id))
            if payment is not None:
                self._keep(PaymentSummary.of(payment))
        self._db.execute("CREATE INDEX by_user ON payments (user_id)")

    def _keep(self, payment: PaymentSummary) -> None:
        """Keep a payment for its user."""
        values = (payment.payment_id, payment.user_id, payment.to_json())
        self._db.execute("INSERT OR REPLACE INTO payments VALUES (?, ?, ?)", values)
        self._keep_blocked(payment)

    def _keep_blocked(self, payment: PaymentSummary) -> None:
        """Keep the name of a user whom the customer's item must block."""
        if payment.lost_disputes or payment.holds_first_purchase:
            self._db.execute("INSERT OR IGNORE INTO blocked VALUES (?)", (payment.user_id,))

    def _payment_now(self, payment_id: str) -> str | None:
        item = self._tables.get("PaymentsTable", keys.payment_key(payment_id))
        if item is None:
            return None
        try:
            payment = mapping.payment_from_raw(item)
        except UNREADABLE as error:
            return f"the payment cannot be read ({type(error).__name__})"
        return _payment_problem(payment, self._tables.records(payment_id))

    # --- plans ---

    def _verify_plans(self) -> None:
        for item in self._tables.scan("PlansTable"):
            plan_id = item["plan_id"]["S"]
            self._progress(f"plans verified, until {plan_id}")
            plan, records = _plan(item), self._records_of(plan_id)
            if plan is None or self._plan_problem(plan, records):
                self._report_if_it_stays(plan_id, partial(self._plan_now, plan_id))
            if plan is not None:
                values = (plan_id, plan.user_id, PlanSummary.of(plan).to_json())
                self._db.execute("INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", values)
        self._db.execute("CREATE INDEX plans_by_user ON plans (user_id)")

    def _plan_now(self, plan_id: str) -> str | None:
        item = self._tables.get("PlansTable", keys.plan_key(plan_id))
        if item is None:
            return None
        plan = _plan(item)
        return self._plan_problem(plan, self._tables.records(plan_id)) if plan else "the plan cannot be read"

    def _plan_problem(self, plan: Plan, records: Iterable[Item]) -> str | None:
        """Return why a plan is not what its records and payments lead to."""
        of_user = [payment.payment_id for payment in self._payments_of(plan.user_id) if payment.grantor == plan.plan_id]
        ids = dict.fromkeys([*plan.parts, *of_user])
        payments = {payment_id: payment for payment_id in ids if (payment := self._tables.payment(payment_id))}
        for payment_id in ids.keys() - payments.keys():
            deleted = _deleted(payment_id, self._tables.records(payment_id))
            payments |= {payment_id: deleted} if deleted else {}
        shown = plan_checks.of_payments(plan, payments)
        if shown.parts != plan.parts:
            return f"its parts lead to {plan.status}, but its payments to {shown.status}"
        return _why(plan_checks.broken(plan, _in_order(records)))

    def _plans_of(self, user_id: str) -> list[PlanSummary]:
        rows = self._db.execute("SELECT summary FROM plans WHERE user_id = ?", (user_id,))
        return [PlanSummary.from_json(summary) for (summary,) in rows]

    def _plans_now(self, user_id: str, items: Iterable[Item]) -> list[PlanSummary]:
        """Read the plans of a user that this run has seen, and those that the user's enrollments name."""
        ids = [plan.plan_id for plan in self._plans_of(user_id)]
        ids += [grantor for item in items if _is_enrollment(item) for grantor in _standings(item) if is_plan(grantor)]
        plans = [self._tables.plan(plan_id) for plan_id in dict.fromkeys(ids)]
        return [PlanSummary.of(plan) for plan in plans if plan and plan.user_id == user_id]

    # --- payments that were deleted after their retention period ---

    def _verify_deleted_payments(self) -> None:
        """Verify the chains that end with the deletion of their payment, and keep whose they are."""
        query = """
            INSERT INTO names
            SELECT DISTINCT subject FROM records WHERE json_extract(record, '$.type') = ? AND subject GLOB 'pay_*'
            AND subject NOT IN (SELECT subject FROM owners) ORDER BY 1
        """
        for payment_id in self._names(query, audit.EXPIRED_RECORD):
            self._progress(f"deleted payments verified, until {payment_id}")
            payment = _deleted(payment_id, self._records_of(payment_id))
            if payment is None:
                self._report_if_it_stays(payment_id, partial(self._orphan_now, payment_id))
                continue
            self.deleted += 1
            self._db.execute("INSERT INTO deleted VALUES (?, ?)", (payment_id, payment.user_id))
            self._keep_blocked(PaymentSummary.of(payment))
        self._db.execute("CREATE INDEX deleted_by_user ON deleted (user_id)")

    # --- users: enrollments, progress and their own chain ---

    def _verify_users(self) -> None:
        for user_id, group in itertools.groupby(
            self._tables.scan("EnrollmentsTable"), lambda item: item["user_id"]["S"]
        ):
            self.users += 1
            self._progress(f"{self.users:,} users verified")
            items = list(group)
            payments = [*self._payments_of(user_id), *self._deleted_of(user_id)]
            plans = self._plans_of(user_id)
            if _user_problem(user_id, items, payments, plans, self._records_of(user_id)):
                self._report_if_it_stays(user_id, partial(self._user_now, user_id))
        without = self._names(
            "INSERT INTO names SELECT user_id FROM (SELECT user_id FROM payments UNION SELECT user_id FROM deleted)"
            " WHERE user_id NOT IN (SELECT subject FROM owners) ORDER BY 1"
        )
        for user_id in without:
            self._report_if_it_stays(user_id, partial(self._user_now, user_id))

    def _user_now(self, user_id: str) -> str | None:
        items = self._tables.user_items(user_id)
        living, deleted = self._payments_now(user_id, items)
        plans = self._plans_now(user_id, items)
        return _user_problem(user_id, items, [*living, *deleted], plans, self._tables.records(user_id))

    def _payments_now(self, user_id: str, items: Iterable[Item]) -> tuple[list[PaymentSummary], list[PaymentSummary]]:
        """Read the payments of a user that this run has seen, and those that the user's enrollments name.

        Those that were deleted come second, as their records show them.
        """
        ids = [payment_id for (payment_id,) in self._db.execute(IDS_OF_USER, (user_id,))]
        standings = (key for item in items if _is_enrollment(item) for key in _standings(item))
        ids += [grantor for grantor in standings if not is_plan(grantor)]
        living, deleted = list[PaymentSummary](), list[PaymentSummary]()
        for payment_id in dict.fromkeys(ids):
            payment = self._tables.payment(payment_id)
            gone = None if payment else _deleted(payment_id, self._tables.records(payment_id))
            living += [PaymentSummary.of(payment)] if payment and payment.user_id == user_id else []
            deleted += [PaymentSummary.of(gone)] if gone and gone.user_id == user_id else []
        return living, deleted

    # --- customers ---

    def _verify_customers(self) -> None:
        for item in self._tables.scan("CustomersTable"):
            user_id = item["user_id"]["S"]
            self._progress(f"customers verified, until {user_id}")
            self._db.execute("DELETE FROM blocked WHERE user_id = ?", (user_id,))
            if _customer_problem(item, self._payments_of(user_id), self._deleted_of(user_id)):
                self._report_if_it_stays(f"customer {user_id}", partial(self._customer_now, user_id))
        for user_id in self._names("INSERT INTO names SELECT user_id FROM blocked ORDER BY 1"):
            self._report_if_it_stays(f"customer {user_id}", partial(self._customer_now, user_id))

    def _customer_now(self, user_id: str) -> str | None:
        key = keys.customer_key(user_id)
        item = self._tables.get("CustomersTable", key) or key
        return _customer_problem(item, *self._payments_now(user_id, self._tables.user_items(user_id)))

    # --- the other chains ---

    def _verify_switches(self) -> None:
        for name, subject in switches.SUBJECTS.items():
            self._records_of(subject)
            self._report_if_it_stays(subject, partial(self._switch_now, name))

    def _switch_now(self, name: SwitchName) -> str | None:
        switch = mapping.switch_from_raw(name, self._tables.get("CursorsTable", keys.cursor_key(name)))
        return _why(switches.verify(switch, self._tables.records(switches.SUBJECTS[name])))

    def _verify_other_subjects(self) -> None:
        """Report chains without an owner: a payment or the head of a user was removed, or the records are forged."""
        others = "SELECT DISTINCT subject FROM records WHERE subject NOT IN (SELECT subject FROM owners) ORDER BY 1"
        for subject in self._names(f"INSERT INTO names {others}"):
            self._report_if_it_stays(subject, partial(self._orphan_now, subject))

    def _orphan_now(self, subject: str) -> str | None:
        if is_plan(subject):
            exists = self._tables.get("PlansTable", keys.plan_key(subject))
            return self._plan_now(subject) if exists else "it has records, but the plan does not exist"
        if subject.startswith("pay_"):
            if self._tables.get("PaymentsTable", keys.payment_key(subject)):
                return self._payment_now(subject)
            records = _in_order(self._tables.records(subject))
            if retention.is_marked(records):
                return retention.problem(subject, records, timestamps.iso(clock.now()))
            return "it has records, but the payment does not exist"
        return self._user_now(subject)

    # --- the heads of an auditor's copy ---

    def _compare_heads(self, copy: Path) -> None:
        """Compare the newest signed head of each subject with the record at its position."""
        for path in sorted((copy / "digests" / "heads").glob("dt=*/*.jsonl.gz")):
            self._progress(f"heads of {path.parent.name} {path.name[:2]}")
            try:
                heads = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
                rows = [(str(head["subject"]), int(head["seq"]), str(head["hash"])) for head in heads]
            except (OSError, EOFError, zlib.error, *UNREADABLE) as error:
                raise NotVerified(f"{path} cannot be read ({error})") from error
            self._db.executemany(
                "INSERT INTO heads VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq, hash = excluded.hash"
                " WHERE excluded.seq > seq",
                rows,
            )
        self.heads = self._db.execute("SELECT count(*) FROM heads").fetchone()[0]
        if not self.heads:
            raise NotVerified(f"{copy} has no heads (digests/heads/dt=…/HH.jsonl.gz)")
        query = """
            SELECT heads.subject, heads.seq, heads.hash, records.hash FROM heads
            LEFT JOIN records ON records.subject = heads.subject AND records.seq = heads.seq
            WHERE records.hash IS NOT heads.hash ORDER BY 1
        """
        for subject, seq, signed, stored in self._db.execute(query):
            what = "the tables have no record there" if stored is None else f"the record there has {stored}"
            self.finding(subject, f"the digests have {signed} at position {seq}, but {what}")

    # --- the report ---

    def _report_if_it_stays(self, subject: str, check: Callable[[], str | None]) -> None:
        """Read a subject again, and report the difference if it is there each time."""
        problem = ""
        for number in range(READS):
            time.sleep(PAUSE_S if number else 0)
            try:
                current = check()
            except UNREADABLE as error:
                current = f"an item cannot be read ({type(error).__name__})"
            if current is None:
                return
            problem = current
        self.finding(subject, problem)

    def finding(self, subject: str, text: str) -> None:
        """Report something that the ledger cannot have written."""
        self.findings += 1
        if self.findings <= MAX_PRINTED:
            line = f"FINDING {subject}: {text}"
            print("".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in line))
        if self.findings == MAX_PRINTED:
            print("FINDING: further ones are counted, not printed")

    def _progress(self, text: str, *, always: bool = False) -> None:
        if always or time.monotonic() - self._last_progress >= PROGRESS_S:
            self._last_progress = time.monotonic()
            print(text, file=sys.stderr, flush=True)


# --- the rules ---


def _why(broken: audit.Broken | None) -> str | None:
    return f"record {broken.seq}: {broken.why}" if broken else None


def _payment(item: Item) -> Payment | None:
    """Return the payment of an item; None if it cannot be read."""
    try:
        return mapping.payment_from_raw(item)
    except UNREADABLE:
        return None


def _payment_problem(payment: Payment, records: Iterable[Item]) -> str | None:
    """Return why a payment is not what its records lead to, or not as an erasure leaves it."""
    try:
        broken = _why(audit.verify_payment(payment, records))
        if not broken and payment.facts.erased and payment.merged(NO_FACTS) != payment:
            return "the data of its user were erased, but it has some of them"
        return broken
    except UNREADABLE as error:
        return f"the payment cannot be read ({type(error).__name__})"


def _in_order(records: Iterable[Item]) -> list[Item]:
    return sorted(records, key=lambda record: int(record["seq"]))


def _deleted(payment_id: str, records: Iterable[Item]) -> Payment | None:
    """Return a payment that was deleted after its retention period, as its records show it; None if it was not."""
    return retention.deleted(payment_id, _in_order(records), timestamps.iso(clock.now()))


def _plan(item: Item) -> Plan | None:
    """Return the plan of an item; None if it cannot be read."""
    try:
        return mapping.plan_from_raw(item)
    except UNREADABLE:
        return None


def _is_enrollment(item: Item) -> bool:
    return "#" not in item["sort_key"]["S"]


def _standings(item: Item) -> Mapping[str, Any]:
    return mapping.enrollment_from_raw(item).standings


def _user_problem(
    user_id: str,
    items: Iterable[Item],
    payments: Iterable[PaymentSummary],
    plans: Iterable[PlanSummary],
    records: list[Item],
) -> str | None:
    """Return why a user's enrollments, progress and own records are not what payments and records lead to."""
    by_key = {item["sort_key"]["S"]: item for item in items}
    try:
        tracks = {key: mapping.enrollment_from_raw(item) for key, item in by_key.items() if _is_enrollment(item)}
        broken = audit.verify(user_id, records, *mapping.chain_head(by_key.get(keys.USER_SORT_KEY)))
    except UNREADABLE as error:
        return f"an enrollment cannot be read ({type(error).__name__})"
    return _why(broken) or _standings_problem(tracks, by_key, payments, plans) or _progress_problem(tracks, by_key)


def _standings_problem(
    tracks: Mapping[str, Enrollment],
    by_key: Mapping[str, Item],
    payments: Iterable[PaymentSummary],
    plans: Iterable[PlanSummary],
) -> str | None:
    expected: dict[str, dict[str, Any]] = {track: {} for track in tracks}
    for payment in payments:
        if payment.erased and payment.track in tracks and not tracks[payment.track].erased:
            return f"{payment.track}: the data of the user were erased, but the enrollment does not say so"
        standing = payment.standing
        has_own = standing.counts and not is_plan(payment.grantor)
        expected.setdefault(payment.track, {}).update({payment.grantor: standing} if has_own else {})
    for plan in plans:
        for product in plan.products:
            own = {plan.plan_id: plan.standing} if plan.standing.counts else {}
            expected.setdefault(product, {}).update(own)
    for track, standings in expected.items():
        if track not in tracks:
            return f"{track}: payments exist, but no enrollment"
        stored, standings = tracks[track].standings, enrollments.kept(standings)
        different = [key for key in {**stored, **standings} if stored.get(key) != standings.get(key)]
        if different:
            held, due = _text(stored, different), _text(standings, different)
            return f"{track}: the enrollment has {held}, but the payments {due}"
        status = by_key[track].get("status", {}).get("S")
        if status != tracks[track].status:
            return f"{track}: its status is {status}, but its payments lead to {tracks[track].status}"
    return None


def _progress_problem(tracks: Mapping[str, Enrollment], by_key: Mapping[str, Item]) -> str | None:
    enrolled = {track for track, enrollment in tracks.items() if enrollment.status == "ENROLLED"}
    for sort_key, item in by_key.items():
        is_unlocked = bool(keys.project_of(sort_key)) and mapping.progress_from_raw(item).unlocked
        if is_unlocked and sort_key.partition("#")[0] not in enrolled:
            return f"{sort_key} is unlocked without an enrollment"
    return None


def _text(standings: Mapping[str, Any], ids: Iterable[str]) -> str:
    """Return standings in words: what is true of each payment."""
    return ", ".join(
        f"{key} ({' '.join(name for name, value in asdict(standings[key]).items() if value is True) or 'nothing'})"
        if key in standings
        else f"no {key}"
        for key in ids
    )


def _customer_problem(item: Item, payments: list[PaymentSummary], deleted: list[PaymentSummary]) -> str | None:
    """Return why a customer's lost disputes and first purchases, which block purchases, are not those of payments.

    Those of deleted payments stay. Their records do not say whether they claimed the first purchase, so they may.
    """
    try:
        customer = CustomerItem.from_raw_data(item)
        disputes, claims = set(customer.lost_disputes or ()), set(customer.first_purchases or ())
        is_erased = bool(customer.erasure and customer.erasure["state"] == "erased")
    except UNREADABLE as error:
        return f"the customer cannot be read ({type(error).__name__})"
    if is_erased and (customer.stripe_customer_id or customer.email):
        return "the data of the user were erased, but the customer has some of them"
    lost = {dispute for payment in (*payments, *deleted) for dispute in payment.lost_disputes}
    if disputes != lost:
        return f"the payments have lost {sorted(lost)}, but the customer has {sorted(disputes)}"
    holders = {payment.payment_id for payment in payments if payment.holds_first_purchase}
    if claims - {payment.payment_id for payment in deleted} != holders:
        return f"the first purchases are {sorted(holders)}, but the customer has {sorted(claims)}"
    return None


def connect(*, stack: str, aws: bool, api_port: int | None = None) -> Tables:
    """Return the tables of a stack. Raises `CommandFailed` or boto3's errors."""
    connection = {} if aws else local_connection(api_port)
    config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "adaptive", "total_max_attempts": 10})
    names = {table: physical_id(stack, table, connection) for table in TABLES}
    return Tables(boto3.client("dynamodb", config=config, **connection), names)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the tables hold, 1 if they do not, 2 if they could not be verified."""
    parser = argparse.ArgumentParser(prog="make verify", description=__doc__)
    parser.add_argument("--copy", type=Path, help="an auditor's copy, which tuition_verify.py has verified")
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    try:
        tables = connect(stack=options.stack, aws=options.aws, api_port=options.api_port)
        return verify(tables, options.copy)
    except (NotVerified, CommandFailed, ClientError, BotoCoreError, OSError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return NOT_VERIFIED


def verify(tables: Tables, copy: Path | None = None) -> int:
    """Verify the tables, print the result, and return the exit code."""
    with (
        tempfile.TemporaryDirectory(prefix="tuition-verify-") as folder,
        closing(Verification(tables, folder)) as run,
    ):
        run.run(copy)
        deleted = f" and {run.deleted:,} deleted ones" if run.deleted else ""
        counts = f"{run.records:,} records, {run.payments:,} payments{deleted}, {run.users:,} users"
        print(f"{counts}: {run.findings:,} findings" if run.findings else f"{counts}: the tables hold")
        if copy is None:
            print("Not shown: whether a chain was hashed again or rolled back together with its payment. Pass --copy.")
        else:
            print(f"{run.heads:,} subjects compared with the heads of {copy}")
        return DOES_NOT_HOLD if run.findings else HOLDS


if __name__ == "__main__":
    raise SystemExit(main())
