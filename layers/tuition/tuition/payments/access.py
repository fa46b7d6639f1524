"""What staff decide about a payment: whether it grants access, and that a cause of attention has been dealt with.

A decision is a fact like any other: it is merged, everything else is derived from it, and its record says who made
it. What was written with it (`note`) stays on the payment; the audit record has no words of a person's.
"""

from typing import Literal

from tuition import clock
from tuition.core import attention, timestamps
from tuition.core import payment as payments
from tuition.core.audit import Entry
from tuition.core.errors import Conflicted, NotFound
from tuition.core.facts import Acknowledgement, Decision, Facts
from tuition.core.refs import PaymentRef
from tuition.storage import ledger
from tuition.storage.ledger import Change, PaymentState

AccessDecision = Literal["accept", "revoke"]


def decide(key: PaymentRef, verdict: AccessDecision, note: str, staff: str) -> PaymentState:
    """Accept the amount that was received as if it had been asked, or revoke access whatever was paid.

    The newest decision counts; the same again changes nothing. Raises `NotFound`, and `Conflicted` where the payment
    is not paid or there is nothing to accept.
    """

    def change(loaded: PaymentState) -> Change | None:
        payment = loaded.found
        facts = payment.facts
        if facts.settled is None:
            raise Conflicted(f"this payment is {payment.status}: only one that was paid can be decided about")
        if facts.decision and facts.decision.decision == verdict:
            return None
        if verdict == "accept" and facts.decision is None and payments.amount_agrees(payment):
            raise Conflicted("what was received is what was asked for: there is nothing to accept")
        version = payment.version + 1
        decided = Facts(decision=Decision(version, verdict, staff, note), accepted=verdict == "accept")
        return Change(payment.merged(decided), _entry(f"decision:{version}", f"decision.{verdict}", staff))

    return ledger.update(key, change)


def acknowledge(key: PaymentRef, cause: str, mark: str | None, note: str, staff: str) -> PaymentState:
    """A person has dealt with this cause of attention as it stands; when it changes it comes back.

    `mark` is the cause's as the person saw it, where they say so. The same again changes nothing. Raises `NotFound`
    where the payment has no such cause, `Conflicted` where it has changed since.
    """

    def change(loaded: PaymentState) -> Change | None:
        payment = loaded.found
        double = payment.payment_id in loaded.enrollment.doubled
        found = {known.name: known for known in attention.reasons(payment, double=double)}
        if cause not in found:
            raise NotFound("this payment needs nobody for that: look again")
        if mark is not None and mark != found[cause].mark:
            raise Conflicted(f"this is {found[cause].mark} by now: look again")
        known = payment.facts.acknowledged.get(cause)
        if known and known.mark == found[cause].mark:
            return None
        version = payment.version + 1
        facts = Facts(acknowledged={cause: Acknowledgement(version, found[cause].mark, staff, note)})
        return Change(payment.merged(facts), _entry(f"acknowledged:{version}", "attention.acknowledged", staff))

    return ledger.update(key, change)


def _entry(event_id: str, type_: str, staff: str) -> Entry:
    return Entry(timestamps.iso(clock.now()), event_id, type_, "staff", staff)
