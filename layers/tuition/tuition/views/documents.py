"""The invoice and the credit notes of a payment, as Stripe has them now.

Only their ids are stored here. Name, address and tax id of the buyer stay at Stripe, on the documents. The links change
and expire, so each request asks for them again. Source: https://docs.stripe.com/api/invoices/object
"""

from collections.abc import Mapping
from typing import Any

from tuition.core import payment as payments
from tuition.core import stripe_json, timestamps
from tuition.core.errors import StripeRefused
from tuition.core.payment import Payment
from tuition.storage import ledger, limits
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import resolve, sync
from tuition.views.payment_json import dashboard_url


def of_student(payment_id: str, user_id: str) -> list[dict[str, Any]]:
    """Return the documents of a user's payment. Raises `NotFound`, `TooManyRequests`, `StripeUnavailable`."""
    state = ledger.load(resolve.find_ref(payment_id, user_id))
    if state.existing.invoice:
        limits.take_request(user_id, state.limits)
    return _documents(_with_invoice(state.existing))


def of_payment(payment_id: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the user and the documents of a payment, as staff see them. Raises `NotFound`, `StripeUnavailable`."""
    payment = resolve.find_payment(payment_id)
    documents = _documents(_with_invoice(payment))
    for document in documents:
        is_invoice = document["kind"] == "invoice"
        document["dashboard_url"] = dashboard_url("invoices", document["id"]) if is_invoice else None
    return payment.user_id, documents


def _with_invoice(payment: Payment) -> Payment:
    """Return a payment after a sync, if Stripe may have made its invoice since the last one."""
    return sync.refresh(payment.ref)[0] if payments.awaits_invoice(payment) else payment


def _documents(payment: Payment) -> list[dict[str, Any]]:
    """Return the invoice, then the credit notes, oldest first; nothing if Stripe has no invoice (any more)."""
    if payment.facts.invoice is None:
        return []
    try:
        invoice = stripe_client.retrieve_invoice(payment.facts.invoice).object
        notes = stripe_client.list_credit_notes(payment.facts.invoice)
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        return []
    notes.sort(key=lambda note: (stripe_json.timestamp(note, "created"), note.get("number") or ""))
    links = ("hosted_invoice_url", "invoice_pdf")
    return [_json("invoice", invoice, *links), *(_json("credit_note", note, "", "pdf") for note in notes)]


def _json(kind: str, document: Mapping[str, Any], url: str, pdf: str) -> dict[str, Any]:
    refunds = document.get("refunds") or []
    return {
        "kind": kind,
        "id": stripe_json.object_id(document, "id"),
        "number": stripe_json.optional_text(document, "number"),
        "status": stripe_json.optional_text(document, "status"),
        "created_at": timestamps.iso(stripe_json.timestamp(document, "created")),
        "amount": stripe_json.integer(document, "total"),
        "currency": stripe_json.text(document, "currency"),
        "url": stripe_json.optional_text(document, url),
        "pdf_url": stripe_json.optional_text(document, pdf),
        "refund": stripe_json.optional_id(refunds[0], "refund") if refunds else None,
    }
