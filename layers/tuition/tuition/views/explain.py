"""Why a payment gives access or not: each condition with its facts, and with the records that brought them."""

from typing import Any

from tuition.core import explanation, plan_explanation, recorded_facts
from tuition.core import payment as payments
from tuition.core.payment import AccessTerm, Payment
from tuition.core.plan import Plan
from tuition.storage import queries
from tuition.views import payment_list, staff

MAX_PAYMENTS = 24
"""Payments of a plan whose records are read, the newest."""


def payment(payment_id: str) -> tuple[str, dict[str, Any]]:
    """Return whose payment it is, and its conditions of access with a sentence. Raises `NotFound`."""
    item, trail = staff.read_with_trail(payment_id)
    view = payment_list.load_views([item])[0]
    shown, plan = view.payment, staff.plan_of(view.payment)
    return shown.user_id, {
        "payment_id": shown.payment_id,
        "enrollment": view.enrollment,
        "grants_access": payments.grants_access(shown),
        "plan_id": shown.plan,
        "sentence": _sentence(shown, view.enrollment, plan),
        "terms": [_term(term, shown, trail) for term in payments.access_terms(shown)],
        "plan_changes": _plan_changes(plan) if plan else [],
    }


def _plan_changes(plan: Plan) -> list[dict[str, Any]]:
    """Return each change of a plan's status with the record that brought it: of the plan, or of one of its payments."""
    newest = sorted(plan.parts, key=lambda key: plan.parts[key].number, reverse=True)[:MAX_PAYMENTS]
    changes = [
        {name: record[name] for name in ("at", "subject", "seq", "type")} | {"from": change["from"], "to": change["to"]}
        for subject in (plan.plan_id, *newest)
        for record in queries.audit_trail(subject)
        if "to" in (change := record["transition"].get("plan", {}))
    ]
    return sorted(changes, key=lambda change: (change["at"], change["subject"] != plan.plan_id, change["seq"]))


def _sentence(payment: Payment, enrollment: str | None, plan: Plan | None) -> str:
    if plan is None:
        return explanation.for_staff(payment, enrollment)
    numbers = ", ".join(map(str, payment.covers))
    return f"This payment is for number {numbers} of a plan. {plan_explanation.for_staff(plan)}"


def _term(term: AccessTerm, payment: Payment, trail: list[dict[str, Any]]) -> dict[str, Any]:
    facts = recorded_facts.reduced(payment.facts)
    shown = {name: facts[name] for name in term.facts if name in facts}
    if term.term == "amount_agrees":
        shown["price"] = {"amount": payment.price.amount, "currency": payment.price.currency}
    records = {seq for name in term.facts for seq in recorded_facts.sources(trail, name, payment.facts)}
    return {"term": term.term, "holds": term.holds, "facts": shown, "records": sorted(records)}
