"""The page of an invoice, and the PDFs of invoices and credit notes.

https://docs.stripe.com/invoicing/hosted-invoice-page
"""

import html
import time
from collections.abc import Iterable

from stripe_simulator.account import Account
from stripe_simulator.accounts import Accounts
from stripe_simulator.currencies import format_amount
from stripe_simulator.pages import pdf
from stripe_simulator.pages.html_page import message, page
from stripe_simulator.response import Response
from stripe_simulator.store import Object

FIELDS = {"invoice": ("hosted_invoice_url", "invoice_pdf"), "credit_note": ("pdf",)}
"""The fields with the addresses of a kind's documents."""


def owner(accounts: Accounts, path: str) -> Account:
    """Return the account that has the document of a path, or the default account if none has."""
    for account in accounts.all():
        objects = account.store.objects
        if any(_has(one, path) for kind in FIELDS for one in objects.get(kind, {}).values()):
            return account
    return accounts.default


def answer(account: Account, path: str) -> Response:
    """GET the address of a document. Anyone who has the address can read it, as at Stripe."""
    invoice = _find(account.store.all("invoice"), path)
    note = _find(account.store.all("credit_note"), path)
    if note is not None:
        return pdf.document(note["number"], _lines_of_credit_note(account, note))
    if invoice is None:
        return message("No such document", "Check the link, or ask the business for a new one.", 404)
    if path.endswith("/pdf"):
        return pdf.document(invoice["number"], _lines_of_invoice(invoice))
    title, *lines = _lines_of_invoice(invoice)
    rows = "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
    link = f'<p><a href="{html.escape(invoice["invoice_pdf"])}">Download the invoice</a></p>'
    return page(title, f'<p class="bank">Stripe simulator · test mode</p><h1>{html.escape(title)}</h1>{rows}{link}')


def _has(stored: Object, path: str) -> bool:
    """Return whether a path is that of a document of an object. A restart may change the port, so only paths count."""
    return any(stored[name] and stored[name].endswith(path) for name in FIELDS[stored["object"]])


def _find(objects: Iterable[Object], path: str) -> Object | None:
    return next((one for one in objects if _has(one, path)), None)


def _lines_of_invoice(invoice: Object) -> list[str]:
    """Return the lines of an invoice: its head, to whom it is billed, what was bought and what was paid."""
    currency = invoice["currency"]
    lines = [f"Invoice {invoice['number']}", f"Date: {_date(invoice['created'])}", *_billed_to(invoice), ""]
    lines += [
        f"{one['quantity']} x {one['description']}: {format_amount(one['amount'], currency)}"
        for one in invoice["lines"]["data"]
    ]
    lines += [f"Discount: -{format_amount(one['amount'], currency)}" for one in invoice["total_discount_amounts"]]
    lines += [
        f"Total: {format_amount(invoice['total'], currency)}",
        f"Amount paid: {format_amount(invoice['amount_paid'], currency)}",
    ]
    if invoice["post_payment_credit_notes_amount"]:
        lines.append(f"Credited: -{format_amount(invoice['post_payment_credit_notes_amount'], currency)}")
    fields = [f"{one['name']}: {one['value']}" for one in invoice["custom_fields"] or []]
    return [*lines, "", *fields, *(text for text in (invoice["description"], invoice["footer"]) if text)]


def _lines_of_credit_note(account: Account, note: Object) -> list[str]:
    invoice = account.store.get("invoice", note["invoice"])
    lines = [f"Credit note {note['number']}", f"Date: {_date(note['created'])}", f"Invoice {invoice['number']}"]
    lines += [*_billed_to(invoice), "", f"Total: {format_amount(note['total'], note['currency'])}"]
    return [*lines, *([note["memo"]] if note["memo"] else [])]


def _billed_to(invoice: Object) -> list[str]:
    address = invoice["customer_address"] or {}
    town = " ".join(address[name] for name in ("postal_code", "city") if address.get(name))
    parts = [invoice["customer_name"], address.get("line1"), address.get("line2"), town, address.get("state")]
    tax_ids = [f"{one['type']}: {one['value']}" for one in invoice["customer_tax_ids"]]
    return [
        "Bill to:",
        *(part for part in (*parts, address.get("country"), invoice["customer_email"]) if part),
        *tax_ids,
    ]


def _date(timestamp: int) -> str:
    moment = time.gmtime(timestamp)
    return f"{moment.tm_mday} {time.strftime('%B %Y', moment)}"
