"""The declaration of all data: every attribute that Tuition stores, publishes, mails, logs, queues and archives.

The code says which attributes there are, and mostly whether they are personal: models, dataclasses, shapes, schemas.
This module adds only what the code does not say. A personal attribute has a category, which gives its purpose, its
legal basis and its end. Any other attribute has those of its store.

To declare an attribute:

- of a table: `personal(…)` or `not_personal(…)` in `storage/items.py`. A personal one also has a line in `CATEGORIES`.
- of the facts: `DECLARED` in `core/recorded_facts.py`. A withheld field also has a line in `CATEGORIES`.
- of a record, an archived object or an event: `core/archive.py` and `tools/published_events.py`. None is personal.
- inside another JSON value: a field of its dataclass, or a line in `_PARTS`. If the whole attribute is personal, each
  part has a line in `CATEGORIES` or `NOT_PERSONAL`.
- of an email or a log line: a line in `EMAIL_VALUES` or `LOG_FIELDS`.
- a column of an export: a line in `CATEGORIES` or `NOT_PERSONAL`, unless the payment's item has the attribute.
- a store: a line in `stores`.

Then `python -m tools.privacy` writes docs/privacy.md.

Source: https://eur-lex.europa.eu/eli/reg/2016/679/oj, Articles 4, 6 and 30
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args, get_type_hints

from pynamodb.models import Model

from local.build import ROOT
from local.deploy import read_template
from tools import published_events as reference
from tuition import metrics
from tuition.core import archive, recorded_facts, recorded_plan_facts
from tuition.core.archive import Each
from tuition.core.attention import AttentionReason
from tuition.core.enrollment import Standing
from tuition.core.erasure import Erasure
from tuition.core.facts import Acknowledgement, Facts
from tuition.core.money import Money
from tuition.core.payment import Terms
from tuition.core.plan_facts import Method, PlanDecision, Try
from tuition.core.plan_parts import Decline
from tuition.core.plan_parts import Part as PlanPart
from tuition.core.plan_terms import PlanTerms
from tuition.core.refund_request import RefundRequest
from tuition.core.switches import Switch
from tuition.intake.reconcile import KEEP_DISCARDED_S
from tuition.intake.walk import Run
from tuition.storage import activity, items, quarantine
from tuition.storage.items import is_personal
from tuition.storage.tasks import Task
from tuition.views import exports, plan_rows, statement

HERE = "tools/declared_data.py"
DAY_S = 86_400
CONTRACT = "contract, Art. 6(1)(b)"
LAW = "legal obligation, Art. 6(1)(c)"
INTEREST = "legitimate interest, Art. 6(1)(f)"


@dataclass(frozen=True)
class Category:
    """A category of personal data: whose, why it is held, what allows it, and when it ends."""

    name: str
    people: str
    purpose: str
    basis: str
    ends: str


BOOKS_END = "seven years after the last movement of money"
ERASURE = f"erasure of the person; in `payments` at the latest {BOOKS_END}"

PSEUDONYM = Category(
    "pseudonym",
    "students, staff",
    "connects a purchase with its refunds, disputes and records, and a decision with who made it",
    f"{CONTRACT}; {LAW}",
    "the end of its store: late refunds and disputes must still find their payment, so erasure leaves it",
)
CONTACT = Category("contact", "students, staff", "receipts and notices; staff find a student by it", CONTRACT, ERASURE)
CUSTOMER = Category("Stripe customer", "students", "leads to the student's customer at Stripe", CONTRACT, ERASURE)
METHOD = Category(
    "payment method", "students", "the student recognizes a payment by it, and disputes are answered with it",
    CONTRACT, ERASURE,
)  # fmt: skip
CHOICES = Category("choices of a purchase", "students", "a retry answers the same purchase", CONTRACT, ERASURE)
WRITTEN = Category(
    "written texts", "students, staff", "decides a refund or access, and explains the decision later",
    f"{CONTRACT}; {INTEREST}", ERASURE,
)  # fmt: skip
FINDINGS = Category(
    "findings of a run", "students", "staff repair a difference between the books and Stripe's", LAW,
    "the next run, or 30 days after a task",
)  # fmt: skip
PASSED_ON = Category(
    "event of Stripe", "students", "an event that could not be applied is applied later", CONTRACT,
    "its application, or its discarding by staff",
)  # fmt: skip
NETWORK = Category(
    "network address", "students, staff, visitors", "finds faults and attacks", INTEREST, "the end of its store"
)
NONE = Category("not personal", "", "", "", "")
"""Says nothing about a person on its own. With a pseudonym beside it, it belongs to that person's data."""

