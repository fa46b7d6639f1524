"""The audit record: one line of history, chained by hash to the record before it.

The chain is in the order of acceptance (`seq`), the sort key in the order of Stripe's time. The sort key contains the
event's id, so the record itself shows that the event has been applied.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from tuition.core import payment as payments
from tuition.core import recorded_facts, timestamps
from tuition.core.facts import NO_FACTS, UNKNOWN, Dispute, Refund
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refund_request import RefundRequest

if TYPE_CHECKING:
    from tuition.core.plan import Plan

SCHEMA_VERSION = 2
"""Records of version 1 have no facts. They stay as they are, and a chain may have both."""
WITHDRAWN_RECORD = "contract.withdrawn"
"""The type of the record of a student's withdrawal. A payment that was lost is rebuilt with it."""
EXPIRED_RECORD = "payment.expired"
"""The type of the last record of a payment that was deleted after its retention period."""
Source = Literal["webhook", "pull", "request", "staff", "reconcile"]


class Actor(NamedTuple):
    """The performer of an action, as its audit record names it. The reconciler and the collector have no user id."""

    source: Source
    user_id: str | None = None


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit log before it is chained. `at` is RFC 3339 UTC: Stripe's time of an event, else ours.

    `actor` is a user id. No text that a person wrote is recorded: audit holds no personal data, so erasure never
    touches it.
    """

    at: str
    event_id: str
    type: str
    source: Source
    actor: str | None = None

    @property
    def sort_key(self) -> str:
        """The sort key of its record: `<time>#<event id>`."""
        return f"{self.at}#{self.event_id}"

    @property
    def is_sync(self) -> bool:
        """Whether it records a sync on one version: if its record exists, that is a conflict and no second delivery."""
        return self.source in ("pull", "reconcile") and self.event_id.startswith("pull:")


@dataclass(frozen=True)
class Record:
    """An entry at its position in the chain of `subject`, with the transition that it made (often none).

    `facts` is what it added to the payment's facts (`tuition.core.recorded_facts`); None if it belongs to no payment.
    """

    subject: str
    seq: int
    entry: AuditEntry
    user_id: str
    track: str | None = None
    transition: Mapping[str, Any] = field(default_factory=dict)
    previous: str = ""
    schema_version: int = SCHEMA_VERSION
    facts: Mapping[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """Return everything that the hash covers, as JSON types."""
        entry = {name: value for name, value in asdict(self.entry).items() if value is not None}
        rest = {"subject": self.subject, "seq": self.seq, "user_id": self.user_id, "track": self.track}
        chain = {"transition": dict(self.transition), "previous": self.previous, "schema_version": self.schema_version}
        facts = {} if self.facts is None else {"facts": dict(self.facts)}
        return {**entry, **rest, **chain, **facts}

    @property
    def hash(self) -> str:
        """The record's hash: see `digest`."""
        return digest(self.body())


