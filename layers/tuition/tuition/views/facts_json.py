"""A payment's facts and disputes as staff see them."""

from collections.abc import Mapping
from typing import Any

from tuition.core import timestamps
from tuition.core.facts import Acknowledgement, Decision, Settled
from tuition.core.payment import DECIDED_DISPUTES, Payment
from tuition.views.payment_json import dashboard_url

_CHARGE = ("status", "amount", "type", "brand", "last4", "receipt_url", "code")
_REFUND = ("status", "amount", "reason", "request", "failure")


def facts_json(payment: Payment, recorded: Mapping[int, str]) -> dict[str, Any]:
    """Return a payment's facts, oldest first. `recorded` has the time of each version's audit record."""
    facts = payment.facts
    closed, phase = facts.closed, facts.phase
    decision = facts.decision
    return {
        "object": {"kind": payment.kind, "id": payment.stripe_object_id, "intent": payment.intent},
        "settled": _settled_json(facts.settled),
        "closed": {"reason": closed.reason, "at": _at(closed.at)} if closed else None,
        "phase": {**_only(phase, "name", "code", "message"), "at": _at(phase.at)} if phase else None,
        "charges": [
            {"charge_id": key, **_only(c, *_CHARGE), "currency": c.currency or payment.currency, "at": _at(c.created)}
            for key, c in oldest_first(facts.charges)
        ],
        "refunds": [
            {"refund_id": key, **_only(r, *_REFUND), "currency": payment.currency, "at": _at(r.created)}
            for key, r in oldest_first(facts.refunds)
        ],
        "disputes": [dispute_json(payment, key) for key, _ in oldest_first(facts.disputes)],
        "fraud_warnings": [
            {"warning_id": key, "type": warning.type, "at": _at(warning.created)}
            for key, warning in facts.fraud_warnings.items()
        ],
        "claims": [
            {"object_id": key, **_only(claim, "amount", "currency"), "at": _at(claim.at)}
            for key, claim in facts.claims.items()
        ],
        "decision": {"decision": decision.decision, **_by_staff(decision, recorded)} if decision else None,
        "acknowledged": [
            {"name": name, "fingerprint": fact.fingerprint, **_by_staff(fact, recorded)}
            for name, fact in facts.acknowledged.items()
        ],
        "accepted": facts.accepted,
        "unknown": dict(facts.unknown),
        "confirmed": _settled_json(facts.confirmed),
        "contradicted": facts.contradicted,
        "balance": vars(facts.balance) if facts.balance else None,
        "compared": {name: one.problem for name, one in facts.compared.items()},
        "agreed": {"version": facts.agreed.version, "at": _at(facts.agreed.at)} if facts.agreed else None,
        "withdrawn": {**_only(facts.withdrawn, "name", "email"), "at": payment.withdrawn_at}
        if facts.withdrawn
        else None,
        "invoice": facts.invoice,
        "credit_notes": [
            {"refund_id": key, **_only(note, "id", "refusal")} for key, note in facts.credit_notes.items()
        ],
        "rebuilt": facts.rebuilt,
        "erased": facts.erased,
    }


def _settled_json(settled: Settled | None) -> dict[str, Any] | None:
    return {**_only(settled, "amount", "currency"), "at": _at(settled.at)} if settled else None


def _by_staff(fact: Decision | Acknowledgement, recorded: Mapping[int, str]) -> dict[str, Any]:
    at = recorded.get(fact.version)
    return {"who": fact.actor, "note": fact.note, "version": fact.version, "at": at}


def _only(fact: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in names}


def _at(epoch_s: int | None) -> str | None:
    return None if epoch_s is None else timestamps.iso(epoch_s)


def oldest_first(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Sort facts by creation. Within one second a success comes last: a student who has paid does not try again."""
    return sorted(facts.items(), key=lambda pair: (pair[1].created, pair[1].status == "succeeded", pair[0]))


def dispute_json(payment: Payment, dispute_id: str) -> dict[str, Any]:
    """Return one dispute. `due_by` is the bank's deadline.

    `withdrawn` is what the bank has taken from our balance so far, in the settlement currency.
    """
    dispute = payment.facts.disputes[dispute_id]
    return {
        "dispute_id": dispute_id,
        **_only(dispute, "status", "reason", "amount", "withdrawn", "withdrawn_currency"),
        "currency": payment.currency,
        "created_at": _at(dispute.created),
        "due_by": _at(dispute.due_by),
        "over": dispute.status in DECIDED_DISPUTES,
        "stripe_url": dashboard_url("disputes", dispute_id),
    }
