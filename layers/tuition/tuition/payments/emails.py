"""Send an email about a payment again, on record: staff ask for it, and the record's event has it sent.

The email itself is sent by `outbox/emails`, like every other, from the payment as it is then.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tuition import clock
from tuition.core import emails, published_events, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.emails import STUDENT_KINDS, EmailEvent, StudentKind
from tuition.core.errors import Conflicted, TooManyRequests
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.settings import settings
from tuition.storage import ledger, queries
from tuition.storage.ledger import Change

MAX_PER_DAY = 10
"""Emails that staff may ask for per payment within 24 hours."""


def send_again(ref: PaymentRef, kind: StudentKind, staff: str) -> None:
    """Record that staff ask for an email of this kind.

    Raises `NotFound`, `Conflicted` if it does not apply now, and `TooManyRequests` after `MAX_PER_DAY` of a day. The
    records of the day are read after the payment, and each record is a new version of it. So two requests at once
    cannot pass the limit together: one of them is decided again.
    """

    def change(state: PaymentState) -> Change:
        payment, now = state.existing, int(clock.now())
        if not _fits(kind, payment, now):
            raise Conflicted(f"The email {kind} does not fit this payment as it is now. Choose another kind.")
        wait_s = _wait_s(queries.audit_trail(ref.payment_id, since=timestamps.iso(now - emails.DAY_S)), now)
        if wait_s:
            message = (
                f"Staff sent {MAX_PER_DAY} emails about this payment within 24 hours. Write to the student instead."
            )
            raise TooManyRequests(message, wait_s)
        record_type = f"{published_events.EMAIL_RECORD}{kind}"
        entry = AuditEntry(timestamps.iso(now), f"email:{kind}:{payment.version + 1}", record_type, "staff", staff)
        return Change(payment, entry)

    ledger.update(ref, change)


def applicable(payment: Payment, trail: Iterable[Mapping[str, Any]]) -> list[StudentKind]:
    """Return the emails that staff may send now. `trail` has the payment's audit records of the last day at least."""
    now = int(clock.now())
    return [] if _wait_s(trail, now) else [kind for kind in STUDENT_KINDS if _fits(kind, payment, now)]


def _fits(kind: StudentKind, payment: Payment, now: int) -> bool:
    event = EmailEvent(published_events.EMAIL_REQUESTED, {"kind": kind, "payment_id": payment.payment_id})
    config = settings()
    return emails.compose(kind, event, payment, config.refund_days, now, is_eu=config.is_eu) is not None


def _wait_s(trail: Iterable[Mapping[str, Any]], now: int) -> int:
    """Return in how many seconds staff may ask for another email; 0 if now."""
    requests = (record for record in trail if record["type"].startswith(published_events.EMAIL_RECORD))
    counted = sorted(at for at in (timestamps.epoch(record["at"]) for record in requests) if at > now - emails.DAY_S)
    return int(counted[-MAX_PER_DAY]) + emails.DAY_S - now if len(counted) >= MAX_PER_DAY else 0
