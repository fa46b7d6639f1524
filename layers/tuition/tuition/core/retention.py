"""How long a payment is kept: seven years after the last movement of money, as the law wants books to be kept.

An enrollment and the audit records stay. The last record of a payment that was deleted says so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tuition.core import audit, moments, timestamps
from tuition.core import enrollment as enrollments
from tuition.core import payment as payments
from tuition.core.payment import Payment
from tuition.core.plan import Plan

KEPT_YEARS = 7
"""The years after the last movement of money in which a payment is kept."""
_OF_MONEY = ("settled", "refunded", "lost", "refunds", "disputes")
"""The parts of a transition that show that money moved, or that a bank decided about it."""


def last_movement(payment: Payment, trail: Iterable[Mapping[str, Any]]) -> str:
    """Return when money of a payment moved last, as its facts and its audit records show (RFC 3339 UTC).

    A refund or dispute may be decided long after it was made, which only the records show. Without money it is the time
    of the creation.
    """
    recorded = (str(record["at"]) for record in trail if any(name in record["transition"] for name in _OF_MONEY))
    return max([payment.created_at, *map(timestamps.iso, _movements(payment)), *recorded])


def _movements(payment: Payment) -> Iterator[int]:
    """Yield the times, in epoch seconds, at which the facts of a payment show that money moved."""
    facts = payment.facts
    yield from (settled.at for settled in (facts.settled, *facts.claims.values()) if settled)
    yield from (charge.created for charge in facts.charges.values() if charge.status == "succeeded")
    yield from (refund.created for refund in facts.refunds.values())
    yield from (dispute.created for dispute in facts.disputes.values())
    yield from (moved.at for moved in facts.balance_transactions.values())


def kept_until(last: str) -> str:
    """Return until when a payment is kept whose money moved last at this time. Both are RFC 3339 UTC."""
    return years_later(last, KEPT_YEARS)


def years_later(at: str, years: int) -> str:
    """Return the same moment some years later. 29 February stays as text, and sorts before 1 March."""
    return f"{int(at[:4]) + years}{at[4:]}"


def is_due(payment: Payment, last: str, now: str) -> bool:
    """Whether a payment may be deleted now: it was kept long enough, and nothing more is expected to happen to it.

    A refund that staff must approve, or that is due after a withdrawal, is expected. So is a decision of staff about
    money that never gave access: until then the student cannot buy the track, and no decision is possible without it.
    """
    is_awaited = any(request.undecided for request in payment.requests) or payments.amount_due(payment) > 0
    standing = enrollments.standing_of(payment)
    is_awaited |= standing.holds_funds and not (standing.granted or standing.revoked or standing.withdrawn)
    return kept_until(last) <= now and payments.is_final(payment) and not is_awaited


def may_expire(plan: Plan) -> bool:
    """Whether nothing is expected to happen to a plan automatically, so that its payments may be deleted.

    They are deleted together: each one explains what the others mean. A plan that was given up, or that a lost dispute
    suspended, can be paid without end, and its parts show what was paid.
    """
    owes = bool(plan.money_due or plan.held)
    awaits = owes or plan.status in ("OPEN", "ACTIVE", "LATE", "PAUSED") or plan.charged_off_session
    return not (awaits or any(part.open or part.refunding or part.requested for part in plan.parts.values()))


def is_marked(trail: Sequence[Mapping[str, Any]]) -> bool:
    """Whether audit records, in the order of their numbers, end with one that says that their payment was deleted."""
    return bool(trail) and trail[-1]["type"] == audit.EXPIRED_RECORD


def problem(payment_id: str, trail: Sequence[Mapping[str, Any]], now: str) -> str | None:
    """Return why the last record of a deleted payment is not to be believed; None if the ledger can have written it.

    The ledger deletes no payment before its time, so a forged record must also say that its money moved years ago.
    """
    broken = audit.verify(payment_id, trail, len(trail), str(trail[-1]["hash"]))
    if broken:
        return f"record {broken.seq}: {broken.why}"
    payment = moments.of_records(trail)
    if payment is None:
        return f"its records end with {audit.EXPIRED_RECORD}, but show no payment"
    at = str(trail[-1]["at"])
    if not kept_until(last_movement(payment, trail)) <= at <= now:
        return f"it was deleted at {at}, but must be kept until {kept_until(last_movement(payment, trail))}"
    return None


def deleted(payment_id: str, trail: Sequence[Mapping[str, Any]], now: str) -> Payment | None:
    """Return the payment that was deleted after its retention period, as its records show it; None if it was not."""
    return moments.of_records(trail) if is_marked(trail) and not problem(payment_id, trail, now) else None
