"""Why a payment needs attention, derived from its facts."""

from dataclasses import dataclass

from tuition.core import payment as payments
from tuition.core.payment import Payment


@dataclass(frozen=True)
class AttentionReason:
    """Why a person is needed. `mark` changes when the cause does: an acknowledgement holds for one mark."""

    name: str
    mark: str
    detail: str


def reasons(payment: Payment, *, double: bool = False) -> list[AttentionReason]:
    """Everything about a payment that needs a person, acknowledged or not. `double` comes from the standings."""
    facts, found = payment.facts, []
    if facts.settled and not payments.amount_agrees(payment) and not facts.accepted:
        detail = f"{facts.settled.money} was received where {payment.price} was asked"
        found.append(AttentionReason("amount", str(facts.settled.money), detail))
    if double and payments.holds_funds(payment):
        found.append(AttentionReason("double", "double", "this track was paid for twice"))
    for key, dispute in facts.disputes.items():
        if dispute.status not in ("won", "warning_closed"):
            found.append(
                AttentionReason(f"dispute:{key}", dispute.status, f"dispute {dispute.status}, {dispute.reason}")
            )
    for key, refund in facts.refunds.items():
        if refund.status in ("failed", "canceled"):
            found.append(
                AttentionReason(
                    f"refund:{key}", refund.status, f"refund {refund.status}: {refund.failure or 'no reason given'}"
                )
            )
    for key, claim in facts.claims.items():
        found.append(
            AttentionReason(
                f"claim:{key}", key, f"{key} settled {claim.money} in this payment's name and is not its object"
            )
        )
    if facts.gone:
        found.append(AttentionReason("gone", "gone", f"Stripe no longer knows {payment.bound_to}"))
    if facts.rebuilt:
        found.append(AttentionReason("rebuilt", "rebuilt", "our record was missing and was rebuilt from Stripe"))
    return found


def unacknowledged(payment: Payment, *, double: bool = False) -> list[AttentionReason]:
    """The causes that no person has acknowledged as they stand."""
    known = payment.facts.acknowledged
    return [
        cause
        for cause in reasons(payment, double=double)
        if cause.name not in known or known[cause.name].mark != cause.mark
    ]
