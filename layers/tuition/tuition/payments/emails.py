"""Send an email about a payment again, on record: staff ask for it, and the record's event has it sent.

The email itself is sent by `outbox/emails`, like every other, from the payment as it is then.
"""

from tuition import clock
from tuition.core import emails, published_events, timestamps
from tuition.core.audit import AuditEntry
from tuition.core.emails import EmailEvent, StudentKind
from tuition.core.errors import Conflicted
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.settings import settings
from tuition.storage import ledger
from tuition.storage.ledger import Change


def send_again(ref: PaymentRef, kind: StudentKind, staff: str) -> None:
    """Record that staff ask for an email of this kind. Raises `NotFound`, and `Conflicted` if it does not apply now."""

    def change(state: PaymentState) -> Change:
        payment, now = state.existing, int(clock.now())
        event = EmailEvent(published_events.EMAIL_REQUESTED, {"kind": kind, "payment_id": ref.payment_id})
        if emails.compose(kind, event, payment, settings().refund_window_days, now) is None:
            raise Conflicted(f"The email {kind} does not fit this payment as it is now. Choose another kind.")
        record_type = f"{published_events.EMAIL_RECORD}{kind}"
        entry = AuditEntry(timestamps.iso(now), f"email:{payment.version + 1}", record_type, "staff", staff)
        return Change(payment, entry)

    ledger.update(ref, change)