CATEGORIES: Mapping[str, Category] = {
    # user ids, and keys that may have one
    **dict.fromkeys(("user_id", "actor", "subject", "task.subjects", "decided_by", "recorded_position"), PSEUDONYM),
    **dict.fromkeys(
        ("refund_requests.by", "discarded.by", "exports.by", "log.before", "event.id", "failed_records.record"),
        PSEUDONYM,
    ),
    **dict.fromkeys(("erasure.by", "erasures.by", "log.gaps", "log.item_key", "log.missing"), PSEUDONYM),
    **dict.fromkeys(("email", "email_initial", "email_key", "email.to", "consumer_subject"), CONTACT),
    "activity.sort_key": PSEUDONYM,
    **dict.fromkeys(("search.word", "search.words"), CONTACT),
    **dict.fromkeys(("withdrawn.name", "withdrawn.email", "email.name"), CONTACT),
    **dict.fromkeys(("stripe_id", "stripe_customer_id", "customer"), CUSTOMER),
    **dict.fromkeys(("brand", "last4", "receipt_url", "payment_method", "method_brand", "method_last4"), METHOD),
    **dict.fromkeys(("email.method", "email.other_method", "email.expiring_method"), METHOD),
    **dict.fromkeys(("tries.method", "parts.method", "declines.method"), METHOD),
    **dict.fromkeys(("promotion_code", "terms.payment_method"), CHOICES),
    **dict.fromkeys(("refund_reason", "note", "message", "fingerprint", "failure_message", "description"), WRITTEN),
    **dict.fromkeys(
        ("refund_requests.stripe_reason", "personal_files", "notes.text", "notes.tags", "notes.evidence"), WRITTEN
    ),
    **dict.fromkeys(("refund_requests.reason", "refund_requests.answer", "refund_requests.order_key"), WRITTEN),
    **dict.fromkeys(("email.reason", "email.text", "email.html"), WRITTEN),
    **dict.fromkeys(("report", "progress", "cursors.plan", "problem", "unknown"), FINDINGS),
    **dict.fromkeys(("quarantine.event",), PASSED_ON),
    **dict.fromkeys(("ip", "remote_ip"), NETWORK),
    "exports.filters": CONTACT,  # staff may have searched for an address
    **dict.fromkeys(("email_queue.detail", "email_dead_letters.detail"), CONTACT),  # SES reports about an address
    **dict.fromkeys(("console_queue.detail", "console_dead_letters.detail"), PSEUDONYM),
}
"""The category of each personal attribute, by its name, or by the end of its path if the name has several meanings."""

NOT_PERSONAL = frozenset(
    {
        *("attention.fingerprint", "email.subject", "log.message", "log.problem"),
        *("terms.list_amount", "terms.save_payment_method", "terms.invoice", "terms.offer", "payment_method.type"),
        *("purchase_decision.decision", "purchase_decision.at", "discarded.at"),
        *("legal_hold_decision.decision", "legal_hold_decision.at"),
        *(f"erasure.{field.name}" for field in fields(Erasure) if field.name not in ("by", "note")),
        *("selling.on", "selling.at", "collecting.on", "collecting.at"),
        *(f"task.{field.name}" for field in fields(Task) if field.name not in ("name", "subjects")),
        # columns of the export that are no attributes of a payment's item
        *("paid_at", "price_amount", "price_currency", "discount", "received", "received_currency", "fee", "net"),
        *("settlement_currency", "lost", "refundable_amount", "refund_request", "withdrawn_at", "refund_due_by"),
        *("failure_code", "method_type", "exports.problem", "stripe_invoice", "terms_version", "terms_agreed_at"),
        "plan_id",
    }
)
"""The parts of personal attributes that are not personal themselves, and other values, by the end of their path."""


@dataclass(frozen=True)
class Listed:
    """A list whose entries all have this shape."""

    shape: Any


@dataclass(frozen=True)
class Whole:
    """A value of any shape, declared as one: whether it is personal, or its category."""

    value: bool | Category


