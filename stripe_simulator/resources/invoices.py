"""The paid invoices that Checkout Sessions of mode payment make after a payment.

https://docs.stripe.com/api/invoices
https://docs.stripe.com/receipts?payment-ui=checkout#paid-invoice-receipts

An invoice that is drafted, finalized and paid by the API is not simulated.
"""

from typing import Any

from stripe_simulator import lists
from stripe_simulator.account import Account, Call
from stripe_simulator.resources import tax_ids
from stripe_simulator.store import Object, clone, public_fields

INVOICE_DATA = ("account_tax_ids", "custom_fields", "description", "footer", "issuer", "rendering_options")


def creation_of(params: Any) -> Object | None:
    """Return `invoice_creation` of a session with every field; None without one."""
    if not params:
        return None
    data = params.get("invoice_data") or {}
    fields = {name: data.get(name) or None for name in INVOICE_DATA}
    return {"enabled": params["enabled"], "invoice_data": {**fields, "metadata": data.get("metadata") or {}}}


UNUSED: Object = {
    "account_country": "US",
    "account_name": "Simulator",
    "account_tax_ids": None,
    "amount_overpaid": 0,
    "amount_remaining": 0,
    "amount_shipping": 0,
    "application": None,
    "attempt_count": 0,
    "attempted": True,
    "auto_advance": False,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None},
    "automatically_finalizes_at": None,
    "billing_reason": "manual",
    "collection_method": "charge_automatically",
    "customer_account": None,
    "customer_shipping": None,
    "customer_tax_exempt": "none",
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "due_date": None,
    "ending_balance": 0,
    "from_invoice": None,
    "issuer": {"type": "self"},
    "last_finalization_error": None,
    "latest_revision": None,
    "livemode": False,
    "next_payment_attempt": None,
    "on_behalf_of": None,
    "parent": None,
    "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "receipt_number": None,
    "rendering": None,
    "shipping_cost": None,
    "shipping_details": None,
    "starting_balance": 0,
    "statement_descriptor": None,
    "test_clock": None,
    "total_pretax_credit_amounts": [],
    "total_taxes": [],
}
"""The fields that are the same for every invoice when it is made."""


def create_paid(account: Account, session: Object, discounts: list[Object]) -> Object:
    """Create the paid invoice of a session whose payment has just succeeded, with its events.

    `discounts` are those of the session, each with its amount.
    """
    customer = account.store.get("customer", session["customer"])
    data, now = session["invoice_creation"]["invoice_data"], account.clock.unix()
    id, token = f"in_1{account.store.token(23)}", account.store.token(60)
    transitions = {"finalized_at": now, "marked_uncollectible_at": None, "paid_at": now, "voided_at": None}
    invoice: Object = {
        "id": id,
        "object": "invoice",
        **clone(UNUSED),
        **_billed_to(account, session, customer),
        **_amounts(session, discounts),
        "created": now,
        "effective_at": now,
        "period_end": now,
        "period_start": now,
        "webhooks_delivered_at": now,
        "custom_fields": data["custom_fields"],
        "description": data["description"],
        "footer": data["footer"],
        "metadata": dict(data["metadata"]),
        "hosted_invoice_url": f"{account.url}/invoices/{token}",
        "invoice_pdf": f"{account.url}/invoices/{token}/pdf",
        "lines": {
            "object": "list",
            "data": [_line(account, id, item, now) for item in session["_items"]],
            "has_more": False,
            "url": f"/v1/invoices/{id}/lines",
        },
        "number": f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}",
        "status": "paid",
        "status_transitions": transitions,
        "_payment_intent": session["payment_intent"],
    }
    customer["next_invoice_sequence"] += 1
    account.store.add(invoice)
    for event_type in ("invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"):
        account.emit(event_type, invoice)
    return invoice


def _billed_to(account: Account, session: Object, customer: Object) -> Object:
    """Return the customer of an invoice, as they were when it was made."""
    details = session["customer_details"]
    return {
        "customer": customer["id"],
        **{f"customer_{name}": details[name] for name in ("address", "email", "name", "phone")},
        "customer_tax_ids": tax_ids.as_details(tax_ids.of_customer(account, customer["id"])),
    }


def _amounts(session: Object, discounts: list[Object]) -> Object:
    total, subtotal = session["amount_total"], session["amount_subtotal"]
    return {
        "currency": session["currency"],
        "amount_due": total,
        "amount_paid": total,
        "discounts": [one["discount"]["id"] for one in discounts],
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_discount_amounts": [{"amount": one["amount"], "discount": one["discount"]["id"]} for one in discounts],
        "total_excluding_tax": total,
    }


def _line(account: Account, invoice_id: str, item: Object, now: int) -> Object:
    return {
        "id": f"il_1{account.store.token(23)}",
        "object": "line_item",
        "amount": item["amount_subtotal"],
        "currency": item["currency"],
        "description": item["description"],
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": {"end": now, "start": now},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": item["price"]["id"], "product": item["price"]["product"]},
            "type": "price_details",
            "unit_amount_decimal": str(item["price"]["unit_amount"]),
        },
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": None,
        "subtotal": item["amount_subtotal"],
        "taxes": [],
    }


def retrieve(call: Call) -> Object:
    """GET /v1/invoices/:id."""
    return public_fields(call.store.get("invoice", call.ids[0]))


def list_(call: Call) -> Object:
    """GET /v1/invoices?customer&status&collection_method&created."""
    invoices = lists.select(call.store.all("invoice"), call.params, "customer", "status", "collection_method")
    return lists.page(invoices, call.params, call.path, "invoice")


def search(call: Call) -> Object:
    """GET /v1/invoices/search."""
    return lists.search(call.store.all("invoice"), call.params, call.path)


def lines(call: Call) -> Object:
    """GET /v1/invoices/:id/lines, in the order of the session's line items."""
    invoice = call.store.get("invoice", call.ids[0])
    return lists.page(invoice["lines"]["data"], call.params, call.path, "line item")


ROUTES = {
    "GET /v1/invoices/search": search,
    "GET /v1/invoices": list_,
    "GET /v1/invoices/*": retrieve,
    "GET /v1/invoices/*/lines": lines,
}
