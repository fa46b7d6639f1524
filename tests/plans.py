"""Plans on tables: begun, continued and charged as the use cases do, with the ledger and Stripe's simulator."""

from dataclasses import replace
from typing import Any

from tuition import clock
from tuition.core import plan as plans
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import PlanDecision, PlanFacts
from tuition.core.plan_terms import PlanTerms
from tuition.core.refs import PaymentRef
from tuition.storage import ledger
from tuition.storage.ledger import Change, PlanChange
from tuition.stripe_gateway import objects, resolve

FOUR = PlanTerms(
    offer="4x", amounts=(12475,) * 4, currency="usd", every="month", consent_version="2026-11", agreed_at=1_790_000_000
)
MONTHLY = PlanTerms(
    offer="monthly", amounts=(2900,), currency="usd", every="month", endless=True, consent_version="2026-11",
    agreed_at=1_790_000_000,
)  # fmt: skip
MEMBERSHIP = "ALL"


def entry(event_id: str, type_: str, user_id: str) -> AuditEntry:
    return AuditEntry(timestamps.iso(clock.now()), event_id, type_, "request", user_id)


def new_plan(user_id: str, terms: PlanTerms, attempt: int) -> Plan:
    """Return a plan for DP, or of the membership, that is not stored yet."""
    product = MEMBERSHIP if terms.endless else "DP"
    now = timestamps.iso(clock.now())
    return Plan(
        plan_id=plans.plan_id("test", user_id, product, attempt, terms.to_json()),
        user_id=user_id,
        track=None if terms.endless else product,
        membership=product if terms.endless else None,
        attempt=attempt,
        terms=terms,
        created_at=now,
        updated_at=now,
    )


def new_payment(plan: Plan, covers: tuple[int, ...]) -> Payment:
    """Create the intent of a plan's next payment at Stripe, and return the payment, which is not stored yet."""
    payment_id, price = plans.payment_id("test", plan, covers, {}), plan.terms.amount_of(covers)
    ref = PaymentRef(payment_id, plan.user_id, plan.product)
    metadata = resolve.metadata(ref, plan.next_number, "intent", plan, covers)
    params = {
        "amount": price.amount,
        "currency": price.currency,
        "allowed_payment_method_types": ["card", "us_bank_account"],
    }
    answer = objects.create("intent", params, metadata, payment_id)
    now = timestamps.iso(clock.now())
    return Payment(
        payment_id=payment_id,
        user_id=plan.user_id,
        track=plan.track,
        membership=plan.membership,
        kind="intent",
        attempt=plan.next_number,
        stripe_object_id=answer.object["id"],
        price=Money(price.amount, price.currency),
        created_at=now,
        updated_at=now,
        plan=plan.plan_id,
        covers=covers,
    )


def begin(user_id: str, terms: PlanTerms = FOUR) -> PaymentState:
    """Begin a plan with its first payment, in one transaction. Repeating it returns the plan that is open."""
    product = MEMBERSHIP if terms.endless else "DP"
    enrollment = ledger.load_for_create(user_id, product)[0]
    if enrollment.open_plans:
        return ledger.load_plan(enrollment.open_plans[0])
    plan = new_plan(user_id, terms, enrollment.attempt + 1)
    payment = new_payment(plan, (1,))
    created = entry(f"create:{plan.plan_id}", "plan.created", user_id)
    change = Change(
        payment, entry(f"create:{payment.payment_id}", "payment.created", user_id), PlanChange(plan, created)
    )
    times = (*enrollment.attempt_times, int(clock.now()))
    return ledger.commit(PaymentState(None, enrollment), change, attempt_times=times)


def add_payment(plan_id: str, *covers: int) -> PaymentState:
    """Add the payment of further installments to a plan. Repeating it returns the plan with the open payment."""
    state = ledger.load_plan(plan_id)
    plan = state.existing_plan
    if any(part.open and part.covers == covers for part in plan.parts.values()):
        return state
    payment = new_payment(plan, covers)
    numbered = plan.merged(PlanFacts(last_number=payment.attempt))
    added = entry(f"payment:{payment.payment_id}", "plan.payment_created", plan.user_id)
    created = entry(f"create:{payment.payment_id}", "payment.created", plan.user_id)
    return ledger.commit(state, Change(payment, created, PlanChange(numbered, added)))


def merge(plan_id: str, facts: PlanFacts, event_id: str, *tracks: str, at: int | None = None) -> PaymentState:
    """Merge facts into a plan: a tick at its boundary, an announcement, a method, or tracks that a member begins."""

    def decide(state: PaymentState) -> PlanChange | None:
        plan = state.existing_plan
        after = plan.merged(facts)
        one = entry(event_id, "plan.test", plan.user_id)
        one = one if at is None else replace(one, at=timestamps.iso(at))
        return None if after == plan else PlanChange(after, one)

    return ledger.update_plan(plan_id, decide, *tracks)


def decide(plan_id: str, name: Any, event_id: str, **values: Any) -> PaymentState:
    """Take a decision about a plan on its present version."""

    def change(state: PaymentState) -> PlanChange | None:
        plan = state.existing_plan
        if event_id in plan.facts.decisions:
            return None
        decision = PlanDecision(version=plan.version, decision=name, at=int(clock.now()), actor="grace", **values)
        after = plan.merged(PlanFacts(decisions={event_id: decision}))
        return PlanChange(after, entry(event_id, f"plan.{name}", "staff"))

    return ledger.update_plan(plan_id, change)