Shape = Any
"""A `Category` for a value or a list of values; a mapping of names, `Each`, `Listed` or `Whole` for other values.

A shape that the code gives has in place of a category whether the value is personal, and None for one that is not.
"""


@dataclass(frozen=True)
class Store:
    """A place where Tuition keeps or sends data. `resource` is in template.yaml, and `ends` says what ends an entry."""

    name: str
    kind: str
    holds: str
    basis: str
    ends: str
    shape: Shape
    resource: str = ""


class Undeclared(Exception):
    """An attribute without a category. The text says which file declares it, and what to write."""


def category_of(path: tuple[str, ...], *, personal: bool) -> Category:
    """Return the category of an attribute, which its code says is personal or not. Raises `Undeclared`.

    `path` begins with the name of the store.
    """
    names = [name for name in path if name != "*"]
    ends = [".".join(names[start:]) for start in range(len(names))]
    for end in ends:
        if end in NOT_PERSONAL:
            return NONE
        if end in CATEGORIES:
            return _agreed(CATEGORIES[end], end, personal=personal)
    if personal:
        raise Undeclared(
            f'{".".join(names)} is personal, but has no category. Add "{names[-1]}" to CATEGORIES in {HERE}, '
            "or to NOT_PERSONAL if it cannot name anybody."
        )
    return NONE


def _agreed(category: Category, end: str, *, personal: bool) -> Category:
    """Return the category, which the code must agree with. A pseudonym may stay where no personal data may be."""
    if not personal and category is not PSEUDONYM:
        raise Undeclared(
            f'"{end}" is {category.name} in CATEGORIES of {HERE}, but its code declares it as not personal. Declare it '
            "as personal there, or write a longer end of its path here."
        )
    return category


def _resolved(shape: Any, path: tuple[str, ...]) -> Shape:
    """Return a shape with the category of each value in place of whether it is personal."""
    if shape is None or isinstance(shape, bool):
        return category_of(path, personal=bool(shape))
    if isinstance(shape, Whole):
        return Whole(category_of(path, personal=shape.value is True))
    if isinstance(shape, Each):
        return Each(_resolved(shape.shape, (*path, "*")))
    if isinstance(shape, Listed):
        return Listed(_resolved(shape.shape, path))
    return {name: _resolved(part, (*path, name)) for name, part in shape.items()}


# --- from the code ---


def _facts() -> Mapping[str, Any]:
    """Return the shape of a payment's facts: the recorded fields, and those that are withheld from records."""
    declared = recorded_facts.DECLARED
    result: dict[str, Any] = {name: Each(True) for name in declared[Facts].keys_only}
    for name, hint in get_type_hints(Facts).items():
        if name not in result:
            kinds = [kind for kind in (hint, *get_args(hint)) if kind in declared]
            one: Any = _fact(declared[kinds[0]]) if kinds else name in declared[Facts].withheld
            result[name] = Each(one) if name in recorded_facts.MAPS else one
    return result


def _plan_facts() -> Mapping[str, Any]:
    """Return the shape of a plan's facts: the recorded fields, and those that are withheld from records."""
    result: dict[str, Any] = {"methods": Each(_fields(Method))}
    kinds: Mapping[str, Any] = {"decisions": PlanDecision, "tries": Try, "acknowledged": Acknowledgement}
    for name, recorded in recorded_plan_facts.RECORDED.items():
        one = {field.name: field.name not in (recorded or ()) for field in fields(kinds[name])} if recorded else False
        result[name] = Each(one) if name in recorded_plan_facts.MAPS else one
    return result


def _fact(declared: recorded_facts.Declared) -> Mapping[str, bool]:
    return {**dict.fromkeys(declared.recorded, False), **dict.fromkeys(declared.withheld, True)}


def _fields(kind: Any, without: tuple[str, ...] = (), *, personal: bool = False) -> dict[str, bool]:
    return {field.name: personal for field in fields(kind) if field.name not in without}


