"""Create the credit note that a refund of an invoiced payment needs, after the refund was made.

A refund stays a refund: it is made as for every payment, and the credit note names it. So nothing that happens to a
credit note moves money. Source: https://docs.stripe.com/api/credit_notes/create
"""

from collections.abc import Mapping
from typing import Any

from tuition import clock
from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.audit import AuditEntry, Source
from tuition.core.errors import NotConfigured, StripeRefused, StripeUnavailable
from tuition.core.facts import CreditNote, Facts
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.log import logger
from tuition.settings import settings
from tuition.storage import ledger
from tuition.storage.ledger import Change
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve

MAX_REFUSAL_LENGTH = 40
"""Of Stripe's code, in characters. Up to 50 refunds may have one, and the item of a payment is limited."""


def issue(ref: PaymentRef, payment: Payment, source: Source) -> Payment:
    """Create the credit notes that a payment's refunds lack, and record them. Does nothing without such a refund.

    Credit notes that staff have made in Stripe's dashboard are adopted. Repeating it creates none again: the list shows
    those that exist, and until it does, the idempotency key of each refund finds them. A refusal is recorded for
    attention. Raises `StripeUnavailable`, and then the reconciler continues.
    """
    for refund_id in payments.refunds_without_credit_note(payment):
        payment = _record(ref, refund_id, _find_or_create(ref, payment, refund_id), source)
    return payment


def try_to_issue(ref: PaymentRef, payment: Payment, source: Source) -> None:
    """Issue the credit notes, if Stripe can be reached: otherwise the next run of the reconciler does."""
    try:
        issue(ref, payment, source)
    except (StripeUnavailable, NotConfigured) as error:
        logger.warning("no credit note was created", payment_id=ref.payment_id, error=str(error))


def _find_or_create(ref: PaymentRef, payment: Payment, refund_id: str) -> CreditNote:
    """Return the credit note of a refund, or Stripe's refusal. It may refuse the list too, for a missing invoice."""
    try:
        return _existing(payment, refund_id) or _create(ref, payment, refund_id)
    except StripeRefused as refused:
        return CreditNote(refusal=(refused.code or refused.stripe_type)[:MAX_REFUSAL_LENGTH])


def _existing(payment: Payment, refund_id: str) -> CreditNote | None:
    """Return the credit note that names a refund, if Stripe has one."""
    for note in stripe_client.list_credit_notes(str(payment.facts.invoice)):
        links = [link for link in note.get("refunds") or [] if isinstance(link, Mapping)]
        if any(stripe_json.optional_id(link, "refund") == refund_id for link in links):
            return CreditNote(stripe_json.object_id(note, "id"))
    return None


def _create(ref: PaymentRef, payment: Payment, refund_id: str) -> CreditNote:
    params: dict[str, Any] = {
        "invoice": payment.facts.invoice,
        "amount": payment.facts.refunds[refund_id].amount,
        "refunds": [{"refund": refund_id}],
        "metadata": resolve.metadata(ref, payment.attempt, payment.kind),
        "email_type": "none",  # our own email reports the refund
    }
    answer = stripe_client.create_credit_note(params, f"credit_note:{settings().namespace}:{refund_id}")
    return CreditNote(stripe_json.object_id(answer.object, "id"))


def _record(ref: PaymentRef, refund_id: str, note: CreditNote, source: Source) -> Payment:
    def change(state: PaymentState) -> Change | None:
        after = state.existing.merged(Facts(credit_notes={refund_id: note}))
        if after == state.existing:
            return None
        type_ = "credit_note.created" if note.id else "credit_note.refused"
        entry = AuditEntry(
            timestamps.iso(clock.now()), f"credit_note:{refund_id}:{note.id or 'refused'}", type_, source
        )
        return Change(after, entry)

    return ledger.update(ref, change).existing
