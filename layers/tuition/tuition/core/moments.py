"""A payment as it was: its facts, folded from the records up to a version, under the same rules as the present ones.

The order of a chain is the order of acceptance. So the payment "at 13:00" is the payment as our tables had it at 13:00,
by the time at which each record was committed, and not by Stripe's times: an event may arrive days late.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tuition.core import audit, recorded_facts, timestamps
from tuition.core import payment as payments
from tuition.core.errors import NotFound
from tuition.core.facts import PHASE_ORDER, Facts, PhaseName
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.recorded_facts import is_start
from tuition.core.refund_request import RefundRequest

NOT_RECORDED = "not recorded"
"""The text at a moment in place of one that no record holds."""
FIELDS_NOT_RECORDED = ("email", "stripe_customer_id", "receipt_url", "attention", "enrollment", "check_at", "synced_at")
"""The fields of a payment that do not follow from its own records. They are null, or empty, at a moment."""

StoredRecord = Mapping[str, Any]
"""A record's body with its `hash` and `recorded_at`."""


class Moment(NamedTuple):
    """A payment at a version. `complete` says that records hold all its facts: none is of schema version 1.

    Otherwise facts are known as far as transitions and later records show them.
    """

    payment: Payment
    recorded_at: str
    complete: bool


def version_at(records: Sequence[StoredRecord], at: str) -> int:
    """Return the version that a payment had at a time (RFC 3339 UTC). Records are in the order of `seq`.

    A version counts once all records up to it were committed. Raises `NotFound` before the first, or without records.
    """
    if not records:
        raise NotFound("This payment has no audit records any more, so its past cannot be shown.")
    version = 0
    for record in records:
        if record["recorded_at"] > at:
            break
        version = int(record["seq"])
    if not version:
        raise NotFound(f"This payment did not exist at {at}. It was created at {records[0]['recorded_at']}.")
    return version


def at_version(payment: Payment, records: Sequence[StoredRecord], version: int) -> Moment:
    """Return a payment as it was at a version, the `seq` of the record that led to it.

    Track, kind, attempt and the choices of the purchase never change. They are those of the payment as it is. Raises
    `NotFound` for a version that it never had, or whose record is missing.
    """
    prefix = [record for record in records if record["seq"] <= version]
    last = records[-1]["seq"] if records else 0
    if not 1 <= version <= last:
        raise NotFound(f"This payment has the versions 1 to {last}.")
    if not prefix or prefix[-1]["seq"] != version:
        raise NotFound(f"The audit record {version} of this payment is missing, so that version cannot be shown.")
    start = max((number for number, record in enumerate(prefix) if is_start(record)), default=0)
    since, newest = prefix[start:], prefix[-1]
    folded = recorded_facts.fold(since)
    facts = recorded_facts.restored(folded.facts, NOT_RECORDED)
    if not folded.complete:
        facts = _supplemented(facts, since, payment)
    facts = _with_actors(facts, prefix)
    past = replace(
        payment,
        facts=facts,
        requests=_requests(since, facts),
        price=_price(since, payment.price),
        version=version,
        audit_head=newest["hash"],
        updated_at=newest["recorded_at"],
        email=None,
        customer=None,
        synced_at=None,
    )
    return Moment(past, newest["recorded_at"], folded.complete)


def of_records(records: Sequence[Mapping[str, Any]]) -> Payment | None:
    """Return a payment that does not exist any more as its records show it; None if they are not those of a payment.

    Records are in the order of `seq`. They have neither the choices of the purchase nor whether its promotion code was
    for first purchases.
    """
    try:
        start = max(number for number, record in enumerate(records) if is_start(record))
        first = records[start]
        context, at = first["transition"]["payment"], first["at"]
        stripe_object_id = str(context["stripe_object_id"])
        plan = first["transition"].get("plan", {})
        payment = Payment(
            payment_id=first["subject"],
            user_id=first["user_id"],
            track=first["track"],
            membership=plan.get("membership"),
            plan=plan.get("id"),
            covers=tuple(first["transition"].get("installments", ())),
            kind="checkout" if stripe_object_id.startswith("cs_") else "intent",
            attempt=int(context["attempt"]),
            stripe_object_id=stripe_object_id,
            price=Money(int(context["price"]), str(first["transition"]["currency"])),
            created_at=str(context.get("created_at", at)),
            updated_at=at,
        )
        stored = [{**record, "recorded_at": record["at"]} for record in records]
        return at_version(payment, stored, len(stored)).payment
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _price(records: Sequence[StoredRecord], price: Money) -> Money:
    """Return the price that the newest record names. Only a payment that was lost and rebuilt may get another one."""
    amounts = [record["transition"]["payment"]["price"] for record in records if "payment" in record["transition"]]
    return Money(amounts[-1], price.currency) if amounts else price


