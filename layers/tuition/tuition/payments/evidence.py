"""Keep the evidence for a dispute as a draft, and send it to Stripe once.

The draft is an item of the notes table, so an erasure deletes it, and each change has a record on the student's chain
without its text. All changes of one student happen one after another. So of two members of staff who send at once, one
sends, and the other resumes the same sending, whose id is the key of both calls to Stripe. Source: https://docs.stripe.com/api/disputes/update
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tuition import clock
from tuition.core import evidence as rules
from tuition.core import timestamps
from tuition.core.errors import Conflicted, NotFound, StripeRefused
from tuition.core.payment import DECIDED_DISPUTES, Payment
from tuition.payments import notes as note_changes
from tuition.payments.notes import NoteChange
from tuition.storage import notes
from tuition.storage.items import NoteItem
from tuition.storage.notes import NoteTopic
from tuition.stripe_gateway import client as stripe_client

Decide = Callable[[NoteItem | None], tuple[str, Mapping[str, Any]] | None]
"""Returns the type of the record and the evidence to store; None if nothing changes."""
CHANGED = "Someone else has saved this evidence in the meantime. Reload the page and check it again."
SENDING_S = 60
"""No request takes longer. So an older sending has ended, and the next one needs another key: Stripe repeats a 500 to a
key for a day."""
SENT = "This evidence has been sent to Stripe. It can be sent only once."


def keep_draft(payment: Payment, dispute_id: str, fields: object, saved_at: str | None, staff: str) -> None:
    """Keep a draft. `saved_at` is when the draft that it replaces was saved; None if there was none.

    Raises `NotFound`, `Unprocessable`, `Conflicted` (another draft was saved, or the evidence was sent), and as
    `payments.notes` does.
    """
    require_open(payment, dispute_id)
    texts = rules.checked(fields)

    def change(item: NoteItem | None) -> tuple[str, Mapping[str, Any]] | None:
        if item and item.evidence["state"] != "draft":
            raise Conflicted(SENT)
        if (item.at if item else None) != saved_at:
            raise Conflicted(CHANGED)
        return "evidence.saved", {"state": "draft", "fields": texts}

    _commit(payment, dispute_id, staff, change)


def send(payment: Payment, dispute_id: str, saved_at: str, staff: str) -> None:
    """Send the draft that was saved at `saved_at` to the bank, once. Repeating it resumes it, or changes nothing.

    The record comes first, so a sending whose answer was lost is known: the next one asks Stripe whether it has the
    evidence. If Stripe refuses, it is a draft again. Raises `NotFound`, `Conflicted`, `StripeUnavailable`, and as
    `payments.notes` does.
    """
    require_open(payment, dispute_id)
    item, is_new = _begin(payment, dispute_id, saved_at, staff)
    if item.evidence["state"] == "sent":
        return
    sending = item.evidence["sending"]
    try:
        if is_new or not _is_submitted(dispute_id):
            stripe_client.submit_evidence(dispute_id, item.evidence["fields"], f"evidence_{sending}")
    except StripeRefused as refused:
        if not _is_submitted(dispute_id):  # otherwise another request has sent it
            _end(payment, dispute_id, sending, "draft", staff)
            raise Conflicted(f"Stripe refused the evidence: {refused}") from refused
    _end(payment, dispute_id, sending, "sent", staff)


def _is_submitted(dispute_id: str) -> bool:
    """Ask Stripe whether evidence for a dispute was submitted, by us or in the dashboard."""
    details = stripe_client.retrieve_dispute(dispute_id).object.get("evidence_details") or {}
    return bool(details.get("submission_count"))


def require_open(payment: Payment, dispute_id: str) -> None:
    """Raise `NotFound` if the payment has no such dispute, and `Conflicted` if it is decided."""
    dispute = payment.facts.disputes.get(dispute_id)
    if dispute is None:
        raise NotFound("This payment has no such dispute.")
    if dispute.status in DECIDED_DISPUTES:
        raise Conflicted("This dispute has been decided, so Stripe accepts no more evidence.")


def _begin(payment: Payment, dispute_id: str, saved_at: str, staff: str) -> tuple[NoteItem, bool]:
    """Mark the draft as being sent. Return it, and whether this request has marked it.

    Raises `Conflicted` if another draft was saved since, or if evidence was sent in Stripe's dashboard.
    """
    topic = NoteTopic(payment.user_id, payment.payment_id)
    item = _unchanged(notes.evidence_of(topic, dispute_id, notes.read(topic)), saved_at)
    if not _may_begin(item):
        return item, False
    if _is_submitted(dispute_id):
        if item.evidence["state"] == "submitting":
            return item, False
        raise Conflicted("Evidence for this dispute was sent in Stripe's dashboard. It can be sent only once.")
    marked = False

    def change(item: NoteItem | None) -> tuple[str, Mapping[str, Any]] | None:
        nonlocal marked
        current = _unchanged(item, saved_at)
        marked = _may_begin(current)
        sending = {"state": "submitting", "sending": uuid.uuid4().hex, "sent_at": timestamps.iso(clock.now())}
        return ("evidence.submitting", {**current.evidence, **sending}) if marked else None

    _commit(payment, dispute_id, staff, change)
    return _unchanged(notes.evidence_of(topic, dispute_id, notes.read(topic)), saved_at), marked


def _may_begin(item: NoteItem) -> bool:
    """Whether a sending may begin: the evidence is a draft, or the sending before has ended without an answer."""
    if item.evidence["state"] != "submitting":
        return bool(item.evidence["state"] == "draft")
    return clock.now() - timestamps.epoch(item.evidence["sent_at"]) > SENDING_S


def _unchanged(item: NoteItem | None, saved_at: str) -> NoteItem:
    if item is None or item.evidence["saved_at"] != saved_at:
        raise Conflicted(CHANGED)
    return item


def _end(payment: Payment, dispute_id: str, sending: str, state: str, staff: str) -> None:
    """End a sending, unless another request has ended it, or a later one has begun."""

    def change(item: NoteItem | None) -> tuple[str, Mapping[str, Any]] | None:
        if item is None or (item.evidence["state"], item.evidence["sending"]) != ("submitting", sending):
            return None
        return f"evidence.{'sent' if state == 'sent' else 'refused'}", {**item.evidence, "state": state}

    _commit(payment, dispute_id, staff, change)


def _commit(payment: Payment, dispute_id: str, staff: str, decide: Decide) -> None:
    topic = NoteTopic(payment.user_id, payment.payment_id)

    def change(items: list[NoteItem]) -> NoteChange | None:
        decision = decide(notes.evidence_of(topic, dispute_id, items))
        if decision is None:
            return None
        type_, evidence = decision
        at = timestamps.iso(clock.now())
        stored = {"saved_at": at, **evidence} if type_ == "evidence.saved" else dict(evidence)
        count = rules.characters(stored["fields"])
        transition = {"evidence": {"dispute": dispute_id, "payment": payment.payment_id, "characters": count}}
        put = notes.put_evidence(topic, dispute_id, stored, staff, stored["saved_at"])
        before = notes.evidence_of(topic, dispute_id, items)
        lost = rules.loses_text(before.evidence["fields"] if before else {}, stored["fields"])
        return NoteChange(type_, transition, put, deletes=lost)

    note_changes.commit(topic, staff, change)