_ARCHIVED_REQUEST = {"id", *archive.FINAL_FORM["refund_requests"].shape}
_SWITCH = _fields(Switch, ("name", "version", "audit_head"), personal=True)
_PARTS: Mapping[str, Any] = {
    "payments.price": _fields(Money),
    "payments.payment_method": dict.fromkeys(("type", "brand", "last4"), True),
    "payments.terms": _fields(Terms, personal=True),
    "payments.facts": _facts(),
    "payments.refund_requests": Listed(
        {field.name: field.name not in _ARCHIVED_REQUEST for field in fields(RefundRequest)}
    ),
    "payments.attention": Listed(_fields(AttentionReason)),
    "enrollments.standings": Each(_fields(Standing)),
    "plans.terms": _fields(PlanTerms),
    "plans.facts": _plan_facts(),
    "plans.parts": Each(
        {
            **_fields(PlanPart),
            **dict.fromkeys(("refunds", "disputed"), Each(False)),
            "method": True,
            "declines": Each({**_fields(Decline), "method": True}),
        }
    ),
    "plans.attention": Listed(_fields(AttentionReason)),
    **dict.fromkeys(
        ("customers.purchase_decision", "customers.legal_hold_decision"),
        dict.fromkeys(("decision", "note", "actor", "at"), True),
    ),
    "customers.erasure": _fields(Erasure, personal=True),
    "audit.transition": archive.TRANSITION,
    "audit.facts": archive.RECORD["facts"],
    "audit.final_form": archive.FINAL_FORM,
    "quarantine.discarded": dict.fromkeys(("at", "by", "note"), True),
    "cursors.report": Whole(True),
    "cursors.prices": Each(False),
    "cursors.selling": _SWITCH,
    "cursors.collecting": _SWITCH,
    "cursors.task": _fields(Task, ("name",), personal=True),
    "cursors.progress": Whole(True),
    "cursors.plan": Whole(True),
    "analytics.counted": Each(False),
    "analytics.figures": Whole(False),
}
"""The parts of attributes that are JSON."""

PROGRESS: Mapping[str, Any] = {"unlocked": False, "was_unlocked": False, "steps": Each({"done": False})}
"""The attributes of a user's progress in a project, which has no model (`storage/mapping.py`)."""


def _table(name: str, *models: type[Model], **more: Any) -> Mapping[str, Any]:
    """Return the shape of a table's items: the attributes of its models, and any that have no model."""
    shape: dict[str, Any] = dict(more)
    for model in models:
        for attribute, value in model.get_attributes().items():
            shape[attribute] = _PARTS.get(f"{name}.{attribute}", is_personal(value))
    return shape


def _of_schema(schema: Mapping[str, Any]) -> Any:
    """Return the shape that a JSON schema describes. A bare object is a change, as in the archive."""
    if "additionalProperties" in schema:
        return Each(_of_schema(schema["additionalProperties"]))
    if "properties" in schema:
        return {name: _of_schema(part) for name, part in schema["properties"].items()}
    return {"from": False, "to": False} if schema.get("type") == "object" else False


def _event() -> Mapping[str, Any]:
    shape = dict(_of_schema(reference.COMMON))
    for event_type in reference.TYPES.values():
        shape |= {name: _of_schema(schema) for name, schema in event_type.fields.items()}
    return shape


EMAIL_VALUES: Mapping[str, bool] = {
    # of the message
    **dict.fromkeys(("to", "text", "html"), True),
    **dict.fromkeys(("from", "reply_to", "subject", "kind"), False),
    # of its content (`core/emails.py`)
    **dict.fromkeys(("user_id", "method", "last4", "reason", "message", "name", "email"), True),
    **dict.fromkeys(
        ("track", "payment_id", "amount", "processing_amount", "paid_at", "paid_amount", "project", "submitted_at"),
        False,
    ),
    **dict.fromkeys(("refundable_until", "requestable_until", "withdrawable_until", "requested_at"), False),
    **dict.fromkeys(("refund_due_by", "ended_track", "kept_track", "remaining", "due_by"), False),
    **dict.fromkeys(("attention", "plans", "requests", "oldest", "disputes"), False),
    # of its content about a plan (`core/plan_emails.py`)
    **dict.fromkeys(("other_method", "expiring_method"), True),
    **dict.fromkeys(("plan_id", "installment", "installments", "day", "next_day", "retry_day", "access_until"), False),
    **dict.fromkeys(("next_amount", "received", "restored_track", "notice_days", "grace_days", "give_up_days"), False),
}
"""The parts of an email, and whether they are personal."""

