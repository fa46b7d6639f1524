"""Why a plan needs attention, derived from its facts and parts. Its payments have reasons of their own."""

from collections import Counter
from collections.abc import Iterator

from tuition.core.attention import AttentionReason
from tuition.core.money import Money
from tuition.core.plan import Plan
from tuition.core.plan_facts import Announced


def reasons(plan: Plan) -> list[AttentionReason]:
    """Return every reason, acknowledged or not."""
    return [*_of_money(plan), *_of_held_money(plan), *_after_decisions(plan), *_of_time(plan)]


def unacknowledged(plan: Plan) -> list[AttentionReason]:
    """Return the reasons that staff have not acknowledged in their present form."""
    acknowledged = plan.facts.acknowledged
    return [
        reason
        for reason in reasons(plan)
        if reason.name not in acknowledged or acknowledged[reason.name].fingerprint != reason.fingerprint
    ]


def _of_money(plan: Plan) -> Iterator[AttentionReason]:
    kept = {key: part for key, part in plan.parts.items() if part.pays and part.refunded < (part.settled or 0)}
    counts = Counter(seq for part in kept.values() for seq in part.covers)
    for seq in sorted(seq for seq, count in counts.items() if count > 1):
        ids = sorted(key for key, part in kept.items() if seq in part.covers)
        yield AttentionReason(f"double:{seq}", ",".join(ids), f"installment {seq} was paid {len(ids)} times")
    if not plan.ended_by:
        for payment_id, names in plan.unexplained_refunds.items():
            detail = f"{payment_id} has a refund that no decision explains, so nothing is charged until staff decide"
            yield AttentionReason(f"refund:{payment_id}", str(len(names)), detail)
    for payment_id, amount in plan.money_due.items():
        if plan.parts[payment_id].refund_failed:
            money = Money(amount, plan.terms.currency)
            detail = f"the refund of {payment_id} failed, and {money} must still be refunded"
            yield AttentionReason(f"money_due:{payment_id}", str(amount), detail)


def _of_held_money(plan: Plan) -> Iterator[AttentionReason]:
    for payment_id, amount in plan.held.items():
        money = Money(amount, plan.terms.currency)
        detail = f"{payment_id} was debited while its student withdrew: refund {money} once the bank cannot return it"
        yield AttentionReason(f"held:{payment_id}", str(amount), detail)


def _after_decisions(plan: Plan) -> Iterator[AttentionReason]:
    """Yield the money that was paid after staff had decided against it."""
    for payment_id, part in plan.parts.items():
        waived = sorted({*part.covers} & plan.waived)
        if waived and part.pays and part.refunded < (part.settled or 0):
            numbers = ", ".join(map(str, waived))
            detail = f"{payment_id} paid installment {numbers}, which staff had waived"
            yield AttentionReason(f"waived:{payment_id}", numbers, detail)
    if plan.ended_by == "closed":
        closed_at = next(plan.decided("close")).at
        for payment_id, part in plan.parts.items():
            if (part.settled_at or 0) >= closed_at and part.refunded < (part.settled or 0):
                detail = f"{payment_id} was paid after staff had closed the plan, and gives no access"
                yield AttentionReason(f"after_close:{payment_id}", str(part.settled), detail)


def _of_time(plan: Plan) -> Iterator[AttentionReason]:
    if plan.close_reason == "gave_up":
        detail = f"installment {plan.first_owed} was not paid within {plan.terms.give_up_days} days"
        yield AttentionReason("gave_up", str(plan.first_owed), detail)
    for key in plan.facts.bounced:
        announced = Announced.of(key)
        if announced.seq in plan.owed:
            detail = f"the email about the charge on {announced.day} bounced"
            yield AttentionReason(f"bounced:{announced.seq}", announced.day, detail)
    if plan.facts.rebuilt:
        yield AttentionReason("rebuilt", "rebuilt", "our record was missing and was rebuilt from its payments")
