"""Credit notes of paid invoices, for refunds that exist.

https://docs.stripe.com/api/credit_notes
https://docs.stripe.com/invoicing/integration/programmatic-credit-notes

A credit note that makes a refund, or that credits a balance, is not simulated.
"""

from typing import Any

from stripe_simulator import lists
from stripe_simulator.account import Account, Call
from stripe_simulator.currencies import format_amount
from stripe_simulator.errors import invalid_request, validation_error
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import refunds
from stripe_simulator.store import Object, public_fields


def create(call: Call) -> Object:
    """POST /v1/credit_notes."""
    invoice = call.store.get("invoice", call.params["invoice"], param="invoice")
    note = _new(call, invoice)
    call.store.add(note)
    invoice["post_payment_credit_notes_amount"] += note["amount"]
    call.account.emit("credit_note.created", note)
    return public_fields(note)


def preview(call: Call) -> Object:
    """GET /v1/credit_notes/preview: the credit note that a request would create. Nothing is stored."""
    invoice = call.store.get("invoice", call.params["invoice"], param="invoice")
    return public_fields(_new(call, invoice))


def preview_lines(call: Call) -> Object:
    """GET /v1/credit_notes/preview/lines: the lines of that credit note."""
    return lists.page(preview(call)["lines"]["data"], call.params, call.path, "credit note line item")


def _new(call: Call, invoice: Object) -> Object:
    """Return a credit note of a request. Raises StripeError if it does not agree with the invoice and the refunds."""
    account, params, now = call.account, call.params, call.account.clock.unix()
    linked = _refunds(account, invoice, params.get("refunds") or [])
    refunded = sum(one["amount_refunded"] for one in linked)
    amount = params.get("amount")
    if amount is None:
        raise validation_error(
            "You must pass one of amount, lines or shipping_cost. The simulator supports amount.", param="amount"
        )
    if amount < 1:
        raise validation_error(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    _check_amount(account, invoice, amount, linked)
    if refunded != amount:
        message = (
            f"The sum of refunds, credit amount and out of band amount ({refunded}) must equal the post payment amount "
            f"of the credit note ({amount})."
        )
        raise invalid_request(message, param="refunds")
    id, sequence = f"cn_1{account.store.token(23)}", len(_of_invoice(account, invoice["id"])) + 1
    return {
        "id": id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": params.get("effective_at", now),
        "invoice": invoice["id"],
        "lines": {
            "object": "list",
            "data": [_line(account, invoice, amount)],
            "has_more": False,
            "url": f"/v1/credit_notes/{id}/lines",
        },
        "livemode": False,
        "memo": params.get("memo"),
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "number": f"{invoice['number']}-CN-{sequence:02}",
        "out_of_band_amount": None,
        "pdf": f"{account.url}/credit_notes/{account.store.token(60)}/pdf",
        "post_payment_amount": amount,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": linked,
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": "post_payment",
        "voided_at": None,
    }


def _refunds(account: Account, invoice: Object, params: list[Any]) -> list[Object]:
    """Return the refunds to link. Each is of the invoice's payment, and no credit note has its whole amount yet."""
    linked = []
    for index, one in enumerate(params):
        name = f"refunds[{index}][refund]"
        if "refund" not in one:
            raise validation_error(f"Missing required param: {name}.", code="parameter_missing", param=name)
        refund = account.store.get("refund", one["refund"], param=name)
        if refund["payment_intent"] != invoice["_payment_intent"]:
            raise invalid_request(f"The refund {refund['id']} is not of a payment of this invoice.", param=name)
        if refund["status"] in refunds.FINAL_STATUSES:
            raise invalid_request(f"The refund {refund['id']} is {refund['status']}.", param=name)
        amount = one.get("amount_refunded", refund["amount"])
        free = refund["amount"] - _linked_amount(account, refund["id"])
        if not 1 <= amount <= free:
            text = format_amount(free, refund["currency"])
            raise invalid_request(f"Only {text} of the refund {refund['id']} can be linked.", param=name)
        linked.append(
            {"amount_refunded": amount, "payment_record_refund": None, "refund": refund["id"], "type": "refund"}
        )
    return linked


def _check_amount(account: Account, invoice: Object, amount: int, linked: list[Object]) -> None:
    """Raise StripeError beyond what can be credited: refunds without a credit note lower it.

    https://docs.stripe.com/api/credit_notes/create
    """
    named = {one["refund"] for one in linked}
    other = sum(
        one["amount"] - _linked_amount(account, one["id"])
        for one in account.store.all("refund")
        if one["payment_intent"] == invoice["_payment_intent"]
        and one["id"] not in named
        and one["status"] not in refunds.FINAL_STATUSES
    )
    most = invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"] - other
    if amount > most:
        text = format_amount(max(0, most), invoice["currency"])
        raise invalid_request(
            f"The credit note amount is more than the {text} that can still be credited.", param="amount"
        )


def _linked_amount(account: Account, refund_id: str) -> int:
    """Return how much of a refund the credit notes have."""
    links = [link for note in account.store.all("credit_note") for link in note["refunds"]]
    return sum(link["amount_refunded"] for link in links if link["refund"] == refund_id)


def _line(account: Account, invoice: Object, amount: int) -> Object:
    """Return the one line of a credit note that was made for an amount."""
    return {
        "id": f"cnli_1{account.store.token(23)}",
        "object": "credit_note_line_item",
        "amount": amount,
        "description": invoice["lines"]["data"][0]["description"],
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": None,
        "tax_rates": [],
        "taxes": [],
        "type": "custom_line_item",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def _of_invoice(account: Account, invoice_id: str) -> list[Object]:
    return [one for one in account.store.all("credit_note") if one["invoice"] == invoice_id]


def retrieve(call: Call) -> Object:
    """GET /v1/credit_notes/:id."""
    return public_fields(call.store.get("credit_note", call.ids[0]))


def update(call: Call) -> Object:
    """POST /v1/credit_notes/:id. Only the memo and metadata can change."""
    note = call.store.get("credit_note", call.ids[0])
    before = public_fields(note)
    note["metadata"] = merge_metadata(note["metadata"], call.params.get("metadata", {}))
    if "memo" in call.params:
        note["memo"] = call.params["memo"]
    return call.account.emit_update(note, before, "credit_note.updated")


def list_(call: Call) -> Object:
    """GET /v1/credit_notes?invoice&customer&created."""
    notes = lists.select(call.store.all("credit_note"), call.params, "invoice", "customer")
    return lists.page(notes, call.params, call.path, "credit note")


def lines(call: Call) -> Object:
    """GET /v1/credit_notes/:id/lines."""
    note = call.store.get("credit_note", call.ids[0])
    return lists.page(note["lines"]["data"], call.params, call.path, "credit note line item")


ROUTES = {
    "GET /v1/credit_notes/preview": preview,
    "GET /v1/credit_notes/preview/lines": preview_lines,
    "POST /v1/credit_notes": create,
    "GET /v1/credit_notes": list_,
    "GET /v1/credit_notes/*": retrieve,
    "POST /v1/credit_notes/*": update,
    "GET /v1/credit_notes/*/lines": lines,
}