LOG_FIELDS: Mapping[str, bool] = {
    # of every line
    **dict.fromkeys(("level", "location", "message", "timestamp", "service", "xray_trace_id"), False),
    **dict.fromkeys(("exception", "exception_name"), False),
    "environment": False,
    # of a subject, which may be a user
    **dict.fromkeys(("subject", "user_id"), True),
    # of everything else
    **dict.fromkeys(
        ("code", "codes", "day", "done", "entries", "error", "events", "export_id", "failed", "folder"), False
    ),
    **dict.fromkeys(("hour", "hours", "kind", "message_id", "messages", "ms"), False),
    **dict.fromkeys(("object_key", "objects", "operation", "outcome", "passed", "payment_id", "payout"), False),
    **dict.fromkeys(("problem", "reason", "record", "records", "rows", "sequence_number", "sha256", "sort_key"), False),
    **dict.fromkeys(("state", "status", "step", "subjects", "task", "part", "plan_id"), False),
    # of the report of the audit, the recount, the check of the archive, the deletion of payments, and the erasures
    **dict.fromkeys(("from", "checked", "confirmed", "foreign", "users", "unfinished", "at", "equal"), False),
    **dict.fromkeys(("payments", "days", "repaired", "archived", "forms", "unreadable", "until"), False),
    **dict.fromkeys(("complete", "missing_records", "subjects_with_gaps", "erased", "waiting", "held"), False),
    **dict.fromkeys(("year", "parts", "listed", "listed_at", "delete_from", "done_at", "deleted", "changed"), False),
    **dict.fromkeys(("contended", "expired", "refreshed"), False),
    **dict.fromkeys(
        ("started_at", "key", "version", "tries", "killed", "later", "extended", "kept", "released"), False
    ),
    **_fields(Run, ("remaining", "again", "day_old_prices", "unanswered_in_a_row", "newest_event_at")),
}
"""The fields of log lines, and whether they are personal. Reports of runs are fields too."""
LOG_PARTS: Mapping[str, Any] = {
    "stack_trace": Whole(False),
    "steps": Whole(False),
    **dict.fromkeys(("before", "gaps", "item_key", "missing"), Whole(True)),
    "_aws": Whole(False),
    "through": Whole(False),  # a day, or the newest digest
}


@functools.cache
def _template() -> Mapping[str, Any]:
    resources: Mapping[str, Any] = read_template(ROOT / "template.yaml")
    return resources


def _properties(resource: str) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = _template()["Resources"][resource]["Properties"]
    return properties


def _days_of_queue(resource: str) -> str:
    days = _properties(resource)["MessageRetentionPeriod"] // DAY_S
    return f"its handling, or {days} day{'s' if days > 1 else ''}"


def _days_of_objects(resource: str, prefix: str = "") -> str:
    """Return when the lifecycle of a bucket ends its objects."""
    rules = _properties(resource).get("LifecycleConfiguration", {}).get("Rules", [])
    for rule in rules:
        if rule.get("Prefix", "") == prefix and "ExpirationInDays" in rule:
            days = rule["ExpirationInDays"]
            return f"{days} days" if isinstance(days, int) else f"`{days['Ref']}` days"
    return "staff remove it"


def _default(parameter: str, path: str = "template.yaml") -> str:
    template = _template() if path == "template.yaml" else read_template(ROOT / path)
    return f"`{parameter}` days, {template['Parameters'][parameter]['Default']} by default"


def _access_log() -> Mapping[str, bool]:
    """Return the fields of the API's access log: two of them are of a person."""
    text = _properties("HttpApi")["AccessLogSettings"]["Format"]["Fn::Sub"]
    return {name: name in CATEGORIES for name in re.findall(r'"(\w+)":"\$', text)}


METRICS = sorted({name for of in (metrics.Name, get_type_hints(metrics.age)["name"]) for name in get_args(of)})
"""The metrics in log lines, read before a test replaces a function of theirs."""


# --- the stores ---

