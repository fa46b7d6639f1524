"""Why a payment needs attention, derived from its facts."""

from collections.abc import Iterator
from dataclasses import dataclass

from tuition.core import payment as payments
from tuition.core import timestamps
from tuition.core.facts import Facts
from tuition.core.payment import Payment

DISPUTE = "dispute:"
"""Before the id of a dispute that is not won."""
REFUND_REQUEST = "refund_request:"
"""Before the id of a refund request that awaits approval. Only a decision about the request ends this reason."""


WITHDRAWAL = "withdrawal"
"""A student who has withdrawn still waits for their money. Only the refund ends this reason."""


@dataclass(frozen=True)
class AttentionReason:
    """Why staff must look at a payment. `fingerprint` changes with the reason; an acknowledgement is for one."""

    name: str
    fingerprint: str
    detail: str


def reasons(payment: Payment, *, double: bool = False) -> list[AttentionReason]:
    """Return every reason, acknowledged or not. `double` says that the standings show a second payment of the track."""
    return [*_reasons(payment, double=double), *_unknown_values(payment)]


def _reasons(payment: Payment, *, double: bool) -> Iterator[AttentionReason]:
    facts = payment.facts
    if facts.settled and not payments.amount_agrees(payment) and not facts.accepted:
        received = str(facts.settled.money)
        yield AttentionReason("amount", received, f"{received} was received, but the price was {payment.price}")
    yield from _comparison_reasons(payment)
    if double and payments.holds_funds(payment):
        yield AttentionReason("double", "double", "this track was paid for twice")
    yield from _request_reasons(payment)
    yield from _bank_reasons(facts)
    for refund_id, refund in facts.refunds.items():
        if refund.status in ("failed", "canceled"):
            detail = f"refund {refund.status}: {refund.failure or 'no reason given'}"
            yield AttentionReason(f"refund:{refund_id}", refund.status, detail)
    yield from _credit_note_reasons(facts)
    for object_id, claim in facts.claims.items():
        detail = f"{object_id} was paid ({claim.money}) and names this payment, but is not its object"
        yield AttentionReason(f"claim:{object_id}", object_id, detail)
    if facts.missing_at_stripe:
        yield AttentionReason("gone", "gone", f"{payment.stripe_object_id} is missing at Stripe")
    if facts.rebuilt:
        yield AttentionReason("rebuilt", "rebuilt", "our record was missing and was rebuilt from Stripe")


def _credit_note_reasons(facts: Facts) -> Iterator[AttentionReason]:
    """Yield one reason for all refunds without a credit note, so that their number does not fill the item."""
    refused = {refund_id: note for refund_id, note in facts.credit_notes.items() if note.id is None}
    if refused:
        first, note = next(iter(refused.items()))
        others = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        detail = f"Stripe made no credit note for refund {first}{others}: {note.refusal}"
        yield AttentionReason("credit_note", str(len(refused)), detail)


def _request_reasons(payment: Payment) -> Iterator[AttentionReason]:
    """Yield what the student waits for: a decision, or after a withdrawal the money, by a day."""
    if payment.refund_due_by is None:
        for request in payment.requests:
            if request.state == "awaiting_approval":
                amount = payments.amount_in_received_currency(payment, request.amount)
                detail = f"the student asks for {amount} back"
                yield AttentionReason(f"{REFUND_REQUEST}{request.id}", request.state, detail)
    elif due := payments.amount_due(payment):
        amount = payments.amount_in_received_currency(payment, due)
        day = payment.refund_due_by[:10]
        detail = f"the student withdrew from the contract: {amount} must be refunded by {day}"
        yield AttentionReason(WITHDRAWAL, payment.refund_due_by, detail)


def _comparison_reasons(payment: Payment) -> Iterator[AttentionReason]:
    facts = payment.facts
    if payments.is_contradicted(payment):
        shown = f"shows {facts.confirmed.money}" if facts.confirmed else "shows its object as not paid"
        received = str(facts.settled.money) if facts.settled else "nothing"
        detail = f"we hold {received} as received, but Stripe {shown}"
        yield AttentionReason("unconfirmed", shown, detail)
    for name, comparison in facts.compared.items():
        if comparison.problem:
            yield AttentionReason(name, comparison.problem, comparison.problem)


def _bank_reasons(facts: Facts) -> Iterator[AttentionReason]:
    for dispute_id, dispute in facts.disputes.items():
        if dispute.status not in ("won", "warning_closed"):
            detail = f"dispute {dispute.status}, {dispute.reason}"
            yield AttentionReason(f"{DISPUTE}{dispute_id}", dispute.status, detail)
    for warning_id, warning in facts.fraud_warnings.items():
        detail = f"the card's issuer warns of fraud: {warning.type}"
        yield AttentionReason(f"fraud_warning:{warning_id}", warning.type, detail)


def _unknown_values(payment: Payment) -> Iterator[AttentionReason]:
    for name, value in payment.facts.unknown.items():
        yield AttentionReason(f"unknown:{name}", value, f"Stripe shows {value} as {name}, which Tuition cannot read")


def due_by(payment: Payment, reason: AttentionReason) -> str | None:
    """Return by when a dispute must be answered or a withdrawal refunded (RFC 3339 UTC); None for other reasons."""
    if reason.name == WITHDRAWAL:
        return payment.refund_due_by
    dispute = payment.facts.disputes.get(reason.name.removeprefix(DISPUTE))
    if dispute is None or dispute.due_by is None or dispute.status in payments.DECIDED_DISPUTES:
        return None
    return timestamps.iso(dispute.due_by)


def unacknowledged(payment: Payment, *, double: bool = False) -> list[AttentionReason]:
    """Return the reasons that staff have not acknowledged in their present form."""
    acknowledged = payment.facts.acknowledged
    return [
        reason
        for reason in reasons(payment, double=double)
        if reason.name not in acknowledged or acknowledged[reason.name].fingerprint != reason.fingerprint
    ]