def digest(body: Mapping[str, Any]) -> str:
    """Return SHA-256 of a record's body as JSON with sorted keys and no spaces, in hex."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def transition(before: PaymentState, after: PaymentState) -> dict[str, Any]:
    """Return what changed, from and to, with amounts as deltas in minor units. Consumers act on this alone.

    `published_events` turns it into events. It has what a consumer needs to know about the payment at that moment,
    because a consumer reads no table and may receive records in any order. A text of Stripe's that is no id and no code
    is `UNKNOWN` in it: it may name a person, and records are never erased.
    """
    payment = after.existing
    changes: dict[str, Any] = {}
    status_before = before.payment.status if before.payment else None
    if status_before != payment.status:
        changes["status"] = {"from": status_before, "to": payment.status}
    changes |= _changed_enrollments(before, after)
    amounts_before = _amounts(before.payment) if before.payment else {}
    for name, amount in _amounts(payment).items():
        delta = amount - amounts_before.get(name, 0)
        if delta:
            changes[name] = delta
    changes |= _changed_objects(before.payment, payment)
    changes |= _changed_plan(before, after)
    if changes and payment.plan:
        changes["plan"] = _present({"id": payment.plan, "membership": payment.membership}) | changes.get("plan", {})
        changes["installments"] = list(payment.covers)
    if changes:
        changes |= _reasons(changes, payment)
        changes |= _ended_access(changes, after.plan) if after.plan else {}
        changes |= {"currency": payment.currency, "payment": _context(payment)}
    changes |= _raised(before, after)
    return cast(dict[str, Any], recorded_facts.coded(changes))


def plan_transition(before: PaymentState, after: PaymentState) -> dict[str, Any]:
    """Return what changed in a plan and its enrollments by a commit on the plan alone."""
    plan = after.existing_plan
    changes: dict[str, Any] = {"plan": {"id": plan.plan_id}} | _changed_plan(before, after)
    changes |= _changed_enrollments(before, after) | _announced(before.plan, plan) | _try_failed(before.plan, plan)
    changes |= _ended_access(changes, plan) | _raised(before, after)
    return cast(dict[str, Any], recorded_facts.coded(changes))


def _announced(before: "Plan | None", plan: "Plan") -> dict[str, Any]:
    """Return the charge that was announced: the latest, if there are several."""
    from tuition.core.plan_facts import Announced  # most commits are of no plan

    new = [Announced.of(key) for key in plan.facts.announced.keys() - (before.facts.announced if before else {}).keys()]
    if not new:
        return {}
    seq, day = max(new)
    amount = plan.terms.amount_of((seq,)).amount
    return {"announced": {"installment": seq, "day": day, "amount": amount}, "currency": plan.terms.currency}


def _try_failed(before: "Plan | None", plan: "Plan") -> dict[str, Any]:
    """Return the charge without the student that failed: the latest, if there are several."""
    tries, old = plan.facts.tries, before.facts.tries if before else {}
    new = [one for key, one in tries.items() if one.answer and not (key in old and old[key].answer)]
    failed = [one for one in new if one.answer and one.answer.code]
    if not failed:
        return {}
    latest = max(failed, key=lambda one: (one.at, one.payment_id))
    amount = plan.terms.amount_of((latest.seq,)).amount
    detail = {"installment": latest.seq, "payment": latest.payment_id or None, "amount": amount}
    code = latest.answer.code if latest.answer else None
    return {"try_failed": _present({**detail, "code": code}), "currency": plan.terms.currency}


def _ended_access(changes: Mapping[str, Any], plan: "Plan") -> dict[str, Any]:
    """Return why a plan gives no access any more, if access to its track, or to one of a member's tracks, ended."""
    changed = [changes.get("enrollment", {}), *changes.get("enrollments", {}).values()]
    if not any(one.get("from") in ("ENROLLED", "SUSPENDED") and one["to"] == "WITHDRAWN" for one in changed):
        return {}
    by_status = {"REFUNDED": "refunded", "CLOSED": "plan_closed"}
    reason = "revoked" if plan.is_revoked else by_status.get(plan.status)
    return {"access_ended": reason} if reason else {}


def plan_agreed(plan: "Plan") -> dict[str, Any]:
    """Return what the first record of a plan says of it, so that the plan can be rebuilt from its records."""
    at = {"id": plan.plan_id, "attempt": plan.attempt, "created_at": plan.created_at}
    return {"plan": {**at, **_present({"membership": plan.membership}), "terms": _plain(plan.terms.to_json())}}


def _plain(terms: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in terms.items()}


def _raised(before: PaymentState, after: PaymentState) -> dict[str, Any]:
    """Return the reasons for attention that are new: of the payment, and of its plan after `plan.`."""
    already = {(one.name, one.fingerprint) for one in before.attention}
    raised = sorted({(one.name, one.fingerprint) for one in after.attention} - already)
    old_of_plan = {(one.name, one.fingerprint) for one in before.plan_attention}
    of_plan = sorted({(one.name, one.fingerprint) for one in after.plan_attention} - old_of_plan)
    names = [*(name for name, _ in raised), *(f"plan.{name}" for name, _ in of_plan)]
    return {"attention": names} if names else {}


