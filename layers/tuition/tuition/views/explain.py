"""Why a payment gives access or not: each condition with its facts, and with the records that brought them."""

from typing import Any

from tuition.core import explanation, plan_explanation, recorded_facts
from tuition.core import payment as payments
from tuition.core.payment import AccessTerm, Payment
from tuition.views import payment_list, staff


def payment(payment_id: str) -> tuple[str, dict[str, Any]]:
    """Return whose payment it is, and its conditions of access with a sentence. Raises `NotFound`."""
    item, trail = staff.read_with_trail(payment_id)
    view = payment_list.load_views([item])[0]
    shown = view.payment
    return shown.user_id, {
        "payment_id": shown.payment_id,
        "enrollment": view.enrollment,
        "grants_access": payments.grants_access(shown),
        "plan_id": shown.plan,
        "sentence": _sentence(shown, view.enrollment),
        "terms": [_term(term, shown, trail) for term in payments.access_terms(shown)],
    }


def _sentence(payment: Payment, enrollment: str | None) -> str:
    plan = staff.plan_of(payment)
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
