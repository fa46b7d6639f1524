"""A payment's facts, fields and disputes as staff see them."""

from collections.abc import Mapping
from typing import Any

from tuition.core import payment as payments_core
from tuition.core import timestamps
from tuition.core.payment import DECIDED_DISPUTES, Payment
from tuition.settings import settings
from tuition.views.payment_list import PaymentView

DASHBOARD = "https://dashboard.stripe.com"


def dashboard_url(kind: str, stripe_id: str | None) -> str | None:
    """Where Stripe's dashboard shows an object: `payments`, `customers` or `disputes`."""
    mode = "" if settings().stripe_livemode else "test/"
    return f"{DASHBOARD}/{mode}{kind}/{stripe_id}" if stripe_id else None


def groups(one: PaymentView) -> dict[str, dict[str, Any]]:
    """Every field of a payment, by what it is about. Amounts are minor units."""
    item, paid, terms = one.item, one.payment, one.payment.terms
    settled = paid.facts.settled
    intent, customer = item.stripe_payment_intent, item.stripe_customer_id
    method = item.payment_method or {}
    return {
        "payment": {
            **{name: getattr(item, name) for name in ("payment_id", "status", "track", "kind")},
            "attempt": int(item.attempt),
            "grants_access": payments_core.grants_access(paid),
            "enrollment": one.enrollment,
        },
        "student": {"user_id": item.user_id, "email": item.email},
        "money": {
            "amount": int(item.amount),
            "currency": item.currency,
            "list_amount": terms.list_amount,
            "promotion_code": terms.promotion_code,
            "received": settled.amount if settled else None,
            "received_currency": settled.currency if settled else None,
            "refund_amount": int(item.refund_amount),
            "lost": payments_core.lost_amount(paid.facts),
            "left": max(0, paid.left),
        },
        "refund": {name: getattr(item, name) for name in ("refunded", "refund_reason", "refunded_at")},
        "method": {
            **{name: method.get(name) for name in ("type", "brand", "last4")},
            "saved": terms.save_payment_method,
            "receipt_url": item.receipt_url,
        },
        "stripe": {
            "payment_intent": intent,
            "payment_url": dashboard_url("payments", intent),
            "checkout_session": item.stripe_checkout_session,
            "charge": item.stripe_charge_id,
            "customer": customer,
            "customer_url": dashboard_url("customers", customer),
        },
        "times": {name: getattr(item, name) for name in ("created_at", "updated_at", "check_at")},
        "record": {"version": int(item.version), "audit_head": item.audit_head},
    }


def facts_json(known: Payment, recorded: Mapping[int, str]) -> dict[str, Any]:
    """What Stripe and staff have told, oldest first; `recorded` is when each version came to be."""
    facts = known.facts
    settled, closed, phase = facts.settled, facts.closed, facts.phase
    decision = facts.decision
    return {
        "object": {"kind": known.kind, "id": known.bound_to, "intent": known.intent},
        "settled": {"amount": settled.amount, "currency": settled.currency, "at": _at(settled.at)} if settled else None,
        "closed": {"reason": closed.reason, "at": _at(closed.at)} if closed else None,
        "phase": {**_only(phase, "name", "code", "message"), "at": _at(phase.at)} if phase else None,
        "charges": [
            {"charge_id": key, **_only(c, *_CHARGE), "at": _at(c.created)} for key, c in oldest_first(facts.charges)
        ],
        "refunds": [
            {"refund_id": key, **_only(r, *_REFUND), "at": _at(r.created)} for key, r in oldest_first(facts.refunds)
        ],
        "disputes": [dispute_json(known, key) for key, _ in oldest_first(facts.disputes)],
        "claims": [
            {"object_id": key, **_only(claim, "amount", "currency"), "at": _at(claim.at)}
            for key, claim in facts.claims.items()
        ],
        "decision": {**_only(decision, "decision", *_BY), "at": recorded.get(decision.version)} if decision else None,
        "acknowledged": [
            {"cause": name, **_only(seen, "mark", *_BY), "at": recorded.get(seen.version)}
            for name, seen in facts.acknowledged.items()
        ],
        "accepted": facts.accepted,
        "rebuilt": facts.rebuilt,
        "erased": facts.erased,
    }


_CHARGE = ("status", "amount", "type", "brand", "last4", "receipt_url", "code")
_REFUND = ("status", "amount", "reason", "request", "failure")
_BY = ("who", "note", "version")


def _only(fact: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in names}


def _at(epoch_s: int | None) -> str | None:
    return None if epoch_s is None else timestamps.iso(epoch_s)


def oldest_first(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Within one second what succeeded comes last: whoever has paid does not try again."""
    return sorted(facts.items(), key=lambda pair: (pair[1].created, pair[1].status == "succeeded", pair[0]))


# --- disputes ---


def dispute_json(known: Payment, dispute_id: str) -> dict[str, Any]:
    """One dispute; `due_by` is when the bank wants its answer, `withdrawn` what it has taken so far."""
    dispute = known.facts.disputes[dispute_id]
    settled = known.facts.settled
    return {
        "dispute_id": dispute_id,
        **_only(dispute, "status", "reason", "amount", "withdrawn"),
        "currency": settled.currency if settled else known.price.currency,
        "created_at": _at(dispute.created),
        "due_by": _at(dispute.due_by),
        "over": dispute.status in DECIDED_DISPUTES,
        "stripe_url": dashboard_url("disputes", dispute_id),
    }
