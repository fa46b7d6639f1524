"""The contribution of a payment to the roll-ups of analytics: whole numbers, by day, currency, track and method.

A roll-up is the sum of the contributions of all payments. A contribution follows from the payment's facts alone, so
neither the order of audit records nor a repetition can change a sum. A consumer adds the difference between what a
payment contributes now and what was counted of it before (`difference`).

Each figure belongs to the day on which it happened: a price to the day of the payment's creation, money received and
Stripe's fee to the day on which the payment settled, a refund to the day of the refund, a dispute to the day on which
it was opened, a declined charge to the day of the charge. The day is one in UTC, and one in the school's time zone.

Figures of payment plans are apart. The money of their payments follows from the payments, as every other amount. Their
changes, such as a suspension, cannot: a plan keeps no trace of one that has passed. So they follow from the audit
records, which never change: those of the plan, and those of its payments.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tuition.core import payment as payments
from tuition.core import published_events, timestamps
from tuition.core.facts import UNKNOWN
from tuition.core.payment import Payment
from tuition.core.refs import is_plan, plan_kind
from tuition.core.switches import OF_SUBJECTS

By = Literal["day", "week", "month"]
Figures = dict[str, int]
"""Whole numbers by their name. Amounts are in minor units."""
Contribution = dict["RollUpKey", Figures]

NO_METHOD = "none"
"""The method of a payment without a charge: it is open, or it was free."""
FAILURE = "failure:"
"""The figure that counts the charges that failed with a code begins with this."""
DAY, CODE, COHORT, PLAN, STATUS = "day", "code", "cohort", "plan", "status"
PARTLY_REFUNDED, DISPUTED = "partly_refunded", "disputed"
"""Figures of `STATUS` beside the statuses themselves."""
PLAN_FIGURES = ("started", "suspended", "restored", "completed", "closed", "refunded", "abandoned")
"""The changes of plans that are counted."""
MAX_GROUP_ID_LENGTH = 128
"""Characters of a message group's id in SQS, each a letter, a digit or punctuation of ASCII."""
MAX_CODE_LENGTH = 100
"""Characters of a promotion code in the key of its roll-up."""


@dataclass(frozen=True, order=True)
class RollUpKey:
    """The key of a roll-up: the partition, and the sort key in it.

    The figures of a day are in `2026-11#<zone>` under `day#<day>#<currency>#<track>#<method>`, the uses of a promotion
    code under `code#<day>#<currency>#<track>#<code>`, the figures of plans of one kind under
    `plan#<day>#<currency>#<track>#<kind>`. Cohorts are in `cohorts#<zone>` under `cohort#<month>#<track>`.
    How many payments have each status is in `statuses#UTC` under `status#<month>#<track>`, by the month of creation.
    """

    period: str
    measure: str

    @property
    def parts(self) -> list[str]:
        """The parts of the sort key. A code may contain `#`, so it is the whole rest."""
        return self.measure.split("#", 4)

    def __str__(self) -> str:
        """Write it as one text, as `parse_key` reads it."""
        return f"{self.period}|{self.measure}"


def parse_key(text: str) -> RollUpKey:
    """Read what `str` wrote. No zone has a bar in its name."""
    period, _, measure = text.partition("|")
    return RollUpKey(period, measure)


def month_partition(month: str, zone: str) -> str:
    """Return the partition of a month's days and codes."""
    return f"{month}#{zone}"


def cohort_partition(zone: str) -> str:
    """Return the partition of the cohorts."""
    return f"cohorts#{zone}"


def status_partition(zone: str) -> str:
    """Return the partition of the numbers of payments by status."""
    return f"statuses#{zone}"


Trail = Sequence[Mapping[str, Any]]
"""The audit records of one subject, in any order."""


def contribution(payment: Payment | None, zones: Iterable[str], trail: Trail = ()) -> Contribution:
    """Return what a payment contributes, in each of these time zones. A payment that does not exist has nothing.

    `trail` are the records of a payment of a plan.
    """
    if payment is None:
        return {}
    return _added_up(figure for zone in zones for figure in (*_figures(payment, zone), *_of_plan(payment, trail, zone)))


def plan_contribution(trail: Trail, zones: Iterable[str]) -> Contribution:
    """Return what a plan contributes besides its payments: the changes that its own records say.

    It has nothing if none of them has its terms, because a restore lost them. Its payments contribute all the same.
    """
    plan, track = next(((one["transition"]["plan"], one["track"]) for one in trail if _has_terms(one)), (None, None))
    if plan is None:
        return {}
    membership = plan.get("membership")
    last = (plan["terms"]["currency"], track or membership, plan_kind(is_membership=bool(membership)))
    return _added_up(figure for zone in zones for figure in _changes_of_plan(trail, zone, last))