_TABLES: Mapping[str, tuple[tuple[type[Model], ...], str, str, str, str]] = {
    "payments": (
        (items.PaymentItem,), "PaymentsTable", "purchases, the reports of Stripe, the decisions of staff",
        f"{CONTRACT}; {LAW}", BOOKS_END,
    ),
    "enrollments": (
        (items.EnrollmentItem,), "EnrollmentsTable", "access to tracks, and progress in their projects", CONTRACT,
        "stays, under the pseudonym",
    ),
    "stripe_objects": (
        (items.StripeObjectItem,), "StripeObjectsTable", "which payment or user an object at Stripe belongs to",
        f"{CONTRACT}; {LAW}", f"{BOOKS_END}; that of a customer with the erasure of the person",
    ),
    "customers": (
        (items.CustomerItem,), "CustomersTable", "each user's customer at Stripe, and blocks of purchases",
        f"{CONTRACT}; {INTEREST}",
        "erasure of the person; ids of disputes, refunds and deleted payments stay, under the pseudonym",
    ),
    "audit": (
        (items.AuditItem,), "AuditTable", "the record of every change", LAW, "stays, under the pseudonym",
    ),
    "quarantine": (
        (items.QuarantineItem,), "QuarantineTable", "events of Stripe that could not be applied", CONTRACT,
        f"its application, {KEEP_DISCARDED_S // DAY_S} days after staff discard it, at the latest "
        f"{quarantine.KEPT_S // DAY_S} days after the first try",
    ),
    "cursors": (
        (items.CursorItem,), "CursorsTable", "positions, tasks and reports of runs; the switch that stops sales",
        INTEREST, f"{items.KEPT_S // DAY_S} days for tasks and backfills; the next report replaces a report",
    ),
    "analytics": (
        (items.CountItem, items.RollUpItem), "AnalyticsTable", "figures, and what was counted of each payment",
        INTEREST, "stays: it has payment ids, and no user's",
    ),
    "limits": (
        (items.LimitsItem,), "LimitsTable", "how much of their limits a user has used", INTEREST,
        "two days after the last change",
    ),
    "effects": (
        (items.EffectItem,), "EffectsTable", "which emails were sent; hashes of undeliverable addresses", CONTRACT,
        "stays as long as the audit records that it names",
    ),
    "search": (
        (items.SearchItem,), "SearchTable",
        "the words by which staff find payments: of the address, the last four digits of the method, the amount",
        INTEREST,
        f"erasure of the person, but for the amount; {BOOKS_END}",
    ),
    "activity": (
        (items.ActivityItem,), "ActivityTable", "the actions of members of staff, by ids", INTEREST,
        f"{activity.KEPT_S // DAY_S} days after it was recorded",
    ),
    "plans": (
        (items.PlanItem,), "PlansTable", "agreements to pay in installments or for a membership", CONTRACT,
        "stays: erasure of the person leaves ids, amounts and times",
    ),
    "notes": (
        (items.NoteItem,), "NotesTable",
        "notes and tags of staff about a student or a payment, and evidence for disputes, with the address and method",
        INTEREST,
        f"its deletion by staff, erasure of the person; of a payment {BOOKS_END}",
    ),
}  # fmt: skip


def _tables() -> Iterator[Store]:
    for name, (models, resource, holds, basis, ends) in _TABLES.items():
        more = PROGRESS if name == "enrollments" else {}
        yield Store(name, "table", holds, basis, ends, _table(name, *models, **more), resource)


def _logs() -> Iterator[Store]:
    lines = {**LOG_FIELDS, **LOG_PARTS, **dict.fromkeys(METRICS, False)}
    yield Store("log", "log", "the work of functions", INTEREST, _default("LogRetentionDays"), lines, "FunctionLogs")
    ends, shape = _default("AccessLogRetentionDays"), _access_log()
    yield Store("access_log", "log", "each request to the API", INTEREST, ends, shape, "AccessLogs")
    ends, shape = _default("AccessLogRetentionDays"), {"remote_ip": True}
    yield Store("bucket_logs", "log", "each request to the buckets", INTEREST, ends, shape, "BucketAccessLogs")
    ends = _default("VisitorLogRetentionDays", "web.yaml")
    yield Store("visitor_logs", "log", "each request to the pages, in web.yaml", INTEREST, ends, shape)


