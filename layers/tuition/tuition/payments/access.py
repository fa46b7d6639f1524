"""Decisions of staff about a payment: whether it gives access, and which reasons for attention are acknowledged.

A decision is a fact like any other: it is merged, everything else is derived from it, and its record names its author.
The note stays on the payment, because audit records contain nothing that a person wrote.
"""

from typing import Literal

from tuition import clock
from tuition.core import attention, timestamps
from tuition.core import payment as payments
from tuition.core.audit import AuditEntry
from tuition.core.errors import Conflicted, NotFound
from tuition.core.facts import Acknowledgement, Decision, Facts
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.storage import ledger
from tuition.storage.ledger import Change

AccessDecision = Literal["accept_amount", "revoke", "restore"]
DECISIONS: tuple[AccessDecision, ...] = ("accept_amount", "revoke", "restore")


def decide(ref: PaymentRef, decision: AccessDecision, note: str, staff: str) -> PaymentState:
    """Accept an amount that differs from the price, revoke access, or restore access that was revoked.

    After `restore` access follows from the money again. The newest decision counts, and repeating it changes nothing.
    Access of a payment of a plan is that of its plan, and is decided there. Raises `NotFound`, and `Conflicted` if the
    payment is unpaid or the decision does not apply to it.
    """

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        facts = payment.facts
        if facts.settled is None:
            raise Conflicted(f"This payment is {payment.status}. Access can be decided once it is paid.")
        if facts.decision and facts.decision.decision == decision:
            return None
        _require_applicable(payment, decision)
        after = _decided(payment, decision, note, staff)
        return Change(after, _entry(f"decision:{payment.version + 1}", f"decision.{decision}", staff))

    return ledger.update(ref, change)


def _decided(payment: Payment, decision: AccessDecision, note: str, staff: str) -> Payment:
    fact = Decision(payment.version + 1, decision, staff, note)
    return payment.merged(Facts(decision=fact, accepted=decision == "accept_amount"))


def applicable(payment: Payment) -> dict[AccessDecision, payments.NoAccess | None]:
    """Return the decisions that change something now, each with why the payment gives no access after it, or None.

    An amount is accepted after access was restored, because accepting would restore it too.
    """
    facts = payment.facts
    if facts.settled is None:
        return {}
    revoked = payments.is_revoked(payment)
    differs = not payments.amount_agrees(payment) and not facts.accepted
    alone = payment.plan is None
    offered = {"accept_amount": differs and not revoked, "revoke": alone and not revoked, "restore": alone and revoked}
    return {
        decision: payments.no_access_reason(_decided(payment, decision, "", ""))
        for decision in DECISIONS
        if offered[decision]
    }


def _require_applicable(payment: Payment, decision: AccessDecision) -> None:
    if payment.plan and decision != "accept_amount":
        raise Conflicted(f"This payment belongs to the plan {payment.plan}. Decide about the access of the plan.")
    if decision == "accept_amount" and payments.amount_agrees(payment):
        raise Conflicted("The amount received is the price, so there is nothing to accept.")
    if decision == "restore" and not payments.is_revoked(payment):
        raise Conflicted("Access to this payment was not revoked, so there is nothing to restore.")


def acknowledge(ref: PaymentRef, name: str, fingerprint: str | None, note: str, staff: str) -> PaymentState:
    """Acknowledge a reason for attention in its present form. If the reason changes, it needs attention again.

    `fingerprint` is the reason's as the member of staff saw it, if they send it. Repeating it changes nothing. Raises
    `NotFound` if the payment has no such reason, and `Conflicted` if the reason has changed since, or if it is a refund
    request, which only a decision ends, or a withdrawal, which only its refund ends.
    """

    def change(state: PaymentState) -> Change | None:
        payment = state.existing
        double = payment.grantor in state.enrollment.doubled
        by_name = {reason.name: reason for reason in attention.reasons(payment, double=double)}
        if name not in by_name:
            raise NotFound("This payment no longer has that issue. Reload it.")
        if name.startswith(attention.REFUND_REQUEST):
            raise Conflicted("A refund request cannot be marked as resolved. Approve or decline it.")
        if name == attention.WITHDRAWAL:
            raise Conflicted("A withdrawal cannot be marked as resolved. Refund the payment.")
        reason = by_name[name]
        if fingerprint is not None and fingerprint != reason.fingerprint:
            raise Conflicted("This issue has changed. Reload the payment, then decide again.")
        acknowledged = payment.facts.acknowledged.get(name)
        if acknowledged and acknowledged.fingerprint == reason.fingerprint:
            return None
        version = payment.version + 1
        new = Facts(acknowledged={name: Acknowledgement(version, reason.fingerprint, staff, note)})
        return Change(payment.merged(new), _entry(f"acknowledged:{version}", "attention.acknowledged", staff))

    return ledger.update(ref, change)


def _entry(event_id: str, type_: str, staff: str) -> AuditEntry:
    return AuditEntry(timestamps.iso(clock.now()), event_id, type_, "staff", staff)
