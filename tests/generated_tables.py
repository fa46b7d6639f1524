"""Tables with many purchases, generated page by page: they stand for DynamoDB's scans, and need no memory.

One purchase is made by the functions that make it in production. Every other one is the same with another number in its
ids, so the hashes of its chain are its own. The tables are read as a client of boto3 reads them.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tuition.core import audit, facts, recorded_facts
from tuition.core import enrollment as enrollments
from tuition.core.audit import AuditEntry, Record
from tuition.core.enrollment import Enrollment
from tuition.core.facts import Balance, Charge, Facts, Phase, Refund, Settled
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.storage import dynamodb, mapping

Item = dict[str, Any]
NUMBER = "0123456789"
"""The number in the ids of the purchase that all others are copies of."""
AT = 1_796_000_000
PAGE_PAYMENTS = 100
STRIDE = 2_654_435_761
"""A prime. DynamoDB's scans are in no order, so the payments come in another order than their records."""


def _steps() -> Iterator[tuple[str, Facts]]:
    """Yield the type of each record of a purchase, with the facts that it adds."""
    intent, charge = f"pi_{NUMBER}", f"ch_{NUMBER}"
    succeeded = Charge("succeeded", 49900, AT + 9, "card", "visa", "4242", f"https://pay.stripe.com/{NUMBER}")
    yield "payment.created", Facts(phase=Phase(AT, 0, "created"), intent=intent, customer=f"cus_{NUMBER}")
    yield "payment_intent.processing", Facts(phase=Phase(AT + 5, 2, "processing"), intent=intent)
    yield "payment_intent.succeeded", Facts(settled=Settled(49900, "usd", AT + 9), charges={charge: succeeded})
    yield "charge.updated", Facts(charges={charge: succeeded}, balance=Balance(1477, 48423, "usd"))
    yield (
        "refund.created",
        Facts(refunds={f"re_{NUMBER}": Refund("succeeded", 10000, AT + 900, "requested_by_customer")}),
    )


def _purchase() -> tuple[list[Item], Item, Item]:
    """Return the items of the records of one purchase, of its payment and of its enrollment."""
    user_id = f"user-{NUMBER}"
    payment = Payment(
        payment_id=f"pay_{NUMBER:>026}",
        user_id=user_id,
        track="DP",
        kind="intent",
        attempt=1,
        stripe_object_id=f"pi_{NUMBER}",
        price=Money(49900, "usd"),
        created_at="2026-11-29T10:00:00Z",
        updated_at="2026-11-29T10:00:00Z",
        email=f"student{NUMBER}@example.org",
    )
    before, records = PaymentState(None, Enrollment(user_id=user_id, track="DP")), []
    for number, (kind, added) in enumerate(_steps(), start=1):
        merged = payment.merged(added)
        enrollment = replace(before.enrollment, standings={payment.payment_id: enrollments.standing_of(merged)})
        after = PaymentState(merged, enrollment)
        record = Record(
            payment.payment_id,
            number,
            AuditEntry(f"2026-11-29T10:00:0{number}.000Z", f"evt_{NUMBER}{number}", kind, "webhook"),
            user_id,
            "DP",
            audit.transition(before, after),
            payment.audit_head,
            facts=recorded_facts.added(before.payment.facts if before.payment else facts.NO_FACTS, merged.facts),
        )
        records.append(dynamodb.to_raw(mapping.record_to_item(record, AT)))
        payment = replace(merged, version=number, audit_head=record.hash)
        before = PaymentState(payment, replace(enrollment, version=number))
    stored = mapping.payment_to_item(payment, AT, before.attention)
    return records, dynamodb.to_raw(stored), dynamodb.to_raw(mapping.enrollment_to_item(before.enrollment))


class Client:
    """The calls of boto3's client that `local/verify.py` makes, on generated tables with so many purchases."""

    def __init__(self, payments: int) -> None:
        self._payments = payments
        records, payment, enrollment = _purchase()
        self._records = [json.dumps(record) for record in records]
        self._bodies = [_canonical(record) for record in records]
        self._hashes = [record["hash"]["S"] for record in records]
        self._payment, self._enrollment = json.dumps(payment), json.dumps(enrollment)
        self._scans: Mapping[str, Callable[[int], Iterator[str]]] = {
            "AuditTable": self._records_of,
            "PaymentsTable": lambda number: self._payment_of(number * STRIDE % payments),
            "EnrollmentsTable": lambda number: self._enrollment_of(number * STRIDE % payments),
        }

    def scan(self, **params: Any) -> Item:
        """Return one page of a table, and the key that continues it."""
        items_of = self._scans.get(params["TableName"])
        first = int(params.get("ExclusiveStartKey", {}).get("number", 0)) if items_of else self._payments
        numbers = range(first, min(first + PAGE_PAYMENTS, self._payments))
        items = [json.loads(text) for number in numbers for text in (items_of(number) if items_of else ())]
        more = {"LastEvaluatedKey": {"number": numbers.stop}} if numbers.stop < self._payments else {}
        return {"Items": items, **more}

    def get_item(self, **_params: Any) -> Item:
        """Return no item: nothing is read twice where the tables hold."""
        return {}

    def query(self, **_params: Any) -> Item:
        """Return no item."""
        return {"Items": []}

    def _hashes_of(self, number: int) -> list[str]:
        hashes: list[str] = []
        for position, body in enumerate(self._bodies):
            text = body.replace(NUMBER, f"{number:010}")
            if position:
                text = text.replace(self._hashes[position - 1], hashes[-1])
            hashes.append(hashlib.sha256(text.encode()).hexdigest())
        return hashes

    def _records_of(self, number: int) -> Iterator[str]:
        hashes = self._hashes_of(number)
        for position, text in enumerate(self._records):
            own = text.replace(NUMBER, f"{number:010}").replace(self._hashes[position], hashes[position])
            yield own.replace(self._hashes[position - 1], hashes[position - 1]) if position else own

    def _payment_of(self, number: int) -> Iterator[str]:
        yield self._payment.replace(NUMBER, f"{number:010}").replace(self._hashes[-1], self._hashes_of(number)[-1])

    def _enrollment_of(self, number: int) -> Iterator[str]:
        yield self._enrollment.replace(NUMBER, f"{number:010}")


def _canonical(record: Item) -> str:
    """Return the text of a record that its hash covers."""
    body = mapping.stored_record(record)
    covered = {name: value for name, value in body.items() if name not in ("hash", "sort_key", "recorded_at")}
    return json.dumps(covered, sort_keys=True, separators=(",", ":"))