def _changed_plan(before: PaymentState, after: PaymentState) -> dict[str, Any]:
    """Return the plan's id with its status, its end and what it needs its student for, as far as these changed."""
    if after.plan is None:
        return {}
    from tuition.core import plan_attempts  # most commits are of no plan

    old, plan = before.plan, after.plan
    changes: dict[str, Any] = {}
    status_before = old.status if old else None
    if status_before != plan.status:
        changes = {"from": status_before, "to": plan.status, **_present({"closed": plan.close_reason})}
    if plan.is_canceled != (old.is_canceled if old else False):
        changes["ends_on"] = plan.cancel_at
    needed_before, needed = plan_attempts.needs_student(old) if old else None, plan_attempts.needs_student(plan)
    if needed_before != needed:
        changes["needs_student"] = {"from": needed_before, "to": needed}
    return {"plan": {"id": plan.plan_id, **changes}} if changes else {}


def _changed_enrollments(before: PaymentState, after: PaymentState) -> dict[str, Any]:
    """Return how the status of the enrollment changed; of a membership by code, with the tracks that were begun."""
    changes = {
        new.track: {"from": old.status, "to": new.status}
        for old, new in zip(before.enrollments, after.enrollments, strict=True)
        if old.status != new.status
    }
    if not changes:
        return {}
    is_membership = bool(after.plan and after.plan.membership)
    return {"enrollments": changes} if is_membership else {"enrollment": changes[after.enrollment.track]}


def _changed_objects(before: Payment | None, after: Payment) -> dict[str, Any]:
    """Return the refund requests, refunds, disputes and declines that are new or changed, by id.

    Also the withdrawal and the fee, once they are known.
    """
    facts, old = after.facts, before.facts if before else NO_FACTS
    requests = {request.id: request.state for request in before.requests} if before else {}
    refunds = {key: refund.status for key, refund in old.refunds.items()}
    disputes = {key: _dispute(dispute, before) for key, dispute in old.disputes.items()} if before else {}
    changed: dict[str, dict[str, Any]] = {
        "refund_requests": {
            request.id: {"from": requests.get(request.id), **_request(request, after)}
            for request in after.requests
            if requests.get(request.id) != request.state
        },
        "refunds": {
            key: {"from": refunds.get(key), **_refund(refund)}
            for key, refund in facts.refunds.items()
            if refunds.get(key) != refund.status
        },
        "disputes": {
            key: _dispute_change(disputes.get(key), _dispute(dispute, after))
            for key, dispute in facts.disputes.items()
            if disputes.get(key) != _dispute(dispute, after)
        },
        "declines": {
            key: charge.code or UNKNOWN
            for key, charge in facts.charges.items()
            if charge.status == "failed" and not (key in old.charges and old.charges[key].ever_failed)
        },
        "withdrawal": _withdrawal(after) if facts.withdrawn and not old.withdrawn else {},
        "fee": asdict(facts.balance) if facts.balance and facts.balance != old.balance else {},
    }
    return {name: objects for name, objects in changed.items() if objects}


def _request(request: RefundRequest, payment: Payment) -> dict[str, Any]:
    by = "student" if request.by == payment.user_id else "school"
    return {"to": request.state, "amount": request.amount, "made_by": by}


def _withdrawal(payment: Payment) -> dict[str, Any]:
    return {"at": payment.withdrawn_at, "refund_due_by": payment.refund_due_by}


def _refund(refund: Refund) -> dict[str, Any]:
    optional = {"request": refund.request, "failure": refund.failure}
    return {"to": refund.status, "amount": refund.amount, **_present(optional)}


def _dispute(dispute: Dispute, payment: Payment) -> dict[str, Any]:
    """Return what a consumer may ask about a dispute. `lost` is what it took for good."""
    settled = payment.facts.settled
    optional = {
        "due_by": None if dispute.due_by is None else timestamps.iso(dispute.due_by),
        "lost": payments.lost_to(dispute, settled.currency if settled else None) or None,
    }
    return {"to": dispute.status, "amount": dispute.amount, "reason": dispute.reason, **_present(optional)}