def _objects() -> Iterator[Store]:
    """Yield the files in buckets."""
    ends = _days_of_objects("ExportsBucket")
    state = {**_fields(exports.Export), "filters": Whole(True), "summary": Whole(False)}
    yield Store("exports", "object", "the state of an export", INTEREST, ends, state, "ExportsBucket")
    columns = {name: _is_personal_column(name) for name in exports.HEADER}
    yield Store("export_files", "object", "the exported payments", f"{LAW}; {INTEREST}", ends, columns, "ExportsBucket")
    columns = {name: name in CATEGORIES for name in plan_rows.HEADER}
    yield Store("plan_files", "object", "the exported plans", f"{LAW}; {INTEREST}", ends, columns, "ExportsBucket")
    columns = {name: name in CATEGORIES for name in statement.HEADER}
    yield Store("statement_files", "object", "the lines of a statement", LAW, ends, columns, "ExportsBucket")
    of = "ArchiveBucket"
    ends = f"31 December of the eighth year; the object {_days_of_objects(of, 'records/')} after the write"
    yield Store("archive_records", "object", "audit records, locked", LAW, ends, archive.RECORD, of)
    ends = f"31 December of the seventh year; the object {_days_of_objects(of, 'final/')} after the write"
    yield Store("archive_final", "object", "final forms of payments, locked", LAW, ends, archive.FINAL_FORM, of)
    ends = _days_of_objects("DigestBucket")
    yield Store("digests", "object", "signed digests of the archive", LAW, ends, _DIGEST, "DigestBucket")
    heads = dict.fromkeys(("subject", "seq", "hash"), False)
    yield Store("heads", "object", "the newest record of each subject in an hour", LAW, ends, heads, "DigestBucket")
    ends, of = f"{_days_of_objects('ErasuresBucket', 'done/')} after the erasure", "ErasuresBucket"
    shape = {"user_id": True, "by": True, "requested_at": False, "due_at": False, "erased_at": False}
    yield Store("erasures", "object", "the list of erasures, outside the tables", LAW, ends, shape, of)
    ends = _days_of_objects("ExportsBucket")
    yield Store("personal_files", "object", "a copy of one person's data", LAW, ends, Whole(True), "ExportsBucket")
    ends, of = _days_of_objects("FailedRecordsBucket"), "FailedRecordsBucket"
    record = {"record": Whole(False)}
    yield Store("failed_records", "object", "audit records that a reader could not read", LAW, ends, record, of)


def _is_personal_column(name: str) -> bool:
    """Whether a column of the export is personal: that attribute of a payment is, or a line of this module says so."""
    amount = name.removesuffix("_decimal")
    attribute = items.PaymentItem.get_attributes().get(amount)
    if attribute is not None:
        return is_personal(attribute)
    return amount not in NOT_PERSONAL


_POSITION = {"subject": False, "seq": False}
_DIGEST: Mapping[str, Any] = {
    **dict.fromkeys(("format", "part", "more", "hour", "archive", "key_id", "records"), False),
    "previous": dict.fromkeys(("hour", "part", "sha256", "signature"), False),
    "objects": Listed(
        {
            **dict.fromkeys(("key", "version_id", "size", "sha256", "records"), False),
            "first": _POSITION,
            "last": _POSITION,
        }
    ),
    "heads": dict.fromkeys(("key", "sha256", "subjects"), False),
}
_ENVELOPE = (*("version", "id", "source", "account", "time", "region", "resources"), "detail-type")
"""The fields that EventBridge adds to an event."""


def _messages() -> Iterator[Store]:
    """Yield the messages of queues."""
    task, envelope = {"body": False}, {**dict.fromkeys(_ENVELOPE, False), "detail": Whole(True)}
    counted = dict.fromkeys(("subject", "sort_key", "recorded_day"), False)
    failed = {"body": Whole(False)}
    for name, resource, holds, basis, shape in (
        ("reconcile_queue", "ReconcileQueue", "names of tasks", INTEREST, task),
        ("reconcile_dead_letters", "ReconcileDeadLetters", "names of tasks that failed", INTEREST, task),
        ("console_queue", "ConsoleQueue", "events from which the console's tables are kept", INTEREST, envelope),
        ("console_dead_letters", "ConsoleDeadLetters", "such events that failed", INTEREST, envelope),
        ("email_queue", "EmailQueue", "events that an email may follow; reports of SES", CONTRACT, envelope),
        ("email_dead_letters", "EmailDeadLetters", "such events that failed", CONTRACT, envelope),
        ("analytics_queue", "AnalyticsQueue", "names of audit records", INTEREST, counted),
        ("analytics_dead_letters", "AnalyticsDeadLetters", "such names that failed", INTEREST, counted),
        ("failed_runs", "FailedRuns", "invocations that failed", INTEREST, failed),
    ):
        yield Store(name, "message", holds, basis, _days_of_queue(resource), shape, resource)


