"""The record that nobody can change: one line of history, chained by hash to the one before it.

The chain is in the order of acceptance (`seq`); the key is in the order of Stripe's time. The key holds the
event's id, so a record is its own mark that the event has been applied.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tuition.core import attention
from tuition.core import payment as payments
from tuition.core.enrollment import Enrollment
from tuition.core.payment import Payment

SCHEMA_VERSION = 1
Source = Literal["webhook", "pull", "request", "staff", "reconcile"]


@dataclass(frozen=True)
class Entry:
    """What is to be recorded. `at`: RFC 3339 UTC, Stripe's time for an event, ours for the rest.

    `actor` is a user id. No text that a person wrote: audit holds no personal data, so erasure never touches it.
    """

    at: str
    event_id: str
    type: str
    source: Source
    actor: str | None = None

    @property
    def key(self) -> str:
        """The range key of its record: `<event time>#<event id>`."""
        return f"{self.at}#{self.event_id}"

    @property
    def pulled(self) -> bool:
        """It records what was asked of Stripe on one version: a present key is a conflict, not a second delivery."""
        return self.source in ("pull", "reconcile") and self.event_id.startswith("pull:")


@dataclass(frozen=True)
class Record:
    """An entry in its place in the chain of `subject`, with the transition that it made (often none)."""

    subject: str
    seq: int
    entry: Entry
    user_id: str
    track: str | None = None
    transition: Mapping[str, Any] = field(default_factory=dict)
    previous: str = ""
    schema_version: int = SCHEMA_VERSION

    def body(self) -> dict[str, Any]:
        """All that the hash covers, as JSON types."""
        entry = {name: value for name, value in asdict(self.entry).items() if value is not None}
        rest = {"subject": self.subject, "seq": self.seq, "user_id": self.user_id, "track": self.track}
        chain = {"transition": dict(self.transition), "previous": self.previous, "schema_version": self.schema_version}
        return {**entry, **rest, **chain}

    @property
    def hash(self) -> str:
        """SHA-256 of the body as JSON with sorted keys and no spaces, in hex."""
        return digest(self.body())


def digest(body: Mapping[str, Any]) -> str:
    """A record's hash: SHA-256 of its body as JSON with sorted keys and no spaces, in hex."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def transition(
    before: Payment | None, after: Payment, enrollment_before: Enrollment, enrollment_after: Enrollment
) -> dict[str, Any]:
    """What changed, from and to; amounts as deltas in minor units. Consumers act on this and on nothing else."""
    found: dict[str, Any] = {}
    status_before = before.status if before else None
    if status_before != after.status:
        found["status"] = {"from": status_before, "to": after.status}
    if enrollment_before.status != enrollment_after.status:
        found["enrollment"] = {"from": enrollment_before.status, "to": enrollment_after.status}
    for name, amount in _amounts(after).items():
        delta = amount - (_amounts(before)[name] if before else 0)
        if delta:
            found[name] = delta
    if found:
        settled = after.facts.settled
        found["currency"] = settled.currency if settled else after.price.currency
    known = attention.unacknowledged(before, double=bool(enrollment_before.doubled)) if before else []
    now = attention.unacknowledged(after, double=bool(enrollment_after.doubled))
    raised = sorted({(c.name, c.mark) for c in now} - {(c.name, c.mark) for c in known})
    return {**found, "attention": [name for name, _ in raised]} if raised else found


def _amounts(payment: Payment) -> dict[str, int]:
    facts = payment.facts
    return {
        "settled": facts.settled.amount if facts.settled else 0,
        "refunded": payments.refunded_amount(facts),
        "lost": payments.lost_amount(facts),
    }


@dataclass(frozen=True)
class Broken:
    """Where and why a chain does not hold."""

    seq: int
    why: str


def verify(subject: str, stored: Iterable[Mapping[str, Any]], version: int, head: str) -> Broken | None:
    """Check the stored records of a subject against each other and against the subject's own version and head.

    An altered record, one missing anywhere, one too many, and a log cut at its end are all found.
    """
    previous, seq = "", 0
    for record in sorted(stored, key=lambda r: int(r["seq"])):
        seq += 1
        body = {name: value for name, value in record.items() if name != "hash"}
        if record["seq"] != seq:
            return Broken(seq, f"record {seq} is missing, {record['seq']} follows")
        if record["subject"] != subject or record["previous"] != previous:
            return Broken(seq, "it does not follow the record before it")
        if digest(body) != record["hash"]:
            return Broken(seq, "its content was changed")
        previous = record["hash"]
    if seq != version or previous != head:
        return Broken(seq, f"the log ends at {seq} and its subject says {version}")
    return None