def _dispute_change(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change of a dispute, with `lost` as a delta."""
    old = before or {"to": None}
    lost = after.get("lost", 0) - old.get("lost", 0)
    return {"from": old["to"], **after, "lost": lost} if lost else {"from": old["to"], **_without_lost(after)}


def _without_lost(dispute: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in dispute.items() if name != "lost"}


def _reasons(changes: Mapping[str, Any], payment: Payment) -> dict[str, Any]:
    """Return why the payment failed or was closed, and why access ended, if it did."""
    reasons: dict[str, Any] = {}
    failure = payments.failure(payment.facts) if "status" in changes else None
    closed = payment.facts.closed if payment.status == "CANCELED" and "status" in changes else None
    lost_access = changes.get("enrollment", {}).get("from") == "ENROLLED"
    reasons["failure"] = failure.code if failure else None
    reasons["closed"] = closed.reason if closed else None
    reasons["access_ended"] = payments.no_access_reason(payment) if lost_access else None
    return _present(reasons)


def _context(payment: Payment) -> dict[str, Any]:
    """Return what every consumer may ask about a payment, with no data of a person."""
    method, settled = payment.payment_method, payment.facts.settled
    context = {
        "created_at": payment.created_at,
        "attempt": payment.attempt,
        "stripe_object_id": payment.stripe_object_id,
        "price": payment.price.amount,
        "list_amount": payment.terms.list_amount or None,
        "method": method["type"] if method else None,
        "settled_at": timestamps.iso(settled.at) if settled else None,
        "declines": sum(charge.ever_failed for charge in payment.facts.charges.values()) or None,
    }
    return _present(context)


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _amounts(payment: Payment) -> dict[str, int]:
    facts = payment.facts
    return {
        "settled": facts.settled.amount if facts.settled else 0,
        "refunded": payments.refunded_amount(facts),
        "lost": payments.lost_amount(facts),
    }


class Broken(NamedTuple):
    """Where and why a chain is broken."""

    seq: int
    why: str


def verify(subject: str, stored: Iterable[Mapping[str, Any]], version: int, head: str, first: int = 1) -> Broken | None:
    """Check a subject's stored records against each other and against the subject's own version and head.

    Finds an altered, missing or additional record, and a truncated log. With `first`, only the records from this
    position on are at hand and are checked.
    """
    previous, seq = "", first - 1
    for record in sorted(stored, key=lambda r: int(r["seq"])):
        seq += 1
        previous = record["previous"] if seq == first > 1 else previous
        body = {name: value for name, value in record.items() if name != "hash"}
        if record["seq"] != seq:
            return Broken(seq, f"record {seq} is missing, {record['seq']} follows")
        if record["subject"] != subject or record["previous"] != previous:
            return Broken(seq, "it does not continue the record before it")
        if digest(body) != record["hash"]:
            return Broken(seq, "its content was changed")
        previous = record["hash"]
    if seq != version or previous != head:
        return Broken(seq, f"the log ends at {seq}, but its subject is at version {version}")
    return None


def fold(stored: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the status, and the amounts settled, refunded and lost, to which a payment's records lead.

    A record that starts from no status is of a payment that was created, or rebuilt after its item was lost: the
    amounts of the records before it are counted in its own.
    """
    status: str | None = None
    amounts = {"settled": 0, "refunded": 0, "lost": 0}
    for record in sorted(stored, key=lambda r: int(r["seq"])):
        change = record["transition"].get("status")
        if change:
            amounts = dict.fromkeys(amounts, 0) if recorded_facts.is_start(record) else amounts
            status = change["to"]
        amounts = {name: amount + int(record["transition"].get(name, 0)) for name, amount in amounts.items()}
    return {"status": status, **amounts}


def verify_payment(payment: Payment, stored: Iterable[Mapping[str, Any]]) -> Broken | None:
    """Check a payment's records as `verify` does, and that they lead to the state of the payment's item.

    The chain hashes records and not the item. So facts that were rewritten in the item differ from its records: the
    amounts always, every other fact if its records have facts.
    """
    records = sorted(stored, key=lambda r: int(r["seq"]))
    broken = verify(payment.payment_id, records, payment.version, payment.audit_head)
    if broken:
        return broken
    recorded, state = fold(records), {"status": payment.status, **_amounts(payment)}
    different = [f"{name} {recorded[name]}" for name in state if recorded[name] != state[name]]
    if not different:
        fact = recorded_facts.fold(records).difference(payment.facts)
        return Broken(payment.version, f"the payment has another {fact} than its records") if fact else None
    held = [f"{name} {state[name]}" for name in state if recorded[name] != state[name]]
    return Broken(payment.version, f"the records lead to {', '.join(different)}, but the payment has {', '.join(held)}")