def _has_terms(record: Mapping[str, Any]) -> bool:
    return "terms" in record["transition"].get("plan", {})


_Figure = tuple[RollUpKey, str, int]


def _added_up(figures: Iterable[_Figure]) -> Contribution:
    sums: defaultdict[RollUpKey, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, name, number in figures:
        if number:
            sums[key][name] += number
    return {key: dict(one) for key, one in sums.items()}


def _of_plan(payment: Payment, trail: Trail, zone: str) -> Iterator[_Figure]:
    """Yield the figures of the plan of a payment: its money, and the changes that followed from it."""
    if payment.plan_kind is None:
        return
    settled = payment.facts.settled
    if settled:
        key = _key(zone, settled.at, PLAN, settled.currency, payment.product, payment.plan_kind)
        yield key, "settled", settled.amount
        yield key, "settlements", 1
    yield from _changes_of_plan(trail, zone, (payment.price.currency, payment.product, payment.plan_kind))


def _changes_of_plan(trail: Trail, zone: str, last: tuple[str, str, str]) -> Iterator[_Figure]:
    """Yield the changes of a plan. One that is recorded again, because a restore had lost it, has the same time."""
    currency, product, kind = last
    for at, name in sorted({(record["at"], name) for record in trail for name in _plan_changes(record)}):
        yield _key(zone, int(timestamps.epoch(at)), PLAN, currency, product, kind), name, 1


_CHANGES: Mapping[str, str] = {
    published_events.PLAN_BEGUN: "started",
    published_events.PLAN_SUSPENDED: "suspended",
    published_events.PLAN_RESTORED: "restored",
    published_events.PLAN_COMPLETE: "completed",
}


def _plan_changes(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures that a record changes: those of the events of its plan, and how a closed plan ended."""
    plan = record["transition"].get("plan", {})
    if "to" not in plan:
        return
    for event in published_events.plan_changes(plan["from"], plan["to"]):
        name = plan["to"].lower() if event == published_events.PLAN_CLOSED else _CHANGES.get(event)
        if name:
            yield name


def _figures(payment: Payment, zone: str) -> Iterator[_Figure]:
    facts, method = payment.facts, _method(payment)
    created = int(timestamps.epoch(payment.created_at))
    day = _day_key(payment, zone, created, payment.price.currency, method)
    yield day, "created", payment.price.amount
    yield day, "payments", 1
    yield day, "paid", 1 if facts.settled else 0
    if zone == timestamps.UTC_ZONE:  # staff choose the days of lists in UTC
        yield from _statuses(payment)
    yield from _settled(payment, zone, method, created)
    for refund in facts.refunds.values():
        if refund.status in payments.COUNTED_REFUNDS:
            day = _day_key(payment, zone, refund.created, payment.currency, method)
            yield day, "refunded", refund.amount
            yield day, "refunds", 1
    for dispute_id, dispute in facts.disputes.items():
        day = _day_key(payment, zone, dispute.created, payment.currency, method)
        if dispute.status not in payments.INQUIRIES:
            yield day, "disputed", dispute.amount
            yield day, "disputes", 1
        yield day, "lost", payments.lost_amount(replace(facts, disputes={dispute_id: dispute}))
    for charge in facts.charges.values():
        if charge.ever_failed:
            currency = charge.currency or payment.currency
            day = _day_key(payment, zone, charge.created, currency, charge.type or method)
            yield day, f"{FAILURE}{charge.code or UNKNOWN}", 1


def _statuses(payment: Payment) -> Iterator[_Figure]:
    measure = "#".join((STATUS, payment.created_at[:7], payment.product))
    month = RollUpKey(status_partition(timestamps.UTC_ZONE), measure)
    yield month, payment.status, 1
    yield month, PARTLY_REFUNDED, 1 if payment.status == "SUCCEEDED" and payment.refund_amount else 0
    yield month, DISPUTED, 1 if payment.facts.disputes else 0


def _settled(payment: Payment, zone: str, method: str, created: int) -> Iterator[_Figure]:
    facts = payment.facts
    if facts.settled is None:
        return
    at = facts.settled.at
    day = _day_key(payment, zone, at, facts.settled.currency, method)
    yield day, "settled", facts.settled.amount
    yield day, "settlements", 1
    yield day, "seconds_to_pay", max(0, at - created)
    yield day, "recovered", 1 if any(charge.ever_failed for charge in facts.charges.values()) else 0
    if facts.balance:
        yield _day_key(payment, zone, at, facts.balance.currency, method), "fees", facts.balance.fee
    code = payment.terms.promotion_code
    if code:
        key = _key(zone, at, CODE, payment.price.currency, payment.product, code[:MAX_CODE_LENGTH])
        yield key, "uses", 1
        yield key, "discount", max(0, payment.terms.list_amount - payment.price.amount)
    if payment.plan and 1 not in payment.covers:
        return  # a student joins the cohort with the first installment, and once
    cohort = RollUpKey(cohort_partition(zone), "#".join((COHORT, timestamps.day_of(at, zone)[:7], payment.product)))
    yield cohort, "enrolled", 1 if payments.ever_granted(payment) else 0
    yield cohort, "refunded", 1 if payment.refunded else 0


def _method(payment: Payment) -> str:
    method = payment.payment_method
    return (method["type"] or UNKNOWN) if method else NO_METHOD


def _day_key(payment: Payment, zone: str, at: int, currency: str, method: str) -> RollUpKey:
    return _key(zone, at, DAY, currency, payment.product, method)


def _key(zone: str, at: int, kind: str, currency: str, track: str, last: str) -> RollUpKey:
    day = timestamps.day_of(at, zone)
    return RollUpKey(month_partition(day[:7], zone), "#".join((kind, day, currency, track, last)))


def added(figures: Mapping[str, int], more: Mapping[str, int]) -> Figures:
    """Return the sum of two sets of figures, without those that are 0."""
    sums = {name: figures.get(name, 0) + more.get(name, 0) for name in {**figures, **more}}
    return {name: number for name, number in sums.items() if number}


def difference(counted: Contribution, now: Contribution) -> Contribution:
    """Return what must be added to each roll-up so that it has what a payment contributes now, and no more."""
    keys = {**counted, **now}
    changes = {
        key: added(now.get(key, {}), {name: -number for name, number in counted.get(key, {}).items()}) for key in keys
    }
    return {key: figures for key, figures in changes.items() if figures}


def add_to(sums: Contribution, one: Contribution) -> None:
    """Add a contribution to sums, in place."""
    for key, figures in one.items():
        sums[key] = added(sums.get(key, {}), figures)


def total(contributions: Iterable[Contribution]) -> Contribution:
    """Return the sum of contributions: the roll-ups of these payments, without empty ones."""
    sums: Contribution = {}
    for one in contributions:
        add_to(sums, one)
    return {key: figures for key, figures in sums.items() if figures}


def to_json(counted: Contribution) -> dict[str, Figures]:
    """Return a contribution in JSON types."""
    return {str(key): figures for key, figures in counted.items()}


def from_json(stored: Mapping[str, Mapping[str, int]]) -> Contribution:
    """Read what `to_json` wrote."""
    return {parse_key(text): dict(figures) for text, figures in stored.items()}


# --- periods ---


def period_of(day: str, by: By) -> str:
    """Return the day itself, its ISO week (`2026-W48`) or its month (`2026-11`)."""
    if by == "week":
        return timestamps.week_of(day)
    return day if by == "day" else day[:7]


# --- the queue ---


@dataclass(frozen=True)
class QueueEntry:
    """A message of the FIFO queue: the group in which messages are in order, and what makes two of them one.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatchRequestEntry.html
    """

    group_id: str
    deduplication_id: str
    body: dict[str, str]


def queue_entry(record: Mapping[str, Any]) -> QueueEntry | None:
    """Return the message for an audit record, or for the event that was published of it; None if it changes no figure.

    The group is the record's day, track and currency, because records of one group mostly change the same roll-ups:
    two transactions on one item at once would conflict.
    """
    subject, sort_key = str(record["subject"]), str(record["sort_key"])
    if subject == record.get("user_id") or subject in OF_SUBJECTS:
        return None
    if is_plan(subject) and "to" not in record["transition"].get("plan", {}):
        return None  # it changes no figure
    recorded_day = str(record.get("recorded_at") or record["at"])[:10]
    currency = str(record["transition"].get("currency", ""))
    body = {"subject": subject, "sort_key": sort_key, "recorded_day": recorded_day}
    deduplication_id = hashlib.sha256(f"{subject}#{sort_key}".encode()).hexdigest()
    return QueueEntry(_group_id(recorded_day, str(record.get("track")), currency), deduplication_id, body)


def _group_id(*parts: str) -> str:
    """Return the parts as a group's id, hashed if a part has what SQS refuses: a space, another alphabet, its length.

    A refused id would fail all messages of its call.
    """
    group_id = "#".join(parts)
    is_valid = len(group_id) <= MAX_GROUP_ID_LENGTH and all("!" <= character <= "~" for character in group_id)
    return group_id if is_valid else hashlib.sha256(group_id.encode()).hexdigest()