def _with_actors(facts: Facts, records: Sequence[StoredRecord]) -> Facts:
    """Name who decided and acknowledged: the actor of the record with that number. Addresses are not recorded."""
    actors = {int(record["seq"]): record.get("actor", NOT_RECORDED) for record in records}
    decision = facts.decision and replace(facts.decision, actor=actors.get(facts.decision.version, NOT_RECORDED))
    acknowledged = {
        name: replace(one, actor=actors.get(one.version, NOT_RECORDED)) for name, one in facts.acknowledged.items()
    }
    charges = {key: replace(charge, receipt_url=None) for key, charge in facts.charges.items()}
    return replace(facts, decision=decision, acknowledged=acknowledged, charges=charges)


def _requests(records: Sequence[StoredRecord], facts: Facts) -> tuple[RefundRequest, ...]:
    """Return the refund requests as the transitions show them, the oldest first, without what people wrote."""
    requests: dict[str, RefundRequest] = {}
    refunds = {refund.request: refund_id for refund_id, refund in facts.refunds.items()}
    for record in records:
        for request_id, change in record["transition"].get("refund_requests", {}).items():
            by = record["user_id"] if change["made_by"] == "student" else record.get("actor", NOT_RECORDED)
            request = requests.get(request_id) or RefundRequest(
                request_id, change["amount"], NOT_RECORDED, by, record["at"], change["to"]
            )
            requests[request_id] = replace(request, state=change["to"], refund=refunds.get(request_id))
    return tuple(requests.values())


def _supplemented(facts: Facts, records: Sequence[StoredRecord], payment: Payment) -> Facts:
    """Add the facts that follow from transitions: the money, why it is closed, and the decisions of staff.

    Their times are those of the records. A refund or dispute whose id no record has is called `NOT_RECORDED`.
    """
    totals, at = audit.fold(records), int(timestamps.epoch(records[-1]["at"]))
    extra: dict[str, Any] = {}
    if totals["status"] in payments.SETTLED_STATUSES and facts.settled is None:
        first = next((record for record in records if record["transition"].get("settled")), records[-1])
        currency = first["transition"].get("currency", payment.price.currency)
        settled_at = int(timestamps.epoch(first["at"]))
        extra["settled"] = {"amount": totals["settled"], "currency": currency, "at": settled_at}
    elif totals["status"] == "CANCELED" and facts.closed is None:
        extra["closed"] = {"at": at, "by": payment.kind, "reason": NOT_RECORDED}
    elif totals["status"] in ("PROCESSING", "FAILED") and facts.phase is None:
        name: PhaseName = "processing" if totals["status"] == "PROCESSING" else "failed"
        extra["phase"] = {"at": at, "order": PHASE_ORDER[name], "name": name, "message": NOT_RECORDED}
    if (refunded := totals["refunded"] - payments.refunded_amount(facts)) > 0:
        refund = {"status": "succeeded", "amount": refunded, "created": at}
        extra["refunds"] = {NOT_RECORDED: refund}
    if (lost := totals["lost"] - payments.lost_amount(facts)) > 0:
        dispute = {"stamp": 0, "status": "lost", "amount": lost, "created": at, "reason": NOT_RECORDED}
        extra["disputes"] = {NOT_RECORDED: dispute}
    decisions = [record for record in records if record["type"].startswith("decision.")]
    if decisions and facts.decision is None:
        newest = decisions[-1]
        name = newest["type"].partition(".")[2]
        decision = {"version": int(newest["seq"]), "decision": name, "actor": NOT_RECORDED, "note": NOT_RECORDED}
        extra["decision"] = decision
    accepted = facts.accepted or any(record["type"] == "decision.accept_amount" for record in decisions)
    added = Facts.from_json({**extra, "accepted": accepted})
    return replace(
        facts,
        settled=facts.settled or added.settled,
        closed=facts.closed or added.closed,
        phase=facts.phase or added.phase,
        refunds={**facts.refunds, **added.refunds},
        disputes={**facts.disputes, **added.disputes},
        decision=facts.decision or added.decision,
        accepted=accepted,
    )