@functools.cache
def stores() -> Mapping[str, Store]:
    """Return every store by name, with the category of each attribute. Raises `Undeclared`."""
    event = Store(
        "event", "event", "transitions of payments, for other systems", CONTRACT, "the rules of each consumer", _event()
    )
    holds = "notices about a payment, to a student or staff"
    email = Store("email", "email", holds, CONTRACT, "a decision of the recipient", EMAIL_VALUES)
    every = [*_tables(), event, email, *_logs(), *_objects(), *_messages()]
    return {store.name: replace(store, shape=_resolved(store.shape, (store.name,))) for store in every}


# --- comparing ---

HOW_TO_DECLARE: Mapping[str, str] = {
    "table": "declare it in its model in layers/tuition/tuition/storage/items.py, with personal(…) or not_personal(…). "
    f"The parts of a JSON attribute are those of its dataclass, or a line of _PARTS in {HERE}",
    "event": "add it to COMMON or TYPES in tools/published_events.py, and if it is of a record to TRANSITION in "
    "layers/tuition/tuition/core/archive.py",
    "email": f"add it to EMAIL_VALUES in {HERE}, with whether it is personal",
    "log": f"add it to LOG_FIELDS in {HERE}, with whether it is personal",
    "object": f"add it to the dataclass or shape that the store has in {HERE}",
    "message": f"add it to the store's shape in {HERE}",
}


def undeclared(name: str, value: Any) -> list[str]:
    """Return what a value has that its store does not declare, each with how to declare it."""
    return [problem(name, path) for path, category, _ in values(name, value) if category is None]


def problem(name: str, path: str) -> str:
    """Return what to do about an attribute that its store does not declare."""
    return f"{name}{path} is not declared: {HOW_TO_DECLARE[stores()[name].kind]}."


Part = tuple[str, Category | None, Any]
"""A part of a value that a store has: its path, its category (None if it is not declared), the part."""


def values(name: str, value: Any) -> list[Part]:
    """Return each part of a value that a store has. The ids by which entries are kept are parts too."""
    parts: list[Part] = []
    _add_parts(stores()[name].shape, value, "", parts)
    return parts


def _add_parts(shape: Shape, value: Any, path: str, parts: list[Part]) -> None:
    """Add the parts of a value. Null has no parts, so it fits any shape."""
    if value is None:
        return
    if isinstance(shape, Category):
        entries = value if isinstance(value, (list, set)) else (value,)
        is_declared = isinstance(value, str) or not any(isinstance(one, Mapping) for one in entries)
        parts.append((path, shape if is_declared else None, value))
    elif isinstance(shape, Whole):
        parts.append((path, shape.value, value))  # type: ignore[arg-type]  # `stores` has replaced whether it is personal
    elif isinstance(value, Mapping) and isinstance(shape, (Mapping, Each)):
        _add_named_parts(shape, value, path, parts)
    elif isinstance(value, list) and isinstance(shape, Listed):
        for one in value:
            _add_parts(shape.shape, one, path, parts)
    else:
        parts.append((path, None, value))


def _add_named_parts(shape: Shape, value: Mapping[str, Any], path: str, parts: list[Part]) -> None:
    for name, one in value.items():
        if isinstance(shape, Each):
            parts.append((f"{path}.*", NONE, name))
            _add_parts(shape.shape, one, f"{path}.*", parts)
        elif name in shape:
            _add_parts(shape[name], one, f"{path}.{name}", parts)
        else:
            parts.append((f"{path}.{name}", None, one))


def attributes(shape: Shape, path: str = "") -> Iterator[tuple[str, Category]]:
    """Yield the path and the category of each attribute of a shape."""
    if isinstance(shape, Category):
        yield path, shape
    elif isinstance(shape, Whole):
        assert isinstance(shape.value, Category)
        yield path, shape.value
    elif isinstance(shape, Each):
        yield from attributes(shape.shape, f"{path}.*")
    elif isinstance(shape, Listed):
        yield from attributes(shape.shape, path)
    else:
        for name, part in shape.items():
            yield from attributes(part, f"{path}.{name}" if path else name)
